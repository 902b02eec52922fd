"""Plural scattering taken out by Fourier transforms: many spectra at once.

Spectra of one chunk are transformed together in float32. All low losses here have their
zero-loss peak at 0 eV; negative energies wrap round, so that the transform's origin is the
zero loss and nothing is moved.

The division is a Wiener division: noise of Poisson counts is white in Fourier space with the
power of the total counts, so ``conj(L) / (|L|**2 + total)`` divides where there is signal and
does nothing where there is only noise, also for a spectrum without counts.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import scipy.fft
from numba import prange
from numpy.typing import NDArray

from live_eels.kernels import pjit
from live_eels.kernels.background import quick_exp

_FWHM_TO_SIGMA = 1.0 / 2.354820045
_ROWS = 64  # spectra transformed together: their transforms stay in the cache


def _length(channels: int) -> int:
    return int(scipy.fft.next_fast_len(channels, real=True))


def _transform(spectra: NDArray[np.float32], length: int) -> NDArray[np.complex64]:
    result: NDArray[np.complex64] = scipy.fft.rfft(
        spectra, length, axis=1, workers=numba.get_num_threads()
    )
    return result


def _inverse(spectra: NDArray[np.complex64], length: int) -> NDArray[np.float32]:
    result: NDArray[np.float32] = scipy.fft.irfft(
        spectra, length, axis=1, workers=numba.get_num_threads()
    )
    return result


def wrap_low_loss(
    low: NDArray[np.float32], zero: int, reach: int, length: int
) -> NDArray[np.float32]:
    """Low loss on a circular axis.

    Channel 0 is 0 eV, ``reach`` channels of loss are kept, energies before 0 eV stand at the
    end. float32 ``(pixel, length)``.
    """
    out = np.zeros((len(low), length), np.float32)
    after = low[:, zero : zero + reach]
    out[:, : after.shape[1]] = after
    before = min(zero, length - reach)
    if before > 0:
        out[:, -before:] = low[:, zero - before : zero]
    return out


def gaussian_transform(
    width: NDArray[np.float32], counts: NDArray[np.float32], length: int
) -> NDArray[np.float32]:
    """Transform of a Gaussian at the origin.

    Full ``width (pixel,)`` at half maximum in channels and area ``counts (pixel,)``;
    float32 ``(pixel, frequency)``.
    """
    frequency = (2.0 * np.pi / length) * np.arange(length // 2 + 1, dtype=np.float32)
    sigma = width.astype(np.float32) * np.float32(_FWHM_TO_SIGMA)
    shape = np.exp(-0.5 * (sigma[:, None] * frequency[None, :]) ** 2)
    result: NDArray[np.float32] = counts[:, None] * shape
    return result


def fourier_ratio(
    edge: NDArray[np.float32],
    low: NDArray[np.float32],
    zero: int,
    width: NDArray[np.float32],
    zlp_counts: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Core loss as it would be without plural scattering: float32 ``(pixel, channel)``.

    Parameters
    ----------
    edge
        Background-subtracted core loss, ``(pixel, channel)``, (nearly) zero at its start.
    low
        Low loss with the same dispersion, ``(pixel, low channel)``; channel ``zero`` is 0 eV.
    width
        Resolution kept: full width of the Gaussian modifier in channels, ``(pixel,)``.
    zlp_counts
        Counts of the zero-loss peak, ``(pixel,)``: the area of the modifier.

    Notes
    -----
    ``F(J1) = G * F(J) / F(L)`` (Egerton 3rd ed., 4.2.2). The end of the edge is led to zero by half
    a cosine beyond the window, so that the window's end makes no ripples.
    """
    channels = edge.shape[1]
    tail = max(channels // 4, 8)
    # Nothing after it keeps what is scattered out at the end from coming in at the start.
    length = _length(channels + tail + channels // 2)
    fade = 0.5 * (1.0 + np.cos(np.pi * (np.arange(tail) + 1) / (tail + 1)))
    out = np.empty(edge.shape, np.float32)
    for first in range(0, len(edge), _ROWS):
        part = slice(first, first + _ROWS)
        padded = np.zeros((len(edge[part]), channels + tail), np.float32)
        padded[:, :channels] = edge[part]
        last = edge[part, max(channels - 8, 0) :].mean(axis=1)
        padded[:, channels:] = last[:, None] * fade.astype(np.float32)
        wrapped = wrap_low_loss(low[part], zero, channels + tail, length)
        spectrum, loss = _transform(padded, length), _transform(wrapped, length)
        divide(spectrum, loss, width[part], zlp_counts[part], length)
        out[part] = _inverse(spectrum, length)[:, :channels]
    empty = ~(zlp_counts > 0) | ~np.isfinite(width)
    if empty.any():
        out[empty] = edge[empty]
    return out


@pjit
def divide(
    spectrum: NDArray[np.complex64],
    loss: NDArray[np.complex64],
    width: NDArray[np.float32],
    zlp_counts: NDArray[np.float32],
    length: int,
) -> None:
    """``spectrum`` times the Gaussian modifier over ``loss``, in place: Wiener's division.

    Both ``(pixel, frequency)``; ``loss`` at frequency 0 is its total counts.
    """
    for p in prange(spectrum.shape[0]):
        noise = max(loss[p, 0].real, np.float32(1.0))
        step = np.float32(2.0 * math.pi / length * _FWHM_TO_SIGMA) * width[p]
        half = np.float32(-0.5) * step * step
        counts = zlp_counts[p]
        for k in range(spectrum.shape[1]):
            a, b = loss[p, k].real, loss[p, k].imag
            # Beyond exp(-24) there is nothing left of the modifier.
            damped = quick_exp(max(half * np.float32(k) * np.float32(k), np.float32(-24.0)))
            factor = counts * damped / (a * a + b * b + noise)
            c, d = spectrum[p, k].real, spectrum[p, k].imag
            spectrum[p, k] = complex(factor * (a * c + b * d), factor * (a * d - b * c))


def fourier_log(
    low: NDArray[np.float32],
    zero: int,
    width: NDArray[np.float32],
    zlp: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Single-scattering distribution from 0 eV on: float32 ``(pixel, loss channel)``.

    Parameters
    ----------
    low
        Low loss, ``(pixel, channel)``; channel ``zero`` is 0 eV.
    width
        Full width of the Gaussian modifier in channels, ``(pixel,)``.
    zlp
        The zero-loss peak alone, same shape as ``low``.

    Notes
    -----
    ``F(S1) = G * ln(F(L) / F(Z))`` with G the modifier of area I0 (Egerton 3rd ed., 4.2.1). Where
    F(Z) has sunk into noise the ratio means nothing; G is below noise there too, and the
    division is held finite by Wiener's term.
    """
    channels = low.shape[1] - zero
    length = _length(2 * channels)
    # The end of the loss is led to zero: what is cut off there is scattered beyond the range.
    faded = low.copy()
    tail = max(channels // 8, 1)
    fade = 0.5 * (1.0 + np.cos(np.pi * np.arange(tail) / tail))
    faded[:, -tail:] *= fade.astype(np.float32)
    wrapped = wrap_low_loss(faded, zero, channels, length)
    loss = _transform(wrapped, length)
    peak = _transform(wrap_low_loss(zlp, zero, channels, length), length)
    counts = zlp.sum(axis=1)
    total = np.maximum(wrapped.sum(axis=1), 1.0)
    power = peak.real**2 + peak.imag**2
    ratio = loss * np.conj(peak) / (power + total[:, None])
    weight = power / (power + total[:, None])
    ratio = ratio + (1.0 - weight)  # where nothing is known: ln 1
    logarithm = continuous_log(ratio)
    result = _inverse(gaussian_transform(width, counts, length) * logarithm, length)
    result = result[:, :channels]
    result[~(counts > 0) | ~np.isfinite(width)] = np.nan
    return np.ascontiguousarray(result)


def convolve_low_loss(
    sharp: NDArray[np.float32], low: NDArray[np.float32], zero: int, reach: int
) -> NDArray[np.float32]:
    """Reference spectra as each pixel's own low loss makes them.

    float32 ``(pixel, shift, component, channel)``: the last ``channel`` of those given, each
    pixel's largest value 1.

    ``sharp (shift, component, reach + channel)`` are unblurred and begin ``reach`` channels
    before what is wanted; ``low (pixel, low channel)`` has 0 eV in channel ``zero``.
    """
    shifts, components, size = sharp.shape
    length = _length(size + reach)
    loss = _transform(wrap_low_loss(low, zero, reach, length), length)
    shapes = _transform(sharp.reshape(-1, size), length)
    rows = (loss[:, None, :] * shapes[None, :, :]).reshape(-1, loss.shape[1])
    wide = _inverse(rows, length)[:, reach:size]
    out = wide.reshape(len(low), shifts, components, size - reach)
    largest = np.maximum(out.max(axis=(1, 2, 3), keepdims=True), 1e-30)
    return np.ascontiguousarray(out / largest, dtype=np.float32)


def continuous_log(ratio: NDArray[Any]) -> NDArray[np.complex64]:
    """Complex logarithm along the frequency axis, its phase continued across +-pi.

    The principal value fails beyond a thickness of about pi mean free paths.
    """
    magnitude = np.log(np.maximum(np.abs(ratio), 1e-12))
    phase = np.angle(ratio)
    if np.any(np.abs(np.diff(phase, axis=1)) > np.pi):
        phase = np.unwrap(phase, axis=1)
    result: NDArray[np.complex64] = (magnitude + 1j * phase).astype(np.complex64)
    return result


def match_dispersion(
    low: NDArray[np.float32], offset_ev: float, dispersion_ev: float, wanted_ev: float
) -> tuple[NDArray[np.float32], int]:
    """Low loss rebinned to channels of ``wanted_ev``, one of them centred on 0 eV, and which.

    Counts are conserved: what a new channel holds is what lay between its borders.
    """
    channels = low.shape[1]
    first_ev = offset_ev - 0.5 * dispersion_ev
    last_ev = first_ev + channels * dispersion_ev
    zero = max(int(np.floor((0.0 - first_ev) / wanted_ev - 0.5)), 0)
    size = int(np.floor((last_ev - (-zero - 0.5) * wanted_ev) / wanted_ev + 1e-6))
    if abs(wanted_ev - dispersion_ev) < 1e-9 * wanted_ev:
        at = -offset_ev / dispersion_ev
        if abs(at - round(at)) < 1e-3:
            return low, round(at)
    borders_ev = (np.arange(size + 1) - zero - 0.5) * wanted_ev
    at = np.clip((borders_ev - first_ev) / dispersion_ev, 0.0, channels)
    whole = np.minimum(at.astype(np.int64), channels - 1)
    part = at - whole
    sums = np.zeros((len(low), channels + 1))
    np.cumsum(low, axis=1, out=sums[:, 1:])
    below = sums[:, whole] + part * (sums[:, whole + 1] - sums[:, whole])
    return np.diff(below, axis=1).astype(np.float32), zero
