"""Non-negative, Poisson-weighted fits of reference spectra to many spectra (MLLS)."""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from live_eels.kernels import jit, pjit
from live_eels.kernels.background import Fit, fill_row, fit_row, fit_sums, quick_exp

_SMOOTH = 4  # channels on each side in the first guess of the expected counts
_LEAST_COUNTS = 0.3  # expected counts are never taken as fewer: such a channel weighs little


@jit
def solve_subset(
    gram: NDArray[np.float64],
    rhs: NDArray[np.float64],
    used: NDArray[np.bool_],
    matrix: NDArray[np.float64],
    out: NDArray[np.float64],
) -> bool:
    """Solve ``gram @ out = rhs`` for the components ``used``, 0 elsewhere.

    By Cholesky; ``matrix`` is scratch. False if the components are not independent.
    """
    k = rhs.size
    for a in range(k):
        out[a] = 0.0
        if not used[a]:
            continue
        for b in range(a + 1):
            if not used[b]:
                continue
            value = gram[a, b]
            for c in range(b):
                if used[c]:
                    value -= matrix[a, c] * matrix[b, c]
            if a == b:
                if not value > 1e-12 * gram[a, a]:
                    return False
                matrix[a, a] = math.sqrt(value)
            else:
                matrix[a, b] = value / matrix[b, b]
    for a in range(k):
        if used[a]:
            value = rhs[a]
            for c in range(a):
                if used[c]:
                    value -= matrix[a, c] * out[c]
            out[a] = value / matrix[a, a]
    for a in range(k - 1, -1, -1):
        if used[a]:
            value = out[a]
            for c in range(a + 1, k):
                if used[c]:
                    value -= matrix[c, a] * out[c]
            out[a] = value / matrix[a, a]
    return True


@jit
def solve_nonnegative(
    gram: NDArray[np.float64], rhs: NDArray[np.float64], free: int, out: NDArray[np.float64]
) -> None:
    """Minimise ``x' gram x / 2 - rhs' x`` into ``out``, none negative but those from ``free`` on.

    Lawson & Hanson's active set, on the normal equations.
    """
    k = rhs.size
    used = np.zeros(k, np.bool_)
    matrix = np.zeros((k, k))
    trial = np.zeros(k)
    for a in range(k):
        used[a] = a >= free
        out[a] = 0.0
    if free < k and not solve_subset(gram, rhs, used, matrix, out):
        out[:] = 0.0
        return
    for _ in range(3 * k):
        best = 0.0
        enter = -1
        for a in range(free):
            if used[a]:
                continue
            slope = rhs[a]
            for b in range(k):
                slope -= gram[a, b] * out[b]
            scale = math.sqrt(max(gram[a, a], 1e-300))
            slope /= scale
            if slope > best and slope > 1e-9 * abs(rhs[a]) / scale:
                best = slope
                enter = a
        if enter < 0:
            return
        used[enter] = True
        for _ in range(k):
            if not solve_subset(gram, rhs, used, matrix, trial):
                used[enter] = False
                break
            part = 1.0
            leave = -1
            for a in range(free):
                if used[a] and trial[a] <= 0.0:
                    to_zero = out[a] / (out[a] - trial[a]) if out[a] > trial[a] else 0.0
                    if to_zero < part:
                        part = to_zero
                        leave = a
            for a in range(k):
                if used[a]:
                    out[a] += part * (trial[a] - out[a])
            if leave < 0:
                break
            out[leave] = 0.0
            used[leave] = False


@jit
def invert(
    gram: NDArray[np.float64], matrix: NDArray[np.float64], out: NDArray[np.float64]
) -> bool:
    """Inverse of a symmetric positive matrix into ``out``; False (and nan) if it has none."""
    k = gram.shape[0]
    used = np.ones(k, np.bool_)
    unit = np.zeros(k)
    column = np.zeros(k)
    for a in range(k):
        unit[:] = 0.0
        unit[a] = 1.0
        if not solve_subset(gram, unit, used, matrix, column):
            out[:, :] = math.nan
            return False
        out[:, a] = column
    return True


@jit
def _normal_equations(
    y: NDArray[np.float32],
    parts: NDArray[np.float32],
    expected: NDArray[np.float32],
    weighted: NDArray[np.float32],
    gram: NDArray[np.float64],
    rhs: NDArray[np.float64],
) -> None:
    for a in range(parts.shape[0]):
        for i in range(y.size):
            weighted[i] = parts[a, i] / max(expected[i], np.float32(_LEAST_COUNTS))
        total = np.float32(0.0)
        for i in range(y.size):
            total += weighted[i] * y[i]
        rhs[a] = total
        for b in range(a + 1):
            total = np.float32(0.0)
            for i in range(y.size):
                total += weighted[i] * parts[b, i]
            gram[a, b] = total
            gram[b, a] = total


@jit
def _smoothed(y: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    for i in range(y.size):
        first = max(i - _SMOOTH, 0)
        last = min(i + _SMOOTH + 1, y.size)
        total = np.float32(0.0)
        for j in range(first, last):
            total += y[j]
        out[i] = total / np.float32(last - first)


@jit
def mix_row(
    y: NDArray[np.float32],
    parts: NDArray[np.float32],
    known: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    gram: NDArray[np.float64],
    expected: NDArray[np.float32],
) -> float:
    """Fit ``y (channel,)`` by ``coefficients @ parts (component, channel)``.

    The last two parts are the background, about 1, and its change with the slope, about 0 and
    of either sign; ``known (2, 2)`` is what the fit window says of these two (their normal
    matrix). Nothing else may be negative. Counts weigh by what is expected, first from the
    smoothed spectrum, then twice from the fit itself. ``gram`` is left holding the last normal
    matrix and ``expected`` the fit; returns the reduced chi-square.
    """
    k = parts.shape[0]
    weighted = np.empty(y.size, np.float32)
    rhs = np.empty(k)
    _smoothed(y, expected)
    for _ in range(3):
        _normal_equations(y, parts, expected, weighted, gram, rhs)
        for a in range(2):
            rhs[k - 2 + a] += known[a, 0]
            for b in range(2):
                gram[k - 2 + a, k - 2 + b] += known[a, b]
        solve_nonnegative(gram, rhs, k - 1, coefficients)
        for i in range(y.size):
            expected[i] = np.float32(0.0)
        for a in range(k):
            c = np.float32(coefficients[a])
            for i in range(y.size):
                expected[i] += c * parts[a, i]
    chi = np.float32(0.0)
    for i in range(y.size):
        off = y[i] - expected[i]
        chi += off * off / max(expected[i], np.float32(_LEAST_COUNTS))
    free = max(y.size - k, 1)
    return float(chi / np.float32(free))


@jit
def background_parts(
    x: NDArray[np.float32], fit: Fit, parts: NDArray[np.float32], known: NDArray[np.float64]
) -> bool:
    """The row's background and its change with the slope, into the two rows of ``parts``.

    ``known`` is their normal matrix in the fit window. Without a background (``fit.method``
    FLAT) both are nothing, and known to be; False if none can be fitted.
    """
    if fit.method == 0:
        parts[:, :] = np.float32(0.0)
        known[0, 0] = known[1, 1] = 1.0
        known[0, 1] = known[1, 0] = 0.0
        return True
    slope, log_amplitude = fit_row(x, fit)
    if math.isnan(slope):
        return False
    fill_row(slope, log_amplitude, fit.target, parts[0])
    for i in range(fit.target.size):
        parts[1, i] = -fit.target[i] * parts[0, i]
    total, moment = fit_sums(x, fit.first, fit.t)
    second = 0.0
    weight = math.exp(log_amplitude)
    for i in range(fit.t.size):
        second += weight * quick_exp(np.float32(-slope) * fit.t[i]) * fit.t[i] * fit.t[i]
    known[0, 0] = total
    known[0, 1] = known[1, 0] = -moment
    known[1, 1] = second
    return True


@pjit
def mix(
    spectra: NDArray[np.float32],
    first: int,
    references: NDArray[np.float32],
    kind: NDArray[np.int32],
    fit: Fit,
    coefficients: NDArray[np.float64],
    covariance: NDArray[np.float64],
    residual: NDArray[np.float32],
    chi_square: NDArray[np.float32],
    chosen: NDArray[np.int32],
) -> None:
    """Fit references, and the pixel's own background anew, to each row.

    ``references (kind, shift, component, channel)``: those of the pixel's ``kind (pixel,)``
    (its resolution, or the pixel itself where its own low loss is in them) are tried at every
    shift and the one with the least chi-square is kept: ``chosen (pixel,)``.
    ``coefficients (pixel, component)`` and their ``covariance (pixel, component, component)``
    leave the background out;
    ``residual (pixel,)`` is the root mean square of what is left, counts. Nan where no
    background can be fitted.
    """
    _, shifts, k, channels = references.shape
    for p in prange(spectra.shape[0]):
        y = spectra[p, first : first + channels]
        parts = np.empty((k + 2, channels), np.float32)
        expected = np.empty(channels, np.float32)
        best_expected = np.empty(channels, np.float32)
        known = np.empty((2, 2))
        gram = np.empty((k + 2, k + 2))
        inverse = np.empty_like(gram)
        scratch = np.empty_like(gram)
        values = np.empty(k + 2)
        coefficients[p, :] = math.nan
        covariance[p, :, :] = math.nan
        residual[p] = np.float32(math.nan)
        chi_square[p] = np.float32(math.nan)
        chosen[p] = 0
        if not background_parts(spectra[p], fit, parts[k:], known):
            continue
        best = math.inf
        for s in range(shifts):
            parts[:k] = references[kind[p], s]
            chi = mix_row(y, parts, known, values, gram, expected)
            if chi < best:
                best = chi
                chosen[p] = s
                coefficients[p, :] = values[:k]
                best_expected[:] = expected
                invert(gram, scratch, inverse)
                covariance[p, :, :] = inverse[:k, :k]
        if best == math.inf:
            continue
        chi_square[p] = best
        total = np.float32(0.0)
        for i in range(channels):
            off = y[i] - best_expected[i]
            total += off * off
        residual[p] = math.sqrt(total / np.float32(channels))
