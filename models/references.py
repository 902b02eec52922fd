"""A laboratory's own standards: fine-tune a dense network on them, and say whether it helped."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from live_eels.models import shipped
from live_eels.models import train as training
from live_eels.models.calibration import Trained
from live_eels.models.dataset import PENALTY, Dataset, preparation, simulate
from live_eels.models.graph import Heat, prepare
from live_eels.models.lines import CLASSES, shipped_lines
from live_eels.models.recipe import Recipe, read_recipe
from live_eels.models.spectra_files import Labelled, read_folder
from numpy.typing import NDArray

from live_eels.model_card import Card, ModelError, read_card

COPIES = 150
"""Noisy, slightly moved copies of each standard."""
REHEARSED = 8_000
"""Simulated spectra learned again beside them, so that what was known is not forgotten."""
FOLDS = 5


def train_with_references(
    recipe: Path | str, references: Path, out: Path, say: Callable[[str], None] = print
) -> Path:
    """Fine-tune the shipped network of a recipe on measured standards; write the better one.

    Cross-validated: each fold leaves whole spectra out. The card's figures hold how many of them
    are right without and with the standards, and which of the two models was kept.

    Raises
    ------
    ModelError
        If the recipe is not a shipped network's or one that sees scans, or fewer than four
        standards have a known label.
    """
    wanted, content = read_recipe(recipe)
    if wanted.family not in ("dense", "convolutional") or wanted.name not in shipped():
        raise ModelError(f"{wanted.name}: only networks that ship take references")
    if wanted.scan:
        raise ModelError(f"{wanted.name}: standards are no scan, which this network sees too")
    spectra = [s for s in read_folder(references) if s.label in CLASSES]
    if len(spectra) < 4:
        raise ModelError(f"{references}: needs four spectra or more labelled with {CLASSES}")
    base, card = _shipped(wanted)
    data = simulate(shipped_lines(), REHEARSED, wanted.seed + 4000, wanted.domain)
    rng = np.random.default_rng(wanted.seed)
    fold = rng.permutation(len(spectra)) % min(FOLDS, len(spectra))
    before = _right(base, spectra)
    after = 0
    for k in range(int(fold.max()) + 1):
        kept = [s for s, f in zip(spectra, fold, strict=True) if f != k]
        asked = [s for s, f in zip(spectra, fold, strict=True) if f == k]
        after += _right(_tuned(base.network, kept, data, wanted.seed), asked)
    figures: dict[str, Any] = {
        "references": len(spectra),
        "folds": int(fold.max()) + 1,
        "accuracy_without": round(before / len(spectra), 4),
        "accuracy_with": round(after / len(spectra), 4),
        "kept": "with" if after > before else "without",
    }
    verdict = "helped" if after > before else "did not help: the model is left without them"
    say(f"cross-validation: {before} of {len(spectra)} right without, {after} with; they {verdict}")
    final = _tuned(base.network, spectra, data, wanted.seed) if after > before else base
    own = msgspec.structs.replace(wanted, name=f"{wanted.name}-own")
    heat = Heat(**{name: tuple(v) for name, v in card.figures["calibration"].items()})
    path = training.save(own, content, final, data, (heat, card.rejection, {}), out)
    return training.write_card(
        msgspec.structs.replace(read_card(path), figures={"references": figures}), path
    )


def _shipped(recipe: Recipe) -> tuple[Trained, Card]:
    """The trained network that ships for a recipe, and its card."""
    from live_eels.models import networks

    path = shipped()[recipe.name]
    card = read_card(path)
    network = training.build(recipe)
    networks.read_network(network, (path.parent / card.file).read_bytes())
    network.eval()
    return training.trained_network(network), card


def _windows(spectra: Sequence[Labelled]) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    prepare_ = preparation()
    parts = [prepare_.windows(_scaled(s)[None], s.axis)[:2] for s in spectra]
    label = np.array([CLASSES.index(s.label) for s in spectra])
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), label


def _scaled(spectrum: Labelled) -> NDArray[Any]:
    return spectrum.intensity / max(float(np.abs(spectrum.intensity).max()), 1e-300)


def _right(model: Trained, spectra: Sequence[Labelled]) -> int:
    window, element, label = _windows(spectra)
    logits = model.logits(prepare(window)) + element @ PENALTY
    return int((logits.argmax(axis=1) == label).sum())


def _tuned(network: Any, spectra: Sequence[Labelled], data: Dataset, seed: int) -> Trained:
    """A copy of the network, trained a little more on copies of the standards and simulation."""
    from live_eels.models import networks

    rng = np.random.default_rng(seed)
    window, element, label = _windows(spectra)
    rows = np.repeat(np.arange(len(spectra)), COPIES)
    x = prepare(window)[rows]
    # White noise of up to the spectrum's own length, and up to half a point of misalignment.
    move = rng.uniform(-0.5, 0.5, (len(rows), 1))
    x = x + move * np.gradient(x, axis=1)
    x += rng.normal(size=x.shape) * rng.uniform(0, 0.07, (len(rows), 1))
    x = prepare(x)
    some = rng.choice(len(data), min(len(data), max(len(rows), 4000)), replace=False)
    old = data.take(some)
    tuned = copy.deepcopy(network)
    networks.train_network(
        tuned,
        np.concatenate([x, prepare(old.window)]),
        np.concatenate([np.eye(len(CLASSES))[label[rows]], old.fraction]),
        np.concatenate([element[rows], old.element]) @ PENALTY,
        epochs=3, seed=seed, rate=5e-4,
    )  # fmt: skip
    return training.trained_network(tuned)
