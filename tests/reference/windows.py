"""Plain twin of ``live_eels.kernels.windows``: the fit evaluated, derivatives by differences."""

from __future__ import annotations

import math

import numpy as np

from reference.background import fit_poisson


def net_counts(spectrum, signal, fit, t_fit, t_signal):
    """Net counts and their standard deviation."""
    fit_counts = spectrum[fit].astype(float)
    gross = spectrum[signal].astype(float).sum()
    slope, _ = fit_poisson(fit_counts, t_fit)
    if math.isnan(slope):
        return math.nan, math.nan

    def under(r):
        return fit_counts.sum() * np.exp(-r * t_signal).sum() / np.exp(-r * t_fit).sum()

    weight = np.exp(-slope * t_fit) / np.exp(-slope * t_fit).sum()
    spread = (weight * t_fit**2).sum() - (weight * t_fit).sum() ** 2
    slope_variance = 1 / (fit_counts.sum() * spread)
    derivative = (under(slope + 1e-4) - under(slope - 1e-4)) / 2e-4
    variance = max(gross, 1.0) + under(slope) ** 2 / fit_counts.sum()
    variance += derivative**2 * slope_variance
    return gross - under(slope), math.sqrt(variance)


def elastic_counts(low, zero, width, reach):
    if not width > 0:
        return math.nan, math.nan, math.nan
    low = np.asarray(low, float)
    first = min(zero + max(int(1.5 * width), 2), len(low) - 1)
    last = min(max(zero + int(reach), first + 2), len(low) - 1)
    half = max(int(0.25 * width), 1)
    boxes = [low[max(i - half, 0) : i + half + 1].sum() for i in range(first, last)]
    cut = first + int(np.argmin(boxes)) if boxes else first
    begin = max(2 * zero - cut, 0)
    return low[begin:cut].sum() + 2 * low[:begin].sum(), low.sum(), cut - zero
