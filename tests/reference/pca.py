"""Plain twins of live_eels/kernels/pca.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def row_totals(x: NDArray[np.float32]) -> NDArray[np.float64]:
    total = x.astype(np.float64).sum(axis=1)
    return np.where(np.isfinite(x).all(axis=1), total, np.nan)


def scale_rows(
    x: NDArray[np.float32],
    scale: NDArray[np.float32],
    column_total: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    wide = x.astype(np.float64)
    return wide * scale[:, None], column_total + wide.sum(axis=0)


def project(x: NDArray[np.float32], projection: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(x.astype(np.float64) @ projection.T.astype(np.float64))


def rebuild(
    loadings: NDArray[np.float32],
    factors: NDArray[np.float32],
    x: NDArray[np.float32],
    share: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    wide = x.astype(np.float64)
    model = loadings.astype(np.float64) @ factors.astype(np.float64)
    total = wide.sum(axis=1)
    squares = ((wide - model) ** 2 / share.astype(np.float64)).sum(axis=1)
    left = np.where(total > 0, squares / np.where(total > 0, total, 1.0), np.nan)
    return model, (wide - model).std(axis=1), left


def in_common(spectra: NDArray[np.float64], directions: NDArray[np.float64]) -> float:
    left = spectra - spectra @ directions @ directions.T
    return float(np.sum(left.sum(axis=0) ** 2) / np.sum(left**2))
