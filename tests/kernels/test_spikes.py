import numpy as np
import pytest
from scipy.stats import norm, poisson

from live_eels.kernels import rarity, spikes
from live_eels.kernels.correct import Correction
from reference import spikes as plain
from reference.correct import bridge_list

SIZE = 512
ENERGY = np.linspace(560.0, 740.0, SIZE)
RARE = rarity.threshold(4.78)


def shape(kind="edge"):
    """An edge with white lines on a power law, or a line of so many channels; least is 1."""
    x = (ENERGY / 740.0) ** -3
    if kind == "edge":
        x += 4 * np.exp(-0.5 * ((ENERGY - 641) / 1.2) ** 2) + 0.6 / (1 + np.exp(640 - ENERGY))
    elif kind != "slope":
        x += 20 * np.exp(-0.5 * ((np.arange(SIZE) - 200.3) * 2.355 / kind) ** 2)
    return x


def reference(mean, seen=1000, noise=1.0):
    reach = round(min(max(400 / np.median(mean), 8), SIZE))
    mean = np.asarray(mean, np.float32)
    return spikes.Reference(mean, (1 / np.maximum(seen * mean, 1)).astype("f4"), noise, reach)


def repaired(x, beside=spikes.NO_REFERENCE, rare=RARE):
    x = np.asarray(x, np.float32).copy()
    channels = np.zeros(spikes.MOST_SPIKES, np.int32)
    count = spikes.repair_spikes_row(x, rare, beside, channels)
    return x, channels[:count]


def spiked(x, seed, most=60):
    """Three spikes of one to three channels in each row."""
    rng = np.random.default_rng(seed)
    for row in x:
        for _ in range(3):
            first = rng.integers(0, SIZE - 3)
            size = rng.uniform(5, most) * np.sqrt(np.median(row) + 0.2) + 5
            row[first : first + rng.integers(1, 4)] += np.float32(round(size))
    return x


@pytest.mark.parametrize("level", [0.3, 3, 30, 1000, 1e5])
@pytest.mark.parametrize("known", [False, True])
def test_spikes_equal_the_plain_twin(level, known):
    """Which channels, and what is put there."""
    expected = level * shape()
    x = spiked(np.random.default_rng(2).poisson(expected, (40, SIZE)).astype("f4"), 3)
    beside = reference(expected) if known else spikes.NO_REFERENCE
    total = 0
    for row in x:
        found, channels = repaired(row, beside)
        np.testing.assert_array_equal(
            channels, plain.find(row, 4.78, tuple(beside) if known else None)
        )
        np.testing.assert_allclose(found, bridge_list(row, channels), rtol=1e-5)
        total += len(channels)
    assert total > 100


def recall(expected, beside, at, seed, n):
    rng = np.random.default_rng(seed)
    at = rng.choice(at, n)
    x = rng.poisson(expected, (n, SIZE)).astype(np.float32)
    x[np.arange(n), at] += np.ceil(10 * np.sqrt(expected[at]))
    return np.mean([a in repaired(row, beside)[1] for row, a in zip(x, at, strict=True)])


@pytest.mark.parametrize("level", [1, 3, 10, 100, 1e4, 1e5])
@pytest.mark.parametrize("kind", ["edge", "slope", 1.0, 4.0, 20.0])
def test_spikes_of_ten_sigma_are_found_on_any_shape(kind, level):
    """Against the scan's mean: 99 %, on the lines themselves too (two sigma of 1500 are 0.5 %)."""
    expected = level * shape(kind)
    beside = reference(expected)
    everywhere = np.arange(SIZE)
    steep = np.flatnonzero(expected > 1.3 * level * shape("slope"))
    assert recall(expected, beside, everywhere, 5, 1500) >= 0.985
    if len(steep):
        assert recall(expected, beside, steep, 6, 1500) >= 0.985


def test_below_one_count_chance_makes_as_much_as_a_small_spike():
    """Ten sigma of 0.33 counts are six counts, and chance makes six 1.3 times in a million."""
    expected = 0.33 * np.ones(SIZE)
    assert poisson.sf(5, 0.33) > norm.sf(4.78)
    assert 0.3 < recall(expected, reference(expected), np.arange(SIZE), 7, 1000) < 0.9
    x = np.random.default_rng(8).poisson(expected, (300, SIZE)).astype(np.float32)
    x[:, 99] += 8
    assert all(99 in repaired(row, reference(expected))[1] for row in x)


@pytest.mark.parametrize("level", [3, 30, 300, 3000])
def test_by_its_neighbours_alone_a_spike_is_found_where_it_is_smooth(level):
    expected = level * shape()
    smooth = np.flatnonzero(np.abs(ENERGY - 641) > 5)
    assert recall(expected, spikes.NO_REFERENCE, smooth[4:-4], 9, 1500) >= 0.98


@pytest.mark.parametrize("level", [0.3, 1, 3, 30, 300, 3000, 1e5])
@pytest.mark.parametrize("known", [False, True])
def test_clean_poisson_counts_have_no_spikes(level, known):
    """At most one in a million channels: 5 in 1e6 would be a chance of 1 in 300."""
    expected = level * shape()
    beside = reference(expected) if known else spikes.NO_REFERENCE
    x = np.random.default_rng(10).poisson(expected, (2000, SIZE))
    assert sum(len(repaired(row, beside)[1]) for row in x) < 5


@pytest.mark.parametrize("width", [1.0, 2.0, 4.0])
def test_a_sharp_line_that_the_scan_has_is_no_spike(width):
    expected = 1e4 * shape(width)
    x = np.random.default_rng(11).poisson(expected, (500, SIZE))
    assert sum(len(repaired(row, reference(expected))[1]) for row in x) <= 2


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("width", [3.5, 5.0, 8.0])
def test_a_line_that_other_pixels_lack_is_no_spike(width, known):
    """Nor is an edge: the channels beside it rise with it."""
    flat = 1e5 * shape("slope")
    beside = reference(flat) if known else spikes.NO_REFERENCE
    step = 1e5 / (1 + np.exp(300 - np.arange(SIZE)))
    for extra in (1e5 * (shape(width) - shape("slope")), step):
        x = np.random.default_rng(12).poisson(flat + extra, (50, SIZE))
        assert sum(len(repaired(row, beside)[1]) for row in x) == 0


def test_where_pixels_disagree_the_mean_spectrum_is_not_believed():
    """The same line, five times stronger here: its own neighbours decide, and find the spike."""
    mean = 100 * shape(20.0)
    here = 100 * (shape("slope") + 5 * (shape(20.0) - shape("slope")))
    x = np.random.default_rng(13).poisson(here, (200, SIZE)).astype(np.float32)
    x[:, 60] += 400
    doubt = np.where(mean > 105 * shape("slope"), 3.0, 0.001).astype(np.float32)
    beside = reference(mean)._replace(doubt=doubt)
    found = [repaired(row, beside)[1] for row in x]
    assert all(60 in channels for channels in found)
    assert sum(len(channels) for channels in found) <= 205


def test_doubt_about_a_channel_raises_what_it_takes():
    """Six sigma of counting are no spike where pixels differ by as much again."""
    flat = np.full(SIZE, 100.0)
    x = np.random.default_rng(17).poisson(flat, (300, SIZE)).astype(np.float32)
    x[:, 200] += 60
    for doubt, least, most in ((0.0, 0.5, 1.0), (0.009, 0.0, 0.2)):
        beside = reference(flat)._replace(doubt=np.full(SIZE, doubt, np.float32))
        assert least <= np.mean([200 in repaired(row, beside)[1] for row in x]) <= most


@pytest.mark.parametrize("known", [False, True])
def test_a_noisier_detector_does_not_make_spikes(known):
    """Five counts per electron: Poisson's square root is too small by sqrt(5)."""
    expected = 100 * shape()
    x = 5 * np.random.default_rng(14).poisson(expected, (500, SIZE)).astype(np.float32)
    beside = reference(5 * expected, noise=5.0) if known else spikes.NO_REFERENCE
    assert sum(len(repaired(row, beside)[1]) for row in x) <= 2
    assert spikes.noise_factor(x[0]) == pytest.approx(plain.noise_factor(x[0]), rel=1e-4)
    assert spikes.noise_factor(x[0]) == pytest.approx(5, rel=0.4)


def test_wide_spikes_are_repaired_whole():
    expected = 100 * shape()
    x = np.random.default_rng(15).poisson(expected, (100, SIZE)).astype(np.float32)
    x[:, 59:62] += [300, 1000, 300]
    found = [repaired(row, reference(expected)) for row in x]
    assert all(60 in channels for _, channels in found)
    assert sum(channels.tolist() == [59, 60, 61] for _, channels in found) > 90
    assert sum(row[59:62].max() < 400 for row, _ in found) > 90


def test_a_spectrum_of_spikes_is_bounded():
    x = np.zeros(SIZE, np.float32)
    x[10::6] = 1e6
    assert len(repaired(x, reference(np.ones(SIZE)))[1]) <= spikes.MOST_SPIKES
    assert np.isfinite(repaired(x)[0]).all()


def test_rows_are_compared_as_the_plain_twin_does():
    expected = 20 * shape()
    rng = np.random.default_rng(16)
    x = rng.poisson(expected, (30, SIZE)).astype(np.float32)
    spoilt = np.concatenate([x, np.full((2, SIZE), np.nan, np.float32)])
    one = np.ones(SIZE, np.float32)
    correction = Correction(0 * one, one, np.float32(1e9), np.zeros(0, np.int32))
    sums = np.zeros((6, SIZE))
    beside = reference(expected)
    assert spikes.compare_rows(spoilt, correction, beside, sums) == 30
    np.testing.assert_allclose(sums, plain.compare_rows(x, expected, beside.reach), rtol=1e-4)
    ratio = sums[spikes.SQUARES].sum() / sums[spikes.VARIANCE].sum()
    assert ratio == pytest.approx(1, abs=0.05)  # counting noise alone
