"""An engine seen over the network answers a page as it does at home."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import zmq

from conftest import two_phase_scan
from live_eels import control, wire
from live_eels.app.remote import RemoteEngine
from live_eels.io.commands import CommandServer
from live_eels.maps import MapBoard
from live_eels.spectra import ChunkResult, MapSpec
from running_engine import messages, running, send, settings, wait_for


def test_maps_spectra_and_commands_travel(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        commands = CommandServer(f"{endpoint}c", engine.command)
        remote = RemoteEngine(f"{endpoint}p", f"{endpoint}c")
        threads = [threading.Thread(target=run) for run in (commands.run, remote.run)]
        for thread in threads:
            thread.start()
        try:
            send(socket, messages(scan, core, low))
            wait_for(lambda: engine.finished_scans == 1, "the scan")
            here = engine.snapshot()

            def arrived():
                engine.publisher.welcome()
                engine.publisher.status(_status(engine))
                there = remote.snapshot()
                return (
                    there is not None
                    and set(there.maps) == set(here.maps)
                    and set(there.curves) == set(here.curves)
                    and remote.status().state == "complete"
                )

            wait_for(arrived, "the maps on the other side")
            there = remote.snapshot()
            for name in here.maps:
                np.testing.assert_array_equal(there.maps[name], here.maps[name], err_msg=name)
            assert there.scan.core.axis == scan.core.axis
            near, far = engine.spectrum(np.arange(9)), remote.spectrum(np.arange(9))
            np.testing.assert_array_equal(far.raw, near.raw)
            np.testing.assert_array_equal(far.signal, near.signal)
            assert far.processed_axis == near.processed_axis
            windows = ((704.0, 730.0), (680.0, 700.0))
            np.testing.assert_array_equal(remote.window_map(*windows), engine.window_map(*windows))
            with pytest.raises(LookupError, match="no such scan"):
                remote.spectrum(np.arange(3), "another")
            reply = remote.command(control.SetClusters(k=3))
            assert reply == control.Ok(message="3 clusters")
            assert remote.snapshot_of(scan.id) is remote.snapshot()
            assert remote.history()[0]["id"] == scan.id
        finally:
            remote.stop()
            commands.stop()
            for thread in threads:
                thread.join()


def _status(engine):
    import msgspec

    return msgspec.to_builtins(engine.status())


def test_a_silent_engine_is_an_alarm(endpoint, monkeypatch):
    monkeypatch.setattr("live_eels.app.remote.QUIET_S", -1.0)
    remote = RemoteEngine(endpoint, endpoint)
    status = remote.status()
    remote.stop()
    remote.run()
    assert status.state == "stalled"
    assert "silent" in status.alarms[-1]


def test_rubbish_and_the_word_of_another_version_do_not_end_the_view(endpoint):
    scan, *_ = two_phase_scan((2, 3))
    other = two_phase_scan((2, 2), seed=1)[0]
    board = MapBoard(scan, [MapSpec("a")])
    board.update(ChunkResult(np.array([0]), {"a": np.array([5], np.float32)}))
    of_another_shape = MapBoard(replace(other, id=scan.id), [MapSpec("a")]).snapshot()
    context = zmq.Context()
    engine = context.socket(zmq.XPUB)
    engine.bind(endpoint)
    remote = RemoteEngine(endpoint, endpoint)
    thread = threading.Thread(target=remote.run)
    thread.start()
    try:
        for _ in range(4):  # one subscription for each topic
            engine.recv()
        for parts in (
            wire.encode_map(board.snapshot(), "a"),  # of a scan that was not announced
            wire.encode(scan),
            [b"map/a", b"rubbish", b""],
            [b"scan", b"rubbish"],
            wire.encode_status({"state": 5, "version": []}),
            wire.encode_map(of_another_shape, "a"),
            wire.encode_map(board.snapshot(), "a"),
            wire.encode_status({"state": "scanning", "version": "9", "colour": "red"}),
        ):
            engine.send_multipart(parts)
        wait_for(lambda: remote.status().state == "scanning", "the last word")
        wait_for(lambda: remote.snapshot() is not None, "the map")
        assert remote.snapshot().maps["a"].shape == (2, 3)
        engine.send_multipart(wire.encode(other))
        engine.send_multipart(wire.encode_map(MapBoard(other, [MapSpec("b")]).snapshot(), "b"))
        wait_for(lambda: list(remote.snapshot().maps) == ["b"], "the next scan")
        assert [one["id"] for one in remote.history()] == [scan.id, other.id]
        assert list(remote.snapshot_of(scan.id).maps) == ["a"]
    finally:
        remote.stop()
        thread.join()
        engine.close(0)
        context.term()
