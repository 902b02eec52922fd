"""The analyse thread: maps that come and go while earlier pixels follow what was learnt."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace as replace_struct

from conftest import two_phase_scan
from live_eels.app.analyse import AnalyseThread
from live_eels.app.queues import Edge
from live_eels.app.session import Session
from live_eels.io.reader import open_recording
from live_eels.pipeline import Pipeline
from live_eels.spectra import (
    ChunkResult,
    EnergyAxis,
    MapSnapshot,
    MapSpec,
    NavigationAxis,
    Scan,
    ScanEnd,
    Signal,
)
from running_engine import messages, running, send, settings, wait_for

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
    """A pipeline that has pixels to recolour, one with each map; settled, all go to cluster 1."""

    stale, waiting = False, 4

    def __init__(self) -> None:
        super().__init__("cluster", "cluster")
        exact = SimpleNamespace(exact=np.ones(4, np.int16))
        kmeans = SimpleNamespace(kmeans=SimpleNamespace(centres=np.zeros((2, 1))))
        self.known = SimpleNamespace(colours=exact, learnt=kmeans)

    def refreshed(self) -> Iterator[ChunkResult]:
        return iter(())

    def recoloured(self, at_most: float) -> ChunkResult:
        start, self.waiting = 4 - self.waiting, max(self.waiting - 1, 0) if at_most < 1 else 0
        pixels = np.arange(start, 4 - self.waiting)
        return ChunkResult(pixels, {"cluster": np.ones(len(pixels), np.float32)})


def waiting_thread(folder: Path, rate_hz: float = 1e9) -> tuple[AnalyseThread, list[Session]]:
    finished: list[Session] = []
    inbox = Edge(1 << 20)
    return (
        AnalyseThread(inbox, lambda session: Waiting(), None, rate_hz, folder, finished.append),
        finished,
    )


def shown(session: Session) -> float:
    return float(np.nansum(session.snapshot.maps["cluster"]))


def test_while_pixels_wait_for_their_colour_maps_follow_by_themselves(tmp_path: Path) -> None:
    thread, _ = waiting_thread(tmp_path)
    session = Session(SCAN, 1, 0.0, 0.0)
    thread._take(session, SCAN, None)  # shows the first
    assert shown(session) == 1
    for number in (2, 3, 4):
        assert thread._patience_s() is not None
        thread._snapshot_due_s = 0.0
        thread._between()
        assert shown(session) == number
    assert thread._patience_s() is None


class Written:
    """A recorder that keeps what is written."""

    def __init__(self) -> None:
        self.maps: list[list[float]] = []
        self.classes: list[int] = []

    def finish(self, end: ScanEnd, snapshot: MapSnapshot, counters: object) -> None:
        self.maps.append(snapshot.maps["cluster"].tolist())
        self.classes.append(len(snapshot.specs["cluster"].classes))


def over(thread: AnalyseThread, number: int = 1) -> Session:
    """A scan whose last pixel has come, and of which nothing is left but to finish it."""
    session = Session(SCAN, number, 0.0, 0.0)
    thread._take(session, SCAN, None)
    session.pipeline.spikes = SimpleNamespace(listed=np.zeros((0, 2)))
    session.end, session.recorder = ScanEnd("s", "complete"), Written()
    return session


def test_a_settled_scan_is_written_at_once_and_done_when_its_maps_show_it(tmp_path: Path) -> None:
    thread, finished = waiting_thread(tmp_path)
    session = over(thread)
    thread._catch_up()
    assert session.recorder.maps == [[1, 1, 1, 1]]
    assert session.recorder.classes == [2]
    for number in (2, 3):
        assert shown(session) == number
        assert (session.state, finished) == ("catching_up", [])
        thread._catch_up()  # it is not settled twice
        assert thread._work_waits()
        assert thread._patience_s() != 0.0
        thread._snapshot_due_s = 0.0
        thread._between()
    assert shown(session) == 4
    assert (session.state, finished) == ("complete", [session])
    assert not thread._work_waits()
    assert len(session.snapshot.specs["cluster"].classes) == 2
    assert session.recorder.maps == [[1, 1, 1, 1]] * 2


@pytest.mark.parametrize("hurry", ["another scan", "the engine ends"])
def test_what_a_settled_scan_has_yet_to_show_holds_up_nobody(hurry: str, tmp_path: Path) -> None:
    thread, finished = waiting_thread(tmp_path, rate_hz=1e-3)
    session = over(thread)
    thread._catch_up()
    assert finished == []
    if hurry == "another scan":
        thread._take(Session(SCAN, 2, 0.0, 0.0), SCAN, None)
    else:
        thread._inbox.close()
        running = Thread(target=thread.run, daemon=True)
        running.start()
        running.join(20)
        assert not running.is_alive()
    assert finished == [session]
    assert shown(session) == 4


def test_a_scan_settled_after_another_began_shows_all_at_once(tmp_path: Path) -> None:
    thread, finished = waiting_thread(tmp_path, rate_hz=1e-3)
    session = over(thread)
    thread._take(Session(SCAN, 2, 0.0, 0.0), SCAN, None)
    thread._catch_up()
    assert finished == [session]
    assert shown(session) == 4


def test_a_glance_at_another_scan_does_not_end_the_following(tmp_path: Path) -> None:
    thread, _ = waiting_thread(tmp_path)
    earlier, session = over(thread), over(thread, 2)
    earlier.pipeline.waiting, session.following = 1, True
    thread._show(earlier)
    assert thread._stale is session


def test_a_command_while_maps_follow_settles_the_scan_again(tmp_path: Path) -> None:
    thread, finished = waiting_thread(tmp_path)
    session = over(thread)
    thread._catch_up()
    thread.changed(session)
    assert session.to_settle
    assert thread._patience_s() == 0.0
    assert finished == []
    thread._catch_up()
    assert len(session.recorder.maps) == 2


def test_published_maps_of_a_settled_scan_do_not_jump(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four clusters are found late, by the settling itself; the file has them at once."""
    scan, core, low, _ = two_phase_scan((16, 20))
    settle, written, shown, recoloured = Pipeline.settle, [], [], []

    def finds_more(self: Pipeline, chunks: object) -> Iterator[ChunkResult]:
        if self.scan.id == scan.id:
            self.learners.set_clusters(6)
        return settle(self, chunks)

    monkeypatch.setattr(Pipeline, "settle", finds_more)
    config = settings(endpoint, tmp_path)
    config = replace_struct(config, publish=replace_struct(config.publish, rate_hz=50.0))
    with running(config) as (engine, socket):
        finish, publish = engine.analyse._write, engine.publisher.snapshot

        def keep_written(session: Session, snapshot: MapSnapshot) -> None:
            finish(session, snapshot)
            with open_recording(session.path) as recording:
                written.append((len(shown), recording.maps["cluster"]))

        def keep_shown(snapshot: MapSnapshot) -> None:
            publish(snapshot)
            shown.append(snapshot.maps["cluster"])
            recoloured.append(engine.status().recolouring)

        monkeypatch.setattr(engine.analyse, "_write", keep_written)
        monkeypatch.setattr(engine.publisher, "snapshot", keep_shown)
        *spectra, end = messages(scan, core, low)
        send(socket, spectra)
        wait_for(lambda: shown and np.isfinite(shown[-1]).all(), "a map of all pixels")
        send(socket, [end])
        wait_for(lambda: engine.finished_scans == 1, "the scan")
    whole = [now for now in shown if np.isfinite(now).all()]
    jumps = [np.mean(late != early) for early, late in pairwise(whole)]
    assert len(np.unique(whole[-1])) == 6
    assert max(jumps) <= 0.01
    assert sum(jumps) > 0.1
    assert max(recoloured) > 0.1 * scan.pixels
    assert recoloured[-1] == 0
    assert written[0][0] < len(shown) - 5  # long before it is shown
    for _, maps in written:
        np.testing.assert_array_equal(maps, whole[-1])
