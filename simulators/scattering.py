"""From single scattering to what the spectrometer sees: convolutions, exactly, in Fourier space.

Lives here: the fine energy grid behind a detector axis, and the plural-scattering sum.
A spectrum is a product of transforms::

    inner shells (or 1) . exp(sum of t/lambda (valence loss - 1)) . zero-loss peak
        . point spread . channel width . energy shift

The exponential *is* the Poisson sum over any number of scatterings (Johnson and Spence's
Fourier-log deconvolution, run forwards). The product is sampled at the channels by folding its
bins, which is exact: a shift by a fraction of a channel neither rings nor blurs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import EnergyAxis

FINE_STEP_EV = 0.06
"""The grid is never coarser: narrower than the sharpest zero-loss peak we make (0.2 eV)."""


@dataclass(frozen=True, slots=True)
class FineGrid:
    """Evenly spaced energies that contain a detector axis, padded against folding.

    Attributes
    ----------
    axis
        The detector axis; its first channel is point ``left`` of the grid.
    oversample
        Grid points per channel.
    size
        Grid points, a multiple of ``oversample``.
    """

    axis: EnergyAxis
    oversample: int
    left: int
    size: int

    @classmethod
    def around(cls, axis: EnergyAxis, below_ev: float, above_ev: float) -> FineGrid:
        """A grid reaching ``below_ev`` below the axis and ``above_ev`` above it."""
        oversample = max(1, math.ceil(axis.dispersion_ev / FINE_STEP_EV))
        step = axis.dispersion_ev / oversample
        left = math.ceil(below_ev / axis.dispersion_ev) * oversample
        points = left + axis.size * oversample + math.ceil(above_ev / step)
        channels = _fast_length(math.ceil(points / oversample))
        return cls(axis, oversample, left, channels * oversample)

    @property
    def step_ev(self) -> float:
        """Distance of two grid points, eV."""
        return self.axis.dispersion_ev / self.oversample

    @property
    def start_ev(self) -> float:
        """Energy of the first grid point, eV."""
        return self.axis.offset_ev - self.left * self.step_ev

    @property
    def energies_ev(self) -> NDArray[np.float64]:
        """Energy of each grid point, float64 ``(point,)``, eV."""
        return np.asarray(self.start_ev + self.step_ev * np.arange(self.size), np.float64)

    @property
    def omega(self) -> NDArray[np.float64]:
        """Angular frequencies of the real FFT, rad/eV."""
        return np.asarray(2 * np.pi * np.fft.rfftfreq(self.size, self.step_ev))

    def bins(self, instrument: NDArray[np.complex128], tolerance: float = 1e-9) -> int:
        """How many bins matter when everything is multiplied by ``instrument``."""
        strong = np.flatnonzero(np.abs(instrument) > tolerance)
        return min(int(strong[-1]) + 1 if strong.size else 1, self.size // 2 + 1)

    def kernel_transform(self, kernel: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Transform of a kernel sampled at losses 0, step, 2 step ... (``(point,)``, 1/eV)."""
        return np.asarray(np.fft.rfft(kernel, self.size) * self.step_ev)

    def sampled(self, transform: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Spectra at the detector's channels, from the first bins of their transform.

        Parameters
        ----------
        transform
            complex ``(pixel, bin)``: real FFT over the grid of a density (1/eV), times the
            grid step, origin at the grid's first point.

        Returns
        -------
        float64 ``(pixel, channel)``: counts per channel (density times dispersion).
        """
        channels = self.size // self.oversample
        rows, bins = transform.shape
        folded = np.zeros((rows, channels), complex)
        for first in range(0, bins, channels):
            part = transform[:, first : first + channels]
            folded[:, : part.shape[1]] += part
        # bins beyond 0 stand for themselves and their conjugate; the real part halves below
        spectrum = np.fft.ifft(folded, axis=1).real * 2.0
        spectrum -= transform[:, :1].real / channels
        first_channel = self.left // self.oversample
        return spectrum[:, first_channel : first_channel + self.axis.size]

    def channel_transform(self, omega: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transform of one channel's width: a channel counts what falls in it."""
        return np.asarray(np.sinc(omega * self.axis.dispersion_ev / (2 * np.pi)))


def plural(
    valence: NDArray[np.complex128],
    t_over_lambda: NDArray[np.float64],
    phase: NDArray[np.float64],
) -> NDArray[np.complex128]:
    """Transform of the loss after any number of valence scatterings, zero included.

    Parameters
    ----------
    valence
        complex ``(material, bin)``: transforms of unit-area single-scattering distributions.
    t_over_lambda
        float64 ``(pixel, material)``: each material's thickness in mean free paths.
    phase
        float64 ``(pixel, bin)``, rad: what else turns the transform (an energy shift).
    """
    exponent = mixed(t_over_lambda, valence.real - 1.0)
    angle = mixed(t_over_lambda, valence.imag)
    angle += phase
    # real exp, cos and sin: numpy's complex exp takes a slow path for tiny arguments
    np.exp(exponent, out=exponent)
    out = np.empty(exponent.shape, complex)
    np.multiply(exponent, np.cos(angle), out=out.real)
    np.multiply(exponent, np.sin(angle), out=out.imag)
    return out


def mixed(weights: NDArray[np.float64], parts: NDArray[Any]) -> NDArray[Any]:
    """``weights @ parts`` for few parts, in this thread (BLAS would wake its own)."""
    out = np.zeros((len(weights), parts.shape[1]), parts.dtype)
    for column, part in zip(weights.T, parts, strict=True):
        if column.any():
            out += column[:, None] * part
    return out


def _fast_length(length: int) -> int:
    """Smallest length not below ``length`` with no prime factor above 5."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
