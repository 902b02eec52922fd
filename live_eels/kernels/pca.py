"""Loops of streaming PCA: scale rows before they are learned, project rows onto factors.

Both work row by row in a fixed order of summation, so that a row's result does not
depend on which other rows came with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import jit


@jit
def row_totals(x: NDArray[np.float32], out: NDArray[np.float64]) -> None:
    """Sum each row; nan where any channel is not finite.

    Parameters
    ----------
    x : float32 ``(pixel, channel)``, counts
    out : float64 ``(pixel,)``, counts
    """
    for i in range(x.shape[0]):
        total = np.float32(0.0)
        for j in range(x.shape[1]):
            total += x[i, j]
        # not isfinite: re-association may fold what it tests for
        out[i] = total if abs(total) < np.float32(3e38) else np.nan


@jit
def scale_rows(
    x: NDArray[np.float32],
    scale: NDArray[np.float32],
    column_total: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Multiply row ``i`` by ``scale[i]`` into ``out``; add it as it is to the totals.

    Parameters
    ----------
    x : float32 ``(pixel, channel)``, counts
    scale : float32 ``(pixel,)``
    column_total : float64 ``(channel,)``, counts; added to
    out : float32 ``(pixel, channel)``
    """
    for i in range(x.shape[0]):
        s = scale[i]
        for j in range(x.shape[1]):
            value = x[i, j]
            out[i, j] = s * value
            column_total[j] += value


@jit
def project(
    x: NDArray[np.float32], projection: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Scalar product of each row with each row of ``projection``.

    Parameters
    ----------
    x : float32 ``(pixel, channel)``, counts
    projection : float32 ``(component, channel)``
    out : float32 ``(pixel, component)``
    """
    fours = projection.shape[0] // 4 * 4
    for i in range(x.shape[0]):
        for k in range(0, fours, 4):  # each channel of the spectrum is loaded once for four
            a = np.float32(0.0)
            b = np.float32(0.0)
            c = np.float32(0.0)
            d = np.float32(0.0)
            for j in range(x.shape[1]):
                value = x[i, j]
                a += value * projection[k, j]
                b += value * projection[k + 1, j]
                c += value * projection[k + 2, j]
                d += value * projection[k + 3, j]
            out[i, k] = a
            out[i, k + 1] = b
            out[i, k + 2] = c
            out[i, k + 3] = d
        for k in range(fours, projection.shape[0]):
            total = np.float32(0.0)
            for j in range(x.shape[1]):
                total += x[i, j] * projection[k, j]
            out[i, k] = total


@jit
def rebuild(
    loadings: NDArray[np.float32],
    factors: NDArray[np.float32],
    x: NDArray[np.float32],
    share: NDArray[np.float32],
    out: NDArray[np.float32],
    noise: NDArray[np.float32],
    left: NDArray[np.float32],
) -> None:
    """Spectra from their components, and what these leave of the measured ones.

    Parameters
    ----------
    loadings : float32 ``(pixel, component)``
    factors : float32 ``(component, channel)``
    x : float32 ``(pixel, channel)``, counts
    share : float32 ``(channel,)``, the part of all counts that a channel gets
    out : float32 ``(pixel, channel)``, counts
    noise : float32 ``(pixel,)``
        Standard deviation of ``x - out`` over the channels, counts.
    left : float32 ``(pixel,)``
        Squares of ``x - out`` in units of counting noise, sum over channels; nan without counts.
    """
    channels = x.shape[1]
    for i in range(x.shape[0]):
        row = out[i]
        row[:] = np.float32(0.0)
        for k in range(loadings.shape[1]):
            a = loadings[i, k]
            factor = factors[k]
            for j in range(channels):
                row[j] += a * factor[j]
        total = np.float32(0.0)
        rest = np.float32(0.0)
        squares = np.float32(0.0)
        weighted = np.float32(0.0)
        measured = x[i]
        for j in range(channels):
            off = measured[j] - row[j]
            total += measured[j]
            rest += off
            squares += off * off
            weighted += off * off / share[j]
        mean = rest / channels
        noise[i] = np.sqrt(max(squares / channels - mean * mean, 0.0))
        left[i] = weighted / total if total > 0 else np.nan


@jit
def column_sums(
    rows: NDArray[np.float32], sums: NDArray[np.float64], squares: NDArray[np.float64]
) -> None:
    """Sum, and sum of squares, of each channel of ``rows (pixel, channel)``; overwrites both."""
    sums[:] = 0.0
    squares[:] = 0.0
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            sums[j] += rows[i, j]
            squares[j] += rows[i, j] * rows[i, j]


def in_common(
    rows: NDArray[np.float32],
    weight: NDArray[np.float32],
    directions: NDArray[np.float32],
    projection: NDArray[np.float32],
) -> float:
    """How much of what some directions leave of weighted spectra all of these share.

    1 where the rest is noise, as many as there are rows where it is the same in each.

    Parameters
    ----------
    rows : float32 ``(pixel, channel)``
    weight : float32 ``(channel,)``
        Spectra are ``rows * weight``.
    directions : float32 ``(channel, component)``
        Orthonormal.
    projection : float32 ``(component, channel)``
        Components of a spectrum are ``row @ projection.T``.
    """
    sums, squares = np.empty(len(weight)), np.empty(len(weight))
    column_sums(rows, sums, squares)
    explained = np.sum((rows @ projection.T).astype(np.float64) ** 2)
    left = float(squares @ weight.astype(np.float64) ** 2 - explained)
    together = sums * weight
    together -= directions @ (directions.T @ together)
    return float(together @ together / max(left, 1e-30))
