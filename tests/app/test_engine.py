"""The engine on real sockets: everything recorded, counted and shown; scans one after another."""

from __future__ import annotations

import threading
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import zmq
from msgspec.structs import replace as replace_struct

from conftest import two_phase_scan
from live_eels import control, wire
from live_eels.app.engine import Engine
from live_eels.app.offline import process
from live_eels.io.reader import open_recording
from live_eels.spectra import ScanEnd, Spectra
from running_engine import WAIT_S, messages, running, send, settings, wait_for


def test_a_scan_is_recorded_byte_for_byte_and_every_pixel_is_analysed(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        send(socket, messages(scan, core, low))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        status, snapshot = engine.status(), engine.snapshot()
        path = engine.current.path
    assert status.state == "complete"
    assert status.pixels_received == status.pixels_recorded == scan.pixels
    assert status.missing_messages == status.duplicates == status.wire_errors == 0
    assert status.alarms == []
    for name in ("counts", "cluster", "label", "shift"):
        assert np.isfinite(snapshot.maps[name]).all(), name
    with open_recording(path) as recording:
        pixels = np.arange(scan.pixels)
        np.testing.assert_array_equal(recording.counts(pixels), core)
        np.testing.assert_array_equal(recording.counts(pixels, "low"), low)
        np.testing.assert_array_equal(recording.maps["label"], snapshot.maps["label"])
        assert recording.end.reason == "complete"


def test_process_gives_the_labels_of_the_live_run_pixel_for_pixel(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan((20, 18))
    core[200, 77] += 3000
    config = settings(endpoint, tmp_path)
    with running(config) as (engine, socket):
        send(socket, messages(scan, core, low, chunk=7))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        live, path = engine.snapshot(), engine.current.path
    with open_recording(path) as recording:
        assert recording.facts["counters"]["spikes"] == [[200, 77]]
        offline = process(recording, config).snapshot
    assert offline.maps.keys() == live.maps.keys()
    for name in live.maps:
        np.testing.assert_array_equal(offline.maps[name], live.maps[name], err_msg=name)


def test_passes_that_end_half_way_lose_their_darks_and_process_agrees(endpoint, tmp_path):
    """Half of the pixels came twice, with a dark of 40 counts each time."""
    scan, core, low, _ = two_phase_scan((8, 8))
    signals = tuple(replace(s, dark=np.full(s.axis.size, 40, np.float32)) for s in scan.signals)
    scan, dark = replace(scan, signals=signals, passes=2), np.uint16(40)
    half = np.arange(32)
    config = settings(endpoint, tmp_path)
    with running(config) as (engine, socket):
        socket.send_multipart(wire.encode(scan))
        for number, pixels in enumerate((np.arange(64), half)):
            for k, (name, counts) in enumerate((("low", low), ("core", core))):
                spectra = Spectra(scan.id, name, 2 * number + k, pixels, counts[pixels] + dark)
                socket.send_multipart(wire.encode(spectra))
        socket.send_multipart(wire.encode(ScanEnd(scan.id, "aborted", 96)))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        live, path = engine.snapshot(), engine.current.path
        answer = engine.spectrum(half)
    once, twice = live.maps["counts"].ravel()[32:], live.maps["counts"].ravel()[:32]
    assert np.median(twice) / np.median(once) == pytest.approx(2.0, rel=0.05)
    inside = slice(20, -20)  # alignment moves counts over the ends
    expected = 2 * core[half].mean(axis=0)[inside]
    assert answer.processed[inside].sum() == pytest.approx(expected.sum(), rel=0.01)
    with open_recording(path) as recording:
        offline = process(recording, config).snapshot
    for name in live.maps:
        np.testing.assert_array_equal(offline.maps[name], live.maps[name], err_msg=name)


def test_a_measured_line_scan_is_recorded_byte_for_byte_and_its_reduced_middle_shows(
    endpoint, tmp_path, real_spectra
):
    names = ("LSMO_linescan.hspy", "LSMO_linescan_low_loss.hspy")
    with (
        open_recording(*(real_spectra / name for name in names)) as measured,
        running(settings(endpoint, tmp_path)) as (engine, socket),
    ):
        send(socket, measured.messages(4))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        valence, path = engine.snapshot().maps["valence"], engine.current.path
        pixels = np.arange(40)
        with open_recording(path) as recording:
            for signal in ("core", "low"):
                counts = recording.counts(pixels, signal)
                assert counts.tobytes() == measured.counts(pixels, signal).tobytes()
    assert np.isfinite(valence).sum() >= 38  # an even mixture may be rejected
    ends = np.nanmean(np.concatenate([valence[:12], valence[-12:]]))
    assert ends - np.nanmean(valence[18:22]) > 0.2
    assert 16 <= np.nanargmin(valence) <= 23


def test_the_measured_chromium_spectrum_that_exspy_ships(endpoint, tmp_path):
    exspy = find_spec("exspy")
    folder = Path(exspy.origin).parent / "tests" / "drawing" / "data" if exspy else tmp_path
    if not (folder / "Cr_L_cl.hspy").exists():
        pytest.skip("no eXSpy with its measured spectra")
    with (
        open_recording(folder / "Cr_L_cl.hspy", folder / "Cr_L_ll.hspy") as measured,
        running(settings(endpoint, tmp_path)) as (engine, socket),
    ):
        send(socket, measured.messages())
        wait_for(lambda: engine.finished_scans == 1, "the spectrum")
        maps, status = engine.snapshot().maps, engine.status()
        with open_recording(engine.current.path) as recording:
            counts = recording.counts(np.array([0]))
            assert counts.tobytes() == measured.counts(np.array([0])).tobytes()
    assert status.alarms == []
    assert status.model == ""  # none of the shipped models knows chromium, and none guesses
    assert 1.0 < maps["ZLP fwhm"][0] < 2.0
    assert abs(maps["counts"][0] / counts.sum() - 1) < 0.02  # moved by 0.4 eV


@pytest.mark.parametrize("shape", [(), (30,), (6, 7)])
def test_single_spectrum_line_and_image(endpoint, tmp_path, shape):
    scan, core, low, _ = two_phase_scan(shape or (1,))
    scan = replace(scan, navigation=scan.navigation if shape else ())
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        send(socket, messages(scan, core, low))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        assert engine.snapshot().maps["counts"].shape == (shape or (1,))
        assert engine.status().pixels_analysed == scan.pixels


def test_live_view_keeps_showing_the_same_pixel(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan((40,))
    view = replace(scan, navigation=(), passes=40)
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        socket.send_multipart(wire.encode(view))
        for i in range(40):
            for k, (name, counts) in enumerate((("low", low), ("core", core))):
                one = Spectra(view.id, name, 2 * i + k, np.array([0]), counts[i : i + 1])
                socket.send_multipart(wire.encode(one))
        socket.send_multipart(wire.encode(ScanEnd(view.id, "complete", 40)))
        wait_for(lambda: engine.finished_scans == 1, "the view")
        status, path = engine.status(), engine.current.path
    assert status.visits == 40
    assert status.unpaired == 0
    with open_recording(path) as recording:
        np.testing.assert_array_equal(recording.counts(np.array([0]))[0], core.sum(axis=0))


def test_an_aborted_scan_is_kept_and_the_next_one_starts_clean(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    second, core2, low2, _ = two_phase_scan(seed=1)
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        send(socket, messages(scan, core, low, reason="aborted", stop=48))
        send(socket, messages(second, core2, low2))
        wait_for(lambda: engine.finished_scans == 2, "both scans")
        first, last = engine.sessions
        status = engine.status()
    assert (first.state, last.state) == ("aborted", "complete")
    assert status.pixels_received == second.pixels
    with open_recording(first.path) as recording:
        assert np.count_nonzero(recording.visits()) == 48
        assert np.isnan(recording.maps["counts"].ravel()[48:]).all()
        assert np.isfinite(recording.maps["counts"].ravel()[:48]).all()
        np.testing.assert_array_equal(recording.counts(np.arange(48)), core[:48])
    with open_recording(last.path) as recording:
        np.testing.assert_array_equal(recording.counts(np.arange(second.pixels)), core2)


def test_a_sender_that_dies_and_comes_back_loses_only_its_own_scan(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    second, core2, low2, _ = two_phase_scan(seed=1)
    first_part = list(messages(scan, core, low, stop=48))[:-1]  # no scan_end
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        send(socket, first_part)
        send(socket, messages(second, core2, low2))
        wait_for(lambda: engine.finished_scans == 2, "both scans")
        assert [s.state for s in engine.sessions] == ["lost", "complete"]


def test_gaps_duplicates_and_rubbish_are_counted_and_the_stream_goes_on(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    items = [wire.encode(m) for m in messages(scan, core, low)]
    lost, doubled = items.pop(3), items[5]
    items.insert(6, doubled)
    items.insert(8, [b"spectra", b"\xc1rubbish"])
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        for parts in items:
            socket.send_multipart(parts)
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        status = engine.status()
        path = engine.current.path
    assert len(lost) == 3
    assert (status.gaps, status.missing_messages) == (1, 1)
    assert (status.duplicates, status.wire_errors) == (1, 1)
    assert status.unpaired == 16  # the lost message held 16 low-loss spectra
    assert not status.recording_complete
    assert any("lost" in alarm for alarm in status.alarms)
    with open_recording(path) as recording:
        np.testing.assert_array_equal(recording.counts(np.arange(scan.pixels)), core)
        assert np.count_nonzero(recording.visits("low")) == scan.pixels - 16


def test_joining_late_shows_what_is_still_to_come(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    items = list(messages(scan, core, low))
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        send(socket, items[5:9])  # the announcement came before we listened
        send(socket, [scan, *items[9:]])  # and is repeated
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        status = engine.status()
    assert status.missing_messages == 4
    assert status.pixels_received == scan.pixels - 32


@pytest.mark.parametrize("started", ["before the sender", "during the scan", "after the sender"])
def test_an_engine_started_at_any_time_hears_the_scan(endpoint, tmp_path, started):
    """The sender pushes: what it sent while nobody listened is waiting for the engine."""
    scan, core, low, _ = two_phase_scan()
    config = settings(endpoint, tmp_path)
    config = replace_struct(config, stream=replace_struct(config.stream, bind=False))
    items = list(messages(scan, core, low))
    before = {"before the sender": 0, "during the scan": 7, "after the sender": len(items)}[started]
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    try:
        if before:
            socket.bind(endpoint)
        sender = threading.Thread(target=send, args=(socket, items[:before]))
        sender.start()  # waits for the engine: a PUSH socket has nobody to send to
        engine = Engine(config)
        engine.start()
        if not before:
            socket.bind(endpoint)
        sender.join()
        send(socket, items[before:])
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        status, path = engine.status(), engine.current.path
        engine.stop()
        engine.join(WAIT_S)
    finally:
        context.destroy(0)
    assert (status.state, status.missing_messages, status.orphans) == ("complete", 0, 0)
    with open_recording(path) as recording:
        np.testing.assert_array_equal(recording.counts(np.arange(scan.pixels)), core)


def test_stopping_mid_scan_leaves_a_readable_recording(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    config = settings(endpoint, tmp_path)
    with running(config) as (engine, socket):
        send(socket, list(messages(scan, core, low, stop=64))[:-1])
        wait_for(lambda: engine.status().pixels_analysed == 64, "64 pixels")
    assert engine.current.state == "aborted"
    with open_recording(engine.current.path) as recording:
        np.testing.assert_array_equal(recording.counts(np.arange(64)), core[:64])
        assert recording.end.reason == "aborted"
        assert np.isfinite(recording.maps["cluster"].ravel()[:64]).all()


def test_an_analysis_too_slow_for_the_beam_sheds_and_catches_up(endpoint, tmp_path, monkeypatch):
    from live_eels.app import engine as engine_module

    monkeypatch.setattr(engine_module, "QUEUE_SHARE", 10**9)  # room for one chunk only
    scan, core, low, _ = two_phase_scan((40, 40))
    with running(settings(endpoint, tmp_path, "[assemble]\nchunk_pixels = 64\n")) as (
        engine,
        socket,
    ):
        send(socket, messages(scan, core, low, chunk=16))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        status, snapshot = engine.status(), engine.snapshot()
    assert status.shed > 0
    assert status.pixels_analysed == scan.pixels
    assert np.isfinite(snapshot.maps["label"]).all()


def test_a_window_outside_the_axis_is_said_and_the_scan_goes_on(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    extra = "[preprocess]\nwindow_ev = [900, 950]\n"
    with running(settings(endpoint, tmp_path, extra)) as (engine, socket):
        send(socket, messages(scan, core, low))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        status = engine.status()
    assert "900 to 950 eV" in status.alarms[0]
    assert "560 to 759.5 eV" in status.alarms[0]
    assert status.pixels_analysed == scan.pixels


def test_commands_change_the_running_analysis_and_are_answered(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        assert isinstance(engine.command(control.SetClusters(k=3)), control.Refused)
        send(socket, list(messages(scan, core, low))[:-1])
        wait_for(lambda: engine.status().pixels_analysed == scan.pixels, "all pixels")
        assert engine.command(control.SetClusters(k=4)).message == "4 clusters"
        wait_for(
            lambda: len(np.unique(engine.snapshot().maps["cluster"])) >= 4, "four clusters shown"
        )
        assert engine.command(control.SetComponents(n=2)).message == "2 components"
        wait_for(lambda: "loading 3" not in engine.snapshot().maps, "two loadings shown")
        refused = engine.command(control.SetModel(model="nobody"))
        assert "no model 'nobody'" in refused.error
        window = engine.command(control.SetWindow(low_ev=900, high_ev=950))
        assert "760" in window.error or "759.5" in window.error
        assert engine.command(control.Record(on=False)).message == "recordings are not kept"
        assert engine.status().recording is False
        assert engine.command(control.GetStatus()).state == "scanning"


def test_spectra_and_window_maps_are_answered_mid_scan(endpoint, tmp_path):
    scan, core, low, phase = two_phase_scan()
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        send(socket, list(messages(scan, core, low, stop=96))[:-1])
        wait_for(lambda: engine.status().pixels_recorded == 96, "96 pixels")
        answer = engine.spectrum(np.array([3]))
        np.testing.assert_array_equal(answer.raw, core[3].astype(np.float32))
        mean = engine.spectrum(np.arange(20, 40))
        np.testing.assert_allclose(mean.raw, core[20:40].mean(axis=0), rtol=1e-6)
        assert mean.n == 20
        iron = engine.window_map((704.0, 730.0), (680.0, 700.0)).ravel()
        assert np.isnan(iron[96:]).all()
        has_iron = phase[:96] == 1
        assert iron[:96][has_iron].min() > iron[:96][~has_iron].max()
        with pytest.raises(LookupError, match="not scanned yet"):
            engine.spectrum(np.array([110]))


def test_the_page_is_told_what_can_be_chosen(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        assert not any(model["covers"] for model in engine.choices()["models"])
        send(socket, list(messages(scan, core, low, stop=16))[:-1])
        wait_for(lambda: engine.current is not None, "the scan")
        choices = engine.choices()
    assert choices["models"][0]["covers"]
    assert "Mn2+" in choices["models"][0]["classes"]
    assert "ward" in choices["refine"]


def test_recordings_that_are_not_kept_leave_no_file(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    config = settings(endpoint, tmp_path, "keep = false\n")
    with running(config) as (engine, socket):
        send(socket, messages(scan, core, low))
        wait_for(lambda: engine.finished_scans == 1, "the scan")
        path = engine.current.path
        assert engine.spectrum(np.array([3])).n == 1  # counts can still be looked at
    assert list(tmp_path.iterdir()) == []
    assert not path.exists()


def test_keeping_can_be_decided_while_the_scan_runs(endpoint, tmp_path):
    scan, core, low, _ = two_phase_scan()
    second, core2, low2, _ = two_phase_scan(seed=1)
    folder = tmp_path / "recordings"
    (folder / "sub").mkdir(parents=True)
    config = settings(endpoint, folder, "keep = false\n")
    with running(config) as (engine, socket):
        first = list(messages(scan, core, low))
        send(socket, first[:3])
        wait_for(lambda: engine.status().pixels_recorded, "the first pixels")
        engine.command(control.Record(on=True))
        send(socket, first[3:])
        send(socket, list(messages(second, core2, low2))[:3])
        wait_for(lambda: len(engine.sessions) == 2, "the second scan")
        engine.command(control.Record(on=False))
        send(socket, list(messages(second, core2, low2))[3:])
        wait_for(lambda: engine.finished_scans == 2, "both scans")
        kept = engine.sessions[0].path
    assert sorted(folder.iterdir()) == sorted([kept, folder / "sub"])
    with open_recording(kept) as recording:
        np.testing.assert_array_equal(recording.counts(np.arange(scan.pixels)), core)


def test_a_stage_that_fails_stops_the_engine_with_its_exception(endpoint, tmp_path, monkeypatch):
    from live_eels.pipeline import Pipeline

    scan, core, low, _ = two_phase_scan()
    engine = Engine(settings(endpoint, tmp_path))
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.connect(engine.config.stream.endpoint)
    engine.start()
    wait_for(lambda: engine.to_analyse.idle, "the warm-up")

    def fail(self, ready, learn=True):
        raise RuntimeError("a stage is broken")

    monkeypatch.setattr(Pipeline, "take", fail)
    send(socket, messages(scan, core, low))
    with pytest.raises(RuntimeError, match="a stage is broken"):
        engine.join(WAIT_S)
    context.destroy(0)
