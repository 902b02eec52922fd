"""L2,3 white lines of Mn, Fe and Ti ions: the shipped multiplets, and what broadens them.

Lives here: reading ``lineshapes.npz`` and turning its sticks into the line shape a solid shows.
``multiplets.py`` made the file; no cross sections, no continuum, no instrument here.

Two families:

``crystal_field``
    Atomic multiplets in a crystal field (edrixs), as sticks: see ``multiplets.py``.
``charge_transfer``
    Ligand-field multiplets with one charge-transfer configuration, one shape per ion, calculated
    with Quanty through the ``crispy`` package; they carry a Lorentzian of
    ``intrinsic_fwhm_ev`` already.

Theory gives lines that are too sharp: real solids add lifetimes (longer at L3; the L2 hole also
decays into L3, Coster-Kronig), phonons and many slightly different sites, and covalency, which
smears the upper part of each line. ``Broadening`` holds these openly as numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

DATA = Path(__file__).parent / "lineshapes.npz"
CT_INTRINSIC_FWHM_EV = 0.25
FWHM_OF_SIGMA = 2.3548200450309493


class PhysicsError(ValueError):
    """An ion, element or parameter that the shipped tables do not have."""


@dataclass(frozen=True, slots=True, eq=False)
class LineShapes:
    """All shipped shapes; one row per ion and crystal field.

    Attributes
    ----------
    ions, family
        str ``(shape,)``: ``"Mn2+"``; ``"crystal_field"`` or ``"charge_transfer"``.
    ten_dq_ev, tetragonal_ev, slater
        float32 ``(shape,)``; nan for charge transfer. ``ten_dq_ev`` < 0: tetrahedral site.
    start_ev, split_ev
        float32 ``(shape,)``: energy of the first point; the valley between L3 and L2.
    strength
        float32 ``(shape, point)``, each row with sum 1.
    intrinsic_fwhm_ev
        Lorentzian width already in the row, float32 ``(shape,)``.
    """

    ions: NDArray[np.str_]
    family: NDArray[np.str_]
    ten_dq_ev: NDArray[np.float32]
    tetragonal_ev: NDArray[np.float32]
    slater: NDArray[np.float32]
    start_ev: NDArray[np.float32]
    split_ev: NDArray[np.float32]
    strength: NDArray[np.float32]
    intrinsic_fwhm_ev: NDArray[np.float32]
    step_ev: float
    checksum: str

    def energies_ev(self, row: int) -> NDArray[np.float64]:
        """Energies of the points of a row, float64 ``(point,)``, eV."""
        points = self.strength.shape[1]
        return np.asarray(float(self.start_ev[row]) + self.step_ev * np.arange(points))

    def rows(self, ion: str, family: str | None = None) -> NDArray[np.intp]:
        """Row numbers of one ion (and one family).

        Raises
        ------
        PhysicsError
            If there is none.
        """
        wanted = self.ions == ion
        if family is not None:
            wanted &= self.family == family
        found = np.flatnonzero(wanted)
        if not found.size:
            known = ", ".join(dict.fromkeys(self.ions.tolist()))
            raise PhysicsError(
                f"no line shape for {ion!r} ({family or 'any family'}); have {known}"
            )
        return found

    def nearest(
        self, ion: str, ten_dq_ev: float, tetragonal_ev: float = 0.0, slater: float = 0.7
    ) -> int:
        """Row of the crystal-field point nearest to the given one (same kind of site)."""
        rows = self.rows(ion, "crystal_field")
        rows = rows[(self.ten_dq_ev[rows] < 0) == (ten_dq_ev < 0)]
        if not rows.size:
            raise PhysicsError(f"no line shape for {ion!r} on such a site (10Dq {ten_dq_ev:g} eV)")
        distance = (
            np.abs(self.ten_dq_ev[rows] - ten_dq_ev)
            + np.abs(self.tetragonal_ev[rows] - tetragonal_ev)
            + np.abs(self.slater[rows] - slater)
        )
        return int(rows[np.argmin(distance)])


@cache
def load() -> LineShapes:
    """The shipped line shapes (read once)."""
    with np.load(DATA, allow_pickle=False) as file:
        sticks = file["sticks"].astype(np.float64)
        field = sticks / sticks.sum(axis=1, keepdims=True)
        transfer = file["ct_intensity"].astype(np.float64)
        transfer = transfer / transfer.sum(axis=1, keepdims=True)
        few = len(transfer)
        split = {ion: file["split_ev"][file["ion"] == ion].mean() for ion in file["ct_ion"]}
        unknown = np.full(few, np.nan, np.float32)
        return LineShapes(
            ions=np.concatenate([file["ion"], file["ct_ion"]]),
            family=np.array(["crystal_field"] * len(field) + ["charge_transfer"] * few),
            ten_dq_ev=np.concatenate([file["ten_dq_ev"], unknown]),
            tetragonal_ev=np.concatenate([file["tetragonal_ev"], unknown]),
            slater=np.concatenate([file["slater"], unknown]),
            start_ev=np.concatenate([file["start_ev"], file["ct_start_ev"]]),
            split_ev=np.concatenate(
                [file["split_ev"], np.array([split[i] for i in file["ct_ion"]], np.float32)]
            ),
            strength=np.concatenate([field, transfer]).astype(np.float32),
            intrinsic_fwhm_ev=np.concatenate(
                [np.zeros(len(field)), np.full(few, CT_INTRINSIC_FWHM_EV)]
            ).astype(np.float32),
            step_ev=float(file["step_ev"]),
            checksum=str(file["checksum"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadening:
    """What a solid does to the sticks; each field a number, or one per spectrum ``(n,)``.

    Attributes
    ----------
    l3_fwhm_ev, l2_fwhm_ev
        Lorentzian lifetime widths; L2 is wider by its Coster-Kronig decay.
    solid_fwhm_ev
        Gaussian of phonons and of unlike sites, on both lines.
    l2_solid_fwhm_ev
        More of it at L2 only: measured L2 lines are smoother than any multiplet sum (mixed
        final states), most so for Mn3+. Phenomenological.
    tail_weight, tail_ev
        Part of the strength that is smeared to higher energy by an exponential of this decay
        length: the covalency (charge-transfer satellites) that crystal-field theory lacks.
        Phenomenological.
    l2_strength, l2_shift_ev
        Factor on the area of L2, and its shift against L3: measured L3/L2 ratios differ from
        theory's, and the Hartree-Fock spin-orbit splitting is a little small. Phenomenological.
    shift_ev
        Chemical shift added to all energies.
    """

    l3_fwhm_ev: ArrayLike = 0.42
    l2_fwhm_ev: ArrayLike = 1.0
    solid_fwhm_ev: ArrayLike = 0.3
    l2_solid_fwhm_ev: ArrayLike = 0.0
    tail_weight: ArrayLike = 0.0
    tail_ev: ArrayLike = 2.0
    l2_strength: ArrayLike = 1.0
    l2_shift_ev: ArrayLike = 0.0
    shift_ev: ArrayLike = 0.0


def white_lines(
    shapes: LineShapes,
    rows: NDArray[np.intp],
    broadening: Broadening,
    start_ev: float,
    step_ev: float,
    size: int,
) -> NDArray[np.float64]:
    """White lines of the given rows on an energy grid.

    Returns
    -------
    float64 ``(len(rows), size)``, 1/eV: the L3 and L2 areas of a row add up to 1 (where
    ``l2_strength`` is 1). Lines outside the grid are lost; tails beyond it are cut, not folded.
    """
    spectrum = white_line_transform(shapes, rows, broadening, start_ev, step_ev, 2 * size)
    return np.fft.irfft(spectrum, 2 * size, axis=1)[:, :size] / step_ev


def white_line_transform(
    shapes: LineShapes,
    rows: NDArray[np.intp],
    broadening: Broadening,
    start_ev: float,
    step_ev: float,
    size: int,
    bins: int | None = None,
) -> NDArray[np.complex128]:
    """The real FFT of ``white_lines`` times ``step_ev`` on ``size`` points, first ``bins`` bins.

    The transform is taken of the sticks themselves, so shifts and widths are exact at any step.
    """
    rows = np.asarray(rows, np.intp)
    bins = size // 2 + 1 if bins is None else bins
    omega = 2 * np.pi * np.arange(bins) / (size * step_ev)
    upper = _l2_points(shapes, rows)
    column = [_column(value, len(rows)) for value in (
        broadening.l3_fwhm_ev, broadening.l2_fwhm_ev, broadening.solid_fwhm_ev,
        broadening.l2_solid_fwhm_ev, broadening.tail_weight, broadening.tail_ev,
        broadening.l2_strength, broadening.l2_shift_ev, broadening.shift_ev,
    )]  # fmt: skip
    l3_fwhm, l2_fwhm, solid, l2_solid, tail, decay, l2_strength, l2_shift, shift = column
    intrinsic = shapes.intrinsic_fwhm_ev[rows].astype(np.float64)[:, None]
    strength = shapes.strength[rows].astype(np.float64)
    l3 = _transform(np.where(upper, 0.0, strength), shapes.step_ev, omega)
    l2 = _transform(np.where(upper, strength, 0.0), shapes.step_ev, omega)
    l3 *= lorentzian(np.maximum(l3_fwhm - intrinsic, 0.0), omega)
    l2 *= lorentzian(np.maximum(l2_fwhm - intrinsic, 0.0), omega) * gaussian(l2_solid, omega)
    out = l3 + l2_strength * l2 * np.exp(-1j * omega * l2_shift)
    out *= gaussian(solid, omega) * (1 - tail + tail / (1 + 1j * omega * decay))
    first = shapes.start_ev[rows].astype(np.float64)[:, None] + shift - start_ev
    return np.asarray(out * np.exp(-1j * omega * first))


def lorentzian(fwhm_ev: ArrayLike, omega: NDArray[Any]) -> NDArray[np.float64]:
    """Fourier transform of a Lorentzian of unit area."""
    return np.asarray(np.exp(-0.5 * np.asarray(fwhm_ev) * np.abs(omega)))


def gaussian(fwhm_ev: ArrayLike, omega: NDArray[Any]) -> NDArray[np.float64]:
    """Fourier transform of a Gaussian of unit area."""
    return np.asarray(np.exp(-0.5 * (np.asarray(fwhm_ev) / FWHM_OF_SIGMA * omega) ** 2))


def _column(value: ArrayLike, rows: int) -> NDArray[np.float64]:
    return np.broadcast_to(np.asarray(value, np.float64), (rows,))[:, None]


def _l2_points(shapes: LineShapes, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    energies = shapes.start_ev[rows, None] + shapes.step_ev * np.arange(shapes.strength.shape[1])
    return np.asarray(energies > shapes.split_ev[rows, None])


def _transform(
    strength: NDArray[np.float64], step_ev: float, omega: NDArray[Any]
) -> NDArray[np.complex128]:
    """Continuous Fourier transform of sticks at the frequencies ``omega`` (evenly spaced from 0).

    Done by an FFT padded to a fine frequency grid and linear interpolation between its bins
    would ripple; a matrix product over the few hundred sticks is exact and fast enough.
    """
    used = np.flatnonzero(strength.any(axis=0))
    phase = np.exp(-1j * step_ev * used[:, None] * omega[None, :])
    return np.asarray(strength[:, used] @ phase)
