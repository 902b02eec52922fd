"""Window sums less the background under them, with Poisson error."""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from live_eels.kernels import pjit
from live_eels.kernels.background import Fit, fit_sums


@pjit
def net_counts(
    spectra: NDArray[np.float32],
    first: int,
    last: int,
    fit: Fit,
    ratio: NDArray[np.float64],
    ratio_slope: NDArray[np.float64],
    spread: NDArray[np.float64],
    net: NDArray[np.float32],
    error: NDArray[np.float32],
) -> None:
    """Counts in channels ``first..last - 1`` less the background that ``fit`` continues there.

    ``net (pixel,)`` and its standard deviation ``error (pixel,)``.

    ``ratio``, ``ratio_slope`` and ``spread (point,)`` belong to the slopes of ``fit``: the
    background in the window per count in the fit window, its derivative, and the variance of
    the regressor. The variance is that of the window's own counts, plus that of the fitted
    amplitude, plus that of the fitted slope.
    """
    for p in prange(spectra.shape[0]):
        total, moment = fit_sums(spectra[p], fit.first, fit.t)
        gross = np.float32(0.0)
        part = spectra[p, first:last]
        for i in range(part.size):
            gross += part[i]
        if not total > 0.0:
            net[p] = np.float32(math.nan)
            error[p] = np.float32(math.nan)
            continue
        at = (moment / total - fit.mean_first) / fit.mean_step
        at = min(max(at, 0.0), fit.slopes.size - 1.000001)
        i = int(at)
        w = at - i
        share = ratio[i] + w * (ratio[i + 1] - ratio[i])
        slope = ratio_slope[i] + w * (ratio_slope[i + 1] - ratio_slope[i])
        wide = spread[i] + w * (spread[i + 1] - spread[i])
        net[p] = gross - total * share
        variance = max(gross, np.float32(1.0)) + share * share * total
        variance += slope * slope * total / wide
        error[p] = math.sqrt(variance)


@pjit
def elastic_counts(
    low: NDArray[np.float32],
    zero: int,
    width: NDArray[np.float32],
    reach: float,
    elastic: NDArray[np.float32],
    total: NDArray[np.float32],
    cut: NDArray[np.float32],
) -> None:
    """Split each low loss into its zero-loss peak and the rest.

    ``zero`` is the channel of 0 eV and ``width (pixel,)`` the peak's full width in channels
    (nan: no peak). The cut lies where the loss is least between 1.5 widths and ``reach``
    channels, at ``cut (pixel,)`` channels of loss. ``elastic (pixel,)`` are the counts up to
    there from as far on the other side, and twice those farther out on that side: no electron
    gains energy, so those are the detector's tails, which reach as far into the loss.
    ``total (pixel,)`` are all counts.
    """
    size = low.shape[1]
    for p in prange(low.shape[0]):
        if not width[p] > 0.0:
            elastic[p] = np.float32(math.nan)
            total[p] = np.float32(math.nan)
            cut[p] = np.float32(math.nan)
            continue
        first = min(zero + max(int(1.5 * width[p]), 2), size - 1)
        last = min(max(zero + int(reach), first + 2), size - 1)
        half = max(int(0.25 * width[p]), 1)
        at = first
        least = np.float32(math.inf)
        for i in range(first, last):
            box = np.float32(0.0)
            for j in range(max(i - half, 0), min(i + half + 1, size)):
                box += low[p, j]
            if box < least:
                least = box
                at = i
        begin = max(2 * zero - at, 0)
        peak = np.float32(0.0)
        for i in range(begin, at):
            peak += low[p, i]
        tail = np.float32(0.0)
        for i in range(begin):
            tail += low[p, i]
        rest = np.float32(0.0)
        for i in range(at, size):
            rest += low[p, i]
        elastic[p] = peak + np.float32(2.0) * tail
        total[p] = tail + peak + rest
        cut[p] = np.float32(at - zero)
