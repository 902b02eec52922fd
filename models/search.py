"""Success for each network structure: dense and convolutional, short and long training.

Every structure trains on some families of line shapes and is asked about another, so the best
may be chosen here without touching measured spectra.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from live_eels.models.dataset import simulate
from live_eels.models.graph import prepare
from live_eels.models.lines import CLASSES, shipped_lines
from live_eels.models.simulated_tests import LABORATORY
from live_eels.models.train import PENALTY, Recipe, fit

DENSE: tuple[tuple[int, ...], ...] = (
    (16,), (32,), (64,), (128,), (256,), (32, 32), (64, 32), (128, 64), (256, 128),
    (64, 64, 64), (128, 64, 32), (256, 128, 64),
)  # fmt: skip
CONVOLUTIONAL: tuple[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], ...] = (
    ((16,), (15,), (4,)),
    ((32,), (31,), (4,)),
    ((16, 32), (9, 7), (4, 2)),
    ((16, 32), (15, 9), (4, 2)),
    ((8, 16, 32), (9, 7, 5), (4, 2, 2)),
    ((16, 32, 48), (9, 7, 7), (4, 2, 2)),
    ((16, 32, 64), (9, 7, 8), (4, 2, 4)),
    ((16, 32, 32, 32), (9, 5, 5, 5), (4, 2, 2, 2)),
)
EPOCHS = (10, 30)


def search(
    spectra: int = 20_000,
    seed: int = 1,
    out: Path | None = None,
    say: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Train all structures; one row each, best first."""
    lines = shipped_lines()
    seen = ("charge_transfer", "crystal_field/slater 0.6", "crystal_field/slater 0.7")
    data = simulate(lines.only(seen), spectra, seed)
    asked = simulate(lines.only(["crystal_field/slater 0.8"]), 4000, seed + 1, LABORATORY)
    x, mask = prepare(asked.window), asked.element @ PENALTY
    edge = asked.label < len(CLASSES) - 1
    recipes = [Recipe(name="s", title="", family="dense", seed=seed, hidden=h) for h in DENSE]
    recipes += [
        Recipe(name="s", title="", family="convolutional", seed=seed,
               filters=f, sizes=s, strides=t)
        for f, s, t in CONVOLUTIONAL
    ]  # fmt: skip
    rows: list[dict[str, Any]] = []
    for recipe in recipes:
        for epochs in EPOCHS:
            start = time.perf_counter()
            trained = fit(msgspec.structs.replace(recipe, epochs=epochs), data)
            label = (trained.logits(x) + mask).argmax(axis=1)
            right = label == asked.label
            rows.append(
                {
                    "family": recipe.family,
                    "structure": "-".join(map(str, recipe.hidden))
                    if recipe.family == "dense"
                    else " ".join(
                        f"{f}x{s}/{t}"
                        for f, s, t in zip(
                            recipe.filters, recipe.sizes, recipe.strides, strict=True
                        )
                    ),
                    "epochs": epochs,
                    "parameters": trained.parameters,
                    "accuracy": round(float(right[edge].mean()), 4),
                    "seconds": round(time.perf_counter() - start, 1),
                }
            )
            say(" ".join(map(str, rows[-1].values())))
    rows.sort(key=lambda row: -row["accuracy"])
    if out is not None:
        out.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return rows
