import numpy as np
import pytest

from live_eels.kernels import align
from reference import align as plain


def peaks(centres, counts, sigma=3.0, size=256, tail=0.0, top=None, seed=0):
    """Zero-loss peaks with a plasmon; ``tail`` is an exponential on the loss side."""
    at = np.arange(size)
    fine = np.linspace(-0.5, 0.5, 21)
    shape = np.zeros((len(centres), size))
    for k, centre in enumerate(centres):
        off = at[:, None] + fine - centre
        narrow = np.exp(-0.5 * (off / sigma) ** 2)
        skew = np.where(off > 0, np.exp(-np.maximum(off, 0) / (2 * sigma)), 0) if tail else 0.0
        shape[k] = (narrow + tail * skew).mean(axis=1)
    shape *= counts / shape.sum(axis=1, keepdims=True)
    shape += 0.01 * counts / sigma * np.exp(-0.5 * ((at - 180) / 20) ** 2)
    noisy = np.random.default_rng(seed).poisson(shape).astype(np.float32)
    return noisy if top is None else np.minimum(noisy, np.float32(top))


def found(x, first=20, last=160, least=30.0):
    return np.array([align.find_zlp_row(row, first, last, least) for row in x])


@pytest.mark.parametrize("sigma", [0.8, 3.0, 10.0])
@pytest.mark.parametrize("counts", [300, 1e5])
def test_zero_loss_peak_equals_the_plain_twin(sigma, counts):
    x = peaks(np.random.default_rng(1).uniform(60, 120, 50), counts, sigma, seed=2)
    expected = np.array([plain.find_zlp_row(row, 20, 160, 30.0) for row in x])
    np.testing.assert_allclose(found(x), expected, atol=2e-3)


@pytest.mark.parametrize("sigma", [0.8, 1.5, 3.0, 6.0])
@pytest.mark.parametrize("tail", [0.0, 0.3])
@pytest.mark.parametrize("saturated", [False, True])
def test_position_is_good_to_a_twentieth_of_a_channel(sigma, tail, saturated):
    """At 1e5 counts, asymmetric or not, with the top tenth cut off or not."""
    centres = np.random.default_rng(3).uniform(60, 120, 400)
    clean = peaks([90.0], 1e5, sigma, tail=tail)[0]
    top = 0.9 * clean.max() if saturated else None
    offset = found(peaks(centres, 1e5, sigma, tail=tail, top=top, seed=4))[:, 0] - centres
    assert np.std(offset) <= 0.05


def test_nothing_is_found_where_there_is_no_peak():
    rng = np.random.default_rng(5)
    empty = np.zeros(256, np.float32)
    flat = rng.poisson(3.0, 256).astype(np.float32)
    plasmon = rng.poisson(20 * np.exp(-0.5 * ((np.arange(256) - 220) / 15) ** 2))
    for x in (empty, flat, plasmon.astype(np.float32)):
        assert np.isnan(align.find_zlp_row(x, 20, 160, 30.0)[0])


@pytest.mark.parametrize("shift", [0.0, 0.25, -0.25, 3.0, -3.75, 17.5, 400.0, -400.0])
def test_shift_equals_the_plain_twin_and_conserves_counts(shift):
    x = np.zeros(300, np.float32)
    x[60:240] = np.random.default_rng(6).poisson(50, 180)
    out = np.empty_like(x)
    align.shift_row(x, shift, out)
    np.testing.assert_allclose(out, plain.shift_row(x, shift), rtol=1e-4, atol=1e-3)
    if abs(shift) < 50:
        assert out.sum() == pytest.approx(x.sum(), rel=1e-5)


def test_edge_position_equals_the_plain_twin_and_follows_the_edge():
    rng = np.random.default_rng(7)
    at = np.arange(400)
    truth = rng.uniform(180, 220, 100)
    step = 100 + 400 / (1 + np.exp(-(at - truth[:, None]) / 2))
    x = rng.poisson(step).astype(np.float32)
    position = np.array([align.edge_position_row(row, 150, 260, 8) for row in x])
    expected = np.array([plain.edge_position_row(row, 150, 260, 8) for row in x])
    np.testing.assert_allclose(position, expected, atol=1e-3)
    off = position - truth
    assert np.std(off) < 1.0
    assert abs(np.median(off)) < 0.7  # the steepest rise lies between two channels
    flat = rng.poisson(100, 400).astype(np.float32)
    assert np.isnan(align.edge_position_row(flat, 150, 260, 8))


def test_a_shift_keeps_the_share_of_variance_it_says():
    x = np.random.default_rng(8).poisson(400, (200, 300)).astype(np.float32)
    shifts = np.array([0.0, 0.25, 0.5, -0.3, 7.9], np.float32)
    moved = np.empty_like(x)
    for shift, kept in zip(shifts, align.variance_kept(shifts), strict=True):
        for row, out in zip(x, moved, strict=True):
            align.shift_row(row, shift, out)
        assert moved[:, 20:280].var() / 400 == pytest.approx(kept, rel=0.03)
