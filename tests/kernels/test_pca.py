"""Loops of streaming PCA against their plain twins."""

import numpy as np
import pytest

from live_eels.kernels import pca
from reference import pca as plain


@pytest.fixture(params=[(0, 5), (1, 1), (7, 33), (64, 400)])
def x(request):
    rng = np.random.default_rng(1)
    return rng.poisson(30, request.param).astype(np.float32)


def test_row_totals(x):
    out = np.empty(len(x))
    pca.row_totals(x, out)
    np.testing.assert_allclose(out, plain.row_totals(x), rtol=1e-6)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_row_totals_of_broken_rows_are_nan(x, broken):
    if len(x) < 3:
        pytest.skip("needs rows")
    x[2, -1] = broken
    out = np.empty(len(x))
    pca.row_totals(x, out)
    np.testing.assert_allclose(out, plain.row_totals(x), rtol=1e-6)
    assert np.isnan(out[2])


def test_scale_rows(x):
    rng = np.random.default_rng(2)
    scale = rng.random(len(x)).astype(np.float32)
    start = rng.random(x.shape[1])
    total, out = start.copy(), np.empty_like(x)
    pca.scale_rows(x, scale, total, out)
    want, want_total = plain.scale_rows(x, scale, start)
    np.testing.assert_allclose(out, want, rtol=1e-6)
    np.testing.assert_allclose(total, want_total, rtol=1e-6)


@pytest.mark.parametrize("components", [1, 3, 16])
def test_project(x, components):
    projection = np.random.default_rng(3).normal(size=(components, x.shape[1])).astype("f4")
    out = np.empty((len(x), components), np.float32)
    pca.project(x, projection, out)
    size = np.abs(x) @ np.abs(projection).T
    assert (np.abs(out - plain.project(x, projection)) <= 1e-6 * size).all()


def test_a_nan_channel_makes_only_its_row_nan():
    x = np.ones((5, 40), np.float32)
    x[2, 7] = np.nan
    out = np.empty((5, 3), np.float32)
    pca.project(x, np.ones((3, 40), np.float32), out)
    assert np.isnan(out[2]).all()
    assert (np.delete(out, 2, axis=0) == 40).all()


def test_rebuild():
    rng = np.random.default_rng(3)
    x = rng.poisson(20, (7, 40)).astype(np.float32)
    x[2] = 0
    loadings = rng.normal(size=(7, 3)).astype(np.float32)
    factors = rng.normal(size=(3, 40)).astype(np.float32)
    share = rng.uniform(0.01, 0.05, 40).astype(np.float32)
    out, noise, left = np.empty_like(x), np.empty(7, np.float32), np.empty(7, np.float32)
    pca.rebuild(loadings, factors, x, share, out, noise, left)
    for got, wanted in zip(
        (out, noise, left), plain.rebuild(loadings, factors, x, share), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    assert np.isnan(left[2])


def test_in_common():
    rng = np.random.default_rng(5)
    directions = np.linalg.qr(rng.normal(size=(300, 4)))[0]
    weight = rng.uniform(0.5, 2.0, 300)
    noise = rng.normal(size=(30, 300)) + 5 * rng.normal(size=(30, 4)) @ directions.T
    shape = rng.normal(size=300)
    for spectra, low, high in (
        (noise, 0.7, 1.3),
        (noise + 40 * directions[:, 0], 0.7, 1.3),  # what is in the basis does not count
        (noise + shape, 10, 30),
        (noise + shape * rng.choice([-1, 1], (30, 1)), 0.0, 7.0),  # nor what is not in common
    ):
        rows = (spectra / weight).astype(np.float32)
        projection = (directions * weight[:, None]).T.astype(np.float32)
        rest = weight.astype(np.float32), directions.astype(np.float32), projection
        got = pca.in_common(rows, *rest)
        assert got == pytest.approx(plain.in_common(spectra, directions), rel=1e-3)
        assert low < got < high
