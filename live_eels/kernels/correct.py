"""Detector corrections of one spectrum: dark, gain, bad channels, X-ray spikes.

A spike is what no electron made: one to three channels that stick out of what their
neighbours say, by more than counting noise and more than the neighbourhood's own structure
(a sharp white line is no spike). The cheap question (does a channel stick out at all?) is
asked of all channels at once; only where it does are the costly ones asked.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import jit

MOST_SPIKES = 48
"""Spike channels repaired in one spectrum; more than that is not X-rays but bad data."""

SKEW_COUNTS = 4.3
"""Poisson's upper tail is heavier than a Gaussian's by (z*z - 1) / 6 counts: 4.3 at z = 5.2."""

_BLOCK = 32
_EVEN_SIGMAS = 3.0  # neighbours within that of their mean show no structure


class Correction(NamedTuple):
    """What a signal's detector needs, all float32 ``(channel,)`` unless said.

    ``dark`` in counts; ``scale`` is 1 / gain; ``top`` (float32) is the count at which a
    channel is saturated; ``bad`` int32 (bad channel,), sorted; ``sigmas`` (float32) is the
    spike threshold in standard deviations, 0 to look for none.
    """

    dark: NDArray[np.float32]
    scale: NDArray[np.float32]
    top: Any
    bad: NDArray[np.int32]
    sigmas: Any


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
        if math.isfinite(x[i]):
            i += 1
            continue
        j = i
        while j + 1 < x.size and not math.isfinite(x[j + 1]):
            j += 1
        bad += j - i + 1
        if i == 0 and j == x.size - 1:
            for k in range(x.size):
                x[k] = np.float32(0.0)
        else:
            bridge(x, i, j)
        i = j + 1
    return bad


@jit
def noise_factor(x: NDArray[np.float32]) -> float:
    """How much the noise exceeds Poisson's (variance ratio, at least 1).

    From mean absolute second differences, which a few spikes hardly move: a detector that
    gives several counts per electron, or a scintillator's own noise, raises it.
    """
    rough = np.float32(0.0)
    poisson = np.float32(0.0)
    n = max(x.size - 4, 0)
    # A slice each, so that all five are read forward from fixed places: vector registers.
    a, b, c, d, e = x[0:n], x[1 : n + 1], x[2 : n + 2], x[3 : n + 3], x[4 : n + 4]
    for i in range(n):
        rough += abs(b[i] - np.float32(2.0) * c[i] + d[i])
        level = np.float32(0.25) * (a[i] + b[i] + d[i] + e[i])
        poisson += np.sqrt(max(level, np.float32(0.0)))
    # A second difference of independent noise has sqrt(6) of its sigma; E|z| = 0.798.
    expected = 0.798 * math.sqrt(6.0) * float(poisson)
    if expected <= 0.0:
        return 1.0
    ratio = float(rough) / expected
    # Few counts per channel: |difference| of small whole numbers runs a little above.
    return max(1.0, ratio * ratio)


@jit
def sticks_out(x: NDArray[np.float32], i: int, sigmas: float, noise: float) -> int:
    """Half-width of the spike at channel ``i``: 1 (one channel), 2 (up to three), 0 for none.

    Needs four channels on each side. The channel must stand ``sigmas`` above the mean of the
    six channels around it (little noise, but blind to structure). Where its neighbours show
    structure, it must also stand above a cubic through the nearest four (more noise, but it
    follows a peak), by 0.8 of that and a quarter of the steps beside it. If a neighbour sticks
    out too, or a cubic that leaves out the nearest two is exceeded by far, the spike is wide.
    """
    near = 0.5 * (x[i - 1] + x[i + 1])
    mid = 0.5 * (x[i - 2] + x[i + 2])
    far = 0.5 * (x[i - 3] + x[i + 3])
    last = 0.5 * (x[i - 4] + x[i + 4])
    level = (mid + far + last) / 3.0
    variance = max(level, 0.0) * noise
    needed = sigmas * math.sqrt(variance * 1.167 + 0.25) + SKEW_COUNTS * noise
    if x[i] - level <= needed:
        return 0
    wide = max(x[i - 1], x[i + 1]) - level > needed
    uneven = 0.0
    for j in range(1, 5):
        uneven = max(uneven, abs(x[i - j] - level), abs(x[i + j] - level))
    if uneven < _EVEN_SIGMAS * math.sqrt(variance + noise):
        return 1
    cubic = (4.0 * near - mid) / 3.0
    steps = abs(x[i - 1] - x[i - 2]) + abs(x[i + 1] - x[i + 2])
    variance = max(max(level, cubic), 0.0) * noise
    if x[i] - cubic > 0.8 * sigmas * math.sqrt(variance * 1.94 + 0.25) + 0.25 * steps:
        return 2 if wide else 1
    if x[i] < x[i - 1] or x[i] < x[i + 1]:
        return 0
    cubic = 1.8 * mid - 0.8 * far
    steps = abs(x[i - 2] - x[i - 3]) + abs(x[i + 2] - x[i + 3])
    variance = max(max(level, cubic), 0.0) * noise
    return 2 if x[i] - cubic > 2.0 * sigmas * math.sqrt(variance * 1.94 + 0.25) + steps else 0


@jit
def _any_above(x: NDArray[np.float32], start: int, stop: int, limit: Any) -> bool:
    """Whether a channel of ``start..stop - 1`` stands so far above four near it.

    A sum, not a count, over a slice each: then LLVM does it in vector registers.
    """
    n = stop - start
    a, b, c = x[start - 3 : start - 3 + n], x[start - 2 : start - 2 + n], x[start : start + n]
    d, e = x[start + 2 : start + 2 + n], x[start + 3 : start + 3 + n]
    excess = np.float32(0.0)
    for i in range(n):
        level = np.float32(0.25) * (a[i] + b[i] + d[i] + e[i])
        above = c[i] - level
        excess += max(above * abs(above) - limit * (level + np.float32(1.0)), np.float32(0.0))
    return bool(excess > np.float32(0.0))


@jit
def repair_spikes_row(x: NDArray[np.float32], sigmas: Any, channels: NDArray[np.int32]) -> int:
    """Bridge the spikes of ``x``; returns how many channels that are.

    Which ones goes into ``channels`` (sorted). Looks for none within four channels of the ends.
    """
    size = x.size
    found = 0
    noise = 0.0
    quarter = np.float32(0.25)
    limit = np.float32((0.75 * sigmas) ** 2)
    one = np.float32(1.0)
    for start in range(4, size - 4, _BLOCK):
        stop = min(start + _BLOCK, size - 4)
        if not _any_above(x, start, stop, limit):
            continue
        if noise == 0.0:
            noise = noise_factor(x)
        for i in range(start, stop):
            level = quarter * (x[i - 3] + x[i - 2] + x[i + 2] + x[i + 3])
            above = x[i] - level
            if above * abs(above) <= limit * (level + one):
                continue
            width = sticks_out(x, i, sigmas, noise)
            if width == 0:
                continue
            for j in range(i - width + 1, i + width):
                if found < channels.size and (found == 0 or j > channels[found - 1]):
                    channels[found] = j
                    found += 1
    bridge_list(x, channels, found)
    return found
