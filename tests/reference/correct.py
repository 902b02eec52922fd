"""Plain twin of ``live_eels.kernels.correct``, float64, one channel after the other."""

from __future__ import annotations

import math

import numpy as np

SKEW_COUNTS = 4.3
EVEN_SIGMAS = 3.0


def correct_row(raw, dark, scale, top):
    raw = np.asarray(raw, float)
    return (raw - dark) * scale, int((raw >= top).sum())


def bridge_list(x, channels):
    """The line between good neighbours, over every bad channel."""
    x = np.array(x, float)
    good = np.setdiff1d(np.arange(x.size), channels)
    x[channels] = np.interp(channels, good, x[good])
    return x


def noise_factor(x):
    second = np.abs(x[1:-3] - 2 * x[2:-2] + x[3:-1])
    level = 0.25 * (x[:-4] + x[1:-3] + x[3:-1] + x[4:])
    expected = 0.798 * math.sqrt(6) * np.sqrt(np.maximum(level, 0)).sum()
    return 1.0 if expected <= 0 else max(1.0, (second.sum() / expected) ** 2)


def sticks_out(x, i, sigmas, noise):
    pairs = [0.5 * (x[i - k] + x[i + k]) for k in (1, 2, 3, 4)]
    level = np.mean(pairs[1:])
    around = np.concatenate([x[i - 4 : i], x[i + 1 : i + 5]])
    variance = max(level, 0.0) * noise
    needed = sigmas * math.sqrt(1.167 * variance + 0.25) + SKEW_COUNTS * noise
    if x[i] - level <= needed:
        return 0
    wide = max(x[i - 1], x[i + 1]) - level > needed
    if np.abs(around - level).max() < EVEN_SIGMAS * math.sqrt(variance + noise):
        return 1
    cubic = (4 * pairs[0] - pairs[1]) / 3
    steps = abs(x[i - 1] - x[i - 2]) + abs(x[i + 1] - x[i + 2])
    sigma = math.sqrt(1.94 * max(level, cubic, 0.0) * noise + 0.25)
    if x[i] - cubic > 0.8 * sigmas * sigma + 0.25 * steps:
        return 2 if wide else 1
    if x[i] < max(x[i - 1], x[i + 1]):
        return 0
    cubic = 1.8 * pairs[1] - 0.8 * pairs[2]
    steps = abs(x[i - 2] - x[i - 3]) + abs(x[i + 2] - x[i + 3])
    sigma = math.sqrt(1.94 * max(level, cubic, 0.0) * noise + 0.25)
    return 2 if x[i] - cubic > 2 * sigmas * sigma + steps else 0


def repair_spikes_row(x, sigmas):
    """Repaired spectrum and the sorted list of spike channels."""
    x = np.asarray(x, float)
    noise = noise_factor(x)
    found = set()
    for i in range(4, x.size - 4):
        level = 0.25 * (x[i - 3] + x[i - 2] + x[i + 2] + x[i + 3])
        above = x[i] - level
        if above * abs(above) <= (0.75 * sigmas) ** 2 * (level + 1):
            continue
        width = sticks_out(x, i, sigmas, noise)
        found |= set(range(i - width + 1, i + width))
    channels = np.array(sorted(found), int)
    return bridge_list(x, channels), channels
