"""Streaming PCA: against batch decompositions, and the rules of a live learner."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from learner_checks import CHECKS, Candidate, learned, remembered
from live_eels.decompose import StreamingPCA
from live_eels.decompose_settings import DecomposeSettings, sample_share
from spectrum_images import angle_deg, keenan_kotula, phantom

SMALL = DecomposeSettings(
    width=6, block_pixels=64, full_pixels=300, later_share=0.5, growth=0.2, update_pixels=256
)


def streamed(x, chunk=100, config=None, seed=0):
    pca = StreamingPCA(x.shape[1], config or DecomposeSettings(), seed)
    for start in range(0, len(x), chunk):
        pca.learn(x[start : start + chunk])
    pca.finish()
    return pca


def weighted(pca):
    """Orthonormal directions of the significant factors in weighted space."""
    scale = np.sqrt(pca.mean / pca.mean.sum())
    return (pca.factors[: pca.components] / scale).T


def spare(answer):
    return np.isnan(answer).all(axis=1)


ROWS = phantom((20, 35), 40, 400)[0]
CANDIDATE = Candidate(
    make=lambda seed: StreamingPCA(40, SMALL, seed),
    read=lambda pca, rows: pca.transform(rows),
    rows=ROWS,
    unknown=spare,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
def test_exam(check):
    check(CANDIDATE)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, len(ROWS)), max_size=12))
def test_state_depends_on_the_order_of_pixels_alone(cuts):
    assert remembered(learned(CANDIDATE, cuts)) == remembered(learned(CANDIDATE))


@pytest.mark.parametrize("edge_counts", [50, 500, 5000])
def test_one_pass_equals_scikit_learn_on_weighted_spectra(edge_counts):
    x, _ = phantom((64, 64), 512, edge_counts)
    pca = streamed(x)
    batch = keenan_kotula(x)
    # scikit-learn centres: with each spectrum also taken negative the mean is zero anyway
    oracle = PCA(8, svd_solver="covariance_eigh").fit(np.concatenate([batch, -batch]))
    k = pca.components
    assert k == 4
    assert angle_deg(oracle.components_[:k].T, weighted(pca)) < 0.1
    variance = oracle.explained_variance_[:8] / oracle.explained_variance_[1]
    np.testing.assert_allclose(pca.scree[:8] / pca.scree[1], variance, rtol=1e-2)


@pytest.mark.parametrize("edge_counts", [50, 500, 5000])
@pytest.mark.filterwarnings("ignore")
def test_one_pass_equals_hyperspy(edge_counts):
    hs = pytest.importorskip("hyperspy.api")
    x, _ = phantom((40, 40), 300, edge_counts)
    signal = hs.signals.Signal1D(x.reshape(40, 40, 300).astype(float))
    signal.decomposition(
        normalize_poissonian_noise=True, output_dimension=8, print_info=False, algorithm="SVD"
    )
    pca = streamed(x)
    k = pca.components
    theirs = signal.learning_results.factors[:, :k]
    assert angle_deg(theirs, pca.factors[:k].T) < 2.0
    # the model is the same, too: loadings times factors
    model = signal.learning_results.loadings[:, :k] @ theirs.T
    ours = pca.transform(x)[:, :k] @ pca.factors[:k]
    assert np.linalg.norm(ours - model) < 0.01 * np.linalg.norm(model)


def test_after_a_tenth_of_a_scan_the_basis_is_near_the_final_one():
    x, _ = phantom((128, 128), 256, 500)
    x = x[np.random.default_rng(3).permutation(len(x))]  # a tenth that has seen every phase
    final = streamed(x)
    early = StreamingPCA(256)
    early.learn(x[: len(x) // 10])
    k = final.components
    assert early.components == k
    assert angle_deg(weighted(final), weighted(early)) < 10


@pytest.mark.parametrize("edge_counts", [100, 1000])
def test_components_are_counted_by_the_noise_floor(edge_counts):
    x, phase = phantom((48, 48), 400, edge_counts)
    assert streamed(x).components == 4
    assert streamed(x[phase == 3]).components == 1
    pure_noise = np.random.default_rng(0).poisson(3.0, (2000, 300)).astype(np.float32)
    pca = streamed(pure_noise)
    assert pca.components == 1
    assert pca.scree[1] < pca.noise_edge < pca.scree[0]


def test_weighted_noise_has_unit_variance_in_every_direction():
    noise = np.random.default_rng(0).poisson(np.linspace(2, 40, 60), (40_000, 60))
    pca = streamed(noise.astype(np.float32), 1000, DecomposeSettings(full_pixels=40_000))
    np.testing.assert_allclose(pca.scree[1:16], 1.0, atol=0.15)
    loadings = pca.transform(noise.astype(np.float32))
    np.testing.assert_allclose(loadings[:, 1:].var(axis=0), noise.sum(axis=1).mean(), rtol=0.12)


def test_factors_keep_sign_and_order_while_the_scan_goes_on():
    x, _ = phantom((64, 64), 300, 300)
    x = x[np.random.default_rng(4).permutation(len(x))]
    pca = StreamingPCA(300)
    last, version = None, 0
    for start in range(0, len(x), 64):
        pca.learn(x[start : start + 64])
        if start < 1000 or pca.basis_version == version:
            continue
        version = pca.basis_version
        assert pca.components == 4
        now = weighted(pca)
        if last is not None:
            overlap = np.sum(now * last, axis=0)
            assert (overlap > 0.9).all()
        last = now
    assert version > 5


def test_a_component_whose_variance_overtakes_another_keeps_its_place():
    rng = np.random.default_rng(0)
    e = np.arange(200)
    first, second = np.exp(-0.5 * ((e[None] - np.array([[60], [140]])) / 5) ** 2)

    def spectra(a, b, n=1500):
        mean = 20 + rng.random((n, 1)) * a * first + rng.random((n, 1)) * b * second
        return rng.poisson(mean).astype(np.float32)

    pca = StreamingPCA(200)
    pca.learn(spectra(40, 20))
    before = pca.factors[:3].copy()
    pca.learn(spectra(5, 120, 4000))
    peak = [np.argmax(np.abs(f - np.median(f))) for f in (before[1], pca.factors[1])]
    assert abs(peak[0] - peak[1]) < 10


def test_what_is_new_is_in_the_basis_before_the_next_refresh_is_due():
    x, phase = phantom((64, 64), 256, 2000)
    early, late = x[phase != 3][:2000], x[phase == 3][:200]
    pca = StreamingPCA(256)
    pca.learn(early)
    known = pca.basis_version
    pca.learn(early[: pca._next_update - pca._absorbed - 1])
    assert pca.basis_version == known  # nothing new
    pca = StreamingPCA(256)
    pca.learn(early)
    assert len(late) < pca._next_update - pca._absorbed
    components = pca.components
    pca.learn(late)
    assert pca.basis_version > known
    assert pca.components == components + 1


def test_rotated_loadings_are_the_loadings_of_the_new_basis():
    x, _ = phantom((64, 64), 300, 1000)
    x = x[np.random.default_rng(5).permutation(len(x))]
    pca = StreamingPCA(300)
    assert pca.take_rotation() is None
    pca.learn(x[:1500])
    assert pca.take_rotation() is not None
    assert pca.take_rotation() is None
    loadings = pca.transform(x[:1500])
    pca.learn(x[1500:])
    rotation, offset = pca.take_rotation()
    k = pca.components
    follow = (loadings @ rotation + offset)[:, :k]
    exact = pca.transform(x[:1500])[:, :k]
    noise = np.sqrt(x[:1500].sum(axis=1, keepdims=True))
    assert np.sqrt(np.mean(((follow - exact) / noise) ** 2)) < 0.5  # noise is 1


def test_cost_of_following_does_not_depend_on_channels():
    pca = streamed(phantom((20, 20), 600, 500)[0])
    rotation, offset = pca.take_rotation()
    assert rotation.shape == (pca.width, pca.width)
    assert offset.shape == (pca.width,)


@pytest.mark.parametrize("shards", [2, 4])
def test_learners_of_shards_merge_into_one_pass(shards):
    x, _ = phantom((64, 64), 256, 200)
    whole = streamed(x)
    parts = [StreamingPCA(256) for _ in range(shards)]
    for number, part in enumerate(parts):
        part.learn(x[number::shards])
    merged = parts[0]
    for part in parts[1:]:
        merged.merge(part)
    merged.finish()
    assert merged.seen == whole.seen
    assert merged.components == whole.components
    assert angle_deg(weighted(whole), weighted(merged)) < 0.1
    np.testing.assert_allclose(merged.scree, whole.scree, rtol=1e-3)
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-4)


def test_only_learners_alike_merge():
    with pytest.raises(ValueError, match="cannot be merged"):
        StreamingPCA(10).merge(StreamingPCA(11))
    with pytest.raises(ValueError, match="cannot be merged"):
        StreamingPCA(10).merge(StreamingPCA(10, SMALL))


def test_thinned_later_pixels_leave_the_basis_close_to_all_of_them():
    x, _ = phantom((96, 96), 256, 1000)
    thin = streamed(x, config=DecomposeSettings(full_pixels=1024, later_share=0.05))
    whole = streamed(x)
    assert thin.components == whole.components
    assert (
        angle_deg(weighted(whole), weighted(thin)) < 1.5
    )  # more than 4 were only the sample counted
    np.testing.assert_allclose(thin.mean, whole.mean, rtol=1e-4)
    np.testing.assert_allclose(thin.scree[:4], whole.scree[:4], rtol=0.02)
    np.testing.assert_allclose(thin.angles_deg[:3], whole.angles_deg[:3], rtol=0.25)


def test_a_component_of_later_pixels_is_found_among_the_thinned_ones():
    x, phase = phantom((96, 96), 256, 1000)
    x = x[np.argsort(phase == phase.max(), kind="stable")]  # one phase comes last
    thin = streamed(x, config=DecomposeSettings(full_pixels=1024, later_share=0.05))
    whole = streamed(x)
    assert thin.components == whole.components
    found = angle_deg(weighted(whole), weighted(thin))
    assert found < 2 * thin.angles_deg[: thin.components].max() + 0.5
    assert thin.angles_deg[: thin.components].max() > whole.angles_deg[: whole.components].max()


def test_the_sample_of_later_pixels_never_tells_less_than_before():
    config = DecomposeSettings(full_pixels=1000, later_share=0.1)
    learnt, squared, told = 1000, 1000.0, []
    while learnt < 20_000:
        learnt += 10
        squared += 10 / sample_share(learnt, config)
        told.append(learnt**2 / squared)
    assert min(np.diff(told)) > -0.1
    assert told[0] == pytest.approx(1000, rel=0.01)
    assert told[-1] > 2000


def test_components_can_be_set_and_given_back_to_the_noise_floor():
    pca = streamed(phantom((32, 32), 200, 500)[0])
    free = pca.components
    version = pca.basis_version
    pca.set_components(2)
    assert pca.components == 2
    assert pca.basis_version > version
    pca.set_components(None)
    assert pca.components == free


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_fewer_channels_than_components(channels):
    x = np.random.default_rng(0).poisson(20, (100, channels)).astype(np.float32)
    pca = streamed(x)
    loadings = pca.transform(x)
    assert loadings.shape == (100, 16)
    np.testing.assert_allclose(loadings @ pca.factors, x, rtol=1e-3, atol=1e-2)


def test_fewer_pixels_than_components():
    x, _ = phantom((1, 3), 300, 1000)
    pca = streamed(x)
    assert np.isfinite(pca.transform(x)).all()
    assert pca.components >= 1


def test_rows_without_counts_teach_nothing():
    x, _ = phantom((30, 30), 100, 500)
    dirty = x.copy()
    dirty[::7] = 0
    dirty[3::7] = -5
    keep = np.ones(len(x), bool)
    keep[::7] = keep[3::7] = False
    pca, want = streamed(dirty), streamed(x[keep])
    assert angle_deg(weighted(want), weighted(pca)) < 0.5
    assert (pca.transform(dirty[:1]) == 0).all()


def test_residual_is_one_for_noise_and_more_where_the_components_lack_something():
    x, _ = phantom((40, 40), 200, 500)
    strange = x[:200] * 1.0
    strange[:, 150:156] += np.random.default_rng(1).poisson(60, (200, 6))
    pca = streamed(x)
    assert np.median(pca.rebuild(x, pca.transform(x)).residual) == pytest.approx(1.0, abs=0.06)
    assert np.median(pca.rebuild(strange, pca.transform(strange)).residual) > 3
    one = streamed(x, config=DecomposeSettings(components=1))
    assert np.median(one.rebuild(x, one.transform(x)).residual) > 1.2
    fresh = StreamingPCA(200)
    assert np.isnan(fresh.rebuild(x, fresh.transform(x)).residual).all()


def test_dead_channels_do_no_harm():
    x, _ = phantom((40, 40), 200, 500)
    x[:, [0, 57, 199]] = 0
    pca = streamed(x)
    assert pca.components == 4
    assert np.isfinite(pca.factors).all()


def test_equal_weights_are_ordinary_pca_about_zero():
    x, _ = phantom((40, 40), 200, 2000)
    pca = streamed(x, config=DecomposeSettings(weighting="none", components=4))
    _, _, rows = np.linalg.svd(x.astype(float), full_matrices=False)
    assert angle_deg(rows[:4].T, pca.factors[:4].T) < 0.5
