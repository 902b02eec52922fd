"""The file as it will be: what is read, what is written, and in which order it reaches the disk."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest

from live_eels.io import overlay
from live_eels.io.overlay import Overlay, write_all

PAGE = overlay._PAGE


@pytest.fixture
def base(tmp_path: Path) -> io.FileIO:
    """A file of three and a half pages of noise."""
    path = tmp_path / "file"
    path.write_bytes(np.random.default_rng(0).bytes(7 * PAGE // 2))
    with io.FileIO(path, "r+") as file:
        yield file


def content(file: io.FileIO) -> bytes:
    return Path(file.name).read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_reads_and_writes_are_those_of_a_file(base: io.FileIO, seed: int) -> None:
    random, before = np.random.default_rng(seed), content(base)
    twin, over = io.BytesIO(before), Overlay(base)
    for _ in range(40):
        place = int(random.integers(0, 5 * PAGE))
        data = random.bytes(int(random.integers(1, 2 * PAGE)))
        for file in (twin, over):
            file.seek(place)
            file.write(data)
        place, size = int(random.integers(0, 7 * PAGE)), int(random.integers(1, 2 * PAGE))
        twin.seek(place)
        over.seek(place)
        assert over.read(size) == twin.read(size)
    assert content(base) == before  # nothing reaches the file before ``commit``
    over.commit(base)
    assert content(base) == twin.getvalue()


def test_what_refers_to_others_is_written_last_and_in_one_go(
    base: io.FileIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is new is on the disk before: a power cut must not leave dangling ends.

    And no wait for the disk in between, when readers find a file that does not fit together.
    """
    over, steps = Overlay(base), []
    for page in (0, 2, 5, 1, 4):
        over.seek(page * PAGE + 5)
        over.write(b"new")
    plain = overlay.write_all

    def write(file: io.FileIO, offset: int, data: bytes) -> None:
        steps.append(offset // PAGE)
        plain(file, offset, data)

    monkeypatch.setattr(overlay, "write_all", write)
    monkeypatch.setattr(overlay.os, "fsync", lambda _: steps.append("on the disk"))
    over.commit(base)
    assert steps == [5, 4, "on the disk", 2, 1, 0, "on the disk"]


def test_a_file_is_as_long_as_it_was_made(base: io.FileIO) -> None:
    over = Overlay(base)
    over.truncate(10 * PAGE + 7)
    over.commit(base)
    assert len(content(base)) == 10 * PAGE + 7
    over = Overlay(base)
    over.seek(10 * PAGE)
    over.write(b"0123456789")
    over.commit(base)
    assert len(content(base)) == 10 * PAGE + 10


def test_a_write_that_stops_half_way_goes_on() -> None:
    class Slow(io.BytesIO):
        def write(self, data: memoryview) -> int:
            return super().write(data[:3])

    file = Slow()
    write_all(file, 2, np.arange(10, dtype=np.uint8))
    assert file.getvalue() == b"\0\0" + bytes(range(10))


@pytest.mark.skipif(os.name != "posix", reason="Linux alone reserves")
@pytest.mark.parametrize(("number", "fails"), [("ENOSPC", True), ("EOPNOTSUPP", False)])
def test_a_full_disk_is_said_and_a_system_that_cannot_reserve_is_not(
    base: io.FileIO, monkeypatch: pytest.MonkeyPatch, number: str, fails: bool
) -> None:
    import errno

    class Refusing:
        argtypes = ()

        def __call__(self, *_: object) -> int:
            return -1

    monkeypatch.setattr(overlay.sys, "platform", "linux")
    libc = type("LibC", (), {"fallocate": Refusing()})()
    monkeypatch.setattr(overlay.ctypes, "CDLL", lambda *_, **__: libc)
    monkeypatch.setattr(overlay.ctypes, "get_errno", lambda: getattr(errno, number))
    if not fails:
        overlay.reserve_space(Path(base.name), 0, 10)
        return
    with pytest.raises(OSError, match="No space left"):
        overlay.reserve_space(Path(base.name), 0, 10)
