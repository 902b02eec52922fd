"""Results going out: what control software and viewers subscribe to.

Lives here: maps, curves, pixels, contents, status and events as messages, both ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from live_eels.spectra import ChunkResult, Curve, MapKind, MapSnapshot, MapSpec, WireError
from live_eels.wire.parts import (
    MAX_HEADER_BYTES,
    Part,
    array_of,
    encoder,
    expect_arrays,
    raw,
    shape_of,
)


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
    return [b"pixels", encoder.encode(header), raw(pixels), raw(values)]


def encode_map(snapshot: MapSnapshot, name: str) -> list[Part]:
    """Write one map of a snapshot; the array part is a view of it."""
    spec, values = snapshot.specs[name], np.ascontiguousarray(snapshot.maps[name], "<f4")
    axes = snapshot.scan.navigation
    header = MapMessage(
        snapshot.scan.id, name, snapshot.version, spec.kind, spec.unit, spec.meaning,
        list(spec.classes), spec.limits, list(values.shape),
        [axis.scale for axis in axes], [axis.units for axis in axes],
    )  # fmt: skip
    return [f"map/{name}".encode(), encoder.encode(header), raw(values)]


def encode_curve(snapshot: MapSnapshot, name: str) -> list[Part]:
    """Write one set of curves (factors, cluster means) of a snapshot."""
    curve: Curve = snapshot.curves[name]
    values = np.ascontiguousarray(curve.values, "<f4")
    header = CurveMessage(
        snapshot.scan.id, name, snapshot.version, curve.axis.offset_ev, curve.axis.dispersion_ev,
        list(curve.labels), curve.unit, (values.shape[0], values.shape[1]),
        curve.error is not None,
    )  # fmt: skip
    parts: list[Part] = [f"curve/{name}".encode(), encoder.encode(header), raw(values)]
    if curve.error is not None:
        parts.append(raw(np.ascontiguousarray(curve.error, "<f4")))
    return parts


def encode_contents(snapshot: MapSnapshot) -> list[Part]:
    """Write the names of all maps and curves of a snapshot, and the variances."""
    scree = [] if snapshot.scree is None else np.asarray(snapshot.scree, np.float64).tolist()
    header = ContentsMessage(
        snapshot.scan.id, snapshot.version, list(snapshot.maps), list(snapshot.curves),
        snapshot.components, scree,
    )  # fmt: skip
    return [b"contents", encoder.encode(header)]


def encode_status(status: Mapping[str, Any]) -> list[Part]:
    """Write the engine's status."""
    return [b"status", encoder.encode(StatusMessage(dict(status)))]


def encode_event(event: str, scan_id: str, details: Mapping[str, Any]) -> list[Part]:
    """Write an event."""
    return [b"event", encoder.encode(EventMessage(event, scan_id, dict(details)))]


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
            expect_arrays(parts[2:], 2)
            pixels = array_of(parts[2], "i8", shape_of([result.n]), "pixels")
            values = array_of(parts[3], "f4", shape_of([len(result.maps), result.n]), "values")
            return msgspec.structs.replace(result, pixels=pixels, values=values)
        case MapMessage():
            expect_arrays(parts[2:], 1)
            values = array_of(parts[2], "f4", shape_of(result.shape), result.name)
            return msgspec.structs.replace(result, values=values)
        case CurveMessage():
            expect_arrays(parts[2:], 1 + result.error)
            arrays = [array_of(p, "f4", shape_of(result.shape), result.name) for p in parts[2:]]
            sigma = arrays[1] if result.error else None
            return msgspec.structs.replace(result, values=arrays[0], sigma=sigma)
        case _:
            return result
