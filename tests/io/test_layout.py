"""How a recording lies in its file: what HyperSpy, NeXus and plain writes find there."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from live_eels.io import layout
from live_eels.io.recorder import Recorder
from live_eels.spectra import (
    EnergyAxis,
    NavigationAxis,
    Scan,
    ScanEnd,
    Signal,
)
from recordings import (
    CHANNELS,
    hs_load,
    make_chunk,
    make_counts,
    make_scan,
    make_snapshot,
)

pytestmark = pytest.mark.usefixtures("no_recorder_left_open")


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


def test_unknown_beam_parameters_are_left_out_not_guessed(path: Path) -> None:
    scan = Scan("id", (NavigationAxis("x", 2),), (Signal("core", EnergyAxis(0, 1, 4)),))
    Recorder(path, scan).finish(ScanEnd("id", "aborted", 0))
    eels = hs_load(path)
    assert not eels.metadata.has_item("Acquisition_instrument.TEM.beam_energy")
    assert not eels.metadata.has_item("Acquisition_instrument.TEM.Detector")
    assert eels.metadata.Signal.signal_origin == "experiment"


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
