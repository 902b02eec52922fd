"""Detector corrections of one spectrum: dark, gain, channels that measure nothing."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import jit


class Correction(NamedTuple):
    """What a signal's detector needs, all float32 ``(channel,)`` unless said.

    ``dark`` in counts; ``scale`` is 1 / gain; ``top`` (float32) is the count at which a
    channel is saturated; ``bad`` int32 (bad channel,), sorted.
    """

    dark: NDArray[np.float32]
    scale: NDArray[np.float32]
    top: Any
    bad: NDArray[np.int32]


@jit
def finite(x: float) -> bool:
    """Whether ``x`` is a number. Not isfinite, whose ``x - x`` re-association may fold."""
    return abs(x) < math.inf


@jit
def correct_row(
    raw: NDArray[Any],
    dark: NDArray[np.float32],
    scale: NDArray[np.float32],
    top: Any,
    out: NDArray[np.float32],
) -> int:
    """``(raw - dark) * scale`` into ``out``; returns the number of saturated channels."""
    saturated = 0
    for i in range(raw.size):
        value = np.float32(raw[i])
        if value >= top:
            saturated += 1
        out[i] = (value - dark[i]) * scale[i]
    return saturated


@jit
def bridge(x: NDArray[np.float32], first: int, last: int) -> None:
    """Replace channels ``first..last`` by the line between their outer neighbours."""
    left, right = first - 1, last + 1
    if left < 0 and right >= x.size:
        return
    a = x[left] if left >= 0 else x[right]
    b = x[right] if right < x.size else x[left]
    step = (b - a) / np.float32(right - left)
    for i in range(first, last + 1):
        x[i] = a + step * np.float32(i - left)


@jit
def bridge_list(x: NDArray[np.float32], channels: NDArray[np.int32], count: int) -> None:
    """Bridge each run of consecutive ``channels[:count]`` (sorted)."""
    i = 0
    while i < count:
        j = i
        while j + 1 < count and channels[j + 1] <= channels[j] + 1:
            j += 1
        bridge(x, channels[i], channels[j])
        i = j + 1


@jit
def repair_nan_row(x: NDArray[np.float32]) -> int:
    """Bridge channels that are not finite; returns how many. All of them bad gives zeros."""
    nothing = np.float32(0.0)
    for i in range(x.size):  # zero times what is not finite is nan; in vector registers
        nothing += x[i] * np.float32(0.0)
    if nothing == np.float32(0.0):
        return 0
    bad = 0
    i = 0
    while i < x.size:
        if finite(x[i]):
            i += 1
            continue
        j = i
        while j + 1 < x.size and not finite(x[j + 1]):
            j += 1
        bad += j - i + 1
        if i == 0 and j == x.size - 1:
            for k in range(x.size):
                x[k] = np.float32(0.0)
        else:
            bridge(x, i, j)
        i = j + 1
    return bad
