"""Plain twin of ``live_eels.kernels.align``."""

from __future__ import annotations

import math

import numpy as np


def flank(x, top, step, half):
    padded = np.concatenate([[0.0], x, [0.0]])  # so that "beyond the end" is 0
    i = top
    while 0 <= i + step < len(x):
        here, next_, beyond = padded[i + 1], padded[i + step + 1], 0.0
        if 0 <= i + 2 * step < len(x):
            beyond = padded[i + 2 * step + 1]
        if next_ < half and beyond < half:
            part = (here - half) / (here - next_) if here > next_ else 0.5
            return i + step * min(max(part, 0.0), 1.0)
        i += step
    return math.nan


def find_zlp_row(x, first, last, least_counts):
    x = np.asarray(x, float)
    sums = np.zeros(len(x))
    sums[1:-1] = x[:-2] + x[1:-1] + x[2:]
    outside = np.ones(len(x), bool)
    outside[max(first, 1) : min(last, len(x) - 1)] = False
    sums[outside] = 0
    top = int(np.argmax(sums))
    if sums[top] <= 0:
        return math.nan, math.nan
    for i in range(max(first, 1), top + 1):  # is there a clear peak before the highest?
        before = sums[max(first, 1) : i + 1]
        peak = int(np.argmax(before))
        dip = before[peak:].min()
        clear = before[peak] >= 0.2 * sums[top] and dip < 0.7 * before[peak]
        if clear and before[peak] - dip > 4 * math.sqrt(before[peak]):
            top = max(first, 1) + peak
            break
    half = 0.5 * max(x[top], sums[top] / 3)
    left, right = flank(x, top, -1, half), flank(x, top, 1, half)
    if not right > left:
        return math.nan, math.nan
    reach = max(1.2 * (right - left), 2.0)
    centre = 0.5 * (left + right)
    at = np.arange(len(x))
    for _ in range(12):
        inside = np.abs(at - centre) <= reach
        weight = (1 - ((at - centre) / reach) ** 2) ** 2 * inside * x
        counts = x[inside].sum()
        if weight.sum() <= 0:
            return math.nan, math.nan
        step = 1.7 * (weight * (at - centre)).sum() / weight.sum()
        centre += float(np.clip(step, -0.5 * reach, 0.5 * reach))
        if abs(step) < 1e-4:
            break
    before = x[max(int(centre - 2 * reach), 0) : max(int(centre - reach), 0)]
    excess = counts - (before.mean() * 2 * reach if before.size else 0.0)
    if excess < least_counts or excess < 5 * math.sqrt(max(counts, 0)):
        return math.nan, math.nan
    if not first <= centre <= last:
        return math.nan, math.nan
    return centre, right - left


def shift_row(x, channels):
    """Linear interpolation; ends repeated."""
    at = np.arange(len(x))
    return np.interp(at - channels, at, np.asarray(x, float))


def edge_position_row(x, first, last, reach):
    x = np.asarray(x, float)
    begin, end = max(first, reach), min(last, len(x) - reach - 1)
    if end - begin < 2:
        return math.nan
    rises = np.array([x[i : i + reach].sum() - x[i - reach : i].sum() for i in range(begin, end)])
    best = int(np.argmax(rises))
    at = begin + best
    noise = x[at - reach : at + reach].sum()
    if not 0 < best < len(rises) - 1 or rises[best] < 5 * math.sqrt(max(noise, 1)):
        return math.nan
    lower, top, upper = rises[best - 1 : best + 2]
    bend = lower - 2 * top + upper
    return at - 0.5 + (0.5 * (lower - upper) / bend if bend < 0 else 0.0)
