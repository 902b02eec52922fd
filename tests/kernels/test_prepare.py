"""The parallel kernels are their row functions, one after the other."""

import numpy as np
import pytest

from live_eels.kernels import prepare, spikes
from live_eels.kernels.correct import Correction
from reference import align as plain_align
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
        raw, correction, spikes.threshold(5.2), spikes.NO_REFERENCE, shift, out, found, where, flags
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
