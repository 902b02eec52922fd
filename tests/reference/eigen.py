"""Plain twin of live_eels/kernels/eigen.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def leading(
    gram: NDArray[np.float32], weight: NDArray[np.float64], width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    whole = np.tril(gram) + np.tril(gram, -1).T
    values, vectors = np.linalg.eigh(np.diag(weight) @ whole @ np.diag(weight))
    return values[::-1][:width], vectors[:, ::-1][:, :width]
