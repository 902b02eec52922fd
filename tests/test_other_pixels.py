import numpy as np
import pytest

from live_eels.kernels.bad_channels import find_bad_channels
from live_eels.kernels.correct import Correction
from live_eels.kernels.spikes import NO_REFERENCE, SQUARES
from live_eels.other_pixels import EdgeTracks, Typical

CHANNELS = 200
NONE = np.zeros(0, np.int32)
ONE = np.ones(CHANNELS, np.float32)
PLAIN = Correction(0 * ONE, ONE, np.float32(1e9), NONE)
LEVEL = 50 + 400 * np.exp(-0.5 * ((np.arange(CHANNELS) - 90) / 3) ** 2)


def counts(n, seed=0, factor=1.0):
    return np.random.default_rng(seed).poisson(factor * LEVEL, (n, CHANNELS)).astype(np.float32)


def fed(rows, typical=None, chunk=50, correction=PLAIN):
    """As preprocessing does it: cut where it is time to look."""
    typical = typical or Typical(len(rows), CHANNELS)
    for start in range(0, len(rows), chunk):
        pixels = np.arange(start, min(start + chunk, len(rows)))
        while len(pixels):
            n = typical.before_look(pixels)
            typical.add(pixels[:n], rows[pixels[:n]], correction)
            if typical.due:
                typical.look(correction.bad)
            pixels = pixels[n:]
    return typical


def test_the_reference_is_the_mean_spectrum():
    typical = fed(counts(500))
    typical.look(NONE)
    reference = typical.reference
    np.testing.assert_allclose(reference.mean, LEVEL, rtol=0.03)
    assert reference.noise == 1.0
    assert reference.reach == 8
    assert np.median(reference.doubt) * 50 < 0.1  # of the counting noise
    assert typical.looked_at == 500


def test_early_pixels_have_nothing_to_go_by():
    typical = Typical(4096, CHANNELS)
    assert typical.before_look(np.arange(100)) == 8
    fed(counts(15), typical)
    assert typical.reference is NO_REFERENCE
    fed(counts(16), Typical(4096, CHANNELS))
    assert fed(counts(16)).reference.mean.size == CHANNELS


@pytest.mark.parametrize("side", [64, 500, 1000, 1024])
def test_the_pixels_that_stand_for_all_lie_all_over_the_scan(side):
    typical = Typical(side**2, CHANNELS)
    chosen = np.flatnonzero(typical.chosen(np.arange(side**2)))[64:]
    where = np.stack(np.divmod(chosen, side)) * 8 // side
    in_each = np.bincount(where[0] * 8 + where[1], minlength=64)
    assert in_each.min() > 0.5 * in_each.mean()


@pytest.mark.parametrize("chunk", [1, 7, 300])
def test_it_does_not_depend_on_chunks(chunk):
    rows = counts(300)
    expected, found = fed(rows), fed(rows, chunk=chunk)
    for name in ("mean", "doubt", "noise", "reach"):
        np.testing.assert_array_equal(
            getattr(found.reference, name), getattr(expected.reference, name)
        )


def test_a_large_scan_is_told_by_a_thousand_of_its_pixels():
    typical = Typical(100_000, CHANNELS)
    pixels = np.arange(100_000)
    rows = np.broadcast_to(counts(1), (100_000, CHANNELS))
    typical.add(pixels, rows, PLAIN)
    assert 1024 <= typical.looked_at <= 1200


def test_one_spike_does_not_hide_the_next():
    rows = counts(64)
    rows[20, 150] += 1e5
    typical = fed(rows)
    assert typical.reference.mean[150] == pytest.approx(50, rel=0.1)
    assert typical.reference.doubt[150] < 0.01


def test_where_pixels_differ_there_is_doubt():
    rows = counts(256)
    line = slice(89, 92)  # no wider than what is left out of the brightness
    rows[::2, line] += np.random.default_rng(1).poisson(2 * LEVEL[line], (128, 3))
    doubt = fed(rows).reference.doubt
    assert doubt[90] > 0.1
    assert np.median(doubt[:60]) < 0.002


@pytest.mark.parametrize("level", [0.4, 2.0])
def test_the_scatter_of_few_counts_is_no_doubt(level):
    """Over a thousand pixels it is known to 7 % at each channel, and better from its neighbours."""
    rows = np.random.default_rng(7).poisson(level, (1000, CHANNELS)).astype(np.float32)
    doubt = fed(rows).reference.doubt * level  # variance over that of counting
    assert np.median(doubt) < 0.01
    assert np.quantile(doubt, 0.95) < 0.04


def test_thickness_alone_is_no_doubt():
    thick = np.random.default_rng(2).uniform(0.3, 3, (256, 1))
    rows = np.random.default_rng(3).poisson(thick * LEVEL).astype(np.float32)
    assert np.median(fed(rows).reference.doubt) * 50 < 0.2


def test_few_counts_are_averaged_over_channels_and_brightness_over_many():
    low = 0.01
    reference = fed(counts(1000, factor=low)).reference
    smooth = np.r_[20:60, 130:180]
    assert reference.mean[smooth].std() < 0.3 * np.sqrt(50 * low / 1000)
    assert reference.mean[90] == pytest.approx(450 * low, rel=0.1)
    assert reference.reach == CHANNELS


def test_a_noisy_detector_is_known():
    assert fed(5 * counts(256)).reference.noise == pytest.approx(5, rel=0.15)


def test_dark_gain_and_bad_channels_are_out_of_it():
    rng = np.random.default_rng(4)
    dark, gain = rng.normal(90, 5, CHANNELS), rng.normal(1, 0.1, CHANNELS)
    rows = (counts(200) * gain + dark).astype(np.float32)
    rows[:, 33] = 1e6
    rows[7] = np.nan
    correction = Correction(
        dark.astype("f4"), (1 / gain).astype("f4"), np.float32(1e9), np.array([33], np.int32)
    )
    typical = fed(rows, correction=correction)
    assert typical.looked_at == 199
    np.testing.assert_allclose(typical.reference.mean, LEVEL, rtol=0.1, atol=2)
    assert typical.total[33] > 1e8  # bad channels are found from what was measured
    assert np.isfinite(typical._sums[SQUARES]).all()


def test_one_spike_makes_no_channel_bad():
    rows = counts(64, factor=0.05)
    rows[20, 150] += 3000
    typical = fed(rows, Typical(4096, CHANNELS))
    assert find_bad_channels(typical.steady, NONE).size == 0
    assert find_bad_channels(typical.total, NONE).tolist() == [150]
    rows[:, 150] += 3000
    typical = fed(rows, Typical(4096, CHANNELS))
    assert find_bad_channels(typical.steady, NONE).tolist() == [150]


def tracked(positions_ev, span=20):
    """Tracks of an onset that moves so, in eV on a 0.5 eV axis."""
    energy = np.arange(400) * 0.5
    step = 1 / (1 + np.exp(-(energy - 100 - positions_ev[:, None]) / 0.5))
    rows = np.random.default_rng(5).poisson(50 + 400 * step).astype(np.float32)
    tracks = EdgeTracks([(150, 251)], 0.5, len(rows), span)
    return tracks, rows


def test_edges_are_followed_slowly_and_settled_over_the_whole_scan():
    moved = np.linspace(-3, 3, 300)
    tracks, rows = tracked(moved)
    pixels = np.arange(300)
    live = np.concatenate([tracks.shift_ev(p, rows[p], learn=True) for p in pixels.reshape(-1, 50)])
    tracks.settle()
    settled = tracks.shift_ev(pixels, rows, learn=False)
    assert live.dtype == settled.dtype == np.float32
    assert np.abs(settled + moved)[10:-10].max() < 0.3
    other, rows = tracked(moved)
    order = np.random.default_rng(6).permutation(300)
    for part in order.reshape(-1, 30):
        other.shift_ev(part, rows[part], learn=True)
    other.settle()
    np.testing.assert_array_equal(other.shift_ev(pixels, rows, learn=False), settled)


def test_a_jump_of_a_few_pixels_is_chemistry():
    moved = np.zeros(300)
    moved[100:107] = 2.0
    tracks, rows = tracked(moved)
    tracks.shift_ev(np.arange(300), rows, learn=True)
    tracks.settle()
    assert np.abs(tracks.shift_ev(np.arange(300), rows, learn=False)).max() < 0.2
