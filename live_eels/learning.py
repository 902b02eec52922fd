"""Decomposition and clustering learn together, block by block, beside the stream.

Lives here: which blocks the two learners see, in which order, and what of them the stream
uses meanwhile (``Learnt``). Blocks are cut by the decomposition's own rule whatever the
chunks that bring them, and are learnt one after another: the learners end in the same state
to the last bit however the stream was cut, and whether or not learning kept up with it.
So a refit never stands in the way of a spectrum: the stream goes on with what was learnt
before, and takes over the new basis when it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from live_eels.cluster import OnlineKMeans
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose import StreamingPCA
from live_eels.decompose_settings import DecomposeSettings, block_pixels
from live_eels.kernels.phases import numbers_before


class Worker(Protocol):
    """Carries out jobs one after another, perhaps on another thread."""

    def do(self, job: Callable[[], None], size: int) -> None:
        """Have a job done that holds ``size`` bytes; may wait where too much waits already."""

    def wait(self) -> None:
        """Until every job is done. Raises what a job raised."""


class AtOnce:
    """Carries out each job where it is asked for."""

    def do(self, job: Callable[[], None], size: int) -> None:
        """Do it."""
        job()

    def wait(self) -> None:
        """Nothing is ever left."""


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What the learners knew at one moment; stays as it is while they go on.

    Attributes
    ----------
    pca, kmeans
        Their state then: to transform and predict with, not to learn.
    typical_counts
        Median over the channels of the mean spectrum.
    """

    pca: StreamingPCA
    kmeans: OnlineKMeans
    typical_counts: float

    @property
    def components(self) -> int:
        """Principal components that stand above the noise (or were asked for)."""
        return self.pca.components if self.pca.basis_version else 0

    @property
    def version(self) -> tuple[int, int, int]:
        """Differs where loadings or clusters of the same spectra would."""
        return self.pca.basis_version, self.kmeans.centres_version, self.components


class Learners:
    """The decomposition, and the clustering of what it gives.

    Parameters
    ----------
    channels
        Length of a spectrum.
    decompose, cluster
        Settings of the two.
    seed
        Seed of both.
    worker
        Where blocks are learnt.
    timed
        Gives what the learning of a block is wrapped in, to time it.
    """

    def __init__(
        self,
        channels: int,
        decompose: DecomposeSettings,
        cluster: ClusterSettings,
        seed: int,
        worker: Worker,
        timed: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._decompose, self._worker, self._timed = decompose, worker, timed
        self._pca = StreamingPCA(channels, decompose, seed)
        self._kmeans = OnlineKMeans(cluster, seed)
        self._block: list[NDArray[np.float32]] = []
        self._waiting = self._handed = 0
        self.newest = self._learnt()

    def learn(self, spectra: NDArray[np.float32]) -> None:
        """Take spectra in: float32 ``(pixel, channel)``, not to be written to any more."""
        start = 0
        while start < len(spectra):
            size = block_pixels(self._handed, self._decompose)
            piece = spectra[start : start + size - self._waiting]
            start += len(piece)
            self._block.append(piece)
            self._waiting += len(piece)
            if self._waiting == size:
                self._hand_over()

    def finish(self) -> None:
        """Learn what is left and let both converge fully."""
        if self._block:
            self._hand_over()
        self._worker.wait()
        self._pca.finish()
        self._follow()
        self._kmeans.finish()
        self.newest = self._learnt()

    def set_clusters(self, clusters: int | None) -> None:
        """Use so many clusters, or let the scan choose: they settle anew."""
        self._worker.wait()
        self._kmeans.set_clusters(clusters)
        self.newest = self._learnt()

    def set_components(self, components: int | None) -> None:
        """Show and cluster so many components, or let the noise floor choose."""
        self._worker.wait()
        self._decompose = msgspec.structs.replace(self._decompose, components=components)
        self._pca.set_components(components)
        self._follow()
        self.newest = self._learnt()

    def keep_numbers(self, spectra: NDArray[np.float32], before: NDArray[np.int16]) -> None:
        """Call clusters by the numbers that most of their pixels had.

        Parameters
        ----------
        spectra : float32 ``(pixel, channel)``
        before : int16 ``(pixel,)``
            Numbers that they had; negative for none.
        """
        found = self._kmeans.predict(self._pca.transform(spectra))
        numbers = numbers_before(found, before, len(self._kmeans.centres))
        self._kmeans.renumber(numbers)
        self.newest = self._learnt()

    def wait(self) -> None:
        """Until all that was given has been learnt, but for an unfinished block."""
        self._worker.wait()

    def _hand_over(self) -> None:
        rows = self._block[0] if len(self._block) == 1 else np.concatenate(self._block)
        self._handed += len(rows)
        self._block, self._waiting = [], 0
        self._worker.do(lambda: self._learn_block(rows), rows.nbytes)

    def _learn_block(self, rows: NDArray[np.float32]) -> None:
        with self._timed("learn"):
            self._pca.learn(rows)
            self._follow()
            self._kmeans.learn(self._pca.transform(rows), rows)
            self.newest = self._learnt()

    def _follow(self) -> None:
        """Bring the clustering into the basis as it is now."""
        turned = self._pca.take_rotation()
        if turned is not None:
            pca = self._pca
            self._kmeans.rebase(*turned, pca.factors, pca.components, pca.transform)

    def _learnt(self) -> Learnt:
        typical = float(np.median(self._pca.mean))
        return Learnt(self._pca.frozen(), self._kmeans.frozen(), typical)
