"""Limits that noise reaches as rarely as they say."""

import numpy as np
import pytest
from scipy.stats import norm, poisson

from live_eels.kernels import rarity
from reference import rarity as plain

RARE = rarity.threshold(4.78)


@pytest.mark.parametrize("mean", [0.01, 0.3, 1.0, 3.0, 47.0, 600.0, 1020.0, 1500.0])
def test_the_limit_is_as_rare_as_it_says(mean):
    """The tail of Poisson's distribution from there on, and not from one count before."""
    chance = norm.sf(4.78)
    found = rarity.limit(mean, mean, RARE)
    slack = 0.05 if mean < 1000 else 1.0  # a series takes over from the table
    assert poisson.sf(np.ceil(found + slack) - 1, mean) <= chance
    assert poisson.sf(np.floor(found - slack) - 1, mean) > chance
    assert found == pytest.approx(plain.limit(mean, mean, 4.78), rel=2e-3, abs=0.02)
    doubled = rarity.limit(mean, 2 * mean, RARE)
    assert doubled == pytest.approx(2 * rarity.limit(mean / 2, mean / 2, RARE), rel=1e-6)
