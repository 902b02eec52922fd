"""The recorder against HyperSpy, HDF5 in other processes, kills and full disks."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from live_eels.io import layout, overlay, recorder
from live_eels.io.reader import open_recording
from live_eels.io.recorder import Recorder, RecorderError
from live_eels.spectra import (
    Chunk,
    Curve,
    EnergyAxis,
    Instrument,
    MapSnapshot,
    MapSpec,
    NavigationAxis,
    Scan,
    ScanEnd,
    Signal,
)

CHANNELS = 37
LOW_CHANNELS = 23


def make_scan(
    shape: tuple[int, ...] = (4, 5),
    *,
    dtype: str = "u2",
    low: bool = False,
    passes: int = 1,
    title: str = "LSMO 0421",
    channels: int = CHANNELS,
) -> Scan:
    signals = [Signal("core", EnergyAxis(620.0, 0.25, channels), dtype)]
    if low:
        signals.append(Signal("low", EnergyAxis(-2.0, 0.5, LOW_CHANNELS), dtype))
    names = "tzyx"[-len(shape) :] if shape else ""
    return Scan(
        id="0f0e0d0c-1111-4222-8333-444455556666",
        navigation=tuple(
            NavigationAxis(name, size, 0.5 + number, "nm", 10.0 * number)
            for number, (name, size) in enumerate(zip(names, shape, strict=True))
        ),
        signals=tuple(signals),
        instrument=Instrument(200.0, 24.0, 55.0, 0.002, 0.3, "Nion U200", "IRIS"),
        title=title,
        passes=passes,
        simulated=True,
    )


def make_counts(scan: Scan, role: str = "core", seed: int = 0) -> np.ndarray:
    """Counts over the whole range of the dtype, ``(scan pixels, channel)``."""
    chosen = scan.core if role == "core" else scan.low
    assert chosen is not None
    random = np.random.default_rng([seed, len(role)])
    shape = (scan.pixels, chosen.axis.size)
    if chosen.dtype[0] == "f":
        return random.normal(100, 50, shape).astype(chosen.dtype)
    limits = np.iinfo(chosen.dtype)
    return random.integers(limits.min, limits.max, shape, chosen.dtype, endpoint=True)


def make_chunk(scan: Scan, pixels: np.ndarray | list[int], seed: int = 0) -> Chunk:
    pixels = np.asarray(pixels, np.int64)
    low = None if scan.low is None else np.ascontiguousarray(make_counts(scan, "low", seed)[pixels])
    return Chunk(scan, pixels, np.ascontiguousarray(make_counts(scan, "core", seed)[pixels]), low)


def make_snapshot(scan: Scan) -> MapSnapshot:
    shape = scan.shape or (1,)
    label = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) % 3 - 1
    label.flat[0] = np.nan
    return MapSnapshot(
        scan=scan,
        version=7,
        specs={
            "label": MapSpec("label", "label", "", "oxidation state", ("Mn2+", "Mn3+")),
            "Fe L/total": MapSpec("Fe L/total", "intensity", "counts", "", (), (0.0, 9.0)),
        },
        maps={"label": label, "Fe L/total": np.full(shape, 2.5, np.float32)},
        curves={
            "factors": Curve(
                scan.core.axis,
                np.ones((2, scan.core.axis.size), np.float32),
                ("first", "second"),
            )
        },
        scree=np.array([4, 2, 1], np.float32),
        components=2,
    )


def hs_load(path: Path, **how: object) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import hyperspy.api as hs

        return hs.load(path, **how)


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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.hspy"


@pytest.fixture(autouse=True)
def _no_recorder_left_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made: list[Recorder] = []
    start = Recorder.__init__

    def note(self: Recorder, *args: object, **how: object) -> None:
        start(self, *args, **how)
        made.append(self)

    monkeypatch.setattr(Recorder, "__init__", note)
    yield
    for rec in made:
        rec.close()


# --- what HyperSpy sees -------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (6,), (4, 5), (2, 3, 4)])
def test_hyperspy_opens_a_calibrated_eels_signal(path: Path, shape: tuple[int, ...]) -> None:
    scan = make_scan(shape)
    rec = Recorder(path, scan, config_text="[preprocess]\nspikes = true\n")
    rec.write(make_chunk(scan, np.arange(scan.pixels)))
    rec.finish(ScanEnd(scan.id, "complete", scan.pixels), make_snapshot(scan), {"lost": 0})

    eels = hs_load(path)
    assert type(eels).__name__ == "EELSSpectrum"
    assert eels.data.dtype == np.uint16
    assert eels.data.tobytes() == make_counts(scan).tobytes()
    assert eels.data.shape == (*shape, CHANNELS)
    energy = eels.axes_manager.signal_axes[0]
    assert (energy.name, energy.units, energy.offset, energy.scale, energy.size) == (
        "Energy loss", "eV", 620.0, 0.25, CHANNELS,
    )  # fmt: skip
    with h5py.File(path) as file:  # HyperSpy takes an EELS axis for binned whatever the file says
        assert file[f"Experiments/LSMO 0421/axis-{len(shape)}"].attrs["is_binned"]
    assert [
        (axis.name, axis.size, axis.scale, axis.units, axis.offset)
        for axis in reversed(eels.axes_manager.navigation_axes)
    ] == [(a.name, a.size, a.scale, a.units, a.offset) for a in scan.navigation]
    tem = eels.metadata.Acquisition_instrument.TEM
    assert (tem.beam_energy, tem.convergence_angle, tem.beam_current) == (200.0, 24.0, 0.3)
    assert (tem.Detector.EELS.collection_angle, tem.Detector.EELS.dwell_time) == (55.0, 0.002)
    assert tem.get_item("acquisition_mode") == ("STEM" if shape else None)
    assert (tem.microscope, tem.Detector.EELS.spectrometer) == ("Nion U200", "IRIS")
    assert eels.metadata.Signal.signal_origin == "simulation"
    assert eels.metadata.General.title == "LSMO 0421"
    assert eels.original_metadata.live_eels.scan_id == scan.id
    assert "spikes = true" in eels.original_metadata.live_eels.config


def test_hyperspy_loads_lazily_and_computes_the_same(path: Path) -> None:
    scan = make_scan((7, 5))
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, np.arange(35)))
    rec.finish(ScanEnd(scan.id, "complete"))
    lazy = hs_load(path, lazy=True)
    assert type(lazy).__name__ == "LazyEELSSpectrum"
    assert np.array_equal(lazy.data.compute().reshape(35, -1), make_counts(scan))
    lazy.close_file()


def test_unknown_beam_parameters_are_left_out_not_guessed(path: Path) -> None:
    scan = Scan("id", (NavigationAxis("x", 2),), (Signal("core", EnergyAxis(0, 1, 4)),))
    Recorder(path, scan).finish(ScanEnd("id", "aborted", 0))
    eels = hs_load(path)
    assert not eels.metadata.has_item("Acquisition_instrument.TEM.beam_energy")
    assert not eels.metadata.has_item("Acquisition_instrument.TEM.Detector")
    assert eels.metadata.Signal.signal_origin == "experiment"


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4", "f4", "f8"])
def test_one_pass_keeps_every_byte(path: Path, dtype: str) -> None:
    scan = make_scan(dtype=dtype, low=True)
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, np.arange(20)))
    rec.finish(ScanEnd(scan.id, "complete"))
    core, low = hs_load(path)
    assert core.data.tobytes() == make_counts(scan).tobytes()
    assert low.data.tobytes() == make_counts(scan, "low").tobytes()
    assert core.data.dtype == low.data.dtype == np.dtype(dtype)
    assert low.axes_manager[-1].offset == -2.0
    assert low.metadata.General.title == "LSMO 0421 low loss"


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


def test_nexus_names_are_those_of_nxspectrum(path: Path) -> None:
    scan = make_scan((4, 5))
    Recorder(path, scan).finish(ScanEnd(scan.id, "aborted"))
    with h5py.File(path) as file:
        group = file["entry/core/spectrum_2d"]
        assert group["intensity"] == file["Experiments/LSMO 0421/data"]
        assert group.attrs["NX_class"] == "NXdata"
        assert list(group.attrs["axes"]) == ["axis_j", "axis_i", "axis_energy"]
        assert [group[name].size for name in group.attrs["axes"]] == [4, 5, CHANNELS]
        assert group["axis_energy"][-1] == scan.core.axis.end_ev
        for name, axis in zip(("axis_j", "axis_i"), scan.navigation, strict=True):
            assert np.array_equal(group[name], axis.offset + axis.scale * np.arange(axis.size))
        assert group["axis_j"].attrs["long_name"] == "y (nm)"
        assert group["intensity"].attrs["interpretation"] == "spectrum"


@pytest.mark.parametrize("title", ["a/b", "..", "nul\0in it", "", "µ–map" * 60])
def test_any_title_makes_a_file(path: Path, title: str) -> None:
    scan = make_scan(title=title)
    Recorder(path, scan).finish(ScanEnd(scan.id, "aborted"))
    assert type(hs_load(path)).__name__ == "EELSSpectrum"


# --- while the scan runs ------------------------------------------------------------------


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


def test_finishing_is_not_hindered_by_readers(path: Path) -> None:
    scan = make_scan()
    rec = Recorder(path, scan)
    with h5py.File(path, "r") as reader:  # holds HDF5's lock
        counts = reader["entry/core/spectrum_2d/intensity"]
        rec.write(make_chunk(scan, np.arange(20)))
        rec.finish(ScanEnd(scan.id, "complete"), make_snapshot(scan))
        assert np.array_equal(counts[:].reshape(20, -1), make_counts(scan))
    assert open_recording(path).end == ScanEnd(scan.id, "complete")


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
    monkeypatch.setattr(recorder, "_BLOCK_BYTES", 500)  # several blocks, the last one short
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
    monkeypatch.setattr(recorder, "_BLOCK_BYTES", 2000)
    scan = make_scan((4, 5))
    rec = Recorder(path, scan)
    rec.write(make_chunk(scan, np.arange(15)))
    mean, std, n = rec.mean_std(np.array([19, 2, 14, 7, 8, 9, 10, 18, 3]))
    part = make_counts(scan)[[2, 14, 7, 8, 9, 10, 3]].astype(float)
    assert n == 7
    assert np.allclose(mean, part.mean(axis=0), rtol=1e-12)
    assert np.allclose(std, part.std(axis=0), rtol=1e-9)
    assert np.isnan(rec.mean_std(np.array([17, 18]))[0]).all()


# --- pixels in any order, more than once --------------------------------------------------


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


@pytest.mark.parametrize(
    ("dtype", "passes", "stored"),
    [
        ("u1", 1, "u1"), ("u1", 2, "u2"), ("u1", 257, "u2"), ("u1", 258, "u4"),
        ("u2", 2, "u4"), ("u2", 65537, "u4"), ("u2", 65538, "f8"),
        ("u4", 1, "u4"), ("u4", 2, "f8"), ("i4", 2, "f8"), ("f4", 9, "f4"), ("f8", 9, "f8"),
    ],
)  # fmt: skip
def test_sums_of_all_passes_fit_the_stored_dtype(dtype: str, passes: int, stored: str) -> None:
    assert layout.stored_dtype(dtype, passes) == np.dtype("<" + stored)


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
    rec._visits["core"][:] = 65_534  # as if so many had come
    for _ in range(2):
        rec.write(make_chunk(scan, [0]))
    assert rec.visits().tolist() == [65_535]
    assert np.array_equal(rec.read(np.array([0]))[0], 3.0 * make_counts(scan)[0])


def test_what_lies_where_nothing_came_is_never_looked_at(path: Path) -> None:
    """The place of the counts may be a hole, or hold what the disk held before."""
    scan = make_scan((4, 5), passes=2)
    rec = Recorder(path, scan)
    with path.open("r+b") as file:
        file.seek(rec._extents["core"].offset)
        file.write(b"\x55" * rec._extents["core"].nbytes)
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


@pytest.mark.parametrize("shape", [(257, 3), (5, 7), (3, 4, 1000), (2, 3, 11, 13), (9999,)])
def test_chunks_of_hdf5_follow_one_another_in_raster_order(
    path: Path, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "CHUNK_BYTES", 1000)
    scan = make_scan(shape, channels=4)
    rec = Recorder(path, scan)
    pixels = np.arange(scan.pixels)
    rec.write(make_chunk(scan, pixels))
    with h5py.File(path) as file:
        counts = file["entry/core/spectrum_2d/intensity".replace("2d", f"{len(shape)}d")]
        assert np.array_equal(counts[:].reshape(scan.pixels, -1), make_counts(scan))
        assert int(np.prod(counts.chunks)) * 2 <= max(1000, 4 * 2 * shape[-1])


def test_counts_that_do_not_lie_in_one_run_are_refused(path: Path) -> None:
    """Chunks written one by one lie where they came: plain writes would destroy the file."""
    with h5py.File(path, "w") as file:
        counts = file.create_dataset("counts", (4, 3), "u2", chunks=(1, 3))
        for row in (2, 0, 3, 1):
            counts[row] = row
        with pytest.raises(OSError, match="in one run"):
            layout._first_byte(counts, (1, 3))


# --- the end, and accidents ---------------------------------------------------------------


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


@pytest.fixture
def small_files() -> Iterator[None]:
    """The operating system refuses files above 1 MB: a disk that is full, for real."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("reserve", [True, False])
def test_a_scan_larger_than_the_disk_leaves_nothing_behind(path: Path, reserve: bool) -> None:
    with pytest.raises(RecorderError, match="cannot make the recording"):
        Recorder(path, make_scan((300, 300)), reserve=reserve)
    assert list(path.parent.iterdir()) == []


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
