"""The end of a recording: maps and remarks, and a file that is never at risk."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from live_eels.io import overlay, reader
from live_eels.io.reader import open_recording
from live_eels.io.recorder import Recorder, RecorderError
from live_eels.spectra import (
    ScanEnd,
)
from recordings import (
    CHANNELS,
    LOW_CHANNELS,
    hs_load,
    make_chunk,
    make_counts,
    make_scan,
    make_snapshot,
)

pytestmark = pytest.mark.usefixtures("no_recorder_left_open")


def test_maps_open_in_hyperspy_through_nexus(path: Path) -> None:
    scan = make_scan((4, 5))
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, np.arange(20)))
    snapshot = make_snapshot(scan)
    rec.finish(ScanEnd(scan.id, "complete"), snapshot)
    maps = hs_load(path, reader="nexus", dataset_key="entry/maps", nxdata_only=True)
    label = next(m for m in maps if m.metadata.General.title == "label")
    assert np.array_equal(label.data, snapshot.maps["label"], equal_nan=True)
    assert [(a.scale, a.units) for a in label.axes_manager.signal_axes] == [
        (1.5, "nm"),
        (0.5, "nm"),
    ]


def test_finishing_is_not_hindered_by_readers(path: Path) -> None:
    scan = make_scan()
    rec = Recorder(path, scan)
    with h5py.File(path, "r") as reader:  # holds HDF5's lock
        counts = reader["entry/core/spectrum_2d/intensity"]
        rec.write(make_chunk(scan, np.arange(20)))
        rec.finish(ScanEnd(scan.id, "complete"), make_snapshot(scan))
        assert np.array_equal(counts[:].reshape(20, -1), make_counts(scan))
    assert open_recording(path).end == ScanEnd(scan.id, "complete")


def test_end_is_written_down(path: Path) -> None:
    scan = make_scan((4, 5), low=True)
    rec = Recorder(path, scan, config_text="x = 1")
    rec.write(make_chunk(scan, np.r_[0:3, 8:20]))
    rec.note("a hole in the film", np.array([4, 5]))
    rec.finish(ScanEnd(scan.id, "lost", 15), make_snapshot(scan), {"gaps": np.int64(2)})
    with h5py.File(path) as file:
        assert file["live_eels"].attrs["state"] == "lost"
        assert file["live_eels/missing/core"][:].tolist() == [[3, 8]]
        assert file["live_eels/scree"][:].tolist() == [4, 2, 1]
        assert file["live_eels/scree"].attrs["components"] == 2
        notes = file["Experiments/LSMO 0421/metadata/General"].attrs["notes"]
    assert notes.splitlines() == [
        "5 pixels never came; their counts are 0 (/live_eels/missing).",
        "The scan ended early: lost.",
        "a hole in the film [pixel 4 and 1 more]",
    ]
    assert rec.bytes_written == 15 * 2 * (CHANNELS + LOW_CHANNELS)


def test_a_second_end_takes_the_place_of_the_first(path: Path) -> None:
    scan = make_scan((4, 5))
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, np.arange(20)))
    end, first = ScanEnd(scan.id, "complete", 20), make_snapshot(scan)
    rec.finish(end, first, {"lost": 0})
    rec.note("afterwards", corner=(1, 2), size=(2, 3))
    later = replace(first, maps={"label": first.maps["label"] + 1})
    rec.finish(end, later, {"lost": 1})
    with h5py.File(path) as file:
        assert list(file["entry/maps"]) == ["label"]
        assert np.array_equal(file["entry/maps/label/values"], later.maps["label"], equal_nan=True)
        assert json.loads(file["live_eels/counters"][()]) == {"lost": 1}
        assert not [name for name in file["live_eels"] if "old" in name]
    core = hs_load(path)
    assert core.metadata.General.notes == "afterwards [pixel (1, 2), 2 x 3]"
    assert core.data.tobytes() == make_counts(scan).tobytes()


@pytest.mark.parametrize("written", range(0, 12))
def test_killed_while_the_end_is_replaced(path: Path, monkeypatch, written: int) -> None:
    """However many of its pages were written: the counts open, and some end is there."""
    scan = make_scan((4, 5))
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, np.arange(20)))
    end, snapshot = ScanEnd(scan.id, "complete", 20), make_snapshot(scan)
    rec.finish(end, snapshot)
    left, write_all = [written], overlay.write_all

    def dying(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise OSError("killed")
        write_all(*arguments)

    monkeypatch.setattr(overlay, "write_all", dying)
    with contextlib.suppress(RecorderError):
        rec.finish(end, snapshot)
    core = hs_load(path)
    assert core.data.tobytes() == make_counts(scan).tobytes()
    with h5py.File(path) as file:
        assert file["live_eels"].attrs["state"] == "complete"


def test_a_reader_that_comes_while_the_end_is_replaced_has_one_or_the_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the writes in place the file may not fit together; then it is read again."""
    scan = make_scan((60, 70))
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, np.arange(scan.pixels)))
    end, snapshot = ScanEnd(scan.id, "complete"), make_snapshot(scan)
    rec.finish(end, snapshot)
    states: list[bytes] = []
    plain = overlay.write_all

    def spy(file: object, offset: int, data: object) -> None:
        states.append(path.read_bytes())
        plain(file, offset, data)

    monkeypatch.setattr(overlay, "write_all", spy)
    for _ in range(2):
        rec.finish(end, snapshot)
    copy, whole, waits = path.with_name("copy.hspy"), path.read_bytes(), []

    def meanwhile(seconds: float) -> None:
        waits.append(seconds)
        copy.write_bytes(whole)

    monkeypatch.setattr(reader.time, "sleep", meanwhile)
    monkeypatch.setattr(reader, "STEADY_S", 60.0)  # however slow this computer is
    for state in states:
        copy.write_bytes(state)
        with open_recording(copy) as back:
            assert back.end == end
            assert set(back.maps) == {"label", "Fe L-total"}
    assert waits


def test_kill_at_any_write_of_the_end_leaves_a_readable_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = make_scan((60, 70))  # larger than a page of the overlay
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, np.arange(scan.pixels)))
    states: list[bytes] = []
    plain = overlay.write_all

    def spy(file: object, offset: int, data: object) -> None:
        states.append(path.read_bytes())
        plain(file, offset, data)

    monkeypatch.setattr(overlay, "write_all", spy)
    rec.finish(ScanEnd(scan.id, "complete"), make_snapshot(scan))
    assert len(states) >= 2
    for number, state in enumerate([*states, path.read_bytes()]):
        copy = path.with_name(f"{number}.hspy")
        copy.write_bytes(state)
        assert np.array_equal(hs_load(copy).data.reshape(scan.pixels, -1), make_counts(scan))
        back = open_recording(copy)
        assert set(back.maps) == (set() if number < len(states) else {"label", "Fe L-total"})
        back.close()


@pytest.mark.usefixtures("small_files")
def test_no_room_for_the_maps_leaves_the_counts_readable(path: Path) -> None:
    scan = make_scan((110, 110))  # 895 kB of counts
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, np.arange(scan.pixels)))
    with pytest.raises(RecorderError, match="The counts are safe"):
        rec.finish(ScanEnd(scan.id, "complete"), make_snapshot(scan))
    assert rec._file.closed
    assert np.array_equal(hs_load(path).data.reshape(scan.pixels, -1), make_counts(scan))
    back = open_recording(path)
    assert (back.visits() == 1).all()
    assert back.end is None
    back.close()
