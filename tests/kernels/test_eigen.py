"""The eigen-solver against a complete one."""

import numpy as np
import pytest

from live_eels.kernels.eigen import leading as leading_of
from reference import eigen as plain


class Matrix:
    """What the solver may ask of a matrix, given all of it."""

    def __init__(self, gram):
        self._gram = gram

    def times(self, columns):
        return self._gram @ columns

    def diagonal(self):
        return np.diagonal(self._gram).astype(np.float64)

    def whole(self):
        return self._gram.astype(np.float64)


def leading(gram, weight, start, rounds, sure, images=3):
    return leading_of(Matrix(gram), weight, start, rounds, sure, images, seed=0)


def cross_products(channels, pixels=3000, signals=3, seed=0):
    rng = np.random.default_rng(seed)
    strength = np.sqrt(pixels) * np.geomspace(3, 1, signals)
    signal = rng.normal(size=(pixels, signals)) @ rng.normal(size=(signals, channels))
    x = rng.normal(size=(pixels, channels)) + strength.mean() / 50 * signal
    return np.asfortranarray((x.T @ x).astype(np.float32))


@pytest.mark.parametrize("channels", [1, 3, 60, 400])
def test_leading_pairs_are_those_of_a_complete_solution(channels):
    gram = cross_products(channels)
    weight = np.random.default_rng(1).uniform(0.5, 2, channels)
    width = 6
    values, vectors = leading(gram, weight, np.zeros((channels, width), np.float32), 30, 3)
    n = min(3, channels)
    want_values, want = plain.leading(gram, weight, n)
    np.testing.assert_allclose(values[:n], want_values, rtol=1e-4)
    overlap = np.abs(np.sum(vectors[:, :n] * want, axis=0))
    assert (overlap > 1 - 1e-5).all()
    assert vectors.shape == (channels, width)
    assert not vectors[:, channels:].any()


def test_one_round_from_a_good_guess_is_enough():
    gram = cross_products(400)
    ones = np.ones(400)
    _, good = leading(gram, ones, np.zeros((400, 6), np.float32), 30, 3)
    more = np.asfortranarray(gram + cross_products(400, pixels=300, seed=7))
    values, _ = leading(more, ones, good.astype(np.float32), 1, 3)
    np.testing.assert_allclose(values[:3], plain.leading(more, ones, 3)[0], rtol=1e-4)
    # Where variances fall slowly a good guess is kept, and from nowhere one round does not do.
    slow = np.asfortranarray(np.diag(np.linspace(1.1, 1.0, 400)).astype(np.float32))
    values, _ = leading(slow, ones, np.eye(400, 6, dtype=np.float32), 1, 3, images=1)
    np.testing.assert_allclose(values, np.diagonal(slow)[:6], rtol=1e-5)
    values, _ = leading(slow, ones, np.zeros((400, 6), np.float32), 1, 3, images=1)
    assert values[0] < 1.09


def test_a_matrix_of_zeros_has_no_leading_vector_but_is_no_error():
    zeros = np.zeros((300, 300), np.float32, order="F")
    values, vectors = leading(zeros, np.ones(300), np.zeros((300, 4), np.float32), 3, 1)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(values, 0, atol=1e-6)
