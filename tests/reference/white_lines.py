"""Plain twin of the white-line kernel: areas by integrating on a fine grid."""

from __future__ import annotations

import numpy as np

FINE = 2000


def _integral(function, low, high):
    at = low + (np.arange(FINE) + 0.5) * (high - low) / FINE
    return function(at).mean() * (high - low)


def ratio(net, l3, split, half_width, step_width, plateau):
    """L3/L2 ratio of a spectrum whose L3 position is known, in channels."""
    l2 = l3 + split

    def histogram(at):
        return np.asarray(net, float)[np.clip(np.floor(at + 0.5).astype(int), 0, len(net) - 1)]

    def step(at):
        return sum(
            part * (np.arctan((at - line) / step_width) / np.pi + 0.5)
            for part, line in ((2 / 3, l3), (1 / 3, l2))
        )

    low, high = l2 + plateau[0], l2 + plateau[1]
    height = _integral(histogram, low, high) / _integral(step, low, high)
    areas = [
        _integral(lambda at: histogram(at) - height * step(at), at - half_width, at + half_width)
        for at in (l3, l2)
    ]
    return areas[0] / areas[1]
