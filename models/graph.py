"""Writes trained models as ONNX graphs by hand: few plain operators, all of them fast.

Each graph takes ``window (n, point)`` and ``element (n, element)``, prepares the window (level,
slope and scale removed), and gives ``probability (n, class)``, ``score (n,)`` and, for models
that have it, ``fraction (n, class)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
SMALLEST = 1e-12


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
        self, points: int, elements: int, outputs: Mapping[str, int], metadata: Mapping[str, str]
    ) -> bytes:
        """The finished graph; ``outputs`` name to width (0: one number a spectrum)."""
        takes = [
            helper.make_tensor_value_info("window", TensorProto.FLOAT, ["n", points]),
            helper.make_tensor_value_info("element", TensorProto.FLOAT, ["n", elements]),
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


def prepared(graph: Graph, points: int) -> str:
    """Add what `prepare` does."""
    flat = graph.node("MatMul", "window", graph.constant(remover(points)))
    norm = graph.node("ReduceL2", flat, axes=[1], keepdims=1)
    return graph.node("Div", flat, graph.node("Max", norm, graph.constant(np.array([SMALLEST]))))


def decided(
    graph: Graph, logits: str, table: NDArray[np.floating[Any]], temperature: float
) -> None:
    """Add ``probability`` and the energy ``score`` (minus log-sum-exp of the allowed logits)."""
    allowed = graph.node("Add", logits, graph.node("MatMul", "element", graph.constant(table)))
    cooled = graph.node("Mul", allowed, graph.constant(np.array([1.0 / temperature])))
    graph.node("Softmax", cooled, name="probability", axis=-1)
    energy = graph.node("ReduceLogSumExp", allowed, axes=[1], keepdims=0)
    graph.node("Neg", energy, name="score")
