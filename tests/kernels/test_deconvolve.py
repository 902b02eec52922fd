import numpy as np
import pytest
from scipy.signal import fftconvolve

from live_eels.kernels import deconvolve

SIZE = 600
AT = np.arange(SIZE, dtype=float)


def plasmons(thickness, zero=80, counts=1e6, width=3.0):
    """Low loss with Poisson-distributed plural scattering, made by plain convolutions."""
    zlp = np.exp(-0.5 * ((AT - zero) * 2.355 / width) ** 2)
    zlp /= zlp.sum()
    single = np.exp(-0.5 * ((AT - 60) / 12) ** 2)
    single /= single.sum()
    low, term = np.zeros(SIZE), zlp * np.exp(-thickness)
    for n in range(1, 12):
        low += term
        term = fftconvolve(term, single)[:SIZE] * thickness / n
    return counts * low, counts * np.exp(-thickness) * zlp, single


def edge(size=400):
    at = np.arange(size, dtype=float)
    return 100 / (1 + np.exp(-(at - 60) / 2)) * np.exp(-at / 300) + 300 * np.exp(
        -0.5 * ((at - 66) / 5) ** 2
    )


@pytest.mark.parametrize("thickness", [0.1, 0.7, 2.0])
def test_fourier_ratio_gives_back_the_single_scattering_edge(thickness):
    low, zlp, _ = plasmons(thickness)
    single = edge()
    plural = fftconvolve(single, low / low.sum())[80:480]
    found = deconvolve.fourier_ratio(
        plural[None].astype(np.float32), low[None].astype(np.float32), 80,
        np.array([3.0], np.float32), np.array([zlp.sum()], np.float32),
    )[0]  # fmt: skip
    # What comes back is the edge at the peak's resolution, times the share of the zero loss.
    wide = np.convolve(single, zlp[60:101] / zlp.sum(), "same") * (zlp.sum() / low.sum())
    np.testing.assert_allclose(found[20:300], wide[20:300], atol=0.06 * wide.max())
    assert found[:300].sum() == pytest.approx(wide[:300].sum(), rel=0.03)


@pytest.mark.parametrize("thickness", [0.1, 1.0, 2.5])
def test_fourier_log_gives_back_single_scattering(thickness):
    low, zlp, single = plasmons(thickness)
    found = deconvolve.fourier_log(
        low[None].astype(np.float32), 80, np.array([3.0], np.float32),
        zlp[None].astype(np.float32),
    )[0]  # fmt: skip
    assert found[15:].sum() / zlp.sum() == pytest.approx(thickness, rel=0.03)
    expected = thickness * zlp.sum() * single[: found.size]
    np.testing.assert_allclose(found[25:150], expected[25:150], atol=0.08 * expected.max())


def test_zero_counts_are_safe():
    nothing = np.zeros((2, SIZE), np.float32)
    net = np.ones((2, 400), np.float32)
    unknown = np.array([np.nan, 3.0], np.float32)
    counts = np.array([np.nan, 0.0], np.float32)
    np.testing.assert_array_equal(deconvolve.fourier_ratio(net, nothing, 80, unknown, counts), net)
    assert np.isnan(deconvolve.fourier_log(nothing, 80, unknown, nothing)).all()


def test_low_dose_is_not_blown_up():
    """At 200 electrons in the low loss the result stays within twice the edge itself."""
    low, zlp, _ = plasmons(0.5, counts=200)
    rng = np.random.default_rng(0)
    lows = rng.poisson(np.maximum(low, 0), (50, SIZE)).astype(np.float32)
    net = np.tile(edge().astype(np.float32), (50, 1))
    counts = np.full(50, zlp.sum(), np.float32)
    found = deconvolve.fourier_ratio(net, lows, 80, np.full(50, 3.0, np.float32), counts)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 2 * net.max()


@pytest.mark.parametrize(("offset", "dispersion", "wanted"), [
    (-20.0, 0.5, 0.25), (-20.1, 0.5, 0.5), (-20.0, 0.25, 0.6), (-20.0, 0.5, 0.5),
])  # fmt: skip
def test_dispersions_are_matched_and_counts_conserved(offset, dispersion, wanted):
    energy = offset + dispersion * np.arange(300)
    low = np.exp(-0.5 * (energy / 1.5) ** 2) + 0.1 * np.exp(-0.5 * ((energy - 22) / 5) ** 2)
    found, zero = deconvolve.match_dispersion(
        low[None].astype(np.float32), offset, dispersion, wanted
    )
    assert found.sum() == pytest.approx(low.sum(), rel=1e-3)
    at = (np.arange(found.shape[1]) - zero) * wanted
    peak = np.abs(at) < 4
    assert np.average(at[peak], weights=found[0][peak]) == pytest.approx(0.0, abs=0.02)


def test_convolved_references_are_plain_convolutions():
    low, _, _ = plasmons(0.6)
    at = np.arange(300.0)
    sharp = np.stack([np.exp(-0.5 * ((at - 180) / 2) ** 2), np.exp(-0.5 * ((at - 190) / 4) ** 2)])
    found = deconvolve.convolve_low_loss(
        sharp[None].astype(np.float32), low[None].astype(np.float32), 80, 150
    )
    assert found.shape == (1, 1, 2, 150)
    expected = np.stack([fftconvolve(row, low)[80 + 150 : 80 + 300] for row in sharp])
    expected /= expected.max()
    np.testing.assert_allclose(found[0, 0], expected, atol=2e-3)
