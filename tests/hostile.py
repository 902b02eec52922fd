"""Input that lies: messages in our wire format that must be refused, each with its name.

``MESSAGES`` is the corpus (name -> parts); every entry is a ``WireError`` and nothing else,
and costs no more memory than it brings. ``mutations`` makes more of them from good messages.
"""

import datetime
import math
import random
import struct

import msgpack
import numpy as np

SCAN = {
    "type": "scan", "version": 1, "scan": "s1", "title": "t",
    "navigation": [{"name": "y", "size": 4, "scale": 0.5, "units": "nm", "offset": 0.0},
                   {"name": "x", "size": 6, "scale": 0.5, "units": "nm"}],
    "signals": [{"name": "core", "offset_ev": 600.0, "dispersion_ev": 0.25, "size": 8,
                 "dtype": "u2", "dark": False, "gain": False}],
    "instrument": {"beam_energy_kev": 200.0}, "passes": 1, "simulated": False,
}  # fmt: skip
SPECTRA = {
    "type": "spectra", "scan": "s1", "signal": "core", "sequence": 0,
    "n": 3, "channels": 8, "dtype": "u2", "first": 0,
}  # fmt: skip
END = {"type": "scan_end", "scan": "s1", "reason": "complete", "pixels_sent": 24}
COUNTS = bytes(3 * 8 * 2)
INDICES = np.array([5, 3, 1], "<i8").tobytes()


def scan(*arrays, **changes):
    """A scan message with some fields changed; a value of ``...`` takes the field out."""
    return _message(SCAN, changes, arrays)


def signal(*arrays, **changes):
    """A scan message with some fields of its one signal changed."""
    return scan(*arrays, signals=[_changed(SCAN["signals"][0], changes)])


def axis(**changes):
    """A scan message with some fields of its slow axis changed."""
    return scan(navigation=[_changed(SCAN["navigation"][0], changes)])


def spectra(*arrays, **changes):
    """A spectra message with some fields changed."""
    return _message(SPECTRA, changes, arrays or (COUNTS,))


def indexed(indices=INDICES, **changes):
    """A spectra message with explicit pixels."""
    return spectra(indices, COUNTS, first=..., **changes)


def end(*arrays, **changes):
    """A scan_end message with some fields changed."""
    return _message(END, changes, arrays)


def _changed(fields, changes):
    return {key: value for key, value in {**fields, **changes}.items() if value is not ...}


def _message(fields, changes, arrays):
    changed = _changed(fields, changes)
    return [fields["type"].encode(), msgpack.packb(changed), *arrays]


def _deep(levels):
    return b"\x91" * levels + b"\x90"


GOOD = {
    "scan": scan(),
    "scan with references": signal(bytes(32), bytes(32), dark=True, gain=True),
    "spectra": spectra(),
    "spectra with pixels": indexed(),
    "scan_end": end(),
}

MESSAGES = {
    # parts
    "no part": [],
    "topic only": [b"scan"],
    "too many parts": [*scan(), *[b""] * 17],
    "topic too long": [b"x" * 256, *scan()[1:]],
    "header empty": [b"scan", b""],
    "header too big": scan(title="x" * 70_000),
    "header of 64 KiB and one byte": [b"scan", b"\xc0" * 65_537],
    "header 100 MB": [b"scan", bytes(100_000_000)],
    "unannounced part": [*scan(), b""],
    "end with part": end(b"x"),
    "spectra without counts": spectra()[:2],
    "spectra with one part more": [*spectra(), COUNTS],
    "pixels announced, not sent": [*spectra(first=...)[:2], COUNTS],
    # header bytes
    "not msgpack": [b"scan", b"\xc1"],
    "header truncated": [b"scan", scan()[1][:-3]],
    "header and rest": [b"scan", scan()[1] + b"\x00"],
    "header is json": [b"scan", b'{"type": "scan"}'],
    "header is a number": [b"scan", b"\x05"],
    "header is a list": [b"scan", msgpack.packb(list(SCAN.values()))],
    "header is nil": [b"scan", b"\xc0"],
    "header is an extension": [b"scan", msgpack.packb(msgpack.ExtType(4, b"abc"))],
    "huge declared map": [b"scan", b"\xdf\xff\xff\xff\xff"],
    "huge declared list": [b"scan", b"\x81\xa4type\xdd\xff\xff\xff\xff"],
    "huge declared text": [b"scan", b"\x81\xa4type\xdb\xff\xff\xff\xff"],
    "huge declared bytes": [b"scan", b"\x81\xa4type\xc6\xff\xff\xff\xff"],
    "huge declared extension": [b"scan", b"\x81\xa4type\xc9\xff\xff\xff\xff\x01"],
    "deep nesting": [b"scan", _deep(60_000)],
    "deep nesting inside": [b"scan", b"\x82\xa4type\xa4scan\xa5title" + _deep(50_000)],
    "text is not utf-8": [b"scan", scan()[1].replace(b"\xa5title\xa1t", b"\xa5title\xa1\xff")],
    "key is a number": [b"scan", msgpack.packb({1: 2})],
    "key is bytes": [b"scan", msgpack.packb({b"type": b"scan"})],
    # which message
    "no type": scan(type=...),
    "unknown type": scan(type="pickle"),
    "type is a number": scan(type=1),
    "type of results": scan(type="map"),
    "unknown field": scan(colour="red"),
    "misspelt field": spectra(sequenze=0),
    "unknown field inside": signal(offset=0),
    # scan
    "no version": scan(version=...),
    "version 0": scan(version=0),
    "version 2": scan(version=2),
    "version 1.0": scan(version=1.5),
    "version true": scan(version=True),
    "no scan name": scan(scan=...),
    "empty scan name": scan(scan=""),
    "long scan name": scan(scan="x" * 65),
    "scan name is a number": scan(scan=7),
    "NUL in the scan name": scan(scan="a\0b"),
    "NUL in the title": scan(title="a\0b"),
    "escape sequence in the title": scan(title="\x1b[2Jgone"),
    "newline in the title": scan(title="a\nb"),
    "escape sequence of one character": scan(title="\x9b2Jgone"),
    "delete in the title": scan(title="a\x7f"),
    "NUL in a signal name": signal(name="a\0"),
    "NUL in an axis name": axis(name="a\0"),
    "NUL in units": axis(units="n\0m"),
    "NUL in the microscope": scan(instrument={"microscope": "\0"}),
    "long title": scan(title="x" * 2000),
    "title is a date": scan(title=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()),
    "object instead of text": scan(title=msgpack.ExtType(1, b"c__builtin__\neval")),
    "pickle instead of text": scan(title=msgpack.ExtType(42, b"\x80\x04.")),
    "no navigation": scan(navigation=...),
    "navigation is a number": scan(navigation=64),
    "navigation is a map": scan(navigation={}),
    "nine dimensions": scan(navigation=[SCAN["navigation"][0]] * 9),
    "size 0": axis(size=0),
    "size negative": axis(size=-4),
    "size fractional": axis(size=4.5),
    "size huge": axis(size=2**40),
    "size beyond 64 bit signed": axis(size=2**64 - 1),
    "sizes huge together": scan(navigation=[SCAN["navigation"][0] | {"size": 2**20}] * 4),
    "size is text": axis(size="4"),
    "scale nan": axis(scale=math.nan),
    "scale infinite": axis(scale=math.inf),
    "offset nan": axis(offset=math.nan),
    "no signals": scan(signals=...),
    "empty signals": scan(signals=[]),
    "nine signals": scan(signals=[SCAN["signals"][0] | {"name": str(k)} for k in range(9)]),
    "two signals, none the low loss": scan(
        signals=[SCAN["signals"][0] | {"name": name} for name in ("core", "other")]),
    "signals of one name": scan(signals=SCAN["signals"] * 2),
    "offset_ev nan": signal(offset_ev=math.nan),
    "offset_ev infinite": signal(offset_ev=-math.inf),
    "offset_ev is text": signal(offset_ev="600"),
    "dispersion nan": signal(dispersion_ev=math.nan),
    "dispersion 0": signal(dispersion_ev=0.0),
    "dispersion negative": signal(dispersion_ev=-0.25),
    "energies beyond float": signal(offset_ev=1e308, dispersion_ev=1e308),
    "channels 0": signal(size=0),
    "channels negative": signal(size=-1),
    "channels huge": signal(size=2**31),
    "dtype object": signal(dtype="O"),
    "dtype pickled": signal(dtype="|O8"),
    "dtype with byte order": signal(dtype="<u2"),
    "dtype complex": signal(dtype="c8"),
    "dtype signed short": signal(dtype="i2"),
    "dtype void": signal(dtype="V1000000000"),
    "dtype is a list": signal(dtype=[["a", "u2"]]),
    "dark is a number": signal(bytes(32), dark=1),
    "dark announced, not sent": signal(dark=True),
    "dark too short": signal(bytes(28), dark=True),
    "dark too long": signal(bytes(36), dark=True),
    "dark nan": signal(struct.pack("<8f", *[math.nan] * 8), dark=True),
    "gain infinite": signal(struct.pack("<8f", *[math.inf] * 8), gain=True),
    "dark sent, not announced": signal(bytes(32)),
    "one reference of two": signal(bytes(32), dark=True, gain=True),
    "beam energy nan": scan(instrument={"beam_energy_kev": math.nan}),
    "beam energy is text": scan(instrument={"beam_energy_kev": "200"}),
    "instrument is a list": scan(instrument=[200]),
    "instrument is unknown": scan(instrument={"voltage": 200}),
    "passes 0": scan(passes=0),
    "passes negative": scan(passes=-1),
    "passes huge": scan(passes=2**40),
    "simulated is a number": scan(simulated=1),
    # spectra
    "spectra without scan": spectra(scan=...),
    "spectra without signal": spectra(signal=...),
    "spectra without sequence": spectra(sequence=...),
    "sequence negative": spectra(sequence=-1),
    "sequence huge": spectra(sequence=2**63),
    "sequence fractional": spectra(sequence=0.5),
    "n 0": spectra(b"", n=0),
    "n negative": spectra(n=-3),
    "n lies, more": spectra(n=4),
    "n lies, fewer": spectra(n=2),
    "n huge": spectra(n=2**28),
    "n huge, one channel": spectra(n=2**28, channels=1, dtype="u1"),
    "n beyond": spectra(n=2**40),
    "channels lie": spectra(channels=9),
    "channels of spectra 0": spectra(b"", channels=0),
    "dtype lies, wider": spectra(dtype="u4"),
    "dtype lies, narrower": spectra(dtype="u1"),
    "dtype of spectra object": spectra(dtype="O"),
    "counts empty": spectra(b""),
    "counts odd": spectra(bytes(47)),
    "first negative": spectra(first=-1),
    "first huge": spectra(first=2**60),
    "first fractional": spectra(first=1.5),
    "pixels negative": indexed(np.array([0, -1, 2], "<i8").tobytes()),
    "pixels too few": indexed(bytes(16)),
    "pixels too many": indexed(bytes(32)),
    "pixels as 32 bit": indexed(bytes(12)),
    "clock nan": spectra(clock_s=math.nan),
    "clock infinite": spectra(clock_s=math.inf),
    "clock is text": spectra(clock_s="now"),
    # scan_end
    "end without reason": end(reason=...),
    "reason unknown": end(reason="tired"),
    "reason is nil": end(reason=None),
    "pixels_sent negative": end(pixels_sent=-1),
    "pixels_sent huge": end(pixels_sent=2**63),
    "pixels_sent fractional": end(pixels_sent=1.5),
    "end without scan": end(scan=...),
}  # fmt: skip


def mutations(seed, number):
    """Good messages with bytes flipped, cut, doubled or exchanged; some may still be good."""
    rng = random.Random(seed)
    goods = list(GOOD.values())
    for _ in range(number):
        parts = [bytearray(part) for part in rng.choice(goods)]
        for _ in range(rng.randint(1, 5)):
            place = rng.randrange(len(parts))
            part = parts[place]
            match rng.randrange(7):
                case 0 | 1 | 2 if part:
                    part[rng.randrange(len(part))] = rng.randrange(256)
                case 3 if part:
                    part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
                case 4 if part:
                    del part[rng.randrange(len(part)) :]
                case 5:
                    part += part[: rng.randrange(32)]
                case 6:
                    parts.insert(place, bytearray(rng.choice(rng.choice(goods))))
        yield [bytes(part) for part in parts]


def carried(parts):
    """The parts as a socket hands them over: read-only views, here at odd addresses."""
    return [memoryview(b"x" + bytes(part))[1:].toreadonly() for part in parts]
