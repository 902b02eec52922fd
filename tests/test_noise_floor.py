"""Components above the noise, and how far each is from the truth."""

import numpy as np
import pytest

from live_eels.decompose import CERTAIN_DEG, StreamingPCA
from live_eels.noise_floor import angles_deg, band_edge, noise_floor
from spectrum_images import angle_deg, phantom


def spectrum(spikes, p, n, seed=0):
    """Variances and directions of noise with components along the first axes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    x[:, : len(spikes)] *= np.sqrt(1 + np.asarray(spikes))
    values, vectors = np.linalg.eigh(x.T @ x / n)
    return values[::-1], vectors[:, ::-1]


@pytest.mark.parametrize("shape", [(200, 100), (200, 800), (100, 2000)])
def test_components_are_counted_and_their_angles_foretold(shape):
    p, n = shape
    spikes = np.array([40.0, 12.0, 5.0])
    values, vectors = spectrum(spikes, p, n)
    floor = noise_floor(values[:16], values.sum(), p, {1.0: n})
    assert floor.components == 3
    assert floor.level == pytest.approx(1.0, abs=0.1)
    real = np.degrees(np.arccos(np.abs(np.diagonal(vectors[:3, :3]))))
    np.testing.assert_allclose(angles_deg(values[:3], floor.level, p, n), real, rtol=0.2, atol=1)


def test_noise_alone_has_no_component_and_no_direction():
    values, _ = spectrum([], 100, 300)
    floor = noise_floor(values[:16], values.sum(), 100, {1.0: 300})
    assert floor.components == 0
    assert (angles_deg(values[2:16], floor.level, 100, 300) > 45).all()


@pytest.mark.parametrize(("p", "n"), [(100, 50), (100, 400), (2048, 16384)])
def test_the_band_of_like_spectra_ends_where_marchenko_and_pastur_say(p, n):
    for weight in (1.0, 3.0):
        assert band_edge(p, {weight: n}) == pytest.approx((1 + np.sqrt(p / n)) ** 2, rel=1e-6)


@pytest.mark.parametrize("weights", [{1.0: 600, 4.0: 150}, {1.0: 300, 2.5: 300, 16.0: 60}])
def test_the_band_of_unlike_spectra_ends_at_the_largest_variance_of_noise(weights):
    p = 400
    rng = np.random.default_rng(0)
    gram = sum(w * (x := rng.normal(size=(n, p))).T @ x for w, n in weights.items())
    largest = np.linalg.eigvalsh(gram)[-1] / sum(w * n for w, n in weights.items())
    assert band_edge(p, weights) == pytest.approx(largest, rel=0.03)


@pytest.mark.parametrize("edge_counts", [50, 500, 5000])
def test_what_is_called_certain_early_is_right(edge_counts):
    x, _ = phantom((64, 64), 512, edge_counts)
    x = x[np.random.default_rng(3).permutation(len(x))]
    pca = StreamingPCA(512)
    pca.learn(x[: len(x) // 10])
    early, sure = pca.factors[: pca.components].copy(), pca.certain.copy()
    pca.learn(x[len(x) // 10 :])
    pca.finish()
    scale = np.sqrt(pca.mean / pca.mean.mean())[:, None]
    late = pca.factors[: pca.components].T / scale
    assert sure.any()
    assert angle_deg(late, early[sure].T / scale) <= CERTAIN_DEG
    if edge_counts == 50:  # some are seen already, but not well yet
        assert not sure.all()
        assert angle_deg(late, early.T / scale) > CERTAIN_DEG
    assert pca.certain.all() or edge_counts == 50
