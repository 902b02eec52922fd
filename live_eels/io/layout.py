"""How a recording lies in its HDF5 file, and the calls that lay it out.

Lives here: the `.hspy` groups that HyperSpy reads, the NeXus groups linked to the same
arrays, and our own group beside them. Knows no stream and writes no counts: it makes the
file and says where in it the counts belong.

The tree::

    /Experiments/<title>            HyperSpy's: data, axis-*, metadata, original_metadata
    /Experiments/<title> low loss   the low-loss signal, where the scan has one
    /entry/core/spectrum_2d         NXdata: intensity (the same array), axis_j, axis_i, axis_energy
    /entry/low/spectrum_2d
    /entry/maps/<name>              NXdata, written at the end of the scan
    /live_eels                      attributes: format, software, scan_id, state
        scan, config                the announcement as JSON, the settings as TOML
        visits/core, visits/low     uint16 on the navigation shape: spectra added, 0 = never seen
        dark/*, gain/*              float32 (channel,)
        curves/*, scree, missing/*, counters, notes, end      written at the end of the scan

The counts are one run of bytes in the file (see `chunk_shape`), so that a plain write at
``Extent.offset + pixel * row bytes`` puts a spectrum in its place with no HDF5 handle open.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np

from live_eels import __version__
from live_eels.io import nexus
from live_eels.io.nexus import clean
from live_eels.io.overlay import Overlay
from live_eels.spectra import (
    EnergyAxis,
    Instrument,
    NavigationAxis,
    Scan,
    Signal,
)

FORMAT = 1
CHUNK_BYTES = 16 * 1024 * 1024
"""Rows of pixels are grouped to about this size: the unit of HyperSpy's lazy loading."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where one signal lies in the file: bytes ``offset``, ``(pixel, channel)`` of ``dtype``.

    ``visits_offset`` is where its visit counters begin, uint16 ``(pixel,)``.
    """

    offset: int
    dtype: np.dtype[Any]
    pixels: int
    channels: int
    visits_offset: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one spectrum."""
        return self.channels * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of the signal at full scan shape."""
        return self.pixels * self.row_bytes


class _SignalRecord(msgspec.Struct, frozen=True):
    name: str
    axis: EnergyAxis
    dtype: str


class _ScanRecord(msgspec.Struct, frozen=True):
    id: str
    navigation: tuple[NavigationAxis, ...]
    signals: tuple[_SignalRecord, ...]
    instrument: Instrument
    title: str
    passes: int
    simulated: bool


def encode_scan(scan: Scan) -> str:
    """Everything of the announcement but its dark and gain arrays, as JSON."""
    record = _ScanRecord(
        id=scan.id,
        navigation=scan.navigation,
        signals=tuple(_SignalRecord(s.name, s.axis, s.dtype) for s in scan.signals),
        instrument=scan.instrument,
        title=scan.title,
        passes=scan.passes,
        simulated=scan.simulated,
    )
    return msgspec.json.encode(record).decode()


def decode_scan(text: str | bytes, arrays: Mapping[tuple[str, str], Any]) -> Scan:
    """Read `encode_scan`'s JSON; ``arrays`` holds ``("dark" | "gain", signal name)``.

    Raises
    ------
    msgspec.ValidationError
        If it is not what `encode_scan` writes.
    """
    record = msgspec.json.decode(text, type=_ScanRecord)
    return Scan(
        id=record.id,
        navigation=record.navigation,
        signals=tuple(
            Signal(
                s.name, s.axis, s.dtype, arrays.get(("dark", s.name)), arrays.get(("gain", s.name))
            )
            for s in record.signals
        ),
        instrument=record.instrument,
        title=record.title,
        passes=record.passes,
        simulated=record.simulated,
    )


def roles(scan: Scan) -> dict[str, Signal]:
    """Name the signals that are recorded, by role: ``core``, and ``low`` where there is one."""
    found = {"core": scan.core}
    if scan.low is not None:
        found["low"] = scan.low
    return found


def stored_dtype(dtype: str, passes: int) -> np.dtype[Any]:
    """Smallest type that holds ``passes`` readouts of ``dtype`` added up.

    One pass keeps the type; whole numbers beyond 32 bits go to float64, which is exact up
    to 2**53.
    """
    own = np.dtype(dtype).newbyteorder("<")
    if passes <= 1 or own.kind == "f":
        return own
    low, high = (int(np.iinfo(own).min) * passes, int(np.iinfo(own).max) * passes)
    for code in ("u1", "u2", "u4"):
        if low >= 0 and high <= np.iinfo(code).max:
            return np.dtype("<" + code)
    return np.dtype("<f8")


def chunk_shape(shape: tuple[int, ...], row_bytes: int) -> tuple[int, ...]:
    """Chunk of pixels, in navigation axes, so that all chunks in turn are plain C order.

    Trailing axes are whole, one axis is cut, axes before it are 1. A cut that does not
    divide its axis pads the last chunk, which is harmless on the first axis only; further in,
    a divisor is taken.
    """
    chunk = [1] * len(shape)
    bytes_so_far = row_bytes
    for axis in reversed(range(len(shape))):
        size = shape[axis]
        wanted = max(1, min(size, CHUNK_BYTES // bytes_so_far))
        if all(outer == 1 for outer in shape[:axis]):
            chunk[axis] = math.ceil(size / math.ceil(size / wanted))
        else:
            chunk[axis] = next(n for n in range(wanted, 0, -1) if size % n == 0)
        bytes_so_far *= chunk[axis]
        if chunk[axis] < size:
            break
    return tuple(chunk)


def experiment_name(scan: Scan, role: str) -> str:
    """Title of a signal in HyperSpy, and name of its group (without ``/``)."""
    title = clean(scan.title).strip(" .").replace("/", "-")[:120] or f"scan {clean(scan.id)[:8]}"
    return title if role == "core" else f"{title} low loss"


def create(path: Path, scan: Scan, config_text: str) -> dict[str, Extent]:
    """Make the file with all that is known before the first spectrum.

    No counts are written: where the file system can, their place is a hole in the file.

    Returns
    -------
    dict of str to Extent
        Where ``core`` and, if the scan has it, ``low`` lie in the file.
    """
    overlay = Overlay(io.BytesIO())
    extents = _create(overlay, scan, config_text)
    with io.FileIO(path, "x+") as new:
        overlay.commit(new)
    return extents


def _create(overlay: Overlay, scan: Scan, config_text: str) -> dict[str, Extent]:
    # HDF5 1.10's format: early-allocated, unfiltered chunks need no index and follow one
    # another in C order; every reader since 2016 knows it, SWMR readers too.
    with h5py.File(
        overlay, "w", libver=("v110", "v110"), alignment_threshold=4096, alignment_interval=4096
    ) as file:
        file.attrs["file_format"] = "HyperSpy"
        file.attrs["file_format_version"] = "3.3"
        file.attrs["NX_class"] = "NXroot"
        file.attrs["default"] = "entry"
        ours = file.create_group("live_eels")
        ours.attrs["format"] = FORMAT
        ours.attrs["software"] = f"live_eels {__version__}"
        ours.attrs["scan_id"] = clean(scan.id)
        ours.attrs["state"] = "recording"
        ours["scan"] = clean(encode_scan(scan))
        ours["config"] = clean(config_text)
        entry = nexus.make_group(file, "entry", "NXentry")
        entry.attrs["default"] = "core"
        entry["title"] = experiment_name(scan, "core")
        extents = {}
        for role, signal in roles(scan).items():
            experiment = file.create_group(f"Experiments/{experiment_name(scan, role)}")
            extents[role] = _create_signal(experiment, ours, scan, role, signal, config_text)
            nexus.link_spectra(entry, experiment["data"], scan, role, signal)
    return extents


def _create_signal(
    experiment: h5py.Group,
    ours: h5py.Group,
    scan: Scan,
    role: str,
    signal: Signal,
    config_text: str,
) -> Extent:
    dtype = stored_dtype(signal.dtype, scan.passes)
    channels = signal.axis.size
    _write_axes(experiment, scan.navigation, signal.axis)
    _write_metadata(experiment, scan, role, config_text)
    for kind, reference in (("dark", signal.dark), ("gain", signal.gain)):
        if reference is not None:
            ours[f"{kind}/{role}"] = np.asarray(reference, np.float32)
    visits = _allocate(
        ours.require_group("visits"), role, scan.shape or (1,), np.dtype("<u2"), None, zeroed=True
    )
    chunk = (*chunk_shape(scan.shape, channels * dtype.itemsize), channels)
    counts = _allocate(experiment, "data", (*scan.shape, channels), dtype, chunk, zeroed=False)
    return Extent(
        _first_byte(counts, chunk), dtype, scan.pixels, channels, int(visits.id.get_offset())
    )


def _allocate(
    group: h5py.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    chunk: tuple[int, ...] | None,
    *,
    zeroed: bool,
) -> h5py.Dataset:
    """Make a dataset whose place in the file is fixed now, without writing its bytes.

    Counts are chunked, not contiguous, only because HyperSpy's lazy loading asks HDF5 for a
    chunk shape and fails without one.
    """
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    how.set_fill_time(h5py.h5d.FILL_TIME_ALLOC if zeroed else h5py.h5d.FILL_TIME_NEVER)
    if chunk is not None:
        how.set_chunk(chunk)
    made = h5py.h5d.create(
        group.id,
        name.encode(),
        h5py.h5t.py_create(dtype, logical=True),
        h5py.h5s.create_simple(shape),
        how,
    )
    return h5py.Dataset(made)


def _first_byte(counts: h5py.Dataset, chunk: tuple[int, ...]) -> int:
    """Offset of a dataset's first chunk, after making sure that the others follow it."""
    corners = [range(0, size, step) for size, step in zip(counts.shape, chunk, strict=True)]
    total = math.prod(len(corner) for corner in corners)
    nbytes = math.prod(chunk) * counts.dtype.itemsize

    def offset_of(number: int) -> int:
        position = np.unravel_index(number, [len(corner) for corner in corners])
        corner = tuple(int(p) * step for p, step in zip(position, chunk, strict=True))
        return int(counts.id.get_chunk_info_by_coord(corner).byte_offset)

    first = offset_of(0)
    for number in {0, 1, total // 2, total - 1} & set(range(total)):
        if offset_of(number) != first + number * nbytes:
            raise OSError("this HDF5 library did not lay the counts out in one run")
    return first


def _axis_attributes(**attributes: Any) -> dict[str, Any]:
    return {"_type": "UniformDataAxis", **attributes}


def write_navigation_axes(group: h5py.Group, navigation: tuple[NavigationAxis, ...]) -> None:
    """HyperSpy's ``axis-N`` groups of the navigation axes."""
    for number, axis in enumerate(navigation):
        group.create_group(f"axis-{number}").attrs.update(
            _axis_attributes(
                name=clean(axis.name),
                units=clean(axis.units),
                size=axis.size,
                scale=float(axis.scale),
                offset=float(axis.offset),
                navigate=True,
                is_binned=False,
            )
        )


def _write_axes(
    experiment: h5py.Group, navigation: tuple[NavigationAxis, ...], energy: EnergyAxis
) -> None:
    write_navigation_axes(experiment, navigation)
    experiment.create_group(f"axis-{len(navigation)}").attrs.update(
        _axis_attributes(
            name="Energy loss",
            units="eV",
            size=energy.size,
            scale=float(energy.dispersion_ev),
            offset=float(energy.offset_ev),
            navigate=False,
            is_binned=True,
        )
    )


def _write_metadata(experiment: h5py.Group, scan: Scan, role: str, config_text: str) -> None:
    now = datetime.now().astimezone()
    instrument = scan.instrument
    experiment.attrs["package"] = "exspy"
    experiment.attrs["package_version"] = ""
    experiment.create_group("attributes").attrs["_lazy"] = False
    experiment["attributes"].attrs["ragged"] = False
    experiment.create_group("learning_results")
    tem = {
        "microscope": clean(instrument.microscope) or None,
        "acquisition_mode": "STEM" if scan.navigation else None,
        "beam_energy": instrument.beam_energy_kev,
        "beam_current": instrument.beam_current_na,
        "convergence_angle": instrument.convergence_mrad,
    }
    eels = {
        "collection_angle": instrument.collection_mrad,
        "dwell_time": instrument.dwell_s,
        "spectrometer": clean(instrument.spectrometer) or None,
    }
    tree: dict[str, dict[str, Any]] = {
        "metadata/General": {
            "title": experiment_name(scan, role),
            "date": now.date().isoformat(),
            "time": now.time().isoformat("seconds"),
            "time_zone": now.strftime("%z"),
        },
        "metadata/Signal": {
            "signal_type": "EELS",
            "signal_origin": "simulation" if scan.simulated else "experiment",
            "quantity": "Counts",
        },
        "metadata/_HyperSpy/Folding": {
            "original_axes_manager": "_None_",
            "original_shape": "_None_",
            "signal_unfolded": False,
            "unfolded": False,
        },
        "metadata/Acquisition_instrument/TEM": tem,
        "metadata/Acquisition_instrument/TEM/Detector/EELS": eels,
        "original_metadata/live_eels": {
            "scan_id": clean(scan.id),
            "software": f"live_eels {__version__}",
            "passes": scan.passes,
            "config": clean(config_text)[:32768],
        },
    }
    for name, leaves in tree.items():
        known = {key: value for key, value in leaves.items() if value is not None}
        if known:
            experiment.require_group(name).attrs.update(known)
