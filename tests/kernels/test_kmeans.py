"""Loops of k-means against their plain twins."""

import numpy as np
import pytest

from live_eels.kernels import kmeans
from reference import kmeans as plain


@pytest.fixture
def world():
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(5, 3)).astype(np.float32)
    centres[3] = np.nan
    features = (centres[rng.integers(0, 3, 400)] + 0.3 * rng.normal(size=(400, 3))).astype("f4")
    variance = rng.uniform(0.01, 0.2, 400).astype(np.float32)
    spread = np.array([0.0, 0.02, 0.5, 0.1, 0.1], np.float32)
    return features, variance, centres, spread


def found(features, variance, centres, spread):
    label = np.empty(len(features), np.int16)
    distance, misfit = np.empty(len(features), np.float32), np.empty(len(features), np.float32)
    kmeans.nearest(features, variance, centres, spread, label, distance, misfit)
    return label, distance, misfit


def test_nearest(world):
    want = plain.nearest(*world)
    label, distance, misfit = found(*world)
    assert np.mean(label == want[0]) > 0.995  # float32 may tip a tie
    same = label == want[0]
    np.testing.assert_allclose(distance[same], want[1][same], rtol=1e-4)
    np.testing.assert_allclose(misfit[same], want[2][same], rtol=1e-4, atol=1e-4)


def test_nearest_never_takes_a_number_that_is_not_in_use(world):
    assert not (found(*world)[0] == 3).any()


def test_nearest_says_unknown_where_a_row_is_not_finite(world):
    features, variance, centres, spread = world
    features[3, 1] = np.nan
    variance[5] = np.nan
    label, distance, misfit = found(features, variance, centres, spread)
    unknown = np.flatnonzero(label == kmeans.UNKNOWN)
    assert unknown.tolist() == [3, 5]
    assert np.isnan(distance[unknown]).all()
    assert np.isnan(misfit[unknown]).all()


def test_nearest_with_equal_spreads_is_the_nearest_centre(world):
    features, variance, centres, _ = world
    label, _, _ = found(features, variance, centres, np.zeros(5, np.float32))
    d = np.linalg.norm(features[:, None] - centres, axis=2)
    np.testing.assert_array_equal(label, np.nanargmin(d, axis=1))


def test_mixtures(world):
    features, variance, centres, spread = world
    share = np.random.default_rng(7).uniform(0, 1, (200, 1)).astype(np.float32)
    features[:200] = share * centres[0] + (1 - share) * centres[4]
    variance[:] = 0.001
    spread[:] = [0.0, 0.002, 0.005, 0.1, 0.01]
    label, distance, _ = found(features, variance, centres, spread)
    want = plain.mixtures(features, variance, centres, spread, 4.0, label, distance)
    mixed = np.empty(400, np.bool_)
    kmeans.mixtures(features, variance, centres, spread, 4.0, label, distance, mixed)
    assert 100 < mixed.sum() < 400
    assert np.mean(mixed == want[2]) > 0.995
    assert np.mean(label == want[0]) > 0.99
    np.testing.assert_allclose(distance, want[1], rtol=1e-3, atol=1e-3)


def test_hold(world):
    features, _, centres, _ = world
    rng = np.random.default_rng(8)
    share = rng.uniform(0.3, 0.7, (200, 1)).astype(np.float32)
    features[:200] = share * centres[0] + (1 - share) * centres[4]
    label, distance, _ = found(*world)
    mixed = np.empty(400, np.bool_)
    kmeans.mixtures(*world, 4.0, label, distance, mixed)
    before = rng.integers(-2, 6, 400).astype(np.int16)
    before[:200] = rng.choice([0, 4], 200)
    since = rng.integers(0, 3, 400).astype(np.int32)
    born = np.array([0, 1, 2, 0, 1], np.int32)
    rest = (before, label, mixed, since, born, 1.0, 0.1)
    want = plain.hold(*world, *rest)
    got, gain = label.copy(), np.full(400, np.nan, np.float32)
    kmeans.hold(*world, before, got, *rest[2:], gain)
    want, far = want
    assert 20 < np.sum(want != label) < 200
    assert np.mean(got == want) > 0.995
    assert np.mean(np.isclose(gain, far, rtol=1e-3, atol=1e-3)) > 0.99
    assert min(np.sum(far == 0), np.sum(np.isinf(far)), np.sum(np.isfinite(far) & (far > 0))) > 20
    assert not (got == 3).any()  # a number that is not in use any more


def test_costs_are_least_for_the_likeliest_cluster(world):
    features, variance, centres, spread = world
    features[3, 1] = np.nan
    got = kmeans.costs(features, variance, centres, spread)
    np.testing.assert_allclose(got, plain.costs(features, variance, centres, spread), rtol=1e-4)
    assert np.isnan(got[:, 3]).all()
    assert np.isnan(got[3]).all()
    label, _, misfit = found(features, variance, centres, spread)
    known = label >= 0
    np.testing.assert_array_equal(np.nanargmin(got[known], axis=1), label[known])
    least = 2 * np.nanmin(got[known], axis=1)
    np.testing.assert_allclose(least, misfit[known], rtol=1e-4, atol=1e-4)


def test_gather_and_scatter(world):
    features, variance, centres, spread = world
    label = np.random.default_rng(5).integers(-2, 5, len(features)).astype(np.int16)
    sums, mass = np.zeros(centres.shape), np.zeros(5)
    kmeans.gather(features, variance, spread, label, sums, mass)
    want_sums, want_mass = plain.gather(features, variance, spread, label)
    np.testing.assert_allclose(sums, want_sums, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(mass, want_mass, rtol=1e-5)
    excess, weight = np.zeros(5), np.zeros(5)
    kmeans.scatter(features, variance, centres, spread, label, excess, weight)
    want_excess, want_weight = plain.scatter(features, variance, centres, spread, label)
    np.testing.assert_allclose(excess, want_excess, rtol=1e-4)
    np.testing.assert_allclose(weight, want_weight, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (8, 7)])
@pytest.mark.parametrize("coupling", [0.0, 0.7, 100.0])
def test_agree(shape, coupling):
    rng = np.random.default_rng(6)
    pixels = shape[0] * shape[1]
    cost = rng.exponential(size=(pixels, 4)).astype(np.float32)
    label = rng.integers(-2, 4, pixels).astype(np.int16)
    out = np.empty_like(label)
    kmeans.agree(cost, label, *shape, coupling, out)
    np.testing.assert_array_equal(out, plain.agree(cost, label, *shape, coupling))
