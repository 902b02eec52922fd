"""Temperature and rejection of a model, from a twin asked about line shapes it has not seen.

What a model says of shapes it has seen is too sure: the twin is trained without some families
and asked about these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from live_eels.models.dataset import PENALTY, Dataset, joined, simulate
from live_eels.models.domain import Domain
from live_eels.models.graph import Graph, prepare
from live_eels.models.lines import CLASSES, VALENCE, shipped_lines
from live_eels.models.recipe import Recipe
from numpy.typing import NDArray

from live_eels.model_card import Rejection

F8 = NDArray[np.floating[Any]]
CALIBRATED_ON, TESTED_ON = 16_000, 6_000


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


def temperature(logits: F8, label: NDArray[np.int64]) -> float:
    """The temperature at which the right classes are most probable."""
    tried = np.geomspace(0.02, 10.0, 120)
    rows = np.arange(len(label))
    loss = [-np.log(softmax(logits / t)[rows, label] + 1e-12).mean() for t in tried]
    return float(tried[int(np.argmin(loss))])


def rejection(logits: F8, heat: float, false_rejection: float) -> Rejection:
    """Limits on probability and energy score that each reject half of the allowed share."""
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
    twin: Trained,
    families: Sequence[str],
    count: int,
    seed: int,
    domain: Domain,
    keep: Path | None,
) -> tuple[Dataset, F8]:
    """Spectra of each family in equal numbers, and the twin's logits (element included)."""
    data = joined(
        [
            simulate(shipped_lines().only([name]), count // len(families), seed + i, domain, keep)
            for i, name in enumerate(families)
        ]
    )
    return data, twin.logits(prepare(data.window)) + data.element @ PENALTY


def calibrate(recipe: Recipe, twin: Trained, keep: Path | None = None) -> tuple[float, Rejection]:
    """Temperature and rejection from what the twin says of families it has not seen.

    Half of these spectra as a usual laboratory sees them, half from the whole domain of the
    training, so that confidence is neither too low for the one nor too high for the other.
    """
    from live_eels.models.simulated_tests import LABORATORY

    whole = Domain(mixed=0.0, measurements=1)
    asked = [
        ask(twin, recipe.held_out, CALIBRATED_ON // 2, recipe.seed + 1000 + 10 * i, domain, keep)
        for i, domain in enumerate((whole, LABORATORY))
    ]
    data = joined([part for part, _ in asked])
    logits = np.concatenate([found for _, found in asked])
    heat = temperature(logits, data.label)
    good = (data.label < len(CLASSES) - 1) & (data.dose >= 30)
    return heat, rejection(logits[good], heat, recipe.false_rejection)


def held_out(
    recipe: Recipe, twin: Trained, heat: float, keep: Path | None = None
) -> dict[str, Any]:
    """How the twin does on families it has not seen, as a usual laboratory sees them."""
    from live_eels.models.simulated_tests import LABORATORY, near_90_percent

    families = recipe.held_out
    data, logits = ask(twin, families, TESTED_ON, recipe.seed + 2000, LABORATORY, keep)
    edge = data.label < len(CLASSES) - 1
    probability = softmax(logits / heat)
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
        figures["valence_rms_two_states"] = round(_valence_error(recipe, twin, keep), 4)
    return figures


def _valence_error(recipe: Recipe, twin: Trained, keep: Path | None) -> float:
    """Rms error of the mean valence of mixtures of two states, in families not seen."""
    from live_eels.models.networks import logits
    from live_eels.models.simulated_tests import LABORATORY

    domain = msgspec.structs.replace(LABORATORY, mixed=1.0, none=0.0)
    data, _ = ask(twin, recipe.held_out, TESTED_ON, recipe.seed + 3000, domain, keep)
    data = data.take(np.flatnonzero((data.fraction > 0).sum(axis=1) == 2))
    share = softmax(logits(twin.network, prepare(data.window))[1] + data.element @ PENALTY)
    valence = np.array([v or 0.0 for v in VALENCE])
    error = (share @ valence) / share[:, :-1].sum(axis=1) - data.fraction @ valence
    return float(np.sqrt(np.mean(error**2)))
