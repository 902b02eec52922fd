"""Loadings that are turned when somebody looks: equal to turning all of them at once."""

import numpy as np
import pytest

from live_eels import loadings
from live_eels.loadings import PixelLoadings


class Plain:
    """The plain twin: every turn is carried out on every pixel."""

    def __init__(self, pixels, width):
        self.values = np.full((pixels, width), np.nan)

    def put(self, pixels, values):
        self.values[pixels] = values

    def turn(self, rotation):
        self.values = self.values @ rotation


def a_turn(rng, width):
    return np.linalg.qr(rng.normal(size=(width, width)))[0].astype(np.float32)


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_the_plain_twin(monkeypatch, seed):
    monkeypatch.setattr(loadings, "_BLOCK", 7)
    rng = np.random.default_rng(seed)
    pixels, width = 50, 4
    ours, plain = PixelLoadings(pixels, width), Plain(pixels, width)
    for _ in range(200):
        match rng.integers(8):
            case 0 | 1 | 2 | 3:  # pixels come again, too
                where = rng.choice(pixels, rng.integers(0, 9), replace=False)
                values = rng.normal(size=(len(where), width)).astype(np.float32)
                ours.put(where, values)
                plain.put(where, values)
            case 4 | 5 | 6:
                rotation = a_turn(rng, width)
                ours.turn(rotation)
                plain.turn(rotation)
            case 7 if rng.integers(2):
                first, stop = sorted(rng.integers(0, pixels + 1, 2).tolist())
                where, values = ours.between(first, stop)
                seen = first + np.flatnonzero(np.isfinite(plain.values[first:stop, 0]))
                assert where.tolist() == seen.tolist()
                np.testing.assert_allclose(values, plain.values[seen], rtol=1e-3, atol=1e-3)
            case 7:
                sample = ours.sample(pixels)
                np.testing.assert_allclose(sample, plain.values[ours.seen()], rtol=1e-3, atol=1e-3)
                np.testing.assert_allclose(ours.current(), plain.values, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ours.current(), plain.values, rtol=1e-3, atol=1e-3)
    assert ours.seen().tolist() == np.flatnonzero(np.isfinite(plain.values[:, 0])).tolist()


@pytest.mark.parametrize("share", [1.0, 0.02])
def test_a_sample_is_about_as_large_as_asked_for_however_few_pixels_came(share):
    rng, pixels = np.random.default_rng(0), 200_000
    ours = PixelLoadings(pixels, 2)
    seen = np.sort(rng.choice(pixels, round(share * pixels), replace=False))
    for _ in range(2):  # those that come again are not counted again
        ours.put(seen, np.column_stack([seen, seen]).astype(np.float32))
    sample = ours.sample(2000)[:, 0]
    assert 1500 < len(sample) < 2500
    assert np.histogram(sample, 4, (0, pixels))[0].min() > len(sample) / 5


def test_nothing_yet():
    ours = PixelLoadings(5, 2)
    ours.turn(np.eye(2, dtype=np.float32))
    assert np.isnan(ours.current()).all()
    assert len(ours.seen()) == 0
    ours.put(np.empty(0, np.int64), np.empty((0, 2), np.float32))
    assert len(ours.seen()) == 0


def test_looking_twice_turns_once():
    ours = PixelLoadings(3, 1)
    ours.put(np.array([1]), np.array([[2.0]], np.float32))
    ours.turn(np.array([[-0.75]], np.float32))
    for _ in range(2):
        assert ours.current()[1, 0] == -1.5
