import numpy as np
import pytest

from live_eels.kernels import background as bg
from live_eels.kernels import neighbours, prepare
from reference import neighbours as plain

ENERGIES = 550 + 0.5 * np.arange(100)


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_local_slopes_equal_the_plain_twin(radius):
    shape = (7, 9)
    fit = bg.make_fit(bg.POISSON, ENERGIES, slice(0, 100), slice(0, 100), logarithmic=True)
    x = np.random.default_rng(1).poisson(5.0, (63, 100)).astype(np.float32)
    sums = np.empty((63, 2))
    prepare.sum_fit(x, fit, sums)
    pixels = np.array([0, 8, 31, 40, 62])
    out = np.empty((5, 2))
    neighbours.local_slopes(sums, pixels, 9, radius, fit, out)
    for k, pixel in enumerate(pixels):
        expected = plain.local_slope(x, shape, pixel, radius, fit.t.astype(float))
        assert out[k, 0] == pytest.approx(expected, rel=1e-3, abs=0.01)
        # the amplitude gives back the pixel's own counts
        curve = np.exp(out[k, 1] - out[k, 0] * fit.t)
        assert curve.sum() == pytest.approx(x[pixel].sum(), rel=1e-3)


def test_running_median_is_near_the_plain_twin_and_skips_nan():
    rng = np.random.default_rng(2)
    truth = np.sin(np.arange(600) / 60.0)
    values = truth + 0.3 * rng.normal(size=600)
    found = neighbours.running_median(values[:, None], 33)[:, 0]
    np.testing.assert_allclose(found, plain.running_median(values, 33), atol=0.25)
    assert np.std(found - truth) < 0.1
    for n in (13, 20, 21):  # the windows at both ends are looked at, whatever the steps between
        few = rng.normal(size=n)
        ends = neighbours.running_median(few[:, None], 8)[[0, -1], 0]
        np.testing.assert_allclose(ends, plain.running_median(few, 8)[[0, -1]])
    values[100:180] = np.nan
    bridged = neighbours.running_median(values[:, None], 33)[:, 0]
    assert np.isfinite(bridged).all()
    assert np.isnan(neighbours.running_median(np.full((50, 1), np.nan), 33)).all()


def test_drift_is_told_from_a_chemical_shift():
    """Three edges drift together; one of them shifts chemically in half of the rows' pixels."""
    rng = np.random.default_rng(3)
    rows, columns = 40, 50
    moved = np.repeat(np.linspace(0, 6, rows), columns)  # channels
    chemical = np.tile(np.arange(columns) > 25, rows) * 4.0
    chemical[500:1000] = 4.0  # ten whole rows of another phase
    positions = np.stack([200 + moved, 400 + moved + chemical, 600 + moved], axis=1)
    positions += 0.5 * rng.normal(size=positions.shape)
    found = neighbours.drift(positions.astype(np.float32), columns)
    expected = moved - np.median(moved)
    np.testing.assert_allclose(found, expected, atol=0.5)
    assert (neighbours.drift(np.full((9, 2), np.nan, np.float32), 5) == 0).all()
