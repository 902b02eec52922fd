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
    label, pure, misfit = lloyd.settle(values, variance, start)
    want = plain.settle(values, variance, start.centres)
    assert np.mean(label == want) > 0.99
    assert np.mean(label == truth) > 0.95
    assert pure.mean() > 0.95
    worse, _, more = lloyd.settle(values, variance, start, sweeps=1)
    assert np.mean(worse == truth) <= np.mean(label == truth)
    assert np.isfinite([misfit, more]).all()


def test_far_apart_finds_each_of_well_separated_clusters():
    values, variance, truth = blobs(CORNERS, [1000, 30, 30], noise=0.01)
    for seed in range(10):
        start = lloyd.far_apart(values, variance, 3, np.random.default_rng(seed))
        label = lloyd.settle(values, variance, start, sweeps=1).label
        assert [len(np.unique(label[truth == k])) for k in range(3)] == [1, 1, 1]


def test_far_apart_of_equal_rows():
    values = np.ones((5, 2), np.float32)
    start = lloyd.far_apart(values, np.ones(5, np.float32), 3, np.random.default_rng(0))
    assert (start.centres == 1).all()


def test_mixtures_go_with_what_they_have_most_of_and_move_no_centre():
    values, variance, truth = blobs([[0, 0], [1, 0], [0.5, 0.35]], [200, 200, 200], noise=0.02)
    share = np.random.default_rng(3).uniform(0.15, 0.85, 60)
    between = np.stack([share, 0.01 * np.ones_like(share)], axis=1).astype(np.float32)
    values, variance = np.concatenate([values, between]), np.append(variance, variance[:60])
    start = lloyd.moments(values[:600], variance[:600], truth, 3)
    label, pure, _ = lloyd.settle(values, variance, start)
    clear = np.abs(share - 0.5) > 0.05
    assert np.array_equal(label[600:][clear], (share[clear] > 0.5).astype(int))
    assert not pure[600:].any()
    assert pure[:600].mean() > 0.95
    after = lloyd.moments(values, variance, np.where(pure, label, -1).astype(np.int16), 3)
    np.testing.assert_allclose(after.centres, start.centres, atol=0.002)


def test_halves_part_two_clusters_and_respect_the_least_size():
    values, variance, truth = blobs(CORNERS[:2], [300, 20])
    everyone = np.ones(len(truth), bool)
    first, second = next(lloyd.halves(values, variance, everyone, 12))
    assert sorted([np.mean(truth[first]), np.mean(truth[second])]) == [0.0, 1.0]
    assert not (first & second).any()
    assert all(min(a.sum(), b.sum()) >= 30 for a, b in lloyd.halves(values, variance, everyone, 30))
    assert not list(lloyd.halves(values[:5], variance[:5], everyone[:5], 3))


def test_a_small_part_at_the_end_of_a_long_cluster_is_among_the_halves():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(1000, 3)) * [6.0, 1.0, 1.0]
    values[:60] = rng.normal(size=(60, 3)) + np.array([0.0, 9.0, 0.0])
    variance, everyone = np.ones(1000, np.float32), np.ones(1000, bool)
    small = np.arange(1000) < 60
    ways = lloyd.halves(values.astype(np.float32), variance, everyone, 12)
    assert any(np.mean(a == small) > 0.99 or np.mean(b == small) > 0.99 for a, b in ways)


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
    assert not list(lloyd.halves(values, np.ones(5, np.float32), nobody, 1))


@pytest.mark.parametrize("seed", range(4))
def test_cuts(seed):
    values, variance, _ = blobs(CORNERS, [150, 80, 20], seed=seed)
    centred = values - values.mean(axis=0)
    along = (centred @ np.linalg.eigh(centred.T @ centred)[1][:, ::-1]).astype(float)
    outside = np.einsum("ij,ij->i", centred, centred) / variance

    def settled(side):
        start = lloyd.moments(values, variance, side.astype(np.int16), 2)
        return lloyd.settle(values, variance, start._replace(spread=np.zeros(2, "f4"))).label

    want = plain.cuts(along, outside, 12, settled)
    assert len(want) > 1
    for most in (1, 7):
        got = lloyd.cuts(values, variance, along, outside.astype(float), 12, most)
        assert np.array_equal(got, want[:most])
