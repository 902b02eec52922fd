"""Writes trained models as ONNX graphs by hand: few plain operators, all of them fast.

Each graph takes ``window (n, point)`` and ``element (n, element)``, one that sees scans also
``scan (n, point)`` and ``moved_ev (n, 1)``; it prepares the windows (level, slope and scale
removed), and gives ``probability (n, class)``, ``score (n,)`` and, for models
that have it, ``fraction (n, class)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
SMALLEST = 1e-12
ROUGH_FROM = 40
"""Cosines of a window from this one on are noise more than line shape."""
SMOOTHEST = 1e-3
"""Below this a window counts as free of noise."""


class Graph:
    """A graph under construction; every method returns the name of what it added."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(
        self,
        value: NDArray[Any] | float | Sequence[int],
        number: type[np.floating[Any]] = np.float32,
    ) -> str:
        """Add a constant: of type ``number``, or int64 where it is whole numbers."""
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else number)
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add an operator with one output."""
        output = name or f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def affine(
        self,
        x: str,
        weight: NDArray[Any],
        bias: NDArray[Any],
        number: type[np.floating[Any]] = np.float32,
    ) -> str:
        """``x @ weight.T + bias``, all of type ``number``."""
        constants = self.constant(weight, number), self.constant(bias, number)
        return self.node("Gemm", x, *constants, transB=1)

    def encode(
        self, inputs: Mapping[str, int], outputs: Mapping[str, int], metadata: Mapping[str, str]
    ) -> bytes:
        """The finished graph; inputs and outputs name to width (0: one number a spectrum)."""
        takes = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
            for name, width in inputs.items()
        ]
        gives = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width] if width else ["n"])
            for name, width in outputs.items()
        ]
        graph = helper.make_graph(self._nodes, "live_eels", takes, gives, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def remover(points: int) -> NDArray[np.float64]:
    """Matrix that takes level and slope out of a window, symmetric ``(point, point)``."""
    x = np.linspace(-1.0, 1.0, points)
    basis, _ = np.linalg.qr(np.stack([np.ones(points), x], axis=1))
    return np.asarray(np.eye(points) - basis @ basis.T)


def prepare(window: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Level, slope and scale removed from each window; what `prepared` writes as a graph."""
    flat = window @ remover(window.shape[1])
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), SMALLEST))


def prepared(graph: Graph, points: int, window: str = "window") -> str:
    """Add what `prepare` does."""
    flat = graph.node("MatMul", window, graph.constant(remover(points)))
    norm = graph.node("ReduceL2", flat, axes=[1], keepdims=1)
    return graph.node("Div", flat, graph.node("Max", norm, graph.constant(np.array([SMALLEST]))))


@cache
def ripples(points: int) -> NDArray[np.float64]:
    """Cosines faster than any line's shape (periods below 1.3 eV), ``(point, cosine)``."""
    k = np.arange(ROUGH_FROM, points)
    wave = np.cos(np.pi / points * (np.arange(points)[:, None] + 0.5) * k)
    return np.asarray(wave * np.sqrt(2.0 / points))


def roughness(x: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Log of the part of each prepared window that is ripples, ``(n,)``: how noisy it is."""
    rough = np.linalg.norm(x @ ripples(x.shape[1]), axis=1)
    return np.asarray(np.log(np.maximum(rough, SMOOTHEST)))


@dataclass(frozen=True, slots=True)
class Heat:
    """Temperature of the softmax as a function of roughness: straight lines between knots.

    ``rough`` ascends; ``log_temperature`` belongs to it, and is held beyond both ends.
    """

    rough: tuple[float, ...] = (-3.0, -1.0)
    log_temperature: tuple[float, ...] = (0.0, 0.0)

    def __call__(self, x: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Temperature for each prepared window, ``(n, 1)``."""
        return np.exp(np.interp(roughness(x), self.rough, self.log_temperature))[:, None]

    def write(self, graph: Graph, x: str, points: int) -> str:
        """Add it to a graph; the name of the temperature of prepared windows ``x``."""
        knots = np.array(self.rough)
        smoothest, low, high = (
            graph.constant(np.array(v)) for v in (SMOOTHEST, knots[0], knots[-1])
        )
        rough = graph.node("MatMul", x, graph.constant(ripples(points)))
        rough = graph.node("ReduceL2", rough, axes=[1], keepdims=1)
        rough = graph.node(
            "Clip", graph.node("Log", graph.node("Max", rough, smoothest)), low, high
        )
        # A straight line between knots is a sum of bends, one at each knot but the last.
        over = graph.affine(rough, np.ones((len(knots) - 1, 1)), -knots[:-1])
        slope = np.diff(self.log_temperature) / np.diff(knots)
        bends = np.diff(slope, prepend=0.0)[None]
        start = np.array(self.log_temperature[:1])
        return graph.node("Exp", graph.affine(graph.node("Relu", over), bends, start))


def decided(
    graph: Graph, x: str, points: int, logits: str, table: NDArray[np.floating[Any]], heat: Heat
) -> None:
    """Add ``probability`` and the energy ``score`` (minus log-sum-exp of the allowed logits).

    ``x``: the prepared windows of ``points``, whose roughness sets the temperature.
    """
    allowed = graph.node("Add", logits, graph.node("MatMul", "element", graph.constant(table)))
    cooled = graph.node("Div", allowed, heat.write(graph, x, points))
    graph.node("Softmax", cooled, name="probability", axis=-1)
    energy = graph.node("ReduceLogSumExp", allowed, axes=[1], keepdims=0)
    graph.node("Neg", energy, name="score")
