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


def basis_of(seed, directions=2):
    """Columns that are not at right angles, and their dual within them."""
    basis = np.random.default_rng(seed).normal(size=(CHANNELS, directions))
    return basis.astype(np.float32), np.linalg.pinv(basis).T.astype(np.float32)


def thinned(sizes=(400, 90, 700, 33), seed=3, share=0.2, turns=(5,)):
    """A sum of some rows of many, which turned its basis now and then; and all rows."""
    gram, rng, parts = CrossProduct(CHANNELS), np.random.default_rng(seed), blocks(sizes, seed)
    for number, rows in enumerate(parts):
        if number < len(turns):
            gram.turn(*basis_of(turns[number]))
        if number == 0:
            gram.add(rows)
            continue
        gram.add_thinned(rows, np.sort(rng.choice(len(rows), round(share * len(rows)), False)))
    return gram, np.concatenate(parts).astype(np.float64)


def test_along_the_basis_all_rows_count():
    gram, rows = thinned()
    basis, _ = basis_of(5)
    want = rows.T @ rows
    np.testing.assert_allclose(gram.times(basis), want @ basis, rtol=1e-4, atol=0.1)
    assert np.abs(gram.whole() - want).max() > 20  # beside it the sample's
    np.testing.assert_allclose(gram.along, len(rows))


def test_beside_the_basis_the_sample_stands_for_all():
    off = np.array([thinned(seed=n)[0].whole() - thinned(seed=n)[1].T @ thinned(seed=n)[1]
                    for n in range(60)])  # fmt: skip
    error = off.std(axis=0) / np.sqrt(len(off))
    assert (np.abs(off.mean(axis=0)) < 4 * error).all()


def test_what_was_told_along_one_basis_stays_when_it_turns():
    gram, rows = thinned(sizes=(400, 600), turns=(5,))
    before = thinned(sizes=(400, 600), turns=(5,))[0].whole()
    gram.turn(*basis_of(6))
    np.testing.assert_allclose(gram.whole(), before, rtol=1e-5, atol=1e-3)
    gram.turn(*basis_of(5))
    basis = basis_of(5)[0]
    np.testing.assert_allclose(gram.times(basis), rows.T @ (rows @ basis), rtol=1e-4, atol=0.1)


def test_rows_of_unlike_weight_are_known():
    gram, _ = thinned(sizes=(400, 90, 700), share=0.2)
    assert gram.weights == {1.0: 400, 5.0: 18 + 140}
    assert gram.squared_weight == 400 + 25 * 158
    basis, dual = basis_of(5)
    beside = np.linalg.svd(dual)[0][:, -1:].astype(np.float32)  # of what the basis lacks
    gram.turn(np.hstack([basis, beside]), np.hstack([dual, beside]))
    np.testing.assert_allclose(gram.along, [1190, 1190, 400 + 25 * 158], rtol=1e-5)


@pytest.mark.parametrize("fresh", [False, True])
def test_thinned_sums_merge(fresh):
    gram, mine = (CrossProduct(CHANNELS), np.empty((0, CHANNELS))) if fresh else thinned(seed=7)
    other, theirs = thinned(seed=8)
    kept = pickle.dumps(other)
    gram.merge(other)
    assert pickle.dumps(other) == kept
    rows = np.concatenate([mine, theirs])
    basis, _ = basis_of(5)
    np.testing.assert_allclose(gram.times(basis), rows.T @ (rows @ basis), rtol=1e-4, atol=0.1)
    np.testing.assert_allclose(gram.along, np.full(2, float(len(rows))), rtol=1e-5, strict=True)
    assert sum(w * n for w, n in gram.weights.items()) == pytest.approx(len(rows))


def test_it_goes_on_after_it_was_kept():
    parts = blocks((WAITING_ROWS + 1, 30, 40))
    kept = pickle.dumps(added(parts[:2]))
    gram = pickle.loads(kept)
    assert len(kept) < 4 * CHANNELS * (CHANNELS + 30) + 1500  # not the room for waiting rows
    gram.add(parts[2])
    check(gram, np.concatenate(parts))
