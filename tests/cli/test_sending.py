"""``simulate`` and ``replay``: what goes out, how fast, and where to."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from live_eels.simulators import send as sender
from live_eels.simulators.scene import load_scene, scene_names

from conftest import two_phase_scan
from live_eels.cli import cli, sending
from live_eels.io.recorder import Recorder
from live_eels.spectra import Chunk, Scan, ScanEnd, Spectra


@pytest.fixture
def sent(monkeypatch):
    """What would have been sent, one entry for each call: messages, address, how."""
    calls = []

    def send(messages, endpoint, **how):
        calls.append((list(messages), endpoint, how))
        return SimpleNamespace(visits=0, seconds=1.0, rate=0.0)

    monkeypatch.setattr(sender, "send", send)
    return calls


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def recording(tmp_path):
    scan, core, low, _ = two_phase_scan()
    recorder = Recorder(tmp_path / "a.hspy", scan)
    recorder.write(Chunk(scan, np.arange(scan.pixels), core, low))
    recorder.finish(ScanEnd(scan.id, "complete", scan.pixels))
    return str(tmp_path / "a.hspy"), core


def test_a_file_is_replayed_as_often_as_asked_each_time_as_a_scan_of_its_own(sent, recording):
    path, core = recording
    run("replay", path, "--repeat", "2", "--rate", "500", "--pattern", "PUSH", "--connect",
        "--endpoint", "tcp://there:1", "--settle", "0", "--chunk", "7")  # fmt: skip
    assert len(sent) == 2
    assert sent[0][0][0].id != sent[1][0][0].id
    for (scan, *spectra, end), endpoint, how in sent:
        assert endpoint == "tcp://there:1"
        assert how == {"pattern": "PUSH", "bind": False, "rate": 500.0, "settle_s": 0.0}
        counts = np.concatenate([one.counts for one in spectra if one.signal == "core"])
        np.testing.assert_array_equal(counts, core)
        assert max(len(one.pixels) for one in spectra) == 7
        assert all(abs(one.clock_s - time.time()) < 60 for one in spectra)
        assert end == ScanEnd(scan.id, "complete", 120)


def test_a_replay_listens_and_keeps_a_pace_unless_told_otherwise(sent, recording):
    run("replay", recording[0])
    run("replay", recording[0], "--rate", "max")
    assert [call[2]["rate"] for call in sent] == [1000.0, None]
    assert sent[0][2]["bind"]


def test_simulated_scans_follow_one_another_with_other_seeds(sent):
    small = ("simulate", "--scan", "4x5", "--scans", "2", "--seed", "3", "--quiet")
    assert run(*small) == ""
    run("simulate", "--scan", "4x5", "--seed", "4")
    counts = [
        [m.counts for m in messages if isinstance(m, Spectra) and m.signal == "core"]
        for messages, _, _ in sent
    ]
    assert (np.concatenate(counts[0]) != np.concatenate(counts[1])).any()
    np.testing.assert_array_equal(np.concatenate(counts[1]), np.concatenate(counts[2]))
    dwell_s = load_scene("core_shell").microscope.dwell_s
    assert sent[0][2]["rate"] == pytest.approx(1 / dwell_s)  # as the microscope would


def test_another_shape_keeps_the_field_of_view():
    scene = load_scene("core_shell")
    width_nm = scene.scan.step_nm * scene.scan.shape[-1]
    scan = sending.simulated("core_shell", (6, 8), 0).scan
    assert scan.shape == (6, 8)
    assert scan.navigation[1].scale * 8 == pytest.approx(width_nm)
    assert sending.simulated("core_shell", None, 0).scan.shape == scene.scan.shape


def test_faults_are_put_in_between(sent):
    run("simulate", "--scan", "8x8", "--chunk", "1", "--rate", "max", "--faults", "aborted")
    ((messages, _, how),) = sent
    assert how["rate"] is None
    assert 0 < sum(one.visits for one in messages) < 64


def test_scenes_and_faults_are_listed(sent):
    listed = run("simulate", "--list")
    assert sent == []
    for name in scene_names():
        assert name in listed
    assert "lossy" in listed


def test_only_spectra_are_stamped():
    scan, core, _, _ = two_phase_scan((2,))
    one = Spectra(scan.id, "core", 0, np.arange(2), core)
    first, second, third = sending.stamped([scan, one, ScanEnd(scan.id, "complete")])
    assert isinstance(first, Scan)
    assert abs(second.clock_s - time.time()) < 60
    assert third == ScanEnd(scan.id, "complete")
