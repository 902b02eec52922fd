"""Beside what others use for the same, in one run on one core.

Run ``python tests/benchmarks/peers.py [--json FILE]``. A peer that is not installed is left
out, and said so: ``pip install hyperspy exspy skl2onnx nionswift-eels-analysis niondata
libertem-live``. Seconds are processor time of all threads, best of several, so that other
work on the machine hardly matters. Spectra of 2048 channels with 1024 channels of low loss.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from live_eels.models.graph import Graph
from live_eels.models.svm import train_machine, write_machine

from benchmarks import preprocess
from benchmarks.learners import beside_incremental
from benchmarks.preprocess import CORE, LOW, spectra
from live_eels import models
from live_eels.classify import Classifier
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose_settings import DecomposeSettings
from live_eels.kernels import prepare
from live_eels.pipeline import Pipeline
from live_eels.preprocess import Preprocessor
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, NavigationAxis

SIDE, OUR_SIDE = 64, 256
FIT_EV = (578.0, 629.0)
PACKAGES = (
    "live_eels", "numpy", "numba", "onnxruntime", "hyperspy", "exspy", "scikit-learn",
    "skl2onnx", "nionswift-eels-analysis", "libertem-live", "libertem-dectris",
)  # fmt: skip


class Row(NamedTuple):
    """Spectra per second of processor time, ours and theirs, and how far results differ."""

    what: str
    peer: str
    ours: float
    theirs: float
    wanted: float
    agreement: str = ""

    @property
    def ratio(self) -> float:
        """How many times theirs ours is."""
        return self.ours / self.theirs


def rate(work: Callable[[], object], n: int, repeats: int = 3) -> float:
    """Spectra per second of processor time."""
    return preprocess.rate(work, n, repeats, time.process_time)


def chain() -> Row:
    """Align, spikes, background, 8 components, 6 clusters; ours labels and maps as well."""
    import exspy  # noqa: F401  (registers the EELS signals)
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    for name in ("hyperspy", "exspy"):
        logging.getLogger(name).setLevel(logging.ERROR)
    scan, core, low = spectra(SIDE * SIDE)

    def signal(data: np.ndarray, axis: object) -> object:
        made = hs.signals.Signal1D(data.astype(np.float32).reshape(SIDE, SIDE, -1))
        made.set_signal_type("EELS")
        energy = made.axes_manager.signal_axes[0]
        energy.offset, energy.scale, energy.units = axis.offset_ev, axis.dispersion_ev, "eV"
        return made

    def theirs() -> None:
        low_signal, core_signal = signal(low, LOW), signal(core, CORE)
        low_signal.align_zero_loss_peak(
            also_align=[core_signal], print_stats=False, show_progressbar=False, crop=False,
            signal_range=(-20.0, 20.0),
        )  # fmt: skip
        core_signal.spikes_removal_tool(interactive=False, threshold=200.0)
        core_signal.remove_background(
            signal_range=FIT_EV, background_type="PowerLaw", fast=True, show_progressbar=False
        )
        core_signal = core_signal.isig[629.0:760.0]
        core_signal.data = np.maximum(core_signal.data, 0)
        core_signal.decomposition(True, output_dimension=8, print_info=False)
        core_signal.cluster_analysis("decomposition", n_clusters=6)

    classifier = Classifier.load(models.shipped()[models.DEFAULT])

    axes = tuple(NavigationAxis(name, OUR_SIDE) for name in "yx")
    large = replace(scan, navigation=axes)

    def chunks(size: int) -> Iterator[Chunk]:
        for first in range(0, large.pixels, len(core)):
            yield Chunk(large, np.arange(first, first + len(core)), core, low)

    def ours() -> None:
        pipeline = Pipeline(
            large, preprocess=PreprocessSettings(), decompose=DecomposeSettings(components=8),
            cluster=ClusterSettings(clusters=6), classifier=classifier,
        )  # fmt: skip
        telling = pipeline.preprocessor.telling(np.arange(large.pixels))
        at = telling % len(core)
        pipeline.prepare(Chunk(large, telling, core[at], low[at]))
        for _ in pipeline.settle(chunks, afresh=True):
            pass

    return Row(f"whole chain, {OUR_SIDE} x {OUR_SIDE} from a file", f"HyperSpy, {SIDE} x {SIDE}",
               rate(ours, large.pixels, 1), rate(theirs, len(core), 1), 30)  # fmt: skip


def support_vectors() -> list[Row]:
    """An RBF machine of about 500 support vectors, by its operator and by our graph."""
    return [_support_vectors(128, 510), _support_vectors(12, 900)]


def _support_vectors(features: int, spectra: int) -> Row:
    import onnxruntime
    from skl2onnx import to_onnx
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline

    rng = np.random.default_rng(0)
    label = np.arange(spectra) % 5
    shapes = rng.normal(size=(5, 128))
    x = shapes[label] + rng.normal(size=(spectra, 128)) * 4.0
    machine = train_machine("rbf", x, label, cost=1.0, components=features, seed=0)
    vectors = len(machine.expansion()[0])
    pca = PCA(features, random_state=0).fit(x)
    whole = make_pipeline(pca, machine.trained)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    batch = np.tile(x, (8, 1)).astype(np.float32)

    def session(graph: bytes) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"])

    operator = session(
        to_onnx(
            whole, batch[:1], options={id(whole): {"zipmap": False, "raw_scores": True}}
        ).SerializeToString()
    )
    graph = Graph()
    margins = write_machine(graph, "window", machine)
    ours = session(graph.encode({"window": 128, "element": 1}, {margins: 5}, {}))
    given = {"window": batch, "element": np.ones((len(batch), 1), np.float32)}
    name = operator.get_outputs()[1].name
    ours_margins = ours.run([margins], given)[0]
    exact = whole.decision_function(batch.astype(np.float64))
    apart = np.abs(1 / (1 + np.exp(-ours_margins)) - 1 / (1 + np.exp(-exact))).max()
    other = operator.get_inputs()[0].name
    return Row(
        f"RBF SVM, {vectors} support vectors, {features} features", "skl2onnx's SVC",
        rate(lambda: ours.run([margins], given), len(batch)),
        rate(lambda: operator.run([name], {other: batch}), len(batch)), 8,
        f"probabilities within {apart:.0e} of scikit-learn's",
    )  # fmt: skip


def nion() -> list[Row]:
    """Nion Swift's zero-loss fit and power-law background, spectrum by spectrum as there."""
    from nion.data import Calibration, DataAndMetadata
    from nion.eels_analysis import BackgroundModel, ZLP_Analysis

    _, core, low = spectra(256)
    scan = spectra(1)[0]
    preprocessor = Preprocessor(scan)
    zero = -LOW.offset_ev / LOW.dispersion_ev
    fit_zlp = ZLP_Analysis.estimate_zlp_amplitude_position_width_fit_spline
    found = np.array([fit_zlp(row.astype(float))[1] for row in low])
    aligned, n = np.empty(low.shape, np.float32), len(low)
    shift, width, flags = np.empty(n, "f4"), np.empty(n, "f4"), np.zeros(n, np.uint8)

    def align() -> None:
        prepare.prepare_low(
            low, preprocessor._low, (40, 200), zero, 30.0, aligned, shift, width, flags
        )

    align()
    apart = np.median(np.abs((zero - shift) - found))
    rows = [
        Row("zero-loss peak", "Nion Swift", rate(align, n),
            rate(lambda: [fit_zlp(row.astype(float)) for row in low], n, 1), 1,
            f"median difference {apart:.2f} channel")
    ]  # fmt: skip
    counts = core.astype(np.float32)
    calibration = Calibration.Calibration(CORE.offset_ev, CORE.dispersion_ev, "eV")
    image = DataAndMetadata.new_data_and_metadata(
        counts.astype(np.float64).reshape(16, 16, -1),
        dimensional_calibrations=[*[Calibration.Calibration()] * 2, calibration],
        data_descriptor=DataAndMetadata.DataDescriptor(False, 2, 1),
    )  # fmt: skip
    model = BackgroundModel.FittedPowerLawBackgroundModel("power_law")
    span = CORE.size * CORE.dispersion_ev
    interval = tuple((energy - CORE.offset_ev) / span for energy in FIT_EV)
    flags = np.zeros(n, np.uint8)
    rows.append(
        Row("background", "Nion Swift",
            rate(lambda: preprocessor._subtract(np.arange(n), counts, flags), n),
            rate(lambda: model.subtract_background(spectrum_xdata=image, fit_intervals=[interval]),
                 n, 1), 1)
    )  # fmt: skip
    return rows


def incremental() -> list[Row]:
    """scikit-learn's IncrementalPCA and ours, to the exact basis of the scan."""
    return [
        Row(f"streaming PCA, {row.learnt}", f"IncrementalPCA, blocks of {row.their_block}",
            row.rate, row.their_rate, 10,
            f"{row.angle_deg:.2f} against {row.their_angle_deg:.2f} degrees")
        for row in beside_incremental()
    ]  # fmt: skip


def machine() -> dict[str, object]:
    """What it ran on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
    }


def main() -> None:
    """Print the table; write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows: list[Row] = []
    missing = []
    warnings.simplefilter("ignore")
    for run in (support_vectors, nion, incremental, chain):
        try:
            found = run()
        except ImportError as error:
            missing.append(f"{run.__name__}: left out, {error}")
            continue
        rows += found if isinstance(found, list) else [found]
    about = machine()
    print(f"One core of {about['cores']} ({about['processor']}), Python {about['python']}; "
          + ", ".join(f"{k} {v}" for k, v in about["versions"].items()))  # fmt: skip
    print("\n| what | live_eels, spectra/s | peer | spectra/s | ratio | wanted | |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.ours:,.0f} | {row.peer} | {row.theirs:,.0f} | "
              f"{row.ratio:.1f} | {row.wanted:g} | {row.agreement} |")  # fmt: skip
    print("\n".join(missing))
    if arguments.json:
        table = [row._asdict() | {"ratio": row.ratio} for row in rows]
        arguments.json.write_text(json.dumps({"machine": about, "rows": table}, indent=1))


if __name__ == "__main__":
    main()
