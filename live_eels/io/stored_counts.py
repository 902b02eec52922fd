"""The counts of one signal as they lie in a recording, and reading back from them.

Lives here: which pixels came, and what is asked of them while the scan runs. Writing, and the
file itself, are `recorder`'s matter.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from live_eels.io.layout import Extent

_BLOCK_BYTES = 32 * 1024 * 1024

_VIEWED_BYTES = 64 * 1024 * 1024
"""So much of the file is looked at before the view is let go of: a system counts it as memory of
this program, and at the end of a scan every pixel is read once more."""


class StoredCounts:
    """One signal of a recording, mapped: what is written is there to be read, at once.

    One thread writes ``visits``, after the counts that they stand for; any thread may read.

    Attributes
    ----------
    extent
        Where in the file the counts lie.
    visits
        How many spectra each pixel got so far, uint16 ``(scan pixels,)``.
    counts
        The counts in the file, read-only, ``(scan pixels, channel)``; what stands at a pixel
        never seen has no meaning.
    """

    def __init__(self, path: Path, extent: Extent) -> None:
        self.extent = extent
        self.visits = np.zeros(extent.pixels, np.uint16)
        shape = (extent.pixels, extent.channels)
        mapped = np.memmap(path, extent.dtype, "r", extent.offset, shape)
        self.counts: NDArray[Any] = mapped.view(np.ndarray)
        self._map: mmap.mmap | None = mapped.base if isinstance(mapped.base, mmap.mmap) else None
        self._viewed = 0

    def let_go(self) -> None:
        """Unmap the file, so that it can be removed; nothing can be read from then on."""
        self.counts = np.zeros((0, self.extent.channels), self.extent.dtype)
        self._map = None

    def _looked_at(self, rows: int) -> None:
        """Let go of the view now and then; what is asked for again comes back by itself."""
        self._viewed += rows * self.extent.row_bytes
        view = self._map  # another thread may let go of it
        if self._viewed > _VIEWED_BYTES and view is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._viewed = 0
            view.madvise(mmap.MADV_DONTNEED)

    def read(self, pixels: NDArray[np.int64]) -> NDArray[Any]:
        """Read counts, ``(pixel, channel)`` of the stored dtype; pixels never seen are 0."""
        seen = self.visits[pixels] > 0
        self._looked_at(pixels.size)
        if seen.all():
            return self.counts[pixels]
        # A hole in the file is not touched: on a full memory disk that would kill us (SIGBUS).
        counts = np.zeros((pixels.size, self.extent.channels), self.extent.dtype)
        counts[seen] = self.counts[pixels[seen]]
        return counts

    def seen(self, pixels: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Which of the pixels came, bool ``(pixel,)``; None if all did."""
        seen = self.visits[pixels] > 0
        return None if seen.all() else seen

    def missing(self) -> NDArray[np.int64]:
        """Pixels never seen, as int64 ``(run, 2)``: first, and the one after the last."""
        unseen = np.concatenate(([False], self.visits == 0, [False]))
        return np.flatnonzero(unseen[1:] != unseen[:-1]).reshape(-1, 2)

    def window_sum(self, channels: slice) -> NDArray[np.float64]:
        """Sum ``channels`` of every pixel, float64 ``(scan pixels,)``; nan where unseen."""
        # A uint32 holds 2**16 channels of uint16, and adding it up takes half the time.
        wide = np.uint32 if self.extent.dtype.itemsize <= 2 else np.float64
        sums = np.full(self.extent.pixels, np.nan)
        block = max(1, _BLOCK_BYTES // self.extent.row_bytes)
        for first in range(0, self.extent.pixels, block):
            seen = self.visits[first : first + block] > 0
            part = self.counts[first : first + block, channels]
            self._looked_at(len(part))
            if seen.all():
                sums[first : first + block] = part.sum(axis=1, dtype=wide)
            else:
                sums[first : first + block][seen] = part[seen].sum(axis=1, dtype=wide)
        return sums

    def mean_std(
        self, pixels: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        """Average the pixels that were seen, a block at a time; see `Recorder.mean_std`."""
        channels = self.extent.channels
        seen = pixels[self.visits[pixels] > 0]
        if seen.size == 0:
            return np.full(channels, np.nan), np.full(channels, np.nan), 0
        total, squares = np.zeros(channels), np.zeros(channels)
        block = max(1, _BLOCK_BYTES // (8 * channels))
        for first in range(0, seen.size, block):
            rows = self.counts[seen[first : first + block]].astype(np.float64)
            self._looked_at(len(rows))
            total += rows.sum(axis=0)
            squares += np.einsum("pc,pc->c", rows, rows)
        mean = total / seen.size
        return mean, np.sqrt(np.maximum(squares / seen.size - mean**2, 0.0)), int(seen.size)
