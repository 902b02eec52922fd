"""Plain twins of live_eels/kernels/lloyd.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference import kmeans as plain

Array = NDArray[Any]


def moments(
    values: Array, variance: Array, label: Array, clusters: int
) -> tuple[Array, Array, Array]:
    s = np.zeros(clusters)
    for _ in range(3):
        found = []
        for k in range(clusters):
            own, noise = values[label == k].astype(float), variance[label == k].astype(float)
            weight = 1 / (s[k] + noise)
            centre = weight @ own / weight.sum()
            excess = np.minimum(((own - centre) ** 2).mean(axis=1), 4 * (s[k] + noise)) - noise
            spread = max(float(weight**2 @ excess / (weight**2).sum()), 0.0)
            found.append((centre, spread, weight.sum()))
        s = np.array([spread for _, spread, _ in found])
        s = np.minimum(s, sorted(s)[clusters // 2])
    return np.array([one[0] for one in found]), s, np.array([one[2] for one in found])


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


def cuts(along: Array, outside: Array, least: int, settled: Any) -> list[Array]:
    """Ways of ``lloyd.cuts``; ``settled`` gives the labels that a start of two sides ends in."""
    few = max(len(along) // 100, 1)
    ends = np.sort(along, axis=0)
    middle = (ends[few - 1] + ends[-few]) / 2
    far = outside >= np.sort(outside)[-least]
    found: list[Array] = []
    for side in (*(along > 0).T, *(along > middle).T, far):
        if side.all() or not side.any():
            continue
        label = settled(side)
        part = label == label[0]
        new = not any(np.array_equal(part, one) for one in found)
        if new and min(part.sum(), (~part).sum()) >= least:
            found.append(part)
    return found
