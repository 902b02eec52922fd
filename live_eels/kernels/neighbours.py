"""What a pixel borrows from the pixels around it: background slopes and energy drift."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from live_eels.kernels import jit
from live_eels.kernels.background import Fit, solve_sums


@jit
def local_slopes(
    sums: NDArray[np.float64],
    pixels: NDArray[np.int64],
    row_length: int,
    radius: int,
    fit: Fit,
    out: NDArray[np.float64],
) -> None:
    """Slope and log amplitude of the background of ``pixels``: ``out (pixel, 2)``.

    ``sums (scan pixels, 2)`` are what ``prepare.sum_fit`` gave for every pixel seen, zero
    elsewhere. The slope is that of all counts within ``radius`` (a disc of pixels); the
    amplitude is the pixel's own (local background averaging).
    """
    rows = sums.shape[0] // row_length
    for k in range(pixels.size):
        y, x = pixels[k] // row_length, pixels[k] % row_length
        total = 0.0
        moment = 0.0
        for j in range(max(y - radius, 0), min(y + radius + 1, rows)):
            for i in range(max(x - radius, 0), min(x + radius + 1, row_length)):
                if (j - y) * (j - y) + (i - x) * (i - x) <= radius * radius:
                    total += sums[j * row_length + i, 0]
                    moment += sums[j * row_length + i, 1]
        slope, log_amplitude = solve_sums(
            total, moment, fit.slopes, fit.log_norms, fit.mean_first, fit.mean_step
        )
        own = sums[pixels[k], 0]
        out[k, 0] = slope
        out[k, 1] = log_amplitude + math.log(own / total) if own > 0.0 else math.nan


def running_median(values: NDArray[np.float64], span: int) -> NDArray[np.float64]:
    """Median of ``values (pixel, kind)`` over ``span`` pixels around each, nan left out.

    Taken at every quarter span and joined by straight lines; nan only if all are nan.
    """
    pixels = len(values)
    span = min(span, pixels)
    step = max(span // 4, 1)
    starts = np.arange(0, pixels - span + 1, step)
    if starts[-1] != pixels - span:
        starts = np.append(starts, pixels - span)
    windows = sliding_window_view(values, span, axis=0)[starts]  # (start, kind, span)
    empty = np.asarray(np.isnan(windows).all(axis=-1))
    filled = np.where(empty[..., None], 0.0, windows)
    medians = np.where(empty, np.nan, np.nanmedian(filled, axis=-1))
    centres = starts + 0.5 * (span - 1)
    out = np.full(values.shape, np.nan)
    where = np.arange(pixels)
    for kind in range(values.shape[1]):
        good = np.isfinite(medians[:, kind])
        if good.any():
            out[:, kind] = np.interp(where, centres[good], medians[good, kind])
    return out


def drift(positions: NDArray[np.float32], span: int) -> NDArray[np.float32]:
    """Common movement of edges along the scan: float32 ``(pixel,)``, 0 where nothing is known.

    In the unit of ``positions (pixel, edge)``.

    Each edge's running median less its own median over all pixels says how far that edge has
    moved; the median over edges says how far the axis has: a chemical shift moves one edge in
    some pixels, drift moves all edges for a while.
    """
    moved = running_median(positions.astype(np.float64), span)
    known = np.isfinite(positions)
    if not known.any():
        return np.zeros(len(positions), np.float32)
    used = known.any(axis=0)
    moved = moved[:, used] - np.nanmedian(positions[:, used].astype(np.float64), axis=0)
    return np.median(moved, axis=1).astype(np.float32)
