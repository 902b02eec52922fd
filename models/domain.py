"""The ranges from which training spectra draw: wider than any laboratory's."""

from __future__ import annotations

import msgspec

Range = tuple[float, float]

RATIO = {"Mn2+": 4.2, "Mn3+": 2.5, "Mn4+": 2.0, "Fe2+": 3.7, "Fe3+": 4.2}
"""Typical area of L3 over area of L2 in measured spectra."""

HOLES = {"Mn2+": 5.0, "Mn3+": 6.0, "Mn4+": 7.0, "Fe2+": 4.0, "Fe3+": 5.0}
"""Empty 3d states of an atom, to which the area of its white lines is proportional (Pearson, Ahn
and Fultz 1993): what turns parts of a spectrum into fractions of atoms."""


class Domain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ranges from which each spectrum draws; log-uniform where a range says so.

    Attributes
    ----------
    stretch
        Factor on the distances inside L3 and inside L2 (another crystal field, other Slater
        integrals).
    l3_width_ev, l2_width_ev, mn4_l2_width_ev
        Lorentzian half width of the lines; L2 decays faster, in Mn4+ more than tabulated.
    tail
        Part of each line that covalency smears to higher energies, over 0.5 to 3 eV.
    ratio
        Area of L3 over L2 for each class: what instruments measure, which computed ratios miss
        by up to a third; log-normal with standard deviation ``ratio_spread``.
    tilt_per_ev
        Standard deviation of a slope of the intensity along each line: covalency moves weight.
    solid_width_ev
        Gaussian full width from the solid, before the instrument.
    resolution_ev
        Instrument's Gaussian full width.
    satellite
        Strength of a broad charge-transfer satellite, 3 to 9 eV above each line.
    step
        Height of the continuum behind L3 over the height of L3 before broadening.
    thickness
        t/lambda; not 0 with chance ``scattered``.
    saturation
        Self-absorption or detector saturation: y / (1 + a y).
    warp
        Standard deviation of a smooth random factor along the spectrum.
    smooth_l2
        Chance that a random part of L2 is one smooth hump, as solids show it: multiplets smear L2
        towards the valley, most so in Mn3+.
    split_ev
        Error of the distance between L3 and L2.
    background
        Level under the edge over the height of L3 (log-uniform), where it is not removed.
    removed
        Chance that the background has been removed, with the noise left behind.
    dispersion_ev
        Of the energy axis (log-uniform), or, with chance ``usual_axes``, one that is in use.
    shift_ev
        Error of the energy axis.
    dose
        Counts per 0.1 eV at the top of L3 (log-uniform).
    noiseless
        Chance of no noise at all.
    mixed
        Chance that a spectrum is a mixture of two or three states of one element.
    per_atom
        Fractions are of atoms, as white lines of known `HOLES` are; else of spectra of like height.
    none
        Chance that it is no Mn or Fe edge at all.
    measurements
        How often each specimen is measured: on another axis, with another dose.
    pixels
        Of a scan, which share specimen, instrument, axis and dose; 1: each spectrum is alone.
    alone
        Chance that a pixel of a scan is shown without the scan's mean, as where a scan begins.
    jitter_ev
        Of the energy axis between the pixels of a scan, in every other scan (up to this).
    """

    stretch: Range = (0.92, 1.12)
    l3_width_ev: Range = (0.1, 0.4)
    l2_width_ev: Range = (0.4, 1.2)
    mn4_l2_width_ev: Range = (0.5, 1.6)
    tail: Range = (0.0, 0.35)
    ratio: dict[str, float] = msgspec.field(default_factory=RATIO.copy)
    ratio_spread: float = 0.16
    tilt_per_ev: float = 0.04
    solid_width_ev: Range = (0.1, 0.8)
    resolution_ev: Range = (0.3, 1.5)
    satellite: Range = (0.0, 0.2)
    step: Range = (0.0, 0.25)
    thickness: Range = (0.0, 1.5)
    scattered: float = 0.6
    saturation: Range = (0.0, 0.4)
    warp: Range = (0.0, 0.05)
    split_ev: Range = (-0.2, 0.9)
    smooth_l2: float = 0.6
    background: Range = (0.03, 6.0)
    removed: float = 0.5
    dispersion_ev: Range = (0.05, 1.0)
    usual_axes: float = 0.4
    shift_ev: Range = (-10.0, 10.0)
    dose: Range = (4.0, 2000.0)
    noiseless: float = 0.15
    mixed: float = 0.45
    per_atom: bool = True
    none: float = 0.18
    measurements: int = 3
    pixels: int = 1
    alone: float = 0.2
    jitter_ev: float = 0.3
