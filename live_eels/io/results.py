"""The end of a recording: maps, curves and counters added to a file that is never at risk.

Lives here: what is written when a scan ends. How it is written, so that a full disk or a kill
leaves the recording as it was, is `overlay`'s matter.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import msgspec
import numpy as np

from live_eels.io.nexus import clean, make_group, write_axes
from live_eels.io.overlay import Overlay
from live_eels.spectra import Curve, MapSnapshot, MapSpec, ScanEnd

_REPLACED = (
    "entry/maps",
    *(f"live_eels/{name}" for name in ("end", "counters", "notes", "missing", "curves", "scree")),
)
_OLD = " (old)"


@dataclass(frozen=True, slots=True)
class Note:
    """A remark about the scan: flat pixel indices, or a rectangle, or neither (all of it).

    ``corner`` and ``size`` are ``(y, x)`` in pixels; ``clock_s`` is UNIX time.
    """

    text: str
    pixels: tuple[int, ...]
    clock_s: float
    corner: tuple[int, int] | None = None
    size: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.corner is not None:
            rows, columns = self.size or (1, 1)
            return f"{self.text} [pixel {self.corner}, {rows} x {columns}]"
        if self.pixels:
            more = f" and {len(self.pixels) - 1} more" if len(self.pixels) > 1 else ""
            return f"{self.text} [pixel {self.pixels[0]}{more}]"
        return self.text


def append_end(
    file: io.FileIO,
    end: ScanEnd,
    missing: Mapping[str, np.ndarray[Any, np.dtype[np.int64]]],
    snapshot: MapSnapshot | None,
    counters: Mapping[str, Any],
    notes: Sequence[Note],
) -> None:
    """Complete the recording in ``file`` (open for reading and writing, unbuffered).

    In one that is complete already the new takes the place of the old, whose room in the file
    is not used again.

    Parameters
    ----------
    missing
        For each recorded signal the pixels that never came, as int64 ``(run, 2)``:
        first pixel, and the one after the last.

    Raises
    ------
    OSError
        If there is no room for it; the recording then stays as it was, readable.
    """
    overlay = Overlay(file)
    with h5py.File(overlay, "r+", libver=("v110", "v110")) as recording:
        # Removed last: HDF5 would write the new over the old, which a kill half-way must not do.
        replaced = [name for name in _REPLACED if name in recording]
        for name in replaced:
            recording.move(name, name + _OLD)
        _write_end(recording, end, missing, counters, notes)
        if snapshot is not None:
            _write_results(recording, snapshot)
        for name in replaced:
            del recording[name + _OLD]
    overlay.commit(file)


def _write_end(
    recording: h5py.File,
    end: ScanEnd,
    missing: Mapping[str, np.ndarray[Any, np.dtype[np.int64]]],
    counters: Mapping[str, Any],
    notes: Sequence[Note],
) -> None:
    ours = recording["live_eels"]
    ours.attrs["state"] = end.reason
    ours["end"] = msgspec.json.encode(end).decode()
    ours["counters"] = clean(msgspec.json.encode(dict(counters), enc_hook=_plain).decode())
    ours["notes"] = clean(msgspec.json.encode(list(notes)).decode())
    for role, runs in missing.items():
        if len(runs):  # RosettaSciIO's NeXus reader chokes on arrays without elements
            ours[f"missing/{role}"] = np.asarray(runs, np.int64).reshape(-1, 2)
    lost = sum(int(stop - start) for start, stop in missing.get("core", ()))
    remarks = [str(note) for note in notes]
    if end.reason != "complete":
        remarks.insert(0, f"The scan ended early: {end.reason}.")
    if lost:
        remarks.insert(0, f"{lost} pixels never came; their counts are 0 (/live_eels/missing).")
    if remarks:
        for experiment in recording["Experiments"].values():
            experiment["metadata/General"].attrs["notes"] = clean("\n".join(remarks))[:32768]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)


def _write_results(file: h5py.File, snapshot: MapSnapshot) -> None:
    """Add maps, curves and scree of the last snapshot to an open recording."""
    ours = file["live_eels"]
    maps = make_group(file["entry"], "maps", "NXcollection")
    for name, values in snapshot.maps.items():
        _write_map(maps, snapshot, clean(name).replace("/", "-"), snapshot.specs[name], values)
    for name, curve in snapshot.curves.items():
        _write_curve(ours.require_group("curves"), clean(name).replace("/", "-"), curve)
    if snapshot.scree is not None:
        ours["scree"] = np.asarray(snapshot.scree, np.float32)
        ours["scree"].attrs["components"] = snapshot.components


def _write_map(
    maps: h5py.Group, snapshot: MapSnapshot, name: str, spec: MapSpec, values: Any
) -> None:
    group = make_group(maps, name, "NXdata")
    axes = write_axes(group, snapshot.scan.navigation)
    stored = group.create_dataset("values", data=np.asarray(values, np.float32))
    stored.attrs["units"] = clean(spec.unit)
    stored.attrs["long_name"] = clean(spec.meaning or spec.name)
    if len(axes) == 2:
        stored.attrs["interpretation"] = "image"
        group.attrs["interpretation"] = "image"
    group.attrs["signal"] = "values"
    group.attrs["axes"] = axes or ["."]
    group.attrs["spec"] = clean(msgspec.json.encode(spec).decode())


def _write_curve(curves: h5py.Group, name: str, curve: Curve) -> None:
    group = curves.create_group(name)
    group["values"] = np.asarray(curve.values, np.float32)
    if curve.error is not None:
        group["error"] = np.asarray(curve.error, np.float32)
    group.attrs["axis"] = msgspec.json.encode(curve.axis).decode()
    group.attrs["labels"] = msgspec.json.encode([clean(label) for label in curve.labels]).decode()
    group.attrs["unit"] = clean(curve.unit)
