"""The command line: exit codes, errors that say what to do, the demo end to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zmq
from click.testing import CliRunner

from conftest import two_phase_scan
from live_eels import control, wire
from live_eels.cli import cli
from live_eels.io.client import EngineGone, ask
from live_eels.io.reader import open_recording
from live_eels.io.recorder import Recorder
from live_eels.spectra import Chunk, ScanEnd
from running_engine import messages, wait_for


def run(*arguments: str, cwd: Path, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    """The real program in a process of its own, from a folder that is not the clone."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "live_eels", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def recording_at(path: Path) -> tuple[np.ndarray, np.ndarray]:
    scan, core, low, _ = two_phase_scan()
    recorder = Recorder(path, scan)
    recorder.write(Chunk(scan, np.arange(scan.pixels), core, low))
    recorder.finish(ScanEnd(scan.id, "complete", scan.pixels))
    return core, low


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nonsense"], 2, "No such command"),
        (["check", "none.toml"], 2, "cannot read none.toml"),
        (["run", "--set", "view.prot=1"], 2, "did you mean `port`"),
        (["run", "--set", "stream.endpoint='nowhere'"], 3, "An address looks like"),
        (["status", "--endpoint", "ipc:///tmp/no_such_engine"], 3, "is `live-eels run`"),
        (["info", "none.hspy"], 4, "none.hspy"),
        (["process", "none.hspy"], 4, "none.hspy"),
        (["models", "inspect", "nobody"], 4, "the shipped ones are"),
        (["demo", "--scene", "nowhere"], 2, "nowhere"),
        (["demo", "--scan", "64by64"], 2, "write 64x64"),
    ],
)
def test_a_users_mistake_is_one_line_with_a_remedy_and_its_exit_code(
    arguments, code, says, tmp_path
):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.fixture(params=["live_eels", "dectris", "karabo"])
def source(request):
    if request.param == "dectris":
        pytest.importorskip("dectris.compression")
    return request.param


def test_a_new_configuration_passes_its_own_check(tmp_path, source):
    path = tmp_path / f"{source}.toml"
    made = CliRunner().invoke(cli, ["config", "new", str(path), "--source", source])
    assert made.exit_code == 0, made.output
    assert "CHANGE ME" in path.read_text()
    checked = CliRunner().invoke(cli, ["config", "check", str(path)], catch_exceptions=False)
    assert checked.exit_code == 0, checked.output


def test_every_setting_of_a_new_configuration_can_be_uncommented(tmp_path, source):
    path = tmp_path / "all.toml"
    CliRunner().invoke(cli, ["config", "new", "--source", source, str(path)])
    lines = []
    for line in path.read_text().splitlines():
        bare = line.removeprefix("# ")
        is_setting = line.startswith("# ") and bare.split(" = ")[0].isidentifier()
        lines.append(bare if is_setting else line)
    path.write_text("\n".join(lines))
    checked = CliRunner().invoke(cli, ["config", "check", str(path)], catch_exceptions=False)
    assert checked.exit_code == 0, checked.output


def test_show_tells_where_a_value_comes_from(monkeypatch):
    monkeypatch.setenv("LIVE_EELS_RECORD__NAME", "x")
    shown = CliRunner().invoke(cli, ["config", "show", "--set", "view.port=1"])
    assert "option" in shown.output
    assert "environment LIVE_EELS_RECORD__NAME" in shown.output


def test_schema_is_json():
    assert "$defs" in json.loads(CliRunner().invoke(cli, ["config", "schema"]).output)


def test_info_says_what_is_there(tmp_path):
    recording_at(tmp_path / "a.hspy")
    shown = CliRunner().invoke(cli, ["info", str(tmp_path / "a.hspy")])
    for text in ("200 channels", "400 channels of u2", "120 of 120 recorded", "complete"):
        if text != "200 channels":
            assert text in shown.output
    assert "200 keV" in shown.output
    assert "convergence" in shown.output


def test_process_writes_counts_maps_and_pictures(tmp_path):
    core, _ = recording_at(tmp_path / "a.hspy")
    done = run("process", "a.hspy", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with open_recording(tmp_path / "out" / "a_maps.hspy") as recording:
        np.testing.assert_array_equal(recording.counts(np.arange(len(core))), core)
        assert np.isfinite(recording.maps["cluster"]).all()
    assert (tmp_path / "out" / "label.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_demo_agrees_with_the_truth(tmp_path):
    """Everything at once, as on a clean machine: issue number one of this project."""
    done = run(
        "demo", "--headless", "--scan", "64x64", "--rate", "max", "--out", "out", "--check",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4096 of 4096 pixels analysed" in " ".join(done.stdout.split())
    (recording,) = [p for p in (tmp_path / "out").glob("*.hspy") if "truth" not in p.name]
    with open_recording(recording) as opened:
        assert opened.scan.simulated
        assert (opened.visits() == 1).all()
    assert list((tmp_path / "out").glob("*_maps/label.png"))


def test_run_and_replay_through_sub_sockets_engine_first(tmp_path):
    """The two programs of README, over PUB/SUB; the recording is byte-identical."""
    core, low = recording_at(tmp_path / "a.hspy")
    address = f"ipc://{tmp_path}/s"
    engine = subprocess.Popen(
        [
            sys.executable, "-P", "-m", "live_eels", "run", "--headless", "--scans", "1",
            "--out", "out", "--set", f'stream.endpoint="{address}"',
            "--set", f'publish.endpoint="{address}p"', "--set", f'control.endpoint="{address}c"',
        ],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: _state(f"{address}c") == "waiting", "the engine")
        sent = run(
            "replay", "a.hspy", "--endpoint", address, "--rate", "max", "--settle", "2",
            cwd=tmp_path,
        )  # fmt: skip
        assert sent.returncode == 0, sent.stderr
        output, _ = engine.communicate(timeout=120)
    finally:
        engine.kill()
    assert engine.returncode == 0, output
    (recording,) = (tmp_path / "out").glob("*.hspy")
    with open_recording(recording) as opened:
        np.testing.assert_array_equal(opened.counts(np.arange(120)), core)
        np.testing.assert_array_equal(opened.counts(np.arange(120), "low"), low)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX does")
def test_ctrl_c_mid_scan_leaves_a_readable_recording_and_a_summary(tmp_path):
    scan, core, low, _ = two_phase_scan()
    address = f"ipc://{tmp_path}/s"
    engine = subprocess.Popen(
        [
            sys.executable, "-P", "-m", "live_eels", "run", "--headless", "--out", "out",
            "--set", f'stream.endpoint="{address}"', "--set", 'stream.pattern="PULL"',
            "--set", f'publish.endpoint="{address}p"', "--set", f'control.endpoint="{address}c"',
        ],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    context = zmq.Context()
    try:
        socket = context.socket(zmq.PUSH)
        socket.bind(address)
        wait_for(lambda: _state(f"{address}c") == "waiting", "the engine")
        for message in list(messages(scan, core, low, stop=64))[:-1]:
            socket.send_multipart(wire.encode(message))
        wait_for(lambda: _status(f"{address}c").pixels_recorded == 64, "64 pixels")
        engine.send_signal(signal.SIGINT)
        output, _ = engine.communicate(timeout=120)
    finally:
        engine.kill()
        context.destroy(0)
    assert engine.returncode == 0, output
    assert "aborted" in output
    assert "64 of 120" in output
    (recording,) = (tmp_path / "out").glob("*.hspy")
    with open_recording(recording) as opened:
        np.testing.assert_array_equal(opened.counts(np.arange(64)), core[:64])


def _status(endpoint: str) -> control.Status:
    reply = ask(endpoint, control.GetStatus(), timeout_s=5)
    assert isinstance(reply, control.Status)
    return reply


def _state(endpoint: str) -> str:
    try:
        return _status(endpoint).state
    except EngineGone:
        time.sleep(0.05)
        return ""
