"""Accuracy against energy shift, with and without finding the edge.

The comparison of the literature: a network that sees a fixed energy window, trained on spectra
that are not shifted, shifted by -1.5 to 2.25 eV, or by up to 10 eV; and one whose window is
placed by the edge itself. All alike otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from live_eels.models.dataset import ELEMENTS, PENALTY, WINDOW, Dataset, preparation
from live_eels.models.domain import Domain, Range
from live_eels.models.graph import prepare
from live_eels.models.lines import CLASSES, L3_EV, LineSet, shipped_lines
from live_eels.models.randomise import draw
from live_eels.models.recipe import Recipe
from live_eels.models.simulated_tests import LABORATORY, SHIFTS_EV
from live_eels.models.train import fit

TRAINED: dict[str, Range] = {
    "fixed window, not shifted": (0.0, 1e-6),
    "fixed window, -1.5 to 2.25 eV": (-1.5, 2.25),
    "fixed window, -10 to 10 eV": (-10.0, 10.0),
}
ALIGNED = "window at the edge, not shifted"


def shift_study(
    spectra: int = 10_000,
    asked: int = 300,
    seed: int = 1,
    out: Path | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, dict[str, float]]:
    """Train the four networks and ask each at every shift: training to shift to accuracy.

    Parameters
    ----------
    out
        Where the curves are kept (JSON) after each; those it holds already are not done again.
    """
    curves: dict[str, dict[str, float]] = {}
    if out is not None and out.exists():
        curves = json.loads(out.read_text("utf-8"))
    lines = shipped_lines()
    recipe = Recipe(name="s", title="", family="dense", seed=seed, epochs=40)
    usual = msgspec.structs.replace(LABORATORY, none=0.0)
    for name, shift in {**TRAINED, ALIGNED: (0.0, 1e-6)}.items():
        if name in curves:
            continue
        aligned = name == ALIGNED
        domain = msgspec.structs.replace(Domain(mixed=0.0), shift_ev=shift)
        trained = fit(recipe, _cut(lines, spectra, seed, domain, aligned))
        curve = {}
        for s in SHIFTS_EV:
            moved = msgspec.structs.replace(usual, shift_ev=(float(s), s + 1e-6))
            data = _cut(lines, asked, seed + 1, moved, aligned)
            logits = trained.logits(prepare(data.window)) + data.element @ PENALTY
            curve[str(s)] = round(float((logits.argmax(axis=1) == data.label).mean()), 4)
        curves[name] = curve
        say(f"{name}: {curve['0']:.1%} unshifted, {min(curve.values()):.1%} at worst")
        if out is not None:
            out.write_text(json.dumps(curves, indent=1) + "\n", "utf-8")
    return curves


def _cut(lines: LineSet, count: int, seed: int, domain: Domain, aligned: bool) -> Dataset:
    """Windows at the nominal energy of the edge, or at the edge that is found."""
    prepare_ = preparation()
    points = WINDOW.low_ev + WINDOW.dispersion_ev * np.arange(WINDOW.points)
    parts: list[tuple[Any, ...]] = []
    for group in draw(lines, count, np.random.default_rng(seed), domain, group=8):
        window, element, *_ = prepare_.windows(group.counts, group.axis)
        if not aligned:
            # The element is given, so that only the shift within its window is asked.
            symbol = "Mn" if CLASSES[group.label.min()].startswith("Mn") else "Fe"
            at, axis = L3_EV[symbol] + points, group.axis.energies_ev
            window = np.stack([np.interp(at, axis, y) for y in group.counts]).astype(np.float32)
            window -= window.mean(axis=1, keepdims=True)
            element = np.tile(
                np.array([e.symbol == symbol for e in ELEMENTS], np.float32), (len(window), 1)
            )
        truth = group.fraction, group.dose, group.thickness, group.shift_ev
        no_scan = np.empty((len(window), 0), np.float32)
        parts.append((window, element, *truth, no_scan, no_scan))
    return Dataset(*(np.concatenate(column) for column in zip(*parts, strict=True)))
