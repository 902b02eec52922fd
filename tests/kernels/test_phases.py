"""How many phases: what is split, what is joined, and who keeps which number."""

import numpy as np
import pytest

from live_eels.kernels import apart, phases
from live_eels.kernels.lloyd import Settled, moments
from reference import phases as plain

APART = phases.Apart(pixels=12, gap=4.0, length=10.0, most=12)


def blobs(centres, per_cluster, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.asarray(centres, float)
    truth = np.repeat(np.arange(len(centres)), per_cluster)
    values = centres[truth] + rng.normal(size=(len(truth), centres.shape[1])) * noise
    variance = np.full(len(truth), noise**2, np.float32)
    return values.astype(np.float32), variance, truth.astype(np.int16)


CORNERS = [[0, 0, 0], [1, 0, 0], [0, 1, 1]]


def split(values, variance, start=None):
    return phases.split_and_join(values, variance, start, APART)


def test_phases_are_counted():
    values, variance, truth = blobs(CORNERS, [400, 100, 20])
    label = split(values, variance)
    assert [len(np.unique(label[truth == k])) for k in range(3)] == [1, 1, 1]
    assert len(np.unique(label)) == 3


def test_pixels_on_a_border_are_no_phase():
    values, variance, _ = blobs([[0, 0, 0], [3, 0, 0], [0, 3, 3]], 300)
    share = np.random.default_rng(1).uniform(0.1, 0.9, (80, 1))
    border = values[:80] * share + values[300:380] * (1 - share)
    values, variance = np.concatenate([values, border]), np.append(variance, variance[:80])
    assert len(np.unique(split(values, variance))) == 3


def test_a_phase_of_middle_composition_is_one():
    values, variance, truth = blobs([[0, 0, 0], [2, 0, 0], [1, 0, 0]], [300, 300, 60])
    label = split(values, variance)
    assert len(np.unique(label)) == 3
    assert len(np.unique(label[truth == 2])) == 1


def test_a_gradient_is_cut_in_a_few_slices_at_any_dose():
    rng = np.random.default_rng(2)
    for noise in (0.02, 0.002):
        values = np.stack([rng.uniform(0, 1, 2000), np.zeros(2000)], axis=1)
        values = (values + rng.normal(size=values.shape) * noise).astype(np.float32)
        label = split(values, np.full(2000, noise**2, np.float32))
        assert 2 <= len(np.unique(label)) <= 6
        order = label[np.argsort(values[:, 0])]
        assert np.count_nonzero(np.diff(order)) < 0.2 * len(order)  # slices, not a scatter


def test_a_short_gradient_is_one_phase():
    rng = np.random.default_rng(2)
    values = np.stack([rng.uniform(0, 1, 2000), np.zeros(2000)], axis=1)
    values = (values + rng.normal(size=values.shape) * 0.1).astype(np.float32)
    assert len(np.unique(split(values, np.full(2000, 0.01, np.float32)))) == 1


def test_what_was_split_is_not_joined_by_slightly_less_evidence():
    for distance, fresh, known in ((0.52, 2, 2), (0.34, 1, 2), (0.15, 1, 1)):
        values, variance, truth = blobs([[0, 0, 0], [distance, 0, 0]], 600)
        start = moments(values, variance, truth, 2)
        assert len(np.unique(split(values, variance))) == fresh
        assert len(np.unique(split(values, variance, start))) == known


def test_a_cluster_just_born_has_to_stand_clear_of_all_others():
    values, variance, truth = blobs([[0, 0, 0], [0.3, 0, 0]], 2000)
    now = Settled(truth, np.ones(len(truth), bool), 0.0)
    assert phases._closest_pair(values, variance, now, APART, set()) is None
    assert phases._closest_pair(values, variance, now, APART, {1}) == (0, 1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("distance", "found"), [(0.34, 2), (0.55, 3)])
def test_what_parts_from_one_cluster_and_lies_close_to_another_is_no_new_one(distance, found, seed):
    """A known cluster falls apart; the part beside the other known one is that one's."""
    places = [[0, 0, 0], [distance, 0, 0], [distance, 0.5, 0]]
    values, variance, truth = blobs(places, [1000, 600, 600], seed=seed)
    start = moments(values, variance, np.minimum(truth, 1).astype(np.int16), 2)
    assert len(np.unique(split(values, variance, start))) == found


def test_few_pixels_must_be_further_apart_than_many():
    """Of a cluster of twelve the spread is hardly known: born too early, it would not stay."""
    for few, found in ((13, 1), (120, 2)):
        values, variance, _ = blobs([[0, 0, 0], [0.56, 0, 0]], [900, few], seed=4)
        assert len(np.unique(split(values, variance))) == found


def test_separation_of_one_cluster_cut_in_two_is_small():
    rng = np.random.default_rng(2)
    variance = np.full(20_000, 1e-6, np.float32)
    for draw, want in ((rng.normal, 2.28), (rng.uniform, 2.70)):
        values = draw(size=(20_000, 1)).astype(np.float32)
        right = values[:, 0] > np.mean(values)
        assert apart.separation(values, variance, ~right, right) == pytest.approx(want, rel=0.02)


def test_separation_of_two_clusters():
    values, variance, truth = blobs(CORNERS[:2], 5000, noise=0.1)
    assert apart.separation(values, variance, truth == 0, truth == 1) == pytest.approx(10, rel=0.03)
    same = truth == 0
    assert apart.separation(values, variance, same, same) == 0


def test_free_number():
    assert phases.free_number(np.array([-1, 0, 2, 3], np.int16)) == 1
    assert phases.free_number(np.array([], np.int16)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_matched_keeps_as_many_numbers_as_can_be_kept(seed):
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 4, 60).astype(np.int16)
    fresh = np.where(rng.random(60) < 0.7, (before + 1) % 4, rng.integers(-1, 5, 60))
    fresh = fresh.astype(np.int16)
    got, want = phases.matched(fresh, before), plain.matched(fresh, before)
    assert (got == before).sum() == (want == before).sum()
    assert (got[fresh < 0] == fresh[fresh < 0]).all()


def test_numbers_before_are_all_different_also_of_a_cluster_without_a_pixel():
    before = np.array([2, 2, 3, 3, -1, 0], np.int16)
    fresh = np.array([0, 0, 1, 1, 0, -2], np.int16)
    numbers = phases.numbers_before(fresh, before, 6)
    assert numbers[:2].tolist() == [2, 3]
    assert sorted(numbers) == [0, 1, 2, 3, 4, 5]


def test_matched_of_nothing():
    nothing = np.zeros(0, np.int16)
    assert phases.matched(nothing, nothing).size == 0
