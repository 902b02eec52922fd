"""Online k-means on loadings: pixels that look alike, while they arrive.

Lives here: the learner that gives each pixel a cluster number. Knows loadings and the
factors behind them; no spectra, no maps, no files. A *cluster* is a number that k-means
found; what a model says is a *label* and lives elsewhere.

How it works
------------
Loadings are first made comparable (`ClusterSettings.normalise`), so that a phase is one
cluster whether it is thin or thick there. A reservoir keeps a fair draw of the pixels so
far. Between refits each block of pixels moves the centres a little; at a refit the centres
settle on the reservoir, and clusters are split or merged where the pixels say so. A cluster
keeps its number for as long as it lives, so colours do not jump.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from live_eels.cluster_settings import ClusterSettings
from live_eels.comparable import Comparison, Values
from live_eels.kernels.kmeans import UNKNOWN, agree, costs, gather
from live_eels.kernels.lloyd import Clusters, moments
from live_eels.kernels.phases import at_numbers, matched
from live_eels.membership import Label, Members, held, members
from live_eels.reservoir import Block, Reservoir, joined
from live_eels.starts import FreshStarts, as_many_as_there_are

FIRST_BLOCK_PIXELS, BLOCK_PIXELS = 16, 1024
"""Pixels are learned in blocks; small ones at first, when each may be news."""

MORE = 2.0
"""Pixels like no cluster, or between two, are news beyond so many times their usual share."""

AGREE_SWEEPS = 4
"""So far, in pixels, does a clear pixel settle the doubts of others."""

OUTLIER = -1
"""Cluster number of a pixel that is like none of the clusters."""


class OnlineKMeans:
    """Clusters of loadings, refreshed while they arrive.

    Parameters
    ----------
    settings : ClusterSettings
    seed : int
        Chooses starting centres and which pixels the reservoir keeps.

    Attributes
    ----------
    seen : int
        Pixels given to `learn`.
    centres : ndarray
        float32 ``(cluster number, feature)``; nan for a number that is not in use.
    spread : ndarray
        Variance of a feature in each cluster beyond counting noise, float32 ``(cluster number,)``.
    centres_version : int
        Counts the refits; when it changes, earlier pixels want a new `predict`.
    generation : int
        Counts the refits that brought a cluster there was not before.

    Notes
    -----
    A pixel belongs to the cluster that is likeliest for it, given the cluster's spread and
    the pixel's counting noise (for ``normalise="area"``: one over its counts). With equal
    spreads this is plain k-means.

    Examples
    --------
    >>> kmeans = OnlineKMeans(ClusterSettings(), seed=0)
    >>> kmeans.rebase(rotation, offset, pca.factors, pca.components)
    >>> kmeans.learn(loadings)
    >>> cluster = kmeans.predict(loadings)
    """

    def __init__(self, settings: ClusterSettings | None = None, seed: int = 0):
        self.settings = settings or ClusterSettings()
        self._rng = np.random.default_rng(seed)
        self.seen = 0
        self._absorbed = 0
        self._block: Block = []  # the unfinished block: rows, and their spectra
        self._waiting = 0
        self._reservoir = Reservoir(self.settings.reservoir_pixels, self._rng)
        self._comparison = Comparison(self.settings.normalise)
        self._strange = 0
        self._next_refit = 0
        self.centres = np.zeros((0, 0), np.float32)
        self.spread = np.zeros(0, np.float32)
        self._mass = np.zeros(0)
        self.centres_version = self.generation = 0
        self._born = np.zeros(0, np.int32)
        self._usual, self._since = 0.0, 0
        self._starts = FreshStarts(seed)

    @property
    def clusters(self) -> int:
        """Cluster numbers in use."""
        return int(self._used().sum())

    # ---- learning -------------------------------------------------------------------

    @property
    def room(self) -> int:
        """Pixels until the block is full: cut chunks here to be free of their boundaries."""
        return self._block_pixels() - self._waiting

    def _block_pixels(self) -> int:
        return int(min(max(self._absorbed // 64, FIRST_BLOCK_PIXELS), BLOCK_PIXELS))

    def learn(
        self, loadings: NDArray[np.float32], spectra: NDArray[np.float32] | None = None
    ) -> None:
        """Take loadings in; rows with a nan teach nothing.

        Parameters
        ----------
        loadings : float32 ``(pixel, component)``
        spectra : float32 ``(pixel, channel)``, optional
            What the loadings are of, always or never; those of the reservoir are kept, so
            that its loadings can follow the basis exactly.
        """
        start = 0
        while start < len(loadings):
            part = slice(start, start + self.room)
            rows = np.asarray(loadings[part], np.float32)
            start += len(rows)
            self.seen += len(rows)
            own = None if spectra is None else spectra[part]
            self._waiting += len(rows)
            if not self.room:
                self._absorb([*self._block, (rows, own)])
            else:  # they stay longer than the caller may leave them as they are
                self._block.append((rows.copy(), None if own is None else own.copy()))

    def finish(self) -> None:
        """Learn what is left in the unfinished block and let the centres settle."""
        if self._block:
            self._absorb(self._block)
        self._refit()

    def _absorb(self, block: Block) -> None:
        """Learn a block, which there is no more to wait for."""
        ((rows, spectra),) = joined(block)
        self._block, self._waiting = [], 0
        self._absorbed += len(rows)
        good = np.isfinite(rows).all(axis=1)
        if not good.all():
            rows, spectra = rows[good], None if spectra is None else spectra[good]
        self._reservoir.offer(rows, spectra)
        if self.clusters and self._absorbed < self._next_refit:
            self._strange += self._move(rows)
            self._since += len(rows)
        # As many strange ones as would make a cluster of the reservoir.
        share = max(self._reservoir.offered / self.settings.reservoir_pixels, 1.0)
        strange = self._strange - MORE * self._usual * self._since
        news = self.settings.clusters is None and strange >= self.settings.min_pixels * share
        if news or self._absorbed >= self._next_refit:
            self._refit()

    def _move(self, rows: NDArray[np.float32]) -> int:
        """Move the centres by the rows of one block; tell how many were strange."""
        values, variance = self.features(rows)
        found = self._members(values, variance)
        label = np.where(found.mixed, np.int16(UNKNOWN), found.label)
        sums, mass = np.zeros(self.centres.shape), np.zeros(len(self.centres))
        gather(values, variance, self.spread, label, sums, mass)
        moved = mass > 0
        self._mass[moved] += mass[moved]
        step = sums[moved] - mass[moved, None] * self.centres[moved]
        self.centres[moved] += (step / self._mass[moved, None]).astype(np.float32)
        return int(np.count_nonzero(found.strange))

    def rebase(
        self,
        rotation: NDArray[np.float32],
        offset: NDArray[np.float32],
        factors: NDArray[np.float32] | None = None,
        components: int | None = None,
        transform: Callable[[Values], Values] | None = None,
    ) -> None:
        """Follow the decomposition to its new basis: old loadings become ``old @ R + offset``.

        Parameters
        ----------
        rotation, offset : float32 ``(component, component)``, ``(component,)``
        factors : float32 ``(component, channel)``, optional
            The new factors; without them loadings are compared as they are.
        components : int, optional
            How many of the loadings are significant; the rest is not compared.
        transform : callable, optional
            Loadings of spectra in the new basis, for pixels whose spectra were given.
        """
        self._block = [
            (rows @ rotation + offset if transform is None or own is None else transform(own), own)
            for rows, own in self._block
        ]
        label = self._reservoir_labels()
        more = self._comparison.follow(factors, components)
        if not len(self._reservoir):
            return
        self._reservoir.turn(rotation, offset, transform)
        self._comparison.measure_noise(self._reservoir.rows)
        if label is not None:
            self._take(moments(*self.features(self._reservoir.rows), label, len(self.centres)))
            self.centres_version += 1
        # A new component, or a new direction, may tell apart what was one.
        if label is None or more or self._unlike():
            self._refit()

    def _unlike(self) -> bool:
        """Whether pixels of the reservoir have become strange, as many as make a cluster."""
        strange = self._members(*self.features(self._reservoir.rows)).strange
        usual = MORE * self._usual * len(strange)
        return bool(np.count_nonzero(strange) >= usual + self.settings.min_pixels)

    def merge(self, other: OnlineKMeans) -> None:
        """Take over what another learner has seen, in the same basis; numbers stay ours."""
        if other.settings != self.settings:
            raise ValueError("learners of other settings cannot be merged")
        self._comparison.adopt(other._comparison)
        self._reservoir.merge(other._reservoir)
        self._absorbed += other._absorbed
        self.seen += other._absorbed
        for rows, spectra in other._block:
            self.learn(rows, spectra)
        self._refit()

    def set_clusters(self, clusters: int | None) -> None:
        """Use so many clusters from now on, or let the pixels choose."""
        self.settings = msgspec.structs.replace(self.settings, clusters=clusters)
        self._refit()

    def renumber(self, numbers: Label) -> None:
        """Call clusters by other numbers: int16 ``(cluster number,)``, all different."""
        used = self._used()
        numbers = numbers[: len(used)][used]
        self.centres = at_numbers(self.centres[used], numbers, np.nan)
        self.spread = at_numbers(self.spread[used], numbers, 0)
        self._mass = at_numbers(self._mass[used], numbers, 0)
        self._born = at_numbers(self._born[used], numbers, 0)
        self.centres_version += 1

    def frozen(self) -> OnlineKMeans:
        """Give one that predicts as this one does now, whatever this one learns later.

        What is frozen must not learn.
        """
        now = object.__new__(type(self))  # copy.copy would take what __getstate__ makes
        vars(now).update(vars(self))
        now.centres = self.centres.copy()  # blocks move them in place
        now._comparison = copy.copy(self._comparison)
        now._born = self._born.copy()
        return now

    def __getstate__(self) -> dict[str, Any]:
        """What is remembered does not depend on how the stream was cut."""
        return vars(self) | {"_block": joined(self._block)}

    # ---- comparing ------------------------------------------------------------------

    def features(self, loadings: NDArray[np.float32]) -> tuple[Values, Values]:
        """Loadings as they are compared, and the variance of their noise (`Comparison`)."""
        return self._comparison.features(loadings)

    @property
    def _clusters(self) -> Clusters:
        return Clusters(self.centres, self.spread, self._mass)

    def _members(self, values: Values, variance: Values) -> Members:
        return members(values, variance, self._clusters)

    def predict(self, loadings: NDArray[np.float32]) -> NDArray[np.int16]:
        """Cluster of each row ``(pixel, component)`` under the present centres.

        Returns
        -------
        int16 ``(pixel,)``
            -1 for outliers, -2 where nothing can be said (a nan, no counts, no centres yet).
        """
        nowhere = np.full(len(loadings), UNKNOWN, np.int16)
        return self.moved(loadings, nowhere, np.zeros(len(loadings), np.int32))[0]

    def moved(
        self, loadings: NDArray[np.float32], before: Label, since: NDArray[np.int32]
    ) -> tuple[Label, NDArray[np.float32]]:
        """Cluster of each row, as `predict`, and how surely it has left the one it was in.

        Parameters
        ----------
        loadings : float32 ``(pixel, component)``
        before : int16 ``(pixel,)``
            Cluster each row was in: it stays there unless it is clearly in another now, or in
            one that there was not.
        since : int32 ``(pixel,)``
            The `generation` then.

        Returns
        -------
        int16 ``(pixel,)``, float32 ``(pixel,)``
            Those that leave are so many variances past the border; infinite where the cluster
            they were in is no more.
        """
        values, variance = self.features(np.asarray(loadings, np.float32))
        found = self._members(values, variance)
        gain = np.zeros(len(values), np.float32)
        if (before >= 0).any():
            held(values, variance, self._clusters, found, before, since, self._born, gain)
        far = self.settings.outlier_sigma**2
        out = (found.label >= 0) & (found.distance > far)
        if far > 0 and out.any():
            found.label[out] = OUTLIER
            gain[out] = np.maximum(gain[out], (found.distance[out] - far) * values.shape[1])
        return found.label, gain

    def agree(
        self, loadings: NDArray[np.float32], label: NDArray[np.int16], rows: int, columns: int
    ) -> NDArray[np.int16]:
        """Settle doubtful pixels of a map by their neighbours; clear ones stay what they are.

        A pixel that its spectrum places clearly (a single-pixel feature) outweighs its four
        neighbours; one that lies between two clusters goes with them.

        Parameters
        ----------
        loadings : float32 ``(pixel, component)`` of all pixels of the map
        label : int16 ``(pixel,)``, from `predict`
        rows, columns : int
        """
        coupling = self.settings.neighbour_coupling
        if coupling == 0 or not self.clusters:
            return label
        values, variance = self.features(np.asarray(loadings, np.float32))
        cost = costs(values, variance, self.centres, self.spread)
        cost[~np.isfinite(cost)] = np.inf
        now, after = label.copy(), np.empty_like(label)
        for _ in range(AGREE_SWEEPS):
            agree(cost, now, rows, columns, coupling, after)
            now, after = after, now
        return now

    # ---- refits ---------------------------------------------------------------------

    def _take(self, now: Clusters) -> None:
        self.centres, self.spread, self._mass = now
        self._mass = self._mass * (self._reservoir.offered / max(len(self._reservoir), 1))

    def _reservoir_labels(self) -> NDArray[np.int16] | None:
        if not len(self._reservoir) or not self.clusters:
            return None
        return self._members(*self.features(self._reservoir.rows)).label

    def _refit(self) -> None:
        """Settle on the reservoir; split, merge, revive; keep numbers."""
        self._strange = self._since = 0
        growth = self.settings.growth
        if self._reservoir.offered < self.settings.reservoir_pixels:
            growth /= 4  # a small scan has time, and each of its phases may be news
        self._next_refit = self._absorbed + max(int(self._absorbed * growth), 16)
        self._comparison.measure_noise(self._reservoir.rows)
        values, variance = self.features(self._reservoir.rows)
        known = np.isfinite(values).all(axis=1) & np.isfinite(variance)
        if not known.any():
            return
        values, variance = values[known], variance[known]
        k, now = self.settings.clusters, self._now(values.shape[1])
        if k is not None:
            label = self._starts.settled(values, variance, now, k, self._reservoir.offered)
        else:
            label = as_many_as_there_are(values, variance, now, self.settings)
            if self.clusters:
                label = matched(label, self._members(values, variance).label)
        before = self._used()
        self._take(moments(values, variance, label, int(label.max()) + 1))
        self._usual = float(np.mean(self._members(values, variance).strange))
        self._note_births(before)
        self.centres_version += 1

    def _used(self) -> NDArray[np.bool_]:
        """Which numbers are in use, bool ``(cluster number,)``."""
        return np.asarray(np.isfinite(self.centres).all(axis=1), np.bool_)

    def _note_births(self, before: NDArray[np.bool_]) -> None:
        """Note which clusters there were not ``before``."""
        new = self._used()
        new[: len(before)] &= ~before[: len(new)]
        self.generation += int(new.any())
        self._born = np.append(self._born, np.zeros(len(new), np.int32))[: len(new)]
        self._born[new] = self.generation

    def _now(self, features: int) -> Clusters | None:
        return self._clusters if self.clusters and self.centres.shape[1] == features else None
