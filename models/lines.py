"""Computed line shapes as training wants them: one energy grid, L3 and L2 apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from live_eels.simulators import ligand_field, lineshapes
from numpy.typing import NDArray

F8 = NDArray[np.floating[Any]]

CLASSES: tuple[str, ...] = ("Mn2+", "Mn3+", "Mn4+", "Fe2+", "Fe3+", "none")
ELEMENT: tuple[str | None, ...] = ("Mn", "Mn", "Mn", "Fe", "Fe", None)
VALENCE: tuple[float | None, ...] = (2.0, 3.0, 4.0, 2.0, 3.0, None)
L3_EV = {"Mn": 640.0, "Fe": 708.0}

STEP_EV = 0.1
FIRST_EV = -42.4
POINTS = 1024
GRID_EV: F8 = FIRST_EV + STEP_EV * np.arange(POINTS)
"""Energies relative to the nominal L3 edge of the element, eV."""


@dataclass(frozen=True, slots=True, eq=False)
class LineSet:
    """Computed line shapes on `GRID_EV`; area of L3 and L2 together is 1.

    Attributes
    ----------
    ion
        Index into `CLASSES`, int64 ``(shape,)``.
    family
        Where the shape comes from: ``crystal_field/slater 0.7``, ``ligand_field/ionic`` ...
    l3, l2
        float64 ``(shape, point)``.
    half_ev
        Lorentzian half width that is in the shape already, float64 ``(shape,)``.
    """

    ion: NDArray[np.int64]
    family: NDArray[np.str_]
    l3: F8
    l2: F8
    half_ev: F8

    def only(self, families: Sequence[str]) -> LineSet:
        """The shapes of some families; a name stands for all that begin with it."""
        return self._rows(self._of(families))

    def without(self, families: Sequence[str]) -> LineSet:
        """All other shapes."""
        return self._rows(~self._of(families))

    def _of(self, families: Sequence[str]) -> NDArray[np.bool_]:
        return np.array([f.startswith(tuple(families)) for f in self.family.tolist()])

    def _rows(self, keep: NDArray[np.bool_]) -> LineSet:
        return LineSet(
            self.ion[keep], self.family[keep], self.l3[keep], self.l2[keep], self.half_ev[keep]
        )


@cache
def shipped_lines() -> LineSet:
    """All line shapes of the Mn and Fe ions that come with the simulators."""
    field, bound = lineshapes.load(), ligand_field.load()
    rows = np.flatnonzero(np.isin(field.ions, CLASSES))
    detail = [
        "ligand_field/quanty" if np.isnan(s) else f"crystal_field/slater {s:.1f}"
        for s in field.slater[rows].tolist()
    ]
    middle = {i: np.median(bound.delta_ev[bound.ion == i]) for i in set(bound.ion.tolist())}
    for ion, delta_ev in zip(bound.ion.tolist(), bound.delta_ev, strict=True):
        detail.append(f"ligand_field/{'covalent' if delta_ev < middle[ion] else 'ionic'}")
    ions = [*field.ions[rows].tolist(), *bound.ion.tolist()]
    start = np.concatenate([field.start_ev[rows], bound.start_ev])
    split = np.concatenate([field.split_ev[rows], bound.split_ev])
    strength = [*field.strength[rows], *bound.sticks]
    l3, l2 = [], []
    for ion, first, valley, row in zip(ions, start, split, strength, strict=True):
        at = first + field.step_ev * np.arange(len(row))
        relative, values = at - L3_EV[ion[:2]], row / row.sum(dtype=np.float64)
        l3.append(_on_grid(relative, np.where(at > valley, 0.0, values)))
        l2.append(_on_grid(relative, np.where(at > valley, values, 0.0)))
    had = np.zeros(len(ions))
    had[: len(rows)] = field.intrinsic_fwhm_ev[rows] / 2
    return LineSet(
        np.array([CLASSES.index(ion) for ion in ions]), np.array(detail),
        np.array(l3), np.array(l2), had,
    )  # fmt: skip


def _on_grid(at_ev: F8, strength: F8) -> F8:
    """Put sticks on `GRID_EV`, each shared between its two neighbours; 1/eV."""
    place = (at_ev - FIRST_EV) / STEP_EV
    i = np.floor(place).astype(np.int64)
    part = place - i
    inside = (i >= 0) & (i < POINTS - 1)
    out = np.zeros(POINTS)
    np.add.at(out, i[inside], (strength * (1 - part))[inside] / STEP_EV)
    np.add.at(out, i[inside] + 1, (strength * part)[inside] / STEP_EV)
    return out
