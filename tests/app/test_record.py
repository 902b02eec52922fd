"""The record thread: where recordings go, what is owed, and a disk that gives up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from live_eels.app.queues import Edge
from live_eels.app.record import RecordThread, finish_recording, unused_path
from live_eels.app.session import Session
from live_eels.config import RecordSettings
from live_eels.io.reader import open_recording
from live_eels.io.recorder import RecorderError
from live_eels.spectra import Chunk, ScanEnd
from recordings import make_chunk, make_counts, make_scan

SCAN = make_scan((4, 5))


@pytest.fixture
def session():
    made = Session(SCAN, 1, 0.0, 0.0)
    yield made
    if made.recorder is not None:
        made.recorder.close()


def thread_to(folder: Path, limit: int = 1 << 20) -> RecordThread:
    """A record thread whose edge to the analysis holds ``limit`` bytes."""
    settings = RecordSettings(folder=str(folder), name="{title}")
    return RecordThread(Edge(1 << 20), Edge(limit), settings, lambda: "")


def test_what_the_analysis_has_no_room_for_is_owed_and_still_to_be_learned(tmp_path, session):
    thread = thread_to(tmp_path, limit=1)
    thread._take(session, SCAN)
    thread._take(session, make_chunk(SCAN, [0, 1]))  # an empty edge takes one, whatever it weighs
    thread._take(session, make_chunk(SCAN, [2, 3, 4]))
    assert (session.recorded, session.shed) == (5, 3)
    pixels, learn = session.owed.take(10)
    assert pixels.tolist() == [2, 3, 4]
    assert learn


def test_visits_are_counted_not_rows(tmp_path, session):
    thread = thread_to(tmp_path)
    thread._take(session, SCAN)
    whole = make_chunk(SCAN, [0, 1, 2])
    seen = np.array([True, False, True])
    thread._take(session, Chunk(SCAN, whole.pixels, whole.counts, core_seen=seen))
    assert session.recorded == 2


@pytest.mark.parametrize("keep", [True, False])
def test_a_recording_that_is_not_to_be_kept_lies_elsewhere(tmp_path, session, keep):
    session.keep = keep
    thread_to(tmp_path)._take(session, SCAN)
    assert (session.path.parent == tmp_path) == keep
    assert session.temporary == (None if keep else session.path.parent)
    session.keep = True  # the user changed their mind
    finish_recording(session, None, ScanEnd(SCAN.id, "aborted"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["LSMO_0421.hspy"]
    if not keep:
        session.recorder.discard()
        session.temporary.rmdir()


def test_a_disk_that_gives_up_is_said_once_and_the_analysis_goes_on(tmp_path, session, monkeypatch):
    thread = thread_to(tmp_path)
    thread._take(session, SCAN)
    thread._take(session, make_chunk(SCAN, [0, 1]))

    def full(chunk):
        raise RecorderError("no room")

    monkeypatch.setattr(session.recorder, "write", full)
    for pixels in ([2], [3]):
        thread._take(session, make_chunk(SCAN, pixels))
    assert session.problems == ["NOT RECORDED: no room"]
    assert session.recorder.finished  # let go of, as if killed here
    assert (session.recorded, session.shed) == (2, 0)
    handed_on = [thread._out.get_now() for _ in range(4)]
    assert [item.pixels.tolist() for _, item in handed_on[1:]] == [[0, 1], [2], [3]]


def test_the_end_of_a_recording_tells_what_was_counted(tmp_path, session):
    thread = thread_to(tmp_path)
    thread._take(session, SCAN)
    thread._take(session, make_chunk(SCAN, np.arange(20)))
    session.counters.gaps, session.shed = 3, 7
    finish_recording(session, None, ScanEnd(SCAN.id, "complete", 20), tmp_path)
    with open_recording(session.path) as recording:
        counters = recording.facts["counters"]
        assert (counters["gaps"], counters["shed"]) == (3, 7)
        np.testing.assert_array_equal(recording.counts(np.arange(20)), make_counts(SCAN))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("LSMO 0421", "LSMO_0421"),
        ("../../etc/passwd", "etc_passwd"),
        ("..", "scan"),
        ("", "scan"),
        ("a:b*c?", "a_b_c"),
        ("µ-map.v2", "µ-map.v2"),
        ("x" * 300, "x" * 120),
    ],
)
def test_whatever_is_odd_in_a_title_does_not_reach_the_disk(tmp_path, name, stem):
    assert unused_path(tmp_path, name) == tmp_path / f"{stem}.hspy"


def test_a_file_that_is_there_is_left_alone(tmp_path):
    for expected in ("a.hspy", "a_2.hspy", "a_3.hspy"):
        path = unused_path(tmp_path, "a")
        assert path.name == expected
        path.touch()
