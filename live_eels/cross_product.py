"""The sum of spectra's outer products: what a decomposition learns from.

Lives here: the matrix, and what is not in it yet: the newest rows, and what rows that never will
be tell along a basis. Knows no weighting, no eigenvectors.

A row costs as many operations as the matrix has entries. When rows are many, the matrix takes a
sample of them, each with the weight of all that it stands for; along a basis all of them count (a
control variate: what the sample tells there is replaced by what all tell, which costs two products
with its few directions). With the basis ``B`` (columns), its dual ``F`` (``Fᵀ B = 1``), ``C``
the sum over all rows and ``G`` that over the sample,

    C  ≈  G + Δ Fᵀ + F Δᵀ − F (Bᵀ Δ) Fᵀ,    Δ = (C − G) B,

is exact for every column within the basis and as good as the sample beside it.
"""

from __future__ import annotations

from collections import Counter

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

    Attributes
    ----------
    weights : Counter
        Number of rows in the matrix by the weight that each has there.
    along : ndarray
        Sum of squared weights along each direction of the basis, float64 ``(direction,)``: each
        row that counted there adds one.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._basis = self._dual = np.zeros((channels, 0), np.float32)
        self._lacking = np.zeros((channels, 0), np.float32)  # Δ, what the matrix lacks along it
        self.weights: Counter[float] = Counter()
        self.along = np.zeros(0)
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
        self.weights[1.0] += len(rows)
        self.along += len(rows)
        self._put(rows)

    def _put(self, rows: NDArray[np.float32]) -> None:
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

    def add_thinned(self, rows: NDArray[np.float32], kept: NDArray[np.int64]) -> None:
        """Add ``rows.T @ rows``; beside the basis as if all rows were like those kept.

        Parameters
        ----------
        rows : float32 ``(row, channel)``, C order
        kept : int64 ``(row,)``
            Rows that the matrix takes, with the weight of all.
        """
        weight = len(rows) / len(kept)
        self.weights[weight] += len(kept)
        self.along += len(rows)
        told = rows @ self._basis
        told[kept] *= np.float32(1 - weight)
        self._lacking += rows.T @ told
        self._put(rows[kept] * np.float32(np.sqrt(weight)))

    def turn(self, basis: NDArray[np.float32], dual: NDArray[np.float32]) -> None:
        """Count all rows along this basis from now on, ``dual.T @ basis`` being one.

        Parameters
        ----------
        basis, dual : float32 ``(channel, direction)``
        """
        self._complete()
        self.along = self._along(basis)
        self._basis, self._dual = basis, dual
        self._lacking = np.zeros_like(basis)

    def _complete(self) -> None:
        """Put into the matrix what it lacks along the basis."""
        if self._lacking.any():
            self._take_over(self)
            self._lacking.fill(0)

    def _take_over(self, other: CrossProduct) -> None:
        twice = other._dual @ (other._basis.T @ other._lacking)
        half = np.asarray(other._lacking - 0.5 * twice, np.float32)
        blas.add_twofold(half, other._dual, self._matrix)
        self._empty = False

    def _along(self, basis: NDArray[np.float32]) -> NDArray[np.float64]:
        """What ``along`` would be for another basis; what that holds beside this is sampled."""
        held = (self._dual.T @ basis).astype(np.float64) ** 2
        beside = np.maximum(1 - held.sum(axis=0), 0)
        return np.asarray(self.along @ held + self.squared_weight * beside)

    @property
    def squared_weight(self) -> float:
        """Sum of the squared weights of the rows in the matrix."""
        return sum(rows * weight**2 for weight, rows in self.weights.items())

    def merge(self, other: CrossProduct) -> None:
        """Add the sum of another."""
        if not other._empty:
            self._matrix += other._matrix
            self._empty = False
        if other._lacking.any():
            self._take_over(other)
        if not self._basis.size:
            self.turn(other._basis, other._dual)
        self.along += other._along(self._basis)
        self.weights += other.weights
        self._put(other._rows[: other._waiting])

    def _take_in(self, rows: NDArray[np.float32]) -> None:
        if len(rows):
            blas.add_products(rows, self._matrix)
            self._empty = False

    def times(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """``G @ columns``, float32 ``(channel, column)``."""
        self._complete()
        rows = self._rows[: self._waiting]
        image = np.asarray(rows.T @ (rows @ columns), np.float32)
        return image if self._empty else image + blas.times(self._matrix, columns)

    def diagonal(self) -> NDArray[np.float64]:
        """Sum of each channel's squares, float64 ``(channel,)``."""
        self._complete()
        rows = self._rows[: self._waiting]
        squares = np.einsum("ij,ij->j", rows, rows, dtype=np.float64)
        return np.asarray(squares + np.diagonal(self._matrix))

    def whole(self) -> NDArray[np.float64]:
        """All of ``G``, float64 ``(channel, channel)``."""
        self._complete()
        rows = self._rows[: self._waiting].astype(np.float64)
        below = np.tril(self._matrix, -1)
        return np.asarray(rows.T @ rows + below + below.T + np.diag(np.diagonal(self._matrix)))

    def __getstate__(self) -> dict[str, object]:
        """What is worth keeping: of the rows those that wait."""
        return {**vars(self), "_rows": self._rows[: self._waiting].copy()}
