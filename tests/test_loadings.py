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

    def turn(self, rotation, offset):
        self.values = self.values @ rotation + offset


def a_turn(rng, width):
    rotation = np.linalg.qr(rng.normal(size=(width, width)))[0]
    return rotation.astype(np.float32), rng.normal(size=width).astype(np.float32)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("most_recent", [3, 65_536])
def test_equal_to_the_plain_twin(monkeypatch, seed, most_recent):
    monkeypatch.setattr(loadings, "MOST_RECENT", most_recent)
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
                rotation, offset = a_turn(rng, width)
                ours.turn(rotation, offset)
                plain.turn(rotation, offset)
            case 7:
                np.testing.assert_allclose(ours.current(), plain.values, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ours.current(), plain.values, rtol=1e-3, atol=1e-3)
    assert ours.seen().tolist() == np.flatnonzero(np.isfinite(plain.values[:, 0])).tolist()


def test_nothing_yet():
    ours = PixelLoadings(5, 2)
    ours.turn(np.eye(2, dtype=np.float32), np.ones(2, np.float32))
    assert np.isnan(ours.current()).all()
    assert len(ours.seen()) == 0
    ours.put(np.empty(0, np.int64), np.empty((0, 2), np.float32))
    assert len(ours.seen()) == 0


def test_looking_twice_turns_once():
    ours = PixelLoadings(3, 1)
    ours.put(np.array([1]), np.array([[2.0]], np.float32))
    ours.turn(np.array([[-1.0]], np.float32), np.array([0.5], np.float32))
    for _ in range(2):
        assert ours.current()[1, 0] == -1.5
