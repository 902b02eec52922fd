"""The preprocessing of a chunk: rows of ``(pixel, channel)`` through correct, align, background.

Each row while it is in cache, on the calling thread alone: other cores have other stages to
run. What a row becomes depends on that row and on the arguments alone, so any cutting of a
scan into chunks gives the same numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import jit
from live_eels.kernels.align import edge_position_row, find_zlp_row, shift_row
from live_eels.kernels.background import Fit, chi_square_row, fill_row, fit_row, fit_sums
from live_eels.kernels.correct import Correction, bridge_list, correct_row, repair_nan_row
from live_eels.kernels.rarity import Threshold
from live_eels.kernels.spikes import Reference, repair_spikes_row

SPIKES, SATURATED, NO_ZLP, NO_BACKGROUND, FEW_COUNTS = 1, 2, 4, 8, 16
"""Bits of the quality flags, as ``spectra.QUALITY_FLAGS`` names them."""


@jit
def prepare_low(
    raw: NDArray[Any],
    correction: Correction,
    search: tuple[int, int],
    zero: float,
    least_counts: float,
    aligned: NDArray[np.float32],
    shift: NDArray[np.float32],
    width: NDArray[np.float32],
    flags: NDArray[np.uint8],
) -> None:
    """Correct low-loss rows and bring the zero-loss peak to channel ``zero``.

    It is looked for among channels ``search``. ``aligned (pixel, channel)``; ``shift`` and
    ``width (pixel,)`` in
    channels, 0 and nan with flag NO_ZLP where no peak is found.
    """
    for p in range(raw.shape[0]):
        row = np.empty(raw.shape[1], np.float32)
        flag = 0
        if correct_row(raw[p], correction.dark, correction.scale, correction.top, row) > 0:
            flag |= 2
        repair_nan_row(row)
        bridge_list(row, correction.bad, correction.bad.size)
        centre, wide = find_zlp_row(row, search[0], search[1], least_counts)
        width[p] = wide
        if math.isnan(centre):
            shift[p] = np.float32(0.0)
            flag |= 4
            aligned[p, :] = row
        else:
            shift[p] = zero - centre
            shift_row(row, zero - centre, aligned[p])
        flags[p] |= np.uint8(flag)


@jit
def prepare_core(
    raw: NDArray[Any],
    correction: Correction,
    rare: Threshold,
    reference: Reference,
    shift: NDArray[np.float32],
    aligned: NDArray[np.float32],
    spikes: NDArray[np.int32],
    spike_channels: NDArray[np.int32],
    flags: NDArray[np.uint8],
) -> None:
    """Correct core-loss rows, repair spikes, move each up by ``shift (pixel,)`` channels.

    ``rare.sigmas`` 0 looks for no spikes.
    ``aligned (pixel, channel)``; ``spikes (pixel,)`` how many channels were repaired and
    ``spike_channels (pixel, spike)`` which; bits are added to ``flags``.
    """
    for p in range(raw.shape[0]):
        row = np.empty(raw.shape[1], np.float32)
        flag = 0
        if correct_row(raw[p], correction.dark, correction.scale, correction.top, row) > 0:
            flag |= 2
        if repair_nan_row(row) > 0:
            flag |= 1
        bridge_list(row, correction.bad, correction.bad.size)
        spikes[p] = 0
        if rare.sigmas > 0:
            spikes[p] = repair_spikes_row(row, rare, reference, spike_channels[p])
            if spikes[p] > 0:
                flag |= 1
        shift_row(row, shift[p], aligned[p])
        flags[p] |= np.uint8(flag)


@jit
def shift_rows(
    spectra: NDArray[np.float32], shift: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Move each row up the axis by ``shift (pixel,)`` channels into ``out``."""
    for p in range(spectra.shape[0]):
        shift_row(spectra[p], shift[p], out[p])


@jit
def find_edges(
    spectra: NDArray[np.float32],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    reach: int,
    out: NDArray[np.float32],
) -> None:
    """Steepest rise of each row in each search range ``first..last (edge,)``.

    ``out (pixel, edge)``, channels, nan where there is none.
    """
    for p in range(spectra.shape[0]):
        for e in range(first.size):
            out[p, e] = edge_position_row(spectra[p], first[e], last[e], reach)


@jit
def sum_fit(spectra: NDArray[np.float32], fit: Fit, out: NDArray[np.float64]) -> None:
    """What a Poisson background fit needs of each row: ``out (pixel, 2)``.

    Counts and counts times ``t`` in the fit window. Sums of rows fit the mean of rows.
    """
    for p in range(spectra.shape[0]):
        total, moment = fit_sums(spectra[p], fit.first, fit.t)
        out[p, 0] = total
        out[p, 1] = moment


@jit
def subtract(
    spectra: NDArray[np.float32],
    fit: Fit,
    given: NDArray[np.float64],
    first: int,
    least_counts: float,
    signal: NDArray[np.float32],
    background: NDArray[np.float32],
    chi_square: NDArray[np.float32],
    flags: NDArray[np.uint8],
) -> None:
    """Fit the background of each row and take it from the channels ``first`` on.

    ``given (pixel, 2)`` holds slopes and log amplitudes found elsewhere (local averaging);
    with no rows the fit is the row's own. ``signal`` and ``background (pixel, window
    channel)``; ``chi_square (pixel,)`` of the fit, nan where there is none.
    """
    channels = signal.shape[1]
    for p in range(spectra.shape[0]):
        part = spectra[p, first : first + channels]
        flag = 0
        total = np.float32(0.0)
        for i in range(channels):
            total += part[i]
        if total < least_counts:
            flag |= 16
        slope, log_amplitude = math.nan, math.nan
        if fit.method != 0:
            if given.shape[0] > 0:
                slope, log_amplitude = given[p, 0], given[p, 1]
            else:
                slope, log_amplitude = fit_row(spectra[p], fit)
        if math.isnan(slope):
            chi_square[p] = np.float32(math.nan)
            if fit.method != 0:
                flag |= 8
            for i in range(channels):
                background[p, i] = np.float32(0.0)
                signal[p, i] = part[i]
        else:
            chi_square[p] = chi_square_row(spectra[p], fit.first, fit.t, slope, log_amplitude)
            fill_row(slope, log_amplitude, fit.target, background[p])
            for i in range(channels):
                signal[p, i] = part[i] - background[p, i]
        flags[p] |= np.uint8(flag)


__all__ = [
    "FEW_COUNTS",
    "NO_BACKGROUND",
    "NO_ZLP",
    "SATURATED",
    "SPIKES",
    "find_edges",
    "prepare_core",
    "prepare_low",
    "shift_rows",
    "subtract",
    "sum_fit",
]
