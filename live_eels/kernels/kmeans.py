"""Loops of k-means: likeliest cluster of each row, and the sums that move the centres.

A cluster is a centre and a spread of its own; a row brings the variance of its counting
noise. Both add up to how far from the centre a member may lie, so that a faint pixel may
stray further than a bright one, and a loose cluster does not lose its rim to a tight one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import jit

UNKNOWN = -2
"""Cluster of a row that is not finite or has no variance."""

STRAY = 4.0
"""Squared distance, over the allowed one, beyond which a row says no more about a spread."""


@jit
def nearest(
    features: NDArray[np.float32],
    variance: NDArray[np.float32],
    centres: NDArray[np.float32],
    spread: NDArray[np.float32],
    label: NDArray[np.int16],
    distance: NDArray[np.float32],
    misfit: NDArray[np.float32],
) -> None:
    """Likeliest cluster of each row; ``UNKNOWN`` and nan for rows with a nan.

    Parameters
    ----------
    features : float32 ``(pixel, feature)``
    variance : float32 ``(pixel,)``; of the noise of one feature
    centres : float32 ``(cluster, feature)``; nan for numbers not in use
    spread : float32 ``(cluster,)``; variance of one feature beyond noise
    label : int16 ``(pixel,)``
    distance : float32 ``(pixel,)``
        Squared distance over the allowed variance, mean over features: about 1 for members.
    misfit : float32 ``(pixel,)``
        What the chosen cluster minimises: twice the negative logarithm of its likelihood.
    """
    size = features.shape[1]
    tightest = np.float32(np.inf)
    for k in range(spread.shape[0]):
        tightest = min(tightest, spread[k])
    for i in range(features.shape[0]):
        # A logarithm costs more than a distance, and most clusters are too far to need theirs.
        least = size * np.log(tightest + variance[i])
        best = np.float32(np.inf)
        found = UNKNOWN
        reach = np.float32(np.nan)
        for k in range(centres.shape[0]):
            d = np.float32(0.0)
            for j in range(size):
                step = features[i, j] - centres[k, j]
                d += step * step
            allowed = spread[k] + variance[i]
            if not d / allowed + least < best:
                continue
            score = d / allowed + size * np.log(allowed)
            if score < best:
                best = score
                found = k
                reach = d / (allowed * size)
        label[i] = found
        distance[i] = reach
        misfit[i] = best if found >= 0 else np.nan


@jit
def mixtures(
    features: NDArray[np.float32],
    variance: NDArray[np.float32],
    centres: NDArray[np.float32],
    spread: NDArray[np.float32],
    far: float,
    label: NDArray[np.int16],
    distance: NDArray[np.float32],
    mixed: NDArray[np.bool_],
) -> None:
    """Rows that lie between two clusters, as pixels on a border do, go to what they have most of.

    Only rows whose ``distance`` is over ``far`` are tried, and only a mixture that halves it
    counts: what is like one cluster is not a mixture.

    Parameters
    ----------
    features, variance, centres, spread
        As for `nearest`.
    far : float
    label, distance
        As `nearest` gave them; changed where a row is a mixture.
    mixed : bool ``(pixel,)``
    """
    size = features.shape[1]
    for i in range(features.shape[0]):
        mixed[i] = False
        if not distance[i] > far:
            continue
        best = np.float32(0.5) * distance[i]
        for a in range(centres.shape[0]):
            for b in range(a):
                along = np.float32(0.0)
                reach = np.float32(0.0)
                for j in range(size):
                    step = centres[b, j] - centres[a, j]
                    along += (features[i, j] - centres[a, j]) * step
                    reach += step * step
                share = along / reach
                if not 0.0 < share < 1.0:  # also for numbers that are not in use
                    continue
                d = np.float32(0.0)
                for j in range(size):
                    step = centres[b, j] - centres[a, j]
                    off = features[i, j] - centres[a, j] - share * step
                    d += off * off
                allowed = variance[i] + (1 - share) * spread[a] + share * spread[b]
                if d < best * allowed * size:
                    best = d / (allowed * size)
                    label[i] = b if share > 0.5 else a
                    mixed[i] = True
                    distance[i] = best


@jit
def hold(
    features: NDArray[np.float32],
    variance: NDArray[np.float32],
    centres: NDArray[np.float32],
    spread: NDArray[np.float32],
    before: NDArray[np.int16],
    label: NDArray[np.int16],
    mixed: NDArray[np.bool_],
    since: NDArray[np.int32],
    born: NDArray[np.int32],
    sigmas: float,
    share: float,
    gain: NDArray[np.float32],
) -> None:
    """Rows that are hardly past the border of the cluster they were in stay there.

    A row leaves when it is past the border, on the line between both centres, by ``sigmas``
    of the deviation it is allowed and ``share`` of their distance; to a cluster that there was
    not when it was looked at last, as soon as it is past the border.

    Parameters
    ----------
    features, variance, centres, spread
        As for `nearest`.
    before : int16 ``(pixel,)``
        Cluster each row was in; negative for none.
    label, mixed
        As `nearest` and `mixtures` gave them; ``label`` is changed where a row stays.
    since : int32 ``(pixel,)``
        When it was put there.
    born : int32 ``(cluster,)``
        Since when there is each cluster.
    sigmas, share : float
    gain : float32 ``(pixel,)``
        Filled with how far past the border a row is that leaves, in variances it is allowed:
        infinite where it cannot stay, 0 where it stays or was nowhere.
    """
    size = features.shape[1]
    for i in range(features.shape[0]):
        old, new = before[i], label[i]
        gain[i] = 0.0
        if old < 0 or old == new:
            continue
        gain[i] = np.inf
        if new < 0 or old >= centres.shape[0] or born[old] > since[i]:
            continue
        reach, from_old, from_new = 0.0, 0.0, 0.0
        for j in range(size):
            step = centres[new, j] - centres[old, j]
            reach += step * step
            step = features[i, j] - centres[old, j]
            from_old += step * step
            step = features[i, j] - centres[new, j]
            from_new += step * step
        if not reach > 0.0:  # also where the old one is no more
            continue
        allowed = variance[i] + 0.5 * (spread[old] + spread[new])
        past = from_old - from_new
        if not mixed[i]:
            loose, tight = variance[i] + spread[old], variance[i] + spread[new]
            past = from_old / loose - from_new / tight + size * np.log(loose / tight)
            past *= allowed
        gain[i] = past / allowed
        asked = 2.0 * (sigmas * np.sqrt(allowed * reach) + share * reach)
        if born[new] <= since[i] and past < asked:
            label[i] = old
            gain[i] = 0.0


@jit
def gather(
    features: NDArray[np.float32],
    variance: NDArray[np.float32],
    spread: NDArray[np.float32],
    label: NDArray[np.int16],
    sums: NDArray[np.float64],
    mass: NDArray[np.float64],
) -> None:
    """Add each row, over its allowed variance, to its cluster; negative labels are left.

    Parameters
    ----------
    features : float32 ``(pixel, feature)``
    variance : float32 ``(pixel,)``
    spread : float32 ``(cluster,)``
    label : int16 ``(pixel,)``
    sums : float64 ``(cluster, feature)``; added to
    mass : float64 ``(cluster,)``; sum of inverse variances, added to
    """
    for i in range(features.shape[0]):
        k = label[i]
        if k < 0:
            continue
        weight = 1.0 / (spread[k] + variance[i])
        mass[k] += weight
        for j in range(features.shape[1]):
            sums[k, j] += weight * features[i, j]


@jit
def scatter(
    features: NDArray[np.float32],
    variance: NDArray[np.float32],
    centres: NDArray[np.float32],
    spread: NDArray[np.float32],
    label: NDArray[np.int16],
    excess: NDArray[np.float64],
    mass: NDArray[np.float64],
) -> None:
    """Add up by how much rows lie further from their centre than noise explains.

    No row counts for more than ``STRAY`` times the allowed variance: mixtures at the border
    of two clusters would widen one of them until it took the borders of all others.

    Parameters
    ----------
    features, variance, centres, spread, label
        As for `nearest`; ``spread`` weights the rows.
    excess : float64 ``(cluster,)``
        Squared distance of one feature less the noise's, over the allowed variance squared;
        added to.
    mass : float64 ``(cluster,)``; sum of inverse squared variances, added to
    """
    size = features.shape[1]
    for i in range(features.shape[0]):
        k = label[i]
        if k < 0:
            continue
        d = 0.0
        for j in range(size):
            step = features[i, j] - centres[k, j]
            d += step * step
        allowed = spread[k] + variance[i]
        weight = 1.0 / allowed**2
        excess[k] += weight * (min(d / size, STRAY * allowed) - variance[i])
        mass[k] += weight


@jit
def costs(
    features: NDArray[np.float32],
    variance: NDArray[np.float32],
    centres: NDArray[np.float32],
    spread: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Negative logarithm of the likelihood of each cluster, float32 ``(pixel, cluster)``.

    Parameters as for `nearest`; nan for numbers not in use and for rows with a nan.
    """
    size = features.shape[1]
    out = np.empty((features.shape[0], centres.shape[0]), np.float32)
    for i in range(features.shape[0]):
        for k in range(centres.shape[0]):
            d = np.float32(0.0)
            for j in range(size):
                step = features[i, j] - centres[k, j]
                d += step * step
            allowed = spread[k] + variance[i]
            out[i, k] = 0.5 * (d / allowed + size * np.log(allowed))
    return out


@jit
def agree(
    cost: NDArray[np.float32],
    label: NDArray[np.int16],
    rows: int,
    columns: int,
    coupling: float,
    out: NDArray[np.int16],
) -> None:
    """One sweep of neighbour agreement over a map.

    Each pixel takes the cluster with the least ``cost`` plus ``coupling`` for each of its up
    to four neighbours that has another label. Pixels with negative labels stay and count as
    no neighbour.

    Parameters
    ----------
    cost : float32 ``(pixel, cluster)``; negative logarithm of the likelihood
    label : int16 ``(pixel,)`` of a map of ``rows`` times ``columns``
    coupling : float
    out : int16 ``(pixel,)``
    """
    for i in range(rows * columns):
        out[i] = label[i]
        if label[i] < 0:
            continue
        y = i // columns
        x = i - y * columns
        best = np.inf
        for k in range(cost.shape[1]):
            total = np.float64(cost[i, k])
            if y > 0 and label[i - columns] >= 0 and label[i - columns] != k:
                total += coupling
            if y < rows - 1 and label[i + columns] >= 0 and label[i + columns] != k:
                total += coupling
            if x > 0 and label[i - 1] >= 0 and label[i - 1] != k:
                total += coupling
            if x < columns - 1 and label[i + 1] >= 0 and label[i + 1] != k:
                total += coupling
            if total < best:
                best = total
                out[i] = k
