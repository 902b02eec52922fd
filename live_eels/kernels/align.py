"""Where a spectrum lies on its energy axis, and moving it: one spectrum at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import jit

_ITERATIONS = 12
_OVERSTEP = 1.7  # a plain mean-shift step goes half way on a peak as wide as its weight


@jit
def _flank(x: NDArray[np.float32], top: int, step: int, half: float) -> float:
    """Where ``x`` falls through ``half``, walking from ``top``; nan if it never does.

    Two channels in a row must lie below: one low channel in the noise is not the flank.
    """
    i = top
    while True:
        j = i + step
        if j < 0 or j >= x.size:
            return math.nan
        k = j + step
        beyond = x[k] if 0 <= k < x.size else np.float32(0.0)
        if x[j] < half and beyond < half:
            drop = x[i] - x[j]
            part = (x[i] - half) / drop if drop > 0 else 0.5
            return i + step * min(max(part, 0.0), 1.0)
        i = j


@jit
def first_peak(x: NDArray[np.float32], first: int, top: int, best: Any) -> tuple[int, Any]:
    """The first clear maximum of three-channel sums from ``first`` to that at ``top``.

    ``best`` is the sum at ``top``. In a thick specimen the plasmons outgrow the zero-loss
    peak, but none lies before it. Clear is a fifth of the highest, and a valley after it that
    is lower by 30 % and by four standard deviations.
    """
    peak = np.float32(0.0)
    dip = np.float32(0.0)
    at = first
    for i in range(first, top + 1):
        total = x[i - 1] + x[i] + x[i + 1]
        if total > peak:
            peak = total
            dip = total
            at = i
        elif total < dip:
            dip = total
        clear = peak >= np.float32(0.2) * best and dip < np.float32(0.7) * peak
        if clear and peak - dip > 4.0 * math.sqrt(peak):
            return at, peak
    return top, best


@jit
def find_zlp_row(
    x: NDArray[np.float32], first: int, last: int, least_counts: float
) -> tuple[float, float]:
    """Centre and full width at half maximum of the zero-loss peak, in channels.

    The highest of three-channel sums in ``first..last`` is the peak, or a clear one before it
    (a plasmon may be higher: ``first_peak``); its flanks give the
    width; the centre is where counts weighted with a smooth window of that width balance
    (a Tukey biweight M-estimate: nearly all of the statistical information of a Gaussian,
    no pull from plasmons or a long tail, and a saturated flat top weighs on both sides
    alike). nan, nan if nothing there stands out with ``least_counts`` counts.
    """
    top = -1
    best = np.float32(0.0)
    for i in range(max(first, 1), min(last, x.size - 1)):
        total = x[i - 1] + x[i] + x[i + 1]
        if total > best:
            best = total
            top = i
    if top < 0:
        return math.nan, math.nan
    top, best = first_peak(x, max(first, 1), top, best)
    highest = max(x[top], np.float32(best / np.float32(3.0)))
    left = _flank(x, top, -1, 0.5 * highest)
    right = _flank(x, top, 1, 0.5 * highest)
    if not (right > left):
        return math.nan, math.nan
    width = right - left
    reach = max(1.2 * width, 2.0)
    centre = 0.5 * (left + right)
    counts = 0.0
    for _ in range(_ITERATIONS):
        low = max(math.ceil(centre - reach), 0)
        high = min(math.floor(centre + reach), x.size - 1)
        total = 0.0
        moment = 0.0
        counts = 0.0
        for i in range(low, high + 1):
            u = (i - centre) / reach
            weight = (1.0 - u * u) * (1.0 - u * u) * x[i]
            total += weight
            moment += weight * (i - centre)
            counts += x[i]
        if not total > 0.0:
            return math.nan, math.nan
        step = _OVERSTEP * moment / total
        centre += min(max(step, -0.5 * reach), 0.5 * reach)
        if abs(step) < 1e-4:
            break
    beside = 0.0
    channels = 0
    for i in range(max(int(centre - 2.0 * reach), 0), max(int(centre - reach), 0)):
        beside += x[i]
        channels += 1
    # Before the peak no electron has gained energy: counts there are noise, not loss.
    floor = beside / channels * (2.0 * reach) if channels else 0.0
    excess = counts - floor
    if excess < least_counts or excess < 5.0 * math.sqrt(max(counts, 0.0)):
        return math.nan, math.nan
    if centre < first or centre > last:
        return math.nan, math.nan
    return centre, width


@jit
def shift_row(x: NDArray[np.float32], channels: float, out: NDArray[np.float32]) -> None:
    """``x`` moved up the axis by ``channels`` (a fraction allowed) into ``out``.

    Each channel's counts are shared between the two it then overlaps, so counts are
    conserved; where nothing was measured the end channel is repeated.
    """
    size = x.size
    whole = math.floor(-channels)
    part = np.float32(-channels - whole)
    if part < np.float32(1e-6):
        part = np.float32(0.0)
    rest = np.float32(1.0) - part
    start = min(max(-whole, 0), size)
    stop = max(min(size - 1 - whole, size), start)
    for i in range(start):
        out[i] = x[0]
    # A slice each, so that the loop reads forward from two fixed places.
    near = x[start + whole : stop + whole]
    next_ = x[start + whole + 1 : stop + whole + 1]
    target = out[start:stop]
    for i in range(stop - start):
        target[i] = rest * near[i] + part * next_[i]
    for i in range(stop, size):
        out[i] = x[size - 1]


@jit
def edge_position_row(x: NDArray[np.float32], first: int, last: int, reach: int) -> float:
    """Where the steepest rise lies in ``first..last``, in channels; nan without one.

    The rise at a channel is the sum of ``reach`` channels after it less that before it: a
    step filter matched to an onset of that width. The maximum is refined by a parabola. A
    rise below five standard deviations of its counting noise is none.
    """
    begin = max(first, reach)
    end = min(last, x.size - reach - 1)
    if end - begin < 2:
        return math.nan
    before = 0.0
    after = 0.0
    for j in range(reach):
        before += x[begin - 1 - j]
        after += x[begin + j]
    best = 0.0
    noise = 0.0
    at = -1
    for i in range(begin, end):
        rise = after - before
        if rise > best:
            best = rise
            noise = after + before
            at = i
        after += x[i + reach] - x[i]
        before += x[i] - x[i - reach]
    if at <= begin or at >= end - 1 or best < 5.0 * math.sqrt(max(noise, 1.0)):
        return math.nan
    before = 0.0
    after = 0.0
    for j in range(reach):
        before += x[at - 2 - j]
        after += x[at - 1 + j]
    lower = after - before
    before = 0.0
    after = 0.0
    for j in range(reach):
        before += x[at - j]
        after += x[at + 1 + j]
    upper = after - before
    bend = lower - 2.0 * best + upper
    if bend >= 0.0:
        return float(at) - 0.5
    # The rise at i sits between channels i - 1 and i.
    return at - 0.5 + 0.5 * (lower - upper) / bend


@jit
def edge_positions(
    spectra: NDArray[Any], first: int, last: int, reach: int, out: NDArray[np.float32]
) -> None:
    """``edge_position_row`` of each row of ``spectra (pixel, channel)`` into ``out``."""
    for p in range(spectra.shape[0]):
        out[p] = edge_position_row(spectra[p], first, last, reach)


def variance_kept(shift: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of each channel's variance that ``shift_row`` leaves: float32 ``(pixel,)``.

    A shift by a part of a channel averages two neighbours; sums over channels keep their
    variance, but chi-squares by channel come out smaller by this.
    """
    part = shift - np.floor(shift)
    return np.asarray(part * part + (1.0 - part) * (1.0 - part), dtype=np.float32)
