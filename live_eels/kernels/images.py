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
    out : uint32 ``(channel,)``
    """
    none, most = np.uint64(0), np.uint64(0xFFFFFFFF)
    last = first + out.size
    total = np.zeros(out.size, np.uint64)
    for r in range(first_row, last_row):
        row = image[r, first:last]
        if dead.shape[0] == 0:
            for i in range(total.size):
                total[i] += none if row[i] == masked else np.uint64(row[i])
        else:
            off = dead[r, first:last]
            for i in range(total.size):
                total[i] += none if off[i] or row[i] == masked else np.uint64(row[i])
    for i in range(total.size):
        out[i] = np.uint32(min(total[i], most))
