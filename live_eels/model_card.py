"""The card of a trained model: what it answers, what it must be given, how it came to be.

Lives here: the typed card that lies beside each model as TOML, and reading it. Running the model
is `classify`'s; writing cards is done in `live_eels.models`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0)]


class ModelError(ValueError):
    """A model that cannot be used: broken, not the card's, or not for this energy axis."""


class Element(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the L3 edge of an element is looked for: ``l3_ev`` +- ``within_ev``."""

    symbol: str
    l3_ev: Positive
    within_ev: Positive


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model sees of a spectrum.

    ``points`` means over ``width_ev`` each (or one channel, where that is wider),
    ``dispersion_ev`` apart, the first ``low_ev`` from the L3 edge.
    """

    low_ev: float
    dispersion_ev: Positive
    width_ev: Positive
    points: Annotated[int, msgspec.Meta(ge=16, le=4096)]

    @property
    def high_ev(self) -> float:
        """Last point relative to the L3 edge, eV."""
        return self.low_ev + (self.points - 1) * self.dispersion_ev


class Class(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One answer of the model; ``element`` and ``valence`` are absent for "none"."""

    name: str
    element: str | None = None
    valence: float | None = None


class Rejection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A spectrum gets no label below ``probability`` or above ``score``."""

    probability: Annotated[float, msgspec.Meta(ge=0, le=1)]
    score: float
    false_rejection: Annotated[float, msgspec.Meta(ge=0, le=1)]


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the model came to be: enough to make it again."""

    recipe: str
    recipe_sha256: str
    data_sha256: str
    seed: int
    spectra: int
    made_with: str


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything one must know of a model; lies beside it as TOML.

    ``figures`` holds what ``live-eels evaluate`` measured, ``limits`` what the model must not
    be trusted with, ``means`` the mean training spectrum of each class on the points of
    ``window``, level, slope and scale removed (older cards have none). ``scan`` says whether it
    sees the mean spectrum of the scan beside each spectrum.
    """

    format: Literal[1]
    name: str
    title: str
    family: str
    file: str
    sha256: str
    opset: int
    parameters: int
    classes: tuple[Class, ...]
    elements: tuple[Element, ...]
    window: Window
    rejection: Rejection
    training: Training
    limits: tuple[str, ...] = ()
    figures: dict[str, Any] = {}
    means: dict[str, tuple[float, ...]] = {}
    scan: bool = False

    def __post_init__(self) -> None:
        """Means must be of this card's classes and window."""
        for name, values in self.means.items():
            if name not in self.names or len(values) != self.window.points:
                raise ValueError(f"means of {name!r} are not on the {self.window.points} points")

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in the model's order."""
        return tuple(c.name for c in self.classes)

    @property
    def preparation(self) -> str:
        """What was done to the spectra the model was trained on, as one line.

        The trained graph carries the same line: a card that says otherwise is refused.
        """
        w = self.window
        searched = " ".join(f"{e.symbol}:{e.l3_ev:g}+-{e.within_ev:g}" for e in self.elements)
        return (
            f"edge-window-1 {searched} from {w.low_ev:g} by {w.dispersion_ev:g} "
            f"over {w.width_ev:g} eV, {w.points} points{', beside the mean' if self.scan else ''}"
        )


def read_card(path: Path) -> Card:
    """Read a card, a TOML file.

    Raises
    ------
    ModelError
        If it cannot be read or a field is wrong; the message names the field.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Card)
    except (OSError, msgspec.MsgspecError) as error:
        raise ModelError(f"{path}: not a model card: {error}") from error
