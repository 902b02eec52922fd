"""The sum of outer products: the same whatever still waits to be taken into the matrix."""

import pickle

import numpy as np
import pytest

from live_eels.cross_product import WAITING_ROWS, CrossProduct

CHANNELS = 5
SIZES = (3, WAITING_ROWS - 3, 1, WAITING_ROWS, WAITING_ROWS + 7, 0, 200, 300, 40)
"""Blocks that fill the waiting rows exactly, overflow them, and pass them by."""


def blocks(sizes=SIZES, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(size, CHANNELS)).astype(np.float32) for size in sizes]


def added(parts):
    gram = CrossProduct(CHANNELS)
    for rows in parts:
        gram.add(rows)
    return gram


def check(gram, rows):
    rows = rows.astype(np.float64)
    want = rows.T @ rows
    near = {"rtol": 1e-5, "atol": 1e-4 * max(float(np.abs(want).max()), 1e-9)}
    np.testing.assert_allclose(gram.whole(), want, **near)
    np.testing.assert_allclose(gram.diagonal(), np.diagonal(want), **near)
    columns = np.random.default_rng(1).normal(size=(CHANNELS, 3)).astype(np.float32)
    np.testing.assert_allclose(gram.times(columns), want @ columns, **near)


@pytest.mark.parametrize("count", range(len(SIZES) + 1))
def test_every_question_is_answered_from_matrix_and_waiting_rows_together(count):
    parts = blocks()[:count]
    check(added(parts), np.concatenate([np.empty((0, CHANNELS), np.float32), *parts]))


def test_rows_are_copied():
    (rows,) = blocks((20,))
    gram = added([rows])
    kept = rows.copy()
    rows[:] = 0
    check(gram, kept)


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("second", range(4))
def test_sums_merge(first, second):
    sizes = ((), (10,), (WAITING_ROWS + 1,), (WAITING_ROWS + 1, WAITING_ROWS - 1))
    mine, theirs = blocks(sizes[first], 1), blocks(sizes[second], 2)
    gram, other = added(mine), added(theirs)
    gram.merge(other)
    check(gram, np.concatenate([np.empty((0, CHANNELS), np.float32), *mine, *theirs]))
    check(other, np.concatenate([np.empty((0, CHANNELS), np.float32), *theirs]))


def test_it_goes_on_after_it_was_kept():
    parts = blocks((WAITING_ROWS + 1, 30, 40))
    kept = pickle.dumps(added(parts[:2]))
    gram = pickle.loads(kept)
    assert len(kept) < 4 * CHANNELS * (CHANNELS + 30) + 1500  # not the room for waiting rows
    gram.add(parts[2])
    check(gram, np.concatenate(parts))
