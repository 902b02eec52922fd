"""Messages in, chunks out: puts spectra together and keeps the books.

Lives here: pairing of core and low loss, order, gaps, duplicates, late joins, scans that
end without saying so. Every message is accounted for in ``Counters``. Knows no socket and
no clock; the time of arrival is an argument.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels.losses import Losses
from live_eels.spectra import Chunk, Scan, ScanEnd, Signal, Spectra, WireError

Assembled = Scan | Chunk | ScanEnd

_CORE, _LOW = 1, 2
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

    chunk_pixels: Annotated[int, Meta(ge=1, le=65_536)] = 1024
    pair_pixels: Annotated[int, Meta(ge=1, le=65_536)] = 4096
    orphan_mib: Annotated[float, Meta(ge=0, le=16_384)] = 64.0


@dataclass(slots=True)
class Counters:
    """The books of one scan.

    Attributes
    ----------
    messages
        ``spectra`` messages accepted.
    visits
        Pixel visits accepted, counted over the core signal.
    pixels
        Different pixels seen at least once.
    gaps, missing_messages
        How often the sequence jumped, and how many of its numbers have not come (yet).
    duplicates
        Messages whose sequence number had come before: dropped.
    late
        Messages that came after a later one: used.
    orphans
        Spectra dropped because their scan was not announced in time.
    unpaired
        Pixels passed on without their low-loss or core-loss partner.
    after_end
        Messages of a scan that had already ended: dropped.
    visits_lost
        Pixel visits that the sender says it sent and that never came.
    """

    messages: int = 0
    visits: int = 0
    pixels: int = 0
    gaps: int = 0
    missing_messages: int = 0
    duplicates: int = 0
    late: int = 0
    orphans: int = 0
    unpaired: int = 0
    after_end: int = 0
    visits_lost: int = 0


class _Sequence:
    """Which sequence numbers have come: the next one, and the holes before it.

    Holes are ranges, so a jump of a million messages costs one entry; the oldest are
    forgotten beyond ``MAX_HOLES`` (what comes late for those counts as a duplicate).
    """

    MAX_HOLES = 65_536

    def __init__(self) -> None:
        self.next = 0
        self._holes: deque[tuple[int, int]] = deque()

    def hole(self, number: int) -> int:
        """Length of the jump that ``number`` makes; 0 in order, -1 behind."""
        return max(number - self.next, -1)

    def advance(self, number: int) -> None:
        if number > self.next:
            self._holes.append((self.next, number))
            if len(self._holes) > self.MAX_HOLES:
                self._holes.popleft()
        self.next = number + 1

    def fill(self, number: int) -> bool:
        """Take a number that lies behind out of its hole; False if it had come before."""
        for index in range(len(self._holes) - 1, -1, -1):  # late ones are mostly just behind
            start, stop = self._holes[index]
            if stop <= number:
                return False
            if start <= number:
                del self._holes[index]
                for part in ((number + 1, stop), (start, number)):
                    if part[0] < part[1]:
                        self._holes.insert(index, part)
                return True
        return False


class _OpenChunk:
    """Rows that are being filled; a row is complete when every signal of its pixel is in."""

    def __init__(self, scan: Scan, capacity: int) -> None:
        self.scan = scan
        self.capacity = capacity
        self.need = _CORE | (_LOW if scan.low else 0)
        self.signals = {scan.core.name: (scan.core, _CORE)}
        if scan.low:
            self.signals[scan.low.name] = (scan.low, _LOW)
        self._slot = np.full(scan.pixels, -1, np.int32)
        self.seen = np.zeros(scan.pixels, np.bool_)
        self.pixels_seen = 0
        self.n = 0
        self._new_buffers()

    def _new_buffers(self) -> None:
        self._pixels = np.empty(self.capacity, np.int64)
        self._filled = np.zeros(self.capacity, np.uint8)
        self._core = _rows(self.scan.core, self.capacity)
        self._low = _rows(self.scan.low, self.capacity) if self.scan.low else None

    def see(self, pixels: NDArray[np.int64]) -> None:
        if len(pixels) == 1:  # as for put_one
            pixel = int(pixels[0])
            self.pixels_seen += 0 if self.seen[pixel] else 1
            self.seen[pixel] = True
            return
        new = ~self.seen[pixels]
        self.seen[pixels] = True
        self.pixels_seen += int(np.count_nonzero(new))

    def visited_twice(self, bit: int, pixels: NDArray[np.int64]) -> bool:
        """Whether a pixel is here already with this signal: then the chunk must close."""
        slots = self._slot[pixels]
        return bool(((slots >= 0) & ((self._filled[slots] & bit) != 0)).any())

    def room_for(self, pixels: NDArray[np.int64]) -> int:
        """How many of these pixels fit; those whose partner is here need no row of their own."""
        room = self.capacity - self.n
        if len(pixels) <= room:
            return len(pixels)
        return int(np.searchsorted(np.cumsum(self._slot[pixels] < 0), room, side="right"))

    def put(self, bit: int, pixels: NDArray[np.int64], counts: NDArray[Any]) -> None:
        """Copy spectra into their rows; there must be room for them."""
        slots = self._slot[pixels]
        new = slots < 0
        added = int(np.count_nonzero(new))
        if added:
            rows = np.arange(self.n, self.n + added, dtype=np.int32)
            slots[new] = rows
            fresh = pixels[new] if added < len(pixels) else pixels
            self._pixels[self.n : self.n + added] = fresh
            self._slot[fresh] = rows
            self.n += added
        target = self._core if bit == _CORE else self._low
        assert target is not None  # bit is _LOW only where the scan has a low loss
        first = int(slots[0])
        run = added == len(slots) or bool((np.diff(slots) == 1).all())
        where = slice(first, first + len(slots)) if run else slots
        target[where] = counts
        self._filled[where] |= bit

    def put_one(self, bit: int, pixel: int, counts: NDArray[Any]) -> bool:
        """``put`` for one spectrum, as scalars: twice as fast where each is a message.

        False, and nothing done, if the pixel is here already with this signal or there is no
        room.
        """
        slot = int(self._slot[pixel])
        if slot < 0:
            if self.n == self.capacity:
                return False
            slot = self.n
            self.n += 1
            self._pixels[slot] = pixel
            self._slot[pixel] = slot
        elif self._filled[slot] & bit:
            return False
        target = self._core if bit == _CORE else self._low
        assert target is not None  # as in put
        target[slot] = counts
        self._filled[slot] |= bit
        return True

    def complete_rows(self) -> int:
        return int(np.count_nonzero(self._filled[: self.n] == self.need))

    def close(self, *, incomplete_too: bool, received_s: float, clock_s: float) -> Chunk | None:
        """Take out a chunk; rows that wait for a partner stay unless told otherwise."""
        filled = self._filled[: self.n]
        complete = filled == self.need
        everything = incomplete_too or bool(complete.all())
        if self.n == 0 or not (everything or complete.any()):
            return None
        pixels, core = self._pixels[: self.n], self._core[: self.n]
        low = None if self._low is None else self._low[: self.n]
        if everything:
            self._slot[pixels] = -1
            whole = bool(complete.all())
            chunk = self._chunk(pixels, core, low, None if whole else filled, received_s, clock_s)
            self.n = 0
            self._new_buffers()
            return chunk
        out = self._chunk(
            pixels[complete], core[complete], None if low is None else low[complete],
            None, received_s, clock_s,
        )  # fmt: skip
        waiting = ~complete
        rest = (pixels[waiting], core[waiting], None if low is None else low[waiting])
        rest_filled = filled[waiting]
        self._slot[pixels] = -1
        self._new_buffers()
        self.n = len(rest[0])
        self._pixels[: self.n], self._core[: self.n] = rest[0], rest[1]
        if self._low is not None and rest[2] is not None:
            self._low[: self.n] = rest[2]
        self._filled[: self.n] = rest_filled
        self._slot[rest[0]] = np.arange(self.n, dtype=np.int32)
        return out

    def _chunk(
        self,
        pixels: NDArray[np.int64],
        core: NDArray[Any],
        low: NDArray[Any] | None,
        filled: NDArray[np.uint8] | None,
        received_s: float,
        clock_s: float,
    ) -> Chunk:
        if filled is None:
            return Chunk(self.scan, pixels, core, low, None, None, received_s, clock_s)
        core_seen, low_seen = (filled & _CORE) != 0, (filled & _LOW) != 0
        core[~core_seen] = 0
        if low is not None:
            low[~low_seen] = 0
        return Chunk(self.scan, pixels, core, low, low_seen, core_seen, received_s, clock_s)


def _rows(signal: Signal, n: int) -> NDArray[Any]:
    return np.empty((n, signal.axis.size), "<" + signal.dtype)


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
        self._sequence = _Sequence()
        self._open: _OpenChunk | None = None
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
        self.scan, self.counters, self._sequence = scan, Counters(), _Sequence()
        settings = self.settings
        waiting = settings.pair_pixels if scan.low else 0
        rows = min(settings.chunk_pixels + waiting, max(scan.pixels, 1))
        self._open = _OpenChunk(scan, rows)
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
        bit = self._check(scan, chunk.signals, spectra)
        in_order = spectra.sequence >= self._sequence.next
        if not self._count(spectra):
            return []
        if bit == _CORE:
            self.counters.visits += len(spectra.pixels)
            if in_order:
                self.losses.come(spectra.pixels)
            chunk.see(spectra.pixels)
            self.counters.pixels = chunk.pixels_seen
        self._received_s, self._clock_s = received_s, spectra.clock_s
        # Kernels are compiled for aligned arrays; small messages may lie anywhere in memory.
        whole = chunk.n == 0 and chunk.need == _CORE and spectra.counts.flags.aligned
        if whole and len(spectra.pixels) * 2 >= self.settings.chunk_pixels:
            return [
                Chunk(scan, spectra.pixels, spectra.counts, None, None, None,
                      received_s, spectra.clock_s)
            ]  # fmt: skip
        return self._put(chunk, bit, spectra)

    def _put(self, chunk: _OpenChunk, bit: int, spectra: Spectra) -> list[Assembled]:
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
            chunk.need == _CORE or chunk.complete_rows() >= self.settings.chunk_pixels
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

    def _check(self, scan: Scan, signals: dict[str, tuple[Signal, int]], spectra: Spectra) -> int:
        if spectra.signal not in signals:
            names = [s.name for s in scan.signals]
            raise WireError(f"signal {spectra.signal!r} was not announced; the scan has {names}")
        signal, bit = signals[spectra.signal]
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
        if first < 0 or last >= scan.pixels:
            raise WireError(f"pixels {first} to {last} in a scan of {scan.pixels} pixels")
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
