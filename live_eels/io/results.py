"""The end of a recording: maps, curves and counters added to a file that is never at risk.

Lives here: what is written when a scan ends, and the careful way in which it is written.
HDF5 never opens the recording for writing: it works on an overlay, whose changes are then
copied into the file, appended bytes first, the few bytes that refer to them last. A full
disk or a kill in between leaves the recording as it was, readable.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import msgspec
import numpy as np

from live_eels.io.nexus import clean, make_group, write_axes
from live_eels.spectra import Curve, MapSnapshot, MapSpec, ScanEnd

_PAGE = 64 * 1024


class _Overlay(io.RawIOBase):
    """A file as it will be: reads fall through to ``base``, writes stay in memory."""

    def __init__(self, base: io.RawIOBase) -> None:
        self._base = base
        self.base_size = base.seek(0, io.SEEK_END)
        self.size = self.base_size
        self.pages: dict[int, bytearray] = {}
        self._position = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = start + offset
        return self._position

    def truncate(self, size: int | None = None) -> int:
        self.size = self._position if size is None else size
        return self.size

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        count = max(0, min(len(target), self.size - self._position))
        target[:count] = bytes(count)
        done = 0
        while done < count:
            number, within = divmod(self._position + done, _PAGE)
            step = min(_PAGE - within, count - done)
            page = self.pages.get(number)
            if page is not None:
                target[done : done + step] = page[within : within + step]
            else:
                self._base.seek(self._position + done)
                self._base.readinto(target[done : done + step])
            done += step
        self._position += count
        return count

    def write(self, data: Any) -> int:
        source = memoryview(data).cast("B")
        done = 0
        while done < len(source):
            number, within = divmod(self._position + done, _PAGE)
            step = min(_PAGE - within, len(source) - done)
            self._page(number)[within : within + step] = source[done : done + step]
            done += step
        self._position += done
        self.size = max(self.size, self._position)
        return done

    def _page(self, number: int) -> bytearray:
        page = self.pages.get(number)
        if page is None:
            page = self.pages[number] = bytearray(_PAGE)
            self._base.seek(number * _PAGE)
            self._base.readinto(page)
        return page

    def changes(self) -> list[tuple[int, bytes]]:
        """``(offset, bytes)`` to write: the appended ones first, from the last to the first."""
        runs = []
        for number in sorted(self.pages, reverse=True):
            start = number * _PAGE
            runs.append((start, bytes(self.pages[number][: max(0, self.size - start)])))
        return [run for run in runs if run[1]]


@dataclass(frozen=True, slots=True)
class Note:
    """A remark made during the scan: flat pixel indices (none: about the whole scan)."""

    text: str
    pixels: tuple[int, ...]
    clock_s: float


def append_end(
    file: io.FileIO,
    end: ScanEnd,
    missing: Mapping[str, np.ndarray[Any, np.dtype[np.int64]]],
    snapshot: MapSnapshot | None,
    counters: Mapping[str, Any],
    notes: Sequence[Note],
) -> None:
    """Complete the recording in ``file`` (open for reading and writing, unbuffered).

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
    overlay = _Overlay(file)
    with h5py.File(overlay, "r+", libver=("v110", "v110")) as recording:
        _write_end(recording, end, missing, counters, notes)
        if snapshot is not None:
            _write_results(recording, snapshot)
    changes = overlay.changes()
    for offset, data in changes:
        if offset + len(data) <= overlay.base_size:
            os.fsync(file.fileno())  # what the head refers to is on the disk before the head
        write_all(file, offset, data)
    os.fsync(file.fileno())


def write_all(file: io.FileIO, offset: int, data: Any) -> None:
    """Write all bytes of a contiguous buffer at ``offset``, however many calls it takes."""
    file.seek(offset)
    rest = memoryview(data).cast("B")
    written = file.write(rest)
    while written is not None and written < len(rest):
        rest = rest[written:]
        written = file.write(rest)


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
    remarks = [note.text for note in notes]
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
