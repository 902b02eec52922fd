"""Plain twin of ``live_eels.kernels.spikes``, float64, one channel after the other."""

from __future__ import annotations

import math

import numpy as np

from reference.rarity import limit


def noise_factor(x):
    size = 64
    blocks = (x.size - 2) // size
    ratios = [1.0] if blocks == 0 else []
    for b in range(blocks):
        part = x[b * size : b * size + size + 2]
        bend = part[:-2] - 2 * part[1:-1] + part[2:]
        ratios.append((bend**2).sum() / (6 * max(part[1:-1].sum(), 1)))
    ratio = np.median(ratios)
    return ratio if ratio > 1.1 else 1.0


def beyond_reference(x, i, sigmas, mean, doubt, noise, reach):
    j = np.arange(max(i - reach, 0), min(i + reach + 1, x.size))
    j = j[np.abs(j - i) > 2]
    around = mean[j].sum()
    if not around > 0 or not mean[i] > 0:
        return False, False
    ratio = mean[i] / around
    level = ratio * (max(x[j].sum(), 0) + noise)
    variance = noise * level * (1 + ratio) + doubt[i] * level**2
    most = limit(level, variance, sigmas)
    telling = doubt[i] * level < noise
    if x[i] < most:
        return False, telling
    sigma = math.sqrt(noise * (level + noise))
    excess = np.zeros(17)
    strange = np.ones(17)
    for k in range(-8, 9):
        if 0 <= i + k < x.size:
            there = level / mean[i] * mean[i + k]
            excess[8 + k] = x[i + k] - there
            strange[8 + k] = excess[8 + k] ** 2 / (noise * (there + 1) + doubt[i + k] * there**2)
    if strange[:6].sum() + strange[11:].sum() > 3 * 12:
        return False, False
    before, after = max(excess[6] - sigma, 0), max(excess[10] - sigma, 0)
    step = max(excess[3:6].mean(), excess[11:14].mean()) - 0.9 * sigma
    beside = max(3 * math.sqrt(before * after), 2 * step, 0)
    return x[i] - beside >= most, telling


def beyond_neighbours(x, i, sigmas, noise):
    pairs = [0.5 * (x[i - k] + x[i + k]) for k in (1, 2, 3, 4)]
    six = max(np.mean(pairs[1:]), 0.0)
    level, share = six + noise / 6, 1 / 6
    reach = min(16, i, x.size - 1 - i)
    around = np.concatenate([x[i - reach : i - 1], x[i + 2 : i + reach + 1]])
    if abs(six - max(around.mean(), 0)) < 2.5 * math.sqrt(
        noise * (max(around.mean(), 0) + noise) / 6
    ):
        share = 1 / around.size
        level = max(around.mean(), 0) + noise * share
    sigma = math.sqrt(noise * (level + noise))
    most = limit(level, noise * level * (1 + share), sigmas)
    most += max(1.2 * (pairs[1] - pairs[3] - sigma), 0)
    if x[i] < most:
        return 0
    wide = max(x[i - 1], x[i + 1]) >= most
    eight = np.concatenate([x[i - 4 : i], x[i + 1 : i + 5]])
    if np.abs(eight - level).max() < 3 * sigma:
        return 1
    shoulder = min(x[i - 1], x[i + 1]) - level
    if shoulder > 0.2 * (x[i] - level) and shoulder > 2 * sigma:
        return 0
    cubic = (4 * pairs[0] - pairs[1]) / 3
    steps = abs(x[i - 1] - x[i - 2]) + abs(x[i + 1] - x[i + 2])
    scatter = math.sqrt(1.94 * noise * max(six, cubic) + 0.25)
    if x[i] - cubic > 0.8 * sigmas * scatter + 0.25 * steps:
        return 2 if wide else 1
    if x[i] < max(x[i - 1], x[i + 1]):
        return 0
    cubic = 1.8 * pairs[1] - 0.8 * pairs[2]
    steps = abs(x[i - 2] - x[i - 3]) + abs(x[i + 2] - x[i + 3])
    scatter = math.sqrt(1.94 * noise * max(six, cubic) + 0.25)
    return 2 if x[i] - cubic > 2 * sigmas * scatter + steps else 0


def find(x, sigmas, reference=None):
    """Sorted spike channels; ``reference`` is (mean, doubt, noise, reach) or None."""
    x = np.asarray(x, float)
    found = set()
    if reference is None:
        noise = noise_factor(x)
        for i in range(4, x.size - 4):
            level = 0.25 * (x[i - 3] + x[i - 2] + x[i + 2] + x[i + 3])
            above = x[i] - level
            if above * abs(above) <= (0.75 * sigmas) ** 2 * (level + 1):
                continue
            width = beyond_neighbours(x, i, sigmas, noise)
            found |= set(range(i - width + 1, i + width))
        return np.array(sorted(found), int)
    mean, doubt, noise, reach = reference
    for start in range(0, x.size, 32):
        part = slice(start, start + 32)
        scale = max(x[part].sum() + 1, 1) / mean[part].sum()
        for i in range(start, min(start + 32, x.size)):
            level = scale * mean[i]
            above = x[i] - level
            if above * abs(above) <= (0.75 * sigmas) ** 2 * noise * (level + 1):
                continue
            spike, telling = beyond_reference(x, i, sigmas, mean, doubt, noise, reach)
            if spike:
                beside = range(max(i - 1, 0), min(i + 2, x.size))
                found |= {
                    j
                    for j in beside
                    if j == i or beyond_reference(x, j, sigmas, mean, doubt, noise, reach)[0]
                }
            elif not telling and 4 <= i < x.size - 4:
                width = beyond_neighbours(x, i, sigmas, max(noise_factor(x), noise))
                found |= set(range(i - width + 1, i + width))
    return np.array(sorted(found), int)


def compare_rows(rows, mean, reach):
    """The six sums of ``compare_rows`` for corrected rows without bad channels."""
    rows = np.asarray(rows, float)
    sums = np.zeros((6, rows.shape[1]))
    sums[0], sums[1] = rows.sum(axis=0), np.maximum(rows.max(axis=0), 0)
    for x in rows:
        for i in range(mean.size):
            j = np.arange(max(i - reach, 0), min(i + reach + 1, x.size))
            j = j[np.abs(j - i) > 2]
            ratio = mean[i] / mean[j].sum()
            level = ratio * x[j].sum()
            square = (x[i] - level) ** 2
            sums[2, i] += square
            sums[3, i] = max(sums[3, i], square)
            sums[4, i] += level * (1 + ratio)
            sums[5, i] += level**2
    return sums
