"""What many tests need: endpoints of their own, a small known scan, real spectra if present."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

# Before numba is imported anywhere: two threads are what the smallest microscope PC has.
os.environ.setdefault("NUMBA_NUM_THREADS", "2")

from live_eels.spectra import EnergyAxis, Instrument, NavigationAxis, Scan, Signal

REAL_SPECTRA = Path(__file__).parents[2] / "shared" / "real_spectra"


@pytest.fixture
def real_spectra() -> Path:
    """Folder of measured spectra, where the clone lies beside one."""
    if not REAL_SPECTRA.exists():
        pytest.skip(f"no measured spectra beside this clone ({REAL_SPECTRA} is not there)")
    return REAL_SPECTRA


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A ZeroMQ address nobody else has (short: socket paths have at most 100 characters)."""
    with tempfile.TemporaryDirectory(prefix="eels") as folder:
        yield f"ipc://{folder}/s"


def two_phase_scan(
    shape: tuple[int, ...] = (12, 10), *, low: bool = True, seed: int = 0
) -> tuple[Scan, np.ndarray, np.ndarray | None, np.ndarray]:
    """A scan with an iron half and a manganese half; scan, core, low loss, phase per pixel."""
    rng = np.random.default_rng(seed)
    core_axis, low_axis = EnergyAxis(560.0, 0.5, 400), EnergyAxis(-20.0, 0.5, 128)
    signals = (Signal("core", core_axis),) + ((Signal("low", low_axis),) if low else ())
    names = ("y", "x")[2 - len(shape) :] if len(shape) <= 2 else ("t", "y", "x")
    scan = Scan(
        f"two-phase-{seed}",
        tuple(NavigationAxis(n, s) for n, s in zip(names, shape, strict=True)),
        signals,
        Instrument(beam_energy_kev=200.0, dwell_s=1e-3),
        title="two phases",
        simulated=True,
    )
    energies = core_axis.energies_ev
    background = 400.0 * (energies / 560.0) ** -3
    edges = np.stack(
        [
            300 * np.exp(-(((energies - l3) / 1.5) ** 2))
            + 120 * np.exp(-(((energies - l2) / 1.5) ** 2))
            + 80 * (energies > l3)
            for l3, l2 in ((640.0, 651.0), (708.0, 721.0))
        ]
    )
    phase = (np.arange(scan.pixels) % shape[-1] >= shape[-1] // 2).astype(int)
    core = rng.poisson(background + edges[phase]).astype("<u2")
    if not low:
        return scan, core, None, phase
    peak = 5000 * np.exp(-((low_axis.energies_ev / 0.5) ** 2)) + 5.0
    return scan, core, rng.poisson(np.tile(peak, (scan.pixels, 1))).astype("<u2"), phase
