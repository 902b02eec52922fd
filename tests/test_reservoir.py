"""The pixels kept to look at again: a fair draw, and as the newest basis sees them."""

import copy

import numpy as np
import pytest

from live_eels.reservoir import Reservoir


def kept(offers, size=100, seed=0):
    draw = Reservoir(size, np.random.default_rng(seed))
    for spectra in offers:
        draw.offer(spectra[:, :2].copy(), spectra)
    return draw


def spectra(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 5)).astype(np.float32)


@pytest.mark.parametrize("sizes", [(40,), (100,), (64, 64, 900), (1, 2, 3, 500)])
def test_loadings_and_spectra_stay_together(sizes):
    draw = kept([spectra(n, seed) for seed, n in enumerate(sizes)])
    assert len(draw) == min(sum(sizes), 100)
    assert draw.offered == sum(sizes)
    before = draw.rows.copy()
    draw.turn(np.eye(2), np.zeros(2), lambda x: x[:, :2])
    np.testing.assert_array_equal(draw.rows, before)


def test_a_component_found_later_is_that_of_the_spectra():
    draw = kept([spectra(60)])
    draw.turn(np.array([[1.0, 0.0], [0.0, 0.0]]), np.zeros(2), lambda x: x[:, [0, 4]])
    np.testing.assert_array_equal(draw.rows, spectra(60)[:, [0, 4]])


def test_without_spectra_loadings_are_turned():
    draw = Reservoir(10, np.random.default_rng(0))
    rows = spectra(6)[:, :2].copy()
    draw.offer(rows, None)
    turn = np.array([[0, 1], [-1, 0]], np.float32)
    draw.turn(turn, np.ones(2, np.float32), lambda x: x)
    np.testing.assert_allclose(draw.rows, rows @ turn + 1)


def test_two_draws_merge_fairly_and_keep_their_spectra():
    one, two = kept([spectra(900, 1)]), kept([spectra(300, 2)], seed=1)
    theirs = {row.tobytes() for row in spectra(300, 2)[:, :2]}
    one.merge(two)
    assert len(one) == 100
    assert one.offered == 1200
    assert sum(row.tobytes() in theirs for row in one.rows) == 25
    before = one.rows.copy()
    one.turn(np.eye(2), np.zeros(2), lambda x: x[:, :2])
    np.testing.assert_array_equal(one.rows, before)


def test_rows_are_kept_once_each_however_they_come():
    draw = kept([spectra(200)])
    assert len(np.unique(draw.rows, axis=0)) == len(draw) == 100


def test_a_copy_goes_on_as_the_original():
    draw = kept([spectra(60)])
    twin = copy.deepcopy(draw)
    for one in (draw, twin):
        one.offer(spectra(300, 1)[:, :2].copy(), spectra(300, 1))
    np.testing.assert_array_equal(twin.rows, draw.rows)
    np.testing.assert_array_equal(twin.spectra, draw.spectra)
