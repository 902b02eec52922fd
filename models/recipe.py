"""How to make a model: one TOML file fixes structure, seed and simulation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from live_eels.models.domain import Domain

from live_eels.model_card import ModelError

RECIPES = Path(__file__).parent / "recipes"
Family = Literal["dense", "convolutional", "linear-svm", "cosine-svm", "rbf-svm"]


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to make a model.

    Attributes
    ----------
    hidden
        Width of each dense layer.
    filters, sizes, strides
        Of each convolution.
    cost
        Of a support vector machine.
    components
        Principal components that a dense network or the RBF machine sees (0: the whole window).
        Few of them leave out noise and what only one family of line shapes has.
    spectra, epochs, seed
        Size of the training set, passes over it (networks), seed of everything.
    mixture_weight, valence_weight
        How much more mixtures count than pure states, and errors of the mean valence beside those
        of fractions, where a network learns fractions.
    held_out
        Families of line shapes that the calibrating twin does not see.
    false_rejection
        Share of good spectra that may be rejected.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]+$")]
    title: str
    family: Family
    seed: int = 1
    spectra: Annotated[int, msgspec.Meta(ge=100, le=10_000_000)] = 60_000
    epochs: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 12
    hidden: tuple[int, ...] = (128, 64)
    filters: tuple[int, ...] = (16, 32, 32)
    sizes: tuple[int, ...] = (7, 5, 5)
    strides: tuple[int, ...] = (2, 2, 2)
    cost: float = 10.0
    components: int = 32
    mixture_weight: float = 3.0
    valence_weight: float = 2.0
    held_out: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = (
        "crystal_field/slater 0.8",
        "ligand_field/covalent",
    )
    false_rejection: Annotated[float, msgspec.Meta(gt=0, le=0.2)] = 0.01
    domain: Domain = msgspec.field(default_factory=Domain)

    @property
    def scan(self) -> bool:
        """Whether the model sees the mean spectrum of the scan: it learns from scans then."""
        return self.domain.pixels > 1


def read_recipe(path: Path | str) -> tuple[Recipe, bytes]:
    """Read a recipe by its path or the name of a shipped one; with the bytes it was read from."""
    named = RECIPES / f"{path}.toml"
    try:
        content = (named if named.exists() else Path(path)).read_bytes()
        return msgspec.toml.decode(content, type=Recipe), content
    except (OSError, msgspec.MsgspecError) as error:
        raise ModelError(f"{path}: not a recipe: {error}") from error
