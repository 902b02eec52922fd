"""Noise and defects of the detector, each judged by the statistics that it should have."""

from __future__ import annotations

import numpy as np
import pytest
from live_eels.simulators.detector import (
    TOP,
    build,
    expected_counts,
    point_spread,
    read_out,
    recorded_mean,
)
from live_eels.simulators.scene import DetectorSettings
from scipy import stats

CHANNELS, SPECTRA = 64, 4000


def counts_of(
    settings: DetectorSettings,
    mean: float | np.ndarray,
    dtype: str = "f4",
    exposure_s: float = 1e-3,
    spectra: int = SPECTRA,
) -> tuple[object, np.ndarray]:
    detector = build(settings, CHANNELS, dtype, np.random.default_rng(1))
    flat = np.broadcast_to(mean, (spectra, CHANNELS + 2 * detector.reach)).astype(float)
    no_drift = np.zeros(spectra)
    counts = read_out(detector, flat, exposure_s, no_drift, np.random.default_rng(2))
    return detector, counts


@pytest.mark.parametrize("mean", [0.05, 1.0, 30.0, 4000.0])
@pytest.mark.parametrize("settings", [DetectorSettings(counting=True), DetectorSettings()])
def test_counts_are_poisson(settings: DetectorSettings, mean: float) -> None:
    """Fano factor 1: the index of dispersion against its chi-square distribution."""
    _, counts = counts_of(settings, mean)
    index = ((counts - mean) ** 2).sum() / mean
    assert 1e-4 < stats.chi2(counts.size).cdf(index) < 1 - 1e-4
    z = (counts.mean() - mean) / np.sqrt(mean / counts.size)
    assert abs(z) < 4


def test_counts_follow_the_poisson_distribution_itself() -> None:
    _, counts = counts_of(DetectorSettings(counting=True), 3.0)
    values = np.arange(12)
    seen = np.append([(counts == v).sum() for v in values], (counts >= 12).sum())
    poisson = stats.poisson(3.0)
    wanted = counts.size * np.append(poisson.pmf(values), poisson.sf(11))
    assert stats.chisquare(seen, wanted).pvalue > 1e-4


def test_point_spread_of_a_ccd_shares_noise_between_neighbours() -> None:
    """Each electron's light falls on several channels: a lone channel's Fano factor is below 1,
    neighbours are correlated, and the sum over the spectrum is Poisson again."""
    mean, settings = 200.0, DetectorSettings(psf_channels=1.0)
    detector, counts = counts_of(settings, mean)
    wanted = (detector.psf**2).sum()
    fano = counts.var(axis=0).mean() / mean
    assert fano == pytest.approx(wanted, rel=0.02)
    together = np.corrcoef(counts[:, 30], counts[:, 31])[0, 1]
    neighbour = (detector.psf[1:] * detector.psf[:-1]).sum() / wanted
    assert together == pytest.approx(neighbour, abs=0.05)
    total = counts.sum(axis=1)
    edges = 2 * detector.reach / CHANNELS
    assert total.var() / total.mean() == pytest.approx(1.0, abs=0.1 + edges)


def test_point_spread_of_a_counting_detector_leaves_counts_poisson() -> None:
    _, counts = counts_of(DetectorSettings(counting=True, psf_channels=1.0), 20.0)
    index = ((counts - 20.0) ** 2).sum() / 20.0
    assert 1e-4 < stats.chi2(counts.size).cdf(index) < 1 - 1e-4
    assert abs(np.corrcoef(counts[:, 30], counts[:, 31])[0, 1]) < 0.06


def test_long_tails_hold_their_share() -> None:
    psf = point_spread(
        DetectorSettings(psf_channels=0.5, psf_tail_weight=0.1, psf_tail_channels=20.0)
    )
    assert psf.sum() == pytest.approx(1.0)
    centre = psf.size // 2
    outside = psf[: centre - 3].sum() + psf[centre + 4 :].sum()
    assert outside == pytest.approx(0.1 * np.exp(-3.5 / 20), rel=0.05)
    detector = build(
        DetectorSettings(psf_channels=0.5, psf_tail_weight=0.1), 300, "f4", np.random.default_rng(0)
    )
    line = np.zeros((1, 300 + 2 * detector.reach))
    line[0, detector.reach + 150] = 1e6
    assert expected_counts(detector, line).sum() == pytest.approx(1e6, rel=0.01)


@pytest.mark.parametrize("counting", [True, False])
def test_gain_is_recovered(counting: bool) -> None:
    """Mean counts over flat illumination are the gain map, to the noise (chi-square)."""
    mean = 2000.0
    detector, counts = counts_of(DetectorSettings(counting=counting, gain_spread=0.05), mean)
    gain = counts.mean(axis=0) / mean
    variance = detector.gain / mean if counting else detector.gain**2 / mean
    chi2 = ((gain - detector.gain) ** 2 / (variance / SPECTRA)).sum()
    assert 1e-4 < stats.chi2(CHANNELS).cdf(chi2) < 1 - 1e-4
    assert detector.gain.std() == pytest.approx(0.05, rel=0.3)
    assert detector.gain.mean() == pytest.approx(1.0)


def test_readout_noise_and_dark_are_there_and_no_more() -> None:
    settings = DetectorSettings(dark_counts=100.0, dark_spread=5.0, readout_counts=4.0)
    detector, counts = counts_of(settings, 0.0)
    z = (counts.mean(axis=0) - detector.dark) / (4.0 / np.sqrt(SPECTRA))
    assert stats.kstest(z, "norm").pvalue > 1e-4
    scaled = (counts.var(axis=0, ddof=1) * (SPECTRA - 1) / 16.0).sum()
    assert 1e-4 < stats.chi2(CHANNELS * (SPECTRA - 1)).cdf(scaled) < 1 - 1e-4


def test_dark_drifts_with_time() -> None:
    detector = build(DetectorSettings(dark_counts=100.0), CHANNELS, "f4", np.random.default_rng(0))
    drift = np.linspace(0.0, 20.0, 50)
    counts = read_out(
        detector, np.zeros((50, CHANNELS)), 1.0, drift, np.random.default_rng(0)
    ).mean(axis=1)
    np.testing.assert_allclose(counts, 100.0 + drift, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_counts_stop_at_the_top_of_their_type(dtype: str) -> None:
    settings = DetectorSettings(counting=True)
    _, counts = counts_of(settings, 3.0 * min(TOP[dtype], 1e6), dtype, spectra=3)
    assert counts.dtype == np.dtype("<" + dtype)
    if dtype != "u4":
        assert (counts == TOP[dtype]).all()
    _, counts = counts_of(DetectorSettings(full_well_counts=200.0), 1000.0, dtype, spectra=3)
    assert (counts == 200).all()


def test_pile_up_loses_what_dead_time_says() -> None:
    """A channel that is dead for a while after each electron sees n / (1 + n tau / T)."""
    settings = DetectorSettings(counting=True, pile_up_s=1e-6)
    _, counts = counts_of(settings, 500.0, exposure_s=1e-3)
    wanted = 500.0 / (1 + 500.0 * 1e-3)
    assert counts.mean() == pytest.approx(wanted, abs=4 * np.sqrt(wanted / counts.size))


def test_dead_channels_are_zero_and_hot_ones_high() -> None:
    settings = DetectorSettings(dark_counts=50.0, dead_channels=3, hot_channels=2)
    detector, counts = counts_of(settings, 10.0, "u2", spectra=200)
    assert (~detector.alive).sum() == 3
    assert (counts[:, ~detector.alive] == 0).all()
    hot = detector.hot > 0
    assert hot.sum() == 2
    assert (counts[:, hot].mean(axis=0) > 500).all()
    assert not (hot & ~detector.alive).any()


def test_spikes_come_as_often_as_asked() -> None:
    settings = DetectorSettings(spikes_per_1000=50.0, spike_counts=3000.0)
    _, counts = counts_of(settings, 1.0, spectra=20000)
    struck = (counts > 30).any(axis=1).sum()
    wanted = 20000 * -np.expm1(-0.05 * np.exp(-25 / 3000))  # some of them are small
    assert abs(struck - wanted) < 4 * np.sqrt(wanted)


def test_recorded_mean_is_the_mean_of_what_is_recorded() -> None:
    settings = DetectorSettings(
        counts_per_electron=2.0, gain_spread=0.05, dark_counts=30.0, dark_spread=2.0,
        readout_counts=1.0, psf_channels=1.0,
    )  # fmt: skip
    ramp = np.linspace(50, 150, CHANNELS + 10)
    detector, counts = counts_of(settings, ramp)
    assert detector.reach == 5
    corrected = expected_counts(detector, ramp[None])
    wanted = recorded_mean(detector, corrected, 1e-3, np.zeros(1))[0]
    z = (counts.mean(axis=0) - wanted) / (counts.std(axis=0) / np.sqrt(SPECTRA))
    assert np.abs(z).max() < 4.5


def test_digitising_rounds_to_the_nearest() -> None:
    settings = DetectorSettings(dark_counts=100.0, readout_counts=3.0)
    _, counts = counts_of(settings, 10.0, "u2")
    assert counts.mean() == pytest.approx(110.0, abs=0.1)


def test_light_falls_where_the_electron_does() -> None:
    detector = build(DetectorSettings(psf_channels=1.5), CHANNELS, "f4", np.random.default_rng(0))
    electrons = np.zeros((1, CHANNELS + 2 * detector.reach))
    electrons[0, detector.reach + 20] = 1000.0
    [seen] = expected_counts(detector, electrons)
    assert seen.argmax() == 20
    np.testing.assert_allclose(seen[10:20], seen[30:20:-1], atol=1e-9)


def test_the_dark_that_drifts_is_in_the_recorded_mean() -> None:
    detector = build(DetectorSettings(dark_counts=50.0), CHANNELS, "f4", np.random.default_rng(0))
    mean = recorded_mean(detector, np.full((2, CHANNELS), 7.0), 1e-3, np.array([0.0, 5.0]))
    np.testing.assert_allclose(mean, np.repeat([[57.0], [62.0]], CHANNELS, axis=1))


def test_a_wide_spike_leaves_half_beside_it() -> None:
    _, counts = counts_of(DetectorSettings(spikes_per_1000=50.0), 0.0)
    rows = counts[(counts > 0).sum(axis=1) == 2]
    first = (rows > 0).argmax(axis=1)
    at = np.arange(len(rows))
    ratios = rows[at, np.minimum(first + 1, CHANNELS - 1)] / rows[at, first]
    wide = ratios[ratios > 0]  # the others are two spikes in one spectrum
    assert wide.size > 20
    assert np.median(wide) == pytest.approx(0.5)
