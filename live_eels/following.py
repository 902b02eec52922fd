"""Loadings and cluster of every pixel, kept up with what has been learnt.

Lives here: the rule that no pixel on a map is stale. Pixels are placed in the newest basis as
they come; when the basis or the centres move, earlier ones follow from their loadings, some
at a time, so that none of it ever takes long. A pixel on the maps changes its cluster only when
it is clearly in another (`OnlineKMeans.moved`), and when many do at once, with one of the next
maps (`Recolouring`). When the scan is settled nothing holds a pixel where it was, but maps show
that pixel by pixel too.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from live_eels.learning import Learnt
from live_eels.loadings import PixelLoadings
from live_eels.recolouring import NOT_YET, Recolouring

FOLLOW_PIXELS = 4096
"""So many pixels follow at a time: a few ms, between two chunks."""

CAPTURED = 0.9
"""A component is new when less of it than this lies in the basis before."""

MATCH_PIXELS = 4096
"""Clusters that were learnt anew get the numbers that so many pixels had, at most."""

MEAN_OF_PIXELS = 20_000
"""The mean spectrum of a cluster is taken from so many pixels of the scan, at most."""


class EveryPixel:
    """What is known of each pixel of a scan.

    Parameters
    ----------
    pixels
        Of the scan.
    learnt
        What was learnt so far.
    """

    def __init__(self, pixels: int, learnt: Learnt) -> None:
        self.learnt = learnt
        self._pixels = pixels
        self._loadings = PixelLoadings(pixels, learnt.pca.width)
        self.colours = Recolouring(pixels)
        self._numbers = 0
        self._since_turn: list[NDArray[np.int64]] = []
        self._outdated: list[NDArray[np.int64]] = []
        self._following, self._followed = learnt.version, 0

    def adopt(self, newest: Learnt) -> None:
        """Take over what was learnt meanwhile; earlier loadings turn with the basis."""
        before, self.learnt = self.learnt, newest
        self._numbers = max(self._numbers, len(before.kmeans.centres))
        if newest.pca.basis_version == before.pca.basis_version:
            return
        rotation = before.pca.turn_to(newest.pca)
        self._loadings.turn(rotation)
        captured = (rotation[:, : newest.components] ** 2).sum(axis=0)
        if captured.size and captured.min() < CAPTURED:
            self._outdated += self._since_turn
        self._since_turn = []

    def put(self, pixels: NDArray[np.int64], loadings: NDArray[np.float32]) -> NDArray[np.int16]:
        """Keep loadings ``(pixel, component)`` of these pixels, in the basis as it is now.

        Gives their clusters.
        """
        self._loadings.put(pixels, loadings)
        self._since_turn.append(pixels)
        return self._cluster(pixels, loadings)

    def _cluster(
        self, pixels: NDArray[np.int64], loadings: NDArray[np.float32]
    ) -> NDArray[np.int16]:
        """Cluster of pixels; what is on the maps stays unless it is clearly another."""
        kmeans = self.learnt.kmeans
        before, since = self.colours.before(pixels)
        wanted, gain = kmeans.moved(loadings, before, since)
        shown = self.colours.shown(pixels)
        anew = np.flatnonzero((before == NOT_YET) & (shown >= 0) & (wanted != shown))
        if len(anew):  # how surely they leave what they show; nothing holds them there
            now = np.full(len(anew), kmeans.generation, np.int32)
            gain[anew] = kmeans.moved(loadings[anew], shown[anew], now)[1]
        return self.colours.put(pixels, wanted, gain, kmeans.generation)

    @property
    def numbers(self) -> int:
        """Cluster numbers that may be on the maps: also those that were in use and are no more."""
        return max(self._numbers, len(self.learnt.kmeans.centres))

    def forget_colours(self) -> None:
        """Pixels take the cluster that is likeliest when they are next looked at, all at once."""
        self.colours.forget()
        self._numbers = 0

    def take_outdated(self) -> NDArray[np.int64]:
        """Pixels whose own counts are needed again, int64 ``(pixel,)``; none a second time.

        Loadings follow a turn of the basis as far as the basis before could express them. What
        came just before a component was found did not have it.
        """
        outdated, self._outdated = self._outdated, []
        return np.concatenate(outdated) if outdated else np.empty(0, np.int64)

    # Following

    @property
    def stale(self) -> bool:
        """Whether earlier pixels have yet to follow."""
        unlike = self._following != self.learnt.version
        return self.learnt.components > 0 and (unlike or self._followed < self._loadings.reach)

    def put_anew(self) -> None:
        """Hold every pixel for up to date: all are about to be computed from their counts.

        Their clusters are then those that are likeliest; the maps go there pixel by pixel.
        """
        self._following, self._followed = self.learnt.version, self._pixels
        self.colours.put_anew()

    def show_as(self, before: EveryPixel) -> None:
        """Go on with what the maps show, from one who learnt the same scan before."""
        self.colours, self._numbers = before.colours, before.numbers

    def follow(
        self,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int16]]]:
        """Pixels that follow now, ``FOLLOW_PIXELS`` at a time, their loadings and clusters.

        In raster order; what was given is not given again, so one may stop and ask anew later.
        """
        while self.stale:
            if self._following != self.learnt.version:
                self._following, self._followed = self.learnt.version, 0
            first, self._followed = self._followed, self._followed + FOLLOW_PIXELS
            pixels, loadings = self._loadings.between(first, self._followed)
            yield pixels, loadings, self._cluster(pixels, loadings)

    # Looking

    def loadings(self) -> NDArray[np.float32]:
        """Loadings of all pixels seen, float32 ``(pixel, component)``."""
        return self._loadings.current()[self._loadings.seen()]

    def cluster_loadings(self) -> NDArray[np.float32]:
        """Mean loadings of each cluster, float32 ``(cluster, component)``; nan where none."""
        learnt = self.learnt
        n, k = learnt.components, len(learnt.kmeans.centres)
        sample = self._loadings.sample(MEAN_OF_PIXELS)
        cluster = learnt.kmeans.predict(sample)
        means = np.full((k, n), np.nan, np.float32)
        for index in range(k):
            if (cluster == index).any():
                means[index] = sample[cluster == index, :n].mean(axis=0)
        return means

    def shapes(self, cluster: NDArray[np.int16]) -> NDArray[np.float32]:
        """Loadings of each pixel's cluster, up to a factor; nan for a pixel that has none.

        The centres are that, and do not depend on which pixels were looked at so far; only
        where slopes are compared they are not, and the pixels' mean has to serve.
        """
        kmeans = self.learnt.kmeans
        slopes = kmeans.settings.normalise == "derivative"
        shapes = self.cluster_loadings() if slopes else kmeans.centres
        return np.where((cluster >= 0)[:, None], shapes[np.maximum(cluster, 0)], np.float32(np.nan))


class NumbersBefore:
    """Clusters that some pixels were in, for those learnt anew to be called by the same numbers.

    Parameters
    ----------
    known
        What was known before.
    seed
        Chooses the pixels.
    """

    def __init__(self, known: EveryPixel, seed: int) -> None:
        self._number = known.colours.exact.copy()
        others = np.random.default_rng(seed).permutation(len(self._number))[MATCH_PIXELS:]
        self._number[others] = NOT_YET
        self._spectra: list[NDArray[np.float32]] = []
        self._numbers: list[NDArray[np.int16]] = []

    def note(self, pixels: NDArray[np.int64], spectra: NDArray[np.float32]) -> None:
        """Keep the spectra ``(pixel, channel)`` of those that were in a cluster."""
        use = self._number[pixels] >= 0
        self._spectra.append(spectra[use])
        self._numbers.append(self._number[pixels[use]])

    def noted(self) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        """Spectra ``(pixel, channel)`` and numbers ``(pixel,)``."""
        return np.concatenate(self._spectra), np.concatenate(self._numbers)
