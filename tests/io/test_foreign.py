"""Other formats through RosettaSciIO, and what is said when it is missing."""

from __future__ import annotations

import importlib.util
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from live_eels.io import foreign
from live_eels.io.reader import FileError, open_recording
from live_eels.io.recorder import Recorder
from live_eels.spectra import EnergyAxis, Instrument, ScanEnd

EXSPY = Path(importlib.util.find_spec("exspy").origin).parent  # type: ignore[union-attr,arg-type]
MSA = EXSPY / "tests/components/coreloss_spectrum.msa"

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("rsciio") is None, reason="RosettaSciIO is not installed"
    ),
    # HyperSpy 2.5 warns about how it imports itself.
    pytest.mark.filterwarnings("ignore:Importing .* is deprecated"),
]


def spectrum_image(hs: object, shape: tuple[int, ...]) -> object:
    values = np.random.default_rng(3).integers(0, 5000, (*shape, 64)).astype("u2")
    signal = hs.signals.Signal1D(values)  # type: ignore[attr-defined]
    for axis, name in zip(signal.axes_manager.navigation_axes, "xy", strict=False):
        axis.name, axis.units, axis.scale = name, "nm", 0.5
    energy = signal.axes_manager[-1]
    energy.name, energy.units, energy.offset, energy.scale = "Energy loss", "eV", 600.0, 0.25
    signal.metadata.General.title = "film"
    return signal


@pytest.mark.parametrize("ending", ["nxs", "emd", "rpl"])
@pytest.mark.parametrize("shape", [(5,), (3, 4)])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_spectrum_images_of_other_formats(
    hs: object, tmp_path: Path, ending: str, shape: tuple[int, ...]
) -> None:
    signal = spectrum_image(hs, shape)
    file = tmp_path / f"a.{ending}"
    signal.save(file)  # type: ignore[attr-defined]
    truth = signal.data.reshape(-1, 64)  # type: ignore[attr-defined]
    with open_recording(file) as back:
        assert back.scan.shape == shape
        assert back.scan.core.axis == EnergyAxis(600.0, 0.25, 64)
        assert [(a.scale, a.units) for a in back.scan.navigation] == [(0.5, "nm")] * len(shape)
        assert np.array_equal(np.concatenate([c.counts for c in back.chunks(4)]), truth)
        assert np.array_equal(back.counts(np.array([4, 1, 1])), truth[[4, 1, 1]])
        rec = Recorder(tmp_path / "again.hspy", back.scan)
        for chunk in back.chunks(3):
            rec.write(chunk)
        rec.finish(ScanEnd(back.scan.id, "complete"))
    again = hs.load(tmp_path / "again.hspy")  # type: ignore[attr-defined]
    assert again.data.tobytes() == signal.data.tobytes()  # type: ignore[attr-defined]


# --- DigitalMicrograph --------------------------------------------------------------------


def dm3_tags(tags: dict[str, object]) -> bytes:
    """A tag group of the DM3 format (little endian data, big endian structure)."""
    packed = struct.pack(">bbi", 1, 0, len(tags))
    for name, value in tags.items():
        title = "" if name.startswith("#") else name
        kind = 20 if isinstance(value, dict) else 21
        packed += struct.pack(">bh", kind, len(title)) + title.encode("latin-1")
        if isinstance(value, dict):
            packed += dm3_tags(value)
        elif isinstance(value, str):
            packed += b"%%%%" + struct.pack(">4i", 3, 20, 4, len(value)) + value.encode("utf-16le")
        elif isinstance(value, np.ndarray):
            code = {"u2": 4, "f4": 6}[value.dtype.str[1:]]
            packed += b"%%%%" + struct.pack(">4i", 3, 20, code, value.size) + value.tobytes()
        elif isinstance(value, float):
            packed += b"%%%%" + struct.pack(">2i", 1, 6) + struct.pack("<f", value)
        else:
            packed += b"%%%%" + struct.pack(">2i", 1, 5) + struct.pack("<I", value)
    return packed


def dm3_image(
    values: np.ndarray, units: tuple[str, ...], scales: tuple[float, ...],
    origins: tuple[float, ...], tags: dict[str, object], name: str,
) -> dict[str, object]:  # fmt: skip
    """An image of DM's ImageList; ``values`` slowest axis first, the rest fastest first."""
    return {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": "e-"},
                "Dimension": {
                    f"#{i}": {"Origin": origin, "Scale": scale, "Units": unit}
                    for i, (unit, scale, origin) in enumerate(
                        zip(units, scales, origins, strict=True)
                    )
                },
            },
            "Data": values.ravel(),
            "DataType": {"u2": 10, "f4": 2}[values.dtype.str[1:]],
            "Dimensions": {f"#{i}": n for i, n in enumerate(reversed(values.shape))},
            "PixelDepth": values.dtype.itemsize,
        },
        "ImageTags": tags,
        "Name": name,
    }


def write_dm3(path: Path, images: list[dict[str, object]]) -> None:
    body = dm3_tags({"ImageList": {f"#{i}": image for i, image in enumerate(images)}})
    path.write_bytes(struct.pack(">3i", 3, len(body), 1) + body + bytes(8))


EELS_TAGS: dict[str, object] = {
    "Meta Data": {"Format": "Spectrum image", "Signal": "EELS"},
    "Microscope Info": {"Voltage": 200000.0, "Probe Current (nA)": 0.25},
    "EELS": {
        "Acquisition": {"Integration time (s)": 0.005},
        "Experimental Conditions": {
            "Collection semi-angle (mrad)": 55.0, "Convergence semi-angle (mrad)": 24.0,
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("shape", [(3, 4), (1, 5)])
def test_dual_eels_of_digitalmicrograph(
    tmp_path: Path, hs: object, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Survey image, low loss and core loss in one file; energy is stored first."""
    monkeypatch.setattr(foreign, "_BAND_BYTES", 700)  # bands of one or two rows
    random = np.random.default_rng(4)
    core = random.integers(0, 60000, (64, *shape)).astype("<u2")
    low = random.random((32, *shape)).astype("<f4")
    survey = random.random((9, 9)).astype("<f4")
    nm = ("nm", "nm")
    write_dm3(
        tmp_path / "a.dm3",
        [
            dm3_image(survey, nm, (1.0, 1.0), (0.0, 0.0), {}, "HAADF"),
            dm3_image(low, (*nm, "eV"), (0.5, 0.5, 0.25), (0.0, 0.0, 8.0), EELS_TAGS, "low"),
            dm3_image(core, (*nm, "eV"), (0.5, 0.5, 0.25), (0.0, 0.0, -2400.0), EELS_TAGS, "core"),
        ],
    )
    with open_recording(tmp_path / "a.dm3") as back:
        assert back.scan.shape == tuple(n for n in shape if n > 1)
        assert back.scan.core.axis == EnergyAxis(600.0, 0.25, 64)
        assert back.scan.low is not None
        assert back.scan.low.axis == EnergyAxis(-2.0, 0.25, 32)
        assert [(a.name, a.scale, a.units) for a in back.scan.navigation][-1] == ("x", 0.5, "nm")
        assert back.scan.instrument == Instrument(200.0, 24.0, 55.0, pytest.approx(0.005), 0.25)
        assert back.scan.title == "core"
        chunks = list(back.chunks(3))
    pixels = core.size // 64
    counts = np.concatenate([c.counts for c in chunks])
    assert np.array_equal(counts, core.reshape(64, pixels).T)
    lows = np.concatenate([c.low for c in chunks if c.low is not None])
    assert np.array_equal(lows, low.reshape(32, pixels).T)
    theirs = hs.load(tmp_path / "a.dm3")[-1]  # type: ignore[attr-defined]
    assert np.array_equal(theirs.data.reshape(pixels, 64), counts)


def test_single_spectrum_from_msa(hs: object) -> None:
    if not MSA.exists():
        pytest.skip("this eXSpy ships no such file")
    theirs = hs.load(MSA)  # type: ignore[attr-defined]
    with open_recording(MSA) as back:
        assert back.scan.shape == ()
        assert back.scan.core.axis == EnergyAxis(360.0, 0.2, 2048)
        assert np.array_equal(next(back.chunks()).counts[0], theirs.data)


def test_beam_parameters_come_along(hs: object, tmp_path: Path) -> None:
    signal = spectrum_image(hs, (3,))
    signal.set_signal_type("EELS")  # type: ignore[attr-defined]
    signal.set_microscope_parameters(80.0, 27.0, 33.0)  # type: ignore[attr-defined]
    signal.save(tmp_path / "a.nxs")  # type: ignore[attr-defined]
    with open_recording(tmp_path / "a.nxs") as back:
        assert back.scan.instrument == Instrument(80.0, 27.0, 33.0)


def test_low_loss_from_a_second_file_of_another_format(hs: object, tmp_path: Path) -> None:
    core, low = spectrum_image(hs, (5,)), spectrum_image(hs, (5,))
    low.axes_manager[-1].offset = -4.0  # type: ignore[attr-defined]
    core.save(tmp_path / "core.hspy")  # type: ignore[attr-defined]
    low.save(tmp_path / "low.nxs")  # type: ignore[attr-defined]
    with open_recording(tmp_path / "core.hspy", tmp_path / "low.nxs") as back:
        assert back.scan.low is not None
        assert back.scan.low.axis.offset_ev == -4.0
        assert np.array_equal(back.counts(np.arange(5), "low"), low.data)  # type: ignore[attr-defined]


def test_missing_rosettasciio_is_said_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.dm4").write_bytes(b"\0" * 100)
    monkeypatch.setitem(sys.modules, "rsciio.digitalmicrograph", None)
    with pytest.raises(FileError, match=r'pip install "live-eels\[formats\]"'):
        open_recording(tmp_path / "a.dm4")


def test_unknown_format_names_the_known(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(FileError, match=r"reads \.hspy \.dm3"):
        open_recording(tmp_path / "a.xlsx")


@pytest.mark.parametrize("ending", ["dm3", "dm4", "msa", "nxs", "emd", "ser", "rpl"])
@pytest.mark.parametrize("content", [b"", b"\0\0\0\x03" + b"\xff" * 300, b"hello\n" * 40])
@pytest.mark.filterwarnings("ignore")
def test_files_that_lie_are_refused_by_name(tmp_path: Path, ending: str, content: bytes) -> None:
    file = tmp_path / f"hostile.{ending}"
    file.write_bytes(content)
    with pytest.raises(FileError, match="hostile"):
        open_recording(file)


def test_an_image_is_not_a_spectrum_image(hs: object, tmp_path: Path) -> None:
    image = hs.signals.Signal2D(np.ones((4, 5)))  # type: ignore[attr-defined]
    image.save(tmp_path / "a.nxs")
    with pytest.raises(FileError, match="as_signal1D"):
        open_recording(tmp_path / "a.nxs")
