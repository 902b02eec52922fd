"""Text on pictures: a font wherever we run, ions with a raised charge, lines that fit.

Lives here: measuring and writing one line of text.
"""

from __future__ import annotations

import functools
import math
import re
from typing import Any

from PIL import ImageDraw, ImageFont

from live_eels.io.colours import Rgb

_FONTS = ("DejaVuSans.ttf", "Arial.ttf", "arial.ttf", "LiberationSans-Regular.ttf", "Helvetica.ttc")


@functools.cache
def font_of(size: int) -> tuple[Any, bool]:
    """A sans-serif font of the system, else Pillow's own, which knows only ASCII and a bit."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size), True
        except OSError:
            continue
    return ImageFont.load_default(size), False


def _pieces(text: str, size: int) -> list[tuple[str, Any, int]]:
    """Pieces of text with their font and rise: the charge of an ion is written raised."""
    normal, complete = font_of(size)
    if not complete:
        text = text.replace("µ", "u").replace("μ", "u").encode("ascii", "replace").decode()
    small, _ = font_of(max(8, size * 2 // 3))
    pieces = re.split(r"(?<=\b[A-Z][a-z])(\d[+-])|(?<=\b[A-Z])(\d[+-])", text)
    return [
        (piece, small, -size // 10) if re.fullmatch(r"\d[+-]", piece) else (piece, normal, 0)
        for piece in pieces
        if piece
    ]


def width_of(text: str, size: int) -> int:
    """Width in pixels."""
    return math.ceil(sum(float(font.getlength(piece)) for piece, font, _ in _pieces(text, size)))


def write(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: Rgb
) -> None:
    """Write a line; ``at`` is its upper left corner."""
    x, y = at
    for piece, font, rise in _pieces(text, size):
        draw.text((x, y + rise), piece, font=font, fill=colour)
        x += font.getlength(piece)


def shortened(text: str, width: int, size: int) -> str:
    """Cut the text, with an ellipsis, where it is wider than ``width`` pixels."""
    text = text.replace("\n", " ")[:300]
    if width_of(text, size) <= width:
        return text
    while text and width_of(text + "...", size) > width:
        text = text[:-1]
    return text + "..."
