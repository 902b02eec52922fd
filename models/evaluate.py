"""``live-eels evaluate``: how good is a model, on users' spectra and on simulated ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from live_eels.models import DEFAULT, shipped
from live_eels.models.disturb import counted, scattered, shifted
from live_eels.models.spectra_files import Labelled, read_folder

from live_eels.classify import Classifier, entropy
from live_eels.model_card import ModelError, read_card

DRAWS = 20
"""Noise is drawn this often for each spectrum where counts are asked for."""


def find(model: str | None) -> Classifier:
    """Load a shipped model by name, one by path, or the default."""
    name = model or DEFAULT
    path = shipped().get(name, Path(name))
    if not path.exists():
        raise ModelError(f"no model {name!r}: not a file, and shipped are {', '.join(shipped())}")
    return Classifier.load(path)


def on_spectra(
    classifier: Classifier,
    spectra: Sequence[Labelled],
    *,
    shift_ev: float = 0.0,
    counts: float | None = None,
    thickness: float = 0.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Label spectra under a disturbance and compare with their owners' labels.

    Returns
    -------
    ``accuracy`` (a rejected spectrum counts as wrong; only labels that the model knows count),
    ``n``, ``rejected``, ``confusion`` (true, then given), ``files``.
    """
    rng = np.random.default_rng(seed)
    names = classifier.card.names
    draws = DRAWS if counts else 1
    right = total = rejected = 0
    confusion: dict[str, dict[str, int]] = {}
    files: dict[str, dict[str, Any]] = {}
    for spectrum in spectra:
        if thickness:
            spectrum = scattered(spectrum, thickness)
        if shift_ev:
            spectrum = shifted(spectrum, shift_ev)
        for draw in range(draws):
            seen = counted(spectrum, counts, rng) if counts else spectrum
            answer = _one(classifier, seen)
            if draw == 0:
                files[spectrum.file] = {"true": spectrum.label, **answer}
            if spectrum.label not in names:
                continue
            total += 1
            right += answer["label"] == spectrum.label
            rejected += answer["label"] == "rejected"
            row = confusion.setdefault(spectrum.label, {})
            row[answer["label"]] = row.get(answer["label"], 0) + 1
    return {
        "model": classifier.card.name,
        "accuracy": right / total if total else None,
        "n": total // draws,
        "draws": draws,
        "rejected": rejected / draws,
        "confusion": confusion,
        "files": files,
        "shift_ev": shift_ev,
        "counts": counts,
        "thickness": thickness,
    }


def _one(classifier: Classifier, spectrum: Labelled) -> dict[str, Any]:
    """Answer for one spectrum, ready for JSON."""
    names = classifier.card.names
    try:
        # A scale of 1e-9 or 1e9 would leave float32; the model sees shape only.
        scale = max(float(np.abs(spectrum.intensity).max()), 1e-300)
        labels = classifier.predict((spectrum.intensity / scale)[None], spectrum.axis)
    except ModelError as error:
        return {"label": "rejected", "probabilities": {}, "valence": None, "why": str(error)}
    p, index, valence = labels.probability[0], int(labels.label[0]), float(labels.valence[0])
    return {
        "label": names[index] if index >= 0 else "rejected",
        "best": names[int(p.argmax())],
        "probabilities": {name: round(float(v), 5) for name, v in zip(names, p, strict=True)},
        "valence": round(valence, 3) if np.isfinite(valence) else None,
        "entropy": round(float(entropy(labels.probability)[0]), 4),
    }


def evaluate(
    model: str | None = None,
    *,
    spectra: Path | None = None,
    json_file: Path | None = None,
    report: Path | None = None,
    shift_ev: float = 0.0,
    counts: float | None = None,
    thickness: float = 0.0,
    seed: int = 0,
    update_card: bool = False,
    quick: bool = False,
    studies: Path | None = None,
) -> dict[str, Any]:
    """Evaluate a model; what ``live-eels evaluate`` calls.

    Parameters
    ----------
    model
        Name of a shipped model or a path; the default where None.
    spectra
        Folder of labelled spectra; without it, the simulated tests are run.
    json_file, report
        Where the results go, as JSON and as Markdown with plots beside it.
    update_card
        Write the figures of the simulated tests into the model's card.
    quick
        A sixth of the simulated spectra.
    studies
        Folder in which the studies (structures of networks, training shifted) are done again,
        or go on; the report shows these instead of the shipped ones.
    """
    classifier = find(model)
    if spectra is not None:
        result = on_spectra(
            classifier, read_folder(spectra),
            shift_ev=shift_ev, counts=counts, thickness=thickness, seed=seed,
        )  # fmt: skip
    else:
        from live_eels.models.simulated_tests import simulated_tests

        result = simulated_tests(classifier, 400 if quick else 2400, seed)
        if update_card:
            _update_card(model, result)
        if studies is not None:
            _study(studies, quick)
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", "utf-8")
    if report is not None:
        from live_eels.models.report import write_report

        write_report(classifier.card, result, report, studies)
    return result


def _study(folder: Path, quick: bool) -> None:
    """Do both studies, or what is missing of them; this takes a quarter of an hour, not `quick`."""
    from live_eels.models import search, shift_study, studies

    folder.mkdir(parents=True, exist_ok=True)
    search.search(800 if quick else 8000, out=folder / studies.STRUCTURES)
    shift_study.shift_study(500 if quick else 5000, out=folder / studies.SHIFTS)


def _update_card(model: str | None, result: dict[str, Any]) -> None:
    from live_eels.models.train import write_card

    path = shipped().get(model or DEFAULT, Path(model or DEFAULT)).with_suffix(".toml")
    card = read_card(path)
    figures = {**card.figures, "simulated": result["summary"]}
    write_card(msgspec.structs.replace(card, figures=figures), path)


def in_words(result: dict[str, Any]) -> str:
    """One paragraph for the terminal."""
    if "files" in result:
        if result["accuracy"] is None:
            return f"{len(result['files'])} spectra labelled; none has a label that the model knows"
        return (
            f"{result['model']}: {result['accuracy']:.1%} of {result['n']} spectra right, "
            f"{result['rejected']:g} rejected"
        )
    rows = [f"{key.replace('_', ' ')}: {value:g}" for key, value in result["summary"].items()]
    return f"{result['model']}, simulated tests\n  " + "\n  ".join(rows)
