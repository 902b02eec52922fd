"""Studies that ship with the models, and what they say: structures, shifts, SVM against networks.

`live-eels evaluate --studies DIR` makes the two files of ``studies/`` again (`live-eels models
structures` or `shifts` one of them); every evaluation report shows them. Nothing is computed
here but the words, and these come from the numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from live_eels.models import shipped

from live_eels.model_card import Card, read_card

FOLDER = Path(__file__).parent / "studies"
STRUCTURES, SHIFTS = "structures.json", "shifts.json"
ASKED = 3400
"""Spectra with an edge in the held-out tests of the cards and of the search, about."""


def stored(path: Path) -> Any:
    """What a study found; None where it has not been done."""
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def cards() -> list[Card]:
    """All shipped cards with figures for held-out line shapes."""
    read = [read_card(path) for path in shipped().values()]
    return [card for card in read if "held_out" in card.figures]


def machines_against_networks(some: list[Card]) -> list[str]:
    """Sentences on the best support vector machine and the best network, from their cards."""
    found = {}
    for kind, mine in (("machine", True), ("network", False)):
        of = [card for card in some if card.family.endswith("-svm") == mine]
        if not of:
            return []
        found[kind] = max(of, key=lambda card: card.figures["held_out"]["accuracy"])
    machine, network = found["machine"], found["network"]
    a, b = (card.figures["held_out"]["accuracy"] for card in (machine, network))
    said = [
        f"Line shapes not seen: the best network ({network.name}) labels {b:.1%} right, the best "
        f"support vector machine ({machine.name}) {a:.1%}: {_verdict(b - a, a, b)}."
    ]
    for key, words in (
        ("accuracy_at_20_counts", "At 20 counts per 0.1 eV"),
        ("loss_at_thickness_1", "Lost through t/lambda = 1"),
        ("neither_rejected", "Spectra that are neither Mn nor Fe, refused"),
    ):
        values = [card.figures.get("simulated", {}).get(key) for card in (network, machine)]
        if None not in values:
            said.append(f"{words}: {values[0]:.1%} (network), {values[1]:.1%} (machine).")
    speeds = [
        card.figures.get("simulated", {}).get("window_spectra_per_s") for card in (network, machine)
    ]
    if None not in speeds:
        quicker, ratio = ("network", speeds[0] / speeds[1])
        if ratio < 1:
            quicker, ratio = "machine", 1 / ratio
        said.append(
            f"The {quicker} is {ratio:.1f} times as fast; {network.parameters} numbers (network) "
            f"against {machine.parameters} (machine)."
        )
    return said


def _verdict(lead: float, *rates: float) -> str:
    """Who is ahead, if by more than two standard errors of the difference."""
    error = float(np.sqrt(sum(p * (1 - p) for p in rates) / ASKED))
    if abs(lead) < 2 * error:
        return f"no difference beyond chance ({lead:+.1%} +- {error:.1%})"
    return f"the {'network' if lead > 0 else 'machine'} is ahead by {abs(lead):.1%} +- {error:.1%}"


def structures_in_words(rows: list[dict[str, Any]]) -> list[str]:
    """Sentences on the search over network structures."""
    best = {
        family: max((r for r in rows if r["family"] == family), key=lambda r: r["accuracy"])
        for family in dict.fromkeys(row["family"] for row in rows)
    }
    said = [
        f"Best {family} network: {row['structure']} after {row['epochs']} epochs, "
        f"{row['accuracy']:.1%} ({row['parameters']} numbers)."
        for family, row in best.items()
    ]
    gains = [
        longer["accuracy"] - shorter["accuracy"]
        for longer in rows
        for shorter in rows
        if longer["structure"] == shorter["structure"] and longer["epochs"] > shorter["epochs"]
    ]
    if gains:
        said.append(
            f"Training longer changes accuracy by {np.mean(gains):+.1%} on average "
            f"({min(gains):+.1%} to {max(gains):+.1%})."
        )
    return said


def shifts_in_words(curves: dict[str, dict[str, float]]) -> list[str]:
    """One sentence for each training of the shift study."""
    said = []
    for name, curve in curves.items():
        top = max(curve.values())
        kept = [int(shift) for shift, value in curve.items() if value > top - 0.05]
        said.append(
            f"{name[0].upper()}{name[1:]}: {curve['0']:.1%} unshifted, "
            f"within 5 points of its best from {min(kept):+d} to {max(kept):+d} eV."
        )
    return said
