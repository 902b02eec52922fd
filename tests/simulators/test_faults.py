"""Each fault through the decoder and the assembler: nothing crashes, and the books agree."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from live_eels.simulators.acquire import Acquisition
from live_eels.simulators.faults import (
    PRESETS,
    Books,
    FaultError,
    FaultInjector,
    Faults,
    with_faults,
)
from live_eels.simulators.scene import load_scene
from live_eels.simulators.send import Message

from live_eels import wire
from live_eels.assemble import Assembler
from live_eels.books import Counters
from live_eels.spectra import ScanEnd, WireError


@cache
def messages() -> tuple[Message, ...]:
    scene = load_scene("core_shell").changed(scan={"shape": (12, 16), "step_nm": 4.0})
    return tuple(Acquisition(scene, seed=8).messages(chunk=2))


def received(injector: FaultInjector) -> tuple[list[tuple[Counters, str]], int]:
    """Counters and end of each scan, and unreadable messages, as a receiver sees them."""
    assembler = Assembler()
    out: list[tuple[Counters, str]] = []
    unreadable = 0
    for prepared in injector.apply(messages()):
        counters = assembler.counters
        try:
            results = assembler.feed(wire.decode(prepared.parts), 0.0)
        except WireError:
            unreadable += 1
            continue
        out += [(counters, r.reason) for r in results if isinstance(r, ScanEnd)]
    if assembler.scan is not None:
        out.append((assembler.counters, "lost"))
    return out, unreadable


@pytest.mark.parametrize("name", [*PRESETS, "nothing"])
@pytest.mark.parametrize("seed", [0, 1])
def test_receiver_counts_what_the_injector_did(name: str, seed: int) -> None:
    injector = FaultInjector(PRESETS.get(name, Faults()), seed)
    counted, unreadable = received(injector)
    books = [b for b in injector.books if b.announced]
    assert unreadable == sum(b.unreadable for b in books)
    assert len(counted) == len(books)
    for (counters, end), book in zip(counted, books, strict=True):
        assert end == book.end
        for field in ("messages", "visits", "gaps", "missing_messages", "duplicates", "late"):
            assert getattr(counters, field) == getattr(book, field), field
        assert counters.visits_lost == book.visits_lost


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_does_something(name: str) -> None:
    injector = FaultInjector(PRESETS[name], seed=0)
    for _ in injector.apply(messages()):
        pass
    assert sum(sum(book.done.values()) for book in injector.books) > 0


def test_same_seed_same_faults() -> None:
    def bytes_of(seed: int) -> list[bytes]:
        injector = FaultInjector(PRESETS["everything"], seed)
        return [b"".join(bytes(p) for p in one.parts) for one in injector.apply(messages())]

    assert bytes_of(3) == bytes_of(3)
    assert bytes_of(3) != bytes_of(4)


def test_books_by_hand() -> None:
    """The books of five messages, worked out on paper: 0 2 1 1 4."""
    spectra = [m for m in messages() if hasattr(m, "sequence")]
    books = Books("x")
    for number in (0, 2, 1, 1, 4):
        books.book(spectra[number], "core")
    assert (books.messages, books.gaps, books.late, books.duplicates) == (4, 2, 1, 1)
    assert books.missing_messages == 1
    assert books.visits == sum(len(spectra[k].pixels) for k in (0, 2, 4))


def test_unknown_preset_is_refused() -> None:
    with pytest.raises(FaultError, match="lossy"):
        with_faults(messages(), "no such thing")


def test_bits_flipped_in_counts_change_counts_only() -> None:
    plain = FaultInjector(Faults(), 1).apply(messages())
    flipped = FaultInjector(Faults(flip_counts=1.0), 1).apply(messages())
    different = 0
    for one, two in zip(plain, flipped, strict=True):
        assert bytes(one.parts[1]) == bytes(two.parts[1])
        if one.parts[0] == b"spectra":
            a, b = (np.frombuffer(m.parts[-1], np.uint8) for m in (one, two))
            assert np.unpackbits(a ^ b).sum() == 1
            different += 1
    assert different > 0
