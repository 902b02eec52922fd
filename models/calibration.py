"""Temperature and rejection of a model, from a twin asked about line shapes it has not seen.

What a model says of shapes it has seen is too sure: the twin is trained without some families
and asked about these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from live_eels.models.dataset import PENALTY, Dataset, joined, simulate
from live_eels.models.domain import Domain
from live_eels.models.graph import Graph, Heat, prepare, roughness
from live_eels.models.lines import CLASSES, VALENCE, shipped_lines
from live_eels.models.recipe import Recipe
from numpy.typing import NDArray
from scipy.optimize import minimize

from live_eels.model_card import Rejection

F8 = NDArray[np.floating[Any]]
CALIBRATED_ON, TESTED_ON = 40_000, 16_000
LEVELS = 6
"""Of noise, each with a temperature of its own."""
BOUNDS = (-2.5, 4.0)
"""Of the log of a temperature: margins of support vectors on noise are large and mean nothing."""
LABORATORY_COUNTS = 2.0
"""How much more a usual laboratory's spectrum counts, as it is seldom unsure and says little."""


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained model: ``logits`` of prepared windows, and ``write`` into a graph.

    ``write(graph, x)`` returns the names of the label's logits and of the shares' or "".
    """

    logits: Callable[[F8], F8]
    write: Callable[[Graph, str], tuple[str, str]]
    parameters: int
    network: Any = None


def softmax(logits: F8) -> F8:
    """Probabilities of logits ``(n, class)``."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def temperature(logits: F8, label: NDArray[np.int64], rough: F8, weight: F8 | None = None) -> Heat:
    """Temperatures at which the best label is as often right as its probability says.

    One for each of `LEVELS` of roughness, straight lines between: what a model overlooks in a
    noisy spectrum is not what it overlooks in a clean one. All are fitted together, by maximum
    likelihood of the best label being right or wrong; ``weight`` of each spectrum, ``(n,)``.
    """
    at = np.quantile(rough, np.linspace(0.02, 0.98, LEVELS))
    at = np.round(at + 1e-3 * np.arange(LEVELS), 4)  # apart, also where many are alike
    part = np.stack([np.interp(rough, at, row) for row in np.eye(LEVELS)], axis=1)
    best, top = logits.argmax(axis=1), logits.max(axis=1)
    right, rows = best == label, np.arange(len(logits))
    share = np.ones(len(logits)) if weight is None else weight
    share = share / share.sum()

    def misfit(log_t: F8) -> tuple[float, F8]:
        t = np.exp(part @ log_t)
        probability = softmax(logits / t[:, None])
        sure = np.clip(probability[rows, best], 1e-9, 1 - 1e-9)
        slope = -sure * (top - (probability * logits).sum(axis=1)) / t  # by the log of t
        lost = -np.log(np.where(right, sure, 1 - sure))
        by_sure = np.where(right, -1 / sure, 1 / (1 - sure))
        return float(share @ lost), part.T @ (share * by_sure * slope)

    found = minimize(
        misfit, np.zeros(LEVELS), jac=True, method="L-BFGS-B", bounds=[BOUNDS] * LEVELS
    )
    return Heat(tuple(at.tolist()), tuple(np.round(found.x, 3).tolist()))


def rejection(logits: F8, heat: F8, false_rejection: float) -> Rejection:
    """Limits on probability and energy score that each reject half of the allowed share.

    ``heat``: temperature of each spectrum, ``(n, 1)``.
    """
    half = false_rejection / 2
    top = logits.max(axis=1)
    score = -(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)))
    probability = softmax(logits / heat).max(axis=1)
    return Rejection(
        probability=round(float(min(np.quantile(probability, half), 0.6)), 4),
        score=round(float(np.quantile(score, 1 - half)), 4),
        false_rejection=false_rejection,
    )


def ask(
    twin: Trained, recipe: Recipe, count: int, seed: int, domain: Domain, keep: Path | None
) -> tuple[Dataset, F8]:
    """Spectra of each held-out family in equal numbers, and the twin's logits (with element)."""
    families = recipe.held_out
    data = joined(
        [
            simulate(shipped_lines().only([name]), count // len(families), seed + i, domain, keep)
            for i, name in enumerate(families)
        ]
    )
    return data, twin.logits(data.seen(recipe.scan)) + data.element @ PENALTY


def calibrate(recipe: Recipe, twin: Trained, keep: Path | None = None) -> tuple[Heat, Rejection]:
    """Temperature and rejection from what the twin says of families it has not seen.

    Half of these spectra as a usual laboratory sees them, which count `LABORATORY_COUNTS` times,
    half from the whole domain of the training, so that confidence is neither too low for the one
    nor too high for the other.
    """
    from live_eels.models.simulated_tests import LABORATORY

    whole = Domain(mixed=0.0, measurements=1)
    asked = [
        ask(twin, recipe, CALIBRATED_ON // 2, recipe.seed + 1000 + 10 * i, domain, keep)
        for i, domain in enumerate((whole, LABORATORY))
    ]
    data = joined([part for part, _ in asked])
    logits = np.concatenate([found for _, found in asked])
    x = prepare(data.window)
    weight = np.repeat([1.0, LABORATORY_COUNTS], [len(part) for part, _ in asked])
    heat = temperature(logits, data.label, roughness(x), weight)
    good = (data.label < len(CLASSES) - 1) & (data.dose >= 30)
    return heat, rejection(logits[good], heat(x)[good], recipe.false_rejection)


def held_out(recipe: Recipe, twin: Trained, heat: Heat, keep: Path | None = None) -> dict[str, Any]:
    """How the twin does on families it has not seen, as a usual laboratory sees them."""
    from live_eels.models.simulated_tests import LABORATORY, near_90_percent

    families = recipe.held_out
    data, logits = ask(twin, recipe, TESTED_ON, recipe.seed + 2000, LABORATORY, keep)
    edge = data.label < len(CLASSES) - 1
    probability = softmax(logits / heat(prepare(data.window)))
    right = probability.argmax(axis=1) == data.label
    figures: dict[str, Any] = {
        "families": ", ".join(families),
        "accuracy": round(float(right[edge].mean()), 4),
        "right_at_90_percent": round(near_90_percent(probability.max(axis=1), right), 4),
    }
    for name, part, kept in zip(
        families, np.split(right, len(families)), np.split(edge, len(families)), strict=True
    ):
        figures[f"accuracy_{name.replace('/', '_').replace(' ', '_')}"] = round(
            float(part[kept].mean()), 4
        )
    if twin.network is not None:
        figures |= _valence_errors(recipe, twin, keep)
    return figures


def _valence_errors(recipe: Recipe, twin: Trained, keep: Path | None) -> dict[str, float]:
    """Rms errors of the mean valence in families not seen: mixtures of two states, and scans.

    Scans only where the model sees them; there once more as if each pixel were alone.
    """
    from live_eels.models.simulated_tests import LABORATORY, SCANS, errors_in_scans

    domain = msgspec.structs.replace(LABORATORY, mixed=1.0, none=0.0)
    data, _ = ask(twin, recipe, TESTED_ON, recipe.seed + 3000, domain, keep)
    data = data.take(np.flatnonzero((data.fraction > 0).sum(axis=1) == 2))
    valence = np.array([v or 0.0 for v in VALENCE])
    error = _mean_valence(twin, data, data.seen(recipe.scan)) - data.fraction @ valence
    errors = {"valence_rms_two_states": float(np.sqrt(np.mean(error**2)))}
    if recipe.scan:
        data, _ = ask(twin, recipe, TESTED_ON, recipe.seed + 4000, SCANS, keep)
        true, x = data.fraction @ valence, data.seen(scan=True)
        errors |= errors_in_scans(_mean_valence(twin, data, x), true)
        x = data.apart().seen(scan=True)
        apart = errors_in_scans(_mean_valence(twin, data, x), true)
        errors |= {f"{name}_apart": value for name, value in apart.items()}
    return {name: round(value, 4) for name, value in errors.items()}


def _mean_valence(twin: Trained, data: Dataset, x: F8) -> F8:
    from live_eels.models.networks import logits

    share = softmax(logits(twin.network, x)[1] + data.element @ PENALTY)
    valence = np.array([v or 0.0 for v in VALENCE])
    return np.asarray((share @ valence) / share[:, :-1].sum(axis=1))
