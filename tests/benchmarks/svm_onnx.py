"""The same RBF machine as skl2onnx writes it and as MatMul, Exp, Gemm: equal, and how fast.

``python tests/benchmarks/svm_onnx.py`` (needs the extra ``train``) prints one line.
"""

from __future__ import annotations

import timeit

import numpy as np
import onnxruntime
from live_eels.models import svm
from live_eels.models.calibration import softmax
from live_eels.models.dataset import PENALTY, WINDOW, simulate
from live_eels.models.domain import Domain
from live_eels.models.graph import Graph, Heat, decided, prepare, prepared
from live_eels.models.lines import CLASSES, shipped_lines

BATCH = 1024


def session(model: bytes) -> onnxruntime.InferenceSession:
    """On one core, as in the live engine."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def compare(spectra: int = 3000) -> dict[str, float]:
    """Largest differences from scikit-learn's margins (as probabilities), and spectra a second."""
    from skl2onnx import to_onnx

    data = simulate(shipped_lines(), spectra, 4, Domain(mixed=0.0, dose=(30, 3000)))
    x = prepare(data.window)
    machine = svm.train_machine("rbf", x, data.label, cost=1.0, components=32, seed=0)
    theirs = softmax(machine.margins(x))

    graph = Graph()
    seen_by = prepared(graph, WINDOW.points)
    margins = svm.write_machine(graph, seen_by, machine)
    decided(graph, seen_by, WINDOW.points, margins, np.zeros_like(PENALTY), Heat())
    inputs = {"window": WINDOW.points, "element": 2}
    ours = session(graph.encode(inputs, {"probability": len(CLASSES), "score": 0}, {}))
    feed = {"window": data.window, "element": data.element}
    (found,) = ours.run(["probability"], feed)

    seen = machine.seen(x).astype(np.float32)
    wanted = {id(machine.trained): {"raw_scores": True, "zipmap": False}}
    operator = session(
        to_onnx(machine.trained, seen[:1], options=wanted, target_opset=17).SerializeToString()
    )
    name = operator.get_outputs()[1].name
    (raw,) = operator.run([name], {"X": seen})
    some = {key: value[:BATCH] for key, value in feed.items()}
    return {
        "ours_difference": float(np.abs(found - theirs).max()),
        "skl2onnx_difference": float(np.abs(softmax(raw) - theirs).max()),
        "ours_per_s": BATCH / best(lambda: ours.run(["probability"], some)),
        "skl2onnx_per_s": BATCH / best(lambda: operator.run([name], {"X": seen[:BATCH]})),
    }


def best(run) -> float:
    """Seconds of the fastest of five runs."""
    return min(timeit.repeat(run, number=1, repeat=5))


if __name__ == "__main__":
    print(" ".join(f"{key} {value:.3g}" for key, value in compare().items()))
