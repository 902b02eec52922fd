"""The analyse thread: maps that come and go while earlier pixels follow what was learnt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from live_eels.app.analyse import AnalyseThread
from live_eels.app.queues import Edge
from live_eels.app.session import Session
from live_eels.spectra import (
    ChunkResult,
    EnergyAxis,
    MapSpec,
    NavigationAxis,
    Scan,
    ScanEnd,
    Signal,
)

SCAN = Scan("s", (NavigationAxis("x", 4),), (Signal("core", EnergyAxis(600, 1, 8)),))


class Changing:
    """A pipeline whose maps are others once earlier pixels follow."""

    stale, waiting, scree, components = True, 0, None, 0

    def __init__(self, before: str, after: str) -> None:
        self._after, self.specs = after, [MapSpec(name) for name in before.split()]

    def curves(self) -> dict[str, object]:
        return {}

    def take_outdated(self) -> np.ndarray:
        return np.zeros(0, np.int64)

    def refreshed(self) -> Iterator[ChunkResult]:
        self.specs = [MapSpec(name) for name in self._after.split()]
        values = np.array([1, 2, 3, 4], np.float32)
        yield ChunkResult(np.arange(4), dict.fromkeys(self._after.split(), values))
        self.stale = False

    def recoloured(self, at_most: float) -> ChunkResult:
        return ChunkResult(np.zeros(0, np.int64), {})


@pytest.mark.parametrize("after", ["a b c", "a", "b"])
@pytest.mark.parametrize("over", [True, False])
def test_a_map_may_come_or_vanish_while_earlier_pixels_follow(after: str, over: bool) -> None:
    pipeline = Changing("a b", after)
    thread = AnalyseThread(
        Edge(1 << 20), lambda session: pipeline, None, 10.0, Path(), lambda session: None
    )
    session = Session(SCAN, 1, 0.0, 0.0)
    thread._take(session, SCAN, None)
    assert list(session.snapshot.maps) == ["a", "b"]
    if over:  # then all of it follows before the next snapshot
        session.end = ScanEnd("s", "complete")
    else:
        thread._follow()
    thread._show(session)
    assert list(session.snapshot.maps) == after.split()
    for values in session.snapshot.maps.values():
        assert values.tolist() == [1, 2, 3, 4]


class Waiting(Changing):
    """A pipeline that has pixels to recolour, one with each map."""

    stale, waiting = False, 4

    def recoloured(self, at_most: float) -> ChunkResult:
        start, self.waiting = 4 - self.waiting, self.waiting - 1 if at_most < 1 else 0
        pixels = np.arange(start, 4 - self.waiting)
        return ChunkResult(pixels, {"a": np.ones(len(pixels), np.float32)})


@pytest.mark.parametrize("over", [True, False])
def test_while_pixels_wait_for_their_colour_maps_follow_by_themselves(over: bool) -> None:
    pipeline = Waiting("a", "a")
    thread = AnalyseThread(
        Edge(1 << 20), lambda session: pipeline, None, 1e9, Path(), lambda session: None
    )
    session = Session(SCAN, 1, 0.0, 0.0)
    thread._take(session, SCAN, None)  # shows the first
    assert np.nansum(session.snapshot.maps["a"]) == 1
    if over:  # nothing waits once the scan is over
        session.end = ScanEnd("s", "complete")
        thread._finish(session)
        assert np.nansum(session.snapshot.maps["a"]) == 4
        return
    for shown in (2, 3, 4):
        assert thread._patience_s() is not None
        thread._snapshot_due_s = 0.0
        thread._between()
        assert np.nansum(session.snapshot.maps["a"]) == shown
    assert thread._patience_s() is None
