"""Faults on demand: what goes wrong between a detector and us, seeded and written down.

Lives here: an injector that stands between ``Acquisition.messages`` and ``send``, and its books.
The books say what a receiver that loses nothing itself must count; they are kept from the
messages as they go out, without asking the receiver's code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from live_eels.simulators.send import Message, Prepared
from msgspec import Meta

from live_eels import wire
from live_eels.spectra import Scan, ScanEnd, Spectra, WireError

Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Delivered = Spectra | Scan | ScanEnd


class FaultError(ValueError):
    """A set of faults that does not exist."""


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may go wrong.

    Attributes
    ----------
    lose, duplicate, reorder, truncate, flip_header, flip_counts
        Chance for each ``spectra`` message. A reordered one comes up to ``reorder_by``
        messages later; ``flip_header`` flips a bit so that the message cannot be read;
        ``flip_counts`` one in the counts, which nobody can notice.
    die_after, restart
        The sender vanishes after this part of the scan, without a word; a new one begins the
        scan anew under another id.
    abort_after
        The operator stops the scan after this part of it.
    stall_after, stall_s
        Nothing comes for a while; what was due then comes in a burst.
    header_late
        So many ``spectra`` messages come before the announcement.
    header_missing
        The scan is never announced.
    clock_jump_s
        The sender's clock jumps by this after half of the scan.
    wrong_shape
        The announcement has half the rows, or half the channels, of what comes.
    """

    lose: Fraction = 0.0
    duplicate: Fraction = 0.0
    reorder: Fraction = 0.0
    reorder_by: Annotated[int, Meta(ge=1, le=1000)] = 5
    truncate: Fraction = 0.0
    flip_header: Fraction = 0.0
    flip_counts: Fraction = 0.0
    die_after: Fraction | None = None
    restart: bool = True
    abort_after: Fraction | None = None
    stall_after: Fraction | None = None
    stall_s: Annotated[float, Meta(ge=0.0, le=600.0)] = 5.0
    header_late: Annotated[int, Meta(ge=0)] = 0
    header_missing: bool = False
    clock_jump_s: float = 0.0
    wrong_shape: Literal["", "fewer_rows", "fewer_channels"] = ""


PRESETS: dict[str, Faults] = {
    "lossy": Faults(lose=0.05),
    "doubled": Faults(duplicate=0.1),
    "reordered": Faults(reorder=0.15),
    "truncated": Faults(truncate=0.05),
    "flipped": Faults(flip_header=0.05, flip_counts=0.05),
    "dies": Faults(die_after=0.4),
    "stalls": Faults(stall_after=0.3),
    "aborted": Faults(abort_after=0.6),
    "late_header": Faults(header_late=10),
    "no_header": Faults(header_missing=True),
    "clock_jumps": Faults(clock_jump_s=-3600.0),
    "wrong_rows": Faults(wrong_shape="fewer_rows"),
    "wrong_channels": Faults(wrong_shape="fewer_channels"),
    "bursts": Faults(stall_after=0.5, stall_s=1.0, reorder=0.05),
    "everything": Faults(
        lose=0.03, duplicate=0.03, reorder=0.05, truncate=0.02, flip_header=0.02,
        flip_counts=0.02, die_after=0.5, header_late=5, clock_jump_s=600.0,
    ),
}  # fmt: skip


@dataclass(slots=True)
class Books:
    """What went out under one scan id, and what a receiver must therefore count.

    Attributes
    ----------
    done
        Fault to how many messages it struck.
    messages, visits, gaps, missing_messages, duplicates, late
        As in ``assemble.Counters``: readable messages, core pixel visits in them, jumps of the
        sequence number, numbers missing before the last that came, ...
    unreadable
        Messages that cannot be read, or contradict the announcement.
    end
        Reason of the scan's end, ``lost`` if the sender died, None if it goes on.
    visits_lost
        Visits that the end says were sent, less those that came.
    """

    scan_id: str
    announced: bool = False
    done: dict[str, int] = field(default_factory=dict)
    messages: int = 0
    visits: int = 0
    gaps: int = 0
    missing_messages: int = 0
    duplicates: int = 0
    late: int = 0
    unreadable: int = 0
    end: str | None = None
    visits_lost: int = 0
    _came: set[int] = field(default_factory=set)
    _highest: int = -1

    def strike(self, fault: str) -> None:
        """Note that a fault struck one message."""
        self.done[fault] = self.done.get(fault, 0) + 1

    def book(self, spectra: Spectra, core: str) -> None:
        """A readable message went out."""
        number = spectra.sequence
        if number in self._came:
            self.duplicates += 1
            return
        self._came.add(number)
        self.messages += 1
        self.visits += len(spectra.pixels) if spectra.signal == core else 0
        if number > self._highest + 1:
            self.gaps += 1
        self.late += number < self._highest
        self._highest = max(self._highest, number)
        self.missing_messages = self._highest + 1 - len(self._came)


class FaultInjector:
    """Lets messages through, some of them spoilt.

    Parameters
    ----------
    faults
        What may go wrong.
    seed
        The same seed strikes the same messages.

    Attributes
    ----------
    books
        One entry per scan id that went out; complete when ``apply`` is exhausted.
    """

    def __init__(self, faults: Faults, seed: int = 0) -> None:
        self.faults = faults
        self.books: list[Books] = []
        self._rng = np.random.default_rng([seed, 0xFA017])

    def apply(self, messages: Iterable[Message]) -> Iterator[Prepared]:
        """The messages as they go out, encoded; any number of scans after one another."""
        scan: Scan | None = None
        gathered: list[Spectra] = []
        for message in messages:
            match message:
                case Scan():
                    scan, gathered = message, []
                case Spectra():
                    gathered.append(message)
                case ScanEnd() if scan is not None:
                    yield from self._scan(scan, gathered, message)
                case ScanEnd():
                    yield Prepared(wire.encode(message), 0)

    def _scan(self, scan: Scan, spectra: Sequence[Spectra], end: ScanEnd) -> Iterator[Prepared]:
        faults = self.faults
        if faults.die_after is not None:
            sent = spectra[: round(faults.die_after * len(spectra))]
            yield from self._attempt(scan, sent, None)
            if not faults.restart:
                return
            again = f"{scan.id[:55]}-again"
            scan = replace(scan, id=again)
            spectra = [replace(s, scan_id=again) for s in spectra]
            end = replace(end, scan_id=again)
        if faults.abort_after is not None:
            spectra = spectra[: round(faults.abort_after * len(spectra))]
            visits = sum(len(s.pixels) for s in spectra if s.signal == scan.core.name)
            end = replace(end, reason="aborted", pixels_sent=visits)
        yield from self._attempt(scan, spectra, end)

    def _attempt(
        self, scan: Scan, spectra: Sequence[Spectra], end: ScanEnd | None
    ) -> Iterator[Prepared]:
        """One scan id: announcement, spectra, end (None: the sender dies)."""
        books = Books(scan.id)
        self.books.append(books)
        announced = self._announcement(scan, books)
        late = min(self.faults.header_late, len(spectra))
        if not late and announced is not None:
            yield announced
        for number, prepared in enumerate(self._spoilt(scan, spectra, books)):
            if late and number == late and announced is not None:
                books.strike("header_late")
                yield announced
                announced = None
            yield prepared
        if late and announced is not None:
            books.strike("header_late")
            yield announced
        books.end = "lost" if end is None else end.reason
        if end is None:
            books.strike("die")
            return
        if end.reason == "aborted":
            books.strike("abort")
        books.visits_lost = max((end.pixels_sent or 0) - books.visits, 0)
        yield Prepared(wire.encode(end), 0)

    def _announcement(self, scan: Scan, books: Books) -> Prepared | None:
        if self.faults.header_missing:
            books.strike("header_missing")
            return None
        books.announced = True
        wrong = _wrongly_announced(scan, self.faults.wrong_shape)
        if wrong is not scan:
            books.strike("wrong_shape")
        return Prepared(wire.encode(wrong), 0)

    def _spoilt(self, scan: Scan, spectra: Sequence[Spectra], books: Books) -> Iterator[Prepared]:
        faults, rng = self.faults, self._rng
        held: deque[tuple[int, Spectra]] = deque()
        wrong = _wrongly_announced(scan, faults.wrong_shape)
        stall_at = None if faults.stall_after is None else round(faults.stall_after * len(spectra))
        for number, one in enumerate(spectra):
            while held and held[0][0] <= number:
                yield self._deliver(wrong, held.popleft()[1], books)
            if number == stall_at:
                books.strike("stall")
            pause = faults.stall_s if number == stall_at else 0.0
            chance = rng.random(3)  # drawn for every message: one fault does not move the next
            if faults.clock_jump_s and number >= len(spectra) // 2:
                one = replace(one, clock_s=one.clock_s + faults.clock_jump_s)
                books.strike("clock_jump")
            if chance[0] < faults.lose:
                books.strike("lose")
                continue
            if chance[1] < faults.reorder:
                books.strike("reorder")
                when = number + 1 + int(rng.integers(1, faults.reorder_by + 1))
                held.append((when, one))
                held = deque(sorted(held, key=lambda item: item[0]))
                continue
            yield replace(self._deliver(wrong, one, books), pause_s=pause)
            if chance[2] < faults.duplicate:
                books.strike("duplicate")
                yield self._deliver(wrong, one, books)
        for _, one in held:
            yield self._deliver(wrong, one, books)

    def _deliver(self, announced: Scan, one: Spectra, books: Books) -> Prepared:
        """Encode a message, perhaps spoil its bytes, and book what comes of it."""
        parts = wire.encode(one)
        chance = self._rng.random(3)
        core = announced.core.name
        visits = len(one.pixels) if one.signal == core else 0
        if chance[0] < self.faults.truncate:
            books.strike("truncate")
            books.unreadable += 1
            return Prepared(_truncated(parts, self._rng), visits)
        if chance[1] < self.faults.flip_header:
            books.strike("flip_header")
            books.unreadable += 1
            return Prepared(_unreadable(parts, self._rng), visits)
        if chance[2] < self.faults.flip_counts:
            books.strike("flip_counts")
            parts = [*parts[:-1], _flipped(parts[-1], self._rng)]
        if contradicts(announced, one):
            books.unreadable += 1
        else:
            books.book(one, core)
        return Prepared(parts, visits)


def with_faults(messages: Iterable[Message], name: str, seed: int = 0) -> Iterator[Prepared]:
    """Messages spoilt by a preset (a key of ``PRESETS``), ready for ``send``.

    Raises
    ------
    FaultError
        If there is no preset of that name.
    """
    if name not in PRESETS:
        raise FaultError(f"no faults named {name!r}; have {', '.join(PRESETS)}")
    return FaultInjector(PRESETS[name], seed).apply(messages)


def contradicts(scan: Scan, spectra: Spectra) -> bool:
    """Whether a message cannot belong to the scan as announced."""
    signal = next((s for s in scan.signals if s.name == spectra.signal), None)
    if signal is None or signal.axis.size != spectra.counts.shape[1]:
        return True
    return bool(spectra.pixels.size) and int(spectra.pixels.max()) >= scan.pixels


def _wrongly_announced(scan: Scan, how: str) -> Scan:
    if how == "fewer_rows" and scan.navigation:
        first = scan.navigation[0]
        fewer = replace(first, size=max(1, first.size // 2))
        return replace(scan, navigation=(fewer, *scan.navigation[1:]))
    if how == "fewer_channels":
        core = scan.core
        axis = replace(core.axis, size=core.axis.size // 2)
        half = replace(
            core,
            axis=axis,
            dark=None if core.dark is None else core.dark[: axis.size],
            gain=None if core.gain is None else core.gain[: axis.size],
        )
        return replace(scan, signals=tuple(half if s is core else s for s in scan.signals))
    return scan


def _truncated(parts: Sequence[Any], rng: np.random.Generator) -> list[bytes]:
    """The message without its last part, or with less of it."""
    whole = [bytes(part) for part in parts]
    if rng.random() < 0.3:
        return whole[:-1]
    kept = int(rng.integers(0, len(whole[-1])))
    return [*whole[:-1], whole[-1][:kept]]


def _flipped(part: Any, rng: np.random.Generator) -> bytes:
    data = bytearray(part)
    position = int(rng.integers(len(data)))
    data[position] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _unreadable(parts: Sequence[Any], rng: np.random.Generator) -> list[bytes]:
    """The message with one flipped bit in its header that makes it no message of the format.

    A flip that gives another valid message (a different sequence number, say) could mean
    anything, and no books could be kept; such flips are drawn again.
    """
    whole = [bytes(part) for part in parts]
    while True:
        spoilt = [whole[0], _flipped(whole[1], rng), *whole[2:]]
        try:
            wire.decode(spoilt)
        except WireError:
            return spoilt
