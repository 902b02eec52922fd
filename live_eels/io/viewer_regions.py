"""Regions a person draws on a map, as flat pixel indices.

Lives here: geometry only. A region comes from a page, so every number is checked and
the work is bounded by the scan's own size.
"""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Point = tuple[float, float]
"""``(y, x)`` in pixels; the centre of the first pixel is (0, 0)."""


class Region(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="shape"):
    """What all regions share: their name in the ``shape`` field."""


class Everything(Region, tag="all"):
    """All pixels of the scan."""


class Rectangle(Region, tag="rectangle"):
    """Pixels between two corners, both included; one pixel if they are the same."""

    corners: tuple[Point, Point]


class Polygon(Region, tag="polygon"):
    """Pixels whose centre lies inside (even-odd rule)."""

    points: Annotated[list[Point], Meta(min_length=3, max_length=256)]


class Line(Region, tag="line"):
    """Pixels within half of ``width`` of a straight line."""

    ends: tuple[Point, Point]
    width: Annotated[float, Meta(ge=1, le=64)] = 1


class Cluster(Region, tag="where"):
    """Pixels at which the map ``map`` has the value ``value`` (a cluster, a label)."""

    map: Annotated[str, Meta(max_length=64)]
    value: int


AnyRegion = Everything | Rectangle | Polygon | Line | Cluster


def pixels(region: AnyRegion, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Flat indices of the pixels in a region, int64, ascending; a line's run along it.

    Parameters
    ----------
    shape
        Navigation shape; a spectrum line is one row, a single spectrum one pixel.
    """
    ny, nx = (1, 1, *shape)[-2:]
    match region:
        case Rectangle(corners=((y0, x0), (y1, x1))):
            rows = _span(y0, y1, ny)
            columns = _span(x0, x1, nx)
            return (rows[:, None] * nx + columns).ravel()
        case Polygon(points=points):
            near = [_near(point, ny, nx) for point in points]
            return np.flatnonzero(_inside(near, ny, nx)).astype(np.int64)
        case Line(ends=(start, end), width=width):
            return _along(_near(start, ny, nx), _near(end, ny, nx), width, ny, nx)
    return np.arange(ny * nx, dtype=np.int64)


def _span(a: float, b: float, size: int) -> NDArray[np.int64]:
    low, high = sorted((_clip(a, size), _clip(b, size)))
    return np.arange(low, high + 1, dtype=np.int64)


def _clip(value: float, size: int) -> int:
    return round(min(max(value, 0.0), size - 1.0)) if math.isfinite(value) else 0


def _near(point: Point, ny: int, nx: int) -> Point:
    """Hold the point within a few scan sizes: nobody draws further, arithmetic stays finite."""
    y, x = point
    y = min(max(y, -4.0 * ny), 5.0 * ny) if math.isfinite(y) else 0.0
    x = min(max(x, -4.0 * nx), 5.0 * nx) if math.isfinite(x) else 0.0
    return y, x


def _inside(points: list[Point], ny: int, nx: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[0:ny, 0:nx].astype(np.float64)
    inside = np.zeros((ny, nx), dtype=bool)
    for (y0, x0), (y1, x1) in zip(points, points[1:] + points[:1], strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        with np.errstate(over="ignore", invalid="ignore"):  # in rows it does not cross
            inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _along(start: Point, end: Point, width: float, ny: int, nx: int) -> NDArray[np.int64]:
    (y0, x0), (y1, x1) = start, end
    y, x = np.mgrid[0:ny, 0:nx].astype(np.float64)
    dy, dx = y1 - y0, x1 - x0
    length = math.hypot(dy, dx)
    if length == 0:
        return np.array([_clip(y0, ny) * nx + _clip(x0, nx)], dtype=np.int64)
    along = ((y - y0) * dy + (x - x0) * dx) / length
    across = np.abs((y - y0) * dx - (x - x0) * dy) / length
    near = (across <= max(width, 1.0) / 2) & (along >= -0.5) & (along <= length + 0.5)
    found = np.flatnonzero(near)
    return found[np.argsort(along.ravel()[found], kind="stable")].astype(np.int64)
