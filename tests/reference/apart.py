"""Plain twins of live_eels/kernels/apart.py: by sorting, on copies of the groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def quantile(values: Array, weight: Array, share: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weight[order])
    found = np.searchsorted(reached, share * reached[-1])
    return float(values[order[min(found, len(order) - 1)]])


def separation(values: Array, variance: Array, first: Array, second: Array) -> float:
    weights = [1.0 / variance[part].astype(float) for part in (first, second)]
    parts = [values[part].astype(float) for part in (first, second)]
    means = [np.average(p, axis=0, weights=w) for p, w in zip(parts, weights, strict=True)]
    axis = means[1] - means[0]
    if not np.any(axis):
        return 0.0
    middles, spreads = [], []
    for part, weight in zip(parts, weights, strict=True):
        along = part @ (axis / np.linalg.norm(axis))
        middles.append(quantile(along, weight, 0.5))
        spreads.append(1.4826 * quantile(np.abs(along - middles[-1]), weight, 0.5))
    return (middles[1] - middles[0]) / max(*spreads, 1e-30)


def length(values: Array, variance: Array, mine: Array) -> tuple[float, float]:
    weight, own = 1.0 / variance[mine].astype(float), values[mine].astype(float)
    centred = own - np.average(own, axis=0, weights=weight)
    axis = np.linalg.svd(centred * np.sqrt(weight)[:, None])[2][0]
    along = centred @ axis
    reach = quantile(along, weight, 0.9) - quantile(along, weight, 0.1)
    return reach / 2.563, float(np.sqrt(quantile(variance[mine].astype(float), weight, 0.5)))
