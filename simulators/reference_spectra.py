"""Makes the L2,3 reference library that ships with the MLLS and white-line analyses.

Lives here: which material stands for which ion, and writing ``analyses/references.npz``. Run
``python -m live_eels.simulators.reference_spectra PATH`` after changing line shapes.

Each reference is one atom's single-scattering cross section (nm² per eV, 200 keV, 40 mrad) on
0.1 eV channels with ``FWHM_EV`` of Gaussian resolution: white lines and continuum together, so
that coefficients of a fit are numbers of atoms.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
from live_eels.simulators.edges import l23_transform
from live_eels.simulators.lineshapes import gaussian
from live_eels.simulators.materials import Material, shipped_materials
from live_eels.simulators.scattering import FineGrid
from numpy.typing import NDArray

from live_eels.spectra import EnergyAxis

FWHM_EV = 0.15
AXIS = EnergyAxis(430.0, 0.1, 4000)
STANDS_FOR = {
    "Ti4+": "SrTiO3",
    "Mn2+": "MnO",
    "Mn3+": "Mn2O3",
    "Mn4+": "MnO2",
    "Fe2+": "FeO",
    "Fe3+": "Fe2O3",
}


def references() -> dict[str, NDArray[np.float32]]:
    """Ion to its spectrum on ``AXIS``, nm² per eV and atom, float32 ``(channel,)``."""
    materials = msgspec.convert(shipped_materials(), dict[str, Material])
    grid = FineGrid.around(AXIS, 40.0, 80.0)
    bins = grid.size // 2 + 1
    found = {}
    for ion, name in STANDS_FOR.items():
        site = next(site for site in materials[name].sites if site.ion == ion)
        hat = l23_transform(site, grid, bins, 200.0, 40.0) * gaussian(FWHM_EV, grid.omega[:bins])
        fine = np.fft.irfft(hat, grid.size)[grid.left :] / grid.step_ev
        channels = fine[: AXIS.size * grid.oversample].reshape(AXIS.size, grid.oversample)
        found[ion] = np.maximum(channels.mean(axis=1), 0.0).astype(np.float32)
    return found


def write(path: Path) -> None:
    """Write the library as ``.npz`` (no pickles)."""
    found = references()
    np.savez_compressed(
        path,
        names=np.array(list(found)),
        spectra=np.stack(list(found.values())),
        offset_ev=AXIS.offset_ev,
        dispersion_ev=AXIS.dispersion_ev,
        fwhm_ev=FWHM_EV,
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
