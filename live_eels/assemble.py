"""Messages in, chunks out: puts spectra together and keeps the books.

Lives here: what messages may come, their order, late joins, when a chunk closes, scans that
end without saying so. Every message is accounted for in ``Counters``. Knows no socket and
no clock; the time of arrival is an argument.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from live_eels.books import Counters, Sequence
from live_eels.losses import Losses
from live_eels.open_chunk import CORE, OpenChunk
from live_eels.spectra import Chunk, Scan, ScanEnd, Spectra, WireError

Assembled = Scan | Chunk | ScanEnd

MAX_ORPHANS = 65_536


class AssembleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How spectra become chunks.

    Attributes
    ----------
    chunk_pixels
        A chunk is closed when it has this many pixels (or when nothing more has arrived).
    pair_pixels
        How many pixels may wait for their low-loss (or core-loss) partner.
    orphan_mib
        How much is kept of spectra that come before their scan was announced, MiB
        (and at most 65 536 messages).
    """

    chunk_pixels: Annotated[int, Meta(ge=1, le=65_536)] = 2048
    pair_pixels: Annotated[int, Meta(ge=1, le=65_536)] = 4096
    orphan_mib: Annotated[float, Meta(ge=0, le=16_384)] = 64.0


class Assembler:
    """Turns the messages of any number of scans, one after another, into chunks.

    Feed it every message; call ``flush`` when nothing more has arrived for now. That is the
    whole rule of chunk size: a chunk is what came while the one before was handed over, so
    chunks are small when the beam is slow (latency) and large when it is fast (throughput).
    """

    def __init__(self, settings: AssembleSettings | None = None) -> None:
        self.settings = settings or AssembleSettings()
        self.scan: Scan | None = None
        self.counters = Counters()
        self.losses = Losses(np.zeros(0, np.bool_))
        self._sequence = Sequence()
        self._open: OpenChunk | None = None
        self._orphans: deque[Spectra] = deque()
        self._orphan_bytes = 0
        self._ended: deque[str] = deque(maxlen=64)
        self._received_s = math.nan
        self._clock_s = math.nan

    def feed(
        self, message: Scan | Spectra | ScanEnd, received_s: float = math.nan
    ) -> list[Assembled]:
        """Take one message; return what it completes, in order.

        Parameters
        ----------
        message
            As decoded; the counts of a ``Spectra`` are copied (or, where the message is a
            whole chunk by itself, passed on as they are).
        received_s
            Monotonic clock when the message came.

        Raises
        ------
        WireError
            If the message contradicts its scan (wrong channels, dtype, pixels, signal). It is
            then dropped whole, and its sequence number counts as missing.
        """
        match message:
            case Spectra():
                return self._spectra(message, received_s)
            case Scan():
                return self._begin(message)
            case ScanEnd():
                return self._end(message)

    def flush(self) -> list[Assembled]:
        """Close the chunk with what is complete: nothing more has arrived for now."""
        return self._close(incomplete_too=False)

    @property
    def pending(self) -> int:
        """Pixels of the open chunk."""
        return self._open.n if self._open else 0

    def _begin(self, scan: Scan) -> list[Assembled]:
        if (self.scan is not None and scan.id == self.scan.id) or scan.id in self._ended:
            return []  # announced again for late subscribers
        out = self._finish(ScanEnd(self.scan.id, "lost")) if self.scan else []
        self.scan, self.counters, self._sequence = scan, Counters(), Sequence()
        settings = self.settings
        waiting = settings.pair_pixels if scan.low else 0
        rows = min(settings.chunk_pixels + waiting, max(scan.pixels, 1))
        self._open = OpenChunk(scan, rows)
        self.losses = Losses(self._open.seen)
        out.append(scan)
        orphans, self._orphans, self._orphan_bytes = self._orphans, deque(), 0
        for spectra in orphans:
            if spectra.scan_id != scan.id:
                self.counters.orphans += len(spectra.pixels)
                continue
            try:
                out += self._spectra(spectra, self._received_s)
            except WireError:  # it came before anything could be checked; it counts as dropped
                self.counters.orphans += len(spectra.pixels)
        return out

    def _end(self, end: ScanEnd) -> list[Assembled]:
        if self.scan is None or end.scan_id != self.scan.id:
            return []
        return self._finish(end)

    def _finish(self, end: ScanEnd) -> list[Assembled]:
        out = self._close(incomplete_too=True)
        if end.pixels_sent is not None:
            self.counters.visits_lost = max(end.pixels_sent - self.counters.visits, 0)
        if self.scan is not None:
            self.losses.end(end, self.scan.passes)
        self._ended.append(end.scan_id)
        self.scan, self._open = None, None
        return [*out, end]

    def _spectra(self, spectra: Spectra, received_s: float) -> list[Assembled]:
        scan, chunk = self.scan, self._open
        if scan is None or chunk is None or spectra.scan_id != scan.id:
            self._orphan(spectra, received_s)
            return []
        bit = self._check(scan, chunk, spectra)
        in_order = spectra.sequence >= self._sequence.next
        if not self._count(spectra):
            return []
        if bit == CORE:
            self.counters.visits += len(spectra.pixels)
            if in_order:
                self.losses.come(spectra.pixels)
            chunk.see(spectra.pixels)
            self.counters.pixels = chunk.pixels_seen
        self._received_s, self._clock_s = received_s, spectra.clock_s
        # Kernels are compiled for aligned arrays; small messages may lie anywhere in memory.
        whole = chunk.n == 0 and chunk.need == CORE and spectra.counts.flags.aligned
        if whole and len(spectra.pixels) * 2 >= self.settings.chunk_pixels:
            return [
                Chunk(scan, spectra.pixels, spectra.counts, None, None, None,
                      received_s, spectra.clock_s)
            ]  # fmt: skip
        return self._put(chunk, bit, spectra)

    def _put(self, chunk: OpenChunk, bit: int, spectra: Spectra) -> list[Assembled]:
        out: list[Assembled] = []
        start, n = 0, len(spectra.pixels)
        if n == 1 and chunk.put_one(bit, int(spectra.pixels[0]), spectra.counts[0]):
            start = 1
        elif chunk.visited_twice(bit, spectra.pixels):
            out += self._close(incomplete_too=True)
        while start < n:
            stop = start + chunk.room_for(spectra.pixels[start:])
            if stop == start:
                # Full: hand on what is complete; where nothing is, partners are overdue.
                out += self._close(incomplete_too=chunk.complete_rows() == 0)
            else:
                chunk.put(bit, spectra.pixels[start:stop], spectra.counts[start:stop])
                start = stop
        if chunk.n >= self.settings.chunk_pixels and (
            chunk.need == CORE or chunk.complete_rows() >= self.settings.chunk_pixels
        ):
            out += self._close(incomplete_too=False)
        return out

    def _close(self, *, incomplete_too: bool) -> list[Assembled]:
        if self._open is None:
            return []
        chunk = self._open.close(
            incomplete_too=incomplete_too, received_s=self._received_s, clock_s=self._clock_s
        )
        if chunk is None:
            return []
        if chunk.low_seen is not None and chunk.core_seen is not None:
            self.counters.unpaired += int(np.count_nonzero(~(chunk.low_seen & chunk.core_seen)))
        return [chunk]

    def _check(self, scan: Scan, chunk: OpenChunk, spectra: Spectra) -> int:
        if spectra.signal not in chunk.signals:
            names = [s.name for s in scan.signals]
            raise WireError(f"signal {spectra.signal!r} was not announced; the scan has {names}")
        signal, bit = chunk.signals[spectra.signal]
        counts = spectra.counts
        if counts.shape[1] != signal.axis.size or counts.dtype.str[1:] != signal.dtype:
            raise WireError(
                f"signal {signal.name!r} was announced with {signal.axis.size} channels of "
                f"{signal.dtype}, {counts.shape[1]} of {counts.dtype.str[1:]} came"
            )
        pixels = spectra.pixels
        first = int(pixels[0])
        last = first if len(pixels) == 1 else int(pixels[-1])
        if last - first != len(pixels) - 1 or (len(pixels) > 2 and (np.diff(pixels) != 1).any()):
            first, last = int(pixels.min()), int(pixels.max())
            if len(np.unique(pixels)) != len(pixels):
                raise WireError("a pixel comes twice within one message")
        there_are = len(chunk.seen)
        if first < 0 or last >= there_are:
            raise WireError(f"pixels {first} to {last} in a scan of {there_are} pixels")
        return bit

    def _count(self, spectra: Spectra) -> bool:
        """Book the sequence number; False for a duplicate."""
        jump = self._sequence.hole(spectra.sequence)
        if jump >= 0:
            if jump:
                self.counters.gaps += 1
                self.counters.missing_messages += jump
                self.losses.jump(jump)
            self._sequence.advance(spectra.sequence)
        elif self._sequence.fill(spectra.sequence):
            self.counters.late += 1
            self.counters.missing_messages -= 1
        else:
            self.counters.duplicates += 1
            return False
        self.counters.messages += 1
        return True

    def _orphan(self, spectra: Spectra, received_s: float) -> None:
        if spectra.scan_id in self._ended:
            self.counters.after_end += 1
            return
        self._received_s = received_s
        self._orphans.append(spectra)
        self._orphan_bytes += spectra.counts.nbytes
        most_bytes = self.settings.orphan_mib * 2**20
        while self._orphan_bytes > most_bytes or len(self._orphans) > MAX_ORPHANS:
            dropped = self._orphans.popleft()
            self._orphan_bytes -= dropped.counts.nbytes
            self.counters.orphans += len(dropped.pixels)
