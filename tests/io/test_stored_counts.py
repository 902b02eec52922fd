"""Reading back from a recording while another thread writes it."""

from __future__ import annotations

import mmap
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest

from live_eels.io import stored_counts
from live_eels.io.layout import Extent
from live_eels.io.recorder import Recorder
from live_eels.spectra import (
    ScanEnd,
)
from recordings import (
    CHANNELS,
    make_chunk,
    make_counts,
    make_scan,
)

pytestmark = pytest.mark.usefixtures("no_recorder_left_open")


def test_other_threads_read_while_one_writes(path: Path) -> None:
    scan = make_scan((40, 50))
    truth = make_counts(scan)
    rec = Recorder(path, scan)
    every = np.arange(scan.pixels)
    done = threading.Event()
    wrong: list[int] = []

    def look() -> None:
        while not done.is_set():
            seen = rec.visits() > 0  # before the counts: what was seen stays
            counts = rec.read(every)
            wrong.append(int((counts[seen] != truth[seen]).sum()))
            sums = rec.window_sum(slice(3, 9))
            wrong.append(int((sums[seen] != truth[seen, 3:9].sum(axis=1)).sum()))

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    for first in range(0, scan.pixels, 10):
        rec.write(make_chunk(scan, every[first : first + 10]))
    done.set()
    for watcher in watchers:
        watcher.join()
    assert wrong
    assert not any(wrong)
    rec.finish(ScanEnd(scan.id, "complete"))
    assert np.array_equal(rec.read(every[::7]), truth[::7])  # still there after the end


@pytest.mark.parametrize("dtype", ["u2", "u4", "i4", "f4"])
def test_window_sum_is_nan_where_nothing_came(
    path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    monkeypatch.setattr(stored_counts, "_BLOCK_BYTES", 500)  # several blocks, the last one short
    scan = make_scan((4, 5), low=True, dtype=dtype)
    rec = Recorder(path, scan)
    pixels = np.array([17, 3, 4, 9])
    rec.write(make_chunk(scan, pixels))
    for role, channels in (("core", slice(5, 30)), ("low", slice(0, 4))):
        expected = np.full(20, np.nan)
        expected[pixels] = make_counts(scan, role)[pixels, channels].astype(float).sum(axis=1)
        assert np.array_equal(rec.window_sum(channels, role), expected, equal_nan=True)
    with pytest.raises(KeyError, match="'core', 'low'"):
        rec.window_sum(slice(0, 1), "adf")


def test_mean_and_std_leave_out_what_was_not_seen(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_counts, "_BLOCK_BYTES", 2000)
    scan = make_scan((4, 5))
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, np.arange(15)))
    mean, std, n = rec.mean_std(np.array([19, 2, 14, 7, 8, 9, 10, 18, 3]))
    part = make_counts(scan)[[2, 14, 7, 8, 9, 10, 3]].astype(float)
    assert n == 7
    assert np.allclose(mean, part.mean(axis=0), rtol=1e-12)
    assert np.allclose(std, part.std(axis=0), rtol=1e-9)
    assert np.isnan(rec.mean_std(np.array([17, 18]))[0]).all()


def test_what_lies_where_nothing_came_is_never_looked_at(path: Path) -> None:
    """The place of the counts may be a hole, or hold what the disk held before."""
    scan = make_scan((4, 5), passes=2)
    rec = Recorder(path, scan)
    with path.open("r+b") as file:
        file.seek(rec._stored["core"].extent.offset)
        file.write(b"\x55" * rec._stored["core"].extent.nbytes)
    rec.write(make_chunk(scan, [3, 4]))
    rec.write(make_chunk(scan, [4, 5], seed=1))
    expected = np.zeros((20, CHANNELS))
    expected[[3, 4]] += make_counts(scan)[[3, 4]]
    expected[[4, 5]] += make_counts(scan, seed=1)[[4, 5]]
    assert np.array_equal(rec.read(np.arange(20)), expected)


def test_visits_are_a_copy(path: Path) -> None:
    rec = Recorder(path, make_scan())
    rec.visits()[:] = 1
    assert not rec.visits().any()


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="the system knows no such advice")
def test_what_was_read_does_not_stay_in_this_program_s_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_counts, "_VIEWED_BYTES", 2**20)
    extent = Extent(4096, np.dtype("<u2"), 16384, 2048, 0)
    with path.open("wb") as file:
        file.truncate(extent.offset + extent.pixels * extent.row_bytes)  # 64 MiB
    stored = stored_counts.StoredCounts(path, extent)
    stored.visits[:] = 1
    before = psutil.Process().memory_info().rss
    for first in range(0, extent.pixels, 64):
        assert not stored.read(np.arange(first, first + 64)).any()
        assert psutil.Process().memory_info().rss - before < 16 * 2**20
    assert not stored.window_sum(slice(0, 2048)).any()
    assert psutil.Process().memory_info().rss - before < 48 * 2**20  # a block of it is 32 MiB
