import numpy as np
import pytest

from live_eels.analyses.net import NetWindow
from live_eels.kernels.windows import elastic_counts
from live_eels.spectra import EnergyAxis
from reference import windows as plain

AXIS = EnergyAxis(500.0, 0.5, 400)


@pytest.mark.parametrize("level", [1.0, 20.0, 3000.0])
def test_net_counts_and_error_equal_the_plain_twin(level):
    window = NetWindow.on(AXIS, (600.0, 640.0), (540.0, 590.0))
    shape = level * (AXIS.energies_ev / 550) ** -3 + 0.2 * level * (AXIS.energies_ev > 602)
    x = np.random.default_rng(1).poisson(shape, (40, 400)).astype(np.float32)
    net, error = window.counts(x)
    fit = AXIS.window(540.0, 590.0)
    t_fit, t_signal = window.fit.t.astype(float), window.fit.target.astype(float)
    for k, row in enumerate(x):
        expected = plain.net_counts(row, window.signal, fit, t_fit, t_signal)
        assert error[k] == pytest.approx(expected[1], rel=3e-3)
        assert net[k] == pytest.approx(expected[0], abs=3e-3 * expected[1])


@pytest.mark.parametrize("level", [2.0, 20.0, 1000.0])
def test_the_error_is_the_scatter(level):
    window = NetWindow.on(AXIS, (600.0, 640.0), (540.0, 590.0))
    shape = level * (AXIS.energies_ev / 550) ** -3 + 0.2 * level * (AXIS.energies_ev > 602)
    x = np.random.default_rng(2).poisson(shape, (5000, 400)).astype(np.float32)
    net, error = window.counts(x)
    assert np.median(error) == pytest.approx(net.std(), rel=0.08)
    truth = 0.2 * level * (AXIS.energies_ev[window.signal] > 602).sum()
    assert abs(net.mean() - truth) < 0.5 * net.std()


def test_empty_spectra_have_no_net_counts():
    window = NetWindow.on(AXIS, (600.0, 640.0), (540.0, 590.0))
    net, error = window.counts(np.zeros((3, 400), np.float32))
    assert np.isnan(net).all()
    assert np.isnan(error).all()


def test_elastic_counts_equal_the_plain_twin():
    rng = np.random.default_rng(3)
    at = np.arange(300) - 60
    shape = 1e4 * np.exp(-0.5 * (at / 3) ** 2) + 100 * np.exp(-0.5 * ((at - 90) / 25) ** 2) + 0.5
    low = rng.poisson(shape, (50, 300)).astype(np.float32)
    width = np.full(50, 7.06, np.float32)
    width[7] = np.nan
    elastic, total, cut = (np.empty(50, np.float32) for _ in range(3))
    elastic_counts(low, 60, width, 40.0, elastic, total, cut)
    for k in range(50):
        expected = plain.elastic_counts(low[k], 60, width[k], 40.0)
        np.testing.assert_allclose((elastic[k], total[k], cut[k]), expected, rtol=1e-5)
