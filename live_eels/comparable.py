"""Loadings made comparable: one phase is one cluster, whether thick or thin there.

Lives here: what a pixel's loadings are divided by before pixels are compared, and how large
the counting noise of the result is. Knows loadings and the factors behind them.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

FAINT = 0.1
"""A pixel is faint when its counts leave its composition uncertain by this much. Faint pixels
are not blown up to the size of bright ones; dark ones gather near zero."""

BINS = 256
"""Channels are averaged to at most so many where a spectrum's maximum or slope is wanted."""

Values = NDArray[np.float32]
Normalise = Literal["area", "max", "l2", "derivative", "scores"]


class Comparison:
    """How loadings of the present basis are compared.

    Parameters
    ----------
    kind
        See `live_eels.cluster.ClusterSettings.normalise`.
    """

    def __init__(self, kind: Normalise) -> None:
        self.kind = kind
        self.components: int | None = None
        self._factors: Values | None = None
        self._area = np.zeros(0, np.float32)  # of each factor
        self._shape = np.zeros(0, np.float32)  # the mean spectrum, with area 1
        self._noise = (1.0, 0.0)

    def follow(self, factors: Values | None, components: int | None) -> bool:
        """Compare in a new basis; tell whether the number of components changed."""
        more = components is not None and components != self.components
        if factors is not None:
            self._factors = np.array(factors, np.float32)
            self._area = self._factors.sum(axis=1)
            mean = np.abs(self._factors[0])
            self._shape = mean / max(float(mean.sum()), 1e-30)
        if components is not None:
            self.components = components
        return more

    def adopt(self, other: Comparison) -> None:
        """Take over another's basis where there is none yet."""
        if self._factors is None:
            self.follow(other._factors, other.components)

    def features(self, loadings: Values) -> tuple[Values, Values]:
        """Loadings as they are compared, and their noise.

        Returns
        -------
        values, variance : float32 ``(pixel, feature)``, ``(pixel,)``
            The variance is that of the counting noise of one feature; nan where there are no
            counts.
        """
        n = self.components or loadings.shape[1]
        used = loadings[:, :n]
        if self._factors is None:
            return np.ascontiguousarray(used), np.ones(len(used), np.float32)
        area = loadings @ self._area
        size = self._size(used, area)
        per_count, fixed = np.float32(self._noise[0]), np.float32(self._noise[1])
        values = used / size[:, None]
        variance = (per_count * np.maximum(area, np.float32(1.0)) + fixed) / size**2
        if self.kind == "derivative":
            values, variance = self._slopes(values, variance)
        return np.ascontiguousarray(values, np.float32), np.asarray(variance, np.float32)

    def _size(self, used: Values, area: Values) -> Values:
        """What each pixel is divided by, never so small that noise is blown up."""
        per_count, fixed = self._noise
        faint = (per_count + np.sqrt(per_count**2 + 4 * FAINT**2 * fixed)) / (2 * FAINT**2)
        if self.kind == "scores" or self._factors is None:
            return np.ones_like(area)
        factors = self._factors[: used.shape[1]]
        if self.kind == "l2":
            norm = np.einsum("ij,ij->i", used @ (factors @ factors.T), used)
            return np.asarray(np.sqrt(norm) + faint * np.sqrt(np.sum(self._shape**2)), np.float32)
        if self.kind == "max":
            top = (used @ _binned(factors)).max(axis=1, initial=0.0)
            return np.asarray(top + faint * self._shape.max(), np.float32)
        return np.asarray(np.maximum(area, 0.0) + np.float32(faint), np.float32)

    def _slopes(self, values: Values, variance: Values) -> tuple[Values, Values]:
        """Distances of loadings become distances of the spectra's first derivatives."""
        assert self._factors is not None
        n = values.shape[1]
        slopes = np.diff(_binned(self._factors[:n]).astype(np.float64), axis=1)
        square = slopes @ slopes.T
        metric = np.linalg.cholesky(square + 1e-9 * np.trace(square) * np.eye(n))
        return np.asarray(values @ metric, np.float32), variance * (np.trace(square) / n)

    def measure_noise(self, rows: Values) -> None:
        """Noise of a loading as variance per count and a fixed part (readout).

        The spare loadings hold nothing but noise, so their mean square, fitted against the
        pixels' counts, tells both parts.
        """
        n = self.components or rows.shape[1]
        if self._factors is None or len(rows) < 8 or rows.shape[1] - n < 2:
            return
        spare = rows[:, n + (rows.shape[1] - n) // 2 :].astype(np.float64)
        area = np.maximum(rows @ self._area, 0.0).astype(np.float64)
        square = np.mean(spare**2, axis=1)
        if not square.any():
            return
        self._noise = noise_of(area, square)


def noise_of(area: NDArray[np.float64], square: NDArray[np.float64]) -> tuple[float, float]:
    """Variance per count, and the fixed part, from mean squares of noise: ``(pixel,)`` each.

    A line is fitted, each time to within what the one before says, for as long as that makes
    the squares likelier: where some are far above the line, it may else go round in circles.
    """
    noise, best, level = (1.0, 0.0), np.inf, area + area.mean()
    for _ in range(5):
        fitted = _line(area, square, level)
        level = fitted[0] * area + fitted[1]
        level = np.maximum(level, 0.01 * level.mean())
        misfit = float(np.mean(square / level + np.log(level)))
        if misfit > best:
            break
        noise, best = fitted, misfit
    return noise


def _line(
    x: NDArray[np.float64], y: NDArray[np.float64], level: NDArray[np.float64]
) -> tuple[float, float]:
    """Slope and offset, neither negative, of the line that fits ``y`` to within ``level``."""
    columns = np.stack([x / level, 1.0 / level], axis=1)
    (slope, offset), _ = nnls(columns, y / level)
    return float(slope), float(offset)


def _binned(factors: Values) -> Values:
    """Average neighbouring channels so that at most `BINS` remain, ``(component, bin)``."""
    width = -(-factors.shape[1] // BINS)
    whole = factors[:, : factors.shape[1] // width * width]
    return np.asarray(whole.reshape(len(factors), -1, width).mean(axis=2), np.float32)
