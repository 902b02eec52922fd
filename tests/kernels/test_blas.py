"""BLAS called without the interpreter's lock: the same sums, and no way past its arguments."""

import numpy as np
import pytest

from live_eels.kernels import blas


def matrices(pixels=7, channels=5, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(pixels, channels)).astype(np.float32)
    gram = np.asfortranarray(rng.normal(size=(channels, channels)).astype(np.float32))
    return rows, gram


@pytest.mark.parametrize("pixels", [0, 1, 7])
def test_products_are_added_to_the_lower_triangle(pixels):
    rows, gram = matrices(pixels)
    want = np.where(np.tri(5, dtype=bool), gram + rows.T @ rows, gram)
    blas.add_products(rows, gram)
    np.testing.assert_allclose(gram, want, rtol=1e-5)


@pytest.mark.parametrize("width", [0, 1, 3])
def test_twofold_products_are_added_to_the_lower_triangle(width):
    columns, gram = matrices(5, 2 * width, 2)
    _, gram = matrices()
    left, right = columns[:, :width], columns[:, width:]
    want = np.where(np.tri(5, dtype=bool), gram + left @ right.T + right @ left.T, gram)
    blas.add_twofold(left, right, gram)
    np.testing.assert_allclose(gram, want, rtol=1e-5, atol=1e-6)


def test_times_reads_the_lower_triangle():
    columns, gram = matrices(5, 5, 1)
    columns = columns[:, :3]
    whole = np.tril(gram) + np.tril(gram, -1).T
    np.testing.assert_allclose(blas.times(gram, columns), whole @ columns, rtol=1e-5, atol=1e-6)


def test_what_does_not_fit_is_refused():
    rows, gram = matrices()
    with pytest.raises(ValueError, match="C order"):
        blas.add_products(rows[:, :4], gram)
    with pytest.raises(ValueError, match="C order"):
        blas.add_products(np.asfortranarray(rows), gram)
    with pytest.raises(ValueError, match="Fortran order"):
        blas.times(gram.T, rows[:5])
    with pytest.raises(ValueError, match="Fortran order"):
        blas.add_twofold(rows, rows, gram)
    with pytest.raises(ValueError, match="alike"):
        blas.add_twofold(rows[:5], rows[:5, :2], gram)
    with pytest.raises(TypeError, match="float32"):
        blas.add_twofold(rows[:5], rows[:5].astype(float), gram)
    with pytest.raises(TypeError, match="float32"):
        blas.add_products(rows.astype(float), gram)
    with pytest.raises(TypeError, match="float32"):
        blas.times(gram, rows[:5].astype(float))
