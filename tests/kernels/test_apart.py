"""How far groups stand apart, against twins that sort."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from live_eels.kernels import apart
from reference import apart as plain


@example([(1, 1), (2, 1)], 8)
@settings(deadline=None)  # the first call compiles
@given(
    st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 4)), min_size=1, max_size=60),
    st.integers(1, 15),
)
def test_quantile(rows, sixteenths):
    """Whole weights and shares of sixteenths: sums in any order are the same."""
    values, weight = np.array(rows, float).T.copy()
    want = plain.quantile(values, weight, sixteenths / 16)
    assert apart.quantile(values.copy(), weight.copy(), sixteenths / 16) == want


def test_quantile_of_many_and_of_none():
    rng = np.random.default_rng(0)
    values, weight = rng.normal(size=(2, 5001))
    weight = np.exp(weight)
    for share in (0.01, 0.1, 0.5, 0.9, 1.0):
        got = apart.quantile(values.copy(), weight.copy(), share)
        assert got == plain.quantile(values, weight, share)
    assert np.isnan(apart.quantile(np.zeros(0), np.zeros(0), 0.5))


def groups(seed):
    rng = np.random.default_rng(seed)
    number = rng.integers(0, 4, 400).astype(np.int16)
    values = (number[:, None] * [1.0, 0.5, -0.3] + rng.normal(size=(400, 3)) * 0.2).astype("f4")
    return values, rng.uniform(0.01, 0.09, 400).astype("f4"), number


@pytest.mark.parametrize("seed", range(4))
def test_separations(seed):
    values, variance, number = groups(seed)
    got = apart.separations(values, variance, number, np.arange(4, dtype=np.int16))
    for a in range(4):
        for b in range(4):
            want = 0.0 if b >= a else plain.separation(values, variance, number == b, number == a)
            assert got[a, b] == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_length(seed):
    values, variance, number = groups(seed)
    mine = number < 2
    want = plain.length(values, variance, mine)
    assert apart.length(values, variance, mine) == pytest.approx(want, rel=1e-4)
