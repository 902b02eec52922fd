"""What the threads share of a scan: what is owed, what went wrong, how it stands."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from live_eels.app.session import Owed, Session
from live_eels.spectra import EnergyAxis, Scan, ScanEnd, Signal


def taken(owed: Owed, limit: int) -> tuple[list[int], bool] | None:
    found = owed.take(limit)
    return None if found is None else (found[0].tolist(), found[1])


def test_owed_pixels_are_taken_oldest_first_one_kind_at_a_time():
    owed = Owed()
    assert owed.take(10) is None
    owed.add(np.array([5, 6, 7]), learn=True)
    owed.add(np.array([1, 2]), learn=True)
    owed.add(np.array([9]), learn=False)
    owed.add(np.array([], int), learn=False)
    assert owed.pixels == 6
    assert taken(owed, 2) == ([5, 6], True)
    assert taken(owed, 2) == ([7, 1], True)
    assert owed.pixels == 2
    assert taken(owed, 5) == ([2], True)
    assert taken(owed, 5) == ([9], False)
    assert owed.pixels == 0
    assert owed.take(5) is None


def test_what_is_owed_can_be_forgotten():
    owed = Owed()
    owed.add(np.arange(4), learn=True)
    owed.clear()
    assert owed.pixels == 0
    assert owed.take(5) is None


def test_a_scan_is_over_when_its_last_map_is_made():
    session = Session(Scan("s", (), (Signal("core", EnergyAxis(0, 1, 8)),)), 1, 0.0, 0.0)
    assert session.state == "scanning"
    session.end = ScanEnd("s", "aborted")
    assert session.state == "catching_up"
    session.finished = True
    assert session.state == "aborted"


def test_a_problem_is_told_once():
    session = Session(Scan("s", (), (Signal("core", EnergyAxis(0, 1, 8)),)), 1, 0.0, 0.0)
    for text in ("a", "b", "a"):
        session.problem(text)
    assert session.problems == ["a", "b"]


def test_outdated_pixels_are_looked_at_again_where_they_were_recorded():
    session = Session(Scan("s", (), (Signal("core", EnergyAxis(0, 1, 8)),)), 1, 0.0, 0.0)
    session.owe_outdated()
    assert not session.behind
    session.pipeline = SimpleNamespace(take_outdated=lambda: np.array([3, 4]), stale=True)
    assert session.behind
    session.owe_outdated()
    assert taken(session.owed, 5) is None  # nothing holds their counts
    session.recorder = SimpleNamespace()
    session.owe_outdated()
    assert taken(session.owed, 5) == ([3, 4], False)
