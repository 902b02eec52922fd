"""DECTRIS stream, both versions: hand-made, recorded and foreign senders; lies are refused."""

import json
import math
import random
import struct
import threading
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from live_eels.sources import dectris_stream
from live_eels.sources.dectris import BandSettings, DectrisDecoder, DectrisSettings
from live_eels.sources.settings import AxisSettings, InstrumentSettings
from live_eels.spectra import Scan, ScanEnd, Spectra, WireError

cbor2 = pytest.importorskip("cbor2")
compression = pytest.importorskip("dectris.compression")

SHAPE = (4, 6)  # rows, columns of the detector in these tests
TAGS = {"|u1": 64, "<u2": 69, ">u2": 65, "<u4": 70, ">u4": 66}
CORE = BandSettings(offset_ev=500.0, dispersion_ev=0.5)
RECORDED = Path(__file__).parents[3] / "shared" / "dectris_stream2"


def settings(*sizes, core=CORE, **more):
    names = ("y", "x")[-len(sizes) :] if sizes else ()
    axes = [AxisSettings(name=n, size=s) for n, s in zip(names, sizes, strict=True)]
    return DectrisSettings(core=core, navigation=axes, **more)


def images(number, shape=SHAPE, dtype="<u2", seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 200, (number, *shape)).astype(dtype)


def summed(image):
    return image.astype(np.int64).sum(axis=0)


# Senders, written from the vendor's description.


def lz4_block(data):
    """An LZ4 block of literals only: valid, though it compresses nothing."""
    if len(data) < 15:
        return bytes([len(data) << 4]) + data
    more, rest = divmod(len(data) - 15, 255)
    return bytes([0xF0]) + b"\xff" * more + bytes([rest]) + data


def bslz4(array):
    """Bitshuffle-LZ4 as the HDF5 filter writes it, by the HDF5 plugin itself."""
    h5py, hdf5plugin = pytest.importorskip("h5py"), pytest.importorskip("hdf5plugin")
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        data = file.create_dataset(
            "d", data=array, chunks=array.shape, **hdf5plugin.Bitshuffle(cname="lz4")
        )
        return data.id.read_direct_chunk((0,) * array.ndim)[1]


def encoded(array, encoding):
    raw = array.tobytes()
    if encoding.startswith("lz4"):
        return lz4_block(raw)
    return bslz4(array) if encoding.startswith("bs") else raw


def v1_start(images=6, series=7, **config):
    config = {"nimages": images, "ntrigger": 1, "count_time": 0.001, "extra": [1], **config}
    header = {"htype": "dheader-1.0", "series": series, "header_detail": "basic"}
    return [json.dumps(header).encode(), json.dumps(config).encode()]


def v1_image(number, array, series=7, encoding="<"):
    kind = {1: "uint8", 2: "uint16", 4: "uint32"}[array.dtype.itemsize]
    blob = encoded(array, encoding)
    header = {"htype": "dimage-1.0", "series": series, "frame": number, "hash": "x"}
    shape = [array.shape[1], array.shape[0]]
    data = {"htype": "dimage_d-1.0", "shape": shape, "type": kind, "encoding": encoding}
    times = {"htype": "dconfig-1.0", "start_time": 0, "stop_time": 1, "real_time": 1}
    parts = [header, data | {"size": len(blob)}, blob, times]
    return [part if isinstance(part, bytes) else json.dumps(part).encode() for part in parts]


def v1_end(series=7):
    return [json.dumps({"htype": "dseries_end-1.0", "series": series}).encode()]


def v2_array(array, compress=None):
    data = array.tobytes()
    if compress == "bslz4":
        data = cbor2.CBORTag(56500, ["bslz4", array.dtype.itemsize, bslz4(array)])
    elif compress == "lz4":
        block = lz4_block(data)
        framed = struct.pack(">QII", len(data), len(data), len(block)) + block
        data = cbor2.CBORTag(56500, ["lz4", 0, framed])
    typed = cbor2.CBORTag(TAGS[array.dtype.str], data)
    return cbor2.CBORTag(40, [list(array.shape), typed])


def v2_start(images=6, unique="01GRX", **more):
    fields = {"type": "start", "series_id": 1, "series_unique_id": unique}
    fields |= {"number_of_images": images, "count_time": 0.002, "incident_energy": 200e3}
    fields |= {"detector_description": "ELA", "channels": ["threshold_1"], "user_data": {"a": [1]}}
    return [cbor2.dumps(fields | more)]


def v2_image(number, array, unique="01GRX", compress=None, names=("threshold_1",)):
    data = {name: v2_array((array + k).astype(array.dtype), compress)
            for k, name in enumerate(names)}  # fmt: skip
    fields = {"type": "image", "series_id": 1, "series_unique_id": unique, "image_id": number}
    fields |= {"series_date": datetime(2023, 2, 10, 14, tzinfo=UTC), "stop_time": [3, 2]}
    return [cbor2.dumps(fields | {"data": data, "user_data": [1, "💙"]})]


def v2_end(unique="01GRX"):
    return [cbor2.dumps({"type": "end", "series_id": 1, "series_unique_id": unique})]


SENDERS = {"v1": (v1_start, v1_image, v1_end), "v2": (v2_start, v2_image, v2_end)}


@pytest.fixture(params=SENDERS)
def sender(request):
    return SENDERS[request.param]


def play(decoder, messages):
    return [noun for parts in messages for noun in decoder.decode(parts)]


def series(sender, frames, total=None):
    start, image, end = sender
    return [start(total or len(frames)), *(image(i, f) for i, f in enumerate(frames)), end()]


# What a well-behaved detector gives.


def test_series_becomes_scan_of_summed_rows(sender):
    frames = images(6)
    scan, *spectra, end = play(DectrisDecoder(settings(2, 3)), series(sender, frames))
    assert isinstance(scan, Scan)
    assert scan.shape == (2, 3)
    assert scan.passes == 1
    assert scan.core.axis.energies_ev.tolist() == [500, 500.5, 501, 501.5, 502, 502.5]
    assert scan.core.dtype == "u4"
    assert scan.core.gain is None
    assert scan.instrument.dwell_s in (0.001, 0.002)
    for number, (one, frame) in enumerate(zip(spectra, frames, strict=True)):
        assert (one.scan_id, one.signal, one.sequence) == (scan.id, "core", number)
        assert one.pixels.tolist() == [number]
        assert one.counts.dtype == np.uint32
        assert one.counts.flags.c_contiguous
        assert one.counts.tolist() == [summed(frame).tolist()]
    assert end == ScanEnd(scan.id, "complete", 6)


@pytest.mark.parametrize("dtype", ["|u1", "<u2", "<u4"])
@pytest.mark.parametrize("coding", ["", "lz4", "bs-lz4"])
def test_every_encoding_of_version_1(dtype, coding):
    frame = images(1, (40, 50), dtype)[0]
    encoding = coding.replace("bs", f"bs{8 * frame.dtype.itemsize}") + "<"
    _, one = DectrisDecoder(settings()).decode(v1_image(0, frame, encoding=encoding))
    assert one.counts.tolist() == [summed(frame).tolist()]


@pytest.mark.parametrize("dtype", ["|u1", "<u2", ">u2", "<u4", ">u4"])
@pytest.mark.parametrize("compress", [None, "lz4", "bslz4"])
def test_every_encoding_of_version_2(dtype, compress):
    frame = images(1, (40, 50), dtype)[0]
    if compress == "bslz4" and dtype[0] == ">":
        pytest.skip("the reference encoder shuffles native bytes")
    _, one = DectrisDecoder(settings()).decode(v2_image(0, frame, compress=compress))
    assert one.counts.tolist() == [summed(frame).tolist()]


def test_big_endian_version_1():
    frame = images(1, dtype=">u2")[0]
    _, one = DectrisDecoder(settings()).decode(v1_image(0, frame, encoding=">"))
    assert one.counts.tolist() == [summed(frame).tolist()]


def test_header_sent_in_two_messages():
    first, second = v1_start(6, count_time=0.25)
    decoder = DectrisDecoder(settings(2, 3))
    assert decoder.decode([first]) == []
    assert decoder.decode([second]) == []
    scan, _ = decoder.decode(v1_image(0, images(1)[0]))
    assert scan.instrument.dwell_s == 0.25
    assert decoder.decode(v1_end())[0].reason == "aborted"


def test_clock_is_the_end_of_the_exposure():
    _, one = DectrisDecoder(settings()).decode(v2_image(0, images(1)[0]))
    assert one.clock_s == datetime(2023, 2, 10, 14, tzinfo=UTC).timestamp() + 1.5
    _, one = DectrisDecoder(settings()).decode(v1_image(0, images(1)[0]))
    assert math.isnan(one.clock_s)


def test_settings_win_over_the_detector_and_nothing_is_guessed():
    start = v2_start(1)
    scan, _ = play(DectrisDecoder(settings()), [start, v2_image(0, images(1)[0])])
    assert scan.instrument.beam_energy_kev == 200
    assert scan.instrument.spectrometer == "ELA"
    assert scan.instrument.collection_mrad is None
    told = settings(instrument=InstrumentSettings(beam_energy_kev=80.0, spectrometer="Iris"))
    scan, _ = play(DectrisDecoder(told), [start, v2_image(0, images(1)[0])])
    assert scan.instrument.beam_energy_kev == 80
    assert scan.instrument.spectrometer == "Iris"


def test_rows_channels_flip_and_orientation():
    frame = images(1)[0]
    band = BandSettings(offset_ev=0.0, dispersion_ev=1.0, rows=(1, 3), channels=(2, 5))
    for flip in (False, True):
        for dispersive, image in (("x", frame), ("y", np.ascontiguousarray(frame.T))):
            decoder = DectrisDecoder(settings(core=band, flip=flip, dispersive=dispersive))
            scan, one = decoder.decode(v2_image(0, image))
            expected = summed(frame[1:3, 2:5])
            assert one.counts[0].tolist() == expected[:: -1 if flip else 1].tolist()
            assert scan.core.axis.size == 3


def test_two_bands_are_core_and_low_loss():
    low = BandSettings(offset_ev=-10.0, dispersion_ev=0.1, rows=(0, 1))
    core = BandSettings(offset_ev=500.0, dispersion_ev=0.5, rows=(1, 4))
    frames = images(2)
    scan, *spectra, _ = play(
        DectrisDecoder(settings(2, core=core, low=low)), series(SENDERS["v2"], frames)
    )
    assert scan.low is not None
    assert scan.low.axis.offset_ev == -10
    assert [(s.signal, s.sequence, int(s.pixels[0])) for s in spectra] == [
        ("core", 0, 0), ("low", 1, 0), ("core", 2, 1), ("low", 3, 1),
    ]  # fmt: skip
    assert spectra[2].counts.tolist() == [summed(frames[1][1:]).tolist()]
    assert spectra[3].counts.tolist() == [summed(frames[1][:1]).tolist()]


def test_flyback_images_belong_to_no_pixel(sender):
    frames = images(2 * (3 + 2))
    scan, *spectra, end = play(DectrisDecoder(settings(2, 3, flyback=2)), series(sender, frames))
    assert [int(s.pixels[0]) for s in spectra] == [0, 1, 2, 3, 4, 5]
    assert [s.sequence for s in spectra] == [0, 1, 2, 3, 4, 5]
    assert spectra[3].counts.tolist() == [summed(frames[5]).tolist()]
    assert scan.passes == 1
    assert end == ScanEnd(scan.id, "complete", 6)
    start, image, stop = sender
    decoder = DectrisDecoder(settings(2, 3, flyback=2))
    *_, end = play(decoder, [start(10), *(image(n, frames[n]) for n in range(4)), stop()])
    assert (end.reason, end.pixels_sent) == ("aborted", 3)  # the fourth was of the flyback


def test_live_view_visits_its_one_pixel(sender):
    scan, *spectra, end = play(DectrisDecoder(settings()), series(sender, images(5)))
    assert scan.shape == ()
    assert scan.passes == 5
    assert {int(s.pixels[0]) for s in spectra} == {0}
    assert end.pixels_sent == 5


def test_passes_follow_from_the_number_of_images(sender):
    scan, *spectra, _ = play(DectrisDecoder(settings(2, 3)), series(sender, images(12)))
    assert scan.passes == 2
    assert [int(s.pixels[0]) for s in spectra] == [*range(6), *range(6)]
    assert [s.sequence for s in spectra] == list(range(12))
    start, image, _ = sender
    scan, _ = play(DectrisDecoder(settings(2, 3)), [start(7), image(0, images(1)[0])])
    assert scan.passes == 2  # one pixel is visited twice


def test_masked_pixels_are_left_out(sender):
    _, image, _ = sender
    frame = images(1)[0]
    frame[1, 2] = frame[3, 4] = 65535
    _, one = DectrisDecoder(settings()).decode(image(0, frame))
    frame[1, 2] = frame[3, 4] = 0
    assert one.counts.tolist() == [summed(frame).tolist()]


def test_sum_of_32_bit_counts_stops_at_the_top():
    frame = np.full(SHAPE, 2**31, "<u4")
    _, one = DectrisDecoder(settings()).decode(v2_image(0, frame))
    assert (one.counts == 2**32 - 1).all()


def test_mask_of_the_detector_becomes_gain():
    mask = np.zeros(SHAPE, "<u4")
    mask[:2, 1] = 1  # channel 1 lost half of its rows
    mask[:, 5] = 2  # channel 5 all of them
    frame = np.full(SHAPE, 10, "<u2")
    for flip in (False, True):
        decoder = DectrisDecoder(settings(flip=flip))
        start = v2_start(1, pixel_mask={"threshold_1": v2_array(mask)})
        scan, one = play(decoder, [start, v2_image(0, frame)])
        step = -1 if flip else 1
        assert one.counts[0].tolist() == [40, 20, 40, 40, 40, 0][::step]
        gain = scan.core.gain[::step]
        assert gain[5] == 1  # reads zero, not infinity
        np.testing.assert_allclose(gain[:5], np.array([1, 0.5, 1, 1, 1]) / 0.9, rtol=1e-6)


def test_mask_of_a_detector_that_disperses_along_its_columns():
    mask = np.zeros(SHAPE, "<u4")
    mask[1, :3] = 1
    decoder = DectrisDecoder(settings(dispersive="y"))
    start = v2_start(1, pixel_mask={"threshold_1": v2_array(mask)})
    scan, one = play(decoder, [start, v2_image(0, np.full(SHAPE, 10, "<u2"))])
    assert one.counts[0].tolist() == [60, 30, 60, 60]
    assert scan.core.gain.argmin() == 1


def test_mask_of_version_1():
    mask = np.zeros(SHAPE, "<u4")
    mask[0, 0] = 1
    header = {"htype": "dpixelmask-1.0", "shape": [6, 4], "type": "uint32"}
    flat = {"htype": "dflatfield-1.0", "shape": [6, 4], "type": "float32"}
    more = [json.dumps(flat).encode(), bytes(96), json.dumps(header).encode(), mask.tobytes()]
    scan, one = play(
        DectrisDecoder(settings()),
        [[*v1_start(1), *more, b"appendix"], v1_image(0, np.ones(SHAPE, "<u2"))],
    )
    assert one.counts[0].tolist() == [3, 4, 4, 4, 4, 4]
    assert scan.core.gain is not None


def test_threshold_is_chosen_by_name():
    frame = images(1)[0]
    message = v2_image(0, frame, names=("threshold_1", "threshold_2"))
    _, one = DectrisDecoder(settings()).decode(message)
    assert one.counts.tolist() == [summed(frame).tolist()]
    _, one = DectrisDecoder(settings(threshold="threshold_2")).decode(message)
    assert one.counts.tolist() == [summed(frame + 1).tolist()]
    with pytest.raises(WireError, match="'x', only 'threshold_1', 'threshold_2'"):
        DectrisDecoder(settings(threshold="x")).decode(message)


def test_joined_late_and_left_early(sender):
    start, image, end = sender
    frames = images(6)
    decoder = DectrisDecoder(settings(2, 3))
    assert decoder.decode(end()) == []  # of a series before our time
    scan, one = decoder.decode(image(4, frames[4]))
    assert one.pixels.tolist() == [4]
    assert one.sequence == 4
    assert decoder.decode(end()) == [ScanEnd(scan.id, "complete", 5)]
    out = play(decoder, [start(6), image(0, frames[0]), end()])
    assert out[-1] == ScanEnd(out[0].id, "aborted", 1)


def test_lost_images_are_gaps_in_the_sequence(sender):
    messages = series(sender, images(6))
    del messages[3:5]
    _, *spectra, end = play(DectrisDecoder(settings(2, 3)), messages)
    assert [s.sequence for s in spectra] == [0, 1, 4, 5]
    assert end.reason == "complete"
    assert end.pixels_sent == 6


def test_images_out_of_order_are_all_there(sender):
    start, image, end = sender
    frames = images(6)
    messages = [start(6), *(image(n, frames[n]) for n in (0, 5, 2, 1, 4, 3)), end()]
    _, *spectra, last = play(DectrisDecoder(settings(2, 3)), messages)
    assert [one.sequence for one in spectra] == [0, 5, 2, 1, 4, 3]
    assert (last.reason, last.pixels_sent) == ("complete", 6)


def test_the_end_of_another_series_ends_nothing():
    frames = images(2)
    for start, image, end in (
        (v1_start(2), v1_image, v1_end(series=8)),
        (v2_start(2), v2_image, v2_end(unique="other")),
    ):
        decoder = DectrisDecoder(settings(2))
        play(decoder, [start, image(0, frames[0])])
        assert decoder.decode(end) == []
        assert len(decoder.decode(image(1, frames[1]))) == 1


def test_series_after_series_are_scans_of_their_own(sender):
    decoder = DectrisDecoder(settings(2, 3))
    ids = set()
    for unique in ("a", "b", "c"):
        args = {"unique": unique} if sender is SENDERS["v2"] else {"series": 7}
        start, image, end = sender
        out = play(decoder, [start(6, **args), image(0, images(1)[0], **args)])
        ids.add(out[0].id)
        if unique != "b":  # the second one ends without saying so
            assert play(decoder, [end(**args)])[0].scan_id == out[0].id
    assert len(ids) == 3


def test_armed_but_never_triggered_is_no_scan(sender):
    start, image, end = sender
    decoder = DectrisDecoder(settings(2, 3))
    assert play(decoder, [start(4), end(), end()]) == []
    # Forgotten: a later series of that name, whose start we missed, is none of four images.
    scan, spectra = play(decoder, [image(5, images(1)[0])])
    assert (scan.pixels, spectra.pixels.tolist()) == (6, [5])


def test_start_repeated_in_mid_series_changes_nothing():
    decoder = DectrisDecoder(settings(2, 3))
    frames = images(3)
    first = play(decoder, [v2_start(6), v2_image(0, frames[0])])
    again = play(decoder, [v2_start(6), v2_image(1, frames[1])])
    assert len(again) == 1
    assert again[0].scan_id == first[0].id


@pytest.mark.parametrize(("name", "dtype"), [("16bit", "<u2"), ("8bit", "|u1")])
def test_recorded_messages_of_a_real_detector(name, dtype):
    files = sorted(RECORDED.glob(f"{name}_*.cbor"))
    if not files:
        pytest.skip("recorded messages are not present")
    decoder = DectrisDecoder(settings(10, core=CORE))
    *messages, end = [file.read_bytes() for file in files]
    scan, *spectra = play(decoder, [[message] for message in messages])
    assert scan.core.axis.size == 1030

    def plain(decoder, tag):
        return compression.decompress(tag.value[2], tag.value[0], elem_size=tag.value[1])

    def images_of(fields):
        return fields["data"]["threshold_1"].value[1].value

    for number, (message, one) in enumerate(zip(messages, spectra, strict=True)):
        packed = images_of(cbor2.loads(message))
        raw = plain(None, packed)
        image = np.frombuffer(raw, dtype).reshape(514, 1030).astype(np.int64)
        image[image == np.iinfo(dtype).max] = 0
        assert one.pixels.tolist() == [number]
        assert one.counts[0].tolist() == image.sum(axis=0).tolist()
        assert one.counts.sum() > 0
    [over] = decoder.decode([end])
    assert over.scan_id == scan.id


def test_foreign_simulator_sends_a_series():
    """libertem-dectris has a detector simulator of its own (Rust), speaking version 1."""
    foreign = pytest.importorskip("libertem_dectris")
    zmq = pytest.importorskip("zmq")
    detector = foreign.DectrisSim.new_mocked(
        uri="tcp://127.0.0.1", num_frames=6, dwelltime=100, random_port=True
    )
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    socket.rcvtimeo = 5000
    socket.connect(detector.get_uri())

    def send():
        detector.send_headers()
        detector.send_frames(6)
        detector.send_footer()

    thread = threading.Thread(target=send)
    thread.start()
    decoder, out = DectrisDecoder(settings(2, 3)), []
    try:
        while not out or not isinstance(out[-1], ScanEnd):
            out += decoder.decode(socket.recv_multipart())
    finally:
        thread.join()
        socket.close(linger=0)
        context.term()
    scan, *spectra, end = out
    assert scan.core.axis.size == 512
    assert scan.instrument.dwell_s == 0.0009999
    assert "QUADRO" in scan.instrument.spectrometer
    assert [int(s.pixels[0]) for s in spectra] == list(range(6))
    for number, one in enumerate(spectra):  # its image k is k everywhere, 512 rows of it
        assert (one.counts == number * 512).all()
    assert end == ScanEnd(scan.id, "complete", 6)


# What a liar gives.


def _v2(**fields):
    return [cbor2.dumps({"type": "image", "series_id": 1, "image_id": 0} | fields)]


def _image2(shape, tag, data):
    array = cbor2.CBORTag(40, [shape, cbor2.CBORTag(tag, data)])
    return _v2(data={"threshold_1": array})


def _packed(algorithm, element, data, shape=(4, 6)):
    return _image2(list(shape), 69, cbor2.CBORTag(56500, [algorithm, element, data]))


def _v1(number=0, **blob):
    frame = images(1)[0]
    data = {"htype": "dimage_d-1.0", "shape": [6, 4], "type": "uint16", "encoding": "<"} | blob
    parts = v1_image(number, frame)
    parts[1] = json.dumps(data).encode()
    return parts


_FRAMED = struct.pack(">QI", 48, 8192)
_BIG = struct.pack(">QI", 65536 * 65536 * 2, 8192)

LIES = {
    "nothing": [],
    "empty part": [b""],
    "too many parts": [b"{}"] * 17,
    "not json": [b"{", b"", b""],
    "not utf-8": [b'{"htype": "\xff"}'],
    "json of another kind": [b'{"htype": "dsecret-1.0"}'],
    "json without type": [b'{"a": 1}', b"{}"],
    "deep json": [b'{"htype": "dheader-1.0", "series": ' + b"[" * 100_000 + b"}"],
    "long json": [b'{"htype": "dheader-1.0", "x": "' + b" " * 2_000_000 + b'"}'],
    "image of 65 537 rows": _image2([65_537, 1], 64, bytes(65_537)),
    "nine thresholds": _v2(data={str(n): v2_array(images(1)[0]) for n in range(9)}),
    "header padded with a million spaces": [v1_start()[0] + b" " * 2**20],
    "negative series": [b'{"htype": "dheader-1.0", "series": -1}'],
    "header with bad config": [v1_start()[0], b'{"nimages": "many"}'],
    "negative frame": [b'{"htype": "dimage-1.0", "series": 1, "frame": -1}', b"", b""],
    "huge frame": [b'{"htype": "dimage-1.0", "series": 1, "frame": 1e300}', b"", b""],
    "image without blob": v1_image(0, images(1)[0])[:2],
    "blob too short": [*v1_image(0, images(1)[0])[:2], b"123"],
    "blob too long": [*v1_image(0, images(1)[0])[:2], bytes(1000)],
    "huge shape": _v1(shape=[65536, 65536]),
    "huge shape, compressed": _v1(shape=[65536, 65536], encoding="bs16-lz4<"),
    "huge shape, bare lz4": _v1(shape=[65536, 65536], encoding="lz4<"),
    "three dimensions": _v1(shape=[6, 4, 2]),
    "no side": _v1(shape=[0, 4]),
    "negative side": _v1(shape=[-6, -4]),
    "float side": _v1(shape=[6.0, 4.5]),
    "unknown type": _v1(type="float32"),
    "object type": _v1(type="object"),
    "unknown encoding": _v1(encoding="zip<"),
    "endless encoding": _v1(encoding="<" * 10_000),
    "not really lz4": _v1(encoding="lz4<"),
    "not really bslz4": _v1(encoding="bs16-lz4<"),
    "cbor integer": [b"\x01"],
    "cbor array": [cbor2.dumps([1, 2])],
    "cbor truncated": [v2_image(0, images(1)[0])[0][:-5]],
    "cbor two parts": [v2_end()[0], b""],
    "cbor deep": [b"\x81" * 100_000],
    "cbor huge text": [b"\xa1\x7b\x00\x00\x00\xff\x00\x00\x00\x00"],
    "cbor huge bytes": [b"\xa1\x64type\x5b\x00\x00\x00\xff\x00\x00\x00\x00"],
    "cbor huge array": [b"\xa1\x64type\x9b\x00\x00\x00\xff\x00\x00\x00\x00"],
    "cbor huge map": [b"\xbb\x00\x00\x00\xff\x00\x00\x00\x00"],
    "cbor huge bigfloat": [b"\xa1\x64type\xc5\x82\x1b\x00\xff\xff\xff\xff\xff\xff\xff\x01"],
    "cbor regular expression": [b"\xa1\x64type" + cbor2.dumps(cbor2.CBORTag(35, "(" * 5000))],
    "cbor map of maps as key": [b"\xa1\xa0\x00"],
    "no type": [cbor2.dumps({"series_id": 1})],
    "type of another kind": [cbor2.dumps({"type": "secret", "series_id": 1})],
    "series of another kind": [cbor2.dumps({"type": "end", "series_id": "1"})],
    "huge series": [cbor2.dumps({"type": "end", "series_id": 2**70})],
    "nul and long unique id": [cbor2.dumps({"type": "end", "series_unique_id": "\0" * 1000})],
    "negative image": _v2(image_id=-1, data={}),
    "no data": _v2(),
    "empty data": _v2(data={}),
    "data of many": _v2(data={str(k): 1 for k in range(100)}),
    "data is bytes": _v2(data=b"123"),
    "image is bytes": _v2(data={"threshold_1": b"123"}),
    "image is untagged": _v2(data={"threshold_1": [[4, 6], bytes(48)]}),
    "image of one item": _v2(data={"threshold_1": cbor2.CBORTag(40, [[4, 6]])}),
    "shape is number": _image2(4, 69, bytes(48)),
    "shape is text": _image2("46", 69, bytes(48)),
    "shape one-dimensional": _image2([24], 69, bytes(48)),
    "shape negative": _image2([-4, -6], 69, bytes(48)),
    "shape true": _image2([True, 24], 69, bytes(48)),
    "shape huge": _image2([2**62, 2**62], 69, bytes(48)),
    "shape lies": _image2([4, 7], 69, bytes(48)),
    "float image": _image2([4, 3], 85, bytes(48)),
    "unknown tag": _image2([4, 6], 4711, bytes(48)),
    "untyped data": _image2([4, 6], 69, "text"),
    "unknown algorithm": _packed("zip", 2, _FRAMED + bytes(20)),
    "algorithm is number": _packed(1, 2, _FRAMED + bytes(20)),
    "element size absurd": _packed("bslz4", 10**9, _FRAMED + bytes(20)),
    "element size negative": _packed("bslz4", -2, _FRAMED + bytes(20)),
    "element size huge": _packed("bslz4", 2**70, _FRAMED + bytes(20)),
    "compressed nothing": _packed("bslz4", 2, b""),
    "compressed frame only": _packed("bslz4", 2, _FRAMED),
    "compressed rubbish": _packed("bslz4", 2, _FRAMED + b"\xff" * 100),
    "compressed lz4 rubbish": _packed("lz4", 0, _FRAMED + b"\xff" * 100),
    "declares more than shape": _packed("bslz4", 2, _BIG + bytes(20)),
    "declares as much as a huge shape": _packed("bslz4", 2, _BIG + bytes(20), (65536, 65536)),
    "decompresses to less": _packed("bslz4", 2, _FRAMED + bytes(20), (4, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_lies_are_wire_errors_and_leave_no_trace(name):
    decoder = DectrisDecoder(settings(2, 3))
    frames = images(2)
    scan, _ = play(decoder, [v2_start(6), v2_image(0, frames[0])])
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            decoder.decode(LIES[name])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20
    [one] = decoder.decode(v2_image(1, frames[1]))
    assert one.scan_id == scan.id
    assert one.counts.tolist() == [summed(frames[1]).tolist()]


def test_contradictions_within_a_series(sender):
    start, image, _ = sender
    decoder = DectrisDecoder(settings(2, 3))
    play(decoder, [start(6), image(0, images(1)[0])])
    with pytest.raises(WireError, match=r"\(4, 6\), this one \(4, 7\)"):
        decoder.decode(image(1, images(1, (4, 7))[0]))
    with pytest.raises(WireError, match="image 6 of a series of 6"):
        decoder.decode(image(6, images(1)[0]))


def test_settings_that_do_not_fit_the_detector(sender):
    _, image, _ = sender
    band = BandSettings(offset_ev=0.0, dispersion_ev=1.0, rows=(2, 9))
    with pytest.raises(WireError, match=r"rows 2 to 9 set for 'core'.*has 4 rows"):
        DectrisDecoder(settings(core=band)).decode(image(0, images(1)[0]))
    mask = v2_array(np.ones((4, 7), "<u4"))
    decoder = DectrisDecoder(settings())
    decoder.decode(v2_start(1, pixel_mask={"threshold_1": mask}))
    with pytest.raises(WireError, match="pixel mask"):
        decoder.decode(v2_image(0, images(1)[0]))


def test_a_message_larger_than_any_image_is_not_read(monkeypatch):
    message = v2_image(0, images(1)[0])
    monkeypatch.setattr(dectris_stream, "MAX_IMAGE_BYTES", len(message[0]) - 1)
    with pytest.raises(WireError, match="a message has at most"):
        DectrisDecoder(settings()).decode(message)


def test_only_what_the_vendor_uses_is_decompressed():
    with pytest.raises(WireError, match="only 'bslz4' and 'lz4'"):
        DectrisDecoder(settings()).decode(_packed("zip", 2, _FRAMED))


def test_a_clock_that_divides_by_nothing_is_none():
    message = cbor2.loads(v2_image(0, images(1)[0])[0])
    for stop in ([3, 0], [-1, 2], [2**64, 1], [1], "now"):
        _, one = DectrisDecoder(settings()).decode([cbor2.dumps(message | {"stop_time": stop})])
        assert math.isnan(one.clock_s)


def test_seeded_mutations_raise_nothing_else():
    rng = random.Random(1)
    frame = images(1, (20, 30))[0]
    seeds = [v1_start(6), v2_start(6), v2_image(0, frame), v1_image(0, frame), v1_end(), v2_end()]
    seeds += [v2_image(1, frame, compress="bslz4"), v1_image(2, frame, encoding="bs16-lz4<")]
    decoder, refused = DectrisDecoder(settings(2, 3)), 0
    for _ in range(4000):
        parts = [bytearray(part) for part in rng.choice(seeds)]
        for _ in range(rng.randint(1, 4)):
            part = rng.choice(parts)
            if part and rng.random() < 0.9:
                part[rng.randrange(min(len(part), 400))] = rng.randrange(256)
            elif part:
                del part[rng.randrange(len(part)) :]
        try:
            out = decoder.decode([bytes(part) for part in parts])
        except WireError:
            refused += 1
        else:
            assert all(isinstance(noun, Scan | Spectra | ScanEnd) for noun in out)
    assert refused > 1000


def test_missing_extra_is_said_plainly(monkeypatch):
    dectris_stream.require.cache_clear()  # it may be known from other tests
    monkeypatch.setitem(__import__("sys").modules, "cbor2", None)
    with pytest.raises(ImportError, match=r"pip install 'live-eels\[dectris\]'"):
        DectrisDecoder(settings())
