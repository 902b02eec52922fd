"""The board on which results land, and the snapshots that are taken of it.

Lives here: one float32 value per pixel and map, nan where nothing came yet, a version that
counts snapshots. One thread writes the board; everybody else reads snapshots, which are
never changed after they were taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import ChunkResult, Curve, MapSnapshot, MapSpec, Scan


class MapBoard:
    """All maps of one scan, as flat arrays over its pixels.

    Parameters
    ----------
    scan
        The scan whose pixels the maps cover.
    specs
        What each map means; a result may only fill these.
    """

    def __init__(self, scan: Scan, specs: Iterable[MapSpec]) -> None:
        self.scan = scan
        self.version = 0
        self._specs: dict[str, MapSpec] = {}
        self._values: dict[str, NDArray[np.float32]] = {}
        self._changed: dict[str, int] = {}
        self._dirty: set[str] = set()
        self._taken: dict[str, NDArray[np.float32]] = {}
        self.announce(specs)

    def announce(self, specs: Iterable[MapSpec]) -> None:
        """Bring the board in line with ``specs``: new maps start empty, dropped ones go."""
        wanted = {spec.name: spec for spec in specs}
        for name in self._specs.keys() - wanted.keys():
            for part in (self._values, self._changed, self._taken):
                part.pop(name, None)
            self._dirty.discard(name)
        for name, spec in wanted.items():
            if name not in self._values or spec.classes != self._specs[name].classes:
                self._values[name] = np.full(self.scan.pixels, np.nan, np.float32)
                self._dirty.add(name)
        self._specs = wanted

    def update(self, result: ChunkResult) -> None:
        """Write the values of one chunk."""
        for name, values in result.maps.items():
            self._values[name][result.pixels] = values
            self._dirty.add(name)

    def refresh(self, maps: Mapping[str, NDArray[np.float32]]) -> None:
        """Replace whole maps: float32 ``(scan pixels,)`` each."""
        for name, values in maps.items():
            self._values[name][:] = values
            self._dirty.add(name)

    def values(self, name: str) -> NDArray[np.float32]:
        """One map as it stands, flat, float32 ``(scan pixels,)``; for the writing thread."""
        return self._values[name]

    def snapshot(
        self,
        curves: Mapping[str, Curve] | None = None,
        scree: NDArray[np.float32] | None = None,
        components: int = 0,
    ) -> MapSnapshot:
        """Take a snapshot; only maps that changed since the last one are copied."""
        self.version += 1
        shape = self.scan.shape or (1,)
        for name in self._dirty:
            taken = self._values[name].reshape(shape).copy()
            taken.setflags(write=False)
            self._taken[name] = taken
            self._changed[name] = self.version
        self._dirty.clear()
        return MapSnapshot(
            self.scan,
            self.version,
            dict(self._specs),
            {name: self._taken[name] for name in self._specs},
            {name: self._changed[name] for name in self._specs},
            curves or {},
            scree,
            components,
        )
