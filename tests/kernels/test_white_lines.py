import numpy as np
import pytest

from live_eels.kernels import background as bg
from live_eels.kernels import white_lines as kernel
from reference import white_lines as plain

AXIS = np.arange(300.0)
SPLIT, HALF, STEP, PLATEAU = 55.3, 22.0, 5.0, (40.0, 90.0)


def spectrum(l3=100.4, ratio=2.5, width=5.0):
    l2 = l3 + SPLIT
    step = sum(
        part * (np.arctan((AXIS - at) / STEP) / np.pi + 0.5)
        for part, at in ((2 / 3, l3), (1 / 3, l2))
    )
    lines = ratio * np.exp(-0.5 * ((AXIS - l3) / width) ** 2)
    lines += np.exp(-0.5 * ((AXIS - l2) / width) ** 2)
    return 1000 * (lines + 0.3 * step)


def measured(net, fit_counts=None, under=None):
    net = np.atleast_2d(net).astype(np.float32)
    under = np.zeros_like(net) if under is None else under
    fit = bg.make_fit(bg.FLAT, AXIS, slice(0, 20), slice(0, 300), logarithmic=False)
    counts = np.zeros((len(net), 2)) if fit_counts is None else fit_counts
    out = np.empty((len(net), 6), np.float32)
    kernel.white_lines(
        net, under, net + under, counts, fit, (60, 140), SPLIT, HALF, STEP, PLATEAU, out
    )
    return out


@pytest.mark.parametrize("ratio", [1.0, 2.2, 4.5])
@pytest.mark.parametrize("l3", [95.0, 100.4])
def test_ratio_equals_the_plain_twin(ratio, l3):
    net = spectrum(l3, ratio)
    found = measured(net)[0]
    assert found[kernel.POSITION] == pytest.approx(l3, abs=1.0)
    expected = plain.ratio(net, float(found[kernel.POSITION]), SPLIT, HALF, STEP, PLATEAU)
    assert found[kernel.RATIO] == pytest.approx(expected, rel=2e-3)
    assert found[kernel.RATIO] == pytest.approx(ratio, rel=0.08)


def test_the_error_is_the_scatter():
    noisy = np.random.default_rng(0).poisson(spectrum(), (3000, 300))
    found = measured(noisy)
    assert found[:, kernel.RATIO].std() == pytest.approx(
        np.median(found[:, kernel.RATIO_ERROR]), rel=0.15
    )


def test_no_line_no_ratio():
    assert np.isnan(measured(np.zeros(300))).all()


def test_noise_without_an_edge_is_no_line():
    """Some channel is always the highest; without this a map shows a valence where no metal is."""
    rng = np.random.default_rng(1)
    under = np.full((2000, 300), 400.0, np.float32)
    net = (rng.poisson(under) - under).astype(np.float32)
    found = measured(net, under=under)
    assert np.isnan(found).all(axis=1).mean() > 0.999
    strong = 0.1 * spectrum() + rng.poisson(under) - under
    assert np.isfinite(measured(strong, under=under)[:, kernel.RATIO]).mean() > 0.99


def test_where_l2_is_lost_there_is_a_position_but_no_ratio():
    only_l3 = spectrum(ratio=1.0) - spectrum(ratio=0.0) + spectrum(ratio=1e-9) * 1e-9
    found = measured(only_l3)[0]
    assert found[kernel.POSITION] == pytest.approx(100.4, abs=1.0)
    assert found[kernel.WIDTH] == pytest.approx(2.355 * 5, rel=0.1)
    assert np.isnan(found[[kernel.RATIO, kernel.RATIO_ERROR]]).all()
