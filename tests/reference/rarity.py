"""Plain twin of ``live_eels.kernels.rarity``."""

from __future__ import annotations

import math

from scipy.stats import norm, poisson


def limit(mean, variance, sigmas):
    """Exact at whole numbers: the least count as rare as ``sigmas`` lies within it."""
    fano = max(variance / mean, 1.0)
    at = mean / fano
    if at > 900:
        return fano * (at + sigmas * math.sqrt(at) + (sigmas**2 - 1) / 6)
    return fano * between_whole_counts(at, norm.sf(sigmas))


def between_whole_counts(mean, chance):
    """Where P(n >= k), joined between whole k as the gamma function joins it, is ``chance``."""
    from scipy.optimize import brentq
    from scipy.special import gammainc

    found = brentq(lambda k: gammainc(k, mean) - chance, 1e-6, mean + 30 * math.sqrt(mean) + 60)
    assert poisson.sf(math.ceil(found) - 1, mean) <= chance * (1 + 1e-9)
    return found
