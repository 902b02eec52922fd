"""k-means as whole-array steps: start, settle, split, merge, renumber. Arrays in, arrays out.

``values`` are float32 ``(pixel, feature)``, ``variance`` float32 ``(pixel,)`` their counting
noise, ``label`` int16 ``(pixel,)`` with negative numbers for pixels of no cluster.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from live_eels.kernels.kmeans import gather, nearest, scatter

STILL = 0.0005
"""Iterations end when no larger share of the rows changes its cluster."""

Values = NDArray[np.float32]
Label = NDArray[np.int16]


LOOSE = np.float32(4.0)
"""No cluster's spread is more than so many times the median of all: one that is looser holds
several phases, or mixtures of others, and must not win more of them for being so."""


class Clusters(NamedTuple):
    """Where clusters are: rows of nan for numbers that are not in use.

    ``centres`` float32 ``(cluster, feature)``; ``spread`` float32 ``(cluster,)``, variance of
    a feature beyond noise; ``mass`` float64 ``(cluster,)``, sum of the members' precision.
    """

    centres: NDArray[np.float32]
    spread: NDArray[np.float32]
    mass: NDArray[np.float64]


def moments(
    values: Values,
    variance: Values,
    label: Label,
    clusters: int,
    guess: NDArray[np.float32] | None = None,
) -> Clusters:
    """Centre, spread and mass of labelled rows.

    Each row is weighted by the inverse of the variance it is allowed, noise and the
    cluster's spread together; as the spread is what is asked for, three turns are taken, or
    one from a good ``guess`` of it. None is much looser than the others.
    """
    spread = np.zeros(clusters, np.float32) if guess is None else guess
    for _ in range(3 if guess is None else 1):
        sums, mass = np.zeros((clusters, values.shape[1])), np.zeros(clusters)
        gather(values, variance, spread, label, sums, mass)
        with np.errstate(invalid="ignore", divide="ignore"):
            centres = (sums / mass[:, None]).astype(np.float32)
        excess, weight = np.zeros(clusters), np.zeros(clusters)
        scatter(values, variance, centres, spread, label, excess, weight)
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.fmax(excess / weight, 0.0).astype(np.float32)
        if (mass > 0).any():
            spread = np.minimum(spread, LOOSE * np.median(spread[mass > 0]))
    return Clusters(centres, spread, mass)


def settle(
    values: Values, variance: Values, start: Clusters, sweeps: int = 40
) -> tuple[Label, float]:
    """Lloyd's iterations: labels, and twice the negative logarithm of their likelihood."""
    label = np.empty(len(values), np.int16)
    last = np.full_like(label, -1)
    distance, misfit = np.empty(len(values), np.float32), np.empty(len(values), np.float32)
    now = start
    for _ in range(sweeps):
        nearest(values, variance, now.centres, now.spread, label, distance, misfit)
        if np.count_nonzero(label != last) <= STILL * len(label):
            break
        last[:] = label
        now = moments(values, variance, label, len(now.centres), now.spread)
    return label, float(misfit.sum(dtype=np.float64))


def far_apart(values: Values, variance: Values, k: int, rng: np.random.Generator) -> Clusters:
    """k-means++ start: each next centre is drawn far from those there are."""
    weight = 1.0 / variance.astype(np.float64)
    centres = [values[rng.choice(len(values), p=weight / weight.sum())]]
    reach = np.full(len(values), np.inf)
    for _ in range(1, k):
        step = values - centres[-1]
        reach = np.minimum(reach, np.einsum("ij,ij->i", step, step))
        odds = weight * reach
        if odds.sum() <= 0:
            odds = weight
        centres.append(values[rng.choice(len(values), p=odds / odds.sum())])
    zero = np.zeros(k, np.float32)
    return Clusters(np.stack(centres), zero, zero.astype(np.float64))


def one_by_one(values: Values, variance: Values, k: int) -> Clusters:
    """Start by halving, again and again, the cluster that gains most likelihood by it."""
    label = np.zeros(len(values), np.int16)
    for number in range(1, k):
        best, chosen = np.inf, label
        for old in range(number):
            parts = halves(values, variance, label == old, 1)
            if parts is None:
                continue
            trial = label.copy()
            trial[parts[1]] = number
            start = moments(values, variance, trial, number + 1)
            trial, misfit = settle(values, variance, start, sweeps=5)
            if misfit < best:
                best, chosen = misfit, trial
        label = chosen
    return moments(values, variance, label, k)


def halves(
    values: Values, variance: Values, mine: NDArray[np.bool_], least: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Cut one cluster in two along its longest axis; None if a part would be too small."""
    index = np.flatnonzero(mine)
    if len(index) < 2 * least:
        return None
    own, noise = values[index], variance[index]
    weight = 1.0 / noise.astype(np.float64)
    centred = own - np.average(own.astype(np.float64), axis=0, weights=weight)
    _, axes = np.linalg.eigh((centred * weight[:, None]).T @ centred)
    side = (centred @ axes[:, -1] > 0).astype(np.int16)
    if side.min() == side.max():
        return None
    start = moments(own, noise, side, 2)._replace(spread=np.zeros(2, np.float32))
    side, _ = settle(own, noise, start)
    parts = (np.zeros_like(mine), np.zeros_like(mine))
    for half, part in enumerate(parts):
        part[index[side == half]] = True
    return None if min(part.sum() for part in parts) < least else parts


def separation(
    values: Values,
    variance: Values,
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
) -> float:
    """Distance of two clusters over their mean spread along the line between them.

    Medians throughout, so that mixtures at a border do not hide that there is one. Below 3
    the two may be one: the halves of a bell are 2.3 apart, those of an even gradient 2.7.
    """
    weights = [1.0 / variance[part].astype(np.float64) for part in (first, second)]
    parts = [values[part].astype(np.float64) for part in (first, second)]
    means = [np.average(p, axis=0, weights=w) for p, w in zip(parts, weights, strict=True)]
    axis = means[1] - means[0]
    length = float(np.linalg.norm(axis))
    if length == 0:
        return 0.0
    middles, spreads = [], []
    for part, weight in zip(parts, weights, strict=True):
        along = part @ (axis / length)
        middles.append(_median(along, weight))
        spreads.append(1.4826 * _median(np.abs(along - middles[-1]), weight))
    return (middles[1] - middles[0]) / max(float(np.mean(spreads)), 1e-30)


def _median(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weight[order])
    return float(values[order[np.searchsorted(reached, 0.5 * reached[-1])]])


def closest_pair(
    values: Values, variance: Values, label: Label, wanted: float
) -> tuple[int, int] | None:
    """Find the two clusters that are least apart, larger first, if less than ``wanted``."""
    numbers, sizes = np.unique(label[label >= 0], return_counts=True)
    best, found = wanted, None
    for a in range(len(numbers)):
        for b in range(a + 1, len(numbers)):
            apart = separation(values, variance, label == numbers[a], label == numbers[b])
            if apart < best:
                order = (a, b) if sizes[a] >= sizes[b] else (b, a)
                best, found = apart, (int(numbers[order[0]]), int(numbers[order[1]]))
    return found


def free_number(label: Label) -> int:
    """Give the lowest cluster number that no pixel has."""
    used = set(np.unique(label).tolist())
    return next(number for number in range(len(used) + 1) if number not in used)


def matched(fresh: Label, before: Label) -> Label:
    """Renumber ``fresh`` so that most pixels keep the number they had (Hungarian method).

    Parameters
    ----------
    fresh, before : int16 ``(pixel,)``
        Two clusterings of the same pixels; negative numbers stay as they are.
    """
    size = int(max(fresh.max(initial=-1), before.max(initial=-1))) + 1
    both = (fresh >= 0) & (before >= 0)
    table = np.zeros((size, size))
    np.add.at(table, (fresh[both], before[both]), 1)
    rows, columns = linear_sum_assignment(-table)
    number = np.zeros(size + 1, np.int16)
    number[rows] = columns
    return np.where(fresh >= 0, number[fresh], fresh).astype(np.int16)
