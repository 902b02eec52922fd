"""The cluster that each pixel shows, and how many change it from one map to the next.

Lives here: the rule that maps do not jump. When pixels turn out to be of another cluster (a
phase was found late, a border moved, the scan was settled), the surest change with the next map
and the others wait for those after it. Knows numbers of clusters; no loadings, no centres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels.kmeans import UNKNOWN

AT_MOST = 0.01
"""So much of the pixels that have a colour change it from one map to the next."""

FIRST, FEW = 0.2, 400
"""None waits until the beam was over so much of the scan and so many pixels came, or as many as
that share: nearly everything is news before. (Of a sparse scan most pixels never come.)"""

NOT_YET = UNKNOWN - 1
"""What a pixel shows that has not come."""


class Recolouring:
    """What is shown of each pixel of a scan.

    Nothing waits where nobody asks for maps.

    Parameters
    ----------
    pixels
        Of the scan.

    Attributes
    ----------
    waiting : int
        Pixels that were left to wait when the newest map was made.
    """

    def __init__(self, pixels: int) -> None:
        self.waiting = 0
        self._shown = np.full(pixels, NOT_YET, np.int16)
        self._since = np.zeros(pixels, np.int32)
        self._wanted = np.full(pixels, NOT_YET, np.int16)
        self._gain = np.zeros(pixels, np.float32)
        self._reach = 0
        self._come = self._coloured = 0  # on the newest map

    def before(self, pixels: NDArray[np.int64]) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
        """Cluster that these pixels were put in, and of which generation: ``(pixel,)`` each."""
        return self._wanted[pixels], self._since[pixels]

    def shown(self, pixels: NDArray[np.int64]) -> NDArray[np.int16]:
        """What these pixels show until the next map, int16 ``(pixel,)``."""
        return self._shown[pixels]

    @property
    def exact(self) -> NDArray[np.int16]:
        """Cluster that each pixel was put in last, shown or not, int16 ``(pixel,)``."""
        return np.where(self._wanted > NOT_YET, self._wanted, self._shown)

    def put(
        self,
        pixels: NDArray[np.int64],
        wanted: NDArray[np.int16],
        gain: NDArray[np.float32],
        generation: int,
    ) -> NDArray[np.int16]:
        """Put pixels in clusters; give what they show until the next map, int16 ``(pixel,)``.

        Parameters
        ----------
        pixels : int64 ``(pixel,)``
        wanted : int16 ``(pixel,)``
        gain : float32 ``(pixel,)``
            How sure those are that leave the cluster they were put in before (after `put_anew`,
            the one they show).
        generation : int
            Of the clusters.
        """
        shown = self._shown[pixels]
        coloured = shown >= 0
        if self._all_is_news or not coloured.any():
            shown = wanted
        else:
            shown = np.where(coloured, shown, wanted)
            moved = wanted != self._wanted[pixels]
            self._gain[pixels[moved]] = gain[moved]
        self._shown[pixels], self._wanted[pixels], self._since[pixels] = shown, wanted, generation
        self._reach = max(self._reach, int(pixels.max(initial=-1)) + 1)
        return shown

    @property
    def _all_is_news(self) -> bool:
        first = FIRST * len(self._shown)
        return self._reach < first or self._come < min(first, FEW)

    def next_map(self, at_most: float = AT_MOST) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        """Pixels that change with the map that is made now, and the clusters they go to.

        Parameters
        ----------
        at_most : float
            Share of the pixels with a colour on the map before that may change; a pixel where
            that is less than one.
        """
        room = max(int(at_most * self._coloured), 1)
        pixels = np.flatnonzero((self._wanted != self._shown) & (self._wanted > NOT_YET))
        self.waiting = max(len(pixels) - room, 0)
        if self.waiting:
            surest = np.argsort(-self._gain[pixels], kind="stable")
            pixels = np.sort(pixels[surest[:room]])
        self._shown[pixels] = self._wanted[pixels]
        self._come = int(np.count_nonzero(self._shown > NOT_YET))
        self._coloured = int(np.count_nonzero(self._shown >= 0))
        return pixels, self._shown[pixels]

    def put_anew(self) -> None:
        """Every pixel will be put in a cluster, whatever it was in; what it shows it shows on."""
        self._wanted.fill(NOT_YET)

    def forget(self) -> None:
        """What was shown no longer counts: pixels take what is next put, all at once."""
        self._shown.fill(NOT_YET)
        self._wanted.fill(NOT_YET)
        self.waiting = self._come = self._coloured = 0
