"""Loadings of every pixel of a scan, kept in the current basis without touching them all.

When the basis turns, the loadings of a million pixels would have to be multiplied, many times
a second. Here a turn is only noted; it is carried out, all turns in one go, when somebody
looks (``current``). Only the pixels that came since the last look differ in how many turns
they still need, and they are few.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_RECENT = 65_536
"""Pixels that may differ in their turns; beyond that everything is brought up to date."""

_BLOCK = 8192


class PixelLoadings:
    """Loadings ``(pixel, component)``, nan where nothing came yet.

    Parameters
    ----------
    pixels, width
        Pixels of the scan and components kept for each.
    """

    def __init__(self, pixels: int, width: int) -> None:
        self._values = np.full((pixels, width), np.nan, np.float32)
        self._reach = 0  # nothing came at or beyond this pixel
        self._turns: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        self._recent: list[tuple[NDArray[np.int64], int]] = []
        self._recent_pixels = 0

    def put(self, pixels: NDArray[np.int64], loadings: NDArray[np.float32]) -> None:
        """Take loadings, in the basis as it is now; pixels ``(n,)``, no pixel twice."""
        if not len(pixels):
            return
        self._values[pixels] = loadings
        self._reach = max(self._reach, int(pixels.max()) + 1)
        if self._turns:
            self._recent.append((pixels, len(self._turns)))
            self._recent_pixels += len(pixels)
            if self._recent_pixels > MOST_RECENT:
                self.current()

    def turn(self, rotation: NDArray[np.float32], offset: NDArray[np.float32]) -> None:
        """Note that loadings ``a`` are ``a @ rotation + offset`` from now on."""
        self._turns.append((rotation, offset))

    def current(self) -> NDArray[np.float32]:
        """All loadings in the basis as it is now; a view, not to be written to."""
        if self._turns:
            # What each pixel needs: the turns from the one it was put before to the last.
            left = [(np.eye(self._values.shape[1]), np.zeros(self._values.shape[1]))]
            for rotation, offset in reversed(self._turns):
                after_rotation, after_offset = left[-1]
                left.append((rotation @ after_rotation, offset @ after_rotation + after_offset))
            left.reverse()
            pixels, start = self._latest()
            kept = self._values[pixels]
            self._turn_all(*left[0])
            for number in np.unique(start):
                rotation, offset = left[number]
                chosen = start == number
                self._values[pixels[chosen]] = kept[chosen] @ rotation + offset
            self._turns, self._recent, self._recent_pixels = [], [], 0
        return self._values

    def seen(self) -> NDArray[np.int64]:
        """Pixels that have loadings, int64 ``(pixel,)``."""
        return np.flatnonzero(np.isfinite(self._values[: self._reach, 0]))

    def _latest(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Recent pixels, each once, and after how many turns it was put last."""
        if not self._recent:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        pixels = np.concatenate([part for part, _ in self._recent])
        start = np.concatenate([np.full(len(part), number) for part, number in self._recent])
        unique, last = np.unique(pixels[::-1], return_index=True)
        return unique, start[::-1][last]

    def _turn_all(self, rotation: NDArray[np.float64], offset: NDArray[np.float64]) -> None:
        turned = rotation.astype(np.float32)
        shift = offset.astype(np.float32)
        for first in range(0, self._reach, _BLOCK):  # in blocks: nothing large is allocated
            block = self._values[first : min(first + _BLOCK, self._reach)]
            block[:] = block @ turned + shift
