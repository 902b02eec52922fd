"""Spectra coming in: round trips, bytes, a stranger's sender, and input that lies."""

import math
import struct
import tracemalloc

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hostile
from hostile import carried
from live_eels import wire
from live_eels.spectra import (
    DTYPES,
    EnergyAxis,
    Instrument,
    NavigationAxis,
    Scan,
    ScanEnd,
    Signal,
    Spectra,
    WireError,
)
from live_eels.wire import parts as wire_parts

exact = settings(deadline=None, derandomize=True, max_examples=60)


def same(one, other):
    """Equality of messages, arrays by value and type."""
    if isinstance(one, Scan):
        fields = ("id", "navigation", "instrument", "title", "passes", "simulated")
        assert all(getattr(one, name) == getattr(other, name) for name in fields)
        for a, b in zip(one.signals, other.signals, strict=True):
            assert (a.name, a.axis, a.dtype) == (b.name, b.axis, b.dtype)
            for name in ("dark", "gain"):
                c, d = getattr(a, name), getattr(b, name)
                assert (c is None) == (d is None)
                if c is not None:
                    assert d.dtype == np.float32
                    np.testing.assert_array_equal(c, d)
    elif isinstance(one, Spectra):
        assert (one.scan_id, one.signal, one.sequence) == (
            other.scan_id, other.signal, other.sequence,
        )  # fmt: skip
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert other.pixels.dtype == np.int64
        np.testing.assert_array_equal(one.counts, other.counts)
        assert other.counts.dtype.str[1:] == one.counts.dtype.str[1:]
        assert other.counts.flags.c_contiguous
        assert one.clock_s == other.clock_s or (
            math.isnan(one.clock_s) and math.isnan(other.clock_s)
        )
    else:
        assert one == other


# Round trips.

finite = st.floats(-1e6, 1e6)
positive = st.floats(1e-3, 1e3)
printable = st.characters(blacklist_categories=["Cc", "Cs"])
name = st.text(printable, min_size=1, max_size=16)
text = st.text(printable, max_size=40)
maybe = st.none() | positive


@st.composite
def signals(draw, named):
    size = draw(st.integers(1, 12))
    reference = st.none() | st.lists(
        st.floats(-100, 100, width=32), min_size=size, max_size=size
    ).map(lambda values: np.array(values, np.float32))
    axis = EnergyAxis(draw(finite), draw(positive), size)
    return Signal(named, axis, draw(st.sampled_from(DTYPES)), draw(reference), draw(reference))


@st.composite
def scans(draw):
    names = draw(st.sampled_from([["core"], ["core", "low"], ["low", "edge"]]) | st.tuples(name))
    axes = st.builds(NavigationAxis, name, st.integers(1, 40), finite, text, finite)
    return Scan(
        draw(name),
        tuple(draw(st.lists(axes, max_size=3))),
        tuple(draw(signals(n)) for n in names),
        Instrument(*(draw(maybe) for _ in range(5)), draw(text), draw(text)),
        draw(text),
        draw(st.integers(1, 1000)),
        draw(st.booleans()),
    )


@st.composite
def spectra(draw):
    dtype = draw(st.sampled_from(DTYPES))
    n, channels = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = rng.integers(0, 200, (n, channels)).astype("<" + dtype)
    first = draw(st.integers(0, 2**20))
    run = first + np.arange(n)
    pixels = draw(st.sampled_from([run, run[::-1].copy(), run * 3, rng.permutation(run)]))
    clock = draw(st.just(math.nan) | st.floats(0, 2e9))
    return Spectra(draw(name), draw(name), draw(st.integers(0, 2**50)), pixels, counts, clock)


ends = st.builds(
    ScanEnd,
    name,
    st.sampled_from(["complete", "aborted", "lost"]),
    st.none() | st.integers(0, 2**40),
)


@exact
@given(scans() | spectra() | ends)
def test_what_is_encoded_is_decoded(message):
    same(message, wire.decode(carried(wire.encode(message))))


@exact
@given(scans() | spectra() | ends)
def test_a_message_lacking_or_having_a_byte_more_is_refused(message):
    parts = [bytes(part) for part in wire.encode(message)]
    for place in range(1, len(parts)):
        for changed in (parts[place][:-1], parts[place] + b"\0", b""):
            with pytest.raises(WireError):
                wire.decode([*parts[:place], changed, *parts[place + 1 :]])
        with pytest.raises(WireError):
            wire.decode([*parts[:place], *parts[place + 1 :]])


def test_counts_are_views_of_the_message():
    [topic, header, counts] = wire.encode(
        Spectra("s", "core", 0, np.arange(2), np.ones((2, 3), "<u2"))
    )
    buffer = bytearray(counts)
    message = wire.decode([topic, header, memoryview(buffer)])
    buffer[0] = 77
    assert message.counts[0, 0] == 77


def test_pixels_that_begin_and_end_like_a_run_are_sent_one_by_one():
    for pixels in ([4, 6, 5, 7], [4, 4, 4, 7]):
        sent = Spectra("s", "core", 0, np.array(pixels), np.ones((4, 3), "<u2"))
        assert wire.decode(wire.encode(sent)).pixels.tolist() == pixels


def test_references_outlive_their_message():
    scan = Scan("s", (), (Signal("core", EnergyAxis(0, 1, 3), "u2", np.ones(3, np.float32)),))
    parts = [bytearray(part) for part in wire.encode(scan)]
    message = wire.decode(parts)
    parts[-1][:] = bytes(12)
    assert message.core.dark.tolist() == [1, 1, 1]


def test_any_memory_layout_is_sent_right():
    counts = np.arange(24).reshape(4, 6)
    for array in (
        counts.astype("<u2").T.copy().T,  # Fortran order
        counts.astype("<u2")[::-1][::-1],
        counts.astype(">u2"),
        np.repeat(counts, 2, axis=1).astype("<u2")[:, ::2],
    ):
        message = wire.decode(wire.encode(Spectra("s", "core", 0, np.arange(4), array)))
        assert message.counts.tolist() == counts.tolist()


# The table of (message, bytes): what the specification says, byte by byte.

TABLE = [
    (ScanEnd("s", "complete", 4),
     [b"scan_end", b"\x84\xa4type\xa8scan_end\xa4scan\xa1s\xa6reason\xa8complete"
                   b"\xabpixels_sent\x04"]),
    (ScanEnd("s", "lost"),
     [b"scan_end", b"\x84\xa4type\xa8scan_end\xa4scan\xa1s\xa6reason\xa4lost\xabpixels_sent\xc0"]),
    (Spectra("s", "core", 5, np.array([7, 8]), np.array([[1, 2, 3], [4, 5, 65535]], "<u2")),
     [b"spectra", b"\x89\xa4type\xa7spectra\xa4scan\xa1s\xa6signal\xa4core\xa8sequence\x05\xa1n\x02"
                  b"\xa8channels\x03\xa5dtype\xa2u2\xa5first\x07\xa7clock_s\xc0",
      b"\1\0\2\0\3\0\4\0\5\0\xff\xff"]),
    (Spectra("s", "low", 6, np.array([8, 7]), np.array([[1], [2]], "<f4"), 1.5),
     [b"spectra", b"\x89\xa4type\xa7spectra\xa4scan\xa1s\xa6signal\xa3low\xa8sequence\x06\xa1n\x02"
                  b"\xa8channels\x01\xa5dtype\xa2f4\xa5first\xc0\xa7clock_s\xcb\x3f\xf8\0\0\0\0\0\0",
      b"\x08\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0", b"\0\0\x80\x3f\0\0\0\x40"]),
]  # fmt: skip


@pytest.mark.parametrize(("message", "parts"), TABLE)
def test_table_of_messages_and_bytes(message, parts):
    assert [bytes(part) for part in wire.encode(message)] == parts
    same(message, wire.decode(parts))


# A stranger's sender, written from the specification alone: msgpack, struct, bytes.


def stranger():
    line = {"name": "x", "size": 3, "scale": 0.5, "units": "nm"}
    signals = [
        {"name": "core", "offset_ev": 600, "dispersion_ev": 0.25, "size": 4, "dtype": "u2",
         "gain": True},
        {"name": "low", "offset_ev": -10, "dispersion_ev": 0.1, "size": 2, "dtype": "f4"},
    ]  # fmt: skip
    header = {
        "type": "scan",
        "version": 1,
        "scan": "6f1c",
        "navigation": [line],
        "signals": signals,
        "instrument": {"beam_energy_kev": 200, "dwell_s": 0.001},
    }
    yield [b"scan", msgpack.packb(header), struct.pack("<4f", 1, 1, 0.5, 1.5)]
    spectra = {"type": "spectra", "scan": "6f1c", "n": 1}
    for pixel in range(3):
        core = {"signal": "core", "sequence": 2 * pixel, "channels": 4, "dtype": "u2"}
        yield [b"", msgpack.packb({**spectra, **core, "first": pixel}),
               struct.pack("<4H", pixel, 1, 2, 65535)]  # fmt: skip
        low = {"signal": "low", "sequence": 2 * pixel + 1, "channels": 2, "dtype": "f4"}
        yield [b"", msgpack.packb({**spectra, **low}), struct.pack("<q", pixel),
               struct.pack("<2f", 0.5, pixel)]  # fmt: skip
    yield [b"", msgpack.packb({"type": "scan_end", "scan": "6f1c", "reason": "complete"})]


def test_a_stranger_is_understood():
    scan, *messages, end = [wire.decode(parts) for parts in stranger()]
    assert scan.shape == (3,)
    assert scan.title == ""
    assert scan.passes == 1
    assert scan.core.axis == EnergyAxis(600.0, 0.25, 4)
    assert scan.core.gain.tolist() == [1, 1, 0.5, 1.5]
    assert scan.low.axis.offset_ev == -10
    assert scan.instrument == Instrument(beam_energy_kev=200.0, dwell_s=0.001)
    assert not scan.simulated
    assert [m.sequence for m in messages] == list(range(6))
    for pixel in range(3):
        core, low = messages[2 * pixel : 2 * pixel + 2]
        assert core.pixels.tolist() == low.pixels.tolist() == [pixel]
        assert core.counts.tolist() == [[pixel, 1, 2, 65535]]
        assert low.counts.tolist() == [[0.5, pixel]]
        assert math.isnan(core.clock_s)
    assert end == ScanEnd("6f1c", "complete", None)


# Input that lies.


@pytest.mark.parametrize("name", hostile.GOOD)
def test_the_good_messages_of_the_corpus_are_good(name):
    wire.decode(hostile.GOOD[name])


@pytest.mark.parametrize("name", hostile.MESSAGES)
def test_hostile_messages_are_wire_errors_and_cost_nothing(name):
    parts = hostile.MESSAGES[name]
    tracemalloc.start()
    try:
        with pytest.raises(WireError) as caught:
            wire.decode(parts)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    assert 0 < len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("too many parts", "2 to 6 parts"),
        ("header of 64 KiB and one byte", "at most 65536 bytes"),
        ("header 100 MB", "at most 65536 bytes"),
    ],
)
def test_bounds_hold_before_anything_is_read(name, says):
    with pytest.raises(WireError, match=says):
        wire.decode(hostile.MESSAGES[name])


def test_an_array_beyond_the_bound_is_refused_though_it_is_as_announced(monkeypatch):
    message = wire.encode(Spectra("s", "core", 0, np.arange(2), np.ones((2, 3), "<u2")))
    monkeypatch.setattr(wire_parts, "MAX_ARRAY_BYTES", 12)
    wire.decode(message)
    monkeypatch.setattr(wire_parts, "MAX_ARRAY_BYTES", 11)
    with pytest.raises(WireError, match="at most 11"):
        wire.decode(message)


def test_mutations_are_refused_or_read_and_nothing_else():
    refused = 0
    for parts in hostile.mutations(seed=1, number=20_000):
        try:
            message = wire.decode(parts)
        except WireError:
            refused += 1
        else:
            wire.encode(message)
    assert 10_000 < refused < 20_000
