"""Where the clusters of a reservoir settle, from those known so far or from a fresh start.

Lives here: when it is worth to start over. Knows pixels as they are compared and the clusters
of the last refit; not where pixels come from.
"""

from __future__ import annotations

import numpy as np

from live_eels.cluster_settings import ClusterSettings
from live_eels.kernels.lloyd import (
    Clusters,
    Label,
    Values,
    far_apart,
    moments,
    one_by_one,
    settle,
)
from live_eels.kernels.phases import Apart, matched, split_and_join

SKETCH = 1024
"""Fresh starts are tried on so many pixels of the reservoir; only a likelier one sees all."""

BETTER = 0.02
"""A fresh start is taken where its misfit is less by so much a pixel, and tried where the
misfit has grown by that since the last one or the pixels have doubled."""


class FreshStarts:
    """Settles a set number of clusters; starts over when that may be likelier.

    Parameters
    ----------
    seed
        Chooses starting centres.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._tried_at, self._misfit = 0, -np.inf

    def settled(
        self, values: Values, variance: Values, now: Clusters | None, k: int, offered: int
    ) -> Label:
        """Cluster of each pixel, as ``k`` are likeliest.

        Parameters
        ----------
        values, variance
            Pixels, as in `lloyd`.
        now
            The clusters so far, whose numbers are kept; None if there are none.
        k
            How many are wanted; never more than there are pixels.
        offered
            For how many pixels these stand.
        """
        k = min(k, len(values))
        before, best = None, np.inf
        if now is not None:
            before, _, misfit = settle(values, variance, now)
            if len(np.unique(before)) == k:
                best = misfit - BETTER * len(values)
                if offered < 2 * self._tried_at and best < self._misfit * len(values):
                    return before
        fresh, _, misfit = settle(values, variance, self._start(values, variance, k))
        self._tried_at = offered
        self._misfit = min(misfit, best + BETTER * len(values)) / len(values)
        if before is None:
            return fresh
        return matched(fresh, before) if misfit < best else before

    def _start(self, values: Values, variance: Values, k: int) -> Clusters:
        """Give the best of some starts on a few of the pixels."""
        rng = np.random.default_rng(self._seed)
        every = max(1, len(values) // max(SKETCH, 16 * k))
        values, variance = values[::every], variance[::every]
        starts = [far_apart(values, variance, k, rng) for _ in range(3)]
        starts.append(one_by_one(values, variance, k))
        settled = [settle(values, variance, start) for start in starts]
        best = min(settled, key=lambda one: one.misfit)
        return moments(values, variance, best.label, k)


def as_many_as_there_are(
    values: Values, variance: Values, now: Clusters | None, known: ClusterSettings
) -> Label:
    """Cluster of each pixel, with as many clusters as the pixels ask for."""
    apart = Apart(known.min_pixels, known.separation, known.length, known.max_clusters)
    return split_and_join(values, variance, now, apart)
