"""White lines of one spectrum: positions, areas above a double arctan step, their ratio."""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from live_eels.kernels import jit, pjit
from live_eels.kernels.align import find_zlp_row
from live_eels.kernels.background import Fit

CERTAIN = 5.0
"""L3 must stand so many standard deviations above the step to be a line."""

STEP_WIDTH_EV = 1.0
"""Width of each arctan of the continuum step."""

RATIO, RATIO_ERROR, POSITION, WIDTH, L3_COUNTS, L2_COUNTS = 0, 1, 2, 3, 4, 5
"""Columns of what ``white_lines`` gives."""


@jit
def sum_between(x: NDArray[np.float32], low: float, high: float) -> float:
    """Integral of ``x`` from ``low`` to ``high`` in channels, ends taken in part.

    Channel i reaches from i - 0.5 to i + 0.5.
    """
    total = 0.0
    first = math.floor(low + 0.5)
    last = math.floor(high + 0.5)
    for i in range(max(first, 0), min(last, x.size - 1) + 1):
        part = min(high, i + 0.5) - max(low, i - 0.5)
        total += part * x[i]
    return total


@jit
def step_between(low: float, high: float, l3: float, l2: float, width: float) -> float:
    """Integral of a double arctan step of height 1 (2/3 at ``l3``, 1/3 at ``l2``)."""
    total = 0.0
    for k in range(2):
        at = l3 if k == 0 else l2
        height = 2.0 / 3.0 if k == 0 else 1.0 / 3.0
        upper = (high - at) / width
        lower = (low - at) / width
        area = upper * math.atan(upper) - 0.5 * math.log(1.0 + upper * upper)
        area -= lower * math.atan(lower) - 0.5 * math.log(1.0 + lower * lower)
        total += height * (width * area / math.pi + 0.5 * (high - low))
    return total


@pjit
def white_lines(
    net: NDArray[np.float32],
    under: NDArray[np.float32],
    gross: NDArray[np.float32],
    fit_counts: NDArray[np.float64],
    fit: Fit,
    search: tuple[int, int],
    split: float,
    half_width: float,
    step_width: float,
    plateau: tuple[float, float],
    out: NDArray[np.float32],
) -> None:
    """Measure L3 and L2 of each row of ``net (pixel, channel)``; all lengths in channels.

    ``net`` is free of background, perhaps also of plural scattering; ``gross`` are the counts
    as measured and ``under`` the background in them, for the errors, as are ``fit_counts
    (pixel, 2)`` (``prepare.sum_fit``) of ``fit``. L3 is the peak within ``search``; L2 lies
    ``split`` above it. The step is scaled to the mean between ``plateau[0]`` and ``plateau[1]``
    after L2; what is above it within ``half_width`` of each line is the line's area.

    ``out (pixel, 6)``: ratio L3/L2, its Poisson error, L3 position, L3 full width at half
    maximum, L3 and L2 counts above the step; nan where L3 is lost in the noise, and no ratio where
    L2 is.
    """
    channels = net.shape[1]
    spread = 0.0
    for i in range(fit.t.size):
        spread += fit.t[i] * fit.t[i]
    spread /= fit.t.size
    for p in prange(net.shape[0]):
        out[p, :] = np.float32(math.nan)
        l3, width = find_zlp_row(net[p], search[0], search[1], 10.0)
        if math.isnan(l3):
            continue
        l2 = l3 + split
        low, high = l2 + plateau[0], min(l2 + plateau[1], channels - 0.5)
        if high - low < 1.0:
            continue
        flat = step_between(low, high, l3, l2, step_width)
        height = sum_between(net[p], low, high) / flat
        lines = np.empty(2)
        variances = np.empty(2)
        for k in range(2):
            at = l3 if k == 0 else l2
            begin, end = at - half_width, min(at + half_width, channels - 0.5)
            step = step_between(begin, end, l3, l2, step_width)
            lines[k] = sum_between(net[p], begin, end) - height * step
            share = step / flat
            variance = sum_between(gross[p], begin, end)
            variance += share * share * sum_between(gross[p], low, high)
            if fit_counts[p, 0] > 0.0:
                # The background's error, less what the plateau takes away with it.
                here = sum_between(under[p], begin, end)
                here -= share * sum_between(under[p], low, high)
                far = fit.target[min(max(int(at), 0), channels - 1)]
                variance += here * here * (1.0 + far * far / spread) / fit_counts[p, 0]
            variances[k] = max(variance, 1.0)
        if not lines[0] > CERTAIN * math.sqrt(variances[0]):
            continue
        out[p, 2] = l3
        out[p, 3] = width
        out[p, 4] = lines[0]
        out[p, 5] = lines[1]
        if lines[1] > math.sqrt(variances[1]):  # else the ratio may be anything
            ratio = lines[0] / lines[1]
            relative = variances[0] / (lines[0] * lines[0]) + variances[1] / (lines[1] * lines[1])
            out[p, 0] = ratio
            out[p, 1] = ratio * math.sqrt(relative)
