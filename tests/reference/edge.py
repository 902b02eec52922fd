"""Plain twins of ``live_eels/kernels/edge.py``: the same definitions, one spectrum at a time."""

import numpy as np


def level(counts, borders, margin):
    """Integral up to each border (channel i spans i to i + 1), straight beyond both ends."""
    n = len(counts)
    integral = np.concatenate([[0.0], np.cumsum(counts, dtype=float)])
    inside = np.interp(borders, np.arange(n + 1), integral)
    first, last = np.mean(counts[:margin]), np.mean(counts[n - margin :])
    below = np.minimum(borders, 0) * first
    above = np.maximum(borders - n, 0) * last
    return inside + below + above


def mean(counts, low, high, margin):
    """Mean counts per channel between two borders."""
    ends = level(counts, np.array([low, high], float), margin)
    return (ends[1] - ends[0]) / (high - low)


def contrast(counts, at, ev, margin):
    """How much ``at`` looks like an L3 edge; ``ev`` is channels per eV."""

    def part(low, high):
        return mean(counts, at + low * ev, at + high * ev, margin)

    valley = part(4, 8)
    rise = part(-1.5, 1.5) - 4 / 7 * part(-6.5, -2.5) - 3 / 7 * valley
    return rise + 0.5 * (part(10, 14) - 0.5 * (valley + part(16, 20)))


def window(counts, at, low, spacing, width, points, margin):
    """Means over ``width`` around points ``spacing`` apart, less their mean."""
    centres = at + low + spacing * np.arange(points)
    values = [mean(counts, c - width / 2, c + width / 2, margin) for c in centres]
    return np.array(values) - np.mean(values)
