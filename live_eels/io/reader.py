"""Recordings opened: our own files and any HyperSpy ``.hspy``, without HyperSpy.

Lives here: `open_recording` and the reading of HDF5. Nothing is ever unpickled, no link out
of the file is followed, and sizes are bounded before anything is allocated.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
from numpy.typing import NDArray

from live_eels.io import foreign, layout, leaves
from live_eels.io.recording import (
    MAX_CHANNELS,
    FileError,
    FileSignal,
    Recording,
    Rows,
    as_counts,
    check_shape,
    energy_axis,
    from_signals,
    joined,
    titled,
    usable_dtype,
)
from live_eels.spectra import (
    Curve,
    EnergyAxis,
    Instrument,
    MapSpec,
    NavigationAxis,
    Scan,
    ScanEnd,
)

__all__ = ["FileError", "Recording", "open_recording"]

MAX_MAP_BYTES = 1 << 30
MAX_EXPERIMENTS = 64
MAX_HDF5_CHUNK_BYTES = 1 << 30
MAX_TRIES = 10
STEADY_S = 0.02
"""A file that was not written to for so long is as its writer left it."""

_DAMAGE = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError,
    OverflowError, MemoryError, msgspec.MsgspecError,
)  # fmt: skip
"""What h5py and our own parsing raise on a file whose bytes do not fit together."""


def open_recording(path: Path | str, low_loss: Path | str | None = None) -> Recording:
    """Open a recording: ours, a HyperSpy ``.hspy``, or another format through RosettaSciIO.

    Parameters
    ----------
    low_loss
        A second file with the low-loss spectra of the same pixels.

    Raises
    ------
    FileError
        If there is no such file, or it holds no spectra we can use.
    """
    path = Path(path)
    recording = _open_one(path)
    if low_loss is None:
        return recording
    return joined(recording, _open_one(Path(low_loss)))


def _open_one(path: Path) -> Recording:
    if not path.exists():
        raise FileError(f"{path}: there is no such file")
    if path.is_dir():
        raise FileError(f"{path} is a folder; name one file in it")
    if path.suffix.lower() in (".hspy", ".hdf5", ".h5"):
        return _open_hspy(path)
    return foreign.open_foreign(path)


def _open_hspy(path: Path) -> Recording:
    """Open a file; once more if it was written to meanwhile, as the end of a scan is."""
    for _ in range(MAX_TRIES - 1):
        before = path.stat()
        try:
            recording = _open_as_it_is(path)
        except FileError:
            if _steady(path, before):
                raise
        else:
            running = recording.facts.get("state") == "recording"
            if running or recording.end is not None or _steady(path, before):
                return recording
            recording.close()
        time.sleep(STEADY_S)
    return _open_as_it_is(path)


def _steady(path: Path, before: os.stat_result) -> bool:
    """Whether nobody wrote to the file since, nor just before (its clock is coarse)."""
    now = path.stat()
    same = (now.st_mtime_ns, now.st_size) == (before.st_mtime_ns, before.st_size)
    return same and time.time() - now.st_mtime > STEADY_S


def _open_as_it_is(path: Path) -> Recording:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FileError(
            f"{path} cannot be opened as HDF5 ({error}): is it whole, and a HyperSpy file?"
        ) from error
    try:
        return _read_hspy(file, path)
    except FileError:
        file.close()
        raise
    except _DAMAGE as error:
        file.close()
        raise FileError(
            f"{path} is damaged or not a HyperSpy file ({type(error).__name__}: {error}); "
            "open it in HyperSpy and save it anew as .hspy"
        ) from error


def _read_hspy(file: h5py.File, path: Path) -> Recording:
    recording = from_signals(_signals(file, path), path, file.close)
    ours = file.get("live_eels")
    return _with_ours(recording, file, ours) if isinstance(ours, h5py.Group) else recording


def _signals(file: h5py.File, path: Path) -> list[FileSignal]:
    groups = file.get("Experiments")
    if not isinstance(groups, h5py.Group):
        raise FileError(
            f"{path} has no /Experiments: it is not a HyperSpy file; "
            "save the spectra from HyperSpy as .hspy"
        )
    found, refusals = [], []
    for name in list(groups)[:MAX_EXPERIMENTS]:
        if isinstance(groups.get(name, getlink=True), h5py.ExternalLink):
            continue
        group = groups[name]
        if isinstance(group, h5py.Group) and "data" in group:
            try:
                found.append(_signal(group, name, path))
            except FileError as refusal:
                refusals.append(str(refusal))
    if not found:
        raise FileError(refusals[0] if refusals else f"{path} holds no signal")
    return found


def _signal(group: h5py.Group, name: str, path: Path) -> FileSignal:
    dataset = _own_dataset(group, name, path)
    if dataset.dtype.hasobject or dataset.dtype.kind in "OSUV":
        raise FileError(f"{path}: {name!r} holds objects, not numbers, and is not read")
    dtype = usable_dtype(dataset.dtype, path)
    if dataset.ndim < 1 or dataset.ndim > 8:
        raise FileError(f"{path}: {name!r} has {dataset.ndim} axes, which is no spectrum image")
    check_shape(dataset.shape[:-1], path)
    axes = [_axis(group, number, dataset.ndim) for number in range(dataset.ndim)]
    navigates = [
        bool(axis.get("navigate", number < dataset.ndim - 1)) for number, axis in enumerate(axes)
    ]
    if navigates != [True] * (dataset.ndim - 1) + [False]:
        raise FileError(
            f"{path}: {name!r} is not a spectrum image (one energy axis, in last place); in "
            "HyperSpy, signal.as_signal1D(axis) makes it one"
        )
    if str(axes[-1].get("_type", "UniformDataAxis")) != "UniformDataAxis":
        raise FileError(
            f"{path}: the energy axis of {name!r} is not uniform; in HyperSpy, "
            "signal.interpolate_on_axis makes it so"
        )
    metadata = group.get("metadata")
    kind = leaves.text(leaves.leaf(metadata, "Signal", "signal_type"))
    if kind.startswith("EDS"):
        raise FileError(f"{path}: {name!r} holds X-ray spectra ({kind}), not energy losses")
    return FileSignal(
        title=titled(leaves.text(leaves.leaf(metadata, "General", "title")) or name, path),
        navigation=tuple(
            NavigationAxis(
                leaves.text(axis.get("name")) or f"axis {number}",
                dataset.shape[number],
                leaves.number(axis.get("scale"), 1.0),
                leaves.text(axis.get("units")),
                leaves.number(axis.get("offset"), 0.0),
            )
            for number, axis in enumerate(axes[:-1])
        ),
        axis=energy_axis(
            dataset.shape[-1],
            float(axes[-1].get("offset", 0.0)),
            float(axes[-1].get("scale", 1.0)),
            leaves.text(axes[-1].get("units")),
            path,
        ),
        dtype=dtype,
        instrument=_instrument(metadata),
        simulated=leaves.text(leaves.leaf(metadata, "Signal", "signal_origin")) == "simulation",
        rows=_dataset_rows(dataset, dtype, path),
    )


def _own_dataset(group: h5py.Group, name: str, path: Path) -> h5py.Dataset:
    """Find the counts, if they lie in this file and can be read in pieces."""
    if isinstance(group.get("data", getlink=True), h5py.ExternalLink):
        raise FileError(f"{path}: the counts of {name!r} lie in another file, which is not read")
    dataset = group["data"]
    if not isinstance(dataset, h5py.Dataset):
        raise FileError(f"{path}: {name!r} holds no counts")
    if dataset.external or dataset.is_virtual:
        raise FileError(f"{path}: the counts of {name!r} lie in another file, which is not read")
    if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > MAX_HDF5_CHUNK_BYTES:
        raise FileError(
            f"{path}: {name!r} is stored in pieces of more than 1 GiB; "
            "open it in HyperSpy and save it anew"
        )
    return dataset


def _axis(group: h5py.Group, number: int, ndim: int) -> dict[str, Any]:
    node = group.get(f"axis-{number}")
    if not isinstance(node, h5py.Group):
        node = group.get(f"_list_{ndim}_axes/{number}")
    if not isinstance(node, h5py.Group):
        raise KeyError(f"axis-{number}")
    return dict(node.attrs)


def _instrument(metadata: Any) -> Instrument:
    tem = ("Acquisition_instrument", "TEM")
    eels = (*tem, "Detector", "EELS")
    dwell = leaves.known(leaves.leaf(metadata, *eels, "dwell_time"))
    return Instrument(
        beam_energy_kev=leaves.known(leaves.leaf(metadata, *tem, "beam_energy")),
        convergence_mrad=leaves.known(leaves.leaf(metadata, *tem, "convergence_angle")),
        collection_mrad=leaves.known(leaves.leaf(metadata, *eels, "collection_angle")),
        dwell_s=leaves.known(leaves.leaf(metadata, *tem, "dwell_time")) if dwell is None else dwell,
        beam_current_na=leaves.known(leaves.leaf(metadata, *tem, "beam_current")),
        microscope=leaves.text(leaves.leaf(metadata, *tem, "microscope")),
        spectrometer=leaves.text(leaves.leaf(metadata, *eels, "spectrometer")),
    )


def _dataset_rows(dataset: h5py.Dataset, dtype: str, path: Path) -> Rows:
    shape = dataset.shape[:-1]

    def rows(pixels: NDArray[np.int64]) -> NDArray[Any]:
        out = np.empty((pixels.size, dataset.shape[-1]), dataset.dtype)
        try:
            for start, stop in _row_runs(pixels, shape[-1] if shape else 1):
                first = np.unravel_index(int(pixels[start]), shape) if shape else ()
                where: tuple[int | slice, ...] = tuple(int(i) for i in first[:-1])
                if shape:
                    where = (*where, slice(int(first[-1]), int(first[-1]) + stop - start))
                out[start:stop] = dataset[where]
        except _DAMAGE as error:
            raise FileError(
                f"{path}: its counts cannot be read ({error}); if they are compressed by a "
                "filter that HDF5 lacks, `pip install hdf5plugin`"
            ) from error
        return as_counts(out, dtype, path)

    return rows


def _row_runs(pixels: NDArray[np.int64], row: int) -> Iterator[tuple[int, int]]:
    """Stretches of consecutive ascending pixels that stay on one row of the scan."""
    if pixels.size == 0:
        return
    breaks = (np.diff(pixels) != 1) | (pixels[1:] % row == 0)
    cuts = [0, *(np.flatnonzero(breaks) + 1).tolist(), pixels.size]
    yield from itertools.pairwise(cuts)


# --- what only our own recordings hold ----------------------------------------------------


def _with_ours(recording: Recording, file: h5py.File, ours: h5py.Group) -> Recording:
    references = {}
    for kind in ("dark", "gain"):
        for role in ("core", "low"):
            values = leaves.array(
                ours.get(f"{kind}/{role}"), np.dtype(np.float32), MAX_CHANNELS * 4
            )
            if values is not None:
                references[kind, role] = values
    stored = layout.decode_scan(leaves.string(ours.get("scan")) or "", {})
    if stored.shape != recording.scan.shape:
        raise FileError(
            f"{recording.path}: its announcement has shape {stored.shape}, its counts "
            f"{recording.scan.shape}"
        )
    signals = []
    for role, signal in layout.roles(stored).items():
        in_file = recording.scan.core if role == "core" else recording.scan.low
        if in_file is None or in_file.axis.size != signal.axis.size:
            raise FileError(f"{recording.path}: its {role} counts do not fit its announcement")
        signals.append(
            replace(
                signal,
                dtype=in_file.dtype,
                dark=references.get(("dark", role)),
                gain=references.get(("gain", role)),
            )
        )
    maps, specs = _maps(file.get("entry/maps"), stored.shape or (1,))
    return replace(
        recording,
        scan=replace(stored, signals=tuple(signals), passes=1),
        passes=stored.passes,
        seen={
            role: visits.reshape(-1)
            for role in recording.rows
            if (visits := _visits(ours, role, stored)) is not None
        },
        maps=maps,
        specs=specs,
        curves=_curves(ours.get("curves")),
        end=leaves.from_json(ours.get("end"), ScanEnd),
        facts={
            "state": leaves.text(ours.attrs.get("state")),
            "software": leaves.text(ours.attrs.get("software")),
            "config": leaves.string(ours.get("config")) or "",
            "counters": leaves.from_json(ours.get("counters"), dict[str, Any]) or {},
            "notes": leaves.from_json(ours.get("notes"), list[dict[str, Any]]) or [],
        },
    )


def _visits(ours: h5py.Group, role: str, scan: Scan) -> NDArray[np.uint16] | None:
    visits = leaves.array(ours.get(f"visits/{role}"), np.dtype(np.uint16), 2 * scan.pixels)
    return visits if visits is not None and visits.size == scan.pixels else None


def _maps(
    group: Any, shape: tuple[int, ...]
) -> tuple[dict[str, NDArray[np.float32]], dict[str, MapSpec]]:
    maps: dict[str, NDArray[np.float32]] = {}
    specs: dict[str, MapSpec] = {}
    if not isinstance(group, h5py.Group):
        return maps, specs
    for name, node in group.items():
        if not isinstance(node, h5py.Group):
            continue
        values = leaves.array(node.get("values"), np.dtype(np.float32), MAX_MAP_BYTES)
        spec = msgspec.json.decode(leaves.text(node.attrs.get("spec")), type=MapSpec)
        if values is not None and values.shape == shape:
            maps[name], specs[name] = values, spec
    return maps, specs


def _curves(group: Any) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    for name, node in group.items() if isinstance(group, h5py.Group) else ():
        if not isinstance(node, h5py.Group):
            continue
        axis = msgspec.json.decode(leaves.text(node.attrs.get("axis")), type=EnergyAxis)
        labels = msgspec.json.decode(leaves.text(node.attrs.get("labels")), type=tuple[str, ...])
        values, error = (
            leaves.array(node.get(part), np.dtype(np.float32), MAX_MAP_BYTES)
            for part in ("values", "error")
        )
        if values is not None and values.shape == (len(labels), axis.size):
            curves[name] = Curve(axis, values, labels, leaves.text(node.attrs.get("unit")), error)
    return curves
