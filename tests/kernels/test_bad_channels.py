import numpy as np
import pytest

from live_eels.kernels.bad_channels import find_bad_channels

NONE = np.zeros(0, np.int32)


def total(seed=0, level=500.0, channels=600):
    at = np.arange(float(channels))
    shape = level * (1 + at / 300) ** -3
    shape += 3 * level * np.exp(-0.5 * ((at - 300) / 3) ** 2) + level * 0.5 / (1 + np.exp(298 - at))
    return np.random.default_rng(seed).poisson(shape * 64).astype(float)


def test_a_good_detector_has_none():
    for seed in range(20):
        assert find_bad_channels(total(seed), NONE).size == 0


@pytest.mark.parametrize("channels", [[100], [100, 101], [50, 300, 303], [2, 597]])
@pytest.mark.parametrize("factor", [0.0, 0.4, 3.0])
def test_hot_and_dead_channels_are_found_and_their_neighbours_are_not(channels, factor):
    x = total()
    x[channels] *= factor
    if factor == 0.4:  # weak ones on a peak's flank, or side by side, look like structure
        channels = [channel for channel in channels if channel not in (101, 300, 303)]
        x = total()
        x[channels] *= factor
    np.testing.assert_array_equal(find_bad_channels(x, NONE), channels)


@pytest.mark.parametrize("width", [1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("height", [1, 4, 20])
def test_a_sharp_line_is_no_hot_channel(width, height):
    """Wherever it lies between channels; one beside a hot channel is left, too."""
    for offset in np.linspace(0, 1, 11):
        line = np.exp(-0.5 * ((np.arange(600) - 200 - offset) * 2.355 / width) ** 2)
        x = np.random.default_rng(3).poisson(1e6 * (1 + height * line)).astype(float)
        assert find_bad_channels(x, NONE).size == 0
        x[400] *= 3
        assert find_bad_channels(x, NONE).tolist() == [400]


@pytest.mark.parametrize("channels", [[0], [1], [598], [599], [0, 1, 598, 599]])
def test_the_outer_two_channels_have_too_few_neighbours_to_be_judged(channels):
    x = total()
    x[channels] *= 3
    assert find_bad_channels(x, NONE).size == 0


@pytest.mark.parametrize("counts", [0.3, 3.0, 30.0])
def test_noise_of_few_counts_is_no_fault(counts):
    for seed in range(20):
        x = np.random.default_rng(seed).poisson(counts, 600).astype(float)
        assert find_bad_channels(x, NONE).size == 0


@pytest.mark.parametrize("counts", [0.3, 3.0, 30.0])
def test_readout_noise_is_no_fault(counts):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.poisson(counts, 600) + rng.normal(size=600) * 100
        assert find_bad_channels(x, NONE).size == 0
        x[300] += 4000
        assert find_bad_channels(x, NONE).tolist() == [300]


def test_an_empty_channel_is_known_from_few_counts():
    missed = 0
    for seed in range(50):
        x = np.random.default_rng(seed).poisson(45.0, 600).astype(float)
        assert find_bad_channels(x, NONE).size == 0
        x[[100, 300, 301]] = 0
        found = find_bad_channels(x, NONE).tolist()
        missed += found != [100, 300, 301]
        assert set(found) <= {100, 300, 301}
    assert missed <= 5  # of 50


def test_a_detector_of_which_too_much_sticks_out_is_left_as_it_is():
    x = total(channels=1600)
    x[20:1580:16] *= 3
    assert find_bad_channels(x, np.array([7], np.int32)).tolist() == [7]


def test_known_ones_are_kept_and_bridged():
    known = np.array([7, 9], np.int32)
    np.testing.assert_array_equal(find_bad_channels(total(), known), known)
    x = total()
    x[[7, 9]] = 1e9
    x[100] *= 3
    np.testing.assert_array_equal(find_bad_channels(x, known), [7, 9, 100])
