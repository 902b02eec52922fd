"""What preprocessing remembers of the pixels it has seen, where settings look beyond one.

Lives here: sums over pixels, and where each edge stood. Learns while the scan runs; what is
made of it at the end does not depend on the order in which pixels came.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import neighbours, prepare
from live_eels.spectra import Chunk

_LOOKED_AT = 1024  # pixels, evenly over the scan, whose mean spectrum shows bad channels
_EDGE_WIDTH_EV = 3.0  # an onset is about that wide


class Sums:
    """Sums over pixels that settings which look beyond one spectrum need."""

    def __init__(self, pixels: int, channels: int) -> None:
        self._every = max(pixels // _LOOKED_AT, 1)
        self._next_look = 8
        self._sums: NDArray[np.float64] | None = None
        self.total = np.zeros(channels)
        self.looked_at = 0

    def add(self, chunk: Chunk) -> bool:
        """Add the chosen pixels of a chunk; True when it is time to look again."""
        chosen = np.asarray(chunk.pixels) % self._every == 0
        counts = chunk.counts[chosen] if not chosen.all() else chunk.counts
        if len(counts) == 0:
            return False
        part = counts.sum(axis=0, dtype=np.float64)
        if np.isfinite(part).all():
            self.total += part
            self.looked_at += len(counts)
        if self.looked_at < self._next_look:
            return False
        self._next_look = 2 * self.looked_at
        return True

    def fit_sums(self, pixels: int) -> NDArray[np.float64]:
        """Fit-window sums of every pixel of the scan seen so far, ``(scan pixels, 2)``."""
        if self._sums is None:
            self._sums = np.zeros((pixels, 2))
        return self._sums


class EdgeTracks:
    """Where each edge stood in every pixel seen, and the drift this tells.

    Drift is what all edges do together for longer than ``span`` pixels of the scan (a median
    over pixels and over edges). So a chemical shift in less than half of a span's pixels, or
    of one edge among three, is left alone. What cannot be told from drift: a chemical shift
    that fills most of whole rows (a layer parallel to them), or that grades slowly along the
    scan, when only one edge is followed. What is not removed: jitter faster than the span, and
    a constant offset (positions are compared with their own median). Where that matters,
    record the low loss.
    """

    def __init__(
        self, ranges: list[tuple[int, int]], dispersion_ev: float, pixels: int, span: int
    ) -> None:
        self._first = np.array([first for first, _ in ranges])
        self._last = np.array([last for _, last in ranges])
        self._reach = max(round(_EDGE_WIDTH_EV / dispersion_ev), 2)
        self._dispersion_ev = dispersion_ev
        self._positions = np.full((pixels, len(ranges)), np.nan, np.float32)
        self._span = span
        self._drift: NDArray[np.float32] | None = None

    def shift_ev(
        self, pixels: NDArray[np.int64], counts: NDArray[np.float32], *, learn: bool
    ) -> NDArray[np.float32]:
        """What to add to the energies of ``pixels``; float32 ``(pixel,)``."""
        if self._drift is not None:
            drift = self._drift[pixels]
        else:
            if learn:
                found = np.empty((len(pixels), len(self._first)), np.float32)
                prepare.find_edges(counts, self._first, self._last, self._reach, found)
                self._positions[pixels] = found
            seen = slice(max(int(pixels.min()) - 4 * self._span, 0), int(pixels.max()) + 1)
            drift = neighbours.drift(self._positions[seen], self._span)[pixels - seen.start]
        return (-drift * self._dispersion_ev).astype(np.float32)

    def settle(self) -> None:
        """Take the drift of the whole scan from both sides of each pixel."""
        self._drift = neighbours.drift(self._positions, self._span)
