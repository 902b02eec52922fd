"""What `evaluate` does to users' spectra: shift the axis, count electrons, scatter again."""

from __future__ import annotations

from typing import Any

import numpy as np
from live_eels.models.spectra_files import Labelled
from numpy.typing import NDArray

from live_eels.spectra import EnergyAxis

F8 = NDArray[np.floating[Any]]
PLASMON_EV, PLASMON_WIDTH_EV = 22.0, 12.0


def shifted(spectrum: Labelled, shift_ev: float) -> Labelled:
    """The same spectrum on an axis that is off by ``shift_ev`` more."""
    axis = spectrum.axis
    moved = EnergyAxis(axis.offset_ev + shift_ev, axis.dispersion_ev, axis.size)
    return Labelled(spectrum.file, spectrum.label, moved, spectrum.intensity)


def counted(spectrum: Labelled, counts: float, rng: np.random.Generator) -> Labelled:
    """Poisson noise at ``counts`` per 0.1 eV at the top of L3; what is below 0 becomes 0."""
    low = np.percentile(spectrum.intensity, 2)
    height = max(float(spectrum.intensity.max() - low), 1e-30)
    expected = (spectrum.intensity - low) / height * counts * spectrum.axis.dispersion_ev / 0.1
    noisy = rng.poisson(np.maximum(expected, 0.0)).astype(np.float64)
    return Labelled(spectrum.file, spectrum.label, spectrum.axis, noisy)


def scattered(spectrum: Labelled, thickness: float) -> Labelled:
    """Plural scattering through ``thickness`` (t/lambda): Poisson sum of one broad plasmon."""
    step, size = spectrum.axis.dispersion_ev, spectrum.axis.size
    pad = int(np.ceil(120.0 / step))
    values = np.concatenate(
        [
            np.full(pad, spectrum.intensity[:3].mean()),
            spectrum.intensity,
            np.full(pad, spectrum.intensity[-3:].mean()),
        ]
    )
    loss = step * np.arange(len(values))
    peak, width = PLASMON_EV, PLASMON_WIDTH_EV
    plasmon = loss * width / ((loss**2 - peak**2) ** 2 + (loss * width) ** 2)
    plasmon /= plasmon.sum()
    spread = np.exp(thickness * (np.fft.rfft(plasmon) - 1.0))
    out = np.fft.irfft(np.fft.rfft(values) * spread, len(values))[pad : pad + size]
    return Labelled(spectrum.file, spectrum.label, spectrum.axis, out)
