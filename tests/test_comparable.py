"""The noise of a loading, told by what lies beside the components."""

from __future__ import annotations

import numpy as np
import pytest

from live_eels.comparable import noise_of


def squares(area, per_count, fixed, seed):
    """Mean squares of six loadings that hold nothing but noise."""
    draws = np.random.default_rng(seed).chisquare(6, len(area)) / 6
    return (per_count * area + fixed) * draws


@pytest.mark.parametrize(("per_count", "fixed"), [(2.0, 0.0), (2.0, 500.0), (0.0, 3000.0)])
def test_both_parts_of_the_noise_are_told_apart(per_count, fixed):
    area = np.random.default_rng(0).uniform(0, 1000, 4000)
    found = noise_of(area, squares(area, per_count, fixed, 1))
    assert found[0] == pytest.approx(per_count, rel=0.1, abs=0.15)
    assert found[1] == pytest.approx(fixed, rel=0.1, abs=5.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_few_pixels_of_something_else_do_not_take_the_fixed_part_away(seed):
    """As in dark spectra with a drift: then the fit ended at 0 for no more reason than where."""
    area = np.random.default_rng(seed).uniform(-30, 1000, 2000).clip(0)
    square = squares(area, 0.0, 3000.0, seed + 10)
    square[np.flatnonzero(area > 900)[:15]] = 1e6
    assert 2000 < noise_of(area, square)[1] < 6000
