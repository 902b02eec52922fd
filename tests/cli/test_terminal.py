"""What the terminal says while a scan runs and at its end."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from live_eels.app.session import Session
from live_eels.cli import terminal
from live_eels.control import Status
from live_eels.spectra import (
    EnergyAxis,
    MapSnapshot,
    MapSpec,
    NavigationAxis,
    Scan,
    ScanEnd,
    Signal,
)

SCAN = Scan(
    "s",
    (NavigationAxis("y", 4), NavigationAxis("x", 5)),
    (Signal("core", EnergyAxis(500, 0.5, 64)),),
    title="LSMO",
)


@pytest.fixture
def said(monkeypatch):
    """What was printed so far, in one line, as into a log file."""
    out = io.StringIO()
    monkeypatch.setattr(terminal, "console", Console(file=out, width=200, highlight=False))
    return lambda: " ".join(out.getvalue().split())


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3725, "1:02:05")]
)
def test_durations(seconds, text):
    assert terminal.duration(seconds) == text


@pytest.mark.parametrize(("done", "full"), [(0, 0), (0.5, 5), (1, 10), (1.7, 10), (-1, 0)])
def test_bars_never_overflow(done, full):
    drawn = terminal.bar(done, 10)
    assert (drawn.count("━"), len(drawn)) == (full, 10)


def test_the_live_line_tells_what_is_done_lost_and_left():
    waiting = Status(state="waiting", version="", endpoint="tcp://here")
    assert terminal.lines(waiting) == ["  waiting for a scan at tcp://here"]
    first, second = terminal.lines(
        Status(
            state="catching_up", version="", scan_number=3, pixels_total=2000, passes=2,
            visits=1000, pixels_received=1000, spectra_per_s=12_345.6, lag_ms=1500.0,
            missing_messages=7, owed=64, eta_s=61.0,
            label_fractions={name: share for share, name in enumerate("abcdefgh")},
        )
    )  # fmt: skip
    for text in (
        "scan 3 catching up", " 25%", "1 000 px", "12 346/s", "lag 1.50 s", "lost 7", "owed 64",
        "1:01 left",
    ):  # fmt: skip
        assert text in first
    assert second.split()[::2] == list("hgfedc")  # the largest shares first, and not all


def test_a_plain_log_has_each_alarm_once_and_a_line_now_and_then(said, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    with terminal.Progress() as progress:
        for after_s in (0.0, 0.5, 1.9, 2.1):
            now[0] = 100.0 + after_s
            progress.tick(Status(state="scanning", version="", scan_number=1, alarms=["odd"]))
    assert said().count("! odd") == 1
    assert said().count("scan 1 scanning") == 2


def session_of(**changes: object) -> Session:
    session = Session(SCAN, 2, 0.0, 0.0)
    session.end, session.ended_s, session.analysed = ScanEnd("s", "aborted"), 4.0, 18
    session.counters.pixels = 18
    for name, value in changes.items():
        setattr(session, name, value)
    return session


def test_the_summary_accounts_for_every_pixel(said):
    label = np.array([[0, 1, 1, 1, -1]] + [[np.nan] * 5] * 3, np.float32)
    spec = MapSpec("label", "label", classes=("Mn2+", "Mn3+"))
    session = session_of(
        path=Path("/data/a.hspy"),
        snapshot=MapSnapshot(SCAN, 1, {"label": spec}, {"label": label}),
        problems=["no labels: odd axis"],
    )
    session.counters.missing_messages, session.counters.late = 3, 4
    terminal.summary(session, [Path("/data/maps/label.png")])
    for text in (
        "2 LSMO (aborted)", "18 of 20 (4 x 5), 64 channels", "18 spectra in 4.0 s",
        "3 messages, 0 duplicates dropped, 4 late", "2 pixels never came", "Mn3+ 60.0%",
        "rejected 20.0%", "no labels: odd axis", "recording /data/a.hspy", "1 in /data/maps",
        'hs.load("/data/a.hspy")',
    ):  # fmt: skip
        assert text in said()


def test_the_summary_of_a_whole_scan_has_no_worries(said):
    session = session_of(path=Path("/data/a.hspy"), keep=False)
    session.counters.pixels = 20
    terminal.summary(session, [])
    assert "lost none" in said()
    for text in ("never came", "problem", "recording", "hs.load", "pictures"):
        assert text not in said()
