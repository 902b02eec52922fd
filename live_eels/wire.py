r"""Our wire format, version 1: this docstring is the specification.

A sender needs ZeroMQ, msgpack and this page. Every message is multipart::

    topic | header | array part ...

``topic``
    Up to 255 bytes, for subscription filters only; its content is not read. We send
    ``scan``, ``spectra`` and ``scan_end``.
``header``
    One msgpack map, at most 64 KiB. ``type`` says which message it is. Unknown fields,
    missing fields and wrong types are errors. Strings are UTF-8 without control characters;
    numbers must be finite.
array parts
    Raw little-endian buffers in C order, nothing before or after, in the order in which the
    header announces them. Type codes are numpy's without byte order: ``u1 u2 u4 i4 f4 f8``.

A *pixel* is a beam position as a flat index into the navigation shape, last axis fastest,
from 0. Messages of one scan, in the order in which they are sent:

``scan``: sent once before the first spectrum, and again every second or so, unchanged, so
that a late subscriber can join (a repeated one is no error). ::

    {"type": "scan", "version": 1,
     "scan": "6f1c...",                  # unique name of the scan: a UUID, 1 to 64 characters
     "title": "LSMO_0421",               # optional; for people and file names
     "navigation": [                     # slow axis first; [] for a single spectrum (live view)
        {"name": "y", "size": 64, "scale": 0.5, "units": "nm", "offset": 0.0},
        {"name": "x", "size": 64, "scale": 0.5, "units": "nm"}],   # offset optional
     "signals": [                        # one; or two, of which one is named "low" (its low loss)
        {"name": "core", "offset_ev": 600.0, "dispersion_ev": 0.25, "size": 1024, "dtype": "u2",
         "dark": false, "gain": false}], # optional: true announces an array part, float32 (size,)
     "instrument": {"beam_energy_kev": 200.0, "convergence_mrad": 30.0,   # all optional
                    "collection_mrad": 50.0, "dwell_s": 0.001, "beam_current_na": 0.1,
                    "microscope": "...", "spectrometer": "..."},
     "passes": 1,                        # optional: how often the beam visits each pixel
     "simulated": false}                 # optional

Array parts: for each signal in order, its dark reference if announced, then its gain
reference if announced (measured counts = true counts * gain + dark).

``spectra``: any number of spectra of one signal. ::

    {"type": "spectra", "scan": "6f1c...", "signal": "core",
     "sequence": 0,          # counts every spectra message of this scan (all signals), from 0
     "n": 16,                # number of spectra in this message, at least 1
     "channels": 1024, "dtype": "u2",     # as announced
     "first": 128,           # the pixels are first, first + 1, ..., or, without it:
     "clock_s": 1795500000.25}            # optional: sender's UNIX time after the last spectrum

Array parts: without ``first``, the pixel indices, int64 ``(n,)``; then the counts,
``(n, channels)``. Serpentine, sub-sampled and adaptive scans give indices. A pixel that
comes again (several passes) adds up. No pixel comes twice within one message. Order is
free; a sequence number that never comes is a gap, one that comes twice a duplicate.

``scan_end``::

    {"type": "scan_end", "scan": "6f1c...",
     "reason": "complete",   # or "aborted" (the operator), "lost" (the sender lost the beam)
     "pixels_sent": 4096}    # optional: pixel visits sent, counted over one signal

The next ``scan`` (another ``scan`` name) may follow at once; it also ends the one before.

Results go out on a PUB socket in the same shape, topic first, so that a subscriber can
choose: ``scan`` (the announcement of the scan, as above), ``pixels``, ``map/<name>``,
``curve/<name>``, ``contents``, ``status``, ``event``. Headers::

    {"type": "pixels", "scan": ..., "n": 16, "maps": ["label", "valence"]}
                             # parts: pixels, int64 (n,); values, float32 (map, n): these
                             # pixels were just analysed; whole maps follow at a slower rate

    {"type": "map", "scan": ..., "name": "label", "version": 17, "kind": "label", "unit": "",
     "meaning": "...", "classes": ["Mn2+", ...], "limits": null, "shape": [64, 64],
     "scale": [0.5, 0.5], "units": ["nm", "nm"]}          # part: float32, nan where unknown
    {"type": "curve", "scan": ..., "name": "factors", "version": 17, "offset_ev": 600.0,
     "dispersion_ev": 0.25, "labels": ["1", "2"], "unit": "...", "shape": [2, 1024],
     "error": false}         # part: float32 (curve, channel); then its sigma if "error"
    {"type": "contents", "scan": ..., "version": 17, "maps": ["label", ...],
     "curves": ["factors"], "components": 3, "scree": [812.0, 96.5, ...]}
                             # all there is now: what is not named here exists no more
    {"type": "status", "status": {...}}                    # fields: ``control.Status``
    {"type": "event", "event": "mark_region", "scan": ..., "details": {...}}

Lives here: both directions, pure functions on bytes. Knows no socket and no clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels.spectra import (
    ChunkResult,
    Curve,
    EndReason,
    EnergyAxis,
    Instrument,
    MapKind,
    MapSnapshot,
    MapSpec,
    NavigationAxis,
    Scan,
    ScanEnd,
    Signal,
    Spectra,
    WireError,
)

VERSION = 1
MAX_HEADER_BYTES = 64 * 1024
MAX_ARRAY_BYTES = 256 * 1024 * 1024
MAX_PARTS = 2 + 2 * 2
MAX_CHANNELS = 65_536
MAX_PIXELS = 2**28

Message = Scan | Spectra | ScanEnd
Part = bytes | memoryview

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
_encoder = msgspec.msgpack.Encoder()


def encode(message: Message) -> list[Part]:
    """Write one message as its parts; array parts are views of the arrays, not copies."""
    match message:
        case Spectra():
            return _encode_spectra(message)
        case Scan():
            return _encode_scan(message)
        case ScanEnd():
            end = _ScanEnd(message.scan_id, message.reason, message.pixels_sent)
            return [b"scan_end", _encoder.encode(end)]


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
            _expect(arrays, 0)
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
    parts: list[Part] = [b"spectra", _encoder.encode(header)]
    if not run:
        parts.append(_raw(pixels))
    parts.append(_raw(counts))
    return parts


def _decode_spectra(header: _Spectra, arrays: Sequence[Part]) -> Spectra:
    _expect(arrays, 1 if header.first is not None else 2)
    n, channels = header.n, header.channels
    counts = _array(arrays[-1], header.dtype, (n, channels), "counts")  # first: it bounds n
    if header.first is not None:
        pixels = np.arange(header.first, header.first + n, dtype=np.int64)
    else:
        pixels = _array(arrays[0], "i8", (n,), "pixels").astype(np.int64, copy=False)
        if pixels.min() < 0:
            raise WireError(f"pixel {pixels.min()} is negative")
    clock_s = math.nan
    if header.clock_s is not None:
        _finite("clock_s", header.clock_s)
        clock_s = header.clock_s
    return Spectra(header.scan, header.signal, header.sequence, pixels, counts, clock_s)


def _encode_scan(scan: Scan) -> list[Part]:
    references: list[Part] = []
    for signal in scan.signals:
        for reference in (signal.dark, signal.gain):
            if reference is not None:
                references.append(_raw(np.ascontiguousarray(reference, "<f4")))
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
    return [b"scan", _encoder.encode(header), *references]


def _decode_scan(header: _Scan, arrays: Sequence[Part]) -> Scan:
    if header.version != VERSION:
        raise WireError(f"version {header.version} of the format; this reads version {VERSION}")
    pixels = math.prod(axis.size for axis in header.navigation)
    if pixels > MAX_PIXELS:
        raise WireError(f"a scan has at most {MAX_PIXELS} pixels, this one {pixels}")
    names = [signal.name for signal in header.signals]
    if len(names) == 2 and names.count("low") != 1:
        raise WireError(f"of two signals one is named 'low', the other not: {names}")
    _expect(arrays, sum(signal.dark + signal.gain for signal in header.signals))
    references = iter(arrays)
    signals = tuple(_decode_signal(signal, references) for signal in header.signals)
    for axis in header.navigation:
        _finite(f"navigation axis {axis.name!r}", axis.scale, axis.offset)
        _printable(axis.name, axis.units)
    microscope = header.instrument
    _printable(header.scan, header.title, *names, microscope.microscope, microscope.spectrometer)
    _finite(
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


def _decode_signal(signal: _Signal, references: Any) -> Signal:
    last_ev = signal.offset_ev + signal.size * signal.dispersion_ev
    _finite(f"signal {signal.name!r}", signal.offset_ev, signal.dispersion_ev, last_ev)
    if signal.dispersion_ev <= 0:
        raise WireError(
            f"signal {signal.name!r}: dispersion_ev is {signal.dispersion_ev:g}, must be above 0 "
            "(send spectra with energy loss rising along the channels)"
        )
    arrays: dict[str, NDArray[np.float32] | None] = {"dark": None, "gain": None}
    for name in arrays:
        if getattr(signal, name):
            reference = _array(next(references), "f4", (signal.size,), name)
            if not np.isfinite(reference).all():
                raise WireError(f"signal {signal.name!r}: {name} reference is not finite")
            arrays[name] = reference.astype(np.float32)  # a copy: it outlives the message
    axis = EnergyAxis(signal.offset_ev, signal.dispersion_ev, signal.size)
    return Signal(signal.name, axis, signal.dtype, arrays["dark"], arrays["gain"])


def _expect(arrays: Sequence[Part], number: int) -> None:
    if len(arrays) != number:
        raise WireError(f"the header announces {number} array parts, {len(arrays)} came")


def _array(part: Part, dtype: str, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    size = math.prod(shape) * int(dtype[1])
    if size != len(part):
        raise WireError(f"{what}: {shape} of {dtype} are {size} bytes, {len(part)} came")
    if size > MAX_ARRAY_BYTES:
        raise WireError(f"{what}: {size} bytes; an array has at most {MAX_ARRAY_BYTES}")
    return np.frombuffer(part, "<" + dtype).reshape(shape)


def _raw(array: NDArray[Any]) -> memoryview:
    """View a contiguous array as bytes; an empty one too, which ``memoryview.cast`` refuses."""
    return array.reshape(-1).view(np.uint8).data


def _finite(what: str, *values: float) -> None:
    if not all(map(math.isfinite, values)):
        raise WireError(f"{what}: numbers must be finite, got {values}")


def _printable(*texts: str) -> None:
    """Refuse control characters: texts go into file names, HDF5 (no NUL) and terminals."""
    for text in texts:
        if not text.isprintable() and any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text):
            raise WireError(f"control characters in {text[:40]!r}")


# Results: what control software and viewers subscribe to.


class MapMessage(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="map"):
    """One map as published; ``values`` is float32 ``shape``, nan where nothing came yet."""

    scan: str
    name: str
    version: int
    kind: MapKind
    unit: str
    meaning: str
    classes: list[str]
    limits: tuple[float, float] | None
    shape: list[int]
    scale: list[float]
    units: list[str]
    values: Any = None

    @property
    def spec(self) -> MapSpec:
        """What the map means."""
        classes = tuple(self.classes)
        return MapSpec(self.name, self.kind, self.unit, self.meaning, classes, self.limits)


class CurveMessage(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="curve"):
    """Spectrum-like results as published; ``values`` is float32 ``shape``."""

    scan: str
    name: str
    version: int
    offset_ev: float
    dispersion_ev: float
    labels: list[str]
    unit: str
    shape: tuple[int, int]
    error: bool
    values: Any = None
    sigma: Any = None


class ContentsMessage(msgspec.Struct, frozen=True, tag_field="type", tag="contents"):
    """Everything a snapshot holds, by name; a map that is not named exists no more."""

    scan: str
    version: int
    maps: list[str]
    curves: list[str]
    components: int
    scree: list[float]


class StatusMessage(msgspec.Struct, frozen=True, tag_field="type", tag="status"):
    """The engine's status; fields as in ``control.Status``."""

    status: dict[str, Any]


class EventMessage(msgspec.Struct, frozen=True, tag_field="type", tag="event"):
    """Something happened that control software may act on."""

    event: str
    scan: str
    details: dict[str, Any]


class PixelsMessage(
    msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="pixels"
):
    """Pixels just analysed: ``pixels`` int64 ``(n,)``, ``values`` float32 ``(map, n)``."""

    scan: str
    n: int
    maps: list[str]
    pixels: Any = None
    values: Any = None


Result = PixelsMessage | MapMessage | CurveMessage | ContentsMessage | StatusMessage | EventMessage
_results: msgspec.msgpack.Decoder[Result] = msgspec.msgpack.Decoder(Result)


def encode_pixels(scan_id: str, result: ChunkResult) -> list[Part]:
    """Write the values of the pixels of one chunk, all maps of it."""
    names = list(result.maps)
    values = np.empty((len(names), len(result.pixels)), "<f4")
    for row, name in zip(values, names, strict=True):
        row[:] = result.maps[name]
    header = PixelsMessage(scan_id, len(result.pixels), names)
    pixels = np.ascontiguousarray(result.pixels, "<i8")
    return [b"pixels", _encoder.encode(header), _raw(pixels), _raw(values)]


def encode_map(snapshot: MapSnapshot, name: str) -> list[Part]:
    """Write one map of a snapshot; the array part is a view of it."""
    spec, values = snapshot.specs[name], np.ascontiguousarray(snapshot.maps[name], "<f4")
    axes = snapshot.scan.navigation
    header = MapMessage(
        snapshot.scan.id, name, snapshot.version, spec.kind, spec.unit, spec.meaning,
        list(spec.classes), spec.limits, list(values.shape),
        [axis.scale for axis in axes], [axis.units for axis in axes],
    )  # fmt: skip
    return [f"map/{name}".encode(), _encoder.encode(header), _raw(values)]


def encode_curve(snapshot: MapSnapshot, name: str) -> list[Part]:
    """Write one set of curves (factors, cluster means) of a snapshot."""
    curve: Curve = snapshot.curves[name]
    values = np.ascontiguousarray(curve.values, "<f4")
    header = CurveMessage(
        snapshot.scan.id, name, snapshot.version, curve.axis.offset_ev, curve.axis.dispersion_ev,
        list(curve.labels), curve.unit, (values.shape[0], values.shape[1]),
        curve.error is not None,
    )  # fmt: skip
    parts: list[Part] = [f"curve/{name}".encode(), _encoder.encode(header), _raw(values)]
    if curve.error is not None:
        parts.append(_raw(np.ascontiguousarray(curve.error, "<f4")))
    return parts


def encode_contents(snapshot: MapSnapshot) -> list[Part]:
    """Write the names of all maps and curves of a snapshot, and the variances."""
    scree = [] if snapshot.scree is None else np.asarray(snapshot.scree, np.float64).tolist()
    header = ContentsMessage(
        snapshot.scan.id, snapshot.version, list(snapshot.maps), list(snapshot.curves),
        snapshot.components, scree,
    )  # fmt: skip
    return [b"contents", _encoder.encode(header)]


def encode_status(status: Mapping[str, Any]) -> list[Part]:
    """Write the engine's status."""
    return [b"status", _encoder.encode(StatusMessage(dict(status)))]


def encode_event(event: str, scan_id: str, details: Mapping[str, Any]) -> list[Part]:
    """Write an event."""
    return [b"event", _encoder.encode(EventMessage(event, scan_id, dict(details)))]


def decode_result(parts: Sequence[Part]) -> Result:
    """Read a published result; arrays are views of the parts.

    Raises
    ------
    WireError
        If the parts are not a result of this format.
    """
    if not 2 <= len(parts) <= 4 or len(parts[1]) > MAX_HEADER_BYTES:
        raise WireError("not a published result: 2 to 4 parts, header at most 64 KiB")
    try:
        result = _results.decode(parts[1])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"header: {error}") from error
    match result:
        case PixelsMessage():
            _expect(parts[2:], 2)
            pixels = _array(parts[2], "i8", _shape([result.n]), "pixels")
            values = _array(parts[3], "f4", _shape([len(result.maps), result.n]), "values")
            return msgspec.structs.replace(result, pixels=pixels, values=values)
        case MapMessage():
            _expect(parts[2:], 1)
            values = _array(parts[2], "f4", _shape(result.shape), result.name)
            return msgspec.structs.replace(result, values=values)
        case CurveMessage():
            _expect(parts[2:], 1 + result.error)
            arrays = [_array(p, "f4", _shape(result.shape), result.name) for p in parts[2:]]
            sigma = arrays[1] if result.error else None
            return msgspec.structs.replace(result, values=arrays[0], sigma=sigma)
        case _:
            return result


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) > 8 or any(not 0 <= size <= MAX_PIXELS for size in shape):
        raise WireError(f"a shape that cannot be: {list(shape)[:8]}")
    return tuple(shape)
