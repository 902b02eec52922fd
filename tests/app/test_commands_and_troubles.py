"""What a running engine does when commands come at odd moments, and when its disk gives up."""

from __future__ import annotations

import threading

import h5py
import numpy as np
import pytest

from conftest import two_phase_scan
from live_eels import control
from live_eels.app import engine as engine_module
from live_eels.app.changing import change
from live_eels.app.engine import Engine
from live_eels.io.reader import open_recording
from live_eels.io.recorder import Recorder, RecorderError
from live_eels.pipeline import Pipeline
from live_eels.spectra import Chunk
from running_engine import WAIT_S, messages, running, send, settings, wait_for


def test_a_command_while_a_scan_is_settled_reaches_every_pixel(endpoint, tmp_path, monkeypatch):
    scan, core, low, _ = two_phase_scan((64, 64))
    asked = []
    settle = Pipeline.settle

    def narrow():
        session = engine.current
        window = control.SetWindow(low_ev=632.0, high_ev=665.0)
        return change(engine, session, session.pipeline, window)

    def interrupted(self, chunks):
        for number, result in enumerate(settle(self, chunks)):
            if number == 1 and not asked and self.scan.id == scan.id:
                asked.append(engine.analyse.ask(narrow))
            yield result

    monkeypatch.setattr(Pipeline, "settle", interrupted)
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        send(socket, messages(scan, core, low, chunk=256))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        status, session = engine.status(), engine.current
    assert asked[0].result().message.startswith("analysing 632")
    assert status.owed == 0
    assert session.settled == status.pixels_analysed == scan.pixels
    for name in ("cluster", "counts", "label"):
        assert np.isfinite(session.snapshot.maps[name]).all(), name


def test_stopping_while_a_scan_settles_still_writes_its_end(endpoint, tmp_path, monkeypatch):
    scan, core, low, _ = two_phase_scan()
    settle = Pipeline.settle

    def stopping(self, chunks):
        for result in settle(self, chunks):
            if self.scan.id == scan.id:
                engine.stop()
            yield result

    monkeypatch.setattr(Pipeline, "settle", stopping)
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        send(socket, messages(scan, core, low))
        assert engine.join(WAIT_S)
    assert engine.current.state == "complete"
    with open_recording(engine.current.path) as recording:
        assert recording.end.reason == "complete"
        assert np.isfinite(recording.maps["cluster"]).all()


def test_a_scan_that_is_settled_again_counts_once(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        ended = []
        engine.on_finished(ended.append)
        send(socket, messages(scan, core, low))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        reply = engine.command(control.SetClusters(k=3))
        assert isinstance(reply, control.Ok), reply
        wait_for(lambda: len(ended) == 2, "the scan with three clusters")
        assert engine.finished_scans == 1
        assert engine.status().clusters == 3
        assert engine.config.cluster.clusters == 3  # so do the scans to come


def test_the_file_of_a_finished_scan_follows_commands(endpoint, tmp_path):
    """The page shows other maps, and a remark is made, after the last pixel: so does the file."""
    scan, core, low, _ = two_phase_scan((6, 8))
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        send(socket, messages(scan, core, low))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        (session,) = engine.sessions
        assert isinstance(engine.command(control.SetClusters(k=3)), control.Ok)
        wait_for(lambda: session.finished, "three clusters")
        shown = session.snapshot.maps["cluster"]
        assert len(np.unique(shown)) == 3
        with h5py.File(session.path) as file:
            assert np.array_equal(file["entry/maps/cluster/values"], shown, equal_nan=True)
        reply = engine.command(control.MarkRegion(request="note", text="odd"))
        assert isinstance(reply, control.Ok), reply

        (end,) = (t for t in threading.enumerate() if t.name == "analyse")
        engine.stop()
        end.join(WAIT_S)
        with h5py.File(session.path) as file:
            assert b"odd" in file["live_eels/notes"][()]


def test_a_full_disk_stops_the_recording_and_not_the_analysis(endpoint, tmp_path, monkeypatch):
    scan, core, low, _ = two_phase_scan((64, 64))  # four chunks at least
    write, written = Recorder.write, []

    def full(self, chunk):
        if written:
            raise RecorderError("the disk is full")
        written.append(len(chunk.pixels))
        return write(self, chunk)

    monkeypatch.setattr(Recorder, "write", full)
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        # Whatever the analysis has no room for is owed: a backlog when the disk fills up.
        monkeypatch.setattr(
            engine.to_analyse, "offer", lambda item, weight: len(item[1].pixels) == 0
        )
        send(socket, messages(scan, core, low, chunk=64))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        status, snapshot = engine.status(), engine.snapshot()
        path = engine.current.path
    assert engine.failure is None
    assert any("NOT RECORDED: the disk is full" in alarm for alarm in status.alarms)
    assert 0 < status.pixels_recorded < scan.pixels
    assert status.owed == 0
    assert np.isfinite(snapshot.maps["counts"]).all()
    with open_recording(path) as recording:
        seen = np.flatnonzero(recording.visits() > 0)
        np.testing.assert_array_equal(recording.counts(seen), core[seen])


def test_recordings_of_long_series_are_let_go(endpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(engine_module, "HISTORY", 2)
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        for number in range(4):
            scan, core, low, _ = two_phase_scan((4, 4), seed=number)
            send(socket, messages(scan, core, low))
            wait_for(lambda n=number: engine.finished_scans == n + 1, "a scan")
        assert [s.recorder is not None for s in engine.sessions] == [False, False, True, True]


def test_visits_of_a_chunk_are_its_core_losses():
    scan, core, low, _ = two_phase_scan((4,))
    pixels = np.arange(4)
    assert Chunk(scan, pixels, core, low).visits == 4
    seen = np.array([True, False, True, False])
    assert Chunk(scan, pixels, core, low, None, seen).visits == 2


def test_nobody_waits_for_an_analysis_that_could_not_begin(endpoint, tmp_path, monkeypatch):
    asked, may_fail = [], threading.Event()

    def broken(*_):
        may_fail.wait(WAIT_S)
        raise RuntimeError("no kernel can be compiled here")

    monkeypatch.setattr(engine_module, "warm_up", broken)
    engine = Engine(settings(endpoint, tmp_path))
    engine.start()
    asked.append(engine.analyse.ask(lambda: 1))  # while it begins,
    may_fail.set()
    with pytest.raises(RuntimeError, match="no kernel"):
        engine.join(WAIT_S)
    asked.append(engine.analyse.ask(lambda: 2))  # and when it is over
    for future in asked:
        with pytest.raises(LookupError, match="the engine has stopped"):
            future.result(WAIT_S)
