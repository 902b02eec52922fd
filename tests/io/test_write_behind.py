"""What was written long ago is let go, what was written last is kept, and nothing is lost."""

import os

import pytest

from live_eels.io import write_behind
from live_eels.io.write_behind import WriteBehind

pytestmark = pytest.mark.skipif(
    not hasattr(os, "posix_fadvise"), reason="this system has no posix_fadvise"
)


@pytest.fixture
def asked(monkeypatch):
    """Parts of the file that were let go, in order."""
    ranges = []
    monkeypatch.setattr(write_behind, "PART_BYTES", 100)
    monkeypatch.setattr(write_behind, "KEPT_BYTES", 250)
    monkeypatch.setattr(
        os, "posix_fadvise", lambda _, start, size, advice: ranges.append((start, size))
    )
    return ranges


def test_parts_are_sent_when_complete_and_dropped_later(asked):
    behind = WriteBehind(3)
    for offset in range(1000, 1400, 50):
        behind.wrote(offset, 50)
    sent = [(1000, 100), (1100, 100), (1200, 100), (1300, 100)]
    assert asked == [sent[0], sent[1], sent[2], sent[0], sent[3], sent[1]]


def test_what_is_written_here_and_there_is_left_to_the_system(asked):
    behind = WriteBehind(3)
    for offset in (0, 500, 50, 900, 120):
        behind.wrote(offset, 60)
    assert not asked


def test_the_file_holds_what_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(write_behind, "PART_BYTES", 1 << 16)
    monkeypatch.setattr(write_behind, "KEPT_BYTES", 1 << 17)
    data = os.urandom(1 << 20)
    with (tmp_path / "file").open("w+b", buffering=0) as file:
        behind = WriteBehind(file.fileno())
        for start in range(0, len(data), 1 << 14):
            file.write(data[start : start + (1 << 14)])
            behind.wrote(start, 1 << 14)
        file.seek(0)
        assert file.read() == data


def test_advice_that_is_not_taken_stops_nothing(asked, monkeypatch):
    def refuse(*_):
        asked.append("refused")
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    WriteBehind(3).wrote(0, 100)
    assert asked == ["refused"]
