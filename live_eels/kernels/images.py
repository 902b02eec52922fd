"""Detector images to spectra: counts added up across the dispersion."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import jit


@jit
def add_rows(
    image: NDArray[Any],
    dead: NDArray[np.bool_],
    first_row: int,
    last_row: int,
    first: int,
    masked: Any,
    total: NDArray[Any],
    out: NDArray[np.uint32],
) -> None:
    """Counts of each channel, over the rows that measured it; no more than fit into ``out``.

    Parameters
    ----------
    image : unsigned ``(row, channel)``, C order
    dead : bool ``(row, channel)``
        Pixels of the detector to leave out; with no rows there are none.
    first_row, last_row
        First row that counts, and one past the last.
    first
        Channel of the image that is the first of ``out``.
    masked
        Count, of the image's type, that says that a pixel measured nothing.
    total : unsigned ``(channel,)``
        Scratch, wide enough for the sum of all rows.
    out : uint32 ``(channel,)``
    """
    none, most = np.uint32(0), np.uint64(0xFFFFFFFF)
    total[:] = 0
    last, row = first + out.size, first_row
    if dead.shape[0] == 0:
        while row + 4 <= last_row:  # four at a time: the total is loaded and stored once
            a, b = image[row, first:last], image[row + 1, first:last]
            c, d = image[row + 2, first:last], image[row + 3, first:last]
            for i in range(out.size):
                total[i] += none if a[i] == masked else a[i]
                total[i] += none if b[i] == masked else b[i]
                total[i] += none if c[i] == masked else c[i]
                total[i] += none if d[i] == masked else d[i]
            row += 4
    for r in range(row, last_row):
        rest = image[r, first:last]
        if dead.shape[0] == 0:
            for i in range(out.size):
                total[i] += none if rest[i] == masked else rest[i]
        else:
            off = dead[r, first:last]
            for i in range(out.size):
                total[i] += none if off[i] | (rest[i] == masked) else rest[i]
    for i in range(out.size):
        out[i] = np.uint32(min(np.uint64(total[i]), most))
