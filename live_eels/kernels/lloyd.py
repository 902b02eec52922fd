"""k-means as whole-array steps: start, settle, halve. Arrays in, arrays out.

``values`` are float32 ``(pixel, feature)``, ``variance`` float32 ``(pixel,)`` their counting
noise, ``label`` int16 ``(pixel,)`` with negative numbers for pixels of no cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels.kmeans import gather, mixtures, nearest, scatter

STILL = 0.0005
"""Iterations end when no larger share of the rows changes its cluster."""

Values = NDArray[np.float32]
Label = NDArray[np.int16]


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
    one from a good ``guess`` of it. None is looser than most: a cluster that is holds several
    phases, or mixtures of others, and must not win more of them for being so.
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
            used = np.sort(spread[mass > 0])
            spread = np.minimum(spread, used[len(used) // 2])
    return Clusters(centres, spread, mass)


AXES = 3
"""A cluster is cut across so many of its axes, longest first."""

FAR = 4.0
"""Squared distance, over the allowed one, beyond which a pixel may be a mixture of two."""


class Settled(NamedTuple):
    """Rows and their clusters.

    ``label`` int16 ``(pixel,)``; ``pure`` bool ``(pixel,)``, False for a mixture of two
    clusters, which is labelled as the one it has most of; ``misfit``, twice the negative
    logarithm of the likelihood of all.
    """

    label: Label
    pure: NDArray[np.bool_]
    misfit: float


def settle(values: Values, variance: Values, start: Clusters, sweeps: int = 40) -> Settled:
    """Lloyd's iterations; mixtures at the border of two clusters move neither."""
    label = np.empty(len(values), np.int16)
    last = np.full_like(label, -1)
    distance, misfit = np.empty(len(values), np.float32), np.empty(len(values), np.float32)
    mixed = np.zeros(len(values), np.bool_)
    now = start
    for _ in range(sweeps):
        nearest(values, variance, now.centres, now.spread, label, distance, misfit)
        mixtures(values, variance, now.centres, now.spread, FAR, label, distance, mixed)
        if np.count_nonzero(label != last) <= STILL * len(label):
            break
        last[:] = label
        members = np.where(mixed, np.int16(-1), label)
        now = moments(values, variance, members, len(now.centres), now.spread)
    return Settled(label, ~mixed, float(misfit.sum(dtype=np.float64)))


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
            parts = next(halves(values, variance, label == old, 1), None)
            if parts is None:
                continue
            trial = label.copy()
            trial[parts[1]] = number
            start = moments(values, variance, trial, number + 1)
            trial, _, misfit = settle(values, variance, start, sweeps=5)
            if misfit < best:
                best, chosen = misfit, trial
        label = chosen
    return moments(values, variance, label, k)


def halves(
    values: Values, variance: Values, mine: NDArray[np.bool_], least: int
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Ways to cut one cluster in two, parts of at least ``least`` rows, each settled.

    Across each of its longest axes, in the middle of the rows and in the middle of their
    range (where a small part lies at one end), and with the rows furthest out as one part.
    The two-means of a cluster has many optima; the likeliest one is not always the gap.
    """
    index = np.flatnonzero(mine)
    if len(index) < 2 * least:
        return
    own, noise = values[index], variance[index]
    weight = 1.0 / noise.astype(np.float64)
    centred = own - np.average(own.astype(np.float64), axis=0, weights=weight)
    _, axes = np.linalg.eigh((centred * weight[:, None]).T @ centred)
    along = centred @ axes[:, : -AXES - 1 : -1]
    low, high = np.quantile(along, (0.01, 0.99), axis=0)
    outside = np.einsum("ij,ij->i", centred, centred) * weight
    out = outside > np.partition(outside, -least)[-least]
    tried: set[bytes] = set()
    for side in (*(along > 0).T, *(along > (low + high) / 2).T, out):
        if side.all() or not side.any():
            continue
        start = moments(own, noise, side.astype(np.int16), 2)
        after = settle(own, noise, start._replace(spread=np.zeros(2, np.float32))).label
        found = after == after[0]
        if found.tobytes() in tried or min(found.sum(), (~found).sum()) < least:
            continue
        tried.add(found.tobytes())
        parts = (np.zeros_like(mine), np.zeros_like(mine))
        parts[0][index[found]], parts[1][index[~found]] = True, True
        yield parts
