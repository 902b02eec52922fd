"""X-ray spikes of a scan: where they were, by pixel and channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import Prepared

MOST_LISTED = 20_000
"""Spikes that are listed; more are only counted."""


class SpikeList:
    """What was repaired as X-rays since the list was begun.

    Attributes
    ----------
    found
        How many channels.
    """

    def __init__(self) -> None:
        self.found = 0
        self._listed: list[NDArray[np.int64]] = []

    def note(self, prepared: Prepared) -> None:
        """Take in the spikes of a chunk."""
        if prepared.spikes is not None and len(prepared.spikes):
            self._listed.append(prepared.spikes[: max(MOST_LISTED - self.found, 0)])
            self.found += len(prepared.spikes)

    @property
    def listed(self) -> NDArray[np.int64]:
        """Pixel and raw channel of each, int64 ``(spike, 2)``."""
        return np.concatenate([np.empty((0, 2), np.int64), *self._listed])


def spike_map(prepared: Prepared) -> NDArray[np.float32]:
    """Channels repaired in each pixel of a chunk, float32 ``(pixel,)``."""
    number = np.zeros(len(prepared.pixels), np.float32)
    if prepared.spikes is not None and len(prepared.spikes):
        order = np.argsort(prepared.pixels)
        at = np.searchsorted(prepared.pixels, prepared.spikes[:, 0], sorter=order)
        np.add.at(number, order[at], 1)
    return number
