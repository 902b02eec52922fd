"""What the detector makes of electrons: point spread, noise, gain, dark, saturation, spikes.

Lives here: the fixed pattern of one detector (drawn from a seed) and the readout of a block of
spectra. Knows nothing of physics before the detector.

Order of things in a CCD: electrons arrive (Poisson), each spreads its light over channels (so
neighbouring channels share noise), gain, dark, readout noise, full well, digitising. In a
counting detector the spread comes first, each count is whole and its own event, lost ones
(gain below 1, pile-up) are never seen, and there is no readout noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from live_eels.simulators.scene import DetectorSettings
from numpy.typing import NDArray

TOP = {"u1": 255.0, "u2": 65535.0, "u4": 4294967295.0, "f4": np.inf}


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """One readout's fixed pattern.

    Attributes
    ----------
    gain, dark
        float64 ``(channel,)``: mean 1; counts.
    alive
        bool ``(channel,)``.
    hot
        float64 ``(channel,)``: extra counts of hot channels, else 0.
    psf
        float64 ``(2 reach + 1,)``, unit sum.
    """

    settings: DetectorSettings
    dtype: str
    gain: NDArray[np.float64]
    dark: NDArray[np.float64]
    alive: NDArray[np.bool_]
    hot: NDArray[np.float64]
    psf: NDArray[np.float64]

    @property
    def reach(self) -> int:
        """How many channels beyond the axis the point spread brings in light from."""
        return self.psf.size // 2


def build(
    settings: DetectorSettings, channels: int, dtype: str, rng: np.random.Generator
) -> Detector:
    """Draw a detector: its gain map, dark pattern, dead and hot channels."""
    gain = 1 + settings.gain_spread * rng.standard_normal(channels)
    gain = np.clip(gain, 0.2, None)
    if settings.counting:
        gain = np.minimum(gain, gain.mean() * 1.5)
    gain /= gain.mean()
    dark = settings.dark_counts + settings.dark_spread * rng.standard_normal(channels)
    dark = np.zeros(channels) if settings.counting else np.maximum(dark, 0.0)
    bad = rng.permutation(channels)[: settings.dead_channels + settings.hot_channels]
    alive = np.ones(channels, bool)
    alive[bad[: settings.dead_channels]] = False
    hot = np.zeros(channels)
    warm = bad[settings.dead_channels :]
    hot[warm] = 500.0 * (1 + rng.random(warm.size))
    return Detector(settings, dtype, gain, dark, alive, hot, point_spread(settings))


def point_spread(settings: DetectorSettings) -> NDArray[np.float64]:
    """The point spread as a kernel over channels, long tails included, unit sum."""
    sigma, tail = settings.psf_channels, settings.psf_tail_weight
    if sigma <= 0 and tail <= 0:
        return np.ones(1)
    reach = int(np.ceil(max(5 * sigma, 6 * settings.psf_tail_channels if tail > 0 else 0, 1)))
    channel = np.arange(-reach, reach + 1)
    core = np.exp(-0.5 * (channel / max(sigma, 0.2)) ** 2)
    wide = np.exp(-np.abs(channel) / settings.psf_tail_channels)
    return np.asarray((1 - tail) * core / core.sum() + tail * wide / wide.sum())


def spread(spectra: NDArray[np.float64], psf: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve ``(pixel, channel + 2 reach)`` with the kernel, keeping what is complete."""
    if psf.size == 1:
        return spectra
    size = spectra.shape[1] + psf.size - 1
    hat = np.fft.rfft(spectra, size, axis=1) * np.fft.rfft(psf, size)
    return np.asarray(np.fft.irfft(hat, size, axis=1)[:, psf.size - 1 : spectra.shape[1]])


def expected_counts(detector: Detector, electrons: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean counts after dark and gain correction, ``(pixel, channel)``.

    Parameters
    ----------
    electrons
        Mean electrons per channel, ``(pixel, channel + 2 reach)``.
    """
    mean = spread(electrons, detector.psf)
    return mean if detector.settings.counting else mean * detector.settings.counts_per_electron


def recorded_mean(
    detector: Detector,
    corrected: NDArray[np.float64],
    exposure_s: float,
    dark_drift: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Mean of what is written down (before saturation and rounding) of mean corrected counts."""
    settings = detector.settings
    mean = corrected * detector.gain
    if settings.pile_up_s > 0:
        mean = mean / (1 + mean * settings.pile_up_s / exposure_s)
    if not settings.counting:
        mean = mean + detector.dark + dark_drift[:, None]
    return np.asarray(np.where(detector.alive, mean, 0.0) + detector.hot)


def read_out(
    detector: Detector,
    electrons: NDArray[np.float64],
    exposure_s: float,
    dark_drift: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.generic]:
    """Counts in the detector's dtype, ``(pixel, channel)``, of mean electrons.

    Parameters
    ----------
    electrons
        Mean electrons per channel, ``(pixel, channel + 2 reach)``, not negative.
    exposure_s
        Time in which they came (for pile-up).
    dark_drift
        Added to the dark of each spectrum, ``(pixel,)``, counts.
    """
    settings = detector.settings
    if settings.counting:
        mean = spread(electrons, detector.psf) * detector.gain
        if settings.pile_up_s > 0:
            mean = mean / (1 + mean * settings.pile_up_s / exposure_s)
        counts = rng.poisson(np.maximum(mean, 0.0)).astype(np.float64)
    else:
        arrived = rng.poisson(np.maximum(electrons, 0.0)).astype(np.float64)
        counts = spread(arrived, detector.psf) * settings.counts_per_electron * detector.gain
        counts += detector.dark + dark_drift[:, None]
        if settings.readout_counts > 0:
            counts += settings.readout_counts * rng.standard_normal(counts.shape, np.float32)
    counts *= detector.alive
    if settings.hot_channels:
        counts += detector.hot * (1 + 0.1 * rng.standard_normal(counts.shape))
    if settings.spikes_per_1000 > 0:
        _add_spikes(counts, settings, rng)
    top = TOP[detector.dtype]
    if settings.full_well_counts is not None:
        top = min(top, settings.full_well_counts)
    if detector.dtype == "f4":
        return np.minimum(counts, top).astype("<f4")
    return np.clip(np.rint(counts), 0.0, top).astype("<" + detector.dtype)


def _add_spikes(
    counts: NDArray[np.float64], settings: DetectorSettings, rng: np.random.Generator
) -> None:
    """X-rays: anywhere, one to three channels wide, of exponentially distributed strength."""
    rows, channels = counts.shape
    number = rng.poisson(settings.spikes_per_1000 * rows / 1000)
    row, channel = rng.integers(rows, size=number), rng.integers(channels, size=number)
    height = rng.exponential(settings.spike_counts, number) + 5 * settings.counts_per_electron
    counts[row, channel] += height
    wide = rng.random(number) < 0.4
    beside = np.minimum(channel + 1, channels - 1)
    np.add.at(counts, (row[wide], beside[wide]), 0.5 * height[wide])
