"""What preprocessing remembers of the pixels it has seen, where settings look beyond one.

Lives here: the typical spectrum, and where each edge stood. Learns while the scan runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from live_eels.kernels import neighbours, prepare, spikes
from live_eels.kernels.correct import Correction, bridge_list

_LOOKED_AT = 1024  # pixels, about, evenly over the scan, that stand for all
_GOLDEN = 2654435769  # 2**32 over the golden ratio: its multiples fall evenly into any range
_FIRST = 64  # and so many at its beginning, so that the first rows have something to go by
_FIRST_LOOK = 8  # pixels; then whenever they have doubled
_EDGE_WIDTH_EV = 3.0  # an onset is about that wide
_SCALE_COUNTS = 400.0  # counts on each side that say how bright a pixel is
_LEAST_REACH = 8  # channels on each side, at any counts
_SMOOTH = 8  # channels on each side over which a mean spectrum of few counts is smoothed


class Typical:
    """The spectrum one may expect of a pixel, and how far pixels depart from it.

    Fixed pixels stand for all. When their number has doubled it is time to ``look``: chunks
    are cut there (``before_look``), so that what a pixel is compared with depends on the
    pixels before it and not on the chunk it came in.

    Attributes
    ----------
    total
        Counts summed over the pixels looked at, dark and gain corrected, float64 ``(channel,)``.
    looked_at
        How many those are.
    reference
        What spikes are told by; none until 16 pixels were looked at.
    """

    def __init__(self, pixels: int, channels: int) -> None:
        self._every = max(pixels // _LOOKED_AT, 1)
        self._next_look = _FIRST_LOOK
        self._sums = np.zeros((6, channels))
        self._compared = 0
        self.looked_at = 0
        self.reference = spikes.NO_REFERENCE
        self._mean = spikes.NO_REFERENCE  # also where it is too early to judge by it

    @property
    def total(self) -> NDArray[np.float64]:
        """Counts summed over the pixels looked at."""
        total: NDArray[np.float64] = self._sums[spikes.TOTAL]
        return total

    @property
    def steady(self) -> NDArray[np.float64]:
        """The same without each channel's largest count, which may be a spike."""
        steady: NDArray[np.float64] = self.total - self._sums[spikes.LARGEST]
        return steady

    @property
    def due(self) -> bool:
        """Whether it is time to look."""
        return self.looked_at >= self._next_look

    def before_look(self, pixels: NDArray[np.int64]) -> int:
        """How many of the next pixels come before it is time to look."""
        chosen = np.flatnonzero(self.chosen(pixels))
        missing = self._next_look - self.looked_at
        return len(pixels) if len(chosen) < missing else int(chosen[missing - 1]) + 1

    def chosen(self, pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these pixels stand for all."""
        # Every 1024th pixel of a scan 1024 wide would be its first column.
        spread = (pixels * _GOLDEN) % 2**32
        return np.asarray((spread < 2**32 // self._every) | (pixels < _FIRST), np.bool_)

    def add(self, pixels: NDArray[np.int64], counts: NDArray[Any], correction: Correction) -> None:
        """Take in the chosen ones of these pixels; ``counts`` raw ``(pixel, channel)``."""
        chosen = self.chosen(pixels)
        if chosen.any():
            rows = counts if chosen.all() else counts[chosen]
            used = spikes.compare_rows(rows, correction, self._mean, self._sums)
            self.looked_at += used
            self._compared += used if self._mean.mean.size else 0

    def look(self, bad: NDArray[np.int32]) -> None:
        """Make the reference of the pixels so far; channels ``bad`` are bridged in it.

        The largest count of each channel is left out, and the largest distance: those may be
        spikes. Where neighbouring channels of the mean differ no more than noise makes them,
        they are averaged.
        """
        n = self.looked_at
        self._next_look = max(2 * n, _FIRST_LOOK)
        if n < _FIRST_LOOK:
            return
        sums = self._sums
        mean = ((sums[spikes.TOTAL] - sums[spikes.LARGEST]) / (n - 1)).astype(np.float32)
        bridge_list(mean, bad, len(bad))
        mean = np.maximum(mean, 0.0)
        local = _around(mean)
        even = _around(np.square(mean, dtype=np.float64)) - local * local < 1.6 * local / n
        mean = np.where(even, local, mean).astype(np.float32)
        doubt = np.where(even, 1.0 / (2 * _SMOOTH + 1), 1.0) / np.maximum(n * mean, 1.0)
        noise = 1.0
        if self._compared:
            variance, weight = sums[spikes.VARIANCE], sums[spikes.WEIGHT]
            seen = variance > 0
            if seen.any():
                noise = float(np.median(sums[spikes.SQUARES, seen] / variance[seen]))
                noise = noise if noise > spikes.NOISY else 1.0
            more = sums[spikes.SQUARES] - sums[spikes.LARGEST_SQUARE] - noise * variance
            more = np.where(even, _around(more), more)
            weight = np.where(even, _around(weight), weight)
            doubt += np.maximum(more, 0.0) / np.maximum(weight, 1e-9)
        level = max(float(np.median(mean)), 1e-3)
        reach = round(min(max(_SCALE_COUNTS / level, _LEAST_REACH), mean.size))
        self._mean = spikes.Reference(mean, doubt.astype(np.float32), noise, reach)
        if self._compared >= _FIRST_LOOK:
            self.reference = self._mean


def _around(x: NDArray[Any]) -> NDArray[np.float64]:
    """Mean over ``_SMOOTH`` channels on each side, float64 ``(channel,)``."""
    wide = np.pad(np.asarray(x, np.float64), _SMOOTH, mode="reflect")
    mean: NDArray[np.float64] = sliding_window_view(wide, 2 * _SMOOTH + 1).mean(axis=1)
    return mean


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
