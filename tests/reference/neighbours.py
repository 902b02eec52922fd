"""Plain twin of ``live_eels.kernels.neighbours``."""

from __future__ import annotations

import numpy as np

from reference.background import fit_poisson


def local_slope(spectra, shape, pixel, radius, t):
    """Poisson slope of all fit-window spectra within ``radius`` of a pixel."""
    y, x = np.unravel_index(pixel, shape)
    rows, columns = np.indices(shape)
    near = ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).ravel()
    return fit_poisson(spectra[near].sum(axis=0), t)[0]


def running_median(values, span):
    """Median over the ``span`` pixels around each pixel, for one column without nan."""
    n = len(values)
    span = min(span, n)
    out = np.empty(n)
    for i in range(n):
        start = int(np.clip(i - (span - 1) // 2, 0, n - span))
        out[i] = np.median(values[start : start + span])
    return out
