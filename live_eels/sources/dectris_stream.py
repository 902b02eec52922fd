"""The messages of DECTRIS detectors (SIMPLON stream, version 1 and 2), read into three values.

Lives here: bytes -> ``Start`` · ``Detail`` · ``Image`` · ``End``. Version 1 is multipart JSON
with binary parts, version 2 one CBOR map a message; the first byte tells them apart. Knows
nothing of scans, energies or pixels of a specimen: ``dectris.py`` does.

Sizes are checked against what the message itself says before anything is decompressed.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels.spectra import WireError

MAX_PARTS = 16
MAX_JSON_BYTES = 1024 * 1024
MAX_IMAGE_BYTES = 256 * 1024 * 1024

Part = bytes | memoryview
Counts = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Detail:
    """What the detector says of itself at the start of a series.

    ``masks`` holds, per threshold (version 1 has one, called ``""``), where a detector pixel
    is dead, hot or in a gap: bool ``(row, column)``.
    """

    images: int | None = None
    count_time_s: float | None = None
    incident_energy_ev: float | None = None
    detector: str = ""
    masks: Mapping[str, NDArray[np.bool_]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A series begins. ``unique`` says that ``series`` never comes again."""

    series: str
    unique: bool
    detail: Detail = Detail()


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One exposure: ``counts`` per threshold, unsigned ``(row, column)``, views where possible.

    ``clock_s`` is the end of the exposure in seconds since the epoch, nan where the stream
    does not tell (version 1).
    """

    series: str
    number: int
    counts: Mapping[str, Counts]
    clock_s: float = math.nan


@dataclass(frozen=True, slots=True)
class End:
    """A series is over."""

    series: str


def read(parts: Sequence[Part]) -> Start | Detail | Image | End:
    """Read one message of either version.

    Raises
    ------
    WireError
        If it is not one.
    """
    if not 1 <= len(parts) <= MAX_PARTS or not len(parts[0]):
        raise WireError(f"a detector message has 1 to {MAX_PARTS} parts, this one {len(parts)}")
    return _read_v1(parts) if parts[0][0] == ord("{") else _read_v2(parts)


@cache
def require(module: str) -> Any:
    """Import a package of the ``dectris`` extra, or say how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"reading a DECTRIS stream needs the package {module!r}: "
            "pip install 'live-eels[dectris]'"
        ) from error


# Version 1: JSON parts and raw blobs.

Number = Annotated[int, Meta(ge=0, le=2**53)]
Side = Annotated[int, Meta(ge=1, le=65_536)]


class _Header1(msgspec.Struct, frozen=True, tag_field="htype", tag="dheader-1.0"):
    series: Number


class _Image1(msgspec.Struct, frozen=True, tag_field="htype", tag="dimage-1.0"):
    series: Number
    frame: Number


class _End1(msgspec.Struct, frozen=True, tag_field="htype", tag="dseries_end-1.0"):
    series: Number


class _Blob1(msgspec.Struct, frozen=True):
    """Announces the blob of the next part; ``shape`` is (width, height)."""

    htype: Literal["dimage_d-1.0", "dpixelmask-1.0"]
    shape: Annotated[list[Side], Meta(min_length=2, max_length=2)]
    type: Literal["uint8", "uint16", "uint32"]
    encoding: Annotated[str, Meta(max_length=16)] = "<"


class _Config1(msgspec.Struct, frozen=True):
    """The few fields of the detector's configuration that concern a scan."""

    nimages: Number
    ntrigger: Number = 1
    count_time: float | None = None
    incident_energy: float | None = None
    description: Annotated[str, Meta(max_length=1024)] = ""


_headers1: msgspec.json.Decoder[_Header1 | _Image1 | _End1] = msgspec.json.Decoder(
    _Header1 | _Image1 | _End1
)
_blobs1 = msgspec.json.Decoder(_Blob1)
_configs1 = msgspec.json.Decoder(_Config1)
_TYPES1 = {"uint8": "u1", "uint16": "u2", "uint32": "u4"}
_BITSHUFFLE_BLOCK_BYTES = 8192
_ENCODING1 = re.compile(r"(?:bs(8|16|32)-?)?(lz4)?([<>])")


def _json(decoder: msgspec.json.Decoder[Any], part: Part) -> Any:
    if len(part) > MAX_JSON_BYTES:
        raise WireError(f"a JSON part has at most {MAX_JSON_BYTES} bytes, this one {len(part)}")
    try:
        return decoder.decode(part)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"detector message: {error}") from error


def _read_v1(parts: Sequence[Part]) -> Start | Detail | Image | End:
    if len(parts) == 1 and b'"htype"' not in bytes(parts[0][:MAX_JSON_BYTES]):
        return _detail1(parts)  # some relays send each part of the header on its own
    match _json(_headers1, parts[0]):
        case _Header1(series):
            return Start(str(series), False, _detail1(parts[1:]))
        case _Image1(series, frame):
            if len(parts) < 3:
                raise WireError(f"an image has 3 parts or more, this one {len(parts)}")
            image = _json(_blobs1, parts[1])
            return Image(str(series), frame, {"": _blob1(image, parts[2])})
        case _End1(series):
            return End(str(series))
        case unreachable:
            raise AssertionError(unreachable)


def _detail1(parts: Sequence[Part]) -> Detail:
    if not parts:
        return Detail()
    config: _Config1 = _json(_configs1, parts[0])
    masks = {}
    for header, blob in zip(parts[1::2], parts[2::2], strict=False):  # an appendix may trail
        if len(header) < MAX_JSON_BYTES and b"dpixelmask-1.0" in bytes(header):
            masks[""] = _blob1(_json(_blobs1, header), blob) != 0
    images = config.nimages * config.ntrigger
    return Detail(
        images, config.count_time, config.incident_energy, config.description, masks or None
    )


def _blob1(header: _Blob1, blob: Part) -> Counts:
    coding = _ENCODING1.fullmatch(header.encoding)
    if coding is None:
        raise WireError(f"cannot read the encoding {header.encoding!r}")
    shuffled, compressed, order = coding.groups()
    width, height = header.shape
    dtype = np.dtype(order + _TYPES1[header.type])
    size = width * height * dtype.itemsize
    if not compressed:
        return _image(blob, dtype, (height, width))
    if shuffled:
        if blob[:12] == bytes(12):  # some senders leave the frame of the HDF5 filter empty
            blob = struct.pack(">QI", size, _BITSHUFFLE_BLOCK_BYTES) + blob[12:]
        data = _decompress(blob, "bslz4", int(shuffled) // 8, size)
    else:  # one bare LZ4 block: framed here as the decompressor wants it
        if len(blob) == size:  # which in that frame would mean: not compressed
            raise WireError("an LZ4 block as long as its content cannot be read")
        block = min(size, 0xFFFFFFFF)
        data = _decompress(struct.pack(">QII", size, block, len(blob)) + blob, "lz4", 0, size)
    return _image(data, dtype, (height, width))


# Version 2: one CBOR map.

_TYPED_ARRAYS = {64: "u1", 68: "u1", 65: ">u2", 66: ">u4", 69: "<u2", 70: "<u4"}
_MULTI_DIMENSIONAL, _COMPRESSED = 40, 56500


class _Message2(msgspec.Struct, frozen=True):
    """The fields of all three messages of version 2 that concern a scan."""

    type: Literal["start", "image", "end"]
    series_id: Number
    series_unique_id: Annotated[str, Meta(max_length=128)] = ""
    number_of_images: Number | None = None
    count_time: float | None = None
    incident_energy: float | None = None
    detector_description: Annotated[str, Meta(max_length=1024)] = ""
    channels: list[str] = []
    pixel_mask: Any = None
    image_id: Number = 0
    data: Any = None
    series_date: Any = None
    stop_time: Any = None


def _read_v2(parts: Sequence[Part]) -> Start | Image | End:
    if len(parts) != 1:
        raise WireError(f"a message of stream version 2 has 1 part, this one {len(parts)}")
    if len(parts[0]) > MAX_IMAGE_BYTES:
        raise WireError(f"{len(parts[0])} bytes; a message has at most {MAX_IMAGE_BYTES}")
    cbor2 = require("cbor2")
    try:
        fields = cbor2.loads(parts[0])
        if not isinstance(fields, Mapping):
            raise WireError("neither a JSON object nor a CBOR map: not a DECTRIS message")
        message = msgspec.convert({k: fields[k] for k in fields if type(k) is str}, _Message2)
    except (cbor2.CBORError, msgspec.MsgspecError, RecursionError) as error:
        raise WireError(f"detector message: {error}") from error
    unique = message.series_unique_id != ""
    series = message.series_unique_id or str(message.series_id)
    match message.type:
        case "start":
            return Start(series, unique, _detail2(message))
        case "image":
            images = {name: _array2(value) for name, value in _named(message.data, "data")}
            if not images:
                raise WireError("an image message without an image")
            return Image(series, message.image_id, images, _clock(message))
        case "end":
            return End(series)


def _detail2(message: _Message2) -> Detail:
    masks = None
    if message.pixel_mask is not None:
        masks = {k: _array2(v) != 0 for k, v in _named(message.pixel_mask, "pixel_mask")}
    return Detail(
        message.number_of_images,
        message.count_time,
        message.incident_energy,
        message.detector_description,
        masks,
    )


def _named(value: Any, what: str) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping) or len(value) > 8 or any(type(k) is not str for k in value):
        raise WireError(f"{what!r} must be a map of at most 8 named arrays")
    return list(value.items())


def _array2(value: Any) -> Counts:
    """Read a two-dimensional typed array, compressed or not."""
    shape, typed = _tagged(value, _MULTI_DIMENSIONAL, 2)
    if not isinstance(shape, Sequence) or len(shape) != 2:
        raise WireError("an image must have two dimensions")
    if any(type(side) is not int or not 1 <= side <= 65_536 for side in shape):
        raise WireError(f"an image cannot have the shape {list(shape)}"[:100])
    tag = getattr(typed, "tag", None)
    if tag not in _TYPED_ARRAYS:
        raise WireError(f"an image must be of unsigned integers, this one has CBOR tag {tag}")
    dtype, data = np.dtype(_TYPED_ARRAYS[tag]), typed.value
    if not isinstance(data, bytes):
        algorithm, element, data = _tagged(data, _COMPRESSED, 3)
        if type(algorithm) is not str or type(element) is not int or type(data) is not bytes:
            raise WireError("compressed data must be [algorithm, element size, bytes]")
        data = _decompress(data, algorithm, element, shape[0] * shape[1] * dtype.itemsize)
    return _image(data, dtype, (shape[0], shape[1]))


def _tagged(value: Any, tag: int, length: int) -> Sequence[Any]:
    content = getattr(value, "value", None)
    if getattr(value, "tag", None) != tag or not isinstance(content, (list, tuple)):
        raise WireError(f"expected an array with CBOR tag {tag}")
    if len(content) != length:
        raise WireError(f"CBOR tag {tag} holds {length} items, this one {len(content)}")
    return content


def _clock(message: _Message2) -> float:
    """End of the exposure, seconds since the epoch; nan where the detector does not say."""
    date, stop = message.series_date, message.stop_time
    if not isinstance(date, datetime) or not isinstance(stop, (list, tuple)) or len(stop) != 2:
        return math.nan
    if any(type(part) is not int or not 0 <= part < 2**64 for part in stop) or stop[1] == 0:
        return math.nan
    try:
        seconds: float = date.timestamp() + stop[0] / stop[1]
        return seconds
    except (OverflowError, ValueError):
        return math.nan


# Both versions.


def _decompress(data: Part, algorithm: str, element_bytes: int, size: int) -> bytes:
    """Decompress HDF5-framed data of ``size`` bytes; refuse what declares another size."""
    if size > MAX_IMAGE_BYTES:
        raise WireError(f"an image of {size} bytes; at most {MAX_IMAGE_BYTES} are read")
    if algorithm not in ("bslz4", "lz4"):
        raise WireError(f"cannot decompress {algorithm[:32]!r}, only 'bslz4' and 'lz4'")
    declared = struct.unpack_from(">Q", data)[0] if len(data) >= 12 else 0
    if declared != size:
        raise WireError(f"the image has {size} bytes, its compressed data declare {declared}")
    decompress: Callable[..., bytes] = require("dectris.compression").decompress
    try:
        raw = decompress(data, algorithm, elem_size=element_bytes)
    except (RuntimeError, ValueError, OverflowError, MemoryError, SystemError) as error:
        raise WireError(f"compressed image: {error}") from error
    return raw  # as long as it came out: ``_image`` looks


def _image(data: Part, dtype: np.dtype[Any], shape: tuple[int, int]) -> Counts:
    size = shape[0] * shape[1] * dtype.itemsize
    if len(data) != size:
        raise WireError(f"an image of {shape} {dtype} has {size} bytes, {len(data)} came")
    return np.frombuffer(data, dtype).reshape(shape)
