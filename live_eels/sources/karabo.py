"""The Karabo bridge (European XFEL and relatives): trains of named values, read as spectra.

Lives here: the bridge's message (protocol 2.2, pairs of msgpack header and payload) and the
rule which train belongs to which pixel. The bridge has no notion of a scan, so a scan begins
with the first train, or when the value named by ``scan`` changes, and ends when all its
pixels have been visited.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels.sources.settings import AxisSettings, InstrumentSettings, Positive
from live_eels.spectra import EnergyAxis, Scan, ScanEnd, Signal, Spectra, WireError

MAX_PARTS = 2048
MAX_HEADER_BYTES = 64 * 1024
MAX_PAYLOAD_BYTES = 1024 * 1024
MAX_CHANNELS = 65_536

Part = bytes | memoryview
Label = Annotated[str, Meta(min_length=1, max_length=1024)]

# numpy's name of a type, as the bridge writes it: how we read it, how we keep it.
_TYPES = {
    "uint8": ("u1", "u1"), "uint16": ("<u2", "u2"), "uint32": ("<u4", "u4"),
    "int16": ("<i2", "i4"), "int32": ("<i4", "i4"), "int64": ("<i8", "f8"),
    "uint64": ("<u8", "f8"), "float32": ("<f4", "f4"), "float64": ("<f8", "f8"),
    ">u2": (">u2", "u2"), ">u4": (">u4", "u4"), ">i4": (">i4", "i4"),
    ">f4": (">f4", "f4"), ">f8": (">f8", "f8"),
}  # fmt: skip


class ValueSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in a train a value is: the name of its source, and its key there."""

    source: Label
    key: Label


class KaraboSignalSettings(ValueSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in a train the spectra are, ``(channel,)`` or ``(pixel, channel)``.

    Attributes
    ----------
    source, key
        The name of the source, and the key of the array there.
    offset_ev
        Energy loss of the first channel, eV.
    dispersion_ev
        Energy step from one channel to the next, eV.
    """

    offset_ev: float
    dispersion_ev: Positive


class KaraboSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a train cannot tell of the experiment.

    Attributes
    ----------
    core
        The spectra that are analysed.
    low
        The low loss of the same pixels, for dual EELS.
    navigation
        The scan, slow axis first; empty for live view (every train is the one pixel again).
    passes
        How often the beam visits each pixel.
    pixel
        A value with the flat index of the train's first pixel, or an array with one index
        per spectrum; by default trains come in scan order.
    scan
        A value whose change begins a new scan.
    consecutive_trains
        True where every train is a pixel, so that a train id left out is a pixel lost.
    instrument
        The microscope's settings.
    title
        Title of each scan.
    """

    core: KaraboSignalSettings
    low: KaraboSignalSettings | None = None
    navigation: Annotated[list[AxisSettings], Meta(max_length=4)] = []
    passes: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    pixel: ValueSettings | None = None
    scan: ValueSettings | None = None
    consecutive_trains: bool = False
    instrument: InstrumentSettings = InstrumentSettings()
    title: Annotated[str, Meta(max_length=1024)] = ""


class _Metadata(msgspec.Struct, frozen=True):
    timestamp: float | None = None
    train: Annotated[int, Meta(ge=0, le=2**62)] | None = msgspec.field(
        default=None, name="timestamp.tid"
    )


class _Header(msgspec.Struct, frozen=True):
    source: Label
    content: Literal["msgpack", "array"]
    metadata: _Metadata = _Metadata()
    path: Label = ""
    dtype: Annotated[str, Meta(max_length=16)] = ""
    shape: Annotated[list[Annotated[int, Meta(ge=0, le=2**31)]], Meta(max_length=8)] = []


_headers = msgspec.msgpack.Decoder(_Header)
_payloads = msgspec.msgpack.Decoder(dict[str, Any])


@dataclass(slots=True)
class _Train:
    """One message: values by (source, key); arrays stay views of the message."""

    values: dict[tuple[str, str], Any] = field(default_factory=dict)
    metadata: dict[str, _Metadata] = field(default_factory=dict)


@dataclass(slots=True)
class _Running:
    """The scan in progress. ``visits`` counts pixel visits, ``trains`` the trains seen."""

    scan: Scan
    rows: int
    first_train: int | None
    marker: Any = None
    visits: int = 0
    trains: int = 0


def read(parts: Sequence[Part]) -> _Train:
    """Read one train.

    Raises
    ------
    WireError
        If it is not one.
    """
    if not 2 <= len(parts) <= MAX_PARTS or len(parts) % 2:
        raise WireError(
            f"a train is pairs of parts, at most {MAX_PARTS}; {len(parts)} came "
            "(is the bridge set to protocol 2.2?)"
        )
    train = _Train()
    for head, body in zip(parts[::2], parts[1::2], strict=True):
        header: _Header = _unpack(_headers, head, MAX_HEADER_BYTES)
        if header.content == "array":
            train.values[header.source, header.path] = _array(header, body)
        else:
            train.metadata[header.source] = header.metadata
            for key, value in _unpack(_payloads, body, MAX_PAYLOAD_BYTES).items():
                train.values[header.source, key] = value
    return train


def _unpack(decoder: msgspec.msgpack.Decoder[Any], part: Part, limit: int) -> Any:
    if len(part) > limit:
        raise WireError(f"a part of {len(part)} bytes where at most {limit} are read")
    try:
        return decoder.decode(part)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise WireError(f"train: {error}") from error


def _array(header: _Header, body: Part) -> NDArray[Any] | None:
    if header.dtype not in _TYPES:
        return None  # trains carry many arrays; only a wanted one must be readable
    dtype = np.dtype(_TYPES[header.dtype][0])
    if math.prod(header.shape) * dtype.itemsize != len(body):
        raise WireError(
            f"{header.path!r}: {header.shape} of {header.dtype} are not {len(body)} bytes"
        )
    return np.frombuffer(body, dtype).reshape(header.shape)


class KaraboDecoder:
    """Turns the trains of one bridge into scans and spectra.

    Parameters
    ----------
    settings
        What the trains do not tell.
    """

    def __init__(self, settings: KaraboSettings):
        self._settings = settings
        self._signals = {"core": settings.core}
        if settings.low is not None:
            self._signals["low"] = settings.low
        self._navigation = tuple(axis.axis for axis in settings.navigation)
        self._running: _Running | None = None
        self._begun = 0

    def decode(self, parts: Sequence[Part]) -> list[Scan | Spectra | ScanEnd]:
        """Read one train.

        Returns
        -------
        list
            The spectra of the train (one per signal), with the scan before them if it is
            the first, and the end after them if it is the last.

        Raises
        ------
        WireError
            If it is not a train, or does not hold what the settings name; the decoder is
            then as it was before.
        """
        train = read(parts)
        counts = {name: self._counts(train, name) for name in self._signals}
        rows = len(counts["core"])
        if any(len(rest) != rows for rest in counts.values()):
            raise WireError("core and low loss of a train must have the same number of spectra")
        out: list[Scan | Spectra | ScanEnd] = []
        running, train_id = self._running, train.metadata.get(self._settings.core.source)
        marker = self._value(train, self._settings.scan)
        if running is not None and not _same(running.marker, marker):
            out.append(ScanEnd(running.scan.id, "aborted", running.visits))
            running = None
        number = train_id.train if train_id is not None else None
        if running is None:
            running = _Running(self._scan(counts), rows, number, marker)
            out.append(running.scan)
        pixels, sequence = self._pixels(train, running, rows, number)
        clock_s = train_id.timestamp if train_id is not None else None
        for place, (name, spectra) in enumerate(counts.items()):
            signal = running.scan.signals[place]
            if spectra.shape[1] != signal.axis.size:
                raise WireError(f"{name}: {spectra.shape[1]} channels, not {signal.axis.size}")
            if _KEPT[spectra.dtype.str] != signal.dtype:
                raise WireError(f"{name}: {spectra.dtype}, but the scan began with {signal.dtype}")
            out.append(
                Spectra(
                    running.scan.id,
                    name,
                    sequence * len(counts) + place,
                    pixels,
                    np.ascontiguousarray(spectra, "<" + signal.dtype),
                    math.nan if clock_s is None else clock_s,
                )
            )
        if self._running is None or self._running.scan is not running.scan:
            self._begun += 1
        running.visits += rows
        running.trains = max(running.trains, sequence + 1)
        self._running = running
        if self._navigation and self._complete(running, rows):
            out.append(ScanEnd(running.scan.id, "complete", running.visits))
            self._running = None
        return out

    def _complete(self, running: _Running, rows: int) -> bool:
        total = running.scan.pixels * self._settings.passes
        if self._settings.pixel is not None:
            return running.visits >= total
        return running.trains * rows >= total

    def _pixels(
        self, train: _Train, running: _Running, rows: int, number: int | None
    ) -> tuple[NDArray[np.int64], int]:
        """Which pixels a train brings, int64 ``(pixel,)``, and its number in the scan."""
        sequence, size = running.trains, running.scan.pixels
        if self._settings.consecutive_trains:
            if number is None or running.first_train is None:
                raise WireError("consecutive_trains is set, but the train has no timestamp.tid")
            sequence = number - running.first_train
            if not 0 <= sequence * rows < size * self._settings.passes:
                raise WireError(f"train {number} is not inside the scan in progress")
        if self._settings.pixel is not None:
            value = self._value(train, self._settings.pixel)
            told = np.asarray(value if isinstance(value, (int, np.ndarray)) else None)
            if told.dtype.kind not in "iu" or told.shape not in ((), (1,), (rows,)):
                raise WireError("the pixel index must be one whole number, or one per spectrum")
            pixels = told.astype(np.int64).reshape(-1)
            if len(pixels) == 1:
                pixels = pixels[0] + np.arange(rows)
            if pixels.min() < 0 or pixels.max() >= size:
                raise WireError(f"pixel {pixels.max()} is not inside a scan of {size}")
            return pixels, sequence
        if rows != running.rows:
            raise WireError(f"trains of this scan have {running.rows} spectra, this one {rows}")
        if rows > size:
            raise WireError(f"a train of {rows} spectra in a scan of {size} pixels")
        return (sequence * rows + np.arange(rows, dtype=np.int64)) % size, sequence

    def _counts(self, train: _Train, name: str) -> NDArray[Any]:
        where = self._signals[name]
        array = self._value(train, where)
        if not isinstance(array, np.ndarray) or array.ndim not in (1, 2) or not array.size:
            raise WireError(f"{where.source!r} {where.key!r} is not an array of spectra")
        if array.shape[-1] > MAX_CHANNELS:
            raise WireError(f"a spectrum has at most {MAX_CHANNELS} channels")
        return np.atleast_2d(array)

    def _value(self, train: _Train, where: ValueSettings | None) -> Any:
        if where is None:
            return None
        if (where.source, where.key) not in train.values:
            known = ", ".join(f"{source} {key}" for source, key in train.values)
            raise WireError(
                f"the train has no {where.source!r} {where.key!r}; it has {known}"[:500]
            )
        return train.values[where.source, where.key]

    def _scan(self, counts: Mapping[str, NDArray[Any]]) -> Scan:
        signals = []
        for name, spectra in counts.items():
            where = self._signals[name]
            axis = EnergyAxis(where.offset_ev, where.dispersion_ev, spectra.shape[1])
            signals.append(Signal(name, axis, _KEPT[spectra.dtype.str]))
        return Scan(
            id=f"karabo-{self._begun}",
            navigation=self._navigation,
            signals=tuple(signals),
            instrument=self._settings.instrument.instrument(),
            title=self._settings.title,
            passes=self._settings.passes,
        )


_KEPT = {np.dtype(read).str: kept for read, kept in _TYPES.values()}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return bool(one == other)
