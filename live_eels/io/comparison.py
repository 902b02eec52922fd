"""One picture of several segmentations of a scan: where they agree, and how far.

Lives here: label maps side by side with one colour for what is the same, the mean spectra of
their clusters with error bands below, and a table of their agreement.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.optimize import linear_sum_assignment

from live_eels.io import colours
from live_eels.io.drawing import FAINT, Plot, View
from live_eels.io.lettering import shortened, width_of, write
from live_eels.spectra import Curve, MapSnapshot, MapSpec

PAPER, INK = (22, 24, 29), (232, 234, 237)
_MARGIN, _COLUMN, _CELL = 24, 330, 86

Label = NDArray[np.float32]


def save_comparison(
    snapshot: MapSnapshot,
    ari: Mapping[tuple[str, str], float],
    file: Path,
    embedding: tuple[NDArray[np.float32], NDArray[np.int16]] | None = None,
) -> Path | None:
    """Draw the label maps of a refinement beside one another.

    Parameters
    ----------
    snapshot
        Label maps; a curve ``<name> means`` has the mean spectra of a map's clusters.
    ari
        Adjusted Rand index of each two segmentations, also of some that have no map here.
    file
        Where to, PNG.
    embedding
        Coordinates ``(pixel, 2)`` and cluster of the pixels that ``hdbscan`` looked at.

    Returns
    -------
    The file; None where there are fewer than two segmentations to compare.
    """
    names = [name for name, spec in snapshot.specs.items() if spec.kind == "label"]
    if len(names) < 2:
        return None
    orders = matched({name: snapshot.maps[name] for name in names})
    columns = [_column(name, snapshot, orders[name]) for name in names]
    table = _table(ari)
    if embedding is not None and "hdbscan" in orders:
        table = _under(table, _scatter(*embedding, orders["hdbscan"]))
    height = max([column.height for column in columns] + [table.height])
    width = _MARGIN + sum(column.width + _MARGIN for column in columns) + table.width + _MARGIN
    page = Image.new("RGB", (width, 84 + height + _MARGIN), PAPER)
    draw = ImageDraw.Draw(page)
    write(
        draw, (_MARGIN, 14), shortened(snapshot.scan.title or "segmentations", width, 22), 22, INK
    )
    said = (
        "one colour: the same pixels, mostly; spectra: means, with their standard error as a band"
    )
    write(draw, (_MARGIN, 48), said, 13, FAINT)
    x = _MARGIN
    for column in columns:
        page.paste(column, (x, 84))
        x += column.width + _MARGIN
    page.paste(table, (x, 84))
    page.save(file, compress_level=6)
    return file


def matched(labels: Mapping[str, Label]) -> dict[str, list[int]]:
    """Colour number of each cluster of each map.

    Clusters of a later map take the number of the cluster of an earlier one with which they
    share most pixels, each number once in a map; what is left over gets new numbers.
    """
    out: dict[str, list[int]] = {}
    used = 0
    for name, label in labels.items():
        count = int(np.nan_to_num(label, nan=-1).max()) + 1
        numbers = [-1] * count
        for earlier, theirs in out.items():
            free = [i for i in range(count) if numbers[i] < 0]
            other = [j for j, n in enumerate(theirs) if n not in numbers]
            there = labels[earlier]
            shared = np.array([[np.sum((label == i) & (there == j)) for j in other] for i in free])
            if not shared.size:
                continue
            for row, column in zip(*linear_sum_assignment(-shared), strict=True):
                if 2 * shared[row, column] > min(
                    np.sum(label == free[row]), np.sum(there == other[column])
                ):
                    numbers[free[row]] = theirs[other[column]]
        for i in range(count):
            if numbers[i] < 0:
                numbers[i], used = used, used + 1
        out[name] = numbers
    return out


def _column(name: str, snapshot: MapSnapshot, numbers: list[int]) -> Image.Image:
    """One segmentation: its map, and below the mean spectra of its clusters."""
    values = snapshot.maps[name]
    known = values >= 0
    moved = values.copy()
    moved[known] = np.array(numbers, np.float32)[values[known].astype(int)]
    classes = tuple(f"cluster {i + 1}" for i in range(max(numbers, default=0) + 1))
    spec = MapSpec(name, "label", "", snapshot.specs[name].meaning, classes)
    lost = ~np.isfinite(values)
    picture = View(name, spec, moved, lost, snapshot.scan).drawn(_COLUMN, _COLUMN).image
    curve = snapshot.curves.get(f"{name} means")
    spectra = _spectra(curve, numbers) if curve is not None else None
    below = 26 + picture.height + 14
    height = below + (spectra.height if spectra else 0)
    column = Image.new("RGB", (_COLUMN, height), PAPER)
    draw = ImageDraw.Draw(column)
    like_none = np.mean(values[~lost] < 0) if (~lost).any() else 0.0
    more = f", {100 * like_none:.1f} % in none" if like_none >= 0.001 else ""
    write(draw, (0, 0), shortened(f"{name}: {len(numbers)} classes{more}", _COLUMN, 14), 14, INK)
    column.paste(picture, ((_COLUMN - picture.width) // 2, 26))
    if spectra is not None:
        column.paste(spectra, (0, below))
    return column


def _spectra(curve: Curve, numbers: list[int]) -> Image.Image:
    """Mean spectra with their standard error, over the whole window."""
    error = np.zeros_like(curve.values) if curve.error is None else np.nan_to_num(curve.error)
    low, high = curve.values - error, curve.values + error
    bounds = float(np.nanmin(low)), float(np.nanmax(high))
    plot = Plot(_COLUMN, _COLUMN * 2 // 3, (curve.axis.offset_ev, curve.axis.end_ev), bounds)
    energies = curve.axis.energies_ev
    for row, number in enumerate(numbers):
        colour = colours.class_colour(f"cluster {number + 1}", number)
        if curve.error is not None:
            plot.band(energies, low[row], high[row], colour)
        plot.line(energies, curve.values[row], colour, width=1)
    plot.x_ticks("eV", PAPER)
    return plot.image


def _table(ari: Mapping[tuple[str, str], float]) -> Image.Image:
    """Adjusted Rand index of each two: 1 is the same, 0 no more than chance."""
    names = list(dict.fromkeys(name for pair in ari for name in pair))
    side = max((width_of(name, 13) for name in names), default=0) + 12
    table = Image.new("RGB", (max(side + _CELL * len(names), 250), 60 + 40 * len(names)), PAPER)
    draw = ImageDraw.Draw(table)
    write(draw, (0, 0), "agreement (adjusted Rand index)", 14, INK)
    scale = colours.table(MapSpec("ari", "fraction"))
    for i, name in enumerate(names):
        write(draw, (0, 60 + 40 * i), name, 13, INK)
        write(draw, (side + _CELL * i + 4, 32), shortened(name, _CELL - 6, 13), 13, INK)
    same = {(name, name): 1.0 for name in names}
    for (first, second), value in {**ari, **same}.items():
        for a, b in {(first, second), (second, first)}:
            x, y = side + _CELL * names.index(b), 50 + 40 * names.index(a)
            fill = tuple(int(c) for c in scale[int(np.clip(value, 0, 1) * 255)])
            draw.rectangle([x, y, x + _CELL - 3, y + 37], fill=fill)
            text = f"{value:.2f}"
            ink = (0, 0, 0) if sum(fill) > 380 else (255, 255, 255)
            write(draw, (x + (_CELL - width_of(text, 14)) // 2, y + 9), text, 14, ink)
    return table


def _scatter(
    points: NDArray[np.float32], label: NDArray[np.int16], numbers: list[int]
) -> Image.Image:
    """The embedding, in the colours of the map."""
    side = 290
    image = Image.new("RGB", (side, side + 26), PAPER)
    draw = ImageDraw.Draw(image)
    write(draw, (0, 0), f"UMAP of {len(points)} pixels", 14, INK)
    draw.rectangle([0, 26, side, side + 26], fill=colours.rgb(colours.BACKDROP))
    span = np.ptp(points, axis=0)
    places = 8 + (points - points.min(axis=0)) / np.maximum(span, 1e-9) * (side - 16)
    for (x, y), cluster in zip(places, label, strict=True):
        number = numbers[cluster] if cluster >= 0 else -1
        name = f"cluster {number + 1}"
        fill = colours.class_colour(name, number) if number >= 0 else colours.rgb("#9a9a9a")
        draw.rectangle([x - 1, 25 + y, x + 1, 27 + y], fill=fill)
    return image


def _under(first: Image.Image, second: Image.Image) -> Image.Image:
    both = Image.new(
        "RGB", (max(first.width, second.width), first.height + 18 + second.height), PAPER
    )
    both.paste(first, (0, 0))
    both.paste(second, (0, first.height + 18))
    return both
