"""The board on which results land, and the snapshots that are taken of it.

Lives here: one float32 value per pixel and map, nan where nothing came yet, a version that
counts snapshots. One thread writes the board; everybody else reads snapshots, which are
never changed after they were taken.

A map is kept in blocks of pixels. A snapshot takes the blocks as they are, and whoever writes
to one afterwards writes to a copy: so a snapshot costs what changed since the last one, however
large the scan, and what nobody has seen yet takes no memory.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import ChunkResult, Curve, MapSnapshot, MapSpec, Scan

BLOCK = 16_384
"""Pixels of a block: 64 KiB, which is copied in some us."""

_UNSEEN = np.full(BLOCK, np.nan, np.float32)

Values = NDArray[np.float32]
Part = tuple[int, slice | NDArray[np.int64], slice | NDArray[np.int64]]
"""A block, the places in it, and the rows of a result that belong there."""


class Taken:
    """One map as a snapshot took it; put together when somebody looks at it.

    Several who look at the same time share one array; it goes when the last of them lets go.
    """

    def __init__(self, blocks: Iterable[Values], shape: tuple[int, ...]) -> None:
        self._blocks, self._shape = tuple(blocks), shape
        self._whole: weakref.ref[Values] | None = None

    @property
    def values(self) -> Values:
        """float32 on the navigation shape, read-only."""
        whole = None if self._whole is None else self._whole()
        if whole is None:
            whole = np.concatenate(self._blocks).reshape(self._shape)
            whole.setflags(write=False)
            self._whole = weakref.ref(whole)
        return whole


class Maps(Mapping[str, Values]):
    """The maps of a snapshot by name."""

    def __init__(self, taken: Mapping[str, Taken]) -> None:
        self._taken = taken

    def __getitem__(self, name: str) -> Values:
        """Put a map together."""
        return self._taken[name].values

    def __iter__(self) -> Iterator[str]:
        """Names, without putting anything together."""
        return iter(self._taken)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._taken)


class _Map:
    """The values of one map that is being written."""

    def __init__(self, pixels: int) -> None:
        whole, rest = divmod(pixels, BLOCK)
        self._blocks = [_UNSEEN] * whole + ([_UNSEEN[:rest]] if rest else [])
        self._own = bytearray(len(self._blocks))  # 0 where others may hold the block too

    def put(self, parts: Iterable[Part], values: Values) -> None:
        for block, places, rows in parts:
            if not self._own[block]:
                self._blocks[block], self._own[block] = self._blocks[block].copy(), 1
            self._blocks[block][places] = values[rows]

    def take(self, shape: tuple[int, ...]) -> Taken:
        self._own = bytearray(len(self._blocks))
        return Taken(self._blocks, shape)


def _parts(pixels: NDArray[np.int64]) -> list[Part]:
    """Where each pixel lies: places in blocks, as slices where pixels follow one another."""
    first, last = int(pixels[0]), int(pixels[-1])
    if last - first + 1 == len(pixels) and (np.diff(pixels) == 1).all():
        starts = range(first - first % BLOCK, last + 1, BLOCK)
        ends = [(max(first - s, 0), min(last + 1 - s, BLOCK), s) for s in starts]
        return [(s // BLOCK, slice(a, b), slice(s + a - first, s + b - first)) for a, b, s in ends]
    block, place = np.divmod(pixels, BLOCK)
    rows = ((int(b), np.flatnonzero(block == b)) for b in np.unique(block))
    return [(b, place[some], some) for b, some in rows]


class MapBoard:
    """All maps of one scan.

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
        self._announced: list[MapSpec] = []
        self._specs: dict[str, MapSpec] = {}
        self._maps: dict[str, _Map] = {}
        self._changed: dict[str, int] = {}
        self._dirty: set[str] = set()
        self._taken: dict[str, Taken] = {}
        self.announce(specs)

    def announce(self, specs: Iterable[MapSpec]) -> None:
        """Bring the board in line with ``specs``: new maps start empty, dropped ones go.

        A map to which classes are added stays as it is; where they change it starts empty.
        """
        specs = list(specs)
        if specs == self._announced:
            return
        self._announced = specs
        wanted = {spec.name: spec for spec in specs}
        for name in self._specs.keys() - wanted.keys():
            for part in (self._maps, self._changed, self._taken):
                part.pop(name, None)
            self._dirty.discard(name)
        for name, spec in wanted.items():
            known = self._specs[name].classes if name in self._specs else None
            if known is None or spec.classes[: len(known)] != known:
                self._maps[name] = _Map(self.scan.pixels)
                self._dirty.add(name)
        self._specs = wanted

    def update(self, result: ChunkResult) -> None:
        """Write the values of one chunk."""
        if not len(result.pixels):
            return
        parts = _parts(result.pixels)
        for name, values in result.maps.items():
            self._maps[name].put(parts, values)
            self._dirty.add(name)

    def refresh(self, maps: Mapping[str, Values]) -> None:
        """Replace whole maps: float32 ``(scan pixels,)`` each."""
        self.update(ChunkResult(np.arange(self.scan.pixels), maps))

    def snapshot(
        self,
        curves: Mapping[str, Curve] | None = None,
        scree: NDArray[np.float32] | None = None,
        components: int = 0,
    ) -> MapSnapshot:
        """Take a snapshot; nothing is copied until it is written to or looked at."""
        self.version += 1
        for name in self._dirty:
            self._taken[name] = self._maps[name].take(self.scan.shape or (1,))
            self._changed[name] = self.version
        self._dirty.clear()
        return MapSnapshot(
            self.scan,
            self.version,
            dict(self._specs),
            Maps({name: self._taken[name] for name in self._specs}),
            {name: self._changed[name] for name in self._specs},
            curves or {},
            scree,
            components,
        )
