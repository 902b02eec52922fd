"""Spectra coming in: the messages ``scan``, ``spectra`` and ``scan_end``, both ways.

Lives here: their headers, typed, and what makes them contradict themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, cast

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels.spectra import (
    EndReason,
    EnergyAxis,
    Instrument,
    NavigationAxis,
    Scan,
    ScanEnd,
    Signal,
    Spectra,
    WireError,
)
from live_eels.wire.parts import (
    MAX_CHANNELS,
    MAX_HEADER_BYTES,
    MAX_PARTS,
    MAX_PIXELS,
    Part,
    array_of,
    encoder,
    expect_arrays,
    finite,
    printable,
    raw,
)

VERSION = 1

Message = Scan | Spectra | ScanEnd

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=1024)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
DType = Literal["u1", "u2", "u4", "i4", "f4", "f8"]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Unknown fields are refused: a misspelt one is an error, not a default."""


class _Navigation(_Strict, frozen=True):
    name: Name
    size: Annotated[int, Meta(ge=1, le=MAX_PIXELS)]
    scale: float = 1.0
    units: Text = "nm"
    offset: float = 0.0


class _Signal(_Strict, frozen=True):
    name: Name
    offset_ev: float
    dispersion_ev: float
    size: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    dtype: DType
    dark: bool = False
    gain: bool = False


class _Instrument(_Strict, frozen=True):
    beam_energy_kev: float | None = None
    convergence_mrad: float | None = None
    collection_mrad: float | None = None
    dwell_s: float | None = None
    beam_current_na: float | None = None
    microscope: Text = ""
    spectrometer: Text = ""


class _Scan(_Strict, frozen=True, tag_field="type", tag="scan"):
    version: int
    scan: Name
    navigation: Annotated[list[_Navigation], Meta(max_length=8)]
    signals: Annotated[list[_Signal], Meta(min_length=1, max_length=2)]
    instrument: _Instrument = _Instrument()
    title: Text = ""
    passes: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    simulated: bool = False


class _Spectra(_Strict, frozen=True, tag_field="type", tag="spectra"):
    scan: Name
    signal: Name
    sequence: Count
    n: Annotated[int, Meta(ge=1, le=MAX_PIXELS)]
    channels: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    dtype: DType
    first: Annotated[int, Meta(ge=0, le=MAX_PIXELS)] | None = None
    clock_s: float | None = None


class _ScanEnd(_Strict, frozen=True, tag_field="type", tag="scan_end"):
    scan: Name
    reason: EndReason
    pixels_sent: Count | None = None


_headers: msgspec.msgpack.Decoder[_Scan | _Spectra | _ScanEnd] = msgspec.msgpack.Decoder(
    _Scan | _Spectra | _ScanEnd
)


def encode(message: Message) -> list[Part]:
    """Write one message as its parts; array parts are views of the arrays, not copies."""
    match message:
        case Spectra():
            return _encode_spectra(message)
        case Scan():
            return _encode_scan(message)
        case ScanEnd():
            end = _ScanEnd(message.scan_id, message.reason, message.pixels_sent)
            return [b"scan_end", encoder.encode(end)]


def decode(parts: Sequence[Part]) -> Message:
    """Read one message from its parts; counts are views of the parts, not copies.

    Raises
    ------
    WireError
        If the parts are not a message of this format; the text says what is wrong.
    """
    if not 2 <= len(parts) <= MAX_PARTS:
        raise WireError(f"a message has 2 to {MAX_PARTS} parts, this one {len(parts)}")
    if len(parts[0]) > 255:
        raise WireError(f"a topic has at most 255 bytes, this one {len(parts[0])}")
    if len(parts[1]) > MAX_HEADER_BYTES:
        raise WireError(f"a header has at most {MAX_HEADER_BYTES} bytes, this one {len(parts[1])}")
    try:
        header = _headers.decode(parts[1])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"header: {error}") from error
    arrays = parts[2:]
    match header:
        case _Spectra():
            return _decode_spectra(header, arrays)
        case _Scan():
            return _decode_scan(header, arrays)
        case _ScanEnd():
            expect_arrays(arrays, 0)
            return ScanEnd(header.scan, header.reason, header.pixels_sent)


def _encode_spectra(spectra: Spectra) -> list[Part]:
    pixels = np.ascontiguousarray(spectra.pixels, dtype="<i8")
    counts = np.ascontiguousarray(spectra.counts)
    counts = counts.astype(counts.dtype.newbyteorder("<"), copy=False)
    n, channels = counts.shape
    run = bool(n) and pixels[-1] - pixels[0] == n - 1 and bool((np.diff(pixels) == 1).all())
    header = _Spectra(
        spectra.scan_id,
        spectra.signal,
        spectra.sequence,
        n,
        channels,
        cast(DType, counts.dtype.str[1:]),
        int(pixels[0]) if run else None,
        None if math.isnan(spectra.clock_s) else spectra.clock_s,
    )
    parts: list[Part] = [b"spectra", encoder.encode(header)]
    if not run:
        parts.append(raw(pixels))
    parts.append(raw(counts))
    return parts


def _decode_spectra(header: _Spectra, arrays: Sequence[Part]) -> Spectra:
    expect_arrays(arrays, 1 if header.first is not None else 2)
    n, channels = header.n, header.channels
    counts = array_of(arrays[-1], header.dtype, (n, channels), "counts")  # first: it bounds n
    if header.first is not None:
        pixels = np.arange(header.first, header.first + n, dtype=np.int64)
    else:
        pixels = array_of(arrays[0], "i8", (n,), "pixels").astype(np.int64, copy=False)
        if pixels.min() < 0:
            raise WireError(f"pixel {pixels.min()} is negative")
    clock_s = math.nan
    if header.clock_s is not None:
        finite("clock_s", header.clock_s)
        clock_s = header.clock_s
    return Spectra(header.scan, header.signal, header.sequence, pixels, counts, clock_s)


def _encode_scan(scan: Scan) -> list[Part]:
    references: list[Part] = []
    for signal in scan.signals:
        for reference in (signal.dark, signal.gain):
            if reference is not None:
                references.append(raw(np.ascontiguousarray(reference, "<f4")))
    instrument = scan.instrument
    header = _Scan(
        VERSION,
        scan.id,
        [_Navigation(a.name, a.size, a.scale, a.units, a.offset) for a in scan.navigation],
        [
            _Signal(
                s.name, s.axis.offset_ev, s.axis.dispersion_ev, s.axis.size,
                cast(DType, s.dtype), s.dark is not None, s.gain is not None,
            )
            for s in scan.signals
        ],
        _Instrument(
            instrument.beam_energy_kev, instrument.convergence_mrad, instrument.collection_mrad,
            instrument.dwell_s, instrument.beam_current_na,
            instrument.microscope, instrument.spectrometer,
        ),
        scan.title,
        scan.passes,
        scan.simulated,
    )  # fmt: skip
    return [b"scan", encoder.encode(header), *references]


def _decode_scan(header: _Scan, arrays: Sequence[Part]) -> Scan:
    if header.version != VERSION:
        raise WireError(f"version {header.version} of the format; this reads version {VERSION}")
    pixels = math.prod(axis.size for axis in header.navigation)
    if pixels > MAX_PIXELS:
        raise WireError(f"a scan has at most {MAX_PIXELS} pixels, this one {pixels}")
    names = [signal.name for signal in header.signals]
    if len(names) == 2 and names.count("low") != 1:
        raise WireError(f"of two signals one is named 'low', the other not: {names}")
    expect_arrays(arrays, sum(signal.dark + signal.gain for signal in header.signals))
    references = iter(arrays)
    signals = tuple(_decode_signal(signal, references) for signal in header.signals)
    for axis in header.navigation:
        finite(f"navigation axis {axis.name!r}", axis.scale, axis.offset)
        printable(axis.name, axis.units)
    microscope = header.instrument
    printable(header.scan, header.title, *names, microscope.microscope, microscope.spectrometer)
    finite(
        "instrument",
        *(v for v in msgspec.structs.astuple(microscope) if isinstance(v, float)),
    )
    return Scan(
        id=header.scan,
        navigation=tuple(
            NavigationAxis(a.name, a.size, a.scale, a.units, a.offset) for a in header.navigation
        ),
        signals=signals,
        instrument=Instrument(*msgspec.structs.astuple(microscope)),
        title=header.title,
        passes=header.passes,
        simulated=header.simulated,
    )


def _decode_signal(signal: _Signal, references: Iterator[Part]) -> Signal:
    last_ev = signal.offset_ev + signal.size * signal.dispersion_ev
    finite(f"signal {signal.name!r}", signal.offset_ev, signal.dispersion_ev, last_ev)
    if signal.dispersion_ev <= 0:
        raise WireError(
            f"signal {signal.name!r}: dispersion_ev is {signal.dispersion_ev:g}, must be above 0 "
            "(send spectra with energy loss rising along the channels)"
        )
    arrays: dict[str, NDArray[np.float32] | None] = {"dark": None, "gain": None}
    for name in arrays:
        if getattr(signal, name):
            reference = array_of(next(references), "f4", (signal.size,), name)
            if not np.isfinite(reference).all():
                raise WireError(f"signal {signal.name!r}: {name} reference is not finite")
            arrays[name] = reference.astype(np.float32)  # a copy: it outlives the message
    axis = EnergyAxis(signal.offset_ev, signal.dispersion_ev, signal.size)
    return Signal(signal.name, axis, signal.dtype, arrays["dark"], arrays["gain"])
