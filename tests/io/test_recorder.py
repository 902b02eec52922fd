"""The recorder: pixels in any order, other processes, kills and full disks."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from live_eels.io import recorder, write_behind
from live_eels.io.reader import open_recording
from live_eels.io.recorder import Recorder, RecorderError
from live_eels.spectra import (
    Chunk,
    Scan,
    ScanEnd,
)
from recordings import (
    CHANNELS,
    LOW_CHANNELS,
    hs_load,
    make_chunk,
    make_counts,
    make_scan,
)

pytestmark = pytest.mark.usefixtures("no_recorder_left_open")


def hyperspy_in_another_process(path: Path) -> np.ndarray:
    """Counts as HyperSpy reads them in a process of its own."""
    out = path.with_suffix(".npy")
    code = f"""
        import warnings; warnings.simplefilter("ignore")
        import numpy, hyperspy.api as hs
        numpy.save({str(out)!r}, hs.load({str(path)!r}).data)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)
    return np.load(out)


def test_file_opens_mid_scan_in_other_processes(path: Path) -> None:
    scan = make_scan((4, 5))
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, np.arange(13)))
    expected = make_counts(scan)
    expected[13:] = 0
    assert np.array_equal(hyperspy_in_another_process(path).reshape(20, -1), expected)

    # A reader that holds the file open sees what comes later, as SWMR promises.
    code = f"""
        import h5py, sys
        with h5py.File({str(path)!r}, "r", swmr=True) as file:
            counts = file["entry/core/spectrum_2d/intensity"]
            print(int(counts[2, 3].sum()), flush=True)
            sys.stdin.readline()
            counts.refresh()
            print(int(counts[2, 3].sum()), flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as reader:  # fmt: skip
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert int(reader.stdout.readline()) == 0
        rec.write(make_chunk(scan, [13]))
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert int(reader.stdout.readline()) == int(make_counts(scan)[13].sum())
    rec.finish(ScanEnd(scan.id, "aborted", 14))


def plain_twin(scan: Scan, chunks: list[Chunk]) -> tuple[np.ndarray, np.ndarray]:
    """What the core counts and visits must be, pixel by pixel."""
    counts = np.zeros((scan.pixels, scan.core.axis.size), np.float64)
    visits = np.zeros(scan.pixels, np.int64)
    for chunk in chunks:
        for row, pixel in enumerate(chunk.pixels):
            if chunk.core_seen is not None and not chunk.core_seen[row]:
                continue
            if scan.passes > 1:
                counts[pixel] += chunk.counts[row]
                visits[pixel] += 1
            else:
                counts[pixel] = chunk.counts[row]
                visits[pixel] = 1
    return counts, visits


@st.composite
def pixel_orders(draw: st.DrawFn) -> list[tuple[list[int], list[bool] | None]]:
    chunks = []
    for _ in range(draw(st.integers(0, 6))):
        pixels = draw(st.lists(st.integers(0, 19), unique=True, max_size=20))
        if draw(st.booleans()):
            pixels = sorted(pixels, reverse=draw(st.booleans()))
        seen = draw(st.none() | st.lists(st.booleans(), min_size=20, max_size=20))
        chunks.append((pixels, None if seen is None else seen[: len(pixels)]))
    return chunks


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(orders=pixel_orders(), passes=st.sampled_from([1, 3]), dtype=st.sampled_from(["u1", "u2"]))
def test_any_order_of_pixels_equals_the_plain_twin(
    tmp_path_factory: pytest.TempPathFactory,
    orders: list[tuple[list[int], list[bool] | None]],
    passes: int,
    dtype: str,
) -> None:
    scan = make_scan((4, 5), dtype=dtype, passes=passes)
    rec = Recorder(tmp_path_factory.mktemp("any") / "scan.hspy", scan)
    chunks: list[Chunk] = []
    for number, (pixels, seen) in enumerate(orders):
        whole = make_chunk(scan, pixels, seed=number)
        mask = None if seen is None else np.array(seen, bool)
        counts = whole.counts.copy()
        if mask is not None:
            counts[~mask] = 0
        chunks.append(Chunk(scan, whole.pixels, counts, core_seen=mask))
        returned = rec.write(chunks[-1])
        expected, visits = plain_twin(scan, chunks)
        if passes == 1:
            assert returned is chunks[-1]
        elif pixels:
            assert np.array_equal(returned.counts, expected[whole.pixels])
            unseen = visits[whole.pixels] == 0
            assert (returned.core_seen is None) == (not unseen.any())
    expected, visits = plain_twin(scan, chunks)
    assert np.array_equal(rec.read(np.arange(20)), expected)
    assert np.array_equal(rec.visits(), visits)
    lost = {p for start, stop in rec.missing() for p in range(start, stop)}
    assert lost == set(np.flatnonzero(visits == 0))
    rec.finish(ScanEnd(scan.id, "complete"))
    back = open_recording(rec.path)
    assert np.array_equal(back.counts(np.arange(20)), expected)
    assert np.array_equal(back.visits(), visits)
    back.close()
    rec.discard()


def test_passes_add_up_to_the_top_of_the_dtype(path: Path) -> None:
    scan = make_scan((3,), dtype="u2", passes=4, low=True)
    rec = Recorder(path, scan)
    full = np.full((3, CHANNELS), 65535, np.uint16)
    dim = np.full((3, LOW_CHANNELS), 65534, np.uint16)
    for number in range(1, 5):
        summed = rec.write(Chunk(scan, np.arange(3), full, dim))
        assert (summed.counts == 65535 * number).all()
        assert summed.low is not None
        assert (summed.low == 65534 * number).all()
    rec.finish(ScanEnd(scan.id, "complete", 12))
    assert (full == 65535).all()  # what came in is not touched
    core, low = hs_load(path)
    assert (core.data == 4 * 65535).all()
    assert (low.data == 4 * 65534).all()


def test_visits_stop_at_the_top_of_their_dtype_and_the_counts_go_on(path: Path) -> None:
    scan = make_scan((), passes=70_000)
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, [0]))
    rec._stored["core"].visits[:] = 65_534  # as if so many had come
    for _ in range(2):
        rec.write(make_chunk(scan, [0]))
    assert rec.visits().tolist() == [65_535]
    assert np.array_equal(rec.read(np.array([0]))[0], 3.0 * make_counts(scan)[0])


def test_pixels_that_begin_and_end_like_a_run_find_their_places(path: Path) -> None:
    scan = make_scan((4,))
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, [0, 2, 1, 3]))
    assert np.array_equal(rec.read(np.arange(4)), make_counts(scan))


def test_live_view_keeps_the_newest_spectrum(path: Path) -> None:
    scan = make_scan(())
    rec = Recorder(path, scan)
    for number in range(5):
        rec.write(make_chunk(scan, [0], seed=number))
    rec.finish(ScanEnd(scan.id, "complete", 5))
    assert np.array_equal(hs_load(path).data, make_counts(scan, seed=4)[0])


def test_late_partners_fall_into_place(path: Path) -> None:
    scan = make_scan((6,), low=True)
    rec = Recorder(path, scan)
    whole = make_chunk(scan, np.arange(6))
    assert whole.low is not None
    half = np.array([True, False, True, False, True, True])
    rec.write(Chunk(scan, whole.pixels, whole.counts, np.where(half[:, None], whole.low, 0), half))
    late = np.flatnonzero(~half)
    rec.write(
        Chunk(
            scan, late, np.zeros((2, CHANNELS), np.uint16), whole.low[late],
            core_seen=np.zeros(2, bool),
        )
    )  # fmt: skip
    rec.finish(ScanEnd(scan.id, "complete"))
    core, low = hs_load(path)
    assert np.array_equal(core.data, whole.counts)
    assert np.array_equal(low.data, whole.low)
    assert rec.missing("low").size == 0


@pytest.mark.parametrize(
    ("pixels", "counts", "complaint"),
    [
        ([20], np.zeros((1, CHANNELS), "u2"), "pixel 20 is not one of its 20"),
        ([-1], np.zeros((1, CHANNELS), "u2"), "pixel -1 is not one of its 20"),
        ([18, 19, 20], np.zeros((3, CHANNELS), "u2"), "pixel 20"),
        ([3], np.zeros((1, CHANNELS + 1), "u2"), "do not belong"),
        ([3], np.zeros((1, CHANNELS), "f4"), "announced uint16"),
    ],
)
def test_a_chunk_of_another_scan_harms_nothing(
    path: Path, pixels: list[int], counts: np.ndarray, complaint: str
) -> None:
    scan = make_scan()
    rec = Recorder(path, scan)
    before = path.read_bytes()
    with pytest.raises(RecorderError, match=complaint):
        rec.write(Chunk(scan, np.array(pixels), counts))
    assert path.read_bytes() == before


def test_a_file_closed_without_an_end_gets_none(path: Path) -> None:
    scan = make_scan()
    rec = Recorder(path, scan)
    rec.close()
    before = path.read_bytes()
    rec.finish(ScanEnd(scan.id, "complete"))
    assert path.read_bytes() == before


def test_discard_removes_the_file(path: Path) -> None:
    scan = make_scan()
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, [1]))
    rec.discard()
    assert not path.exists()
    rec.discard()


def test_an_existing_file_is_never_overwritten(path: Path) -> None:
    path.write_text("last year's best scan")
    with pytest.raises(RecorderError, match="exists already"):
        Recorder(path, make_scan())
    assert path.read_text() == "last year's best scan"


def test_path_trouble_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(RecorderError, match=r"\*\.hspy"):
        Recorder(tmp_path / "scan.h5", make_scan())
    (tmp_path / "file").touch()
    with pytest.raises(RecorderError, match="cannot make this folder"):
        Recorder(tmp_path / "file" / "scan.hspy", make_scan())


KILLED = """
    import os, sys, time
    import numpy as np
    from live_eels.io.recorder import Recorder
    from live_eels.spectra import *
    scan = Scan("id", (NavigationAxis("y", 50), NavigationAxis("x", 40)),
                (Signal("core", EnergyAxis(600, 0.5, 100)),))
    rec = Recorder(sys.argv[1], scan)
    for pixel in range(0, 2000, 5):
        pixels = np.arange(pixel, pixel + 5)
        rec.write(Chunk(scan, pixels, np.repeat(pixels[:, None] + 1, 100, 1).astype("u2")))
        print(pixel + 5, flush=True)
        time.sleep(0.001)
"""


def test_kill_9_mid_scan_loses_nothing_that_was_written(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(path)],
        stdout=subprocess.PIPE, text=True,
    ) as writer:  # fmt: skip
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= 600:
                os.kill(writer.pid, signal.SIGKILL)
                break
        written = [600, *(int(line) for line in writer.stdout)][-1]
    assert 600 <= written < 2000
    eels = hs_load(path)
    counts = eels.data.reshape(2000, 100)
    assert np.array_equal(counts[:written, 7], np.arange(1, written + 1))
    back = open_recording(path)
    assert back.end is None
    assert back.facts["state"] == "recording"
    seen = np.flatnonzero(back.visits())
    assert written <= seen.size <= written + 5
    assert (counts[seen, 0] == seen + 1).all()
    back.close()


def test_no_room_is_known_before_the_first_spectrum(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1e6})
    monkeypatch.setattr(recorder.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(RecorderError, match=r"needs .* GB and the disk has 0\.001 GB"):
        Recorder(path, make_scan())
    assert not path.exists()
    Recorder(path, make_scan(), reserve=False).discard()
    monkeypatch.setattr(recorder, "_SPARE_BYTES", 0)
    usage.free = 20 * 4 * (CHANNELS + LOW_CHANNELS) - 1  # two passes of u2 are stored as u4
    with pytest.raises(RecorderError, match="needs"):
        Recorder(path, make_scan(low=True, passes=2))
    usage.free += 1
    Recorder(path, make_scan(low=True, passes=2)).discard()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reserves without writing")
def test_the_disk_space_of_the_whole_scan_is_taken_before_the_first_spectrum(path: Path) -> None:
    scan = make_scan((200, 200))
    rec = Recorder(path, scan)
    assert path.stat().st_blocks * 512 >= scan.pixels * CHANNELS * 2
    rec.discard()
    Recorder(path, scan, reserve=False)
    assert path.stat().st_blocks * 512 < scan.pixels * CHANNELS * 2 // 4


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("reserve", [True, False])
def test_a_scan_larger_than_the_disk_leaves_nothing_behind(path: Path, reserve: bool) -> None:
    with pytest.raises(RecorderError, match="cannot make the recording"):
        Recorder(path, make_scan((300, 300)), reserve=reserve)
    assert list(path.parent.iterdir()) == []


def test_a_disk_that_fills_up_is_a_clear_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = make_scan()
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, np.arange(9)))
    plain = recorder.write_all

    def full(file: object, offset: int, data: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(recorder, "write_all", full)
    with pytest.raises(RecorderError, match=r"No space left on device.*Free some space"):
        rec.write(make_chunk(scan, np.arange(9, 18)))
    monkeypatch.setattr(recorder, "write_all", plain)
    rec.finish(ScanEnd(scan.id, "aborted", 9))
    back = open_recording(path)
    assert np.flatnonzero(back.visits()).tolist() == list(range(9))
    assert np.array_equal(back.counts(np.arange(9)), make_counts(scan)[:9])
    back.close()


def test_counts_are_forced_to_the_disk_when_due_and_no_oftener(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = make_scan()
    rec = Recorder(path, scan, flush_every_s=5.0)
    start_s, forced = recorder.time.monotonic(), []
    monkeypatch.setattr(recorder.os, "fsync", lambda _: forced.append(1))
    for number, (after_s, times) in enumerate(((1, 0), (6, 1), (7, 1), (10, 1), (12, 2))):
        monkeypatch.setattr(recorder.time, "monotonic", lambda now=start_s + after_s: now)
        rec.write(make_chunk(scan, [number]))
        rec._wait_for_flush()
        assert len(forced) == times
    rec.flush()
    assert len(forced) == 3


def test_a_failed_flush_is_heard(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = make_scan()
    rec = Recorder(path, scan, flush_every_s=0.0)

    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(recorder.os, "fsync", broken)
    rec.write(make_chunk(scan, [0]))
    rec._wait_for_flush()
    with pytest.raises(RecorderError, match="Input/output error"):
        rec.write(make_chunk(scan, [1]))
    with pytest.raises(RecorderError, match="Input/output error"):
        rec.flush()


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system has no posix_fadvise")
def test_what_was_written_long_ago_leaves_memory(path: Path, monkeypatch) -> None:
    scan, asked = make_scan((2, 4)), []
    monkeypatch.setattr(write_behind, "PART_BYTES", 2 * scan.core.axis.size * 2)
    monkeypatch.setattr(os, "posix_fadvise", lambda fd, start, size, how: asked.append(size))
    file = Recorder(path, scan)
    file.write(make_chunk(scan, np.arange(8)))
    file.close()
    assert sum(asked) >= 8 * scan.core.axis.size * 2
