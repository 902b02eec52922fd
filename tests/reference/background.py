"""Independent of ``live_eels.kernels.background``: the Poisson score equation, solved directly."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq


def fit_poisson(counts, t):
    """Slope and log amplitude that maximise the Poisson likelihood of ``A exp(-r t)``."""
    counts, t = np.asarray(counts, float), np.asarray(t, float)
    if counts.sum() <= 0:
        return math.nan, math.nan
    wanted = (counts * t).sum() / counts.sum()

    def score(r):
        weight = np.exp(-r * t)
        return (weight * t).sum() / weight.sum() - wanted

    limit = 12.0 / (t[-1] - t[0])
    if score(-limit) <= 0:
        slope = -limit
    elif score(limit) >= 0:
        slope = limit
    else:
        slope = brentq(score, -limit, limit, xtol=1e-10)
    return slope, math.log(counts.sum() / np.exp(-slope * t).sum())


def fit_log_log(counts, t):
    good = np.asarray(counts) > 0
    slope, intercept = np.polyfit(np.asarray(t, float)[good], np.log(np.asarray(counts)[good]), 1)
    return -slope, intercept


def curve(slope, log_amplitude, t):
    return np.exp(log_amplitude - slope * np.asarray(t, float))


def chi_square(counts, t, slope, log_amplitude):
    expected = curve(slope, log_amplitude, t)
    return ((counts - expected) ** 2 / expected).sum() / (len(t) - 2)
