"""Loops of k-means: nearest centre of each row, and the sums that move the centres.

A row's *size* (its counts) divides it before it is compared and weights it afterwards:
spectra of thick and thin places compare alike, and count by how well they are known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import jit

UNKNOWN = -2
"""Nearest centre of a row that is not finite or has no size."""


@jit
def nearest(
    features: NDArray[np.float32],
    centres: NDArray[np.float32],
    label: NDArray[np.int16],
    distance: NDArray[np.float32],
) -> None:
    """Nearest centre and its squared distance; ``UNKNOWN`` and nan for rows with a nan.

    Parameters
    ----------
    features : float32 ``(pixel, feature)``
    centres : float32 ``(cluster, feature)``
    label : int16 ``(pixel,)``
    distance : float32 ``(pixel,)``
    """
    for i in range(features.shape[0]):
        best = np.float32(np.inf)
        found = UNKNOWN
        for k in range(centres.shape[0]):
            d = np.float32(0.0)
            for j in range(features.shape[1]):
                step = features[i, j] - centres[k, j]
                d += step * step
            if d < best:
                best = d
                found = k
        label[i] = found
        distance[i] = best if found >= 0 else np.nan


@jit
def gather(
    features: NDArray[np.float32],
    weight: NDArray[np.float32],
    label: NDArray[np.int16],
    sums: NDArray[np.float64],
    mass: NDArray[np.float64],
) -> None:
    """Add each row, times its weight, to the sum of its cluster; negative labels are left.

    Parameters
    ----------
    features : float32 ``(pixel, feature)``
    weight : float32 ``(pixel,)``
    label : int16 ``(pixel,)``
    sums : float64 ``(cluster, feature)``; added to
    mass : float64 ``(cluster,)``; added to
    """
    for i in range(features.shape[0]):
        k = label[i]
        if k < 0:
            continue
        mass[k] += weight[i]
        for j in range(features.shape[1]):
            sums[k, j] += weight[i] * features[i, j]


@jit
def agree(
    cost: NDArray[np.float32],
    label: NDArray[np.int16],
    shape: tuple[int, int],
    coupling: float,
    out: NDArray[np.int16],
) -> None:
    """One sweep of neighbour agreement over a map.

    Each pixel takes the cluster with the least ``cost`` plus ``coupling`` for each of its up
    to four neighbours that has another label. Pixels with negative labels stay and count as
    no neighbour.

    Parameters
    ----------
    cost : float32 ``(pixel, cluster)``; half of chi-square
    label : int16 ``(pixel,)`` of a map of ``shape`` (rows, columns)
    coupling : float
    out : int16 ``(pixel,)``
    """
    rows, columns = shape
    clusters = cost.shape[1]
    for i in range(rows * columns):
        out[i] = label[i]
        if label[i] < 0:
            continue
        y = i // columns
        x = i - y * columns
        best = np.float32(np.inf)
        for k in range(clusters):
            total = cost[i, k]
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
