"""X-ray spikes of one spectrum: which channels hold counts that no electron made.

A spike is one to three channels above what is expected there, by more than counting noise
explains. What is expected comes from the scan's mean spectrum as bright as this pixel around
the channel, as far as pixels agree on it; else from the channel's neighbours alone, where a
sharp white line leaves doubt. The cheap question (is this channel high at all?) is asked of
all channels at once; the costly ones only where it is.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import jit
from live_eels.kernels.correct import Correction, bridge_list, correct_row, finite
from live_eels.kernels.rarity import Threshold, limit

MOST_SPIKES = 48
"""Spike channels repaired in one spectrum; more than that is not X-rays but bad data."""

NOISY = 1.1
"""A variance more than so many times Poisson's is the detector's own noise."""

_BLOCK = 32
_SCREEN = 0.75  # of the threshold: what is below is not looked at twice
_EVEN_SIGMAS = 3.0  # neighbours within that of their mean show no structure
_NEAR = 8  # channels on each side that must not be strange to the mean spectrum
_STRANGE = 3.0  # so many times the squared distance that noise gives them
_WIDE = 16  # channels on each side that say the level where nothing has structure


class Reference(NamedTuple):
    """What other pixels say of a spectrum.

    ``mean`` float32 ``(channel,)`` is the scan's mean spectrum in counts, empty while none is
    known; ``doubt`` float32 ``(channel,)`` the variance of a pixel's expectation about it,
    relative to its square; ``noise`` the variance of counts over Poisson's (at least 1);
    ``reach`` the channels on each side that say how bright a pixel is.
    """

    mean: NDArray[np.float32]
    doubt: NDArray[np.float32]
    noise: float
    reach: int


NO_REFERENCE = Reference(np.zeros(0, np.float32), np.zeros(0, np.float32), 1.0, 8)


@jit
def _excess(x: NDArray[np.float32], reference: Reference, scale: float, i: int) -> float:
    """Counts above those expected; an unknown channel beyond the ends has none."""
    if i < 0 or i >= x.size:
        return 0.0
    return float(x[i] - scale * reference.mean[i])


@jit
def _strangeness(x: NDArray[np.float32], reference: Reference, scale: float, i: int) -> float:
    """Squared distance from what is expected, in variances."""
    if i < 0 or i >= x.size:
        return 1.0
    level = scale * reference.mean[i]
    variance = reference.noise * (level + 1.0) + reference.doubt[i] * level * level
    return float((x[i] - level) * (x[i] - level) / variance)


@jit
def _sum(x: NDArray[np.float32]) -> Any:
    """Sum in vector registers, which a loop over part of a row is not (an index may be < 0)."""
    total = np.float32(0.0)
    for i in range(x.size):
        total += x[i]
    return total


@jit
def beyond_reference(
    x: NDArray[np.float32], i: int, rare: Threshold, reference: Reference
) -> tuple[bool, bool]:
    """Whether channel ``i`` exceeds what the mean spectrum expects; whether that says much.

    The mean spectrum is scaled to the counts within ``reach`` channels, the nearest two on each
    side left out. A peak or an edge that it lacks raises the neighbours too, and with them what
    is expected: a Gaussian line 3.3 channels wide is three times the geometric mean of what is two
    channels beside it. Where the neighbours are strange to the mean spectrum it says nothing.
    """
    mean = reference.mean
    first, last = max(i - reference.reach, 0), min(i + reference.reach + 1, x.size)
    end, begin = max(i - 2, first), min(i + 3, last)
    own = _sum(x[first:end]) + _sum(x[begin:last])
    expected = _sum(mean[first:end]) + _sum(mean[begin:last])
    if not expected > 0.0 or not mean[i] > 0.0:
        return False, False
    noise = reference.noise
    ratio = mean[i] / expected
    level = ratio * (max(own, np.float32(0.0)) + noise)
    variance = noise * level * (1.0 + ratio) + reference.doubt[i] * level * level
    most = limit(level, variance, rare)
    telling = reference.doubt[i] * level < noise
    if x[i] < most:
        return False, telling
    scale = level / mean[i]
    sigma = math.sqrt(noise * (level + noise))
    strange, left, right = 0.0, 0.0, 0.0
    for k in range(3, _NEAR + 1):
        strange += _strangeness(x, reference, scale, i - k)
        strange += _strangeness(x, reference, scale, i + k)
        if k < 6:
            left += _excess(x, reference, scale, i - k)
            right += _excess(x, reference, scale, i + k)
    if strange > _STRANGE * 2.0 * (_NEAR - 2):
        return False, False
    before = max(_excess(x, reference, scale, i - 2) - sigma, 0.0)
    after = max(_excess(x, reference, scale, i + 2) - sigma, 0.0)
    step = max(left, right) / 3.0 - 0.9 * sigma
    beside = max(3.0 * math.sqrt(before * after), 2.0 * step)
    return x[i] - max(beside, 0.0) >= most, telling


@jit
def noise_factor(x: NDArray[np.float32]) -> float:
    """How much the noise exceeds Poisson's (variance ratio, at least 1).

    The median over blocks of squared second differences over counts: neither a spike nor a
    sharp line, which fills few blocks, moves it.
    """
    size = 2 * _BLOCK
    blocks = (x.size - 2) // size
    ratios = np.ones(max(blocks, 1))
    for b in range(blocks):
        rough, counts = np.float32(0.0), np.float32(0.0)
        part = x[b * size : b * size + size + 2]
        for i in range(size):
            bend = part[i] - np.float32(2.0) * part[i + 1] + part[i + 2]
            rough += bend * bend
            counts += part[i + 1]
        # A second difference of independent noise has six times its variance.
        ratios[b] = rough / (6.0 * max(counts, np.float32(1.0)))
    ratio = float(np.median(ratios))
    return ratio if ratio > NOISY else 1.0


@jit
def beyond_neighbours(x: NDArray[np.float32], i: int, rare: Threshold, noise: float) -> int:
    """Half-width of the spike at channel ``i``: 1 (one channel), 2 (up to three), 0 for none.

    Needs four channels on each side. Where the channels around show no structure, their mean
    is what is expected, that of sixteen on each side if it is the same. Where they do, the
    channel must stand above the mean of six and above a cubic through the nearest four (more
    noise, but it follows a peak), by 0.8 of the threshold and a quarter of the steps beside it.
    If a neighbour sticks out too, or a cubic that leaves out the nearest two is exceeded by
    far, the spike is wide.
    """
    near = 0.5 * (x[i - 1] + x[i + 1])
    mid = 0.5 * (x[i - 2] + x[i + 2])
    far = 0.5 * (x[i - 3] + x[i + 3])
    last = 0.5 * (x[i - 4] + x[i + 4])
    six = max((mid + far + last) / 3.0, 0.0)
    level, share = six + noise / 6.0, 1.0 / 6.0
    reach = min(_WIDE, i, x.size - 1 - i)
    wide_sum = _sum(x[i - reach : i - 1]) + _sum(x[i + 2 : i + reach + 1])
    wide_mean = max(wide_sum / (2.0 * (reach - 1)), 0.0)
    if abs(six - wide_mean) < 2.5 * math.sqrt(noise * (wide_mean + noise) / 6.0):
        share = 1.0 / (2.0 * (reach - 1))
        level = wide_mean + noise * share
    sigma = math.sqrt(noise * (level + noise))
    most = limit(level, noise * level * (1.0 + share), rare)
    most += max(1.2 * (mid - last - sigma), 0.0)  # the top of a line that noise nearly hides
    if x[i] < most:
        return 0
    wide = max(x[i - 1], x[i + 1]) >= most
    uneven = 0.0
    for j in range(1, 5):
        uneven = max(uneven, abs(x[i - j] - level), abs(x[i + j] - level))
    if uneven < _EVEN_SIGMAS * sigma:
        return 1
    shoulder = min(x[i - 1], x[i + 1]) - level
    if shoulder > 0.2 * (x[i] - level) and shoulder > 2.0 * sigma:
        return 0
    cubic = (4.0 * near - mid) / 3.0
    steps = abs(x[i - 1] - x[i - 2]) + abs(x[i + 1] - x[i + 2])
    variance = max(six, cubic) * noise
    if x[i] - cubic > 0.8 * rare.sigmas * math.sqrt(variance * 1.94 + 0.25) + 0.25 * steps:
        return 2 if wide else 1
    if x[i] < x[i - 1] or x[i] < x[i + 1]:
        return 0
    cubic = 1.8 * mid - 0.8 * far
    steps = abs(x[i - 2] - x[i - 3]) + abs(x[i + 2] - x[i + 3])
    variance = max(six, cubic) * noise
    return 2 if x[i] - cubic > 2.0 * rare.sigmas * math.sqrt(variance * 1.94 + 0.25) + steps else 0


@jit
def _note(channel: int, channels: NDArray[np.int32], found: int) -> int:
    """Add a channel to the rising list; channels already passed are in it."""
    if found < channels.size and (found == 0 or channel > channels[found - 1]):
        channels[found] = channel
        return found + 1
    return found


@jit
def _high_channels(
    x: NDArray[np.float32],
    mean: NDArray[np.float32],
    least: np.float32,
    channels: NDArray[np.int32],
) -> int:
    """Channels whose excess over the mean spectrum is ``sqrt(least)`` counting noises or more.

    The mean spectrum is scaled block by block. Returns how many were put into ``channels``.
    """
    one, none = np.float32(1.0), np.float32(0.0)
    scales = np.empty((x.size + _BLOCK - 1) // _BLOCK, np.float32)
    # All of them first: so no block waits for the division of the one before.
    for b in range(scales.size):
        part, there = x[b * _BLOCK : (b + 1) * _BLOCK], mean[b * _BLOCK : (b + 1) * _BLOCK]
        own, expected = one, none
        for i in range(part.size):
            own += part[i]
            expected += there[i]
        scales[b] = max(own, one) / expected if expected > none else np.float32(np.nan)
    found = 0
    for b in range(scales.size):
        part, there = x[b * _BLOCK : (b + 1) * _BLOCK], mean[b * _BLOCK : (b + 1) * _BLOCK]
        scale, over = scales[b], none
        for i in range(part.size):
            level = scale * there[i]
            above = part[i] - level
            over += max(above * abs(above) - least * (level + one), none)
        if not over > none:
            continue
        for i in range(part.size):
            level = scale * there[i]
            above = part[i] - level
            if above * abs(above) > least * (level + one):
                channels[found] = b * _BLOCK + i
                found += 1
    return found


@jit
def _find_beside_reference(
    x: NDArray[np.float32],
    rare: Threshold,
    reference: Reference,
    channels: NDArray[np.int32],
) -> int:
    found = 0
    row_noise = 0.0
    least = np.float32((_SCREEN * rare.sigmas) ** 2 * reference.noise)
    high = np.empty(x.size, np.int32)
    for i in high[: _high_channels(x, reference.mean, least, high)]:
        spike, telling = beyond_reference(x, i, rare, reference)
        if spike:
            # Beside a high channel a lower one may have passed unseen.
            for j in range(max(i - 1, 0), min(i + 2, x.size)):
                if j == i or beyond_reference(x, j, rare, reference)[0]:
                    found = _note(j, channels, found)
        elif not telling and 4 <= i < x.size - 4:
            # What the row's own noise is costs more to tell, and hardly ever makes one of none.
            if beyond_neighbours(x, i, rare, reference.noise) == 0:
                continue
            if row_noise == 0.0:
                row_noise = max(noise_factor(x), reference.noise)
            width = beyond_neighbours(x, i, rare, row_noise)
            for j in range(i - width + 1, i + width):
                found = _note(j, channels, found)
    return found


@jit
def _find_beside_neighbours(
    x: NDArray[np.float32], rare: Threshold, channels: NDArray[np.int32]
) -> int:
    found = 0
    noise = 0.0
    quarter, one = np.float32(0.25), np.float32(1.0)
    least = np.float32((_SCREEN * rare.sigmas) ** 2)
    for start in range(4, x.size - 4, _BLOCK):
        stop = min(start + _BLOCK, x.size - 4)
        # A sum, not a count, and a slice each: then it is done in vector registers.
        a, b, c = x[start - 3 : stop - 3], x[start - 2 : stop - 2], x[start:stop]
        d, e = x[start + 2 : stop + 2], x[start + 3 : stop + 3]
        over = np.float32(0.0)
        for i in range(stop - start):
            level = quarter * (a[i] + b[i] + d[i] + e[i])
            above = c[i] - level
            over += max(above * abs(above) - least * (level + one), np.float32(0.0))
        if not over > 0.0:
            continue
        for i in range(start, stop):
            level = quarter * (x[i - 3] + x[i - 2] + x[i + 2] + x[i + 3])
            above = x[i] - level
            if above * abs(above) <= least * (level + one):
                continue
            if beyond_neighbours(x, i, rare, 1.0) == 0:
                continue
            if noise == 0.0:
                noise = noise_factor(x)
            width = beyond_neighbours(x, i, rare, noise)
            for j in range(i - width + 1, i + width):
                found = _note(j, channels, found)
    return found


@jit
def repair_spikes_row(
    x: NDArray[np.float32],
    rare: Threshold,
    reference: Reference,
    channels: NDArray[np.int32],
) -> int:
    """Bridge the spikes of ``x``; returns how many channels that are.

    Which ones goes into ``channels`` (sorted). Without a reference none is looked for within
    four channels of the ends.
    """
    if reference.mean.size == x.size:
        found = _find_beside_reference(x, rare, reference, channels)
    else:
        found = _find_beside_neighbours(x, rare, channels)
    bridge_list(x, channels, found)
    return found


TOTAL, LARGEST, SQUARES, LARGEST_SQUARE, VARIANCE, WEIGHT = range(6)
"""Rows of what ``compare_rows`` sums."""


@jit
def compare_rows(
    raw: NDArray[Any], correction: Correction, reference: Reference, sums: NDArray[np.float64]
) -> int:
    """Add up what spectra hold and how far they are from their expectation.

    ``sums (6, channel)``: corrected counts and their largest; squared distances from the
    reference, scaled to the spectrum as ``beyond_reference`` does, and their largest; the
    variance that counting alone gives them; the squares of the expectation. Spectra with
    channels that are no numbers are left out; returns how many were not.
    """
    used = 0
    size = raw.shape[1]
    row = np.empty(size, np.float32)
    own, expected = np.zeros(size + 1), np.zeros(size + 1)
    mean, reach = reference.mean, reference.reach
    for i in range(mean.size):
        expected[i + 1] = expected[i] + mean[i]
    for p in range(raw.shape[0]):
        correct_row(raw[p], correction.dark, correction.scale, correction.top, row)
        if not finite(float(np.sum(row))):
            continue
        used += 1
        for i in range(size):
            sums[TOTAL, i] += row[i]
        bridge_list(row, correction.bad, correction.bad.size)
        for i in range(size):
            sums[LARGEST, i] = max(sums[LARGEST, i], row[i])
            own[i + 1] = own[i] + row[i]
        for i in range(mean.size):
            first, last = max(i - reach, 0), min(i + reach + 1, size)
            left, right = max(i - 2, first), min(i + 3, last)
            around = expected[last] - expected[first] - expected[right] + expected[left]
            counts = own[last] - own[first] - own[right] + own[left]
            if not around > 0.0:
                continue
            ratio = mean[i] / around
            level = ratio * max(counts, 0.0)
            square = (row[i] - level) * (row[i] - level)
            sums[SQUARES, i] += square
            sums[LARGEST_SQUARE, i] = max(sums[LARGEST_SQUARE, i], square)
            sums[VARIANCE, i] += level * (1.0 + ratio)
            sums[WEIGHT, i] += level * level
    return used
