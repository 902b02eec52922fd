"""Success for each network structure: dense and convolutional, short and long training.

Every structure trains on some families of line shapes and is asked about another, so the best
may be chosen here without touching measured spectra.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from live_eels.models.dataset import PENALTY, simulate
from live_eels.models.graph import prepare
from live_eels.models.lines import CLASSES, shipped_lines
from live_eels.models.recipe import Recipe
from live_eels.models.simulated_tests import LABORATORY
from live_eels.models.train import fit

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
HELD_OUT = ("crystal_field/slater 0.8", "ligand_field/covalent")
"""Families of line shapes that the structures are asked about and do not see."""


def search(
    spectra: int = 20_000,
    seed: int = 1,
    out: Path | None = None,
    say: Callable[[str], None] = print,
    keep: Path | None = None,
) -> list[dict[str, Any]]:
    """Train all structures; one row each, best first.

    Parameters
    ----------
    out
        Where the rows are kept (JSON) after each structure; what it holds already is not done
        again.
    keep
        Folder for the simulated spectra, None: drawn anew each time.
    """
    rows: list[dict[str, Any]] = []
    if out is not None and out.exists():
        rows = json.loads(out.read_text("utf-8"))
    done = {(row["structure"], row["epochs"]) for row in rows}
    lines = shipped_lines()
    asked = simulate(lines.only(HELD_OUT), 2400, seed + 1, LABORATORY, keep)
    data = simulate(lines.without(HELD_OUT), spectra, seed, keep=keep)
    x, mask = prepare(asked.window), asked.element @ PENALTY
    edge = asked.label < len(CLASSES) - 1
    for recipe, epochs in itertools.product(structures(seed), EPOCHS):
        name = described(recipe)
        if (name, epochs) in done:
            continue
        start = time.perf_counter()
        trained = fit(msgspec.structs.replace(recipe, epochs=epochs), data)
        label = (trained.logits(x) + mask).argmax(axis=1)
        rows.append(
            {
                "family": recipe.family,
                "structure": name,
                "epochs": epochs,
                "parameters": trained.parameters,
                "accuracy": round(float((label == asked.label)[edge].mean()), 4),
                "seconds": round(time.perf_counter() - start, 1),
            }
        )
        say(" ".join(map(str, rows[-1].values())))
        rows.sort(key=lambda row: -row["accuracy"])
        if out is not None:
            out.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return rows


def structures(seed: int) -> list[Recipe]:
    """A recipe for each structure."""
    dense = [Recipe(name="s", title="", family="dense", seed=seed, hidden=h) for h in DENSE]
    return dense + [
        Recipe(name="s", title="", family="convolutional", seed=seed,
               filters=f, sizes=s, strides=t)
        for f, s, t in CONVOLUTIONAL
    ]  # fmt: skip


def described(recipe: Recipe) -> str:
    """Widths of dense layers, or filters x size / stride of convolutions."""
    if recipe.family == "dense":
        return "-".join(map(str, recipe.hidden))
    layers = zip(recipe.filters, recipe.sizes, recipe.strides, strict=True)
    return " ".join(f"{f}x{s}/{t}" for f, s, t in layers)
