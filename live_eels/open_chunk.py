"""A chunk while it is being filled: spectra find their rows, core and low loss each other.

Lives here: rows, and the pairing within them. Which messages may come in, and when a chunk is
closed, is `assemble`'s matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import Chunk, Scan, Signal

CORE, LOW = 1, 2
"""Bits of the signals of a row."""


class OpenChunk:
    """Rows that are being filled; a row is complete when every signal of its pixel is in.

    Parameters
    ----------
    scan
        The scan whose pixels come; what was seen of it outlives the chunks.
    capacity
        Rows there is room for.

    Attributes
    ----------
    need
        The bits, `CORE` and `LOW`, that a complete row has.
    signals
        By name, each signal of the scan and its bit.
    seen
        Whether each pixel came in this scan, bool ``(scan pixels,)``.
    pixels_seen, n
        How many of them; how many rows there are now.
    """

    def __init__(self, scan: Scan, capacity: int) -> None:
        self.scan = scan
        self.capacity = capacity
        self.need = CORE | (LOW if scan.low else 0)
        self.signals = {scan.core.name: (scan.core, CORE)}
        if scan.low:
            self.signals[scan.low.name] = (scan.low, LOW)
        self._slot = np.full(scan.pixels, -1, np.int32)
        self.seen = np.zeros(scan.pixels, np.bool_)
        self.pixels_seen = 0
        self.n = 0
        self._new_buffers()

    def _new_buffers(self) -> None:
        self._pixels = np.empty(self.capacity, np.int64)
        self._filled = np.zeros(self.capacity, np.uint8)
        self._core = _rows(self.scan.core, self.capacity)
        self._low = _rows(self.scan.low, self.capacity) if self.scan.low else None

    def see(self, pixels: NDArray[np.int64]) -> None:
        """Mark pixels as seen in this scan, int64 ``(n,)``."""
        if len(pixels) == 1:  # as for put_one
            pixel = int(pixels[0])
            self.pixels_seen += 0 if self.seen[pixel] else 1
            self.seen[pixel] = True
            return
        new = ~self.seen[pixels]
        self.seen[pixels] = True
        self.pixels_seen += int(np.count_nonzero(new))

    def visited_twice(self, bit: int, pixels: NDArray[np.int64]) -> bool:
        """Whether a pixel is here already with this signal: then the chunk must close."""
        slots = self._slot[pixels]
        return bool(((slots >= 0) & ((self._filled[slots] & bit) != 0)).any())

    def room_for(self, pixels: NDArray[np.int64]) -> int:
        """How many of these pixels fit; those whose partner is here need no row of their own."""
        room = self.capacity - self.n
        if len(pixels) <= room:
            return len(pixels)
        return int(np.searchsorted(np.cumsum(self._slot[pixels] < 0), room, side="right"))

    def put(self, bit: int, pixels: NDArray[np.int64], counts: NDArray[Any]) -> None:
        """Copy spectra, ``(n, channel)``, into their rows; there must be room for them."""
        slots = self._slot[pixels]
        new = slots < 0
        added = int(np.count_nonzero(new))
        if added:
            rows = np.arange(self.n, self.n + added, dtype=np.int32)
            slots[new] = rows
            fresh = pixels[new] if added < len(pixels) else pixels
            self._pixels[self.n : self.n + added] = fresh
            self._slot[fresh] = rows
            self.n += added
        target = self._core if bit == CORE else self._low
        assert target is not None  # bit is LOW only where the scan has a low loss
        first = int(slots[0])
        run = added == len(slots) or bool((np.diff(slots) == 1).all())
        where = slice(first, first + len(slots)) if run else slots
        target[where] = counts
        self._filled[where] |= bit

    def put_one(self, bit: int, pixel: int, counts: NDArray[Any]) -> bool:
        """``put`` for one spectrum, as scalars: twice as fast where each is a message.

        False, and nothing done, if the pixel is here already with this signal or there is no
        room.
        """
        slot = int(self._slot[pixel])
        if slot < 0:
            if self.n == self.capacity:
                return False
            slot = self.n
            self.n += 1
            self._pixels[slot] = pixel
            self._slot[pixel] = slot
        elif self._filled[slot] & bit:
            return False
        target = self._core if bit == CORE else self._low
        assert target is not None  # as in put
        target[slot] = counts
        self._filled[slot] |= bit
        return True

    def complete_rows(self) -> int:
        """How many rows have every signal of their pixel."""
        return int(np.count_nonzero(self._filled[: self.n] == self.need))

    def close(self, *, incomplete_too: bool, received_s: float, clock_s: float) -> Chunk | None:
        """Take out a chunk; rows that wait for a partner stay unless told otherwise."""
        filled = self._filled[: self.n]
        complete = filled == self.need
        everything = incomplete_too or bool(complete.all())
        if self.n == 0 or not (everything or complete.any()):
            return None
        pixels, core = self._pixels[: self.n], self._core[: self.n]
        low = None if self._low is None else self._low[: self.n]
        if everything:
            self._slot[pixels] = -1
            whole = bool(complete.all())
            chunk = self._chunk(pixels, core, low, None if whole else filled, received_s, clock_s)
            self.n = 0
            self._new_buffers()
            return chunk
        out = self._chunk(
            pixels[complete], core[complete], None if low is None else low[complete],
            None, received_s, clock_s,
        )  # fmt: skip
        waiting = ~complete
        rest = (pixels[waiting], core[waiting], None if low is None else low[waiting])
        rest_filled = filled[waiting]
        self._slot[pixels] = -1
        self._new_buffers()
        self.n = len(rest[0])
        self._pixels[: self.n], self._core[: self.n] = rest[0], rest[1]
        if self._low is not None and rest[2] is not None:
            self._low[: self.n] = rest[2]
        self._filled[: self.n] = rest_filled
        self._slot[rest[0]] = np.arange(self.n, dtype=np.int32)
        return out

    def _chunk(
        self,
        pixels: NDArray[np.int64],
        core: NDArray[Any],
        low: NDArray[Any] | None,
        filled: NDArray[np.uint8] | None,
        received_s: float,
        clock_s: float,
    ) -> Chunk:
        if filled is None:
            return Chunk(self.scan, pixels, core, low, None, None, received_s, clock_s)
        core_seen, low_seen = (filled & CORE) != 0, (filled & LOW) != 0
        core[~core_seen] = 0
        if low is not None:
            low[~low_seen] = 0
        return Chunk(self.scan, pixels, core, low, low_seen, core_seen, received_s, clock_s)


def _rows(signal: Signal, n: int) -> NDArray[Any]:
    return np.empty((n, signal.axis.size), "<" + signal.dtype)
