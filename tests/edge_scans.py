"""Scans of a manganese edge through a specimen, with its low loss; maps that analyses make."""

from __future__ import annotations

import numpy as np

from live_eels import analyses
from live_eels.analyses.references import shipped
from live_eels.preprocess import Preprocessor
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, EnergyAxis, NavigationAxis, Scan, Signal

CORE, LOW = EnergyAxis(560.0, 0.3, 600), EnergyAxis(-20.1, 0.3, 700)  # 0 eV is a channel
IONS = ("Mn2+", "Mn3+", "Mn4+")


def low_loss(thickness, counts, width_ev=0.8):
    """Low loss ``(pixel, channel)``: a zero-loss peak and Poisson plural scattering."""
    size = 4 * LOW.size
    energy = LOW.dispersion_ev * (np.arange(size) - size // 4)
    zlp = np.exp(-0.5 * (2.355 * energy / width_ev) ** 2)
    loss = energy * (energy > 3) / ((energy**2 - 21**2) ** 2 + (12 * energy) ** 2)
    zlp, loss = np.roll(zlp / zlp.sum(), -(size // 4)), np.roll(loss / loss.sum(), -(size // 4))
    hats = np.fft.rfft(zlp), np.fft.rfft(loss)
    rows = np.fft.irfft(hats[0] * np.exp(np.outer(thickness, hats[1] - 1)), size)
    zero = round(-LOW.offset_ev / LOW.dispersion_ev)
    return counts * np.maximum(np.roll(rows, zero, axis=1)[:, : LOW.size], 0)


def manganese(shares, snr, thickness=0.5, n=300, seed=0, pure=None):
    """Mn L2,3 of a mixture, plural scattering, power law: scan and chunk.

    Of the shipped references, or of ``pure (ion, channel)`` spectra.
    """
    rng = np.random.default_rng(seed)
    pure = shipped().on(IONS, CORE, 0.0) if pure is None else pure
    single = shares @ pure.astype(float)
    low = low_loss(np.array([thickness]), 1.0)[0]
    zero = round(-LOW.offset_ev / LOW.dispersion_ev)
    edge = np.convolve(single, low)[zero : zero + CORE.size]
    under = (CORE.energies_ev / 640) ** -3.0
    here = CORE.window(636, 689)
    # counts such that the net edge stands `snr` above the noise of all counts in its window
    level = edge[here].sum() * 3.0 / under[here].sum()
    share = edge[here].sum() / (edge + level * under)[here].sum()
    total = (snr / share) ** 2 * 10.6  # the background's own error is most of the variance
    expected = (edge + level * under) * total / (edge + level * under)[here].sum()
    core = rng.poisson(np.tile(expected, (n, 1))).astype(np.float32)
    lows = rng.poisson(np.tile(1e5 * low, (n, 1))).astype(np.float32)
    scan = Scan(
        "mn", (NavigationAxis("x", n),), (Signal("core", CORE, "f4"), Signal("low", LOW, "f4"))
    )
    return scan, Chunk(scan, np.arange(n), core, lows)


def maps_of(scan, chunk, *configs, settings=None):
    preprocessor = Preprocessor(scan, settings or PreprocessSettings(find_bad_channels=False))
    guarded = analyses.Guarded(analyses.load(configs))
    guarded.start(scan, preprocessor.axis, preprocessor.window, preprocessor.low_axis)
    assert guarded.errors == []
    prepared = preprocessor.process(chunk)
    maps = guarded.update(prepared)
    assert guarded.errors == []
    assert set(maps) == {spec.name for spec in guarded.specs}
    return maps
