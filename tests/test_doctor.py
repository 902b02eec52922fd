"""The doctor: every question is answered, and each illness is told from health."""

import json
import socket
import threading

import numpy as np
import pytest
import zmq
from click.testing import CliRunner
from msgspec.structs import replace

from live_eels import control, wire
from live_eels.cli import health
from live_eels.config import Config, parse
from live_eels.doctor import Check, checks, computer, connections, doctor
from live_eels.io.commands import CommandServer
from live_eels.spectra import EnergyAxis, NavigationAxis, Scan, Signal, Spectra

ADVISED = ("warn", "error", "timeout")


@pytest.fixture
def quiet(tmp_path):
    """A set-up whose addresses and folder are all its own."""
    return parse(
        f"""
        stream.endpoint = "ipc://{tmp_path}/in"
        publish.endpoint = "ipc://{tmp_path}/out"
        control.endpoint = "ipc://{tmp_path}/control"
        view.port = 0
        record.folder = "{tmp_path.as_posix()}"
        """
    )


def with_section(config, section, **values):
    import msgspec

    changed = msgspec.structs.replace(getattr(config, section), **values)
    return msgspec.structs.replace(config, **{section: changed})


def test_this_computer_is_examined(monkeypatch, quiet):
    monkeypatch.setattr(computer, "SPEED_S", 0.1)
    monkeypatch.setattr(computer, "WRITE_MIB", 8)
    found = {check.name: check for check in checks(quiet, wait_s=0.2)}
    assert list(found) == [
        "python", "computer", "kernels", "speed", "models", "disk", "page", "ports", "engine",
        "zeromq", "stream", "fit",
    ]  # fmt: skip
    for name in ("python", "kernels", "models", "page", "ports", "zeromq"):
        assert found[name].state == "ok", found[name]
    for check in found.values():
        assert check.detail
        assert check.advice or check.state not in ADVISED
    assert "threads" in found["kernels"].detail
    assert "reference spectra recognised" in found["models"].detail
    assert found["stream"].state == "error"  # nobody is there


def test_a_running_engine_says_whether_control_software_listens(quiet):
    assert "none running" in connections.engine(quiet).detail
    told = control.Status(state="scanning", version="", scan_number=3)
    answers = [told, replace(told, controllers=2)]
    server = CommandServer(quiet.control.endpoint, lambda command: answers.pop(0))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deaf, heard = connections.engine(quiet), connections.engine(quiet)
    finally:
        server.stop()
        thread.join()
    assert (deaf.state, heard.state) == ("warn", "ok")
    assert "no control software" in deaf.detail
    assert "subscribe to `event`" in deaf.advice
    assert "scan 3; control software listening: 2" in heard.detail


def test_without_a_set_up_nothing_is_listened_for(monkeypatch):
    for name in ("kernels", "speed", "models", "disk"):
        monkeypatch.setattr(computer, name, lambda config: Check("x", "ok", "not asked"))
    assert not {"stream", "fit"} & {check.name for check in doctor()}


def test_a_question_that_fails_is_an_answer(monkeypatch):
    def broken():
        raise OSError("no such luck")

    monkeypatch.setattr(computer, "python", broken)
    for name in ("kernels", "speed", "models", "disk"):
        monkeypatch.setattr(computer, name, lambda config: Check("x", "ok", "not asked"))
    first = doctor()[0]
    assert (first.name, first.state, first.detail) == ("python", "error", "OSError: no such luck")


# Illnesses of the computer.


def test_too_little_memory(monkeypatch):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("M", (), {"available": 2**20})())
    check = computer.memory(Config())
    assert check.state == "warn"
    assert "Close other programs" in check.advice


def test_memory_of_a_known_scan():
    config = parse(
        """
        stream.format = "dectris"
        [dectris]
        core = {offset_ev = 500.0, dispersion_ev = 0.5}
        navigation = [{name = "y", size = 60000}, {name = "x", size = 60000}]
        """
    )
    check = computer.memory(config)
    assert check.state == "warn"
    assert "60000 x 60000" in check.detail


def test_kernel_cache_that_cannot_be_written(monkeypatch):
    monkeypatch.setattr(computer, "_can_write", lambda folder: False)
    check = computer.kernels(Config())
    assert check.state == "warn"
    assert "NUMBA_CACHE_DIR" in check.advice


def test_model_that_is_not_there():
    config = with_section(Config(), "classify", model="nowhere.onnx")
    check = computer.models(config)
    assert check.state == "error"
    assert "nowhere.onnx" in check.detail


def test_model_that_recognises_nothing(monkeypatch):
    monkeypatch.setattr(computer, "_recognised", lambda classifiers: (1, 20))
    assert computer.models(Config()).state == "warn"


def test_folder_that_cannot_be_written(monkeypatch, tmp_path):
    config = with_section(Config(), "record", folder=str(tmp_path / "new" / "deep"))
    monkeypatch.setattr(computer, "_can_write", lambda folder: False)
    check = computer.disk(config)
    assert check.state == "error"
    assert str(tmp_path) in check.detail
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("free", "rate", "said"),
    [(10**9, 1e9, "Nearly full"), (10**12, 1e6, "Slow"), (10**12, 1e9, "")],
)
def test_disk_full_slow_and_good(monkeypatch, tmp_path, free, rate, said):
    usage = type("Usage", (), {"free": free})()
    monkeypatch.setattr(computer.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(computer, "_write_rate", lambda folder: rate)
    check = computer.disk(with_section(Config(), "record", folder=str(tmp_path)))
    assert check.state == ("warn" if said else "ok")
    assert said in check.advice
    assert list(tmp_path.iterdir()) == []


# Illnesses of the connections.


def test_page_with_a_file_missing(monkeypatch, tmp_path):
    from live_eels.io import viewer

    monkeypatch.setattr(viewer, "STATIC", tmp_path)
    assert connections.page().state == "error"
    (tmp_path / "index.html").write_text('<script type="module" src="app.js"></script>')
    assert "app.js is missing" in connections.page().detail
    (tmp_path / "app.js").write_text('import {a} from "./other.js";')
    assert "other.js is missing" in connections.page().detail
    (tmp_path / "other.js").write_text("")
    assert connections.page() == Check("page", "ok", "complete, 3 files")


def test_port_in_use(quiet):
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        check = connections.ports(with_section(quiet, "publish", endpoint=endpoint))
    assert check.state == "error"
    assert endpoint in check.detail
    assert "live-eels status" in check.advice
    assert connections.ports(with_section(quiet, "publish", endpoint="")).state == "ok"


def test_keys(quiet):
    public, secret = (key.decode() for key in zmq.curve_keypair())
    good = with_section(quiet, "stream", server_key=public, public_key=public, secret_key=secret)
    assert connections.zeromq(good).state == "ok"
    bad = with_section(good, "stream", secret_key="short")
    check = connections.zeromq(bad)
    assert check.state == "error"
    assert "secret_key" in check.detail
    assert secret not in check.detail


def test_system_without_ipc_or_curve(monkeypatch, quiet):
    monkeypatch.setattr(connections.zmq, "has", lambda what: False)
    assert "tcp://" in connections.zeromq(quiet).advice
    keyed = with_section(quiet, "stream", endpoint="tcp://a:1", server_key="x" * 40)
    assert connections.zeromq(keyed).state == "error"


def test_foreign_format_without_its_section(quiet):
    check = connections.stream(with_section(quiet, "stream", format="dectris"), 0.1, [])
    assert check.state == "error"
    assert "[dectris]" in check.detail


@pytest.mark.parametrize(("offset_ev", "state"), [(500.0, "ok"), (2000.0, "error")])
def test_scan_heard_is_tried_on_the_settings(quiet, offset_ev, state):
    quiet = with_section(quiet, "preprocess", window_ev=(640.0, 700.0))
    scan = Scan(
        "s",
        (NavigationAxis("x", 4),),
        (Signal("core", EnergyAxis(offset_ev, 0.5, 800)),),
        title="T",
    )
    spectra = Spectra("s", "core", 0, np.arange(1), np.ones((1, 800), "<u2"))
    context, ended = zmq.Context(), threading.Event()
    with context.socket(zmq.PUB) as publisher:
        publisher.linger = 0
        publisher.bind(quiet.stream.endpoint)

        def run():
            while not ended.wait(0.02):
                for message in (scan, spectra):
                    publisher.send_multipart(wire.encode(message))

        thread = threading.Thread(target=run)
        thread.start()
        heard = []
        try:
            check = connections.stream(quiet, 5.0, heard)
        finally:
            ended.set()
            thread.join()
    context.term()
    assert check.state == "ok"
    assert "'T'" in check.detail
    assert connections.fit(quiet, heard).state == state
    assert connections.fit(quiet, []).state == "ok"


# The command.


@pytest.fixture
def stub(monkeypatch):
    """Answers without asking."""

    def answers(state):
        def given(config, wait_s):
            yield Check("one", "ok", "good " * 30)
            yield Check("two", state, "bad", "mend it")

        monkeypatch.setattr("live_eels.doctor.checks", given)

    return answers


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warn", 0), ("timeout", 0), ("error", 2)])
def test_command_prints_answers_and_exits_by_the_worst(stub, state, code):
    stub(state)
    result = CliRunner().invoke(health.doctor)
    assert result.exit_code == code
    assert "mend it" in result.output
    assert max(map(len, result.output.splitlines())) < 100
    assert f"{code // 2} error" in result.output


def test_command_as_json(stub):
    stub("timeout")
    result = CliRunner().invoke(health.doctor, ["--json"])
    assert [check["name"] for check in json.loads(result.output)] == ["one", "two"]


def test_configuration_in_error_is_a_check(stub, tmp_path):
    stub("ok")
    file = tmp_path / "my.toml"
    file.write_text("[decompose]\nn_componets = 4\n")
    result = CliRunner().invoke(health.doctor, [str(file)])
    assert result.exit_code == 2
    assert "n_componets" in result.output
    assert "good" in result.output
    file.write_text("")
    assert CliRunner().invoke(health.doctor, [str(file)]).exit_code == 0
    assert CliRunner().invoke(health.doctor, ["--set", "nonsense"]).exit_code == 2
