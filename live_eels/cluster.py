"""Online k-means on loadings: pixels that look alike, while they arrive.

Lives here: the learner that gives each pixel a cluster number. Knows loadings and the
factors behind them; no spectra, no maps, no files. A *cluster* is a number that k-means
found; what a trained model says is a *label* and lives elsewhere.

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
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from scipy.optimize import nnls

from live_eels.kernels.kmeans import UNKNOWN, agree, gather, nearest
from live_eels.kernels.lloyd import (
    Clusters,
    closest_pair,
    far_apart,
    free_number,
    halves,
    matched,
    moments,
    one_by_one,
    separation,
    settle,
)

SKETCH = 1024
"""Fresh starts are tried on so many pixels of the reservoir; only a likelier one sees all."""

FAINT = 0.1
"""A pixel is faint when its counts leave its composition uncertain by this much. Faint pixels
are not blown up to the size of bright ones; dark ones gather near zero."""

OUTLIER = -1
"""Cluster number of a pixel that is like none of the clusters."""

Values = NDArray[np.float32]
Normalise = Literal["area", "max", "l2", "derivative", "scores"]


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the clustering.

    Attributes
    ----------
    clusters
        Number of clusters; None lets it follow what the scan has seen.
    max_clusters
        At most so many when the number is chosen live.
    normalise
        What a spectrum is divided by before it is compared: its ``area``, ``max`` or ``l2``
        norm; ``derivative`` compares slopes (after area); ``scores`` compares loadings as
        they are, thickness included.
    min_pixels
        A cluster is found when so many pixels (of the reservoir) belong to it.
    separation
        Two clusters are told apart when their centres are this many times their spread
        away from each other.
    outlier_sigma
        A pixel further from its centre than so many standard deviations (counting noise and
        spread of the cluster together) is an outlier; 0 switches outliers off.
    reservoir_pixels
        Pixels that are kept for refits.
    growth
        Refit when the pixels have grown by this factor less one; four times as often until
        the reservoir is full.
    neighbour_coupling
        How strongly neighbours must agree: logarithm of the odds that a pixel is like one
        neighbour rather than not; 0 is off.
    """

    clusters: Annotated[int, Meta(ge=1, le=64)] | None = None
    max_clusters: Annotated[int, Meta(ge=1, le=64)] = 12
    normalise: Normalise = "area"
    min_pixels: Annotated[int, Meta(ge=2)] = 12
    separation: Annotated[float, Meta(gt=0)] = 4.0
    outlier_sigma: Annotated[float, Meta(ge=0)] = 6.0
    reservoir_pixels: Annotated[int, Meta(ge=256)] = 4096
    growth: Annotated[float, Meta(gt=0, le=4)] = 0.5
    neighbour_coupling: Annotated[float, Meta(ge=0)] = 0.0


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
        Variance of a feature within each cluster beyond counting noise, float32
        ``(cluster number,)``.
    centres_version : int
        Counts the refits; when it changes, earlier pixels want a new `predict`.

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
        self._seed = seed
        self.seen = 0
        self._absorbed = 0
        self._rows: NDArray[np.float32] | None = None
        self._reservoir: NDArray[np.float32] | None = None
        self._offered = 0
        self._factors: NDArray[np.float32] | None = None
        self._shape = np.zeros(0, np.float32)  # the mean spectrum, with area 1
        self._components: int | None = None
        self._noise = (1.0, 0.0)
        self._next_refit = 0
        self.centres = np.zeros((0, 0), np.float32)
        self.spread = np.zeros(0, np.float32)
        self._mass = np.zeros(0)
        self.centres_version = 0

    @property
    def clusters(self) -> int:
        """Cluster numbers in use."""
        return int(np.isfinite(self.centres).all(axis=1).sum()) if self.centres.size else 0

    # ---- learning -------------------------------------------------------------------

    @property
    def room(self) -> int:
        """Pixels until the block is full: cut chunks here to be free of their boundaries."""
        return self._block_pixels() - (0 if self._rows is None else len(self._rows))

    def _block_pixels(self) -> int:
        return int(min(max(self._absorbed, 16), 256))

    def learn(self, loadings: NDArray[np.float32]) -> None:
        """Take loadings in: float32 ``(pixel, component)``; rows with a nan teach nothing."""
        start = 0
        while start < len(loadings):
            piece = np.array(loadings[start : start + self.room], np.float32)
            start += len(piece)
            self.seen += len(piece)
            rows = piece if self._rows is None else np.concatenate([self._rows, piece])
            self._rows = rows
            if len(rows) == self._block_pixels():
                self._rows = None
                self._absorb(rows)

    def finish(self) -> None:
        """Learn what is left in the unfinished block and let the centres settle."""
        if self._rows is not None:
            rows, self._rows = self._rows, None
            self._absorb(rows)
        self._refit()

    def _absorb(self, rows: NDArray[np.float32]) -> None:
        self._absorbed += len(rows)
        self._offer(rows[np.isfinite(rows).all(axis=1)])
        if self._absorbed >= self._next_refit:
            self._refit()
        elif self.clusters:
            self._move(rows)

    def _move(self, rows: NDArray[np.float32]) -> None:
        """Move the centres by the rows of one block."""
        values, variance = self.features(rows)
        label, _ = self._nearest(values, variance)
        sums, mass = np.zeros(self.centres.shape), np.zeros(len(self.centres))
        gather(values, variance, self.spread, label, sums, mass)
        moved = mass > 0
        self._mass[moved] += mass[moved]
        step = sums[moved] - mass[moved, None] * self.centres[moved]
        self.centres[moved] += (step / self._mass[moved, None]).astype(np.float32)

    def _offer(self, rows: NDArray[np.float32]) -> None:
        """Keep a fair draw of all rows offered so far (Vitter's algorithm R)."""
        if self._reservoir is None:
            self._reservoir = rows[:0].copy()
        free = max(self.settings.reservoir_pixels - len(self._reservoir), 0)
        if free:
            self._reservoir = np.concatenate([self._reservoir, rows[:free]])
        late = rows[free:]
        before = self._offered + len(rows) - len(late)
        slot = self._rng.integers(0, before + 1 + np.arange(len(late)))
        kept = slot < len(self._reservoir)
        self._reservoir[slot[kept]] = late[kept]
        self._offered += len(rows)

    def rebase(
        self,
        rotation: NDArray[np.float32],
        offset: NDArray[np.float32],
        factors: NDArray[np.float32] | None = None,
        components: int | None = None,
    ) -> None:
        """Follow the decomposition to its new basis: old loadings become ``old @ R + offset``.

        Parameters
        ----------
        rotation, offset : float32 ``(component, component)``, ``(component,)``
        factors : float32 ``(component, channel)``, optional
            The new factors; without them loadings are compared as they are.
        components : int, optional
            How many of the loadings are significant; the rest is not compared.
        """
        if self._rows is not None:
            self._rows = self._rows @ rotation + offset
        label = self._reservoir_labels()
        more = components is not None and components != self._components
        if factors is not None:
            self._factors = np.array(factors, np.float32)
            mean = np.abs(self._factors[0])
            self._shape = mean / max(float(mean.sum()), 1e-30)
        if components is not None:
            self._components = components
        if self._reservoir is None:
            return
        self._reservoir = self._reservoir @ rotation + offset
        self._measure_noise()
        if label is not None:
            self._take(moments(*self.features(self._reservoir), label, len(self.centres)))
            self.centres_version += 1
        if label is None or more:  # a new component may tell apart what was one
            self._refit()

    def merge(self, other: OnlineKMeans) -> None:
        """Take over what another learner has seen, in the same basis; numbers stay ours."""
        if other.settings != self.settings:
            raise ValueError("learners of other settings cannot be merged")
        if self._factors is None:
            self._factors, self._components = other._factors, other._components
        if other._reservoir is not None:
            if self._reservoir is None:
                self._reservoir = other._reservoir[:0]
            self._reservoir = _mixed(
                (self._reservoir, other._reservoir),
                (self._offered, other._offered),
                self.settings.reservoir_pixels,
                self._rng,
            )
        self._offered += other._offered
        self._absorbed += other._absorbed
        self.seen += other._absorbed
        if other._rows is not None:
            self.learn(other._rows)
        self._refit()

    def set_clusters(self, clusters: int | None) -> None:
        """Use so many clusters from now on, or let the pixels choose: they settle anew."""
        self.settings = msgspec.structs.replace(self.settings, clusters=clusters)
        self.centres, self.spread = np.zeros((0, 0), np.float32), np.zeros(0, np.float32)
        self._mass = np.zeros(0)
        if self._reservoir is not None:
            self._refit()

    def frozen(self) -> OnlineKMeans:
        """Give one that predicts as this one does now, whatever this one learns later.

        What is frozen must not learn.
        """
        now = copy.copy(self)
        now.centres = self.centres.copy()  # the only part of it that blocks move in place
        return now

    # ---- comparing ------------------------------------------------------------------

    def features(self, loadings: NDArray[np.float32]) -> tuple[Values, Values]:
        """Make loadings comparable, as `ClusterSettings.normalise` says.

        Returns
        -------
        values, variance : float32 ``(pixel, feature)``, ``(pixel,)``
            And the variance of the counting noise of one feature; nan where there are no
            counts.
        """
        n = self._components or loadings.shape[1]
        used = loadings[:, :n]
        if self._factors is None:
            return np.ascontiguousarray(used), np.ones(len(used), np.float32)
        factors = self._factors[:n]
        area = loadings @ self._factors.sum(axis=1)
        per_count, fixed = self._noise
        kind = self.settings.normalise
        faint = (per_count + np.sqrt(per_count**2 + 4 * FAINT**2 * fixed)) / (2 * FAINT**2)
        size = np.maximum(area, 0.0) + faint
        if kind == "scores":
            size = np.ones_like(area)
        elif kind == "l2":
            norm = np.einsum("ij,ij->i", used @ (factors @ factors.T), used)
            size = np.sqrt(norm) + faint * np.sqrt(np.sum(self._shape**2))
        elif kind == "max":
            top = (used @ _binned(factors)).max(axis=1, initial=0.0)
            size = top + faint * self._shape.max()
        values = used / size[:, None]
        variance = (per_count * np.maximum(area, 1.0) + fixed) / size**2
        if kind == "derivative":
            slopes = np.diff(_binned(factors).astype(np.float64), axis=1)
            square = slopes @ slopes.T
            metric = np.linalg.cholesky(square + 1e-9 * np.trace(square) * np.eye(n))
            values, variance = values @ metric, variance * (np.trace(square) / n)
        return np.ascontiguousarray(values, np.float32), np.asarray(variance, np.float32)

    def _measure_noise(self) -> None:
        """Noise of a loading as variance per count and a fixed part (readout).

        The spare loadings hold nothing but noise, so their mean square, fitted against the
        pixels' counts, tells both parts.
        """
        rows = self._reservoir_or_none()
        n = self._components or rows.shape[1]
        if self._factors is None or len(rows) < 8 or rows.shape[1] - n < 2:
            return
        spare = rows[:, n + (rows.shape[1] - n) // 2 :].astype(np.float64)
        area = np.maximum(rows @ self._factors.sum(axis=1), 0.0).astype(np.float64)
        square = np.mean(spare**2, axis=1)
        if not square.any():
            return
        level = area + area.mean()
        for _ in range(5):
            self._noise = _line(area, square, level)
            level = self._noise[0] * area + self._noise[1]
            level = np.maximum(level, 0.01 * level.mean())

    def _nearest(self, values: Values, variance: Values) -> tuple[NDArray[np.int16], Values]:
        label = np.full(len(values), UNKNOWN, np.int16)
        distance, misfit = (
            np.full(len(values), np.nan, np.float32),
            np.empty(len(values), np.float32),
        )
        if self.clusters:
            nearest(values, variance, self.centres, self.spread, label, distance, misfit)
        return label, distance

    def predict(self, loadings: NDArray[np.float32]) -> NDArray[np.int16]:
        """Cluster of each row under the present centres.

        Parameters
        ----------
        loadings : float32 ``(pixel, component)``

        Returns
        -------
        int16 ``(pixel,)``
            -1 for outliers, -2 where nothing can be said (a nan, no counts, no centres yet).
        """
        label, distance = self._nearest(*self.features(np.asarray(loadings, np.float32)))
        if self.settings.outlier_sigma > 0:
            label[(label >= 0) & (distance > self.settings.outlier_sigma**2)] = OUTLIER
        return label

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
        allowed = self.spread + variance[:, None]
        step = values[:, None, :] - self.centres
        cost = np.einsum("pkf,pkf->pk", step, step) / allowed + values.shape[1] * np.log(allowed)
        cost = np.where(np.isfinite(cost), cost / 2, np.inf).astype(np.float32)
        now, after = label.copy(), np.empty_like(label)
        for _ in range(4):
            agree(cost, now, rows, columns, coupling, after)
            now, after = after, now
        return now

    # ---- refits ---------------------------------------------------------------------

    def _take(self, now: Clusters) -> None:
        self.centres, self.spread, self._mass = now
        self._mass = self._mass * (self._offered / max(len(self._reservoir_or_none()), 1))

    def _reservoir_or_none(self) -> Values:
        return np.zeros((0, 0), np.float32) if self._reservoir is None else self._reservoir

    def _reservoir_labels(self) -> NDArray[np.int16] | None:
        if self._reservoir is None or not self.clusters:
            return None
        return self._nearest(*self.features(self._reservoir))[0]

    def _refit(self) -> None:
        """Settle on the reservoir; split, merge, revive; keep numbers."""
        growth = self.settings.growth
        if self._offered < self.settings.reservoir_pixels:
            growth /= 4  # a small scan has time, and each of its phases may be news
        self._next_refit = self._absorbed + max(int(self._absorbed * growth), 16)
        self._measure_noise()
        values, variance = self.features(self._reservoir_or_none())
        known = np.isfinite(values).all(axis=1) & np.isfinite(variance)
        if not known.any():
            return
        values, variance = values[known], variance[known]
        k = self.settings.clusters
        label = self._free(values, variance) if k is None else self._fixed(values, variance, k)
        self._take(moments(values, variance, label, int(label.max()) + 1))
        self.centres_version += 1

    def _now(self, features: int) -> Clusters | None:
        fits = self.clusters > 0 and self.centres.shape[1] == features
        return Clusters(self.centres, self.spread, self._mass) if fits else None

    def _fixed(self, values: Values, variance: Values, k: int) -> NDArray[np.int16]:
        """Settle with ``k`` clusters; start over where a fresh start is clearly likelier."""
        k = min(k, len(values))
        now, before, best = self._now(values.shape[1]), None, np.inf
        if now is not None:
            before, misfit = settle(values, variance, now)
            if len(np.unique(before)) == k:
                best = misfit - 0.02 * len(values)
        start = self._fresh_start(values, variance, k)
        fresh, misfit = settle(values, variance, start)
        if before is None:
            return fresh
        return matched(fresh, before) if misfit < best else before

    def _fresh_start(self, values: Values, variance: Values, k: int) -> Clusters:
        """Give the best of some starts on a few of the pixels."""
        rng = np.random.default_rng(self._seed)
        every = max(1, len(values) // max(SKETCH, 16 * k))
        values, variance = values[::every], variance[::every]
        starts = [far_apart(values, variance, k, rng) for _ in range(3)]
        starts.append(one_by_one(values, variance, k))
        settled = [settle(values, variance, start) for start in starts]
        label, _ = min(settled, key=lambda one: one[1])
        return moments(values, variance, label, k)

    def _free(self, values: Values, variance: Values) -> NDArray[np.int16]:
        """Settle, split what falls in two, then merge what does not stand apart."""
        label = np.zeros(len(values), np.int16)
        now = self._now(values.shape[1])
        if now is not None:
            label, _ = settle(values, variance, now)
        waiting = np.unique(label).tolist()
        while waiting and len(np.unique(label)) < self.settings.max_clusters:
            number = waiting.pop()
            split = self._split(values, variance, label, number)
            if split is not None:
                label, fresh = split
                waiting += [number, fresh]
        while True:
            pair = closest_pair(values, variance, label, 0.85 * self.settings.separation)
            small = self._small(label)
            if pair is not None:
                label[label == pair[1]] = pair[0]
            elif small is None:
                return label
            now = moments(values, variance, label, int(label.max()) + 1)
            if pair is None:
                now.centres[small] = np.nan
            label, _ = settle(values, variance, now)

    def _split(
        self, values: Values, variance: Values, label: NDArray[np.int16], number: int
    ) -> tuple[NDArray[np.int16], int] | None:
        """Split one cluster if its parts stand apart, and still do when all have settled."""
        least, wanted = self.settings.min_pixels, self.settings.separation
        parts = halves(values, variance, label == number, least)
        if parts is None or separation(values, variance, *parts) < wanted:
            return None
        fresh, trial = free_number(label), label.copy()
        trial[min(parts, key=lambda part: int(part.sum()))] = fresh
        start = moments(values, variance, trial, int(trial.max()) + 1)
        trial, _ = settle(values, variance, start)
        old, new = trial == number, trial == fresh
        if min(old.sum(), new.sum()) < least or separation(values, variance, old, new) < wanted:
            return None
        return trial, fresh

    def _small(self, label: NDArray[np.int16]) -> int | None:
        """Find a cluster with too few pixels, unless it is the only one."""
        numbers, sizes = np.unique(label, return_counts=True)
        few = sizes.min() < self.settings.min_pixels and len(numbers) > 1
        return int(numbers[sizes.argmin()]) if few else None


def _line(
    x: NDArray[np.float64], y: NDArray[np.float64], level: NDArray[np.float64]
) -> tuple[float, float]:
    """Slope and offset, neither negative, of the line that fits ``y`` to within ``level``."""
    columns = np.stack([x / level, 1.0 / level], axis=1)
    (slope, offset), _ = nnls(columns, y / level)
    return float(slope), float(offset)


def _binned(factors: NDArray[np.float32], bins: int = 256) -> NDArray[np.float32]:
    """Average neighbouring channels so that at most ``bins`` remain, ``(component, bin)``."""
    width = -(-factors.shape[1] // bins)
    whole = factors[:, : factors.shape[1] // width * width]
    return np.asarray(whole.reshape(len(factors), -1, width).mean(axis=2), np.float32)


def _mixed(
    draws: tuple[Values, Values], of: tuple[int, int], size: int, rng: np.random.Generator
) -> Values:
    """Draw fairly from two fair draws of so many rows."""
    mine, theirs = draws
    if len(mine) + len(theirs) <= size:
        return np.concatenate([mine, theirs])
    wanted = round(size * of[0] / max(sum(of), 1))
    wanted = min(max(wanted, size - len(theirs)), len(mine))
    keep = np.sort(rng.permutation(len(mine))[:wanted])
    take = np.sort(rng.permutation(len(theirs))[: size - wanted])
    return np.concatenate([mine[keep], theirs[take]])
