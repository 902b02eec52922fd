"""The reader against HyperSpy, measured files, and files that lie."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from live_eels import wire
from live_eels.io import reader
from live_eels.io.reader import FileError, Recording, open_recording
from live_eels.io.recorder import Recorder
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
    Spectra,
)

SHARED = Path(__file__).parents[3] / "shared" / "real_spectra"
EXSPY = Path(importlib.util.find_spec("exspy").origin).parent  # type: ignore[union-attr,arg-type]

# HyperSpy 2.5 warns about how it imports itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Importing .* is deprecated"),
    pytest.mark.filterwarnings("ignore:Loading old file version"),
]


@pytest.fixture
def lsmo() -> tuple[Path, Path]:
    files = SHARED / "LSMO_linescan.hspy", SHARED / "LSMO_linescan_low_loss.hspy"
    if not files[0].exists():
        pytest.skip("the measured LSMO line scan is not present")
    return files


def make_scan(passes: int = 1) -> Scan:
    random = np.random.default_rng(5)
    return Scan(
        id="11111111-2222-4333-8444-555555555555",
        navigation=(NavigationAxis("y", 6, 2.0), NavigationAxis("x", 7, 0.5, "µm", -3.0)),
        signals=(
            Signal("low", EnergyAxis(-10.0, 0.5, 40), "u2"),
            Signal(
                "core",
                EnergyAxis(600.0, 0.25, 50),
                "u2",
                dark=random.random(50, np.float32),
                gain=1 + random.random(50, np.float32),
            ),
        ),
        instrument=Instrument(80.0, None, 33.0, 0.01, None, "", "Iris"),
        title="manganite",
        passes=passes,
    )


def record(path: Path, scan: Scan, pixels: np.ndarray, low_too: bool = True) -> np.ndarray:
    """Write a recording and return its core counts, zero where nothing came."""
    counts = np.random.default_rng(1).integers(0, 60000, (scan.pixels, 50), np.uint16)
    rec = Recorder(path, scan, config_text="a = 1\n")
    for part in np.array_split(pixels, 3):
        low = np.repeat(part[:, None], 40, 1).astype(np.uint16)
        seen = None if low_too else np.zeros(part.size, bool)
        rec.write(Chunk(scan, part, counts[part], low, seen))
    spec = MapSpec("label", "label", "", "which", ("a", "b"), (0, 1))
    label = np.arange(42, dtype=np.float32).reshape(6, 7)
    ones, half = np.ones((2, 50), np.float32), np.full((2, 50), 0.5, np.float32)
    rec.note("here", np.array([3]))
    rec.finish(
        ScanEnd(scan.id, "lost", int(pixels.size)),
        MapSnapshot(
            scan,
            1,
            {"label": spec},
            {"label": label},
            curves={
                "factors": Curve(scan.core.axis, ones, ("1", "2")),
                "means": Curve(scan.core.axis, ones, ("a", "b"), "counts/eV", half),
            },
        ),
        {"gaps": 3},
    )
    counts[np.setdiff1d(np.arange(scan.pixels), pixels)] = 0
    return counts


# --- our own recordings -------------------------------------------------------------------


@pytest.mark.parametrize("touched", [True, False])
def test_a_file_is_read_again_only_if_it_was_written_to_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, touched: bool
) -> None:
    path, tries = tmp_path / "a.hspy", []
    record(path, make_scan(), np.arange(42))
    os.utime(path, (0, 0))
    plain = reader._read_hspy

    def torn(file: object, where: Path) -> Recording:
        tries.append(where)
        if len(tries) == 1:
            os.utime(path, (0, 1 if touched else 0))
            raise KeyError("an address past the end")
        return plain(file, where)

    monkeypatch.setattr(reader, "_read_hspy", torn)
    if touched:
        open_recording(path).close()
    else:
        with pytest.raises(FileError, match="an address past the end"):
            open_recording(path)
    assert len(tries) == 1 + touched


def test_a_file_that_is_never_at_rest_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, waits = tmp_path / "a.hspy", []
    path.write_bytes(b"not HDF5")
    monkeypatch.setattr(reader, "STEADY_S", 60.0)  # however slow this computer is
    monkeypatch.setattr(reader.time, "sleep", lambda s: (waits.append(s), os.utime(path)))
    with pytest.raises(FileError, match="cannot be opened"):
        open_recording(path)
    assert waits == [reader.STEADY_S] * (reader.MAX_TRIES - 1)


def test_everything_of_a_scan_comes_back(tmp_path: Path) -> None:
    scan = make_scan()
    counts = record(tmp_path / "a.hspy", scan, np.arange(42))
    with open_recording(tmp_path / "a.hspy") as back:
        assert (back.scan.id, back.scan.title) == (scan.id, scan.title)
        assert (back.scan.navigation, back.scan.instrument) == (scan.navigation, scan.instrument)
        for ours, theirs in zip(back.scan.signals, (scan.core, scan.low), strict=True):
            assert theirs is not None
            assert (ours.name, ours.axis, ours.dtype) == (theirs.name, theirs.axis, theirs.dtype)
        assert np.array_equal(back.scan.core.dark, scan.core.dark)
        assert np.array_equal(back.scan.core.gain, scan.core.gain)
        assert np.array_equal(back.counts(np.arange(42)), counts)
        assert np.array_equal(back.counts(np.arange(42), "low")[:, 0], np.arange(42))
        assert back.end == ScanEnd(scan.id, "lost", 42)
        assert back.specs["label"] == MapSpec("label", "label", "", "which", ("a", "b"), (0, 1))
        assert back.maps["label"].shape == (6, 7)
        assert back.curves["factors"].axis == scan.core.axis
        assert back.curves["factors"].labels == ("1", "2")
        assert back.curves["factors"].unit == "counts"
        assert (back.curves["factors"].values == 1).all()
        assert back.curves["factors"].error is None
        assert back.curves["means"].unit == "counts/eV"
        assert (back.curves["means"].error == 0.5).all()
        assert back.facts["config"] == "a = 1\n"
        assert back.facts["counters"] == {"gaps": 3}
        assert back.facts["notes"][0]["text"] == "here"
        assert back.facts["notes"][0]["pixels"] == [3]
        assert back.facts["state"] == "lost"


@pytest.mark.parametrize("chunk_pixels", [1, 4, 7, 100])
def test_chunks_bring_only_seen_pixels_in_raster_order(tmp_path: Path, chunk_pixels: int) -> None:
    scan = make_scan()
    pixels = np.random.default_rng(2).permutation(42)[:30]
    counts = record(tmp_path / "a.hspy", scan, pixels)
    with open_recording(tmp_path / "a.hspy") as back:
        chunks = list(back.chunks(chunk_pixels))
    assert all(chunk.pixels.size <= chunk_pixels for chunk in chunks)
    assert np.array_equal(np.concatenate([c.pixels for c in chunks]), np.sort(pixels))
    assert np.array_equal(np.concatenate([c.counts for c in chunks]), counts[np.sort(pixels)])
    assert all(c.counts.flags.c_contiguous and c.core_seen is None for c in chunks)
    assert np.array_equal(np.concatenate([c.low for c in chunks])[:, 3], np.sort(pixels))


def test_chunks_of_some_pixels(tmp_path: Path) -> None:
    counts = record(tmp_path / "a.hspy", make_scan(), np.arange(1, 42))
    some = np.array([2, 3, 11, 30, 41])
    with open_recording(tmp_path / "a.hspy") as back:
        assert back.recorded.tolist() == list(range(1, 42))
        chunks = list(back.chunks(2, some))
    assert [c.pixels.tolist() for c in chunks] == [[2, 3], [11, 30], [41]]
    assert np.array_equal(np.concatenate([c.counts for c in chunks]), counts[some])
    assert np.array_equal(np.concatenate([c.low for c in chunks])[:, 3], some)


def test_a_partner_that_never_came_is_marked(tmp_path: Path) -> None:
    record(tmp_path / "a.hspy", make_scan(), np.arange(42), low_too=False)
    with open_recording(tmp_path / "a.hspy") as back:
        chunk = next(back.chunks(10))
        assert chunk.low_seen is not None
        assert not chunk.low_seen.any()
        names = {m.signal for m in back.messages(10) if isinstance(m, Spectra)}
    assert names == {"core"}


def test_pixels_of_which_only_one_signal_came_are_brought_with_what_came(tmp_path: Path) -> None:
    scan = make_scan()
    core, low = np.full((42, 50), 7, np.uint16), np.full((42, 40), 9, np.uint16)
    has_core, has_low = np.arange(42) % 3 != 0, np.arange(42) % 3 != 1
    rec = Recorder(tmp_path / "a.hspy", scan)
    rec.write(Chunk(scan, np.arange(42), core, low, has_low, has_core))
    rec.finish(ScanEnd(scan.id, "lost"))
    with open_recording(tmp_path / "a.hspy") as back:
        chunks = list(back.chunks(7))
        messages = list(back.messages(7))
    assert np.concatenate([c.pixels for c in chunks]).tolist() == list(range(42))
    assert np.array_equal(np.concatenate([c.core_seen for c in chunks]), has_core)
    assert np.array_equal(np.concatenate([c.low_seen for c in chunks]), has_low)
    for name, seen in (("core", has_core), ("low", has_low)):
        sent = [m for m in messages if isinstance(m, Spectra) and m.signal == name]
        assert np.array_equal(np.concatenate([m.pixels for m in sent]), np.flatnonzero(seen))
        assert all(len(m.pixels) == len(m.counts) for m in sent)
        assert all(m.counts.all() for m in sent)
    end = messages[-1]
    assert isinstance(end, ScanEnd)
    assert (end.reason, end.pixels_sent) == ("aborted", 28)


def test_pixels_in_any_order_and_twice(tmp_path: Path) -> None:
    counts = record(tmp_path / "a.hspy", make_scan(), np.arange(42))
    with open_recording(tmp_path / "a.hspy") as back:
        for pixels in ([41, 0, 6, 7, 7], [5, 6, 7, 8], [3, 2, 1], []):
            assert np.array_equal(back.counts(np.array(pixels, int)), counts[pixels])
        with pytest.raises(IndexError, match="42 pixels"):
            back.counts(np.array([42]))
        with pytest.raises(KeyError, match="adf"):
            back.counts(np.array([0]), "adf")


def test_sums_of_passes_are_streamed_as_one_pass(tmp_path: Path) -> None:
    scan = make_scan(passes=3)
    rec = Recorder(tmp_path / "a.hspy", scan)
    ones = np.full((42, 50), 60000, np.uint16)
    for _ in range(3):
        rec.write(Chunk(scan, np.arange(42), ones, np.zeros((42, 40), np.uint16)))
    rec.finish(ScanEnd(scan.id, "complete", 126))
    with open_recording(tmp_path / "a.hspy") as back:
        assert (back.scan.passes, back.scan.core.dtype) == (1, "u4")
        assert (back.visits() == 3).all()
        assert (back.counts(np.arange(42)) == 180000).all()
        assert scan.core.dark is not None
        assert np.array_equal(back.scan.core.dark, scan.core.dark)
        again = next(iter(back.messages()))
        assert isinstance(again, Scan)
        assert np.allclose(again.core.dark, 3 * scan.core.dark)
        (chunk,) = back.chunks(42)
        assert chunk.summed.tolist() == chunk.low_summed.tolist() == [3] * 42


def test_messages_are_those_of_a_sender(tmp_path: Path) -> None:
    counts = record(tmp_path / "a.hspy", make_scan(), np.arange(42))
    with open_recording(tmp_path / "a.hspy") as back:
        first, *spectra, last = back.messages(5)
        again = next(iter(back.messages()))
        named = next(iter(back.messages(scan_id="mine")))
    assert isinstance(first, Scan)
    assert isinstance(last, ScanEnd)
    assert isinstance(again, Scan)
    assert isinstance(named, Scan)
    assert len({first.id, again.id, make_scan().id, named.id}) == 4
    assert last == ScanEnd(first.id, "complete", 42)
    assert [s.sequence for s in spectra] == list(range(len(spectra)))
    rebuilt = np.zeros_like(counts)
    for message in spectra:
        assert message.scan_id == first.id
        assert message.counts.dtype == np.uint16
        if message.signal == "core":
            rebuilt[message.pixels] = message.counts
    assert np.array_equal(rebuilt, counts)


# --- measured files -----------------------------------------------------------------------


def test_measured_line_scan_byte_for_byte(hs: object, lsmo: tuple[Path, Path]) -> None:
    with open_recording(*lsmo) as back:
        core, low = (hs.load(file) for file in lsmo)  # type: ignore[attr-defined]
        scan = back.scan
        assert scan.shape == (40,)
        assert scan.core.axis == EnergyAxis(428.5, 0.5, 586)
        assert scan.low is not None
        assert scan.low.axis == EnergyAxis(-50.0, 0.5, 1024)
        assert scan.instrument == Instrument(80.0, 27.42, 33.19, 0.1)
        assert scan.navigation[0].units == "µm"
        chunks = list(back.chunks(16))
    counts = np.concatenate([c.counts for c in chunks])
    assert counts.dtype == core.data.dtype
    assert counts.tobytes() == core.data.tobytes()
    lows = np.concatenate([c.low for c in chunks if c.low is not None])
    assert lows.tobytes() == low.data.tobytes()


def test_measured_line_scan_recorded_again_is_the_same(
    tmp_path: Path, hs: object, lsmo: tuple[Path, Path]
) -> None:
    with open_recording(*lsmo) as back:
        rec = Recorder(tmp_path / "again.hspy", back.scan)
        for chunk in back.chunks(7):
            rec.write(chunk)
        rec.finish(ScanEnd(back.scan.id, "complete", 40))
    core, low = hs.load(tmp_path / "again.hspy")  # type: ignore[attr-defined]
    for ours, file in zip((core, low), lsmo, strict=True):
        theirs = hs.load(file)  # type: ignore[attr-defined]
        assert ours.data.tobytes() == theirs.data.tobytes()
        assert ours.axes_manager[-1].offset == theirs.axes_manager[-1].offset
        assert ours.metadata.Acquisition_instrument.TEM.beam_energy == 80.0


def test_low_loss_alone_is_read_as_it_is(lsmo: tuple[Path, Path]) -> None:
    with open_recording(lsmo[1]) as back:
        assert back.scan.low is None
        assert back.scan.core.axis.offset_ev == -50.0


@pytest.mark.parametrize(
    "name",
    [
        "tests/drawing/data/Cr_L_cl.hspy",
        "tests/drawing/data/Cr_L_ll.hspy",
        "tests/signals/data/EELS_LL_linescan_simulated_thickness_variation.hspy",
        "tests/signals/data/EELS_ZLP_linescan_simulated_thickness_variation.hspy",
    ],
)
def test_spectra_that_exspy_ships(name: str, hs: object) -> None:
    file = EXSPY / name
    if not file.exists():
        pytest.skip("this eXSpy ships no such file")
    theirs = hs.load(file)  # type: ignore[attr-defined]
    with open_recording(file) as back:
        assert back.counts(np.arange(back.scan.pixels)).tobytes() == theirs.data.tobytes()
        energy = theirs.axes_manager[-1]
        assert back.scan.core.axis == EnergyAxis(energy.offset, energy.scale, energy.size)
        assert back.scan.instrument.beam_energy_kev == 200.0


def test_partner_of_another_scan_is_refused(lsmo: tuple[Path, Path], tmp_path: Path) -> None:
    record(tmp_path / "a.hspy", make_scan(), np.arange(42))
    with pytest.raises(FileError, match="low loss must be of the same scan"):
        open_recording(tmp_path / "a.hspy", lsmo[1])


# --- other people's .hspy -----------------------------------------------------------------


def save_like_hyperspy(path: Path, values: np.ndarray, **energy: object) -> None:
    """The smallest file HyperSpy would open: one experiment, axes, empty metadata."""
    with h5py.File(path, "w") as file:
        group = file.create_group("Experiments/x")
        if values.dtype == object:
            group.create_dataset("data", data=values, dtype=h5py.string_dtype())
        else:
            group["data"] = values
        for number, size in enumerate(values.shape):
            last = number == values.ndim - 1
            axis = {"name": "a", "size": size, "offset": 1.0, "scale": 2.0, "navigate": not last}
            axis.update({"units": "eV", **energy} if last else {"units": "nm"})
            attributes = group.create_group(f"axis-{number}").attrs
            for key, value in axis.items():
                attributes[key] = value
        group.create_group("metadata")
        group.create_group("original_metadata")


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        ("|b1", "u1"), ("|u1", "u1"), ("|i1", "i4"), ("<i2", "i4"), (">i2", "i4"), (">u2", "u2"),
        ("<f2", "f4"), (">f4", "f4"), ("<u8", "f8"), (">i8", "f8"), ("<f8", "f8"), (">u4", "u4"),
    ],
)  # fmt: skip
def test_other_dtypes_lose_nothing(tmp_path: Path, stored: str, kept: str) -> None:
    values = np.array([[0, 1, 1, 0], [1, 100, 127, 2], [0, 0, 1, 1]]).astype(stored)
    if stored[1] == "i":
        values[0, 0] = -5
    save_like_hyperspy(tmp_path / "a.hspy", values)
    with open_recording(tmp_path / "a.hspy") as back:
        counts = back.counts(np.arange(3))
    assert back.scan.core.dtype == kept
    assert counts.dtype == np.dtype("<" + kept)
    assert np.array_equal(counts, values)


def test_64_bit_counts_beyond_float64_are_refused(tmp_path: Path) -> None:
    save_like_hyperspy(tmp_path / "a.hspy", np.array([[2**53, 2**53 + 1]], np.uint64))
    with open_recording(tmp_path / "a.hspy") as back, pytest.raises(FileError, match="2\\*\\*53"):
        back.counts(np.array([0]))


def test_texts_of_a_file_can_be_sent_whatever_they_are(tmp_path: Path) -> None:
    save_like_hyperspy(tmp_path / "a.hspy", np.ones((2, 5), np.uint16))
    odd = b"\x1b[2J line\n\xe9 " + b"x" * 2000
    with h5py.File(tmp_path / "a.hspy", "r+") as file:
        group = file["Experiments/x"]
        metadata = group["metadata"]
        tem = "Acquisition_instrument/TEM"
        for node, name in (
            (group["axis-0"], "name"),
            (group["axis-0"], "units"),
            (metadata.create_group("General"), "title"),
            (metadata.create_group(tem), "microscope"),
            (metadata.create_group(f"{tem}/Detector/EELS"), "spectrometer"),
        ):
            node.attrs.pop(name, None)
            node.attrs.create(name, odd, dtype=h5py.string_dtype())
    with open_recording(tmp_path / "a.hspy") as back:
        for message in back.messages():
            wire.decode(wire.encode(message))
        assert back.scan.title.startswith(" [2J line ? xxx")


def test_a_signal_without_a_title_has_that_of_its_file(tmp_path: Path, hs: object) -> None:
    signal = hs.signals.Signal1D(np.ones((3, 9)))  # type: ignore[attr-defined]
    signal.axes_manager[-1].units = "eV"
    signal.save(tmp_path / "LSMO 3.hspy")
    with open_recording(tmp_path / "LSMO 3.hspy") as back:
        assert back.scan.title == "LSMO 3"


def test_a_beam_energy_that_is_no_number_is_not_known(tmp_path: Path) -> None:
    save_like_hyperspy(tmp_path / "a.hspy", np.ones((2, 5)))
    with h5py.File(tmp_path / "a.hspy", "r+") as file:
        group = file["Experiments/x/metadata"].create_group("Acquisition_instrument/TEM")
        group.attrs.update({"beam_energy": np.nan, "convergence_angle": 12.0})
        file["Experiments/x/axis-0"].attrs["scale"] = np.inf
    with open_recording(tmp_path / "a.hspy") as back:
        assert back.scan.instrument == Instrument(convergence_mrad=12.0)
        assert back.scan.navigation[0].scale == 1.0


def test_axes_in_a_list_as_hyperspy_may_write_them(tmp_path: Path) -> None:
    save_like_hyperspy(tmp_path / "a.hspy", np.ones((2, 5)))
    with h5py.File(tmp_path / "a.hspy", "r+") as file:
        group = file["Experiments/x"]
        group.create_group("_list_2_axes")
        for number in (0, 1):
            group.move(f"axis-{number}", f"_list_2_axes/{number}")
    with open_recording(tmp_path / "a.hspy") as back:
        assert back.scan.core.axis == EnergyAxis(1.0, 2.0, 5)
        assert back.scan.navigation[0].units == "nm"


@pytest.mark.parametrize(("units", "factor"), [("eV", 1), ("keV", 1000), ("meV", 0.001)])
def test_energy_in_other_units(tmp_path: Path, units: str, factor: float) -> None:
    save_like_hyperspy(tmp_path / "a.hspy", np.ones((2, 5)), units=units)
    with open_recording(tmp_path / "a.hspy") as back:
        assert back.scan.core.axis == EnergyAxis(1.0 * factor, 2.0 * factor, 5)


@pytest.mark.parametrize(
    ("first_ev", "second_ev", "shape", "core_ev", "low_ev"),
    [
        (-5.0, 500.0, (3,), 500.0, -5.0),  # the low loss first
        (500.0, -5.0, (3,), 500.0, -5.0),
        (500.0, -5.0, (4,), 500.0, None),  # a low loss of other pixels
        (500.0, -5000.0, (3,), 500.0, None),  # 0 eV is beyond its end
        (-5.0, -5.0, (3,), -5.0, -5.0),
    ],
)
def test_which_of_two_signals_is_the_low_loss(
    tmp_path: Path, first_ev: float, second_ev: float, shape: tuple[int, ...],
    core_ev: float, low_ev: float | None,
) -> None:  # fmt: skip
    save_like_hyperspy(tmp_path / "a.hspy", np.ones((3, 9)), offset=first_ev)
    save_like_hyperspy(tmp_path / "b.hspy", np.ones((*shape, 9)), offset=second_ev)
    with h5py.File(tmp_path / "a.hspy", "r+") as file, h5py.File(tmp_path / "b.hspy") as other:
        other.copy("Experiments/x", file["Experiments"], "y")
    with open_recording(tmp_path / "a.hspy") as back:
        assert back.scan.core.axis.offset_ev == core_ev
        assert (back.scan.low and back.scan.low.axis.offset_ev) == low_ev


def test_hyperspys_own_files_of_every_shape(tmp_path: Path, hs: object) -> None:
    for shape in ((), (3,), (3, 4), (2, 3, 4)):
        values = np.random.default_rng(0).integers(0, 99, (*shape, 9)).astype("u2")
        signal = hs.signals.Signal1D(values)  # type: ignore[attr-defined]
        signal.axes_manager[-1].units = "eV"
        file = tmp_path / f"{len(shape)}.hspy"
        signal.save(file)
        with open_recording(file) as back:
            assert back.scan.shape == shape
            assert np.array_equal(
                np.concatenate([c.counts for c in back.chunks(5)]), values.reshape(-1, 9)
            )


# --- files that lie -----------------------------------------------------------------------


def _not_hdf5(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 not what it says" * 50)


def _empty(path: Path) -> None:
    path.touch()


def _truncated(path: Path) -> None:
    record(path, make_scan(), np.arange(42))
    path.write_bytes(path.read_bytes()[:3000])


def _no_experiments(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.ones(4)


def _objects(path: Path) -> None:
    save_like_hyperspy(path, np.array([["a", "b"]], object))


def _opaque_pickle(path: Path) -> None:
    import pickle

    save_like_hyperspy(path, np.frombuffer(pickle.dumps({"a": 1}), "V1").reshape(1, -1))


def _complex(path: Path) -> None:
    save_like_hyperspy(path, np.ones((2, 3), complex))


def _image(path: Path) -> None:
    save_like_hyperspy(path, np.ones((3, 4)))
    with h5py.File(path, "r+") as file:
        file["Experiments/x/axis-0"].attrs["navigate"] = False


def _nanometres(path: Path) -> None:
    save_like_hyperspy(path, np.ones((3, 4)), units="nm")


def _backwards(path: Path) -> None:
    save_like_hyperspy(path, np.ones((3, 4)), scale=-1.0)


def _standing_still(path: Path) -> None:
    save_like_hyperspy(path, np.ones((3, 4)), scale=0.0)


def _no_pixel(path: Path) -> None:
    save_like_hyperspy(path, np.ones((0, 4)))


def _infinite(path: Path) -> None:
    save_like_hyperspy(path, np.ones((3, 4)), scale=1e400)


def _not_uniform(path: Path) -> None:
    save_like_hyperspy(path, np.ones((3, 4)), _type="DataAxis")


def _one_channel(path: Path) -> None:
    save_like_hyperspy(path, np.ones((3, 1)))


def _no_axes(path: Path) -> None:
    save_like_hyperspy(path, np.ones((3, 4)))
    with h5py.File(path, "r+") as file:
        del file["Experiments/x/axis-0"]


def _huge(path: Path) -> None:
    save_like_hyperspy(path, np.ones((3, 4)))
    with h5py.File(path, "r+") as file:
        del file["Experiments/x/data"]
        file.create_dataset("Experiments/x/data", (1 << 40, 1 << 16), "u1", chunks=(1, 1 << 16))


def _huge_chunks(path: Path) -> None:
    save_like_hyperspy(path, np.ones((3, 4)))
    with h5py.File(path, "r+") as file:
        del file["Experiments/x/data"]
        file.create_dataset(
            "Experiments/x/data", (1 << 20, 4096), "u1", chunks=(1 << 19, 4096), compression="gzip"
        )


def _external_link(path: Path) -> None:
    save_like_hyperspy(path.with_name("secret.hspy"), np.ones((3, 4)))
    save_like_hyperspy(path, np.ones((3, 4)))
    with h5py.File(path, "r+") as file:
        del file["Experiments/x/data"]
        file["Experiments/x/data"] = h5py.ExternalLink("secret.hspy", "/Experiments/x/data")


def _external_group(path: Path) -> None:
    save_like_hyperspy(path.with_name("secret.hspy"), np.ones((3, 4)))
    with h5py.File(path, "w") as file:
        file["Experiments/x"] = h5py.ExternalLink("secret.hspy", "/Experiments/x")


def _external_storage(path: Path) -> None:
    secret = path.with_name("passwords.txt")
    secret.write_bytes(b"secretpasswd")
    save_like_hyperspy(path, np.ones((3, 4)))
    with h5py.File(path, "r+") as file:
        del file["Experiments/x/data"]
        file.create_dataset("Experiments/x/data", (3, 4), "u1", external=[(secret, 0, 12)])


def _virtual(path: Path) -> None:
    save_like_hyperspy(path.with_name("secret.hspy"), np.ones((3, 4)))
    save_like_hyperspy(path, np.ones((3, 4)))
    virtual = h5py.VirtualLayout((3, 4), "f8")
    virtual[:] = h5py.VirtualSource("secret.hspy", "Experiments/x/data", (3, 4))
    with h5py.File(path, "r+") as file:
        del file["Experiments/x/data"]
        file["Experiments/x"].create_virtual_dataset("data", virtual)


def _x_rays(path: Path) -> None:
    save_like_hyperspy(path, np.ones((3, 4)))
    with h5py.File(path, "r+") as file:
        file["Experiments/x/metadata"].create_group("Signal").attrs["signal_type"] = "EDS_TEM"


def _announcement_of_another_shape(path: Path) -> None:
    record(path, make_scan(), np.arange(42))
    with h5py.File(path, "r+") as file:
        text = file["live_eels/scan"][()].decode().replace('"size":6', '"size":60000')
        del file["live_eels/scan"]
        file["live_eels/scan"] = text


def _announcement_of_other_channels(path: Path) -> None:
    record(path, make_scan(), np.arange(42))
    with h5py.File(path, "r+") as file:
        text = file["live_eels/scan"][()].decode().replace('"size":50', '"size":5000')
        del file["live_eels/scan"]
        file["live_eels/scan"] = text


def _ten_axes(path: Path) -> None:
    save_like_hyperspy(path, np.ones((1,) * 9 + (4,)))


def _announcement_that_is_no_json(path: Path) -> None:
    record(path, make_scan(), np.arange(42))
    with h5py.File(path, "r+") as file:
        del file["live_eels/scan"]
        file["live_eels/scan"] = "!!python/object/apply:os.system ['true']"


LIES: dict[Callable[[Path], None], str] = {
    _not_hdf5: "is it whole",
    _empty: "is it whole",
    _truncated: "is it whole|is damaged",
    _no_experiments: "no /Experiments",
    _objects: "objects, not numbers",
    _opaque_pickle: "objects, not numbers",
    _complex: "not counts",
    _image: "as_signal1D",
    _nanometres: "'nm', not in eV",
    _backwards: "positive step",
    _standing_still: "positive step",
    _no_pixel: "0 pixels cannot be read",
    _infinite: "positive step",
    _not_uniform: "interpolate_on_axis",
    _one_channel: "not a spectrum",
    _no_axes: "is damaged",
    _huge: "pixels cannot be read",
    _huge_chunks: "more than 1 GiB",
    _external_link: "in another file",
    _external_group: "holds no signal",
    _external_storage: "in another file",
    _virtual: "in another file",
    _x_rays: "X-ray",
    _announcement_of_another_shape: "announcement has shape",
    _announcement_of_other_channels: "core counts do not fit",
    _ten_axes: "10 axes",
    _announcement_that_is_no_json: "is damaged",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__[1:])
def test_a_file_that_lies_is_refused_by_name(tmp_path: Path, lie: Callable[[Path], None]) -> None:
    file = tmp_path / "hostile.hspy"
    lie(file)
    with pytest.raises(FileError, match=LIES[lie]) as refusal:
        open_recording(file)
    assert "hostile.hspy" in str(refusal.value)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        open_recording(tmp_path / "a.hspy")
    with pytest.raises(FileError, match="is a folder"):
        open_recording(tmp_path)


def test_wrong_extras_do_not_hide_good_counts(tmp_path: Path) -> None:
    file = tmp_path / "a.hspy"
    counts = record(file, make_scan(), np.arange(42))
    with h5py.File(file, "r+") as edited:
        del edited["live_eels/visits/core"], edited["entry/maps/label/values"]
        edited["live_eels/visits/core"] = np.zeros((9999, 9999), "u1")[:1]
        edited["entry/maps/label/values"] = np.zeros(3, "f4")
        del edited["live_eels/curves/means/values"], edited["live_eels/config"]
        edited["live_eels/curves/means/values"] = np.zeros((2, 3), "f4")
        edited["live_eels/config"] = np.zeros(3)  # where a text should be
    with open_recording(file) as back:
        assert back.maps == {}
        assert set(back.curves) == {"factors"}
        assert back.facts["config"] == ""
        assert (back.visits() == 1).all()
        assert np.array_equal(back.counts(np.arange(42)), counts)


def test_maps_larger_than_any_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "a.hspy", make_scan(), np.arange(42))
    monkeypatch.setattr(reader, "MAX_MAP_BYTES", 42 * 4 - 1)
    with open_recording(tmp_path / "a.hspy") as back:
        assert back.maps == {}


FUZZ = """
    import random, sys
    from pathlib import Path
    from live_eels.io.reader import FileError, open_recording
    good, folder = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
    head = int(sys.argv[3])
    dice = random.Random(7)
    outcomes = {"refused": 0, "read": 0}
    for number in range(150):
        bad = bytearray(good)
        for _ in range(dice.choice((1, 4, 40))):
            bad[dice.randrange(head)] = dice.randrange(256)
        file = folder / "fuzz.hspy"
        file.write_bytes(bad)
        try:
            with open_recording(file) as back:
                for chunk in back.chunks(50):
                    pass
            outcomes["read"] += 1
        except FileError:
            outcomes["refused"] += 1
    print(outcomes)
"""


def test_random_damage_is_refused_or_read_never_a_crash(tmp_path: Path) -> None:
    record(tmp_path / "good.hspy", make_scan(), np.arange(42))
    size = (tmp_path / "good.hspy").stat().st_size
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FUZZ), str(tmp_path / "good.hspy"),
         str(tmp_path), str(min(size, 65536))],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = eval(done.stdout)  # our own two numbers
    assert outcomes["refused"] > 5
    assert outcomes["read"] > 5


def test_reading_needs_no_hyperspy() -> None:
    code = """
        import sys
        import live_eels.io.reader
        for name in ("hyperspy", "exspy", "rsciio", "zmq", "numba", "onnxruntime"):
            assert name not in sys.modules, name
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_a_recording_closes_both_files(lsmo: tuple[Path, Path], tmp_path: Path) -> None:
    copies = [tmp_path / file.name for file in lsmo]
    for file, copy in zip(lsmo, copies, strict=True):
        shutil.copyfile(file, copy)
    back: Recording = open_recording(*copies)
    back.close()
    for role in ("core", "low"):
        with pytest.raises((FileError, ValueError)):
            back.counts(np.array([0]), role)
