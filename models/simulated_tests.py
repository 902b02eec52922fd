"""Simulated tests of a finished model: every curve of the evaluation report.

Spectra are drawn as in a usual laboratory (`LABORATORY`), with a seed no recipe uses; one thing
is varied at a time. The model has seen these families of line shapes: how it does on families
it has not seen stands in its card as ``held_out``, measured by `train` on its twin.
"""

from __future__ import annotations

import itertools
import timeit
from typing import Any

import msgspec
import numpy as np
from live_eels.models.dataset import Dataset, simulate
from live_eels.models.domain import Domain
from live_eels.models.lines import CLASSES, VALENCE, shipped_lines
from numpy.typing import NDArray

from live_eels.classify import Classifier
from live_eels.edge_windows import Beside

LABORATORY = Domain(
    stretch=(0.96, 1.06),
    tail=(0.0, 0.2),
    ratio_spread=0.1,
    tilt_per_ev=0.02,
    split_ev=(0.1, 0.7),
    smooth_l2=0.3,
    satellite=(0.0, 0.1),
    solid_width_ev=(0.1, 0.6),
    resolution_ev=(0.4, 1.2),
    thickness=(0.0, 1.0),
    background=(0.03, 4.0),
    dispersion_ev=(0.1, 0.5),
    dose=(300.0, 3000.0),
    mixed=0.0,
    saturation=(0.0, 0.2),
    warp=(0.0, 0.03),
    measurements=1,
)
"""A usual instrument, and line shapes off from theory by about half as much as in training."""
SCANS = msgspec.structs.replace(LABORATORY, mixed=1.0, none=0.0, pixels=16, alone=0.0)
"""Scans of mixtures: line shapes, instrument and axis are those of all pixels of a scan."""
SHIFTS_EV = tuple(range(-13, 14))
DOSES = (3, 10, 20, 30, 50, 100, 300, 1000, 3000)
THICKNESSES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
DISPERSIONS_EV = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
SEED = 7_000_000
NONE = len(CLASSES) - 1
_VALENCE = np.array([np.nan if v is None else v for v in VALENCE])


def simulated_tests(classifier: Classifier, count: int = 4000, seed: int = 0) -> dict[str, Any]:
    """Run all; the result holds the curves and a flat ``summary`` of figures for the card."""
    start = SEED + 100 * seed

    def right(offset: int, **changed: Any) -> float:
        changed = {"none": 0.0, **changed}
        data = _draw(count // 4, start + offset, **changed)
        return float((_labels(classifier, data)[0] == data.label).mean())

    data = _draw(count, start)
    labels, _ = _labels(classifier, data)
    edge = data.label < NONE
    summary = {
        "accuracy": float((labels == data.label)[edge].mean()),
        "false_rejection": float((labels < 0)[edge].mean()),
        "neither_rejected": float(np.isin(labels, (-1, NONE))[~edge].mean()),
    }
    rejection = _rejection_curve(classifier, data)
    mixtures = _mixtures(classifier, count, start + 1)
    wide = _draw(8 * count, start + 2, wide=True)  # few are labelled with 90 % confidence
    given, probability = _labels(classifier, wide)
    reliability = _reliability(given, probability, wide.label)
    summary["accuracy_whole_domain"] = float((given == wide.label)[wide.label < NONE].mean())
    result: dict[str, Any] = {
        "model": classifier.card.name,
        "confusion": _confusion(labels, data.label),
        "shift_ev": {str(s): right(3, shift_ev=(s, s + 1e-6)) for s in SHIFTS_EV},
        "counts": {str(d): right(4, dose=(d, d * 1.001), noiseless=0.0, removed=1.0,
                                 background=(0.01, 0.0101)) for d in DOSES},
        "thickness": {str(t): right(5, thickness=(t, t + 1e-6), scattered=1.0)
                      for t in THICKNESSES},
        "dispersion_ev": {str(d): right(6, dispersion_ev=(d, d * 1.001), usual_axes=0.0)
                          for d in DISPERSIONS_EV},
        "mixtures": mixtures["by_fraction"],
        "reliability": reliability,
        "rejection": rejection,
    }  # fmt: skip
    shifts = np.array(list(result["shift_ev"].values()))
    summary |= {
        "valence_rms_two_states": mixtures["rms"],
        **_scans(classifier, 2 * count, start + 7),
        "right_at_90_percent": reliability["at_90_percent"],
        "worst_loss_shifted_10_ev": float(max(shifts[13] - shifts[3:24].min(), 0.0)),
        **{f"accuracy_at_{d}_counts": result["counts"][str(d)] for d in (10, 20, 50)},
        "loss_at_thickness_1": result["thickness"]["0.0"] - result["thickness"]["1.0"],
        "window_spectra_per_s": _speed(classifier),
    }
    result["summary"] = {k: round(v, 4) if v < 1000 else round(v, -2) for k, v in summary.items()}
    return result


def _draw(count: int, seed: int, *, wide: bool = False, **changed: Any) -> Dataset:
    """Simulate pure states as in a laboratory with some things fixed, or from the whole domain."""
    base = msgspec.structs.replace(Domain(), mixed=0.0, measurements=1) if wide else LABORATORY
    return simulate(shipped_lines(), count, seed, msgspec.structs.replace(base, **changed))


def _labels(classifier: Classifier, data: Dataset) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    answer = classifier.run(data.window, data.element)
    return classifier.decide(answer), answer["probability"]


def _confusion(labels: NDArray[Any], true: NDArray[Any]) -> dict[str, dict[str, int]]:
    given = np.where(labels < 0, len(CLASSES), labels)
    names = (*CLASSES, "rejected")
    return {
        name: {names[g]: int(((true == t) & (given == g)).sum()) for g in range(len(names))}
        for t, name in enumerate(CLASSES)
    }


def _mixtures(classifier: Classifier, count: int, seed: int) -> dict[str, Any]:
    """Mean valence of mixtures of two states, in steps of a tenth."""
    data = _draw(count, seed, mixed=1.0, none=0.0)
    two = (data.fraction > 0).sum(axis=1) == 2
    data = data.take(np.flatnonzero(two))
    answer = classifier.run(data.window, data.element)
    found = classifier.mean_valence(answer)
    true = data.fraction[:, :-1] @ _VALENCE[:-1]
    step = np.round(data.fraction.max(axis=1) * 10).astype(int)
    by = {
        f"{s / 10:g}": round(float(np.sqrt(np.mean((found - true)[step == s] ** 2))), 4)
        for s in range(5, 11)
        if (step == s).any()
    }
    return {"rms": float(np.sqrt(np.mean((found - true) ** 2))), "by_fraction": by}


def errors_in_scans(found: NDArray[Any], true: NDArray[Any]) -> dict[str, float]:
    """Rms error of the mean valence in scans of `SCANS`, and of differences within each scan.

    ``found`` and ``true`` ``(scan * pixel,)``. What all pixels of a scan are off by alike does not
    count among the differences.
    """
    error = (found - true).reshape(-1, SCANS.pixels)
    within = error - error.mean(axis=1, keepdims=True)
    return {
        "valence_rms_in_scans": float(np.sqrt(np.mean(error**2))),
        "valence_difference_rms_in_scans": float(np.sqrt(np.mean(within**2))),
    }


def _scans(classifier: Classifier, count: int, seed: int) -> dict[str, float]:
    """Errors of the mean valence in scans of mixtures."""
    data = simulate(shipped_lines(), count, seed, SCANS)
    answer = classifier.run(data.window, data.element, Beside(data.scan, data.moved_ev))
    true = data.fraction[:, :-1] @ _VALENCE[:-1]
    return errors_in_scans(classifier.mean_valence(answer), true)


def _reliability(
    labels: NDArray[Any], probability: NDArray[np.float32], true: NDArray[Any]
) -> dict[str, Any]:
    """How often labels of each confidence are right; rejected ones are left out."""
    kept = labels >= 0
    sure, right = probability.max(axis=1)[kept], (labels == true)[kept]
    edges = np.array([0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
    bins = []
    for low, high in itertools.pairwise(edges.tolist()):
        inside = (sure > low) & (sure <= high)
        if inside.sum() >= 10:
            bins.append(
                [float(sure[inside].mean()), float(right[inside].mean()), int(inside.sum())]
            )
    return {"bins": bins, "at_90_percent": near_90_percent(sure, right)}


def near_90_percent(sure: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """How many of the labels given with 87 to 93 % confidence are right; 0 if there are none."""
    near = (sure > 0.87) & (sure < 0.93)
    return float(right[near].mean()) if near.any() else 0.0


def _rejection_curve(classifier: Classifier, data: Dataset) -> list[list[float]]:
    """Good spectra rejected and others rejected, as the probability limit goes from 0 to 1."""
    answer = classifier.run(data.window, data.element)
    p = answer["probability"]
    edge = data.label < NONE
    over = answer["score"] > classifier.card.rejection.score
    none = p.argmax(axis=1) == NONE
    curve = []
    for limit in np.linspace(0, 0.999, 40):
        out = over | none | (p.max(axis=1) < limit)
        curve.append([float(out[edge].mean()), float(out[~edge].mean())])
    return curve


def _speed(classifier: Classifier) -> float:
    """Windows a second through the graph on one core, batches of 1024, best of 5."""
    rng = np.random.default_rng(0)
    window = rng.normal(size=(1024, classifier.card.window.points)).astype(np.float32)
    element = np.zeros((1024, len(classifier.card.elements)), np.float32)
    element[:, 0] = 1.0
    took = min(timeit.repeat(lambda: classifier.run(window, element), number=4, repeat=5))
    return 4 * 1024 / took
