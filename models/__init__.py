"""Trained models, each with its card, and the training that made them.

Importing this costs nothing but the standard library: PyTorch, scikit-learn's trainers and the
simulation are imported by the submodules that need them.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
DEFAULT = "mn-fe-dense"
"""What the live engine and `evaluate` take where the user names no model."""


def shipped() -> dict[str, Path]:
    """Name and card of each model that comes with the package, the default first."""
    cards = {card.stem: card for card in sorted(FOLDER.glob("*.toml"))}
    first = {DEFAULT: cards[DEFAULT]} if DEFAULT in cards else {}
    return first | cards
