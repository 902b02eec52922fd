"""Lost pixels: those that were sent and never came, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from live_eels.assemble import Assembler
from live_eels.spectra import EnergyAxis, NavigationAxis, Scan, ScanEnd, Signal, Spectra

AXIS = EnergyAxis(0.0, 1.0, 16)


def scan(ny=4, nx=10, *, low=False, passes=1):
    signals = (Signal("core", AXIS), *([Signal("low", AXIS)] if low else []))
    return Scan("s", (NavigationAxis("y", ny), NavigationAxis("x", nx)), signals, passes=passes)


def heard(of, orders, lose=(), *, signals=("core",), sent=None, reason=None):
    """Feed one message for each list of pixels; the messages numbered in ``lose`` are lost."""
    assembler, sequence = Assembler(), 0
    assembler.feed(of)
    losses = assembler.losses
    for pixels in orders:
        for signal in signals:
            counts = np.zeros((len(pixels), 16), "<u2")
            if sequence not in lose:
                assembler.feed(Spectra("s", signal, sequence, np.array(pixels), counts))
            sequence += 1
    if reason is not None:
        assembler.feed(ScanEnd("s", reason, sent))
    return [tuple(run) for run in losses.runs().tolist()]


RASTER = [list(range(i, i + 5)) for i in range(0, 40, 5)]
SERPENTINE = [p if (p[0] // 10) % 2 == 0 else p[::-1] for p in RASTER]
SERPENTINE[2:4], SERPENTINE[6:8] = SERPENTINE[3:1:-1], SERPENTINE[7:5:-1]


def test_a_gap_is_known_as_soon_as_the_next_message_comes():
    assert heard(scan(), RASTER[:4], lose=[2]) == [(10, 15)]
    assert heard(scan(), RASTER[:4], lose=[0, 2]) == [(0, 5), (10, 15)]
    assert heard(scan(), RASTER[:5]) == []


def test_what_the_beam_has_not_reached_is_not_lost():
    assert heard(scan(), RASTER[:4], lose=[3]) == []  # not yet known
    assert heard(scan(), RASTER[:4], lose=[3], reason="aborted", sent=20) == []
    assert heard(scan(), RASTER, lose=[7], reason="complete", sent=40) == [(35, 40)]
    assert heard(scan(), RASTER, lose=[7], reason="complete") == [(35, 40)]


def test_a_lost_low_loss_is_no_lost_pixel():
    both = ("low", "core")
    assert heard(scan(low=True), RASTER[:4], lose=[4], signals=both) == []
    assert heard(scan(low=True), RASTER[:4], lose=[5], signals=both) == [(10, 15)]
    assert heard(scan(low=True), RASTER[:4], lose=[4, 5], signals=both) == [(10, 15)]


def test_rows_that_run_backwards():
    assert heard(scan(), SERPENTINE[:4], lose=[2]) == []  # at the turn nothing can be said yet
    rows = [[0, 1, 2], [9, 8], [7, 6], [5, 4, 3]]
    assert heard(scan(1, 10), rows, lose=[2]) == [(6, 8)]
    assert heard(scan(), SERPENTINE, lose=[2], reason="complete", sent=40) == [(15, 20)]


@pytest.mark.parametrize("sent", [20, None])
def test_a_sub_sampled_scan_leaves_pixels_out(sent):
    sparse = [list(range(i, i + 9, 2)) for i in range(0, 40, 10)]
    reason = "aborted" if sent is None else "complete"
    assert heard(scan(), sparse, reason=reason, sent=sent) == []
    assert heard(scan(), sparse, lose=[1], reason=reason, sent=sent) == []  # which, nobody knows
    single = [[i] for i in range(0, 40, 2)]
    assert heard(scan(), single, lose=[5], reason=reason, sent=sent) == []


def test_single_pixels_and_what_comes_late():
    single = [[i] for i in range(10)]
    assert heard(scan(1, 10), single[:8], lose=[3, 4]) == [(3, 5)]
    assembler = Assembler()
    assembler.feed(scan(1, 10))
    for number in (0, 1, 3, 2):
        counts = np.zeros((1, 16), "<u2")
        assembler.feed(Spectra("s", "core", number, np.array([number]), counts))
        if number == 3:
            assert assembler.losses.runs().tolist() == [[2, 3]]
    assert assembler.losses.runs().tolist() == []


def test_a_second_pass_mends():
    rows = [*RASTER, *RASTER]
    assert heard(scan(passes=2), rows, lose=[3, 12], reason="complete", sent=80) == []
    assert heard(scan(passes=2), rows, lose=[3, 11], reason="complete", sent=80) == [(15, 20)]
