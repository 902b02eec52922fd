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
_SHARE = 0.3  # a real feature between two channels changes less than this; a fault, more


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
    The channel that departs most from a cubic through its four neighbours, beyond noise,
    beyond 30 % and beyond half the steps beside it, is bad; it is bridged and the rest looked
    at again, for a hot channel makes its neighbours look dead.
    """
    x = np.array(total, dtype=np.float64)
    bad = set(known.tolist())
    for channel in sorted(bad):
        _bridge(x, channel, bad)
    for _ in range(MOST_BAD):
        excess = _departure(x)
        worst = int(np.argmax(excess))
        if excess[worst] <= 0:
            return np.array(sorted(bad), dtype=np.int32)
        bad.add(worst + 2)
        _bridge(x, worst + 2, bad)
    return known


def _departure(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each channel but the outer two departs: above 0 is bad."""
    near = 0.5 * (x[1:-3] + x[3:-1])
    mid = 0.5 * (x[:-4] + x[4:])
    cubic = (4.0 * near - mid) / 3.0
    steps = np.abs(x[1:-3] - x[:-4]) + np.abs(x[3:-1] - x[4:])
    level = np.maximum(np.maximum(cubic, near), 0.0)
    needed = _SIGMAS * np.sqrt(1.94 * level + 1.0) + _SHARE * level + 0.5 * steps
    departure: NDArray[np.float64] = np.abs(x[2:-2] - cubic) / needed - 1.0
    return departure


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
