"""Plain twins of live_eels/kernels/kmeans.py."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def nearest(
    features: Array, variance: Array, centres: Array, spread: Array
) -> tuple[Array, Array, Array]:
    n, size = features.shape
    label, distance, misfit = np.full(n, -2), np.full(n, np.nan), np.full(n, np.nan)
    for i in range(n):
        scores = {}
        for k in range(len(centres)):
            allowed = float(spread[k]) + float(variance[i])
            d = float(((features[i].astype(float) - centres[k].astype(float)) ** 2).sum())
            score = d / allowed + size * np.log(allowed)
            if np.isfinite(score):
                scores[k] = (score, d / (allowed * size))
        if scores:
            label[i] = min(scores, key=lambda k: scores[k][0])
            misfit[i], distance[i] = scores[label[i]]
    return label, distance, misfit


def mixtures(
    features: Array, variance: Array, centres: Array, spread: Array, far: float,
    label: Array, distance: Array,
) -> tuple[Array, Array, Array]:  # fmt: skip
    label, distance = label.copy(), distance.astype(float)
    mixed = np.zeros(len(label), bool)
    for i in np.flatnonzero(distance > far):
        best = 0.5 * distance[i]
        for a, b in itertools.combinations(np.flatnonzero(np.isfinite(centres[:, 0])), 2):
            step = centres[b].astype(float) - centres[a]
            share = (features[i] - centres[a]) @ step / (step @ step)
            if not 0 < share < 1:
                continue
            off = features[i] - centres[a] - share * step
            allowed = variance[i] + (1 - share) * spread[a] + share * spread[b]
            if (off**2).mean() / allowed < best:
                best = (off**2).mean() / allowed
                label[i], distance[i], mixed[i] = (b if share > 0.5 else a), best, True
    return label, distance, mixed


def hold(
    features: Array, variance: Array, centres: Array, spread: Array, before: Array, label: Array,
    mixed: Array, since: Array, born: Array, sigmas: float, share: float,
) -> tuple[Array, Array]:  # fmt: skip
    label, gain = label.copy(), np.zeros(len(label))
    x, c = features.astype(float), centres.astype(float)
    for i, (old, new) in enumerate(zip(before, label, strict=True)):
        if old < 0 or old == new:
            continue
        gain[i] = np.inf
        if new < 0 or old >= len(c) or np.isnan(c[old]).any() or born[old] > since[i]:
            continue
        reach = np.linalg.norm(c[new] - c[old])
        wide, narrow = float(variance[i]) + spread[old], float(variance[i]) + spread[new]
        allowed = (wide + narrow) / 2
        far = [np.sum((x[i] - c[old]) ** 2), np.sum((x[i] - c[new]) ** 2)]
        if mixed[i]:
            odds = (far[0] - far[1]) / allowed
        else:
            odds = far[0] / wide - far[1] / narrow + len(x[i]) * np.log(wide / narrow)
        past = odds * allowed / (2 * reach)
        if born[new] <= since[i] and past < sigmas * np.sqrt(allowed) + share * reach:
            label[i], gain[i] = old, 0.0
        else:
            gain[i] = odds
    return label, gain


def costs(features: Array, variance: Array, centres: Array, spread: Array) -> Array:
    allowed = spread.astype(float) + variance.astype(float)[:, None]
    step = features.astype(float)[:, None] - centres
    return ((step**2).sum(axis=2) / allowed + features.shape[1] * np.log(allowed)) / 2


def gather(features: Array, variance: Array, spread: Array, label: Array) -> tuple[Array, Array]:
    clusters = len(spread)
    sums, mass = np.zeros((clusters, features.shape[1])), np.zeros(clusters)
    for k in range(clusters):
        mine = label == k
        weight = 1 / (float(spread[k]) + variance[mine].astype(float))
        sums[k], mass[k] = weight @ features[mine].astype(float), weight.sum()
    return sums, mass


def scatter(
    features: Array, variance: Array, centres: Array, spread: Array, label: Array
) -> tuple[Array, Array]:
    clusters = len(spread)
    excess, mass = np.zeros(clusters), np.zeros(clusters)
    for k in range(clusters):
        mine = label == k
        noise = variance[mine].astype(float)
        allowed = float(spread[k]) + noise
        weight = allowed**-2
        d = ((features[mine].astype(float) - centres[k]) ** 2).mean(axis=1)
        d = np.minimum(d, 4 * allowed)
        excess[k], mass[k] = weight @ (d - noise), weight.sum()
    return excess, mass


def agree(cost: Array, label: Array, rows: int, columns: int, coupling: float) -> Array:
    old = label.reshape(rows, columns)
    new = old.copy()
    for y in range(rows):
        for x in range(columns):
            if old[y, x] < 0:
                continue
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            near = [old[v, u] for v, u in around if 0 <= v < rows and 0 <= u < columns]
            near = [number for number in near if number >= 0]
            total = [
                float(c) + coupling * sum(number != k for number in near)
                for k, c in enumerate(cost[y * columns + x])
            ]
            new[y, x] = int(np.argmin(total))
    return new.ravel()
