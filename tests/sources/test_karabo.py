"""The Karabo bridge: its own serializer sends, our decoder reads; lies are refused."""

import math
import random
import tracemalloc

import msgpack
import numpy as np
import pytest

from live_eels.sources.karabo import (
    KaraboDecoder,
    KaraboSettings,
    KaraboSignalSettings,
    ValueSettings,
)
from live_eels.sources.settings import AxisSettings
from live_eels.spectra import Scan, ScanEnd, Spectra, WireError

SOURCE = "EELS/CAM/1:daqOutput"
CORE = KaraboSignalSettings(source=SOURCE, key="data.spectrum", offset_ev=500.0, dispersion_ev=0.5)
LOW = KaraboSignalSettings(source=SOURCE, key="data.low", offset_ev=-10.0, dispersion_ev=0.1)
PIXEL = ValueSettings(source="STEM/SCAN", key="pixel")
MARKER = ValueSettings(source="STEM/SCAN", key="number")


def settings(*sizes, core=CORE, **more):
    names = ("y", "x")[-len(sizes) :] if sizes else ()
    axes = [AxisSettings(name=n, size=s) for n, s in zip(names, sizes, strict=True)]
    return KaraboSettings(core=core, navigation=axes, **more)


def train(spectrum, tid=None, low=None, timestamp=None, **scan):
    """A train as the bridge's protocol 2.2 writes it, by its specification."""
    metadata = {"source": SOURCE, "timestamp": timestamp, "timestamp.tid": tid}
    parts = [
        msgpack.packb({"source": SOURCE, "content": "msgpack", "metadata": metadata}),
        msgpack.packb({"exposure": 1.5, "name": "camera"}),
    ]
    for key, array in (("data.spectrum", spectrum), ("data.low", low)):
        if array is not None:
            header = {"source": SOURCE, "content": "array", "path": key}
            header |= {"dtype": str(array.dtype), "shape": array.shape}
            parts += [msgpack.packb(header), array.tobytes()]
    if scan:
        header = {"source": "STEM/SCAN", "content": "msgpack", "metadata": {}}
        parts += [msgpack.packb(header), msgpack.packb(scan)]
    return parts


def spectra_of(n, channels=5, dtype="uint16", seed=0):
    return np.random.default_rng(seed).integers(0, 100, (n, channels)).astype(dtype)


def play(decoder, trains):
    return [noun for parts in trains for noun in decoder.decode(parts)]


def test_trains_become_a_scan():
    spectra = spectra_of(6)
    decoder = KaraboDecoder(settings(2, 3))
    scan, *messages, end = play(decoder, [train(s, timestamp=12.5) for s in spectra])
    assert isinstance(scan, Scan)
    assert scan.shape == (2, 3)
    assert scan.core.dtype == "u2"
    assert scan.core.axis.energies_ev.tolist() == [500, 500.5, 501, 501.5, 502]
    for number, one in enumerate(messages):
        assert (one.signal, one.sequence, one.clock_s) == ("core", number, 12.5)
        assert one.pixels.tolist() == [number]
        assert one.counts.tolist() == [spectra[number].tolist()]
    assert end == ScanEnd(scan.id, "complete", 6)
    second = play(decoder, [train(s) for s in spectra])
    assert second[0].id != scan.id
    assert math.isnan(second[1].clock_s)


def test_the_bridge_s_own_serializer():
    serializer = pytest.importorskip("karabo_bridge.serializer")
    spectra, low = spectra_of(6, dtype="float32"), spectra_of(6, 7, "uint32", seed=1)
    decoder = KaraboDecoder(settings(6, low=LOW, pixel=PIXEL))
    out = []
    for number in range(6):
        content = {
            SOURCE: {
                "data.spectrum": spectra[number],
                "data.low": low[number],
                "data.unrelated": np.arange(3, dtype=np.complex128),
                "temperature": np.float64(20.5),
            },
            "STEM/SCAN": {"pixel": 5 - number, "trigger": True},
        }
        metadata = {name: {"source": name, "timestamp": 1.0 + number, "timestamp.tid": 10_000}
                    for name in content}  # fmt: skip
        message = serializer.serialize(content, metadata)
        out += decoder.decode([bytes(part) for part in message])
    scan, *messages, end = out
    assert [s.name for s in scan.signals] == ["core", "low"]
    assert [s.dtype for s in scan.signals] == ["f4", "u4"]
    assert [s.sequence for s in messages] == list(range(12))
    for number in range(6):
        one, partner = messages[2 * number : 2 * number + 2]
        assert one.pixels.tolist() == partner.pixels.tolist() == [5 - number]
        assert one.clock_s == 1.0 + number
        np.testing.assert_array_equal(one.counts, spectra[[number]])
        np.testing.assert_array_equal(partner.counts, low[[number]])
    assert end.reason == "complete"


def test_many_spectra_in_a_train():
    spectra = spectra_of(6)
    decoder = KaraboDecoder(settings(2, 3))
    _, *messages, end = play(decoder, [train(spectra[:3]), train(spectra[3:])])
    assert [s.pixels.tolist() for s in messages] == [[0, 1, 2], [3, 4, 5]]
    assert [s.sequence for s in messages] == [0, 1]
    assert end.pixels_sent == 6


def test_pixel_index_for_each_spectrum():
    header = {"source": "STEM/SCAN", "content": "array", "path": "pixel"}
    header |= {"dtype": "int32", "shape": [3]}
    indices = [msgpack.packb(header), np.array([5, 0, 3], np.int32).tobytes()]
    decoder = KaraboDecoder(settings(6, pixel=PIXEL))
    _, one = decoder.decode(train(spectra_of(3)) + indices)
    assert one.pixels.tolist() == [5, 0, 3]


def test_pixel_index_of_the_first_spectrum_of_trains_of_any_length():
    decoder = KaraboDecoder(settings(6, pixel=PIXEL))
    trains = [train(spectra_of(n), pixel=first) for first, n in ((2, 4), (0, 1), (1, 1))]
    _, *spectra, end = play(decoder, trains)
    assert [one.pixels.tolist() for one in spectra] == [[2, 3, 4, 5], [0], [1]]
    assert (end.reason, end.pixels_sent) == ("complete", 6)


def test_the_first_train_is_bounded_too():
    with pytest.raises(WireError, match="at most 65536 channels"):
        KaraboDecoder(settings(6)).decode(train(np.zeros((1, 65_537), "uint8")))


def test_lost_trains_are_gaps_where_trains_are_consecutive():
    spectra = spectra_of(6)
    decoder = KaraboDecoder(settings(2, 3, consecutive_trains=True))
    trains = [train(s, tid=1000 + k) for k, s in enumerate(spectra)]
    scan, *messages, end = play(decoder, [*trains[:2], *trains[4:]])
    assert [s.sequence for s in messages] == [0, 1, 4, 5]
    assert [int(s.pixels[0]) for s in messages] == [0, 1, 4, 5]
    assert end == ScanEnd(scan.id, "complete", 4)


def test_passes_and_live_view():
    decoder = KaraboDecoder(settings(3, passes=2))
    scan, *messages, end = play(decoder, [train(s) for s in spectra_of(6)])
    assert scan.passes == 2
    assert [int(s.pixels[0]) for s in messages] == [0, 1, 2, 0, 1, 2]
    assert end.pixels_sent == 6
    live, *messages = play(KaraboDecoder(settings()), [train(s) for s in spectra_of(9)])
    assert live.shape == ()
    assert {int(s.pixels[0]) for s in messages} == {0}
    assert len(messages) == 9


def test_a_new_marker_begins_a_new_scan():
    decoder = KaraboDecoder(settings(2, 3, scan=MARKER))
    trains = [train(s, number=k // 2) for k, s in enumerate(spectra_of(4))]
    first, _, _, end, second, *_ = play(decoder, trains)
    assert end == ScanEnd(first.id, "aborted", 2)
    assert second.id != first.id


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [("uint8", "u1"), ("int16", "i4"), ("int64", "f8"), ("uint64", "f8"), ("float64", "f8"),
     (">u2", "u2"), (">f4", "f4")],
)  # fmt: skip
def test_every_type_is_kept_without_loss(dtype, kept):
    spectra = spectra_of(1, dtype=dtype)
    scan, one = KaraboDecoder(settings()).decode(train(spectra))
    assert scan.core.dtype == kept
    assert one.counts.dtype.str[1:] == kept
    assert one.counts.tolist() == spectra.tolist()


def _train_with(**header):
    parts = train(spectra_of(1))
    told = {"source": SOURCE, "content": "array", "path": "data.spectrum"}
    parts[2] = msgpack.packb(told | {"dtype": "uint16", "shape": [1, 5]} | header)
    return parts


LIES = {
    "nothing": [],
    "protocol 1": [msgpack.packb({SOURCE: {"data.spectrum": 1}})],
    "odd number of parts": train(spectra_of(1))[:3],
    "too many parts": train(spectra_of(1)) * 1000,
    "not msgpack": [b"\xc1", b""],
    "header is a list": [msgpack.packb([1]), b""],
    "header too big": [msgpack.packb({"source": "x" * 100_000, "content": "array"}), b""],
    "deep header": [b"\x91" * 60_000, b""],
    "huge declared map": [b"\xdf\xff\xff\xff\xff", b""],
    "huge declared text": [b"\xdb\xff\xff\xff\xff", b""],
    "content unknown": [msgpack.packb({"source": "x", "content": "ImageData"}), b""],
    "payload is a list": [msgpack.packb({"source": "x", "content": "msgpack"}), b"\x90"],
    "payload too big": [
        *train(spectra_of(1)),
        msgpack.packb({"source": "x", "content": "msgpack"}),
        msgpack.packb({"x": "y" * 2_000_000}),
    ],
    "payload with number keys": [
        msgpack.packb({"source": "x", "content": "msgpack"}), msgpack.packb({1: 2})
    ],
    "array missing": train(None),
    "array is a number": [
        msgpack.packb({"source": SOURCE, "content": "msgpack"}),
        msgpack.packb({"data.spectrum": 5}),
    ],
    "object type": _train_with(dtype="object"),
    "pickled type": _train_with(dtype="O"),
    "record type": _train_with(dtype="i4,f8"),
    "type is a list": _train_with(dtype=[["a", "<i4"]]),
    "type lies": _train_with(dtype="float64"),
    "shape lies": _train_with(shape=[2, 5]),
    "shape huge": _train_with(shape=[2**31, 2**31]),
    "shape negative": _train_with(shape=[-1, -5]),
    "shape overflows to zero": _train_with(shape=[2**31] * 8),
    "three dimensions": _train_with(shape=[1, 1, 5]),
    "no dimension": [*_train_with(shape=[], dtype="uint8")[:3], b"\x01"],
    "no spectrum": [*_train_with(shape=[0, 5])[:3], b""],
    "no channel": [*_train_with(shape=[5, 0])[:3], b""],
    "too many channels": train(np.zeros((1, 70_000), "uint8")),
    "negative train": train(spectra_of(1), tid=-1),
    "train is text": train(spectra_of(1), tid="x"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_lies_are_wire_errors_and_leave_no_trace(name):
    decoder = KaraboDecoder(settings(2, 3))
    spectra = spectra_of(2)
    scan, _ = decoder.decode(train(spectra[0]))
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            decoder.decode(LIES[name])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20
    [one] = decoder.decode(train(spectra[1]))
    assert (one.scan_id, one.sequence, int(one.pixels[0])) == (scan.id, 1, 1)


@pytest.mark.parametrize(
    "pixel", [-1, 6, 2**63 - 1, 2**64 - 1, 1.5, "0", [0], {"a": 1}, None, True]
)
def test_pixel_indices_that_cannot_be(pixel):
    decoder = KaraboDecoder(settings(2, 3, pixel=PIXEL))
    with pytest.raises(WireError):
        decoder.decode(train(spectra_of(1), pixel=pixel))


def test_contradictions_between_trains():
    decoder = KaraboDecoder(settings(2, 3))
    decoder.decode(train(spectra_of(2)))
    with pytest.raises(WireError, match="channels"):
        decoder.decode(train(spectra_of(2, channels=6)))
    with pytest.raises(WireError, match="2 spectra, this one 3"):
        decoder.decode(train(spectra_of(3)))
    with pytest.raises(WireError, match="same number"):
        KaraboDecoder(settings(low=LOW)).decode(train(spectra_of(1), low=spectra_of(2)))
    with pytest.raises(WireError, match=r"timestamp\.tid"):
        KaraboDecoder(settings(consecutive_trains=True)).decode(train(spectra_of(1)))
    with pytest.raises(WireError, match="scan of 1 pixels"):
        KaraboDecoder(settings()).decode(train(spectra_of(2)))
    decoder = KaraboDecoder(settings(6, consecutive_trains=True))
    decoder.decode(train(spectra_of(1), tid=10))
    for tid in (9, 16, 2**62):
        with pytest.raises(WireError, match="not inside the scan"):
            decoder.decode(train(spectra_of(1), tid=tid))


def test_type_that_changes_is_refused():
    decoder = KaraboDecoder(settings(2, 3))
    decoder.decode(train(spectra_of(1)))
    with pytest.raises(WireError, match="began with u2"):
        decoder.decode(train(spectra_of(1, dtype="float64")))


def test_seeded_mutations_raise_nothing_else():
    rng = random.Random(2)
    decoder = KaraboDecoder(settings(50, 60, low=LOW, pixel=PIXEL, scan=MARKER))
    refused = 0
    for number in range(4000):
        spectra, low = spectra_of(2), spectra_of(2, 7)
        parts = train(spectra, tid=number, low=low, pixel=number % 2900, number=1)
        parts = [bytearray(part) for part in parts]
        for _ in range(rng.randint(1, 4)):
            part = rng.choice(parts)
            if part and rng.random() < 0.9:
                part[rng.randrange(len(part))] = rng.randrange(256)
            elif part:
                del part[rng.randrange(len(part)) :]
        try:
            out = decoder.decode([bytes(part) for part in parts])
        except WireError:
            refused += 1
        else:
            assert all(isinstance(noun, Scan | Spectra | ScanEnd) for noun in out)
    assert refused > 1000
