"""Raw counts to disk, before anything else touches them.

Lives here: the recording of one scan while it runs. Reading back from it is in
`stored_counts`, its end in `results`. Knows no socket, no analysis and no queue.

The file is laid out once (`layout.create`) and closed; from then on counts are plain writes
at their place in the file. So the stream never waits for HDF5's lock, any reader can open the
file at any moment of the scan, and what was written is there after a kill.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from live_eels.io import layout
from live_eels.io.layout import Extent
from live_eels.io.overlay import disk_trouble, reserve_space, write_all
from live_eels.io.results import Note, append_end
from live_eels.io.stored_counts import StoredCounts
from live_eels.io.write_behind import WriteBehind
from live_eels.spectra import Chunk, MapSnapshot, Scan, ScanEnd

_SPARE_BYTES = 64 * 1024 * 1024
"""Room left beside the counts for maps and for the computer to breathe."""

_MAX_VISITS = np.iinfo(np.uint16).max


class RecorderError(Exception):
    """The recording cannot be made or continued; the message says what to do."""


class Recorder:
    """The recording of one scan.

    ``hyperspy.api.load(path)`` gives the spectra (core loss first, then low loss) as
    calibrated `EELSSpectrum`, also mid-scan, also ``lazy=True``; the maps come with
    ``load(path, reader="nexus", dataset_key="entry/maps", nxdata_only=True)``.

    One thread writes; `read`, `window_sum` and `visits` may be called from any thread at any
    time, also after `finish`.

    Parameters
    ----------
    path
        The new file, named ``*.hspy``; an existing one is never overwritten.
    config_text
        The settings of the engine as TOML, kept in the file.
    reserve
        Take the disk space of the whole scan now, so that a scan that does not fit fails
        before its first spectrum.
    flush_every_s
        How often written counts are forced to the disk, in the background: what a power cut
        can cost. A killed program costs nothing.

    Raises
    ------
    RecorderError
        If the file exists, cannot be made, or does not fit on the disk.
    """

    def __init__(
        self,
        path: Path | str,
        scan: Scan,
        *,
        config_text: str = "",
        reserve: bool = True,
        flush_every_s: float = 5.0,
    ) -> None:
        self.path = Path(path)
        self.scan = scan
        self.bytes_written = 0
        self.finished = False
        self._names = {signal.name: role for role, signal in layout.roles(scan).items()}
        extents = _lay_out(self.path, scan, config_text, reserve=reserve)
        self._file = io.FileIO(self.path, "r+")
        self._behind = {role: WriteBehind(self._file.fileno()) for role in extents}
        self._stored = {role: StoredCounts(self.path, extent) for role, extent in extents.items()}
        self._notes: list[Note] = []
        self._has_end = False
        self._flush_every_s = flush_every_s
        self._flushed_s = time.monotonic()
        self._flusher: threading.Thread | None = None
        self._flush_error: OSError | None = None

    def write(self, chunk: Chunk) -> Chunk:
        """Add raw counts to their pixels.

        With several passes a pixel's counts add up; in a scan of one pass a pixel that comes
        again (a live view) replaces what was there.

        Returns
        -------
        Chunk
            The same chunk; with several passes, one whose counts are the sums so far in the
            stored dtype (see `layout.stored_dtype`).

        Raises
        ------
        RecorderError
            If the disk is full or gone, or the chunk does not belong to this scan.
        """
        pixels = chunk.pixels
        if pixels.size == 0:
            return chunk
        try:
            core = self._add("core", pixels, chunk.counts, chunk.core_seen)
            low = None
            if chunk.low is not None:
                low = self._add("low", pixels, chunk.low, chunk.low_seen)
            self._flush_when_due()
        except OSError as error:
            raise RecorderError(disk_trouble(self.path, error)) from error
        if self.scan.passes <= 1:
            return chunk
        return replace(
            chunk,
            counts=core,
            low=low,
            core_seen=self._stored["core"].seen(pixels),
            low_seen=None if low is None else self._stored["low"].seen(pixels),
            summed=self.summed(pixels),
            low_summed=None if low is None else self.summed(pixels, "low"),
        )

    def _add(
        self,
        role: str,
        pixels: NDArray[np.int64],
        counts: NDArray[Any],
        seen: NDArray[np.bool_] | None,
    ) -> NDArray[Any]:
        stored = self._stored.get(role)
        if stored is None or counts.shape != (pixels.size, stored.extent.channels):
            raise RecorderError(
                f"scan {self.scan.id}: {role} counts of shape {counts.shape} do not belong to "
                f"a scan of {self.scan.pixels} pixels and "
                f"{0 if stored is None else stored.extent.channels} channels"
            )
        extent = stored.extent
        adding = self.scan.passes > 1
        sums = np.array(counts, extent.dtype) if adding else counts
        if sums.dtype != extent.dtype:
            raise RecorderError(
                f"scan {self.scan.id}: {role} counts are {sums.dtype}, announced {extent.dtype}"
            )
        for rows, first in _runs(pixels, seen):
            block = sums[rows]
            stop = first + len(block)
            if first < 0 or stop > extent.pixels:
                raise RecorderError(
                    f"scan {self.scan.id}: pixel {first if first < 0 else stop - 1} is not one "
                    f"of its {extent.pixels} pixels"
                )
            visits = stored.visits[first:stop]
            if adding and visits.any():
                again = slice(None) if visits.all() else visits > 0
                block[again] += stored.counts[first:stop][again]
                if not isinstance(rows, slice):  # then the block is a copy
                    sums[rows] = block
            offset = extent.offset + first * extent.row_bytes
            write_all(self._file, offset, np.ascontiguousarray(block))
            self._behind[role].wrote(offset, block.nbytes)
            # Counts before their visit, so that what is marked as seen is there to be read.
            visits[:] = np.minimum(visits, _MAX_VISITS - 1) + 1 if adding else 1
            write_all(self._file, extent.visits_offset + 2 * first, visits)
            self.bytes_written += block.nbytes
        if adding and seen is not None and not seen.all():
            sums[~seen] = stored.read(pixels[~seen])
        return sums

    def read(self, pixels: NDArray[np.int64], signal: str = "core") -> NDArray[Any]:
        """Read counts from the disk, ``(pixel, channel)``; pixels never seen are 0."""
        return self._of(signal).read(pixels)

    def summed(self, pixels: NDArray[np.int64], signal: str = "core") -> NDArray[np.uint16] | None:
        """Visits that the counts of ``pixels`` are the sums of; None in a scan of one pass."""
        return self._of(signal).visits[pixels] if self.scan.passes > 1 else None

    def visits(self, signal: str = "core") -> NDArray[np.uint16]:
        """How many spectra each pixel got so far, uint16 ``(scan pixels,)``; a copy."""
        return self._of(signal).visits.copy()

    def missing(self, signal: str = "core") -> NDArray[np.int64]:
        """Pixels never seen, as int64 ``(run, 2)``: first, and the one after the last."""
        return self._of(signal).missing()

    def window_sum(self, channels: slice, signal: str = "core") -> NDArray[np.float64]:
        """Sum ``channels`` of every pixel, float64 ``(scan pixels,)``; nan where unseen."""
        return self._of(signal).window_sum(channels)

    def mean_std(
        self, pixels: NDArray[np.int64], signal: str = "core"
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        """Average the pixels that were seen.

        Returns
        -------
        mean, std
            Counts, float64 ``(channel,)``; the standard deviation is that between the pixels.
            nan where no pixel was seen.
        n
            How many of the pixels were seen.
        """
        return self._of(signal).mean_std(pixels)

    def _of(self, signal: str) -> StoredCounts:
        role = signal if signal in self._stored else self._names.get(signal)
        if role is None:
            raise KeyError(f"the recording has {sorted(self._stored)}, not {signal!r}")
        return self._stored[role]

    def note(
        self,
        text: str,
        pixels: NDArray[np.int64] | None = None,
        corner: tuple[int, int] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Keep a remark, with its place, written into the file at the end of the scan."""
        where = () if pixels is None else tuple(int(p) for p in np.ravel(pixels))
        self._notes.append(Note(text, where, time.time(), corner, size))

    def flush(self) -> None:
        """Force what was written to the disk; returns when it is there."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RecorderError(disk_trouble(self.path, error)) from error

    def _flush_when_due(self) -> None:
        now = time.monotonic()
        if now - self._flushed_s < self._flush_every_s:
            return
        if self._flush_error is not None:
            raise self._flush_error
        if self._flusher is None or not self._flusher.is_alive():
            self._flushed_s = now
            self._flusher = threading.Thread(target=self._flush_quietly, name="flush", daemon=True)
            self._flusher.start()

    def _flush_quietly(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._flush_error = error

    def finish(
        self,
        end: ScanEnd,
        snapshot: MapSnapshot | None = None,
        counters: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the end of the scan, its maps and counters, and let go of the file.

        Once more, with other maps or after a note, it replaces what it wrote; in a file that
        was closed without an end, it changes nothing.

        Raises
        ------
        RecorderError
            If they could not be written; the counts are safe and the file is readable.
        """
        if self.finished and not self._has_end:
            return
        missing = {role: stored.missing() for role, stored in self._stored.items()}
        self._wait_for_flush()
        try:
            if self._has_end:
                self._file = self.path.open("r+b", buffering=0)
            self.finished = self._has_end = True
            append_end(self._file, end, missing, snapshot, counters or {}, self._notes)
        except OSError as error:
            raise RecorderError(
                f"{disk_trouble(self.path, error)} The counts are safe; maps and summary of "
                "this scan are not in the file: run `live-eels process` on it."
            ) from error
        finally:
            self._file.close()

    def close(self) -> None:
        """Let go of a file without an end, as if the program had been killed here."""
        self._wait_for_flush()
        self.finished = True
        self._file.close()

    def discard(self) -> None:
        """Remove the file: this scan is not to be kept."""
        self.close()
        for stored in self._stored.values():
            stored.let_go()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def _wait_for_flush(self) -> None:
        if self._flusher is not None:
            self._flusher.join()


def _lay_out(path: Path, scan: Scan, config_text: str, *, reserve: bool) -> dict[str, Extent]:
    """Make the file and take its disk space; leave nothing behind if that fails."""
    if path.suffix != ".hspy":
        raise RecorderError(f"{path}: name the recording *.hspy, HyperSpy refuses other names")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecorderError(f"{path.parent}: cannot make this folder: {error}") from error
    try:
        free = shutil.disk_usage(path.parent).free
        needed = _SPARE_BYTES + sum(
            scan.pixels * s.axis.size * layout.stored_dtype(s.dtype, scan.passes).itemsize
            for s in layout.roles(scan).values()
        )
        if reserve and needed > free:
            raise RecorderError(
                f"{path}: the scan needs {needed / 1e9:.3g} GB and the disk has "
                f"{free / 1e9:.3g} GB left: free some space, or record elsewhere"
            )
        extents = layout.create(path, scan, config_text)
        if reserve:
            for extent in extents.values():
                reserve_space(path, extent.offset, extent.nbytes)
    except FileExistsError as error:
        raise RecorderError(f"{path} exists already and is not overwritten") from error
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise RecorderError(f"{path}: cannot make the recording: {error}") from error
    return extents


def _runs(
    pixels: NDArray[np.int64], seen: NDArray[np.bool_] | None
) -> Iterator[tuple[slice | NDArray[np.int64], int]]:
    """``(rows of the chunk, first pixel)`` of each stretch of consecutive pixels."""
    if seen is None or seen.all():
        count = pixels.size
        first = int(pixels[0])
        if count == 1 or (int(pixels[-1]) - first == count - 1 and np.all(np.diff(pixels) == 1)):
            yield slice(0, count), first
            return
        order = np.argsort(pixels, kind="stable")
    else:
        order = np.flatnonzero(seen)
        order = order[np.argsort(pixels[order], kind="stable")]
    if order.size == 0:
        return
    ordered = pixels[order]
    cuts = np.flatnonzero(np.diff(ordered) != 1) + 1
    for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), order.size], strict=True):
        yield order[start:stop], int(ordered[start])
