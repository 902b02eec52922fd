"""The assembler: chunks hold what was sent, and the books say exactly what happened to it."""

import random
from collections import Counter

import numpy as np
import pytest

from live_eels import assemble
from live_eels.assemble import Assembler, AssembleSettings, Counters
from live_eels.spectra import (
    Chunk,
    EnergyAxis,
    NavigationAxis,
    Scan,
    ScanEnd,
    Signal,
    Spectra,
    WireError,
)

CHANNELS, LOW_CHANNELS = 5, 3


def scan_of(*shape, scan_id="s", low=False, dtype="u2", passes=1):
    navigation = tuple(NavigationAxis("yx"[-1], size) for size in shape)
    signals = [Signal("core", EnergyAxis(600, 0.25, CHANNELS), dtype)]
    if low:
        signals.append(Signal("low", EnergyAxis(-10, 0.1, LOW_CHANNELS), "f4"))
    return Scan(scan_id, navigation, tuple(signals), passes=passes)


def core(pixels, sequence=0, scan_id="s", visit=0, channels=CHANNELS, dtype="<u2"):
    """Spectra that tell which pixel, which visit and which channel they are."""
    pixels = np.atleast_1d(np.asarray(pixels, np.int64))
    counts = (pixels[:, None] * 7 + visit * 1000 + np.arange(channels)).astype(dtype)
    return Spectra(scan_id, "core", sequence, pixels, counts, float(sequence))


def low(pixels, sequence=0, scan_id="s", visit=0):
    pixels = np.atleast_1d(np.asarray(pixels, np.int64))
    counts = (pixels[:, None] * 11 + visit * 1000 + np.arange(LOW_CHANNELS)).astype("<f4")
    return Spectra(scan_id, "low", sequence, pixels, counts)


def play(assembler, messages, flush=None):
    """Feed all messages, flushing now and then; returns everything that came out."""
    out = []
    for number, message in enumerate(messages):
        out += assembler.feed(message, float(number))
        if flush is not None and flush(number):
            out += assembler.flush()
    return out


def chunks(out):
    return [item for item in out if isinstance(item, Chunk)]


def rows(out, signal="core"):
    """The multiset of (pixel, counts) that came out; pixels without this signal left out."""
    found = Counter()
    for chunk in chunks(out):
        counts = chunk.counts if signal == "core" else chunk.low
        seen = chunk.core_seen if signal == "core" else chunk.low_seen
        assert len(counts) == len(chunk.pixels)
        assert len(np.unique(chunk.pixels)) == len(chunk.pixels)
        for place, pixel in enumerate(chunk.pixels):
            if seen is None or seen[place]:
                found[int(pixel), tuple(counts[place].tolist())] += 1
            else:
                assert not counts[place].any()
    return found


def sent(messages, signal="core"):
    return Counter(
        (int(pixel), tuple(counts.tolist()))
        for message in messages
        if isinstance(message, Spectra) and message.signal == signal
        for pixel, counts in zip(message.pixels, message.counts, strict=True)
    )


def image(pixels=24, step=1, passes=1, scan_id="s"):
    """All spectra messages of a scan, ``step`` pixels a message."""
    starts = [(visit, first) for visit in range(passes) for first in range(0, pixels, step)]
    return [
        core(np.arange(first, min(first + step, pixels)), number, scan_id, visit)
        for number, (visit, first) in enumerate(starts)
    ]


# What a good sender gives.


@pytest.mark.parametrize("shape", [(), (7,), (4, 6), (2, 3, 4)])
@pytest.mark.parametrize("chunk_pixels", [1, 5, 1000])
def test_single_spectrum_line_image_and_beyond(shape, chunk_pixels):
    scan = scan_of(*shape)
    messages = [scan, *image(scan.pixels), ScanEnd("s", "complete", scan.pixels)]
    assembler = Assembler(AssembleSettings(chunk_pixels=chunk_pixels))
    out = play(assembler, messages)
    assert out[0] is scan
    assert out[-1] == messages[-1]
    assert rows(out) == sent(messages)
    assert assembler.counters == Counters(
        messages=scan.pixels, visits=scan.pixels, pixels=scan.pixels
    )
    for chunk in chunks(out):
        assert chunk.scan is scan
        assert chunk.counts.flags.c_contiguous
        assert chunk.counts.dtype == np.uint16
        assert chunk.pixels.dtype == np.int64
        assert len(chunk.pixels) <= max(chunk_pixels, 1)
        assert chunk.low is chunk.low_seen is chunk.core_seen is None


@pytest.mark.parametrize("seed", range(5))
def test_any_chunking_gives_the_same_rows(seed):
    rng = random.Random(seed)
    passes = rng.choice([1, 3])
    messages = image(60, step=rng.choice([1, 4, 13, 60]), passes=passes)
    messages = [scan_of(6, 10, passes=passes), *messages, ScanEnd("s", "complete", 60 * passes)]
    for chunk_pixels in (1, 2, 7, 32, 64, 4096):
        assembler = Assembler(AssembleSettings(chunk_pixels=chunk_pixels))
        out = play(assembler, messages, flush=lambda _: rng.random() < 0.2)
        assert rows(out) == sent(messages)
        assert assembler.counters.visits == 60 * passes
        assert assembler.counters.pixels == 60
        assert assembler.pending == 0


def test_time_of_arrival_and_clock_are_of_the_newest():
    assembler = Assembler(AssembleSettings(chunk_pixels=100))
    assembler.feed(scan_of(10))
    for number in range(3):
        assembler.feed(core(number, number), 100.0 + number)
    [chunk] = assembler.flush()
    assert chunk.received_s == 102
    assert chunk.clock_s == 2


def test_a_message_as_large_as_a_chunk_is_passed_on_as_it_is():
    assembler = Assembler(AssembleSettings(chunk_pixels=8))
    message = core(np.arange(8))
    _, chunk = play(assembler, [scan_of(8), message])
    assert chunk.counts is message.counts


def test_chunks_come_in_the_order_of_their_messages():
    assembler = Assembler(AssembleSettings(chunk_pixels=8))
    messages = [core([0, 1]), core(np.arange(2, 10), 1), core(np.arange(10, 18), 2)]
    out = play(assembler, [scan_of(18), *messages]) + assembler.flush()
    assert np.concatenate([chunk.pixels for chunk in chunks(out)]).tolist() == list(range(18))


def test_an_unaligned_message_is_copied():
    plain = core(np.arange(8))
    buffer = memoryview(b"x" + plain.counts.tobytes())[1:]
    counts = np.frombuffer(buffer, "<u2").reshape(plain.counts.shape)
    assert not counts.flags.aligned
    assembler = Assembler(AssembleSettings(chunk_pixels=8))
    _, chunk = play(assembler, [scan_of(8), Spectra("s", "core", 0, plain.pixels, counts)])
    assert chunk.counts.flags.aligned
    assert chunk.counts.tolist() == plain.counts.tolist()


def test_chunks_already_handed_over_do_not_change():
    assembler = Assembler(AssembleSettings(chunk_pixels=4))
    messages = [scan_of(16), *image(16)]
    out = []
    kept = []
    for message in messages:
        for item in assembler.feed(message):
            out.append(item)
            if isinstance(item, Chunk):
                kept.append(item.counts.copy())
    for chunk, copy in zip(chunks(out), kept, strict=True):
        np.testing.assert_array_equal(chunk.counts, copy)


def test_serpentine_and_sparse_scans_by_index():
    rng = np.random.default_rng(0)
    order = rng.permutation(24)[:15]
    messages = [scan_of(4, 6), *(core(part, k) for k, part in enumerate(np.split(order, 5)))]
    assembler = Assembler(AssembleSettings(chunk_pixels=6))
    out = play(assembler, messages) + assembler.flush()
    assert rows(out) == sent(messages)
    assert assembler.counters.pixels == 15


def test_passes_add_up_and_no_chunk_holds_a_pixel_twice():
    messages = [scan_of(5, passes=4), *image(5, step=2, passes=4)]
    assembler = Assembler(AssembleSettings(chunk_pixels=1000))
    out = play(assembler, messages) + assembler.flush()
    assert rows(out) == sent(messages)  # which asserts that pixels differ within a chunk
    assert len(chunks(out)) == 4
    assert assembler.counters.visits == 20
    assert assembler.counters.pixels == 5


def test_flush_of_nothing_is_nothing():
    assembler = Assembler()
    assert assembler.flush() == []
    assembler.feed(scan_of(4))
    assert assembler.flush() == []


# What a bad line makes of it.


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


def spoil(messages, rng):
    """Drop, double and displace messages; returns them with what was done."""
    kept, dropped = [], 0
    for message in messages:
        if rng.random() < 0.1:
            dropped += 1
            continue
        kept.append(message)
        if rng.random() < 0.1:
            kept.append(message)
    for place in range(len(kept) - 1):
        if rng.random() < 0.15:
            other = min(place + rng.randrange(1, 9), len(kept) - 1)
            kept[place], kept[other] = kept[other], kept[place]
    return kept, dropped


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
    monkeypatch.setattr(assemble._Sequence, "MAX_HOLES", 10)
    assembler = Assembler()
    assembler.feed(scan_of())
    for sequence in range(1, 61, 2):
        assembler.feed(core(0, sequence))
    assert assembler.counters.missing_messages == 30
    assembler.feed(core(0, 58))  # a recent hole
    assembler.feed(core(0, 0))  # a hole of long ago
    assert (assembler.counters.late, assembler.counters.duplicates) == (1, 1)


# Joining, ending, the next scan.


def test_announced_again_changes_nothing():
    messages = [scan_of(6), *image(6)[:3], scan_of(6), *image(6)[3:], ScanEnd("s", "complete", 6)]
    assembler = Assembler()
    out = play(assembler, messages)
    assert [type(item) for item in out] == [Scan, Chunk, ScanEnd]
    assert rows(out) == sent(messages)
    assert assembler.counters.messages == 6


def test_spectra_before_their_scan_are_kept():
    messages = image(6)
    assembler = Assembler()
    assert play(assembler, messages[:4]) == []
    out = play(assembler, [scan_of(6), *messages[4:], ScanEnd("s", "complete", 6)])
    assert rows(out) == sent(messages)
    assert assembler.counters == Counters(messages=6, visits=6, pixels=6)


def test_spectra_of_the_next_scan_may_overtake_its_announcement():
    first, second = image(4), image(4, scan_id="t")
    assembler = Assembler()
    out = play(assembler, [scan_of(4), *first[:2], *second[:2], *first[2:]])
    out += play(assembler, [scan_of(4, scan_id="t"), *second[2:], ScanEnd("t", "complete")])
    parts = [item for item in out if isinstance(item, Chunk)]
    assert rows([c for c in parts if c.scan.id == "s"]) == sent(first)
    assert rows([c for c in parts if c.scan.id == "t"]) == sent(second)
    assert ScanEnd("s", "lost") in out


def test_spectra_whose_scan_never_comes_are_orphans():
    assembler = Assembler()
    play(assembler, [*image(4, scan_id="nobody"), scan_of(6), *image(6)])
    assert assembler.counters.orphans == 4
    assert assembler.counters.visits == 6


def test_orphans_are_bounded(monkeypatch):
    per_message = CHANNELS * 2
    assembler = Assembler(AssembleSettings(orphan_mib=3 * per_message / 2**20))
    play(assembler, image(10))
    assert assembler.counters.orphans == 7
    out = play(assembler, [scan_of(10)]) + assembler.flush()
    assert sorted(pixel for pixel, _ in rows(out)) == [7, 8, 9]
    out = play(assembler, image(3, scan_id="t")) + play(assembler, [scan_of(10, scan_id="t")])
    assert len(rows(out + assembler.flush())) == 3  # the room is there again for the next scan
    monkeypatch.setattr(assemble, "MAX_ORPHANS", 2)
    assembler = Assembler()
    play(assembler, image(10))
    assert assembler.counters.orphans == 8


def test_orphans_that_do_not_fit_their_scan_are_dropped():
    assembler = Assembler()
    play(assembler, [core(0), core(99, 1), core(1, 2)])
    out = play(assembler, [scan_of(4)]) + assembler.flush()
    assert sorted(pixel for pixel, _ in rows(out)) == [0, 1]
    assert assembler.counters.orphans == 1
    assert assembler.counters.missing_messages == 1


def test_the_next_scan_ends_the_one_before_as_lost():
    assembler = Assembler()
    out = play(assembler, [scan_of(6), *image(6)[:3], scan_of(6, scan_id="t")])
    first, chunk, end, second = out
    assert (first.id, end, second.id) == ("s", ScanEnd("s", "lost"), "t")
    assert chunk.pixels.tolist() == [0, 1, 2]
    assert assembler.counters == Counters()
    out = play(assembler, [core(3, 3), core(0, 0, "t"), ScanEnd("t", "complete", 1)])
    assert rows(out) == sent([core(0, 0, "t")])
    assert assembler.counters.after_end == 1


@pytest.mark.parametrize("reason", ["complete", "aborted", "lost"])
def test_after_the_end_nothing_more(reason):
    assembler = Assembler()
    play(assembler, [scan_of(4), *image(4), ScanEnd("s", reason, 4)])
    assert play(assembler, [core(0, 4), ScanEnd("s", "complete"), scan_of(4), core(1, 5)]) == []
    assert assembler.counters.after_end == 2
    assert assembler.scan is None
    assert assembler.flush() == []
    assembler.feed(scan_of(4, scan_id="t"))
    assert assembler.counters == Counters()  # nothing of it was kept for another scan


def test_end_of_an_unknown_scan_is_nothing():
    assembler = Assembler()
    assert assembler.feed(ScanEnd("nobody", "complete")) == []
    assembler.feed(scan_of(4))
    assert assembler.feed(ScanEnd("nobody", "complete")) == []
    assert assembler.scan.id == "s"


def test_what_the_sender_sent_and_never_came_is_counted():
    assembler = Assembler()
    play(assembler, [scan_of(10), *image(10)[:7], ScanEnd("s", "complete", 10)])
    assert assembler.counters.visits_lost == 3
    assert assembler.counters.gaps == 0


# Core and low loss.


def pair(pixels, order, step=1):
    """Messages of core and low loss of the same pixels in some order of arrival."""
    messages = []
    for first in range(0, pixels, step):
        these = np.arange(first, min(first + step, pixels))
        messages += [core(these, len(messages)), low(these, len(messages) + 1)]
    if order == "core first":
        messages.sort(key=lambda message: message.signal)
    elif order == "low first":
        messages.sort(key=lambda message: message.signal, reverse=True)
    elif order == "mixed":
        random.Random(4).shuffle(messages)
    return messages


@pytest.mark.parametrize("order", ["interleaved", "core first", "low first", "mixed"])
@pytest.mark.parametrize("chunk_pixels", [1, 4, 1000])
@pytest.mark.parametrize("step", [1, 5])
def test_pairs_find_each_other(order, chunk_pixels, step):
    messages = pair(40, order, step)
    assembler = Assembler(AssembleSettings(chunk_pixels=chunk_pixels))
    out = play(
        assembler,
        [scan_of(4, 10, low=True), *messages, ScanEnd("s", "complete", 40)],
        flush=lambda number: number % 7 == 0,
    )
    assert rows(out) == sent(messages)
    assert rows(out, "low") == sent(messages, "low")
    for chunk in chunks(out):
        assert chunk.low_seen is chunk.core_seen is None
        np.testing.assert_array_equal(chunk.counts[:, 0], chunk.pixels * 7)
        np.testing.assert_array_equal(chunk.low[:, 0], chunk.pixels * 11)
        assert chunk.low.dtype == np.float32
    assert assembler.counters.unpaired == 0
    assert assembler.counters.visits == assembler.counters.pixels == 40


def test_partners_in_another_order_find_each_other():
    messages = [core(np.arange(6)), low([4, 0, 5, 2, 1, 3], 1)]
    assembler = Assembler(AssembleSettings(chunk_pixels=100))
    out = play(assembler, [scan_of(6, low=True), *messages]) + assembler.flush()
    assert rows(out) == sent(messages)
    assert rows(out, "low") == sent(messages, "low")
    assert len(chunks(out)) == 1
    assert assembler.counters.unpaired == 0


def test_a_full_buffer_hands_on_pairs_and_keeps_those_who_wait():
    assembler = Assembler(AssembleSettings(chunk_pixels=4, pair_pixels=2))
    messages = [core(np.arange(6)), low(np.arange(3), 1), core(6, 2), low(np.arange(3, 7), 3)]
    out = play(assembler, [scan_of(7, low=True), *messages, ScanEnd("s", "complete", 7)])
    assert rows(out) == sent(messages)
    assert rows(out, "low") == sent(messages, "low")
    assert assembler.counters.unpaired == 0


def test_partners_that_never_come():
    messages = pair(20, "interleaved")
    lost = [m for m in messages if not (m.signal == "low" and m.pixels[0] in (3, 7))]
    lost = [m for m in lost if not (m.signal == "core" and m.pixels[0] == 11)]
    assembler = Assembler(AssembleSettings(chunk_pixels=4))
    end = ScanEnd("s", "complete", 20)
    out = play(assembler, [scan_of(20, low=True), *lost, end], flush=lambda _: True)
    assert rows(out) == sent(lost)
    assert rows(out, "low") == sent(lost, "low")
    assert assembler.counters.unpaired == 3
    assert assembler.counters.visits == 19
    assert assembler.counters.visits_lost == 1
    assert assembler.counters.missing_messages == 3


def test_no_partner_at_all_holds_nothing_up():
    messages = [core(k, k) for k in range(200)]
    assembler = Assembler(AssembleSettings(chunk_pixels=8, pair_pixels=16))
    out = play(assembler, [scan_of(200, low=True), *messages])
    assert len(chunks(out)) >= 7
    out += assembler.feed(ScanEnd("s", "complete", 200))
    assert rows(out) == sent(messages)
    assert not rows(out, "low")
    assert assembler.counters.unpaired == 200


def test_pairs_over_several_passes():
    messages = []
    for visit in range(3):
        for pixel in range(6):
            messages.append(core(pixel, len(messages), visit=visit))
            messages.append(low(pixel, len(messages), visit=visit))
    assembler = Assembler(AssembleSettings(chunk_pixels=100))
    out = play(assembler, [scan_of(6, low=True, passes=3), *messages, ScanEnd("s", "complete", 18)])
    assert rows(out) == sent(messages)
    assert rows(out, "low") == sent(messages, "low")
    assert assembler.counters.unpaired == 0
    for chunk in chunks(out):  # partners are of the same visit
        np.testing.assert_array_equal(chunk.counts[:, 0] // 1000, chunk.low[:, 0] // 1000)


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


# Spectra that contradict their scan.

CONTRADICTIONS = {
    "too few channels": core(0, channels=4),
    "too many channels": core(0, channels=6),
    "another type": core(0, dtype="<u4"),
    "signed": core(0, dtype="<i2"),
    "float": core(0, dtype="<f4"),
    "another byte order": core(0, dtype=">u4"),
    "unknown signal": Spectra("s", "haadf", 0, np.arange(1), np.zeros((1, CHANNELS), "<u2")),
    "signal not announced": low(0),
    "pixel beyond": core(24),
    "pixel far beyond": core(2**62),
    "pixel negative": core(-1),
    "run beyond the end": core([22, 23, 24]),
    "one of many beyond": core([5, 99, 6]),
    "one of many negative": core([5, -3, 6]),
    "a pixel twice": core([5, 6, 5]),
    "a pixel twice, ends like a run": core([5, 5, 7]),
    "the same pixel": core([5, 5]),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_are_wire_errors_and_leave_no_trace(name):
    assembler = Assembler(AssembleSettings(chunk_pixels=4))
    out = assembler.feed(scan_of(4, 6))
    with pytest.raises(WireError):
        assembler.feed(CONTRADICTIONS[name])
    assert assembler.counters == Counters()
    messages = image(24)
    out += play(assembler, [*messages, ScanEnd("s", "complete", 24)])
    assert rows(out) == sent(messages)
    assert assembler.counters == Counters(messages=24, visits=24, pixels=24)


def test_a_refused_message_counts_as_missing():
    assembler = Assembler()
    assembler.feed(scan_of(10))
    for sequence in range(4):
        channels = CHANNELS + (sequence == 1)
        try:
            assembler.feed(core(sequence, sequence, channels=channels))
        except WireError:
            assert sequence == 1
    assert assembler.counters.gaps == assembler.counters.missing_messages == 1
    assert assembler.counters.messages == 3
