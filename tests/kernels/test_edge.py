import numpy as np
import pytest

from live_eels.kernels.edge import STEP_EV, edge_windows
from reference import edge as plain


def _spectra(rng, n=6, channels=300):
    energies = 600 + 0.25 * np.arange(channels)
    at = rng.uniform(628, 648, n)
    lines = np.exp(-0.5 * ((energies - at[:, None]) / 1.2) ** 2)
    lines += 0.4 * np.exp(-0.5 * ((energies - at[:, None] - 11.2) / 1.5) ** 2)
    return rng.poisson(50 + 400 * lines).astype(np.float32), at


def _run(counts, channel=0.25, first=0, start=600.0, search=(625.0, 651.0), points=64):
    n, pad, margin = len(counts), 120, 4
    element, border = np.empty(n, np.int64), np.empty(n)
    out, strength = np.empty((n, points), np.float32), np.empty(n, np.float32)
    begin = (search[0] - start) / channel + 0.5 - first + pad
    many = int((search[1] - search[0]) / STEP_EV) + 1
    edge_windows(
        counts, first, counts.shape[1], pad, margin, np.array([begin]), np.array([many]),
        STEP_EV / channel, -7 / channel, 0.4 / channel, 1.6, element, border, out, strength,
    )  # fmt: skip
    return border - pad, out, strength


def test_edge_is_where_the_contrast_of_the_plain_twin_is_highest():
    counts, at = _spectra(np.random.default_rng(1))
    border, *_ = _run(counts)
    for row, found, true in zip(counts, border, at, strict=True):
        tried = np.linspace(found - 8, found + 8, 321)
        best = max(plain.contrast(row, t, 4.0, 4) for t in tried)
        assert plain.contrast(row, found, 4.0, 4) >= best - 1e-3 * abs(best)
        assert abs(600 + (found - 0.5) * 0.25 - true) < 0.3


def test_window_equals_the_plain_twin():
    counts, _ = _spectra(np.random.default_rng(2))
    border, out, _ = _run(counts)
    for row, found, seen in zip(counts, border, out, strict=True):
        expected = plain.window(row, found, -28.0, 1.6, 1.6, 64, 4)
        np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=0.05)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 9])
def test_a_spectrum_is_the_same_whichever_come_with_it(n):
    counts, _ = _spectra(np.random.default_rng(5), n)
    together = _run(counts)
    for row in range(n):
        for alone, all_of_them in zip(_run(counts[row : row + 1]), together, strict=True):
            np.testing.assert_array_equal(alone[0], all_of_them[row])


def test_strength_is_the_length_beyond_level_and_slope():
    counts, _ = _spectra(np.random.default_rng(6))
    counts[3, 150] = np.nan
    _, out, strength = _run(counts)
    x = np.arange(out.shape[1])
    for row, length in zip(np.delete(out, 3, axis=0), np.delete(strength, 3), strict=True):
        beyond = row - np.polyval(np.polyfit(x, row, 1), x)
        assert length == pytest.approx(np.linalg.norm(beyond), rel=1e-4)
    assert np.isnan(strength[3])


@pytest.mark.parametrize("slope", [-3.0, 0.0, 2.0])
def test_level_and_slope_do_not_move_the_edge(slope):
    counts, _ = _spectra(np.random.default_rng(3))
    border, _, _ = _run(counts)
    tilted = counts + (1000 + slope * np.arange(counts.shape[1])).astype(np.float32)
    moved, _, _ = _run(tilted)
    # Rounding may pick another of two equal tops: a tenth of the search step, 0.05 eV.
    np.testing.assert_allclose(moved, border, atol=0.21)


def test_window_beyond_the_axis_holds_the_end_level():
    flat = np.full((1, 90), 5.0, np.float32)
    flat[0, 40:46] += 20.0
    border, out, _ = _run(flat, search=(605.0, 614.0))
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out[0, :3], out[0, 0], atol=1e-5)
    np.testing.assert_allclose(out[0, -16:], out[0, 0], atol=1e-4)
    assert 600 < 600 + border[0] * 0.25 < 625


def test_of_several_elements_the_one_whose_edge_is_there_is_told():
    energies = 600 + 0.5 * np.arange(300)
    at = np.array([640.0, 708.0, 641.0, 707.0])
    lines = np.exp(-0.5 * ((energies - at[:, None]) / 1.2) ** 2)
    lines += 0.4 * np.exp(-0.5 * ((energies - at[:, None] - 12.0) / 1.5) ** 2)
    pad, channel, points = 80, 0.5, 32
    starts = (np.array([632.0, 700.0]) - 600) / channel + 0.5 + pad
    element, border = np.empty(4, np.int64), np.empty(4)
    edge_windows(
        (50 + 400 * lines).astype(np.float32), 0, 300, pad, 2, starts, np.array([30, 30]),
        STEP_EV / channel, -7 / channel, 0.8 / channel, 1.6, element, border,
        np.empty((4, points), np.float32), np.empty(4, np.float32),
    )  # fmt: skip
    assert element.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(600 + (border - pad - 0.5) * channel, at, atol=0.3)


def test_no_spectra():
    border, out, _ = _run(np.empty((0, 300), np.float32))
    assert border.shape == (0,)
    assert out.shape == (0, 64)
