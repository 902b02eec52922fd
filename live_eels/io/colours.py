"""Colours of maps: the same tables, palette and limits as the page in the browser has.

Lives here: arithmetic from values to colours. The tables are those of ``static/vendor``;
the palette is that of ``static/colour.js``, and a test compares them.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import MapSpec

Rgb = tuple[int, int, int]

TABLES = ("gray", "viridis", "magma", "cividis", "vik", "batlow")

# Element is hue, valence is lightness: the order can be read, and the five that matter stay
# apart under every colour blindness.
STATES: dict[str, str] = {
    "Mn2+": "#88ccee", "Mn3+": "#3d7ebf", "Mn4+": "#3a2fb0",
    "Fe2+": "#f0e442", "Fe3+": "#d55e00",
    "Co2+": "#e7a6c9", "Co3+": "#a8447f", "Ni2+": "#7fc97f", "Ni3+": "#2e7d4f",
    "Cr3+": "#5fc9b0", "Cr6+": "#0f6f66", "V3+": "#d9b38c", "V4+": "#a9743f", "V5+": "#6b4317",
    "Ti3+": "#c9c2e8", "Ti4+": "#8276c9", "Ce3+": "#ffd1a6", "Ce4+": "#e0863a",
}  # fmt: skip
# Paul Tol's muted and light colours, for clusters and for what has no colour of its own.
QUALITATIVE = (
    "#44aa99", "#ddcc77", "#cc6677", "#88ccee", "#aa4499", "#117733", "#ee8866", "#bbcc33",
    "#7788dd", "#99ddff", "#aaaa00", "#ffaabb", "#882255", "#77aadd", "#eedd88", "#dddddd",
)  # fmt: skip
NOTHING = "#5b616b"
REJECT_GREY = "#9a9a9a"
BACKDROP = "#222222"
LOST_RED = "#ff4d4d"


def rgb(colour: str) -> Rgb:
    """Red, green, blue (0 to 255) of ``#rrggbb``."""
    value = int(colour[1:], 16)
    return value >> 16, (value >> 8) & 255, value & 255


def class_colour(name: str, index: int) -> Rgb:
    """Colour of a class by its name, else by its number."""
    if name in STATES:
        return rgb(STATES[name])
    if re.fullmatch("none|other|vacuum|nothing|background|good", name, re.IGNORECASE):
        return rgb(NOTHING)
    return rgb(QUALITATIVE[index % len(QUALITATIVE)])


@functools.cache
def _tables() -> NDArray[np.uint8]:
    stored = Path(__file__).parent / "static" / "vendor" / "luts.bin"
    return np.frombuffer(stored.read_bytes(), np.uint8).reshape(len(TABLES), 256, 3)


def table_name(spec: MapSpec) -> str:
    """Which table a map of numbers is drawn with."""
    if spec.kind == "signed":
        return "vik"
    if spec.kind == "fraction":
        return "cividis"
    counts = re.match("total|sum|counts?|intensity", spec.name, re.IGNORECASE)
    return "gray" if counts else "viridis"


def table(spec: MapSpec) -> NDArray[np.uint8]:
    """Colours from low to high, ``(256, 3)``."""
    found: NDArray[np.uint8] = _tables()[TABLES.index(table_name(spec))]
    return found


def display_limits(values: NDArray[np.float32], spec: MapSpec) -> tuple[float, float]:
    """Lowest and highest value shown: the map's own limits, else percentiles 0.5 and 99.5."""
    if spec.limits is not None and spec.limits[0] < spec.limits[1]:
        return spec.limits
    if spec.kind == "fraction":
        return 0.0, 1.0
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, (0.5, 99.5)))
    if spec.kind == "signed":
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    room = max(0.5, abs(low) * 1e-6)
    return (low, high) if high > low else (low - room, high + room)


def coloured(
    values: NDArray[np.float32], limits: tuple[float, float], colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Numbers as colours, ``(..., 3)``; what is not finite gets the backdrop."""
    low, high = limits
    finite = np.isfinite(values)
    scaled = (np.where(finite, values.astype(np.float64), low) - low) / (high - low)
    out = colours[np.clip(scaled * 255.0 + 0.5, 0, 255).astype(np.intp)]
    out[~finite] = rgb(BACKDROP)
    return out


def labelled(values: NDArray[np.float32], spec: MapSpec) -> NDArray[np.uint8]:
    """Class numbers as colours, ``(..., 3)``: -1 is grey, nan the backdrop."""
    number = np.where(np.isfinite(values), values, -2).astype(np.intp)
    count = max(len(spec.classes), int(number.max(initial=0)) + 1)
    names = [*spec.classes, *("" for _ in range(count - len(spec.classes)))]
    palette = np.array(
        [rgb(BACKDROP), rgb(REJECT_GREY), *(class_colour(n, i) for i, n in enumerate(names))],
        np.uint8,
    )
    return palette[np.clip(number, -2, None) + 2]


def gravest(values: NDArray[np.float32], spec: MapSpec) -> tuple[NDArray[np.float32], MapSpec]:
    """A map of flags as a map of classes: ``good``, or the highest bit that is set."""
    there = np.isfinite(values)
    bits = np.where(there, values, 0).astype(np.int64)
    highest = np.floor(np.log2(np.maximum(bits, 0.5))).astype(np.float32) + 1
    classes = ("good", *(name.replace("_", " ") for name in spec.classes))
    found = np.where(there, highest, np.nan).astype(np.float32)
    return found, dataclasses.replace(spec, kind="label", classes=classes)


def short(value: float) -> str:
    """Write a number in few characters, as the page does."""
    size = abs(value)
    if not np.isfinite(value):
        return "-"
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 1e4:
        return f"{value / 1e3:.3g}k"
    if size >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
