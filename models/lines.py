"""Computed line shapes as training wants them: one energy grid, L3 and L2 apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from live_eels.simulators import lineshapes
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
        Where the shape comes from: ``crystal_field/slater 0.7``, ``charge_transfer`` ...
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
        keep = np.array([f.startswith(tuple(families)) for f in self.family.tolist()])
        return LineSet(
            self.ion[keep], self.family[keep], self.l3[keep], self.l2[keep], self.half_ev[keep]
        )


def shipped_lines() -> LineSet:
    """All line shapes of the Mn and Fe ions that come with the simulators."""
    shapes = lineshapes.load()
    rows = [i for i, ion in enumerate(shapes.ions.tolist()) if ion in CLASSES]
    energies = shapes.step_ev * np.arange(shapes.strength.shape[1])
    l3, l2, family = [], [], []
    for i in rows:
        at = float(shapes.start_ev[i]) + energies
        strength = shapes.strength[i].astype(np.float64)
        upper = at > float(shapes.split_ev[i])
        relative = at - L3_EV[str(shapes.ions[i])[:2]]
        l3.append(_on_grid(relative, np.where(upper, 0.0, strength)))
        l2.append(_on_grid(relative, np.where(upper, strength, 0.0)))
        detail = "" if np.isnan(shapes.slater[i]) else f"/slater {shapes.slater[i]:.1f}"
        family.append(f"{shapes.family[i]}{detail}")
    return LineSet(
        np.array([CLASSES.index(str(shapes.ions[i])) for i in rows]),
        np.array(family),
        np.array(l3),
        np.array(l2),
        shapes.intrinsic_fwhm_ev[rows].astype(np.float64) / 2,
    )


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
