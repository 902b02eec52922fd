"""Plain twins of live_eels/kernels/lloyd.py."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference import kmeans as plain

Array = NDArray[Any]


def moments(
    values: Array, variance: Array, label: Array, clusters: int
) -> tuple[Array, Array, Array]:
    centres, spread, mass = [], [], []
    for k in range(clusters):
        own, noise = values[label == k].astype(float), variance[label == k].astype(float)
        s = 0.0
        for _ in range(3):
            weight = 1 / (s + noise)
            centre = weight @ own / weight.sum()
            excess = np.minimum(((own - centre) ** 2).mean(axis=1), 4 * (s + noise)) - noise
            s = max(float(weight**2 @ excess / (weight**2).sum()), 0.0)
        centres.append(centre)
        spread.append(s)
        mass.append(weight.sum())
    return np.array(centres), np.array(spread), np.array(mass)


def settle(values: Array, variance: Array, centres: Array, sweeps: int = 40) -> Array:
    spread = np.zeros(len(centres))
    last = None
    for _ in range(sweeps):
        label, _, _ = plain.nearest(values, variance, centres, spread)
        if last is not None and np.array_equal(label, last):
            break
        last = label
        centres, spread, _ = moments(values, variance, label, len(centres))
    return label


def matched(fresh: Array, before: Array) -> Array:
    """The renumbering that keeps most pixels, by trying all of them."""
    numbers = range(int(max(fresh.max(), before.max())) + 1)
    best = max(
        itertools.permutations(numbers),
        key=lambda order: int(((np.array(order)[fresh] == before) & (fresh >= 0)).sum()),
    )
    return np.where(fresh >= 0, np.array(best)[fresh], fresh)
