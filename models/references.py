"""A laboratory's own standards: fine-tune a dense network on them, and say whether it helped."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from live_eels.models import train as training
from live_eels.models.dataset import Dataset, preparation, simulate
from live_eels.models.graph import prepare
from live_eels.models.lines import CLASSES, shipped_lines
from live_eels.models.spectra_files import Labelled, read_folder
from numpy.typing import NDArray

from live_eels.model_card import ModelError, read_card

COPIES = 150
"""Noisy, slightly moved copies of each standard."""
BASE_SPECTRA = 20_000
FOLDS = 5


def train_with_references(
    recipe: Path | str, references: Path, out: Path, say: Callable[[str], None] = print
) -> Path:
    """Train on simulation, fine-tune on measured standards, cross-validate; write the better one.

    The folds leave whole spectra out. The card's figures hold both accuracies and what was kept.

    Raises
    ------
    ModelError
        If the recipe is not a network's, or fewer than four standards have a known label.
    """
    wanted, content = training.read_recipe(recipe)
    if wanted.family not in ("dense", "convolutional"):
        raise ModelError(f"{wanted.name}: only networks take references")
    wanted = msgspec.structs.replace(
        wanted, name=f"{wanted.name}-own", spectra=BASE_SPECTRA, epochs=min(wanted.epochs, 10)
    )
    spectra = [s for s in read_folder(references) if s.label in CLASSES]
    if len(spectra) < 4:
        raise ModelError(f"{references}: needs four spectra or more labelled with {CLASSES}")
    data = simulate(shipped_lines(), wanted.spectra, wanted.seed, wanted.domain)
    base = training.fit(wanted, data)
    heat, rule = training.calibrate(wanted, base)
    rng = np.random.default_rng(wanted.seed)
    fold = rng.permutation(len(spectra)) % min(FOLDS, len(spectra))
    before = after = 0
    for k in range(int(fold.max()) + 1):
        kept = [s for s, f in zip(spectra, fold, strict=True) if f != k]
        asked = [s for s, f in zip(spectra, fold, strict=True) if f == k]
        tuned = _tuned(base.network, kept, data, wanted.seed)
        before += _right(base, asked)
        after += _right(tuned, asked)
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
    card = training.save(wanted, content, final, data, (heat, rule, {}), out)
    read = read_card(card)
    return training.write_card(msgspec.structs.replace(read, figures={"references": figures}), card)


def _windows(spectra: Sequence[Labelled]) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    prepare_ = preparation()
    parts = [prepare_.windows(_scaled(s)[None], s.axis)[:2] for s in spectra]
    label = np.array([CLASSES.index(s.label) for s in spectra])
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), label


def _scaled(spectrum: Labelled) -> NDArray[Any]:
    return spectrum.intensity / max(float(np.abs(spectrum.intensity).max()), 1e-300)


def _right(model: training.Trained, spectra: Sequence[Labelled]) -> int:
    window, element, label = _windows(spectra)
    logits = model.logits(prepare(window)) + element @ training.PENALTY
    return int((logits.argmax(axis=1) == label).sum())


def _tuned(network: Any, spectra: Sequence[Labelled], data: Dataset, seed: int) -> training.Trained:
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
        np.concatenate([element[rows], old.element]) @ training.PENALTY,
        epochs=3, seed=seed, rate=5e-4,
    )  # fmt: skip
    return training.trained_network(tuned)
