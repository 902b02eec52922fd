"""The numbers a person goes by: rates, states, what is left, alarms."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from live_eels.app import status as module
from live_eels.app.receive import Books
from live_eels.app.session import Session
from live_eels.app.status import StatusMaker, label_fractions
from live_eels.config import Config
from live_eels.losses import Losses
from live_eels.spectra import (
    EnergyAxis,
    Instrument,
    MapSnapshot,
    MapSpec,
    NavigationAxis,
    Scan,
    ScanEnd,
    Signal,
    WireError,
)

SCAN = Scan(
    "s",
    (NavigationAxis("y", 4), NavigationAxis("x", 5)),
    (Signal("core", EnergyAxis(500, 0.5, 8)),),
    Instrument(dwell_s=0.001),
    title="T",
    passes=2,
)
NOW_S = 1000.0


@pytest.fixture
def session() -> Session:
    made = Session(SCAN, 3, started_s=NOW_S - 10, started_unix_s=0.0)
    made.last_data_s = NOW_S
    return made


@pytest.fixture
def engine(session: Session) -> SimpleNamespace:
    edge = SimpleNamespace(fill=0.25)
    return SimpleNamespace(
        config=Config(),
        current=session,
        receive=SimpleNamespace(books=Books()),
        receiver=SimpleNamespace(address="tcp://here"),
        to_record=edge,
        to_analyse=edge,
        keep=True,
        publisher=SimpleNamespace(controllers=1),
        refining=None,
        ended=SimpleNamespace(is_set=lambda: False),
    )


@pytest.fixture
def made(engine: SimpleNamespace):
    maker = StatusMaker(engine)
    return lambda now_s=NOW_S: maker._make(now_s)


def snapshot(**maps: list[float]) -> MapSnapshot:
    specs = {
        "label": MapSpec("label", "label", classes=("Mn2+", "Mn3+")),
        "cluster": MapSpec("cluster", "label", classes=("1", "2", "3")),
        "flags": MapSpec("flags"),
    }
    values = {name: np.array(row, np.float32) for name, row in maps.items()}
    return MapSnapshot(SCAN, 7, {name: specs[name] for name in values}, values)


def test_before_any_scan_it_waits_and_after_the_end_it_has_stopped(engine, made):
    engine.current = None
    assert (made().state, made().endpoint, made().queue["record"]) == (
        "waiting",
        "tcp://here",
        0.25,
    )
    engine.ended.is_set = lambda: True
    assert made().state == "stopped"


def test_rates_are_those_of_the_last_seconds(session, made):
    for after_s in range(10):  # a second each: first 100 visits, from the fifth on 10
        session.counters.visits += 100 if after_s < 5 else 1
        session.analysed = 2 * session.counters.visits
        status = made(NOW_S + after_s)
        session.last_data_s = NOW_S + after_s
    assert status.spectra_per_s == pytest.approx(1.0)
    assert status.analysed_per_s == pytest.approx(2.0)
    session.counters.visits = 0  # the next scan begins
    assert made(NOW_S + 10).spectra_per_s == 0.0
    session.counters.visits = 30
    assert made(NOW_S + 11).spectra_per_s == pytest.approx(30.0)


def test_time_left_counts_every_pass(session, made):
    made(NOW_S)
    session.counters.visits = 10
    assert made(NOW_S + 1).eta_s == pytest.approx((2 * 20 - 10) / 10)
    session.end = ScanEnd("s", "complete")
    after = made(NOW_S + 2)
    assert (after.state, after.eta_s, after.spectra_per_s) == ("catching_up", None, 0.0)


@pytest.mark.parametrize(("dwell_s", "patience_s"), [(None, 3.0), (0.001, 3.0), (2.0, 10.0)])
def test_silence_is_a_stall_after_three_seconds_or_five_dwells(
    engine, session, made, dwell_s, patience_s
):
    session.scan = replace(SCAN, instrument=Instrument(dwell_s=dwell_s))
    assert made(NOW_S + patience_s - 0.1).state == "scanning"
    status = made(NOW_S + patience_s + 0.1)
    assert status.state == "stalled"
    assert any("silent" in alarm for alarm in status.alarms)
    engine.ended.is_set = lambda: True
    assert made(NOW_S + 99).state == "stopped"


def test_age_is_by_the_senders_clock_where_it_has_one(session, made):
    assert made(NOW_S + 2).age_s == 2.0
    session.last_clock_s = time.time() - 5
    assert made(NOW_S + 2).age_s == pytest.approx(5, abs=1)
    session.finished = True
    assert made(NOW_S + 2).age_s is None


def test_every_loss_is_an_alarm_and_a_recording_with_one_is_not_complete(engine, session, made):
    assert made().alarms == []
    assert made().recording_complete
    session.problem("a window does not fit")
    session.counters.missing_messages = 2
    session.counters.unpaired = 3
    session.counters.visits_lost = 4
    engine.receive.books.fault(WireError("rubbish"))
    status = made()
    text = "\n".join(status.alarms)
    for said in (
        "a window",
        "2 messages were lost",
        "3 pixels came without",
        "4 spectra",
        "1 mess",
    ):
        assert said in text
    assert not status.recording_complete
    assert status.faults == {"rubbish": 1}
    session.counters.missing_messages = 0
    session.record_error = "disk"
    assert not made().recording_complete


def test_every_counter_is_told(session, made):
    counters = session.counters
    for value, name in enumerate(
        ("gaps", "missing_messages", "duplicates", "late", "orphans", "unpaired"), 1
    ):
        setattr(counters, name, value)
    counters.pixels, counters.visits = 17, 34
    session.recorded, session.shed, session.analysed = 33, 8, 32
    session.owed.add(np.arange(5), learn=True)
    status = made()
    for name in ("gaps", "missing_messages", "duplicates", "late", "orphans", "unpaired"):
        assert getattr(status, name) == getattr(counters, name)
    assert (status.pixels_received, status.visits, status.pixels_recorded) == (17, 34, 33)
    assert (status.shed, status.owed, status.pixels_analysed) == (8, 5, 32)
    assert (status.scan_id, status.title, status.scan_number) == ("s", "T", 3)
    assert (status.shape, status.pixels_total, status.passes) == ([4, 5], 20, 2)
    assert status.elapsed_s == 10.0


def test_lag_is_the_median_of_late_and_long_lags_are_an_alarm(session, made):
    assert made().lag_ms is None
    session.lags_s.extend([0.001] * 100 + [0.5] * 32)
    status = made()
    assert status.lag_ms == pytest.approx(500)
    assert status.lag_p95_ms == pytest.approx(500)
    assert not any("behind" in alarm for alarm in status.alarms)
    session.lags_s.extend([1.5] * 32)
    assert any("1.5 s behind" in alarm for alarm in made().alarms)
    session.finished = True
    assert made().lag_ms is None


def test_disk_left_is_seconds_at_the_pace_of_the_scan(session, made, monkeypatch):
    usage = SimpleNamespace(free=50_000_000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    session.path = Path(__file__)
    session.recorder = SimpleNamespace(bytes_written=999_999)
    assert made().disk_left_s is None
    session.recorder.bytes_written = 2_000_000  # in ten seconds
    assert made().disk_left_s == pytest.approx(250.0)
    assert made().recording_bytes == 2_000_000


def test_shares_of_labels_leave_out_what_is_not_known():
    shares = label_fractions(snapshot(label=[0, 0, 1, -1, math.nan], cluster=[0, 1, 2, 2, 2]))
    assert shares == {"Mn2+": 0.5, "Mn3+": 0.25, "rejected": 0.25}
    assert label_fractions(snapshot(cluster=[0, 2, 2, 2])) == {"1": 0.25, "3": 0.75}
    assert label_fractions(snapshot(label=[math.nan])) == {}
    assert label_fractions(snapshot()) == {}


def test_flags_are_counted_bit_by_bit(session, made):
    session.snapshot = snapshot(flags=[0, 2, 2 + 4, 1 + 16, math.nan])
    status = made()
    assert (status.saturated, status.no_zlp) == (2, 1)
    assert status.snapshot_version == 7


def test_stages_say_where_the_time_of_a_spectrum_goes(session, made):
    session.pipeline = SimpleNamespace(
        spectra_done=1000, stage_seconds={"preprocess": 0.03, "cluster": 0.01},
        spikes=SimpleNamespace(found=12),
        classifier=None, kmeans=SimpleNamespace(clusters=4), components=3, waiting=17,
        extra=SimpleNamespace(errors=["thickness: no low loss"]),
        preprocessor=SimpleNamespace(bad_channels=np.array([3, 9])),
        pca=SimpleNamespace(angles_deg=np.array([0.31, 4.0, 22.26, 90.0])),
    )  # fmt: skip
    status = made()
    assert [(s.stage, s.us_per_spectrum, s.share) for s in status.stages] == [
        ("preprocess", 30.0, 0.75), ("cluster", 10.0, 0.25),
    ]  # fmt: skip
    assert (status.spikes, status.clusters, status.components) == (12, 4, 3)
    assert status.recolouring == 17
    assert status.component_angles_deg == [0.3, 4.0, 22.3]
    assert status.alarms == ["thickness: no low loss"]


def test_lost_pixels_and_who_listens(made, session: Session) -> None:
    assert made().controllers == 1
    seen = np.ones(20, bool)
    seen[[4, 5, 9]] = False
    session.losses = Losses(seen)
    session.losses.come(np.arange(4))
    session.losses.jump(1)
    session.losses.come(np.arange(6, 9))
    assert made().lost == []  # nothing is missing: nothing is looked for
    session.counters.missing_messages = 1
    status = made()
    assert (status.lost, status.pixels_lost) == ([(4, 6)], 2)
    session.end = ScanEnd("s", "complete", 40)
    session.losses.end(session.end, 2)
    assert (made().lost, made().pixels_lost) == ([(4, 6), (9, 10)], 3)
