"""Support vector machines: trained by scikit-learn, written as MatMul, Exp and Gemm.

Three kernels on prepared windows (unit length): ``linear`` on windows of unit height, ``cosine``
(an inner product of unit windows), ``rbf`` on their principal components. One machine for each
class against the rest; margins go through a softmax whose temperature is fitted later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from live_eels.models.graph import SMALLEST, Graph
from numpy.typing import NDArray
from onnx import TensorProto
from sklearn.decomposition import PCA
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC, LinearSVC

Kernel = Literal["linear", "cosine", "rbf"]
F8 = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """A trained machine; ``projection`` maps windows to what the kernel sees."""

    kernel: Kernel
    trained: OneVsRestClassifier
    mean: F8
    projection: F8 | None

    def seen(self, x: F8) -> F8:
        """What the kernel sees of prepared windows ``(n, point)``."""
        if self.kernel == "linear":
            return np.asarray(x / np.maximum(x.max(axis=1, keepdims=True), SMALLEST))
        return x if self.projection is None else np.asarray((x - self.mean) @ self.projection)

    def margins(self, x: F8) -> F8:
        """Scikit-learn's decision values, float64 ``(n, class)``."""
        return np.asarray(self.trained.decision_function(self.seen(x)))

    @property
    def parameters(self) -> int:
        """Numbers in the exported graph."""
        if self.kernel != "rbf":
            return int(self.mean.size + 1) * len(self.trained.estimators_)
        vectors, weights, bias, _ = self.expansion()
        assert self.projection is not None
        return vectors.size + weights.size + bias.size + self.projection.size

    def expansion(self) -> tuple[F8, F8, F8, float]:
        """Support vectors of all machines, each once, with weights, biases and gamma."""
        machines = self.trained.estimators_
        stacked = np.concatenate([m.support_vectors_ for m in machines])
        vectors, which = np.unique(stacked, axis=0, return_inverse=True)
        weights = np.zeros((len(machines), len(vectors)))
        start = 0
        for row, machine in zip(weights, machines, strict=True):
            count = len(machine.support_vectors_)
            np.add.at(row, which.ravel()[start : start + count], machine.dual_coef_[0])
            start += count
        bias = np.array([m.intercept_[0] for m in machines])
        return vectors, weights, bias, float(machines[0]._gamma)


def train_machine(
    kernel: Kernel, x: F8, label: NDArray[np.int64], *, cost: float, components: int, seed: int
) -> Machine:
    """Train on prepared windows ``(n, point)`` and their class indices."""
    mean, projection = x.mean(axis=0), None
    if kernel == "rbf":
        pca = PCA(components, random_state=seed).fit(x)
        mean, projection = pca.mean_, pca.components_.T
    one: Any
    if kernel == "linear":
        one = LinearSVC(C=cost, random_state=seed)
    else:
        one = SVC(C=cost, kernel="rbf" if kernel == "rbf" else "linear", gamma="scale")
    machine = Machine(kernel, OneVsRestClassifier(one), mean, projection)
    machine.trained.fit(machine.seen(x), label)
    return machine


def write_machine(graph: Graph, x: str, machine: Machine) -> str:
    """Add the machine to a graph; the name of its margins."""
    estimators = machine.trained.estimators_
    if machine.kernel != "rbf":
        if machine.kernel == "linear":
            top = graph.node("ReduceMax", x, axes=[1], keepdims=1)
            x = graph.node("Div", x, graph.node("Max", top, graph.constant(np.array([SMALLEST]))))
        weight = np.concatenate([np.asarray(m.coef_) for m in estimators])
        return graph.affine(x, weight, np.array([m.intercept_[0] for m in estimators]))
    assert machine.projection is not None
    # Margins are small differences of large sums over support vectors: float32 loses digits.
    double = np.float64
    x = graph.node("Cast", x, to=TensorProto.DOUBLE)
    x = graph.affine(x, machine.projection.T, -machine.mean @ machine.projection, double)
    vectors, weights, bias, gamma = machine.expansion()
    # exp(-g |x - v|^2) = exp(2 g x.v - g |v|^2 - g |x|^2): one product with all vectors.
    products = graph.affine(x, 2 * gamma * vectors, -gamma * (vectors**2).sum(axis=1), double)
    square = graph.node("ReduceSumSquare", x, axes=[1], keepdims=1)
    own = graph.node("Mul", square, graph.constant(np.array([-gamma]), double))
    near = graph.node("Exp", graph.node("Add", products, own))
    margins = graph.affine(near, weights, bias, double)
    return graph.node("Cast", margins, to=TensorProto.FLOAT)
