"""The kernels of a chunk are their row functions, one after the other."""

import numpy as np
import pytest

from live_eels.kernels import background as bg
from live_eels.kernels import prepare, rarity, spikes
from live_eels.kernels.correct import Correction
from reference import align as plain_align
from reference import background as plain_background
from reference import correct as plain_correct
from reference import spikes as plain_spikes


@pytest.mark.parametrize("dtype", ["u2", "f4"])
@pytest.mark.parametrize("n", [0, 1, 33])
def test_core_rows_equal_the_plain_chain(dtype, n):
    rng = np.random.default_rng(n)
    raw = rng.poisson(200, (n, 300)).astype(dtype)
    raw[: n // 2, 120] += 900
    dark, scale = rng.normal(50, 3, 300).astype("f4"), rng.normal(1, 0.02, 300).astype("f4")
    bad = np.array([7, 8, 250], np.int32)
    shift = rng.uniform(-4, 4, n).astype(np.float32)
    out = np.empty((n, 300), np.float32)
    found, where = np.zeros(n, np.int32), np.zeros((n, spikes.MOST_SPIKES), np.int32)
    flags = np.zeros(n, np.uint8)
    correction = Correction(dark, scale, np.float32(1e9), bad)
    prepare.prepare_core(
        raw, correction, rarity.threshold(5.2), spikes.NO_REFERENCE, shift, out, found, where, flags
    )
    for k in range(n):
        x, _ = plain_correct.correct_row(raw[k], dark, scale, 1e9)
        x = plain_correct.bridge_list(x, bad)
        expected = plain_spikes.find(x, 5.2)
        x = plain_correct.bridge_list(x, expected)
        np.testing.assert_array_equal(where[k, : found[k]], expected)
        np.testing.assert_allclose(out[k], plain_align.shift_row(x, shift[k]), atol=0.05)
        assert bool(flags[k] & prepare.SPIKES) == bool(len(expected))


def test_low_rows_equal_the_plain_chain():
    rng = np.random.default_rng(1)
    at = np.arange(300)
    centres = rng.uniform(60, 90, 40)
    raw = rng.poisson(3000 * np.exp(-0.5 * ((at - centres[:, None]) / 3) ** 2)).astype(np.uint16)
    raw[3] = 0
    correction = Correction(
        np.zeros(300, "f4"), np.ones(300, "f4"), np.float32(65535), np.zeros(0, "i4")
    )
    out, shift = np.empty((40, 300), np.float32), np.empty(40, np.float32)
    width, flags = np.empty(40, np.float32), np.zeros(40, np.uint8)
    prepare.prepare_low(raw, correction, (20, 160), 75.0, 30.0, out, shift, width, flags)
    for k in range(40):
        centre, wide = plain_align.find_zlp_row(raw[k], 20, 160, 30.0)
        if k == 3:
            assert np.isnan(centre)
            assert flags[k] == prepare.NO_ZLP
            continue
        assert shift[k] == pytest.approx(75 - centre, abs=2e-3)
        assert width[k] == pytest.approx(wide, rel=1e-4)
        np.testing.assert_allclose(out[k], plain_align.shift_row(raw[k], 75 - centre), atol=3.0)


@pytest.mark.parametrize("given", [False, True])
def test_background_is_fitted_taken_away_and_judged_row_by_row(given):
    energies = 500 + 0.5 * np.arange(300)
    rng = np.random.default_rng(2)
    spectra = rng.poisson(200 * (energies / 500) ** -3, (12, 300)).astype(np.float32)
    spectra[3] = 0
    spectra[5, 120:] = 0.01
    fit = bg.make_fit(bg.POISSON, energies, slice(20, 100), slice(120, 260), logarithmic=True)
    wanted = [plain_background.fit_poisson(x[20:100], fit.t) for x in spectra]
    found = np.array(wanted) + 0.1 if given else np.empty((0, 2))
    signal, under = np.empty((12, 140), np.float32), np.empty((12, 140), np.float32)
    quality, flags = np.empty(12, np.float32), np.full(12, prepare.SPIKES, np.uint8)
    prepare.subtract(spectra, fit, found, 120, 20.0, signal, under, quality, flags)
    for k, (x, (slope, amplitude)) in enumerate(zip(spectra, wanted, strict=True)):
        few = prepare.FEW_COUNTS if x[120:260].sum() < 20 else 0
        if k == 3:
            assert flags[k] == prepare.SPIKES | prepare.NO_BACKGROUND | few
            assert not signal[k].any()
            assert np.isnan(quality[k])
            continue
        assert flags[k] == prepare.SPIKES | few
        model = (slope + 0.1 * given, amplitude + 0.1 * given)
        curve = plain_background.curve(*model, fit.target)
        np.testing.assert_allclose(under[k], curve, rtol=3e-3)
        np.testing.assert_allclose(signal[k], x[120:260] - under[k], atol=1e-3)
        expected = plain_background.chi_square(x[20:100], fit.t, *model)
        assert quality[k] == pytest.approx(expected, rel=0.02)
    assert flags[5] & prepare.FEW_COUNTS


def test_without_a_background_the_signal_is_the_counts():
    energies = 500 + 0.5 * np.arange(300)
    spectra = np.random.default_rng(3).poisson(50, (3, 300)).astype(np.float32)
    fit = bg.make_fit(bg.FLAT, energies, slice(0, 2), slice(120, 260), logarithmic=True)
    signal, under = np.empty((3, 140), np.float32), np.ones((3, 140), np.float32)
    quality, flags = np.empty(3, np.float32), np.zeros(3, np.uint8)
    prepare.subtract(spectra, fit, np.empty((0, 2)), 120, 20.0, signal, under, quality, flags)
    np.testing.assert_array_equal(signal, spectra[:, 120:260])
    assert not under.any()
    assert not flags.any()
    assert np.isnan(quality).all()


def test_sums_of_a_fit_are_counts_and_their_moment():
    energies = 500 + 0.5 * np.arange(300)
    spectra = np.random.default_rng(4).poisson(50, (3, 300)).astype(np.float32)
    fit = bg.make_fit(bg.POISSON, energies, slice(20, 100), slice(120, 260), logarithmic=True)
    sums = np.empty((3, 2))
    prepare.sum_fit(spectra, fit, sums)
    part = spectra[:, 20:100].astype(float)
    np.testing.assert_allclose(sums[:, 0], part.sum(axis=1))
    np.testing.assert_allclose(sums[:, 1], part @ fit.t.astype(float), rtol=1e-3, atol=0.1)


def test_saturated_channels_and_those_that_are_no_numbers_are_flagged():
    raw = np.full((3, 100), 50, np.float32)
    raw[1, 40] = 1000
    raw[2, 40:42] = np.nan
    plain = Correction(np.zeros(100, "f4"), np.ones(100, "f4"), np.float32(1000), np.zeros(0, "i4"))
    out, flags, still = np.empty((3, 100), np.float32), np.zeros(3, np.uint8), np.zeros(3, "f4")
    found, where = np.zeros(3, np.int32), np.zeros((3, spikes.MOST_SPIKES), np.int32)
    nothing = rarity.threshold(0.0)
    prepare.prepare_core(raw, plain, nothing, spikes.NO_REFERENCE, still, out, found, where, flags)
    assert flags.tolist() == [0, prepare.SATURATED, prepare.SPIKES]
    assert (out[2] == 50).all()
    shift, width, flags = np.empty(3, "f4"), np.empty(3, "f4"), np.zeros(3, np.uint8)
    raw[:, 30] = 500
    prepare.prepare_low(raw, plain, (20, 60), 30.0, 30.0, out, shift, width, flags)
    assert (flags & prepare.SATURATED).tolist() == [0, prepare.SATURATED, 0]
