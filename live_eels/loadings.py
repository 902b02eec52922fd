"""Loadings of every pixel of a scan, kept in the current basis without touching them all.

When the basis turns, the loadings of a million pixels would have to be multiplied, many times
a second. Here a turn is only noted, and each pixel remembers in which basis it stands; a
stretch of pixels is brought up to date, all turns in one go, when somebody looks at it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 8192


class PixelLoadings:
    """Loadings ``(pixel, component)``, nan where nothing came yet.

    Parameters
    ----------
    pixels, width
        Pixels of the scan and components kept for each.

    Attributes
    ----------
    reach : int
        Nothing came at or beyond this pixel.
    """

    def __init__(self, pixels: int, width: int) -> None:
        self.reach = self._known = 0
        self._values = np.full((pixels, width), np.nan, np.float32)
        self._basis = np.zeros(pixels, np.int32)  # turns that came before the pixel was put
        self._turns: list[NDArray[np.float32]] = []
        self._left: list[NDArray[np.float64]] = [np.eye(width)]  # from each basis to the last

    def put(self, pixels: NDArray[np.int64], loadings: NDArray[np.float32]) -> None:
        """Take loadings, in the basis as it is now; pixels ``(n,)``, no pixel twice."""
        if len(pixels):
            before = np.count_nonzero(np.isfinite(self._values[pixels, 0]))
            self._known += int(np.count_nonzero(np.isfinite(loadings[:, 0])) - before)
            self._values[pixels] = loadings
            self._basis[pixels] = len(self._turns)
            self.reach = max(self.reach, int(pixels.max()) + 1)

    def turn(self, rotation: NDArray[np.float32]) -> None:
        """Note that loadings ``a`` are ``a @ rotation`` from now on."""
        self._turns.append(rotation)
        self._left = [np.asarray(left @ rotation, np.float64) for left in self._left]
        self._left.append(np.eye(len(rotation)))

    def between(self, first: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Pixels of ``first..stop - 1`` that have loadings, and these in the basis as it is now."""
        self._bring(first, min(stop, self.reach))
        values = self._values[first : min(stop, self.reach)]
        seen = np.isfinite(values[:, 0])
        return first + np.flatnonzero(seen), values[seen]

    def current(self) -> NDArray[np.float32]:
        """All loadings in the basis as it is now; a view, not to be written to."""
        for first in range(0, self.reach, _BLOCK):  # in blocks: nothing large is allocated
            self._bring(first, min(first + _BLOCK, self.reach))
        return self._values

    def seen(self) -> NDArray[np.int64]:
        """Pixels that have loadings, int64 ``(pixel,)``."""
        return np.flatnonzero(np.isfinite(self._values[: self.reach, 0]))

    def sample(self, pixels: int) -> NDArray[np.float32]:
        """Loadings of about so many pixels seen, evenly over the scan, in the basis as it is.

        Looks at no more than it must: to find all that were seen takes 0.1 s in ten million.
        """
        chosen = np.arange(0, self.reach, max(1, -(-self._known // pixels)))
        chosen = chosen[np.isfinite(self._values[chosen, 0])]
        return self._turned(self._values[chosen], self._basis[chosen])

    def _bring(self, first: int, stop: int) -> None:
        basis = self._basis[first:stop]
        if basis.size and basis.min() < len(self._turns):
            values = self._values[first:stop]
            values[:] = self._turned(values, basis)
            basis[:] = len(self._turns)

    def _turned(self, values: NDArray[np.float32], basis: NDArray[np.int32]) -> NDArray[np.float32]:
        """Bring rows, each from its own basis, into that of now."""
        out = values.copy()
        for number in np.unique(basis):
            if number < len(self._turns):
                rows = basis == number
                out[rows] = values[rows] @ self._left[number].astype(np.float32)
        return out
