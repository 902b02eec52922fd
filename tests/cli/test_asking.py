"""What ``live-eels send`` prints: ``live_eels/cli/asking.py``."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from click.testing import CliRunner

from conftest import two_phase_scan
from live_eels.cli import cli
from live_eels.io.commands import CommandServer
from running_engine import messages, running, send, settings, wait_for


@pytest.fixture
def scanned(endpoint, tmp_path):
    """A running engine with a finished scan, its control address, and the counts sent."""
    scan, core, low, _ = two_phase_scan((6, 8))
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        server = CommandServer(f"{endpoint}c", engine.command)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            send(socket, messages(scan, core, low))
            wait_for(lambda: engine.finished_scans == 1, "the scan")
            yield engine, f"{endpoint}c", core
        finally:
            server.stop()
            thread.join()


def rows(output: str) -> list[list[str]]:
    return [line.split(",") for line in output.strip().splitlines()]


def test_spectra_and_maps_come_as_csv(scanned):
    engine, address, core = scanned
    where = ["--endpoint", address]
    done = CliRunner().invoke(cli, ["send", "get_spectrum", "pixels=[0,1]", *where])
    assert done.exit_code == 0, done.output
    header, *table = rows(done.stdout)
    values = np.array(table, float)
    axis = engine.current.scan.core.axis
    np.testing.assert_allclose(values[:, header.index("energy_ev")], axis.energies_ev, rtol=1e-6)
    np.testing.assert_allclose(values[:, header.index("counts")], core[:2].mean(axis=0), rtol=1e-6)
    assert header[2:] == ["error", "processed_energy_ev", "processed", "background", "signal"]
    done = CliRunner().invoke(
        cli, ["send", "get_window_map", "signal_ev=[640,660]", "fit_ev=[600,635]", *where]
    )
    values = np.array(rows(done.stdout), float)
    shown = engine.window_map((640.0, 660.0), (600.0, 635.0))
    np.testing.assert_allclose(values, shown, rtol=1e-5)


def test_a_refused_command_ends_with_its_reason(scanned):
    _, address, _ = scanned
    done = CliRunner().invoke(cli, ["send", "set_model", "model=nowhere", "--endpoint", address])
    assert done.exit_code == 1
    assert "nowhere" in done.output


def test_status_tells_how_the_engine_is_and_as_json_everything(scanned):
    engine, address, _ = scanned
    engine.current.problem("a window does not fit")
    done = CliRunner().invoke(cli, ["status", "--endpoint", address], catch_exceptions=False)
    text = " ".join(done.output.split())
    for part in (
        "scan 1 complete", "48 received, 48 recorded, 48 analysed of 48", "0 gaps",
        "two phases", "! a window does not fit", str(engine.current.path.parent),
    ):  # fmt: skip
        assert part in text
    done = CliRunner().invoke(cli, ["status", "--json", "--endpoint", address])
    told = json.loads(done.output)
    assert (told["reply"], told["state"], told["pixels_recorded"]) == ("status", "complete", 48)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (["set_clusters", "5"], "write FIELD=VALUE"),
        (["set_clusters", "k=many"], "set_clusters"),
        (["explode"], "explode"),
        (["record", "on=1"], "bool"),
    ],
)
def test_a_command_that_is_none_is_refused_before_it_is_sent(fields, says):
    done = CliRunner().invoke(cli, ["send", *fields, "--endpoint", "ipc:///tmp/no_engine"])
    assert done.exit_code == 2
    assert says in done.output


def test_values_are_json_or_plain_text(scanned):
    engine, address, _ = scanned
    done = CliRunner().invoke(cli, ["send", "set_clusters", "k=3", "--endpoint", address])
    assert "3 clusters" in done.output
    done = CliRunner().invoke(cli, ["send", "record", "on=false", "--endpoint", address])
    assert "not kept" in done.output
    assert engine.keep is False


def test_the_page_of_another_machine_asks_where_commands_go(monkeypatch):
    asked = []

    class Engine:
        def __init__(self, *addresses):
            asked.append(addresses)
            raise LookupError("enough is known")

    monkeypatch.setattr("live_eels.app.remote.RemoteEngine", Engine)
    for arguments in (["tcp://there:5556"], ["ipc://x", "--control", "ipc://y"]):
        assert isinstance(CliRunner().invoke(cli, ["view", *arguments]).exception, LookupError)
    assert asked == [("tcp://there:5556", "tcp://there:5557"), ("ipc://x", "ipc://y")]
    refused = CliRunner().invoke(cli, ["view", "ipc://x"])
    assert refused.exit_code == 2
    assert "--control" in refused.output
