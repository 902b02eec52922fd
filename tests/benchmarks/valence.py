"""How right a mean valence is: fit of references and white-line ratio, by signal to noise.

Run ``python tests/benchmarks/valence.py [--specimens N] [--pixels N]``; needs ``pip install
live-eels[test]``. Mixtures of Mn2+, Mn3+ and Mn4+ through t/lambda 0.5, 0.3 eV channels. SNR is
that of the net Mn L edge (map ``Mn L SNR``). Printed are rms errors in units of charge:

same        the ions look as in the references
axis        the same, and the energy axis is 0.1 eV off
others      each specimen has crystal fields, covalency and energies of its own, drawn anew
search      others, with ``search_ev = 0.5``
neighbours  white-line ratio, mixtures of neighbouring valences as in the references
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec
import numpy as np
from live_eels.simulators.edges import l23_transform
from live_eels.simulators.lineshapes import gaussian
from live_eels.simulators.materials import Material, Site, shipped_materials
from live_eels.simulators.reference_spectra import FWHM_EV, STANDS_FOR
from live_eels.simulators.scattering import FineGrid

sys.path.insert(0, str(Path(__file__).parents[1]))

from edge_scans import CORE, IONS, manganese, maps_of

CHARGES = np.array([2.0, 3.0, 4.0])
MLLS = {"kind": "mixing", "references": IONS}
SNRS = (10, 20, 40, 60, 100, 200)


def drawn(rng: np.random.Generator) -> np.ndarray:
    """Single-scattering edges of the ions in one specimen's surroundings, ``(ion, channel)``."""
    materials = msgspec.convert(shipped_materials(), dict[str, Material])
    grid = FineGrid.around(CORE, 40.0, 80.0)
    bins = grid.size // 2 + 1
    rows = []
    for ion in IONS:
        usual = next(site for site in materials[STANDS_FOR[ion]].sites if site.ion == ion)
        site: Site = msgspec.structs.replace(
            usual,
            ten_dq_ev=usual.ten_dq_ev * rng.uniform(0.7, 1.3),
            charge_transfer=rng.uniform(0.0, 0.6),
            shift_ev=usual.shift_ev + rng.normal(0.0, 0.1),
            solid_fwhm_ev=usual.solid_fwhm_ev * rng.uniform(0.7, 1.3),
        )
        hat = l23_transform(site, grid, bins, 200.0, 40.0) * gaussian(FWHM_EV, grid.omega[:bins])
        fine = np.fft.irfft(hat, grid.size)[grid.left :] / grid.step_ev
        channels = fine[: CORE.size * grid.oversample].reshape(CORE.size, grid.oversample)
        rows.append(np.maximum(channels.mean(axis=1), 0.0))
    return np.stack(rows)


def shares(rng: np.random.Generator, *, neighbours: bool = False) -> np.ndarray:
    """Of the three ions; of two that are neighbours."""
    if neighbours:
        part, first = rng.uniform(), rng.integers(2)
        return np.roll([1 - part, part, 0.0], first)
    return rng.dirichlet(np.ones(3))


def off(mix: np.ndarray, maps: dict[str, np.ndarray], name: str = "Mn valence") -> np.ndarray:
    """Valence found less the true one, where one is given."""
    left = maps[name] - mix @ CHARGES
    return np.asarray(left[np.isfinite(left)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimens", type=int, default=40)
    parser.add_argument("--pixels", type=int, default=50)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    names = ("same", "axis", "others", "search", "neighbours")
    print(f"| SNR | {' | '.join(names)} |")
    print("|---" * (1 + len(names)) + "|")
    specimens = [
        (shares(rng), shares(rng, neighbours=True), drawn(rng)) for _ in range(arguments.specimens)
    ]
    for snr in SNRS:
        found: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for seed, (mix, pair, pure) in enumerate(specimens):
            n = arguments.pixels
            scan, chunk = manganese(mix, snr, n=n, seed=seed)
            found["same"].append(off(mix, maps_of(scan, chunk, MLLS)))
            found["axis"].append(off(mix, maps_of(scan, chunk, MLLS | {"offset_ev": 0.1})))
            scan, chunk = manganese(mix, snr, n=n, seed=seed, pure=pure)
            found["others"].append(off(mix, maps_of(scan, chunk, MLLS)))
            found["search"].append(off(mix, maps_of(scan, chunk, MLLS | {"search_ev": 0.5})))
            scan, chunk = manganese(pair, snr, n=n, seed=seed)
            maps = maps_of(scan, chunk, {"kind": "white_lines", "element": "Mn"})
            found["neighbours"].append(off(pair, maps, "Mn valence (L3/L2)"))
        rms = [np.sqrt(np.mean(np.concatenate(found[name]) ** 2)) for name in names]
        print(f"| {snr} | {' | '.join(f'{value:.3f}' for value in rms)} |", flush=True)


if __name__ == "__main__":
    main()
