"""What materials do to the beam: typed, from TOML.

Lives here: the settings of a material, and the table that ships. The physics is in `edges` and
`spectrometer`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from live_eels.simulators.settings import Fraction, NotNegative, Positive, Settings

MATERIALS = Path(__file__).parent / "materials.toml"


class Site(Settings, frozen=True, kw_only=True):
    """One kind of 3d ion in a material.

    Attributes
    ----------
    part
        Share of the material's atoms of that element.
    charge_transfer
        How much of the line shape is taken from the charge-transfer family (0 to 1).
    """

    ion: str
    part: Fraction = 1.0
    ten_dq_ev: float = 1.0
    tetragonal_ev: float = 0.0
    slater: float = 0.7
    charge_transfer: Fraction = 0.0
    shift_ev: float = 0.0
    l3_fwhm_ev: NotNegative = 0.42
    l2_fwhm_ev: NotNegative = 1.2
    solid_fwhm_ev: NotNegative = 0.7
    l2_solid_fwhm_ev: NotNegative = 0.8
    tail_weight: Fraction = 0.2
    tail_ev: Positive = 2.5
    l2_strength: NotNegative = 1.0
    l2_shift_ev: float = 0.0


class Peak(Settings, frozen=True, kw_only=True):
    """Near-edge structure: a Gaussian on an edge.

    ``area_ev`` is in units of the edge's own height 10 eV above its onset.
    """

    edge: str
    energy_ev: Positive
    fwhm_ev: Positive
    area_ev: float


class Valence(Settings, frozen=True, kw_only=True):
    """One Drude oscillator of the low loss."""

    energy_ev: Positive
    width_ev: Positive
    weight: Positive = 1.0


class Material(Settings, frozen=True, kw_only=True):
    """What a material does to the beam.

    Attributes
    ----------
    atoms_per_nm3
        Element to number density.
    onset_ev
        Edge name to its onset in this material, where it is not the tabulated one.
    mean_loss_ev
        Mean energy loss in Malis' formula for the mean free path.
    background_per_ev, background_exponent
        What lower edges and multiple losses leave under the edges, per incident electron and
        mean free path: ``background_per_ev * (E / 500 eV) ** -background_exponent``.
    phase
        The segment of the true segmentation it belongs to; the material's name if empty.
    """

    atoms_per_nm3: dict[str, Positive]
    sites: tuple[Site, ...] = ()
    peaks: tuple[Peak, ...] = ()
    onset_ev: dict[str, float] = msgspec.field(default_factory=dict)
    valence: tuple[Valence, ...] = (Valence(energy_ev=22.0, width_ev=14.0),)
    gap_ev: NotNegative = 0.0
    mean_loss_ev: Positive = 15.0
    background_per_ev: NotNegative = 1.2e-5
    background_exponent: Positive = 3.0
    phase: str = ""


def shipped_materials() -> dict[str, object]:
    """The material table as it stands in ``materials.toml``."""
    table: dict[str, object] = msgspec.toml.decode(MATERIALS.read_bytes())
    return table
