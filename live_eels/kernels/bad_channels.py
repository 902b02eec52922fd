"""Channels that are wrong in every spectrum: hot or dead, found in the mean spectrum.

The mean over many pixels has little noise, and a detector's faults stay in their channel
while the specimen's features move and smear; so what still stands alone there is the detector.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_BAD = 64
"""More channels than that are not faults of single channels."""

_SIGMAS = 8.0
_HOT_BEND = 0.08  # of its height beside a bridged hot channel; a line 1.5 channels wide has more
_MOST_HOT = 2  # side by side; more are the top of a line
_DEAD_BEND = 0.3  # no line looks like a dead channel, but its shoulders do
_SHARE = 0.3  # a real feature between two channels changes less than this; a fault, more
_EMPTY = 16.0  # counts beside a channel that has none: chance makes e**-16 of such
_QUARTER = 0.1015  # of squares of what is normally distributed lie below, for variance 1


def find_bad_channels(total: NDArray[np.float64], known: NDArray[np.int32]) -> NDArray[np.int32]:
    """Bad channels of a summed spectrum, with those already ``known``: int32, sorted.

    Parameters
    ----------
    total
        Counts summed over pixels, dark and gain corrected, float64 ``(channel,)``.
    known
        Channels known to be bad.

    Notes
    -----
    Each channel is predicted three ways: by a cubic through the second and third channels on
    both sides, and from either side alone. One that departs from all three, beyond noise,
    beyond 30 % and beyond the gentler of the steps beside it, is bad; those are bridged and
    the rest looked at again. Three ways, because beside a hot channel some of them fail. Noise
    is that of the counts and what the channels have in common beyond it (readout). A channel
    without any count among others that have plenty is bad however few those are. What bends
    beside them when they are bridged is the shoulder of a line, down to a full width of 1.5
    channels; no hot channel has one.
    """
    x = np.array(total, dtype=np.float64)
    bad = set(known.tolist())
    for channel in sorted(bad):
        _bridge(x, channel, bad)
    while len(bad) - known.size <= MOST_BAD:
        departure, readout = _departure(x)
        found = set(np.flatnonzero(departure > 0).tolist()) - bad
        found = _faults(x, found, bad, readout)
        if not found:
            return np.array(sorted(bad), dtype=np.int32)
        bad |= found
        for channel in sorted(bad):
            _bridge(x, channel, bad)
    return known


def _departure(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """How far each channel but the outer two departs: above 0 is bad; variance of readout."""
    n = x.size
    padded = np.pad(x, 3, mode="edge")
    beside = [padded[3 + k : 3 + k + n] for k in (-3, -2, -1, 1, 2, 3)]
    l3, l2, l1, r1, r2, r3 = beside
    expected = np.stack(
        [
            0.9 * (l2 + r2) - 0.4 * (l3 + r3),
            1.5 * l1 - 0.5 * l3,
            1.5 * r1 - 0.5 * r3,
        ]
    )
    around = np.sort(np.stack(beside), axis=0)
    level = np.maximum(0.5 * (around[2] + around[3]), 0.0)
    # The gentler side counts: a hot neighbour on one side is no structure.
    steps = np.minimum(np.abs(l1 - l2), np.abs(r1 - r2))
    more = (x - expected[0]) ** 2 / _QUARTER - (3.5 * level + 1.0)
    readout = max(float(np.quantile(more, 0.25)) / 3.5, 0.0)
    needed = _SIGMAS * np.sqrt(3.5 * (level + readout) + 1.0) + _SHARE * level + steps
    departure = np.asarray(np.abs(x - expected).min(axis=0) / needed - 1.0)
    plenty = _EMPTY + _SIGMAS * np.sqrt(readout)
    departure[(x <= 0.0) & (around[1] >= plenty)] = np.inf  # its neighbour may be empty, too
    departure[:2] = departure[-2:] = -1.0
    return departure, readout


def _faults(x: NDArray[np.float64], found: set[int], bad: set[int], readout: float) -> set[int]:
    """Those of the channels ``found`` without which their surroundings are smooth.

    A sharp line departs channel by channel, too, but leaves its shoulders.
    """
    smooth = x.copy()
    for channel in sorted(found):
        _bridge(smooth, channel, found | bad)
    bend = np.zeros_like(x)
    bend[1:-1] = np.abs(smooth[:-2] - 2 * smooth[1:-1] + smooth[2:])
    channels = np.array(sorted(found), dtype=np.intp)
    faults: set[int] = set()
    for run in np.split(channels, np.flatnonzero(np.diff(channels) > 1) + 1):
        if not run.size:
            continue
        around = slice(max(int(run[0]) - 1, 0), int(run[-1]) + 2)
        heights = x[run] - smooth[run]
        height = float(heights[np.abs(heights).argmin()])
        if height > 0 and run.size > _MOST_HOT:
            continue
        share = _HOT_BEND if height > 0 else _DEAD_BEND
        noise = 5.0 * np.sqrt(6.0 * (max(float(smooth[around].max()), 1.0) + readout))
        if bend[around].max() <= share * abs(height) + noise:
            faults |= set(run.tolist())
    return faults


def _bridge(x: NDArray[np.float64], channel: int, bad: set[int]) -> None:
    left, right = channel - 1, channel + 1
    while left in bad:
        left -= 1
    while right in bad:
        right += 1
    if left < 0:
        x[channel] = x[min(right, x.size - 1)]
    elif right >= x.size:
        x[channel] = x[left]
    else:
        x[channel] = x[left] + (x[right] - x[left]) * (channel - left) / (right - left)
