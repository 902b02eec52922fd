import numpy as np
import pytest

from live_eels.kernels import correct
from reference import correct as plain

SIZE = 512


def spectra(level, n=200, seed=0):
    """An edge with white lines on a power law, Poisson noise."""
    energy = np.linspace(560.0, 740.0, SIZE)
    shape = (energy / 600.0) ** -3
    shape += 2 * np.exp(-0.5 * ((energy - 641) / 1.2) ** 2) + 0.3 / (1 + np.exp(640 - energy))
    return np.random.default_rng(seed).poisson(level * shape, (n, SIZE)).astype(np.float32)


def test_dark_gain_and_saturation():
    rng = np.random.default_rng(1)
    raw = rng.integers(0, 65536, SIZE).astype(np.uint16)
    raw[[3, 99]] = 65535
    dark = rng.normal(100, 3, SIZE).astype(np.float32)
    scale = rng.normal(1, 0.02, SIZE).astype(np.float32)
    out = np.empty(SIZE, np.float32)
    saturated = correct.correct_row(raw, dark, scale, np.float32(65535), out)
    expected, count = plain.correct_row(raw, dark, scale, 65535)
    assert saturated == count >= 2
    np.testing.assert_allclose(out, expected, rtol=1e-5)


@pytest.mark.parametrize("bad", [[0], [511], [0, 1, 2], [9, 10, 11, 200], [509, 510, 511]])
def test_bad_channels_are_bridged_also_at_the_ends(bad):
    x = spectra(50, 1)[0]
    x[bad] = 1e6
    expected = plain.bridge_list(x, np.array(bad))
    correct.bridge_list(x, np.array(bad, np.int32), len(bad))
    np.testing.assert_allclose(x, expected, rtol=1e-5)


def test_channels_that_are_no_numbers_are_bridged():
    x = spectra(50, 1)[0]
    clean = x.copy()
    x[[0, 7, 8]] = np.nan, np.inf, -np.inf
    assert correct.repair_nan_row(x) == 3
    np.testing.assert_allclose(x, plain.bridge_list(clean, np.array([0, 7, 8])), rtol=1e-6)
    nothing = np.full(SIZE, np.nan, np.float32)
    assert correct.repair_nan_row(nothing) == SIZE
    assert (nothing == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 5, 254, 511])
def test_one_channel_that_is_no_number_is_seen_wherever_it_is(value, at):
    """Also in a sum, which the compiler may take apart."""
    x = spectra(50, 1)[0]
    assert correct.repair_nan_row(x) == 0
    assert correct.finite(x.sum())
    x[at] = value
    assert not correct.finite(x.sum())
    assert correct.repair_nan_row(x) == 1
    assert np.isfinite(x).all()
