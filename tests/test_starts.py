"""When clusters start over: seldom, and where it helps."""

from __future__ import annotations

import numpy as np
import pytest

from live_eels.kernels.lloyd import moments
from live_eels.starts import FreshStarts

N = 900


def three(apart=10.0):
    """Pixels of three clear clusters."""
    rng = np.random.default_rng(0)
    truth = np.arange(N) % 3
    centres = apart * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    values = (centres[truth] + rng.normal(size=(N, 2))).astype(np.float32)
    return values, np.full(N, 0.1, np.float32), truth


@pytest.fixture
def starts(monkeypatch):
    """A learner of starts that counts how often it started over."""
    made = FreshStarts(0)
    start, made.tried = made._start, 0

    def counted(*given):
        made.tried += 1
        return start(*given)

    monkeypatch.setattr(made, "_start", counted)
    return made


def agree(label, truth):
    return all(len(np.unique(label[truth == phase])) == 1 for phase in range(3)) and (
        len(np.unique(label)) == 3
    )


def settled(starts, pixels, label, offered):
    values, variance, _ = pixels
    now = None if label is None else moments(values, variance, label, int(label.max()) + 1)
    return starts.settled(values, variance, now, 3, offered)


def test_it_starts_over_when_pixels_have_doubled_and_not_before(starts):
    label = settled(starts, three(), None, N)
    assert agree(label, three()[2])
    for offered in (N + 100, 2 * N - 1):
        np.testing.assert_array_equal(settled(starts, three(), label, offered), label)
    assert starts.tried == 1
    settled(starts, three(), label, 2 * N)
    assert starts.tried == 2


def test_it_starts_over_when_the_clusters_no_longer_fit(starts):
    label = settled(starts, three(), None, N)
    wide, variance, truth = three()
    wide = np.where(truth[:, None] == 2, wide * np.float32(3), wide)  # it became another
    settled(starts, (wide, variance, truth), label, N + 1)
    assert starts.tried == 2


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_a_start_that_is_likelier_is_taken_and_numbers_stay(starts, turn):
    pixels = three(apart=100.0)  # too far to get out of it step by step
    truth = pixels[2]
    stuck = np.where(truth == 2, 1, np.where(np.arange(N) % 2, 2, 0))  # one halved, two as one
    stuck[truth == 1] = 1
    stuck = (stuck + turn) % 3
    found = settled(starts, pixels, stuck, N)
    assert agree(found, truth)
    first, second = found[truth == 1][0], found[truth == 2][0]
    assert (1 + turn) % 3 in (first, second)  # the number that both had
