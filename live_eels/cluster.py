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

from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from live_eels.kernels.kmeans import UNKNOWN, agree, gather, nearest

OUTLIER = -1
"""Cluster number of a pixel that is like none of the clusters."""

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
        A pixel further from its centre than so many times the usual distance is an outlier;
        0 switches outliers off.
    reservoir_pixels
        Pixels that are kept for refits.
    growth
        Refit when the pixels have grown by this factor less one.
    neighbour_coupling
        How strongly neighbours must agree, in units of half a chi-square; 0 is off.
    """

    clusters: Annotated[int, Meta(ge=1, le=64)] | None = None
    max_clusters: Annotated[int, Meta(ge=1, le=64)] = 12
    normalise: Normalise = "area"
    min_pixels: Annotated[int, Meta(ge=2)] = 12
    separation: Annotated[float, Meta(gt=0)] = 4.0
    outlier_sigma: Annotated[float, Meta(ge=0)] = 8.0
    reservoir_pixels: Annotated[int, Meta(ge=256)] = 8192
    growth: Annotated[float, Meta(gt=0, le=4)] = 0.25
    neighbour_coupling: Annotated[float, Meta(ge=0)] = 0.0


class _Features(msgspec.Struct, frozen=True):
    """Loadings made comparable.

    ``values`` float32 ``(pixel, feature)``; ``weight`` float32 ``(pixel,)``: how well a row
    is known; ``variance`` float32 ``(pixel,)``: expected noise of each feature.
    """

    values: NDArray[np.float32]
    weight: NDArray[np.float32]
    variance: NDArray[np.float32]


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
        Usual distance of a cluster's pixels from its centre over what counting noise alone
        would make it, float64 ``(cluster number,)``.
    centres_version : int
        Counts the refits; when it changes, earlier pixels want a new `predict`.
    clusters : int
        Cluster numbers in use.

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
        self._rows: NDArray[np.float32] | None = None
        self._absorbed = 0
        self._reservoir: NDArray[np.float32] | None = None
        self._offered = 0
        self._factors: NDArray[np.float32] | None = None
        self._components: int | None = None
        self.centres = np.zeros((0, 0), np.float32)
        self.spread = np.zeros(0)
        self._mass = np.zeros(0)
        self.centres_version = 0
        self._next_refit = 0

    # ---- learning -------------------------------------------------------------------

    @property
    def clusters(self) -> int:
        """Cluster numbers in use."""
        return int(np.isfinite(self.centres).all(axis=1).sum()) if self.centres.size else 0

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
            stop = min(start + self.room, len(loadings))
            piece = np.array(loadings[start:stop], np.float32)
            rows = piece if self._rows is None else np.concatenate([self._rows, piece])
            self.seen += len(piece)
            start = stop
            if len(rows) < self._block_pixels():
                self._rows = rows
                continue
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
            return
        if not self.clusters:
            return
        features = self._features(rows)
        label, _ = self._nearest(features)
        sums, mass = np.zeros(self.centres.shape), np.zeros(len(self.centres))
        gather(features.values, features.weight, label, sums, mass)
        moved = mass > 0
        self._mass[moved] += mass[moved]
        step = sums[moved] - mass[moved, None] * self.centres[moved]
        self.centres[moved] += (step / self._mass[moved, None]).astype(np.float32)

    def _offer(self, rows: NDArray[np.float32]) -> None:
        """Keep a fair draw of all rows offered so far (Vitter's algorithm R)."""
        if self._reservoir is None:
            self._reservoir = np.empty((0, rows.shape[1]), np.float32)
        free = self.settings.reservoir_pixels - len(self._reservoir)
        self._reservoir = np.concatenate([self._reservoir, rows[:free]])
        late = rows[free:] if free < len(rows) else rows[:0]
        first = self._offered + len(rows) - len(late)
        slot = self._rng.integers(0, first + 1 + np.arange(len(late)))
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
        if factors is not None:
            self._factors = np.array(factors, np.float32)
        if components is not None:
            self._components = components
        if self._reservoir is None:
            return
        before = self._labels_of_reservoir()
        self._reservoir = self._reservoir @ rotation + offset
        self._recentre(before)
        self._refit()

    # ---- comparing ------------------------------------------------------------------

    def _features(self, loadings: NDArray[np.float32]) -> _Features:
        """Make loadings comparable, as `ClusterSettings.normalise` says."""
        n = self._components or loadings.shape[1]
        used = loadings[:, :n]
        if self._factors is None:
            ones = np.ones(len(used), np.float32)
            return _Features(np.ascontiguousarray(used), ones, ones)
        factors = self._factors[:n]
        area = loadings @ self._factors.sum(axis=1)
        area = np.where(area > 0, area, np.nan)
        kind = self.settings.normalise
        if kind == "scores":
            return _Features(np.ascontiguousarray(used), np.ones_like(area), area)
        if kind == "l2":
            size = np.sqrt(np.einsum("ij,ij->i", used @ (factors @ factors.T), used))
        elif kind == "max":
            size = (used @ _binned(factors)).max(axis=1, initial=-np.inf)
            size = np.where(size > 0, size, np.nan)
        else:
            size = area
        values = used / size[:, None]
        variance = area / size**2
        if kind == "derivative":
            slopes = np.diff(_binned(factors), axis=1)
            metric = np.linalg.cholesky(
                slopes @ slopes.T + 1e-9 * np.trace(slopes @ slopes.T) * np.eye(n)
            )
            values = values @ metric
            variance = variance * np.trace(metric @ metric.T) / n
        return _Features(
            np.ascontiguousarray(values, np.float32),
            np.asarray(area, np.float32),
            np.asarray(variance, np.float32),
        )

    def _nearest(self, features: _Features) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        label = np.full(len(features.values), UNKNOWN, np.int16)
        distance = np.full(len(label), np.nan, np.float32)
        if self.clusters:
            nearest(features.values, self.centres, label, distance)
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
        features = self._features(np.asarray(loadings, np.float32))
        label, distance = self._nearest(features)
        if self.settings.outlier_sigma > 0 and self.clusters:
            known = label >= 0
            usual = self.spread[label[known]] * np.sqrt(features.variance[known])
            usual *= np.sqrt(features.values.shape[1])
            far = np.sqrt(distance[known]) > self.settings.outlier_sigma * usual
            label[np.flatnonzero(known)[far]] = OUTLIER
        return label

    # ---- refits ---------------------------------------------------------------------

    def _labels_of_reservoir(self) -> NDArray[np.int16]:
        assert self._reservoir is not None
        return self._nearest(self._features(self._reservoir))[0]

    def _recentre(self, label: NDArray[np.int16]) -> None:
        """Put each centre at the mean of the reservoir's rows that carry its number."""
        assert self._reservoir is not None
        features = self._features(self._reservoir)
        self.centres, self._mass = _means(features, label, len(self.centres))

    def _refit(self) -> None:
        """Settle on the reservoir; split, merge, revive; keep numbers."""
        self._next_refit = self._absorbed + max(int(self._absorbed * self.settings.growth), 16)
        if self._reservoir is None or len(self._reservoir) == 0:
            return
        features = self._features(self._reservoir)
        known = np.isfinite(features.values).all(axis=1) & (features.weight > 0)
        if not known.any():
            return
        features = _Features(
            features.values[known], features.weight[known], features.variance[known]
        )
        if self.settings.clusters is not None:
            label = self._fit_fixed(features, self.settings.clusters)
        else:
            label = self._fit_free(features)
        share = self._offered / max(len(self._reservoir), 1)
        self.centres, self._mass = _means(features, label, int(label.max()) + 1)
        self._mass *= share
        self.spread = _spreads(features, label, self.centres)
        self.centres_version += 1

    def _fit_fixed(self, features: _Features, k: int) -> NDArray[np.int16]:
        """Settle with ``k`` clusters; start over where a fresh start is clearly better."""
        rng = np.random.default_rng(self._seed)
        best, label = np.inf, np.zeros(len(features.values), np.int16)
        if self.clusters == k and self.centres.shape[1] == features.values.shape[1]:
            label, best = _settle(features, self.centres)
            best *= 0.98
        before = self._nearest(features)[0] if self._fits(features) else None
        for _ in range(3):
            fresh, cost = _settle(features, _spread_start(features, k, rng))
            if cost < best:
                best = cost
                label = fresh if before is None else matched(fresh, before)
        return label

    def _fits(self, features: _Features) -> bool:
        return self.clusters > 0 and self.centres.shape[1] == features.values.shape[1]

    def _fit_free(self, features: _Features) -> NDArray[np.int16]:
        """Settle, then split and merge until the pixels agree with the number of clusters."""
        if self._fits(features):
            label, _ = _settle(features, self.centres)
        else:
            label = np.zeros(len(features.values), np.int16)
        least, wanted = self.settings.min_pixels, self.settings.separation
        for _ in range(8):
            numbers = np.unique(label)
            changed = False
            for number in numbers:
                if len(np.unique(label)) >= self.settings.max_clusters:
                    break
                parts = _halves(features, label == number, least)
                if parts is None or separation(features, *parts) < wanted:
                    continue
                smaller = min(parts, key=lambda part: int(part.sum()))
                label[smaller] = _free_number(label)
                changed = True
            centres, _ = _means(features, label, int(label.max()) + 1)
            label, _ = _settle(features, centres)
            pair = _closest_pair(features, label, 0.85 * wanted)
            if pair is not None:
                label[label == pair[1]] = pair[0]
                changed = True
            if not changed:
                break
        return label

    def merge(self, other: OnlineKMeans) -> None:
        """Take over what another learner has seen, in the same basis; numbers stay ours."""
        if other._reservoir is not None:
            mine = self._reservoir
            theirs = other._reservoir
            if mine is None or len(mine) == 0:
                self._reservoir = theirs.copy()
            else:
                self._reservoir = _mixed(
                    mine, self._offered, theirs, other._offered,
                    self.settings.reservoir_pixels, self._rng,
                )  # fmt: skip
            self._offered += other._offered
            self._absorbed += other._absorbed
            self.seen += other._absorbed
        if other._rows is not None:
            self.learn(other._rows)
        if self._factors is None:
            self._factors, self._components = other._factors, other._components
        self._refit()


def _binned(factors: NDArray[np.float32], bins: int = 256) -> NDArray[np.float32]:
    """Average neighbouring channels so that at most ``bins`` remain, ``(component, bin)``."""
    width = -(-factors.shape[1] // bins)
    whole = factors[:, : factors.shape[1] // width * width]
    return whole.reshape(len(factors), -1, width).mean(axis=2)


def _means(
    features: _Features, label: NDArray[np.int16], clusters: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Weighted mean and weight of each cluster; nan for an empty one."""
    sums, mass = np.zeros((clusters, features.values.shape[1])), np.zeros(clusters)
    gather(features.values, features.weight, label, sums, mass)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums / mass[:, None]).astype(np.float32), mass


def _settle(
    features: _Features, centres: NDArray[np.float32], sweeps: int = 30
) -> tuple[NDArray[np.int16], float]:
    """Lloyd's iterations from ``centres``: the labels and the weighted squared distance."""
    label = np.empty(len(features.values), np.int16)
    distance = np.empty(len(label), np.float32)
    last = label.copy()
    for _ in range(sweeps):
        nearest(features.values, centres, label, distance)
        if np.array_equal(label, last):
            break
        last[:] = label
        centres, _ = _means(features, label, len(centres))
    return label, float((features.weight * distance).sum(dtype=np.float64))


def _spread_start(features: _Features, k: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """k-means++: each next centre is drawn far from those there are."""
    values, weight = features.values, features.weight.astype(np.float64)
    centres = [values[rng.choice(len(values), p=weight / weight.sum())]]
    label, distance = np.empty(len(values), np.int16), np.empty(len(values), np.float32)
    for _ in range(1, k):
        nearest(values, np.stack(centres), label, distance)
        odds = weight * distance
        if odds.sum() <= 0:
            odds = weight
        centres.append(values[rng.choice(len(values), p=odds / odds.sum())])
    return np.stack(centres)


def _spreads(
    features: _Features, label: NDArray[np.int16], centres: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Median distance from the centre over that of counting noise, at least 1."""
    spread = np.ones(len(centres))
    for number in range(len(centres)):
        mine = label == number
        if mine.any():
            step = features.values[mine] - centres[number]
            noise = np.sqrt(features.variance[mine] * step.shape[1])
            spread[number] = max(1.0, float(np.median(np.linalg.norm(step, axis=1) / noise)))
    return spread


def _halves(
    features: _Features, mine: NDArray[np.bool_], least: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Cut one cluster in two along its longest axis; None if a part would be too small."""
    if mine.sum() < 2 * least:
        return None
    index = np.flatnonzero(mine)
    weight = features.weight[index].astype(np.float64)
    values = features.values[index].astype(np.float64)
    centred = values - np.average(values, axis=0, weights=weight)
    _, axes = np.linalg.eigh((centred * weight[:, None]).T @ centred)
    score = centred @ axes[:, -1]
    sub = _Features(features.values[index], features.weight[index], features.variance[index])
    start, _ = _means(sub, (score > 0).astype(np.int16), 2)
    if not np.isfinite(start).all():
        return None
    label, _ = _settle(sub, start)
    parts = []
    for half in (0, 1):
        part = np.zeros(len(mine), bool)
        part[index[label == half]] = True
        parts.append(part)
    if min(int(part.sum()) for part in parts) < least:
        return None
    return parts[0], parts[1]


def separation(features: _Features, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Distance of two clusters' centres over their spread along the line between them."""
    weights = [features.weight[part].astype(np.float64) for part in (first, second)]
    values = [features.values[part].astype(np.float64) for part in (first, second)]
    means = [np.average(v, axis=0, weights=w) for v, w in zip(values, weights, strict=True)]
    axis = means[1] - means[0]
    length = float(np.linalg.norm(axis))
    if length == 0:
        return 0.0
    variance = 0.0
    for value, weight, mean in zip(values, weights, means, strict=True):
        along = (value - mean) @ axis / length
        variance += float(np.average(along**2, weights=weight)) / 2
    return length / max(np.sqrt(variance), 1e-30)


def _closest_pair(
    features: _Features, label: NDArray[np.int16], wanted: float
) -> tuple[int, int] | None:
    """The two clusters that are least apart, larger first, if less than ``wanted``."""
    numbers, sizes = np.unique(label, return_counts=True)
    best, found = wanted, None
    for a in range(len(numbers)):
        for b in range(a + 1, len(numbers)):
            apart = separation(features, label == numbers[a], label == numbers[b])
            if apart < best:
                order = (a, b) if sizes[a] >= sizes[b] else (b, a)
                best, found = apart, (int(numbers[order[0]]), int(numbers[order[1]]))
    return found


def _free_number(label: NDArray[np.int16]) -> int:
    used = set(np.unique(label).tolist())
    return next(number for number in range(len(used) + 1) if number not in used)


def matched(fresh: NDArray[np.int16], before: NDArray[np.int16]) -> NDArray[np.int16]:
    """Renumber ``fresh`` so that most pixels keep the number they had (Hungarian method).

    Parameters
    ----------
    fresh, before : int16 ``(pixel,)``
        Two clusterings of the same pixels; negative numbers stay as they are.
    """
    size = int(max(fresh.max(initial=-1), before.max(initial=-1))) + 1
    if size == 0:
        return fresh.copy()
    both = (fresh >= 0) & (before >= 0)
    table = np.zeros((size, size))
    np.add.at(table, (fresh[both], before[both]), 1)
    rows, columns = linear_sum_assignment(-table)
    number = np.empty(size, np.int16)
    number[rows] = columns
    return np.where(fresh >= 0, number[fresh], fresh).astype(np.int16)


def _mixed(
    mine: NDArray[np.float32],
    mine_of: int,
    theirs: NDArray[np.float32],
    theirs_of: int,
    size: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """A fair draw from two fair draws of ``mine_of`` and ``theirs_of`` rows."""
    if len(mine) + len(theirs) <= size:
        return np.concatenate([mine, theirs])
    wanted = round(size * mine_of / (mine_of + theirs_of))
    wanted = min(max(wanted, size - len(theirs)), len(mine))
    keep = rng.permutation(len(mine))[:wanted]
    take = rng.permutation(len(theirs))[: size - wanted]
    return np.concatenate([mine[np.sort(keep)], theirs[np.sort(take)]])


def neighbours_agree(
    kmeans: OnlineKMeans,
    loadings: NDArray[np.float32],
    label: NDArray[np.int16],
    shape: tuple[int, int],
    sweeps: int = 4,
) -> NDArray[np.int16]:
    """Settle doubtful pixels of a map by their neighbours; clear ones stay what they are.

    A pixel that counting statistics place clearly (a single-pixel feature) outweighs four
    neighbours; one that lies between two clusters goes with them.

    Parameters
    ----------
    loadings : float32 ``(pixel, component)`` of all pixels of the map
    label : int16 ``(pixel,)``, from `OnlineKMeans.predict`
    shape : (rows, columns)
    """
    coupling = kmeans.settings.neighbour_coupling
    if coupling == 0 or not kmeans.clusters:
        return label
    features = kmeans._features(loadings)
    step = features.values[:, None, :] - kmeans.centres[None]
    cost = np.einsum("pkf,pkf->pk", step, step) / (2 * features.variance[:, None])
    cost = np.where(np.isfinite(cost), cost, np.inf).astype(np.float32)
    now, after = label.copy(), np.empty_like(label)
    for _ in range(sweeps):
        agree(cost, now, shape, coupling, after)
        if np.array_equal(now, after):
            break
        now, after = after, now
    return now
