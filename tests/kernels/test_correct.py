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


def repaired(x, sigmas=5.2):
    x = x.copy()
    channels = np.zeros(correct.MOST_SPIKES, np.int32)
    count = correct.repair_spikes_row(x, np.float32(sigmas), channels)
    return x, channels[:count]


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


@pytest.mark.parametrize("level", [3, 30, 1000, 1e5])
def test_spikes_equal_the_plain_twin(level):
    rng = np.random.default_rng(2)
    for x in spectra(level, 60, seed=int(level)):
        for _ in range(3):
            first = rng.integers(0, SIZE - 3)
            size = rng.uniform(5, 60) * np.sqrt(level) + 5
            x[first : first + rng.integers(1, 4)] += np.float32(round(size))
        found, channels = repaired(x)
        expected, expected_channels = plain.repair_spikes_row(x, 5.2)
        np.testing.assert_array_equal(channels, expected_channels)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("level", [30, 300, 3000])
def test_spikes_of_ten_sigma_are_found(level):
    """99 %; on a white line's own flanks, where a spike looks like the line, most of them."""
    x = spectra(level, 4000, seed=5)
    expected = x.mean(axis=0)
    at = np.random.default_rng(6).integers(4, SIZE - 4, len(x))
    x[np.arange(len(x)), at] += np.round(10 * np.sqrt(expected[at]))
    found = np.array([channel in repaired(row)[1] for row, channel in zip(x, at, strict=True)])
    energy = np.linspace(560.0, 740.0, SIZE)[at]
    smooth = np.abs(energy - 641) > 5
    assert found[smooth].mean() >= 0.99
    assert found.mean() >= 0.95


@pytest.mark.parametrize("level", [0.3, 3, 30, 300, 3000, 1e5])
def test_clean_poisson_counts_have_no_spikes(level):
    """At most one in a million channels: 3 in 2e6 would already be a chance of 30 %."""
    x = spectra(level, 4000, seed=7)
    false = sum(len(repaired(row)[1]) for row in x)
    assert false <= 1e-6 * x.size + 3


def test_a_noisier_detector_does_not_make_spikes():
    """Five counts per electron: Poisson's square root is too small by sqrt(5)."""
    x = 5 * spectra(100, 500, seed=8)
    assert sum(len(repaired(row)[1]) for row in x) <= 2


def test_sharp_real_lines_are_no_spikes():
    energy = np.arange(SIZE) - 200.3
    for width in (3.5, 5.0, 8.0):  # full width at half maximum in channels
        shape = 1e5 * (1 + 20 * np.exp(-0.5 * (energy * 2.355 / width) ** 2))
        x = np.random.default_rng(9).poisson(shape, (50, SIZE)).astype(np.float32)
        assert sum(len(repaired(row)[1]) for row in x) == 0
