"""Backgrounds under edges: A * E**-r and A * exp(-r * E), fitted to one spectrum at a time.

Both are ``A * exp(-r * t)`` with ``t = ln(E / E0)`` or ``t = E - E0``. For Poisson counts the
maximum-likelihood slope ``r`` depends on the fit channels only through the mean of ``t``
weighted by counts, and ``A`` only through their sum. So two sums and one look-up in a table
made once per energy axis give the exact Poisson fit: no logarithm per channel, no iteration,
and channels with zero counts need no special care.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import inlined, jit

_POINTS = 2048
_STEEPEST = 12.0  # |r| * (width of the fit window in t); beyond it the slope is noise

FLAT, POISSON, LOG_LOG = 0, 1, 2
"""How the background is fitted: not at all, Poisson maximum likelihood, log-log."""


class Fit(NamedTuple):
    """A background model on the channels of one axis.

    ``method`` is FLAT, POISSON or LOG_LOG; ``first`` the first fit channel; ``t`` and
    ``target`` float32 ``(fit channel,)`` and ``(target channel,)``: the centred regressor
    where it is fitted and where it is wanted. ``slopes`` float64 ``(point,)``: the slope
    whose counts balance at ``mean_first + point * mean_step``; ``log_norms`` float64, the
    logarithm of the sum of ``exp(-slope * t)`` there.
    """

    method: int
    first: int
    t: NDArray[np.float32]
    target: NDArray[np.float32]
    slopes: NDArray[np.float64]
    log_norms: NDArray[np.float64]
    mean_first: float
    mean_step: float


def make_fit(
    method: int,
    energies_ev: NDArray[np.float64],
    fit: slice,
    target: slice,
    *,
    logarithmic: bool,
) -> Fit:
    """Tables for a fit in the channels ``fit`` and its continuation in ``target``.

    ``logarithmic`` gives the power law (energies must be positive), else the exponential.
    """
    t_all = np.log(np.maximum(energies_ev, 1e-3)) if logarithmic else energies_ev.astype(float)
    centre = t_all[fit].mean()
    t = t_all[fit] - centre
    span = max(float(t[-1] - t[0]), 1e-12)
    grid = np.linspace(-_STEEPEST / span, _STEEPEST / span, 2 * _POINTS + 1)
    weight = np.exp(-np.outer(grid, t))
    norm = weight.sum(axis=1)
    mean = (weight @ t) / norm
    order = slice(None, None, -1)  # the mean falls as the slope grows
    means = np.linspace(mean[-1], mean[0], _POINTS)
    slopes = np.interp(means, mean[order], grid[order])
    log_norms = np.log(np.exp(-np.outer(slopes, t)).sum(axis=1))
    return Fit(
        method,
        int(fit.start),
        np.ascontiguousarray(t, dtype=np.float32),
        np.ascontiguousarray(t_all[target] - centre, dtype=np.float32),
        slopes,
        log_norms,
        float(means[0]),
        float(means[1] - means[0]),
    )


@jit
def quick_exp(x: Any) -> Any:
    """Exponential in float32 by plain multiplications, so that loops use vector registers.

    ``(Taylor of exp(x / 64)) ** 64``: right to 1e-5 of the value for ``|x| < 12`` and to 5e-4
    at 25.
    """
    z = x * np.float32(1.0 / 64.0)
    y = np.float32(1.0) + z * (
        np.float32(1.0)
        + z
        * (
            np.float32(0.5)
            + z
            * (np.float32(1.0 / 6.0) + z * (np.float32(1.0 / 24.0) + z * np.float32(1.0 / 120.0)))
        )
    )
    y = y * y
    y = y * y
    y = y * y
    y = y * y
    y = y * y
    return y * y


@jit
def fit_sums(x: NDArray[np.float32], first: int, t: NDArray[np.float32]) -> tuple[float, float]:
    """Sum of counts and of counts times ``t`` in the fit channels."""
    part = x[first : first + t.size]
    total = np.float32(0.0)
    moment = np.float32(0.0)
    for i in range(t.size):
        total += part[i]
        moment += part[i] * t[i]
    return float(total), float(moment)


@jit
def solve_sums(
    total: float,
    moment: float,
    slopes: NDArray[np.float64],
    log_norms: NDArray[np.float64],
    mean_first: float,
    mean_step: float,
) -> tuple[float, float]:
    """Slope and log amplitude that Poisson likelihood prefers; nan, nan without counts."""
    if not total > 0.0:
        return math.nan, math.nan
    at = (moment / total - mean_first) / mean_step
    at = min(max(at, 0.0), slopes.size - 1.000001)
    i = int(at)
    part = at - i
    slope = slopes[i] + part * (slopes[i + 1] - slopes[i])
    norm = log_norms[i] + part * (log_norms[i + 1] - log_norms[i])
    return slope, math.log(total) - norm


@jit
def fit_log_log(x: NDArray[np.float32], first: int, t: NDArray[np.float32]) -> tuple[float, float]:
    """Slope and log amplitude by least squares on logarithms.

    Channels without counts cannot take part, which biases it at low dose: use the Poisson fit
    there.
    """
    n = 0
    sum_t = 0.0
    sum_y = 0.0
    sum_tt = 0.0
    sum_ty = 0.0
    for i in range(t.size):
        counts = x[first + i]
        if counts > np.float32(0.0):
            y = math.log(counts)
            n += 1
            sum_t += t[i]
            sum_y += y
            sum_tt += t[i] * t[i]
            sum_ty += t[i] * y
    spread = n * sum_tt - sum_t * sum_t
    if n < 3 or not spread > 0.0:
        return math.nan, math.nan
    slope = -(n * sum_ty - sum_t * sum_y) / spread
    return slope, (sum_y + slope * sum_t) / n


@jit
def fit_row(x: NDArray[np.float32], fit: Fit) -> tuple[float, float]:
    """Slope and log amplitude of the background of ``x``; nan, nan where there is none."""
    if fit.method == 2:
        return fit_log_log(x, fit.first, fit.t)
    total, moment = fit_sums(x, fit.first, fit.t)
    return solve_sums(total, moment, fit.slopes, fit.log_norms, fit.mean_first, fit.mean_step)


@jit
def fill_row(
    slope: float, log_amplitude: float, t: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """``exp(log_amplitude - slope * t)`` into ``out``."""
    amplitude = np.float32(math.exp(log_amplitude))
    steep = np.float32(-slope)
    for i in range(t.size):
        out[i] = amplitude * quick_exp(steep * t[i])


@inlined
def chi_square_row(
    x: NDArray[np.float32], first: int, t: NDArray[np.float32], slope: float, log_amplitude: float
) -> float:
    """Reduced chi-square of the fit, with Poisson variances; 1 is what noise alone gives."""
    amplitude = np.float32(math.exp(log_amplitude))
    steep = np.float32(-slope)
    part = x[first : first + t.size]
    total = np.float32(0.0)
    for i in range(t.size):
        expected = amplitude * quick_exp(steep * t[i])
        off = part[i] - expected
        total += off * off / (expected + np.float32(1e-6))
    return float(total) / max(t.size - 2, 1)
