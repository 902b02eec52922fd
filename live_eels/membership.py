"""Which cluster a pixel belongs to, and how surely it has left the one it was in.

Lives here: the likeliest cluster of each pixel, mixtures of two, and what holds a pixel that is
hardly past a border. Knows pixels as they are compared, and clusters; not who asks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from live_eels.comparable import Values
from live_eels.kernels.kmeans import UNKNOWN, hold, mixtures, nearest
from live_eels.kernels.lloyd import FAR, Clusters

HELD_SIGMAS, HELD_SHARE = 1.0, 0.05
"""A pixel on a map keeps its cluster until it is past the border by so much (`kmeans.hold`)."""

Label = NDArray[np.int16]


class Members(NamedTuple):
    """Where pixels belong: each array ``(pixel,)``.

    Attributes
    ----------
    label : int16; ``UNKNOWN`` where nothing can be said
    distance : float32
        Squared distance over the allowed variance, mean over features: about 1 for members.
    mixed : bool
        Lies between two clusters.
    """

    label: Label
    distance: NDArray[np.float32]
    mixed: NDArray[np.bool_]

    @property
    def strange(self) -> NDArray[np.bool_]:
        """Which are like no cluster, or lie between two: a phase not met before may."""
        return np.asarray(self.mixed | (self.distance > FAR), np.bool_)


def members(values: Values, variance: Values, clusters: Clusters) -> Members:
    """Say where pixels belong.

    Parameters
    ----------
    values, variance : float32 ``(pixel, feature)``, ``(pixel,)``
    clusters : Clusters
        Perhaps none yet.
    """
    label = np.full(len(values), UNKNOWN, np.int16)
    distance = np.full(len(values), np.nan, np.float32)
    mixed = np.zeros(len(values), np.bool_)
    centres, spread = clusters.centres, clusters.spread
    if np.isfinite(centres).all(axis=1).any():
        misfit = np.empty(len(values), np.float32)
        nearest(values, variance, centres, spread, label, distance, misfit)
        mixtures(values, variance, centres, spread, FAR, label, distance, mixed)
    return Members(label, distance, mixed)


def held(
    values: Values,
    variance: Values,
    clusters: Clusters,
    found: Members,
    before: Label,
    since: NDArray[np.int32],
    born: NDArray[np.int32],
    gain: NDArray[np.float32],
) -> None:
    """Keep pixels that are hardly past a border where they were: changes ``found.label``.

    Parameters
    ----------
    values, variance, clusters, found
        As for `members`, and what it gave.
    before : int16 ``(pixel,)``
        Cluster each pixel was in.
    since : int32 ``(pixel,)``
        When it was put there, and
    born : int32 ``(cluster,)``
        since when there is each cluster.
    gain : float32 ``(pixel,)``
        Filled with how far each that leaves is past the border, in variances it is allowed;
        infinite where the cluster it was in is no more.
    """
    rule = (since, born, HELD_SIGMAS, HELD_SHARE)
    centres, spread = clusters.centres, clusters.spread
    hold(values, variance, centres, spread, before, found.label, found.mixed, *rule, gain)
