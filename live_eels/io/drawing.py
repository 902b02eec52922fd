"""One map as an image: values to an enlarged picture, or to a curve for a line of spectra.

Lives here: what is inside the frame. Titles, legends and bars around it are `pictures`'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from live_eels.io import colours
from live_eels.io.colours import Rgb
from live_eels.io.lettering import width_of, write
from live_eels.spectra import MapSpec, Scan

FAINT = (154, 160, 168)
MAX_PLANES = 64
"""A scan of more than two axes is shown as this many planes at most, side by side."""

_GRID = (60, 64, 70)
_CURVE = (136, 204, 238)
_REJECT_LINES = (92, 92, 92)


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A drawn map; a step of the fast axis is ``step`` wide, the first begins at ``left``."""

    image: Image.Image
    step: float
    left: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One map and what is needed to draw it; ``lost`` is True where nothing was recorded."""

    name: str
    spec: MapSpec
    values: NDArray[np.float32]
    lost: NDArray[np.bool_]
    scan: Scan

    @property
    def title(self) -> str:
        """Name, with its meaning where that says more."""
        meaning = self.spec.meaning
        return f"{self.name}: {meaning}" if meaning and meaning != self.name else self.name

    @property
    def limits(self) -> tuple[float, float]:
        """Range of the colour bar."""
        return colours.display_limits(self.values, self.spec)

    @property
    def is_curve(self) -> bool:
        """Whether it is drawn as values against position, not as an image."""
        return len(self.scan.navigation) == 1 and self.spec.kind != "label"

    def drawn(self, width: int, height: int) -> Drawing:
        """Draw the map alone, fitted into ``width`` x ``height`` pixels."""
        if self.is_curve:
            return _curve(self, width, height)
        plane = _mosaic(self.values, self.scan)
        size = _fit(self.scan, width, height)
        values = _enlarge(plane, size)
        if self.spec.kind == "label":
            picture = colours.labelled(values, self.spec)
            _hatch(picture, values < 0, 8, _REJECT_LINES, rising=True)
        else:
            picture = colours.coloured(values, self.limits, colours.table(self.spec))
        lost = _enlarge(_mosaic(self.lost, self.scan), size)
        _hatch(picture, lost, 10, colours.rgb(colours.LOST_RED), rising=False)
        return Drawing(Image.fromarray(picture), size[0] / plane.shape[1])


def _mosaic(values: NDArray[Any], scan: Scan) -> NDArray[Any]:
    """Lay any navigation shape out as one plane: a line is a strip, slow axes side by side."""
    shape = scan.shape
    if len(shape) == 1:
        return values[None]
    planes = values.reshape(-1, *shape[-2:])[:MAX_PLANES]
    return np.concatenate(list(planes), axis=1)


def _fit(scan: Scan, width: int, height: int) -> tuple[int, int]:
    """Size of the drawn map that fits the box: true to scale where both axes have one unit."""
    shape = scan.shape
    if len(shape) == 1:
        return width, min(height, 72)
    slow, fast = scan.navigation[-2:]
    ratio = abs(slow.scale / fast.scale) if slow.units == fast.units and fast.scale else 1.0
    # A map that would be a mere stripe is drawn with square pixels; so is one of step nan.
    if not 0.05 <= ratio <= 20:
        ratio = 1.0
    across = fast.size * min(math.prod(shape[:-2]), MAX_PLANES)
    zoom = min(width / across, height / (slow.size * ratio))
    if int(zoom) > 0.85 * zoom and zoom * ratio >= 3:  # all scan pixels of one size
        return across * int(zoom), slow.size * max(1, int(zoom * ratio))
    return max(1, round(across * zoom)), max(1, round(slow.size * ratio * zoom))


def _enlarge(plane: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Nearest neighbour: a scan pixel stays a rectangle of one colour."""
    rows = np.arange(size[1]) * plane.shape[0] // size[1]
    columns = np.arange(size[0]) * plane.shape[1] // size[0]
    enlarged: NDArray[Any] = plane[rows[:, None], columns]
    return enlarged


def _hatch(
    picture: NDArray[np.uint8], where: NDArray[np.bool_], period: int, colour: Rgb, *, rising: bool
) -> None:
    """Lines over part of a picture, so that its meaning does not hang on colour alone."""
    rows, columns = np.ogrid[: where.shape[0], : where.shape[1]]
    diagonal = (rows + columns) if rising else (rows - columns)
    picture[where & (diagonal % period < max(1, period // 6))] = colour


def _curve(view: View, width: int, height: int) -> Drawing:
    """Draw a map of a spectrum line: its values against position."""
    low, high = view.limits
    finite = view.values[np.isfinite(view.values)]
    if finite.size and (view.spec.limits is None and view.spec.kind != "fraction"):
        low, high = float(finite.min()), float(finite.max())
    elif finite.size:
        low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    plot = Plot(
        width, min(height, width * 5 // 8), (0.0, max(1.0, view.values.size - 1)), (low, high)
    )
    plot.line(np.arange(view.values.size), view.values, _CURVE, dots=True)
    return Drawing(plot.image, plot.step, plot.left)


class Plot:
    """Axes to draw lines on: ``x`` and ``y`` are the ranges shown, low before high."""

    def __init__(
        self, width: int, height: int, x: tuple[float, float], y: tuple[float, float]
    ) -> None:
        room = max(0.04 * (y[1] - y[0]), 1e-6 * abs(y[1]), 1e-30)
        self._low, self._high = y[0] - room, y[1] + room
        self._x = x
        self.image = Image.new("RGB", (width, height), colours.BACKDROP)
        self._draw = ImageDraw.Draw(self.image)
        ticks = round_ticks(self._low, self._high)
        self.left = 12 + max(width_of(colours.short(tick), 12) for tick in ticks)
        self.step = (width - self.left - 8) / (x[1] - x[0])
        for tick in ticks:
            _, level = self.place(x[0], tick)
            self._draw.line([(self.left, level), (width, level)], fill=_GRID)
            label = colours.short(tick)
            beside = (self.left - 6 - width_of(label, 12), min(max(0, level - 8), height - 17))
            write(self._draw, beside, label, 12, FAINT)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies on the image."""
        share = (self._high - y) / (self._high - self._low)
        return self.left + (x - self._x[0]) * self.step, share * (self.image.height - 1)

    def line(
        self,
        x: NDArray[Any],
        y: NDArray[np.float32],
        colour: Rgb,
        *,
        dots: bool = False,
        width: int = 2,
    ) -> None:
        """Draw through the points, with gaps where ``y`` is not finite."""
        known = np.isfinite(y)
        places = [
            self.place(float(a), float(b)) for a, b in zip(x, np.where(known, y, 0), strict=True)
        ]
        for number in np.flatnonzero(known[:-1] & known[1:]):
            self._draw.line([places[number], places[number + 1]], fill=colour, width=width)
        for number in np.flatnonzero(known) if dots else ():
            px, py = places[number]
            self._draw.ellipse([px - 2, py - 2, px + 2, py + 2], fill=colour)

    def band(
        self, x: NDArray[Any], low: NDArray[np.float32], high: NDArray[np.float32], colour: Rgb
    ) -> None:
        """Shade what lies between two curves, where both are finite."""
        known = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
        backdrop = colours.rgb(colours.BACKDROP)
        shade = tuple((c + b) // 2 for c, b in zip(colour, backdrop, strict=True))
        for part in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
            if len(part) > 1:
                there = [self.place(float(x[i]), float(high[i])) for i in part]
                back = [self.place(float(x[i]), float(low[i])) for i in part[::-1]]
                self._draw.polygon([*there, *back], fill=shade)

    def x_ticks(self, unit: str, paper: Rgb) -> None:
        """Label the horizontal axis, on a strip of paper added below."""
        width, bottom = self.image.size
        longer = Image.new("RGB", (width, bottom + 22), paper)
        longer.paste(self.image, (0, 0))
        self.image, self._draw = longer, ImageDraw.Draw(longer)
        for tick in round_ticks(*self._x):
            px, _ = self.place(tick, 0.0)
            self._draw.line([(px, bottom - 5), (px, bottom)], fill=FAINT)
            label = f"{tick:g}"
            at = min(px - width_of(label, 12) / 2, width - width_of(f"{label} {unit}", 12) - 14)
            write(self._draw, (at, bottom + 3), label, 12, FAINT)
        write(self._draw, (width - width_of(unit, 12), bottom + 3), unit, 12, FAINT)


def round_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers from ``low`` to ``high``."""
    step = round_down((high - low) / 2.5)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def round_down(value: float) -> float:
    """Largest 1, 2 or 5 times a power of ten that is not above ``value``."""
    power = 10.0 ** math.floor(math.log10(value))
    return power * max(n for n in (1, 2, 5) if n * power <= value * (1 + 1e-9))
