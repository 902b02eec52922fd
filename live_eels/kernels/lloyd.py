"""k-means as whole-array steps: start, settle, halve. Arrays in, arrays out.

``values`` are float32 ``(pixel, feature)``, ``variance`` float32 ``(pixel,)`` their counting
noise, ``label`` int16 ``(pixel,)`` with negative numbers for pixels of no cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import jit
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
) -> Clusters:
    """Centre, spread and mass of labelled rows.

    Each row is weighted by the inverse of the variance it is allowed, noise and the
    cluster's spread together; as the spread is what is asked for, three turns are taken.
    None is looser than most: a cluster that is holds several phases, or mixtures of others,
    and must not win more of them for being so.
    """
    centres = np.empty((clusters, values.shape[1]), np.float32)
    spread, mass = np.zeros(clusters, np.float32), np.zeros(clusters)
    for _ in range(3):
        turn(values, variance, label, centres, spread, mass)
    return Clusters(centres, spread, mass)


@jit
def turn(
    values: Values,
    variance: Values,
    label: Label,
    centres: NDArray[np.float32],
    spread: NDArray[np.float32],
    mass: NDArray[np.float64],
) -> None:
    """Find ``centres``, ``spread`` and ``mass`` anew, from the spread as it was."""
    sums = np.zeros(centres.shape)
    mass[:] = 0.0
    gather(values, variance, spread, label, sums, mass)
    for k in range(mass.size):
        for j in range(centres.shape[1]):
            centres[k, j] = np.float32(sums[k, j] / mass[k])
    excess, weight = np.zeros(mass.size), np.zeros(mass.size)
    scatter(values, variance, centres, spread, label, excess, weight)
    used = np.empty(mass.size, np.float32)
    n = 0
    for k in range(mass.size):
        spread[k] = np.float32(max(excess[k] / weight[k], 0.0)) if mass[k] > 0 else np.float32(0.0)
        if mass[k] > 0:
            used[n] = spread[k]
            n += 1
    if n > 0:
        most = np.sort(used[:n])[n // 2]
        for k in range(mass.size):
            spread[k] = min(spread[k], most)


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
    mixed = np.zeros(len(values), np.bool_)
    misfit = settle_rows(
        values, variance, start.centres.copy(), start.spread.copy(), sweeps, label, mixed
    )
    return Settled(label, ~mixed, misfit)


@jit
def settle_rows(
    values: Values,
    variance: Values,
    centres: NDArray[np.float32],
    spread: NDArray[np.float32],
    sweeps: int,
    label: Label,
    mixed: NDArray[np.bool_],
) -> float:
    """``settle`` in place: ``centres`` and ``spread`` are where it starts; gives the misfit."""
    n = values.shape[0]
    last, members = np.full(n, -1, np.int16), np.empty(n, np.int16)
    distance, misfit = np.empty(n, np.float32), np.empty(n, np.float32)
    mass = np.empty(spread.size)
    for _ in range(sweeps):
        nearest(values, variance, centres, spread, label, distance, misfit)
        mixtures(values, variance, centres, spread, FAR, label, distance, mixed)
        changed = 0
        for i in range(n):
            if label[i] != last[i]:
                changed += 1
            last[i] = label[i]
            members[i] = -1 if mixed[i] else label[i]
        if changed <= STILL * n:
            break
        turn(values, variance, members, centres, spread, mass)
    total = 0.0
    for i in range(n):
        total += misfit[i]
    return total


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
            parts = next(halves(values, variance, label == old, 1, most=1), None)
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
    values: Values,
    variance: Values,
    mine: NDArray[np.bool_],
    least: int,
    most: int = 2 * AXES + 1,
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """At most ``most`` ways to cut one cluster in two, parts of ``least`` rows, each settled.

    Across each of its longest axes, in the middle of the rows and in the middle of their
    range (where a small part lies at one end), and with the rows furthest out as one part.
    The two-means of a cluster has many optima; the likeliest one is not always the gap.
    """
    index = np.flatnonzero(mine)
    if len(index) < 2 * least:
        return
    own, noise = values[index], variance[index]
    weight = 1.0 / noise.astype(np.float64)
    centred = own - (weight @ own) / weight.sum()
    _, axes = np.linalg.eigh((centred * weight[:, None]).T @ centred)
    along = centred @ axes[:, : -AXES - 1 : -1]
    outside = np.einsum("ij,ij->i", centred, centred) * weight
    for found in cuts(own, noise, along, outside, least, most):
        parts = (np.zeros_like(mine), np.zeros_like(mine))
        parts[0][index[found]], parts[1][index[~found]] = True, True
        yield parts


@jit
def cuts(
    values: Values,
    variance: Values,
    along: NDArray[np.float64],
    outside: NDArray[np.float64],
    least: int,
    most: int,
) -> NDArray[np.bool_]:
    """The ways of ``halves``, each once, bool ``(way, row)``: whether it goes with the first row.

    ``along (row, axis)`` is where rows lie on the axes, ``outside (row,)`` how far out.
    """
    n, axes = along.shape
    few = max(n // 100, 1)
    far = np.partition(outside, n - least)[n - least]
    label, mixed, side = np.empty(n, np.int16), np.empty(n, np.bool_), np.empty(n, np.int16)
    centres, mass = np.empty((2, values.shape[1]), np.float32), np.empty(2)
    found, ways = np.empty((2 * axes + 1, n), np.bool_), 0
    for way in range(2 * axes + 1):
        if ways == most:
            break
        middle = 0.0
        if axes <= way < 2 * axes:
            ends = np.partition(along[:, way - axes], np.array([few - 1, n - few]))
            middle = 0.5 * (ends[few - 1] + ends[n - few])
        for i in range(n):
            over = outside[i] >= far if way == 2 * axes else along[i, way % axes] > middle
            side[i] = 1 if over else 0
        if not 0 < np.sum(side) < n:
            continue
        spread = np.zeros(2, np.float32)
        for _ in range(3):
            turn(values, variance, side, centres, spread, mass)
        spread[:] = 0.0
        settle_rows(values, variance, centres, spread, 40, label, mixed)
        size = 0
        for i in range(n):
            found[ways, i] = label[i] == label[0]
            size += found[ways, i]
        if min(size, n - size) < least:
            continue
        new = True
        for other in range(ways):
            new = new and not np.array_equal(found[other], found[ways])
        ways += new
    return found[:ways]
