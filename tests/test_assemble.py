"""The assembler: chunks hold what was sent, whoever joins, ends or contradicts."""

import random

import numpy as np
import pytest

from live_eels import assemble
from live_eels.assemble import Assembler, AssembleSettings
from live_eels.books import Counters
from live_eels.spectra import Chunk, Scan, ScanEnd, Spectra, WireError
from sent_messages import CHANNELS, chunks, core, image, low, play, rows, scan_of, sent

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
