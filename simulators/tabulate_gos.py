"""Inner-shell cross sections from generalised oscillator strengths: makes ``cross_sections.npz``.

Lives here: the calculation with eXSpy (extra ``physics``). Using the result needs only numpy
(``cross_sections.py``). One command regenerates what ships::

    python -m live_eels.simulators.tabulate_gos

The oscillator strengths are eXSpy's hydrogenic ones (Egerton's SIGMAK and SIGMAL), which need
no download; they exist for K and L shells only. The L entries hold the whole L shell.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUBSHELLS = (
    "B_K", "C_K", "N_K", "O_K", "F_K", "Al_K", "Si_K", "Ca_L3", "Ti_L3", "V_L3", "Cr_L3",
    "Mn_L3", "Fe_L3", "Co_L3", "Ni_L3", "Cu_L3",
)  # fmt: skip
BEAM_KEV = (30.0, 60.0, 80.0, 100.0, 200.0, 300.0)
ANGLE_MRAD = (5.0, 10.0, 20.0, 40.0, 80.0)
RELATIVE_EV = np.concatenate(
    [np.arange(0.0, 20.0, 2.0), 20.0 * np.exp(np.linspace(0.0, np.log(42.0), 46))]
)
"""Energies above the onset, 0 to 840 eV (the hydrogenic tables end at 895)."""

HERE = Path(__file__).parent


def tabulate(subshell: str) -> tuple[float, NDArray[np.float64]]:
    """Onset (eV) and cross section (beam, angle, energy), barn per eV and atom."""
    from exspy.components import EELSCLEdge

    edge = EELSCLEdge(subshell, GOS="hydrogenic")
    onset = float(edge.GOS.onset_energy)
    out = np.zeros((len(BEAM_KEV), len(ANGLE_MRAD), RELATIVE_EV.size))
    for i, beam in enumerate(BEAM_KEV):
        for j, angle in enumerate(ANGLE_MRAD):
            section = edge.GOS.integrateq(onset, angle * 1e-3, beam)
            out[i, j] = section(onset + RELATIVE_EV)
    return onset, out


def checksum(sections: NDArray[np.float32]) -> str:
    """SHA-256 of the table, cut to four digits so that it does not depend on the machine."""
    digits = np.array([f"{value:.3e}" for value in sections.ravel()])
    return hashlib.sha256("".join(digits).encode()).hexdigest()


def main() -> None:
    """Regenerate the shipped cross sections."""
    parser = argparse.ArgumentParser(description="cross sections of the shipped edges")
    parser.add_argument("--out", type=Path, default=HERE / "cross_sections.npz")
    out: Path = parser.parse_args().out
    onsets, sections = zip(*(tabulate(name) for name in SUBSHELLS), strict=True)
    table = np.array(sections, np.float32)
    arrays: dict[str, NDArray[Any]] = {
        "subshell": np.array(SUBSHELLS),
        "onset_ev": np.array(onsets, np.float32),
        "beam_kev": np.array(BEAM_KEV, np.float32),
        "angle_mrad": np.array(ANGLE_MRAD, np.float32),
        "relative_ev": RELATIVE_EV.astype(np.float32),
        "barn_per_ev": table,
        "checksum": np.array(checksum(table)),
    }
    np.savez_compressed(out, allow_pickle=False, **arrays)
    print(checksum(table))


if __name__ == "__main__":
    main()
