"""Inner-shell cross sections of the shipped table, at any beam energy and collection angle.

Lives here: reading ``cross_sections.npz`` (made by ``tabulate_gos.py``) and interpolating in it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from live_eels.simulators.lineshapes import PhysicsError
from numpy.typing import NDArray

DATA = Path(__file__).parent / "cross_sections.npz"
NM2_PER_BARN = 1e-10


@cache
def _table() -> dict[str, NDArray[Any]]:
    with np.load(DATA, allow_pickle=False) as file:
        return {key: file[key] for key in file}


def subshells() -> tuple[str, ...]:
    """Names of the edges in the table: ``("B_K", ..., "Mn_L3", ...)``."""
    return tuple(_table()["subshell"].tolist())


def onset_ev(subshell: str) -> float:
    """Tabulated onset of an edge, eV."""
    return float(_table()["onset_ev"][_row(subshell)])


def effective_angle_mrad(convergence_mrad: float, collection_mrad: float) -> tuple[float, float]:
    """Collection angle to look up, and the part of the electrons that it leaves out.

    A convergent beam wider than the aperture loses the part outside it; otherwise the two
    cones blur each other, for which the root of the squares is a fair value.
    """
    if convergence_mrad > collection_mrad:
        return collection_mrad, (collection_mrad / convergence_mrad) ** 2
    return float(np.hypot(collection_mrad, convergence_mrad / 2)), 1.0


def cross_section(
    subshell: str,
    above_ev: NDArray[np.float64],
    beam_kev: float,
    angle_mrad: float,
) -> NDArray[np.float64]:
    """Differential cross section, nm² per eV and atom, float64 as ``above_ev``.

    Parameters
    ----------
    above_ev
        Energies above the onset; below it (negative) the answer is zero, beyond the table it
        goes on as a power law.

    Raises
    ------
    PhysicsError
        If the edge is not in the table or the beam or angle is outside it.
    """
    table = _table()
    sections = table["barn_per_ev"][_row(subshell)].astype(np.float64)
    log_section = np.log(np.maximum(sections, 1e-12))
    for name, value in (("beam_kev", beam_kev), ("angle_mrad", angle_mrad)):
        known = table[name]
        if not known[0] <= value <= known[-1]:
            raise PhysicsError(
                f"{name} {value:g} is outside the tabulated {known[0]:g} to {known[-1]:g}"
            )
        position = float(np.interp(np.log(value), np.log(known), np.arange(known.size)))
        low = min(int(position), known.size - 2)
        part = position - low
        log_section = (1 - part) * log_section[low] + part * log_section[low + 1]
    relative = table["relative_ev"].astype(np.float64)
    onset = float(table["onset_ev"][_row(subshell)])
    inside = np.interp(above_ev, relative, np.exp(log_section), left=0.0)
    end, before = relative[-1], relative[-2]
    slope = (log_section[-1] - log_section[-2]) / np.log((onset + end) / (onset + before))
    beyond = above_ev > end
    inside[beyond] = np.exp(log_section[-1]) * ((onset + above_ev[beyond]) / (onset + end)) ** slope
    return np.asarray(inside * NM2_PER_BARN)


def _row(subshell: str) -> int:
    found = np.flatnonzero(_table()["subshell"] == subshell)
    if not found.size:
        raise PhysicsError(f"no cross section for {subshell!r}; have {', '.join(subshells())}")
    return int(found[0])
