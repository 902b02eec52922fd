"""Counts that noise alone hardly ever reaches.

A Gaussian's "five sigma" is a rarity; at few counts Poisson's tail is longer, and the same rarity
lies further out.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc, ndtr

from live_eels.kernels import jit

_STEPS = 16  # of the table of limits, per unit of the square root of counts
_TABLE = 512


class Threshold(NamedTuple):
    """How rarely counting noise may pass for a spike: see ``threshold``."""

    sigmas: Any
    limits: NDArray[np.float32]


@cache
def threshold(sigmas: float) -> Threshold:
    """Counts reached by chance as rarely as a Gaussian reaches ``sigmas``.

    ``limits`` float32 ``(step,)`` are those counts less the mean, at means of
    ``(step / 16)**2``: they solve P(n >= mean + limit) = Phi(-sigmas), with the regularised
    gamma function between whole numbers.
    """
    mean = (np.arange(_TABLE) / _STEPS) ** 2
    mean[0] = 1e-4
    chance = ndtr(-sigmas)
    low, high = mean.copy(), mean + 3 * sigmas * np.sqrt(mean) + sigmas**2 + 10
    for _ in range(50):
        middle = 0.5 * (low + high)
        rarer = gammainc(np.maximum(middle, 1e-9), mean) < chance
        low, high = np.where(rarer, low, middle), np.where(rarer, middle, high)
    return Threshold(np.float32(sigmas), np.asarray(high - mean, dtype=np.float32))


@jit
def limit(mean: float, variance: float, rare: Threshold) -> float:
    """The count that noise of this ``mean`` and ``variance`` reaches by chance.

    Counts of more than Poisson's variance (an uncertain mean, a noisy detector) are taken as
    a multiple of Poisson counts.
    """
    fano = max(variance / mean, 1.0)
    at = mean / fano
    root = math.sqrt(at) * _STEPS
    step = int(root)
    table = rare.limits
    if step + 1 < table.size:
        above = table[step] + (root - step) * (table[step + 1] - table[step])
    else:  # Cornish-Fisher's expansion; the table ends where it is near enough
        above = rare.sigmas * math.sqrt(at) + (rare.sigmas * rare.sigmas - 1.0) / 6.0
    return float(fano * (at + above))
