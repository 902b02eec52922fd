"""The bench: real runs end and account for every spectrum; the report says what was found."""

import json
import math

import numpy as np
import pytest
import zmq
from click.testing import CliRunner

from live_eels import bench
from live_eels.bench import chain, load
from live_eels.cli import health

KEYS = {
    "full_chain_spectra_per_s",
    "full_chain_recording_spectra_per_s",
    "one_per_message_spectra_per_s",
    "latency_p50_ms",
    "latency_p99_ms",
    "stages_spectra_per_s",
}


@pytest.fixture(scope="module")
def spectra(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "spectra.npz"
    load.template(path, 256, dual=True)
    return path


def test_template_is_a_scan_with_its_counts(spectra):
    scan, counts = load.read_template(spectra, 8)
    assert scan.shape == (8, 8)
    assert [signal.name for signal in scan.signals] == ["core", "low"]
    assert counts["core"].shape == (1024, 256)
    assert counts["low"].shape == (1024, 128)
    assert (counts["core"].sum(axis=1) > 0).all()
    assert counts["core"].dtype == np.uint16


def test_a_run_as_fast_as_it_goes(spectra, tmp_path):
    run = chain.measure(tmp_path, spectra, seconds=1.0, record=True, per_message=16, side=256)
    assert run.spectra_per_s > 0
    assert run.lost == run.shed == 0
    assert run.memory_mib > 50
    assert set(run.stages) >= {"preprocess", "decompose", "classify"}
    assert math.isnan(run.latency_p50_ms)
    assert len(list(tmp_path.glob("*.hspy"))) == 1


def test_a_run_at_a_given_rate_tells_latencies(spectra, tmp_path):
    run = chain.measure(
        tmp_path, spectra, seconds=1.5, record=False, per_message=1, side=64, rate=100.0
    )
    assert run.spectra_per_s == pytest.approx(100, rel=0.3)
    assert 0 < run.latency_p50_ms <= run.latency_p99_ms
    assert not list(tmp_path.glob("*.hspy"))  # not kept


def test_an_engine_that_fails_is_said(spectra, tmp_path):
    with pytest.raises(chain.BenchError):
        chain.measure(
            tmp_path / "nowhere" / "\0", spectra, seconds=0.1, record=True, per_message=1, side=8
        )


def fake(**changes):
    run = {
        "spectra_per_s": 38_000.4, "seconds": 3.6, "lost": 0, "shed": 0,
        "stages": {"preprocess": 100_000.0, "decompose": 60_000.0}, "memory_mib": 400.0,
        "ready_s": 1.2, "sender_cpu_share": 0.2, "latency_p50_ms": 3.21, "latency_p99_ms": 9.87,
    }  # fmt: skip
    return chain.Run(**(run | changes))


@pytest.fixture
def measured(monkeypatch):
    """Runs that do not run; returns what was asked for."""
    asked = []

    def measure(folder, template, **what):
        asked.append(what)
        return fake(spectra_per_s=38_000.4 + 1000 * len(asked))

    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setattr(bench.psutil, "cpu_percent", lambda interval: 3.0)
    monkeypatch.setattr(bench, "template", lambda path, channels, dual: None)
    return asked


def test_quick_is_one_run_of_each_kind(measured):
    result = bench.bench(quick=True)
    assert len(measured) == 4
    assert result.keys() >= KEYS
    assert "dual_recording_pairs_per_s" not in result
    assert [what["record"] for what in measured] == [True, False, True, True]
    assert [what["per_message"] for what in measured] == [64, 64, 1, 1]
    assert measured[3]["rate"] == 1000
    assert result["full_chain_recording_spectra_per_s"] == 39_000
    assert result["one_per_message_spectra_per_s"] == 41_000


def test_in_full_it_is_the_median(measured):
    result = bench.bench()
    assert len(measured) == 15
    assert result["full_chain_recording_spectra_per_s"] == 40_000
    assert result["dual_recording_pairs_per_s"] == 52_000


def test_report_is_words_a_user_acts_on(measured):
    text = bench.report(bench.bench(quick=True))
    assert text.startswith(
        "This computer keeps up with 39 000 spectra/s of 2048 channels while recording"
    )
    assert "dwell time of 0.0256 ms" in text
    assert "3.2 ms (median), 9.9 ms (99 %)" in text
    assert "slowest stage is decompose" in text


def test_a_busy_computer_is_said(monkeypatch, measured):
    assert "Other programs" not in bench.report(bench.bench(quick=True))
    monkeypatch.setattr(bench.psutil, "cpu_percent", lambda interval: 80.0)
    assert "Other programs took 80 %" in bench.report(bench.bench(quick=True))


def test_losses_void_the_figures(monkeypatch, measured):
    monkeypatch.setattr(bench, "measure", lambda folder, template, **what: fake(lost=2))
    assert "LOST 8 messages" in bench.report(bench.bench(quick=True))


def test_command_prints_and_writes(measured, tmp_path):
    file = tmp_path / "bench.json"
    result = CliRunner().invoke(health.bench, ["--quick", "--json", str(file)])
    assert result.exit_code == 0
    assert "keeps up with" in result.output
    assert json.loads(file.read_text()).keys() >= KEYS | {"machine", "versions", "settings"}


def test_the_start_of_a_run_does_not_count():
    assert load.start_s(20.0) == 2.0
    assert load.start_s(1.0) == pytest.approx(0.4)
    with zmq.Context() as context:
        echo = load._Echo(context, "inproc://nowhere", 3)
        echo.stop()
    echo._out[:], echo._back[:] = [0.0, 5.0, 10.0], [9.0, 5.1, 10.2]
    assert echo.latencies_ms() == pytest.approx([100.0, 200.0])
