import numpy as np
import pytest
from scipy.optimize import nnls

from live_eels.kernels import background as bg
from live_eels.kernels import mixing
from reference import background as plain_background
from reference import mixing as plain

AXIS = 600 + 0.4 * np.arange(250)
FIRST = 80
PART = AXIS[FIRST:]


def references():
    lines = [(640.4, 1.2), (642.1, 1.8), (643.4, 1.7)]
    rows = [
        np.exp(-0.5 * ((PART - at) / width) ** 2) + 0.2 / (1 + np.exp(-(PART - at - 1)))
        for at, width in lines
    ]
    return np.asarray(rows, np.float32)


def mixed(amounts, level, n, seed=0):
    under = level * (AXIS / 620) ** -3
    under[FIRST:] += np.asarray(amounts) @ references()
    return np.random.default_rng(seed).poisson(under, (n, AXIS.size)).astype(np.float32)


def fitted(x, rows, kind=None):
    fit = bg.make_fit(bg.POISSON, AXIS, slice(0, 75), slice(FIRST, AXIS.size), logarithmic=True)
    n, k = len(x), rows.shape[2]
    amounts, covariance = np.empty((n, k)), np.empty((n, k, k))
    residual, chi = np.empty(n, np.float32), np.empty(n, np.float32)
    chosen = np.zeros(n, np.int32)
    kind = np.zeros(n, np.int32) if kind is None else kind
    mixing.mix(x, FIRST, rows, kind, fit, amounts, covariance, residual, chi, chosen)
    return fit, amounts, covariance, residual, chi, chosen


@pytest.mark.parametrize("seed", range(20))
def test_nonnegative_solution_equals_scipy(seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(6, 40)) + 0.8 * rng.normal(size=40)
    y = rng.normal(size=40) + rows[0]
    out = np.empty(6)
    mixing.solve_nonnegative(rows @ rows.T, rows @ y, 6, out)
    np.testing.assert_allclose(out, nnls(rows.T, y)[0], atol=1e-8)


def test_dependent_references_do_not_break_the_solver():
    row = np.arange(1.0, 9.0)
    rows = np.stack([row, row, 2 * row])
    out = np.empty(3)
    mixing.solve_nonnegative(rows @ rows.T, rows @ row, 3, out)
    np.testing.assert_allclose(out @ rows, row, rtol=1e-6)


@pytest.mark.parametrize("amounts", [(300, 0, 0), (100, 200, 50), (0, 0, 0)])
@pytest.mark.parametrize("level", [30.0, 1000.0])
def test_mixture_equals_the_plain_twin(amounts, level):
    x = mixed(amounts, level, 10, seed=1)
    rows = references()[None, None]
    fit, found, covariance, residual, chi, _ = fitted(x, rows)
    for k, row in enumerate(x):
        slope, amplitude = plain_background.fit_poisson(row[: fit.t.size], fit.t)
        under = plain_background.curve(slope, amplitude, fit.target)
        before = plain_background.curve(slope, amplitude, fit.t)
        parts = np.vstack([references(), under, -fit.target * under])
        expected, expected_covariance, curve, expected_chi = plain.mix_row(
            row[FIRST:], parts, np.stack([before, -fit.t * before])
        )
        sigma = np.sqrt(np.diag(expected_covariance))[:3]
        np.testing.assert_allclose(found[k], expected[:3], atol=0.02 * sigma.max())
        np.testing.assert_allclose(covariance[k], expected_covariance[:3, :3], rtol=0.02)
        assert chi[k] == pytest.approx(expected_chi, rel=1e-3)
        rms = np.sqrt(((row[FIRST:] - curve) ** 2).mean())
        assert residual[k] == pytest.approx(rms, rel=1e-3)


def test_amounts_are_unbiased_and_errors_are_the_scatter():
    x = mixed((120, 200, 80), 60.0, 2000, seed=2)
    _, found, covariance, _, chi, _ = fitted(x, references()[None, None])
    sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).mean(axis=0)
    np.testing.assert_allclose(found.std(axis=0), sigma, rtol=0.12)
    assert (np.abs(found.mean(axis=0) - (120, 200, 80)) < 0.25 * sigma).all()
    assert chi.mean() == pytest.approx(1.0, abs=0.03)


def test_the_shift_that_fits_is_chosen_and_kinds_are_each_pixel_s_own():
    x = mixed((300, 0, 0), 300.0, 40, seed=3)
    rows = references()
    shifted = np.stack([np.roll(rows, step, axis=1) for step in (-3, 0, 3)])
    stack = np.stack([np.roll(shifted, 3, axis=2), shifted])
    kind = np.arange(40, dtype=np.int32) % 2
    *_, chosen = fitted(x, np.ascontiguousarray(stack), kind)
    np.testing.assert_array_equal(chosen, kind)  # kind 0 needs -3 to come back, kind 1 needs 0
