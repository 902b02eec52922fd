"""The books say exactly what happened to the messages."""

import random

import pytest

from live_eels import books
from live_eels.assemble import Assembler, AssembleSettings
from live_eels.books import Counters
from live_eels.spectra import ScanEnd
from sent_messages import core, image, pair, play, rows, scan_of, sent, spoil


def books_of(sequences):
    """The books by their definition, from the order in which numbers arrive."""
    books, seen, expected = Counters(), set(), 0
    for number in sequences:
        if number in seen:
            books.duplicates += 1
            continue
        seen.add(number)
        books.messages += 1
        if number >= expected:
            books.gaps += number > expected
            books.missing_messages += number - expected
            expected = number + 1
        else:
            books.late += 1
            books.missing_messages -= 1
    return books


@pytest.mark.parametrize("seed", range(20))
def test_books_are_exactly_what_was_done_to_the_messages(seed):
    rng = random.Random(seed)
    passes, step = rng.choice([1, 2]), rng.choice([1, 3])
    good = image(120, step, passes)
    spoilt, dropped = spoil(good, rng)
    assembler = Assembler(AssembleSettings(chunk_pixels=rng.choice([1, 16, 64])))
    messages = [scan_of(10, 12, passes=passes), *spoilt, ScanEnd("s", "complete", 120 * passes)]
    out = play(assembler, messages, flush=lambda _: rng.random() < 0.1)

    arrived = {message.sequence: message for message in spoilt}
    assert rows(out) == sent(arrived.values())
    expected = books_of([message.sequence for message in spoilt])
    expected.visits = sum(len(message.pixels) for message in arrived.values())
    expected.pixels = len({int(p) for message in arrived.values() for p in message.pixels})
    expected.visits_lost = 120 * passes - expected.visits
    assert assembler.counters == expected
    tail = len(good) - 1 - max(arrived)  # what is lost at the very end makes no gap
    assert expected.missing_messages == dropped - tail
    assert expected.duplicates == len(spoilt) - len(arrived)


def test_gap_duplicate_and_late_one_by_one():
    assembler = Assembler()
    assembler.feed(scan_of(10))
    for sequence, expected in [
        (0, Counters(messages=1, visits=1, pixels=1)),
        (3, Counters(messages=2, visits=2, pixels=2, gaps=1, missing_messages=2)),
        (3, Counters(messages=2, visits=2, pixels=2, gaps=1, missing_messages=2, duplicates=1)),
        (1, Counters(messages=3, visits=3, pixels=3, gaps=1, missing_messages=1, duplicates=1,
                     late=1)),
        (1, Counters(messages=3, visits=3, pixels=3, gaps=1, missing_messages=1, duplicates=2,
                     late=1)),
        (2, Counters(messages=4, visits=4, pixels=4, gaps=1, missing_messages=0, duplicates=2,
                     late=2)),
        (4, Counters(messages=5, visits=5, pixels=5, gaps=1, missing_messages=0, duplicates=2,
                     late=2)),
    ]:  # fmt: skip
        assembler.feed(core(sequence, sequence))
        assert assembler.counters == expected


def test_a_huge_jump_costs_nothing_and_what_comes_after_is_late():
    assembler = Assembler()
    assembler.feed(scan_of(10))
    assembler.feed(core(0, 2**53))
    assert assembler.counters.missing_messages == 2**53
    for sequence in range(1, 10):
        assembler.feed(core(sequence, sequence))
    assert assembler.counters.late == 9
    assert assembler.counters.duplicates == 0


def test_very_many_holes_are_forgotten_not_kept(monkeypatch):
    monkeypatch.setattr(books.Sequence, "MAX_HOLES", 10)
    assembler = Assembler()
    assembler.feed(scan_of())
    for sequence in range(1, 61, 2):
        assembler.feed(core(0, sequence))
    assert assembler.counters.missing_messages == 30
    assembler.feed(core(0, 58))  # a recent hole
    assembler.feed(core(0, 0))  # a hole of long ago
    assert (assembler.counters.late, assembler.counters.duplicates) == (1, 1)


@pytest.mark.parametrize("seed", range(10))
def test_books_with_two_signals_under_faults(seed):
    rng = random.Random(seed)
    spoilt, _ = spoil(pair(80, "interleaved", rng.choice([1, 4])), rng)
    assembler = Assembler(AssembleSettings(chunk_pixels=rng.choice([1, 10, 200])))
    out = play(
        assembler,
        [scan_of(80, low=True), *spoilt, ScanEnd("s", "complete", 80)],
        flush=lambda _: rng.random() < 0.3,
    )
    arrived = list({message.sequence: message for message in spoilt}.values())
    assert rows(out) == sent(arrived)
    assert rows(out, "low") == sent(arrived, "low")
    got = {s: {int(p) for m in arrived if m.signal == s for p in m.pixels} for s in ("core", "low")}
    expected = books_of([message.sequence for message in spoilt])
    expected.visits = expected.pixels = len(got["core"])
    expected.visits_lost = 80 - expected.visits
    expected.unpaired = len(got["core"] ^ got["low"])
    assert assembler.counters == expected
