import numpy as np
import pytest

from live_eels.kernels import background as bg
from reference import background as plain

ENERGIES = 500 + 0.5 * np.arange(400)
FIT, TARGET = slice(100, 200), slice(220, 400)


def fits(method=bg.POISSON, logarithmic=True):
    return bg.make_fit(method, ENERGIES, FIT, TARGET, logarithmic=logarithmic)


def spectra(level, n, exponent=3.0, seed=0):
    expected = level * (ENERGIES / ENERGIES[150]) ** -exponent
    return np.random.default_rng(seed).poisson(expected, (n, ENERGIES.size)).astype(np.float32)


@pytest.mark.parametrize("logarithmic", [True, False])
@pytest.mark.parametrize("level", [0.2, 1, 30, 1e4])
def test_poisson_fit_equals_the_score_equation(level, logarithmic):
    fit = fits(logarithmic=logarithmic)
    for x in spectra(level, 50, seed=1):
        slope, amplitude = bg.fit_row(x, fit)
        expected, expected_amplitude = plain.fit_poisson(x[FIT], fit.t)
        scale = 1 / (fit.t.std() * np.sqrt(x[FIT].sum()))  # one standard error
        assert abs(slope - expected) < 2e-3 * scale + 1e-3 * abs(expected)
        assert amplitude == pytest.approx(expected_amplitude, abs=1e-3)


def test_log_log_fit_equals_polyfit():
    fit = fits(bg.LOG_LOG)
    for x in spectra(200, 20, seed=2):
        np.testing.assert_allclose(
            bg.fit_row(x, fit), plain.fit_log_log(x[FIT], fit.t), rtol=1e-4, atol=1e-4
        )


def test_no_counts_no_background():
    assert np.isnan(bg.fit_row(np.zeros(400, np.float32), fits())).all()
    assert np.isnan(bg.fit_row(np.zeros(400, np.float32), fits(bg.LOG_LOG))).all()


def test_curve_and_quality_equal_the_plain_twin():
    fit = fits()
    out = np.empty(fit.target.size, np.float32)
    for x in spectra(50, 20, seed=3):
        slope, amplitude = bg.fit_row(x, fit)
        bg.fill_row(slope, amplitude, fit.target, out)
        np.testing.assert_allclose(out, plain.curve(slope, amplitude, fit.target), rtol=2e-5)
        quality = bg.chi_square_row(x, fit.first, fit.t, slope, amplitude)
        assert quality == pytest.approx(plain.chi_square(x[FIT], fit.t, slope, amplitude), rel=1e-4)


def test_quick_exponential_is_one():
    for reach, error in ((12, 2e-5), (25, 5e-4)):
        x = np.linspace(-reach, reach, 2001, dtype=np.float32)
        got = np.array([bg.quick_exp(value) for value in x])
        np.testing.assert_allclose(got, np.exp(x.astype(float)), rtol=error)


@pytest.mark.parametrize("level", [1, 3, 10, 100, 1e4])
def test_net_intensity_is_unbiased_down_to_one_count_per_channel(level):
    """Background alone: the net integral scatters around zero, its mean within half a sigma
    (of one spectrum), where the log-log fit is off by many."""
    x = spectra(level, 4000, seed=4)
    fit = fits()
    under = np.empty(fit.target.size, np.float32)
    net = np.empty(len(x))
    for k, row in enumerate(x):
        bg.fill_row(*bg.fit_row(row, fit), fit.target, under)
        net[k] = row[TARGET].sum() - under.sum()
    assert abs(net.mean()) < 0.5 * net.std()
    assert abs(np.median(net)) < 0.25 * net.std()
