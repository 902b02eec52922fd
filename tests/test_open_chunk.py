"""Core and low loss find each other, in whatever order they come."""

import numpy as np
import pytest

from live_eels.assemble import Assembler, AssembleSettings
from live_eels.spectra import ScanEnd
from sent_messages import chunks, core, low, pair, play, rows, scan_of, sent


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
