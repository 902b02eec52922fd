"""Pictures of the maps at the end of a scan: PNG files to look at, send and show.

Lives here: laying out and drawing. What colour a value has is `colours`' matter. Each
picture carries all that is needed to read it without the program: scale bar, colour bar with
unit or legend with pixel counts, title, beam parameters.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from live_eels import __version__
from live_eels.io import colours
from live_eels.io.colours import Rgb
from live_eels.io.drawing import FAINT, Drawing, Plot, View, round_down, round_ticks
from live_eels.io.lettering import shortened, width_of, write
from live_eels.spectra import Curve, MapSnapshot, NavigationAxis, Scan

PAPER = (22, 24, 29)
INK = (232, 234, 237)

_MARGIN = 24
_MAP = 560
_TILE = 250
_LEGEND = 250
_MAX_TILES = 30
_MAX_CLASSES = 14


def save_maps(snapshot: MapSnapshot, folder: Path) -> list[Path]:
    """Draw each map and each set of spectra into ``folder``, and ``overview.png`` of all maps.

    Parameters
    ----------
    snapshot
        The last one of the scan. Pixels without a value in any map count as not recorded.

    Returns
    -------
    list of Path
        The files written, the overview first; none for a single spectrum.
    """
    if not snapshot.scan.navigation or not snapshot.maps:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    lost = ~np.any([np.isfinite(values) for values in snapshot.maps.values()], axis=0)
    views = [
        _view(name, snapshot, lost)
        for name in sorted(snapshot.maps, key=lambda name: snapshot.specs[name].kind != "label")
    ]
    pages = {"overview": _overview(views, snapshot)}
    pages |= {view.name: _page(view) for view in views if view.name not in pages}
    pages |= {
        f"spectra {name}": _spectra_page(name, curve, snapshot.scan)
        for name, curve in snapshot.curves.items()
        if curve.values.size and curve.axis.size > 1
    }
    written: list[Path] = []
    for name, page in pages.items():
        file = folder / f"{re.sub(r'[^A-Za-z0-9.+-]+', '_', name).strip('_.') or 'map'}.png"
        if file in written:  # two names that differ only in signs a file name cannot have
            file = file.with_stem(f"{file.stem}_{len(written)}")
        written.append(_save(page, file, snapshot.scan))
    return written


def _view(name: str, snapshot: MapSnapshot, lost: NDArray[np.bool_]) -> View:
    values, spec = snapshot.maps[name], snapshot.specs[name]
    if spec.kind == "flags":
        values, spec = colours.gravest(values, spec)
    return View(name, spec, values, lost, snapshot.scan)


def _save(picture: Image.Image, file: Path, scan: Scan) -> Path:
    facts = PngInfo()
    facts.add_itxt("Title", scan.title)
    facts.add_itxt("Source", f"scan {scan.id}")
    facts.add_text("Software", f"live_eels {__version__}")
    picture.save(file, pnginfo=facts, compress_level=6)
    return file


def _page(view: View) -> Image.Image:
    """One map on a page of its own."""
    drawing = view.drawn(_MAP, _MAP)
    picture = drawing.image
    legend = _legend_height(view)
    width = _MARGIN * 3 + max(picture.width, 240) + _LEGEND
    height = max(picture.height, legend) + 150
    page = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(page)
    write(draw, (_MARGIN, 16), shortened(view.title, width - 2 * _MARGIN, 20), 20, INK)
    write(
        draw,
        (_MARGIN, 46),
        shortened(f"{view.scan.title}   {_extent(view.scan)}".strip(), width - 2 * _MARGIN, 13),
        13,
        FAINT,
    )
    top = 78
    page.paste(picture, (_MARGIN, top))
    right = _MARGIN * 2 + max(picture.width, 240)
    if view.spec.kind == "label":
        _legend(draw, (right, top), view, 15)
    elif view.is_curve:
        _facts(draw, (right, top), view)
    else:
        _colour_bar(page, draw, (right, top), min(300, max(120, picture.height)), view)
    _scale_bar(draw, (_MARGIN, top + picture.height + 14), drawing, view.scan, 14)
    write(draw, (_MARGIN, height - 26), _beam(view.scan), 12, FAINT)
    return page


def _spectra_page(name: str, curve: Curve, scan: Scan) -> Image.Image:
    """Factors, cluster means: one line each, with a legend."""
    shown = curve.values[:_MAX_CLASSES]
    finite = shown[np.isfinite(shown)]
    bounds = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    plot = Plot(_MAP, _MAP * 2 // 3, (curve.axis.offset_ev, curve.axis.end_ev), bounds)
    width = _MARGIN * 3 + _MAP + _LEGEND
    page = Image.new("RGB", (width, plot.image.height + 152), PAPER)
    draw = ImageDraw.Draw(page)
    write(draw, (_MARGIN, 16), shortened(name, width - 2 * _MARGIN, 20), 20, INK)
    write(draw, (_MARGIN, 46), shortened(scan.title, width - 2 * _MARGIN, 13), 13, FAINT)
    for number, values in enumerate(shown):
        label = curve.labels[number] if number < len(curve.labels) else str(number)
        colour = colours.class_colour(label, number)
        if curve.error is not None:
            spread = curve.error[number]
            plot.band(curve.axis.energies_ev, values - spread, values + spread, colour)
        plot.line(curve.axis.energies_ev, values, colour)
        x, y = _MARGIN * 2 + _MAP, 78 + 24 * number
        draw.line([(x, y + 9), (x + 20, y + 9)], fill=colour, width=4)
        write(draw, (x + 28, y), shortened(label, _LEGEND - 40, 15), 15, INK)
    plot.x_ticks("eV", PAPER)
    page.paste(plot.image, (_MARGIN, 78))
    write(draw, (_MARGIN, plot.image.height + 86), curve.unit, 12, FAINT)
    write(draw, (_MARGIN, plot.image.height + 104), _beam(scan), 12, FAINT)
    return page


def _overview(views: list[View], snapshot: MapSnapshot) -> Image.Image:
    """All maps on one sheet, label maps first."""
    shown = views[:_MAX_TILES]
    tiles = [_tile(view) for view in shown]
    columns = min(len(tiles), max(3, math.ceil(math.sqrt(len(tiles) * 1.4))))
    cell = _TILE + _MARGIN
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    heights = [max(tile.height for tile in row) + 18 for row in rows]
    width = max(_MARGIN + columns * cell, 720)
    sheet = Image.new("RGB", (width, 92 + sum(heights) + 34), PAPER)
    draw = ImageDraw.Draw(sheet)
    scan = snapshot.scan
    title = scan.title or f"scan {scan.id[:8]}"
    write(draw, (_MARGIN, 14), shortened(title, width - 2 * _MARGIN, 24), 24, INK)
    write(draw, (_MARGIN, 50), shortened(_extent(scan), width - 2 * _MARGIN, 13), 13, FAINT)
    y = 84
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            sheet.paste(tile, (_MARGIN + column * cell, y))
        y += height
    more = f"   and {len(views) - len(shown)} more maps" if len(views) > len(shown) else ""
    write(draw, (_MARGIN, y + 4), _beam(scan) + more, 12, FAINT)
    return sheet


def _tile(view: View) -> Image.Image:
    drawing = view.drawn(_TILE, _TILE)
    picture = drawing.image
    below = 26 + picture.height + 8
    entries = _entries(view) if view.spec.kind == "label" else []
    narrow = all(width_of(_told(entry), 12) < _TILE // 2 - 24 for entry in entries)
    columns = 2 if narrow or len(entries) > 8 else 1
    lines = math.ceil(len(entries) / columns) if entries else 2
    tile = Image.new("RGB", (_TILE, below + 19 * lines + 18), PAPER)
    draw = ImageDraw.Draw(tile)
    write(draw, (0, 2), shortened(view.name, _TILE, 15), 15, INK)
    tile.paste(picture, (0, 26))
    if view.is_curve:
        write(draw, (0, below), view.spec.unit, 12, FAINT)
    elif not entries:
        low, high = (colours.short(v) for v in view.limits)
        strip = _gradient(view)[None].repeat(8, 0)
        tile.paste(Image.fromarray(strip).resize((_TILE, 8)), (0, below))
        write(draw, (0, below + 12), low, 12, FAINT)
        unit = f"{high} {view.spec.unit}".strip()
        write(draw, (_TILE - width_of(unit, 12), below + 12), unit, 12, FAINT)
    for number, entry in enumerate(entries):
        spot = (number % columns * _TILE // 2, below + number // columns * 19)
        _swatch(draw, (*spot, spot[0] + 13, spot[1] + 13), entry)
        write(
            draw,
            (spot[0] + 19, spot[1] - 1),
            shortened(_told(entry), _TILE // columns - 22, 12),
            12,
            INK,
        )
    _scale_bar(draw, (0, below + 19 * lines), drawing, view.scan, 12)
    return tile


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of a legend; ``share`` is percent of the pixels with a label."""

    name: str
    colour: Rgb
    count: int
    share: float
    hatch: str = ""


def _entries(view: View) -> list[_Entry]:
    """Classes that occur (or all, if few), rejected, not recorded."""
    values = view.values[np.isfinite(view.values)].astype(np.int64)
    total = max(1, values.size)
    names = [*view.spec.classes]
    names += [f"class {n}" for n in range(len(names), int(values.max(initial=-1)) + 1)]
    counts = np.bincount(values[values >= 0], minlength=len(names))
    listed = [n for n in range(len(names)) if counts[n] or len(names) <= _MAX_CLASSES]
    listed = sorted(sorted(listed, key=lambda n: -counts[n])[:_MAX_CLASSES])
    entries = [
        _Entry(names[n], colours.class_colour(view.spec.classes[n], n)
               if n < len(view.spec.classes) else colours.class_colour("", n),
               int(counts[n]), 100 * float(counts[n]) / total)
        for n in listed
    ]  # fmt: skip
    hidden = int(counts.sum()) - sum(entry.count for entry in entries)
    if hidden:
        entries.append(_Entry("others", colours.rgb(colours.NOTHING), hidden, 100 * hidden / total))
    rejected = int((values < 0).sum())
    if rejected:
        grey = colours.rgb(colours.REJECT_GREY)
        entries.append(_Entry("rejected", grey, rejected, 100 * rejected / total, "rising"))
    lost = int(view.lost.sum())
    if lost:
        dark = colours.rgb(colours.BACKDROP)
        share = 100 * lost / view.lost.size
        entries.append(_Entry("missing", dark, lost, share, "falling"))
    return entries


def _told(entry: _Entry) -> str:
    return f"{entry.name}  {entry.share:.1f} %"


def _legend_height(view: View) -> int:
    return 24 * (len(_entries(view)) + 1) if view.spec.kind == "label" else 0


def _legend(draw: ImageDraw.ImageDraw, at: tuple[int, int], view: View, size: int) -> None:
    x, y = at
    write(draw, (x + _LEGEND - 70 - width_of("pixels", 12), y), "pixels", 12, FAINT)
    write(draw, (x + _LEGEND - 12 - width_of("%", 12), y), "%", 12, FAINT)
    for entry in _entries(view):
        y += 24
        _swatch(draw, (x, y, x + 18, y + 16), entry)
        write(draw, (x + 27, y - 1), entry.name, size, INK)
        for right, text in ((70, f"{entry.count:,}".replace(",", " ")), (12, f"{entry.share:.1f}")):
            write(draw, (x + _LEGEND - right - width_of(text, size), y - 1), text, size, INK)


def _swatch(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], entry: _Entry) -> None:
    draw.rectangle(box, fill=entry.colour, outline=FAINT)
    left, top, right, bottom = box
    if entry.hatch == "rising":
        draw.line([(left + 2, bottom - 2), (right - 2, top + 2)], fill=(92, 92, 92), width=2)
    elif entry.hatch == "falling":
        draw.line([(left + 2, top + 2), (right - 2, bottom - 2)], fill=colours.LOST_RED, width=1)


def _gradient(view: View) -> NDArray[np.uint8]:
    return colours.table(view.spec)


def _colour_bar(
    page: Image.Image, draw: ImageDraw.ImageDraw, at: tuple[int, int], height: int, view: View
) -> None:
    x, y = at
    bar = Image.fromarray(np.ascontiguousarray(_gradient(view)[::-1, None].repeat(22, 1)))
    page.paste(bar.resize((22, height), Image.Resampling.NEAREST), (x, y))
    low, high = view.limits
    for value in round_ticks(low, high):
        level = y + round((height - 1) * (high - value) / (high - low))
        draw.line([(x + 22, level), (x + 28, level)], fill=FAINT)
        write(draw, (x + 34, level - 9), colours.short(value), 14, INK)
    _facts(draw, (x, y + height + 8), view)


def _facts(draw: ImageDraw.ImageDraw, at: tuple[int, int], view: View) -> None:
    """The unit, and how many pixels have no value and why."""
    x, y = at
    if view.spec.unit:
        write(draw, (x, y), view.spec.unit, 14, INK)
    lost = int(view.lost.sum())
    unknown = int((~np.isfinite(view.values)).sum()) - lost
    y += 24
    for count, what in ((unknown, "without value"), (lost, "missing")):
        if count:
            write(draw, (x, y), f"{count} pixels {what}", 12, FAINT)
            y += 18


def _scale_bar(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], drawing: Drawing, scan: Scan, size: int
) -> None:
    """A bar of a round length, under the map, for its fast axis."""
    axis = scan.navigation[-1]
    scale, unit = _step(axis)
    if not unit or not 0 < scale < math.inf:
        scale, unit = 1.0, "pixels"
    length = round_down(max(1, axis.size - 1 if drawing.left else axis.size) * scale * 0.4)
    pixels = max(1, round(length / scale * drawing.step))
    x, y = at[0] + drawing.left, at[1]
    draw.rectangle([x, y + size // 3, x + pixels - 1, y + size // 3 + 4], fill=INK)
    write(draw, (x + pixels + 10, y - 2), f"{length:g} {unit}", size, INK)


def _step(axis: NavigationAxis) -> tuple[float, str]:
    """Step of the beam and its unit; small steps in micrometres are told in nanometres."""
    if axis.units in ("µm", "μm", "um") and 0 < abs(axis.scale) < 0.1:
        return abs(axis.scale) * 1000, "nm"
    return abs(axis.scale), axis.units


def _extent(scan: Scan) -> str:
    """Pixels and steps, fast axis first as people say it."""
    axes = scan.navigation[::-1]
    where = " x ".join(str(axis.size) for axis in axes)
    steps = ["{:.3g} {}".format(*_step(axis)).strip() for axis in axes]
    step = steps[0] if len(set(steps)) == 1 else " x ".join(steps)
    return f"{where} pixels   step {step}{'   simulated' if scan.simulated else ''}"


def _beam(scan: Scan) -> str:
    """What is known of the beam, in the order people say it."""
    told = scan.instrument
    parts = [
        told.microscope,
        "" if told.beam_energy_kev is None else f"{told.beam_energy_kev:g} kV",
        "" if told.convergence_mrad is None else f"convergence {told.convergence_mrad:g} mrad",
        "" if told.collection_mrad is None else f"collection {told.collection_mrad:g} mrad",
        "" if told.dwell_s is None else f"dwell {told.dwell_s * 1e3:g} ms",
        f"scan {scan.id[:8]}",
    ]
    return "   ".join(part for part in parts if part)
