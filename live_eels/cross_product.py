"""The sum of spectra's outer products: what a decomposition learns from.

Lives here: the matrix, and the newest rows that are not in it yet. Knows no weights, no basis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import blas

WAITING_ROWS = 512
"""Rows wait until there are so many. One matrix product of many rows takes half the time of many
of few, and the image of some columns under waiting rows a third of that under the matrix."""


class CrossProduct:
    """``G``, the sum over rows of ``x xᵀ``; float32, exact but for rounding.

    Parameters
    ----------
    channels : int
        Length of a row.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._matrix = np.zeros((channels, channels), np.float32, order="F")  # lower triangle
        self._empty = True  # of rows that no longer wait
        self._rows = np.empty((0, channels), np.float32)
        self._waiting = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        """Add ``rows.T @ rows``.

        Parameters
        ----------
        rows : float32 ``(row, channel)``, C order
        """
        if self._waiting + len(rows) > WAITING_ROWS:
            self._take_in(self._rows[: self._waiting])
            self._waiting = 0
        if len(rows) > WAITING_ROWS:
            self._take_in(rows)
            return
        if len(self._rows) < WAITING_ROWS:
            held = self._rows[: self._waiting]
            self._rows = np.empty((WAITING_ROWS, self._channels), np.float32)
            self._rows[: self._waiting] = held
        self._rows[self._waiting : self._waiting + len(rows)] = rows
        self._waiting += len(rows)

    def merge(self, other: CrossProduct) -> None:
        """Add the sum of another."""
        if not other._empty:
            self._matrix += other._matrix
            self._empty = False
        self.add(other._rows[: other._waiting])

    def _take_in(self, rows: NDArray[np.float32]) -> None:
        if len(rows):
            blas.add_products(rows, self._matrix)
            self._empty = False

    def times(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """``G @ columns``, float32 ``(channel, column)``."""
        rows = self._rows[: self._waiting]
        image = np.asarray(rows.T @ (rows @ columns), np.float32)
        return image if self._empty else image + blas.times(self._matrix, columns)

    def diagonal(self) -> NDArray[np.float64]:
        """Sum of each channel's squares, float64 ``(channel,)``."""
        rows = self._rows[: self._waiting]
        squares = np.einsum("ij,ij->j", rows, rows, dtype=np.float64)
        return np.asarray(squares + np.diagonal(self._matrix))

    def whole(self) -> NDArray[np.float64]:
        """All of ``G``, float64 ``(channel, channel)``."""
        rows = self._rows[: self._waiting].astype(np.float64)
        below = np.tril(self._matrix, -1)
        return np.asarray(rows.T @ rows + below + below.T + np.diag(np.diagonal(self._matrix)))

    def __getstate__(self) -> dict[str, object]:
        """What is worth keeping: of the rows those that wait."""
        return {**vars(self), "_rows": self._rows[: self._waiting].copy()}
