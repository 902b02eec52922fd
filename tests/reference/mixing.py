"""Independent of ``live_eels.kernels.mixing``: bounded least squares on weighted rows."""

from __future__ import annotations

import numpy as np
from scipy.optimize import lsq_linear


def mix_row(y, parts, fit_parts):
    """Coefficients, covariance of all of them, fit and reduced chi-square.

    The last two ``parts`` are the background and its change with the slope; ``fit_parts (2,
    fit channel)`` are the same in the fit window, where the background is the expectation.
    """
    y, parts = np.asarray(y, float), np.asarray(parts, float)
    k = len(parts)
    sums = np.concatenate([[0.0], np.cumsum(y)])
    at = np.arange(len(y))
    first, last = np.maximum(at - 4, 0), np.minimum(at + 5, len(y))
    expected = (sums[last] - sums[first]) / (last - first)
    # the fit window as further rows, in which nothing but the background is
    before = np.zeros((fit_parts.shape[1], k))
    before[:, k - 2 :] = (fit_parts / np.sqrt(fit_parts[0])).T
    lower = np.array([0.0] * (k - 1) + [-np.inf])
    for _ in range(3):
        weight = 1 / np.sqrt(np.maximum(expected, 0.3))
        rows = np.vstack([(parts * weight).T, before])
        wanted = np.concatenate([y * weight, np.sqrt(fit_parts[0])])
        scale = np.linalg.norm(rows, axis=0)
        found = lsq_linear(rows / scale, wanted, (lower, np.inf), method="bvls", tol=1e-14)
        coefficients = found.x / scale
        covariance = np.linalg.inv(rows.T @ rows)
        expected = coefficients @ parts
    chi = ((y - expected) ** 2 / np.maximum(expected, 0.3)).sum() / (len(y) - k)
    return coefficients, covariance, expected, chi
