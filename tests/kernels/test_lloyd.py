"""Whole-array steps of k-means against their plain twins, and what each is for."""

import numpy as np
import pytest

from live_eels.kernels import lloyd
from reference import lloyd as plain


def blobs(centres, per_cluster, noise=0.1, seed=0, spread=0.0):
    rng = np.random.default_rng(seed)
    centres = np.asarray(centres, float)
    truth = np.repeat(np.arange(len(centres)), per_cluster)
    variance = np.full(len(truth), noise**2, np.float32)
    step = rng.normal(size=(len(truth), centres.shape[1])) * np.hypot(noise, spread)
    return (centres[truth] + step).astype(np.float32), variance, truth.astype(np.int16)


CORNERS = [[0, 0, 0], [1, 0, 0], [0, 1, 1]]


def test_moments():
    values, variance, truth = blobs(CORNERS, 200, spread=0.2)
    variance *= np.random.default_rng(1).uniform(0.5, 2, len(variance)).astype(np.float32)
    got = lloyd.moments(values, variance, truth, 3)
    for mine, want in zip(got, plain.moments(values, variance, truth, 3), strict=True):
        np.testing.assert_allclose(mine, want, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(got.spread, 0.04, rtol=0.25)


def test_moments_of_a_number_without_pixels_are_nan():
    values, variance, truth = blobs(CORNERS, 20)
    got = lloyd.moments(values, variance, np.where(truth == 1, 0, truth).astype(np.int16), 3)
    assert np.isnan(got.centres[1]).all()
    assert got.mass[1] == 0


def test_settle():
    values, variance, truth = blobs(CORNERS, 150, noise=0.25)
    zero = np.zeros(3, np.float32)
    start = lloyd.Clusters(values[[0, 150, 300]], zero, zero.astype(float))
    label, misfit = lloyd.settle(values, variance, start)
    want = plain.settle(values, variance, start.centres)
    assert np.mean(label == want) > 0.99
    assert np.mean(label == truth) > 0.95
    worse, more = lloyd.settle(values, variance, start, sweeps=1)
    assert np.mean(worse == truth) <= np.mean(label == truth)
    assert np.isfinite([misfit, more]).all()


def test_far_apart_finds_each_of_well_separated_clusters():
    values, variance, truth = blobs(CORNERS, [1000, 30, 30], noise=0.01)
    for seed in range(10):
        start = lloyd.far_apart(values, variance, 3, np.random.default_rng(seed))
        label, _ = lloyd.settle(values, variance, start, sweeps=1)
        assert [len(np.unique(label[truth == k])) for k in range(3)] == [1, 1, 1]


def test_far_apart_of_equal_rows():
    values = np.ones((5, 2), np.float32)
    start = lloyd.far_apart(values, np.ones(5, np.float32), 3, np.random.default_rng(0))
    assert (start.centres == 1).all()


def test_halves_part_two_clusters_and_respect_the_least_size():
    values, variance, truth = blobs(CORNERS[:2], [300, 20])
    everyone = np.ones(len(truth), bool)
    first, second = lloyd.halves(values, variance, everyone, 12)
    assert sorted([np.mean(truth[first]), np.mean(truth[second])]) == [0.0, 1.0]
    assert not (first & second).any()
    assert lloyd.halves(values, variance, everyone, 30) is None
    assert lloyd.halves(values[:5], variance[:5], everyone[:5], 3) is None


def test_separation_of_one_cluster_cut_in_two_is_small():
    rng = np.random.default_rng(2)
    variance = np.full(20_000, 1e-6, np.float32)
    for draw, want in ((rng.normal, 2.28), (rng.uniform, 2.70)):
        values = draw(size=(20_000, 1)).astype(np.float32)
        right = values[:, 0] > np.mean(values)
        assert lloyd.separation(values, variance, ~right, right) == pytest.approx(want, rel=0.02)


def test_separation_of_two_clusters():
    values, variance, truth = blobs(CORNERS[:2], 5000, noise=0.1)
    assert lloyd.separation(values, variance, truth == 0, truth == 1) == pytest.approx(10, rel=0.03)
    same = truth == 0
    assert lloyd.separation(values, variance, same, same) == 0


def test_closest_pair():
    values, variance, truth = blobs([[0, 0], [0.2, 0], [3, 0]], [100, 200, 100])
    assert lloyd.closest_pair(values, variance, truth, 4.0) == (1, 0)
    assert lloyd.closest_pair(values, variance, truth, 0.5) is None


def test_free_number():
    assert lloyd.free_number(np.array([-1, 0, 2, 3], np.int16)) == 1
    assert lloyd.free_number(np.array([], np.int16)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_matched_keeps_as_many_numbers_as_can_be_kept(seed):
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 4, 60).astype(np.int16)
    fresh = np.where(rng.random(60) < 0.7, (before + 1) % 4, rng.integers(-1, 5, 60))
    fresh = fresh.astype(np.int16)
    got, want = lloyd.matched(fresh, before), plain.matched(fresh, before)
    assert (got == before).sum() == (want == before).sum()
    assert (got[fresh < 0] == fresh[fresh < 0]).all()


def test_matched_of_nothing():
    nothing = np.zeros(0, np.int16)
    assert lloyd.matched(nothing, nothing).size == 0


@pytest.mark.parametrize("side", [1, -1])
def test_the_cluster_that_gains_most_is_halved_whichever_comes_first(side):
    rng = np.random.default_rng(4)
    truth = np.repeat([0, 1, 2], 200)
    middles = np.array([[0.0, 0.0], [40.0, 0.0], [40.0, 12.0]])
    values = (side * (middles[truth] + rng.normal(size=(600, 2)))).astype(np.float32)
    variance = np.full(600, 0.5, np.float32)
    found = lloyd.one_by_one(values, variance, 3).centres
    nearest = np.argmin(((found[:, None] - side * middles) ** 2).sum(axis=2), axis=1)
    assert sorted(nearest.tolist()) == [0, 1, 2]
    np.testing.assert_allclose(found, side * middles[nearest], atol=0.3)


def test_nobody_cannot_be_halved():
    values = np.zeros((5, 2), np.float32)
    nobody = np.zeros(5, bool)
    assert lloyd.halves(values, np.ones(5, np.float32), nobody, 1) is None
