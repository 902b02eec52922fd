"""Online k-means: the exam of all learners, and what the microscopist sees of it."""

import copy
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from learner_checks import CHECKS, Candidate, learned, remembered
from live_eels.cluster import OnlineKMeans
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose import StreamingPCA
from spectrum_images import phantom

SMALL = ClusterSettings(reservoir_pixels=256, min_pixels=5, growth=0.3)


def blobs(centres, per_cluster, spread=0.1, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.asarray(centres, float)
    truth = np.repeat(np.arange(len(centres)), per_cluster)
    rows = centres[truth] + rng.normal(size=(len(truth), centres.shape[1])) * spread
    order = rng.permutation(len(truth))
    return rows[order].astype(np.float32), truth[order]


CORNERS = [[0, 0, 5], [3, 0, 5], [0, 3, 5], [3, 3, 5]]
ROWS = blobs(CORNERS, 170)[0]
CANDIDATE = Candidate(
    make=lambda seed: OnlineKMeans(SMALL, seed),
    read=lambda kmeans, rows: kmeans.predict(rows),
    rows=ROWS,
    unknown=lambda label: label == -2,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
def test_exam(check):
    check(CANDIDATE)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, len(ROWS)), max_size=12))
def test_state_depends_on_the_order_of_pixels_alone(cuts):
    assert remembered(learned(CANDIDATE, cuts)) == remembered(learned(CANDIDATE))


def fitted(rows, config=None, chunk=100):
    kmeans = OnlineKMeans(config or ClusterSettings())
    for start in range(0, len(rows), chunk):
        kmeans.learn(rows[start : start + chunk])
    kmeans.finish()
    return kmeans


@pytest.mark.parametrize("clusters", [None, 4])
@pytest.mark.parametrize("seed", range(3))
def test_clear_clusters_are_found_and_counted(clusters, seed):
    rows, truth = blobs(CORNERS, [800, 400, 100, 40], seed=seed)
    kmeans = fitted(rows, ClusterSettings(clusters=clusters))
    assert kmeans.clusters == 4
    assert adjusted_rand_score(truth, kmeans.predict(rows)) > 0.99


def test_one_bell_stays_one_cluster():
    rows, _ = blobs([[0, 0, 5]], 3000)
    assert fitted(rows).clusters == 1


def test_set_number_as_good_as_scikit_learn():
    rows, truth = blobs(CORNERS, 500, spread=0.7)
    ours = fitted(rows, ClusterSettings(clusters=4, outlier_sigma=0)).predict(rows)
    batch = KMeans(4, n_init=5, random_state=0).fit_predict(rows)
    assert adjusted_rand_score(truth, ours) > adjusted_rand_score(truth, batch) - 0.02


def test_what_is_like_none_is_an_outlier_and_moves_nobody():
    rows, _ = blobs(CORNERS, 300)
    strange = np.array([[30, -20, 5]], np.float32)
    kmeans = fitted(np.concatenate([rows[:600], strange, rows[600:]]))
    assert kmeans.predict(strange)[0] == -1
    assert np.mean(kmeans.predict(rows) == -1) < 0.01
    used = kmeans.centres[np.isfinite(kmeans.centres).all(axis=1)]
    nearest = np.linalg.norm(used[:, None] - np.array(CORNERS), axis=2).min(axis=0)
    assert (nearest < 0.1).all()


def test_renumbered_clusters_are_the_same_by_other_numbers():
    rows, truth = blobs(CORNERS[:3], 300)
    kmeans = OnlineKMeans(SMALL)
    kmeans.learn(rows)
    kmeans.finish()
    before, version, kept = kmeans.predict(rows), kmeans.centres_version, kmeans.frozen()
    numbers = np.array([4, 0, 2, 1], np.int16)  # one that there is no cluster for
    kmeans.renumber(numbers)
    np.testing.assert_array_equal(kmeans.predict(rows), numbers[before])
    np.testing.assert_array_equal(kept.predict(rows), before)
    assert kmeans.clusters == 3
    assert len(kmeans.centres) == len(kmeans.spread) == 5
    np.testing.assert_array_equal(kmeans.spread[numbers[:3]], kept.spread)
    assert kmeans.centres_version > version
    kmeans.learn(rows[::-1])
    kmeans.finish()
    np.testing.assert_array_equal(kmeans.predict(rows), numbers[before])
    assert adjusted_rand_score(truth, before) == 1.0


def test_renumbered_clusters_hold_pixels_as_before():
    rows, truth = blobs(CORNERS[:3], 300)
    kmeans = OnlineKMeans(SMALL)
    kmeans.learn(rows[truth < 2])
    kmeans.finish()
    first = kmeans.generation
    kmeans.learn(rows[truth == 2])
    kmeans.finish()
    assert kmeans.generation > first  # the third is new since then: it takes pixels at once
    numbers, kept = np.array([2, 0, 1], np.int16), kmeans.frozen()
    kmeans.renumber(numbers)
    at = np.array([0, 1, 2], np.int16)
    label = np.repeat(at, 3)
    past = 0.48 * kept.centres[label] + 0.52 * kept.centres[np.tile(at, 3)]
    stays = []
    for since in (first, kept.generation):
        since = np.full(9, since, np.int32)
        found = kept.moved(past, label, since)[0]
        np.testing.assert_array_equal(kmeans.moved(past, numbers[label], since)[0], numbers[found])
        stays.append((found == label).tolist())
    assert stays[0] != stays[1]


def test_a_phase_that_comes_late_gets_a_number_and_the_others_keep_theirs():
    rows, truth = blobs(CORNERS, 500)
    early = truth < 3
    kmeans = OnlineKMeans(ClusterSettings())
    kmeans.learn(rows[early])
    kmeans.finish()
    assert kmeans.clusters == 3
    before = kmeans.predict(rows[early])
    kmeans.learn(rows[~early])
    kmeans.finish()
    assert kmeans.clusters == 4
    assert np.mean(kmeans.predict(rows[early]) == before) > 0.99


def test_following_a_turned_basis_keeps_every_number():
    rows, _ = blobs(CORNERS, 300)
    kmeans = fitted(rows)
    before, version = kmeans.predict(rows), kmeans.centres_version
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0].astype(np.float32)
    kmeans.rebase(turn, np.zeros(3, np.float32))
    assert np.array_equal(kmeans.predict(rows @ turn), before)
    assert kmeans.centres_version > version


@pytest.mark.parametrize("shards", [2, 4])
@pytest.mark.parametrize("clusters", [None, 4])
def test_shards_merge_into_one_pass(shards, clusters):
    rows, truth = blobs(CORNERS, 600, spread=0.4)
    config = ClusterSettings(clusters=clusters)
    whole = fitted(rows, config).predict(rows)
    part = -(-len(rows) // shards)
    merged, *others = [fitted(rows[i * part : (i + 1) * part], config) for i in range(shards)]
    first = merged.predict(rows)
    for other in others:
        merged.merge(other)
    merged.finish()
    after = merged.predict(rows)
    assert merged.seen == len(rows)
    assert merged.clusters == 4
    assert adjusted_rand_score(whole, after) > 0.97
    assert adjusted_rand_score(truth, after) > adjusted_rand_score(truth, whole) - 0.02
    assert np.mean(first == after) > 0.97  # numbers stay those of the one that takes over


def test_shards_that_saw_different_phases_merge():
    rows, truth = blobs(CORNERS, 600)
    left, right = (fitted(rows[half]) for half in (truth < 2, truth >= 2))
    left.merge(right)
    assert adjusted_rand_score(truth, left.predict(rows)) > 0.99


def test_only_learners_alike_merge():
    with pytest.raises(ValueError, match="cannot be merged"):
        OnlineKMeans(ClusterSettings()).merge(OnlineKMeans(SMALL))


def test_reservoir_is_a_fair_draw_and_bounded():
    rows = np.arange(20_000, dtype=np.float32)[:, None] + 1
    kmeans = OnlineKMeans(ClusterSettings(clusters=1, reservoir_pixels=1000))
    kmeans.learn(rows)
    kept = kmeans._reservoir.rows[:, 0]
    assert len(kept) == len(np.unique(kept)) == 1000
    counts = np.histogram(kept, 10, (0, 20_000))[0]
    assert counts.min() > 60  # 100 expected, standard deviation below 10
    assert counts.max() < 140


def watched(x, config=None, chunk=64):
    """Both learners on spectra, and the cluster map of each moment (of the pixels so far)."""
    pca, kmeans = StreamingPCA(x.shape[1]), OnlineKMeans(config or ClusterSettings())
    maps, shown, since = [], np.full(len(x), -2, np.int16), np.zeros(len(x), np.int32)
    for start in range(0, len(x), chunk):
        rows = x[start : start + chunk]
        pca.learn(rows)
        turned = pca.take_rotation()
        if turned is not None:
            kmeans.rebase(*turned, pca.factors, pca.components)
        kmeans.learn(pca.transform(rows))
        here = slice(start + len(rows))
        shown[here], _ = kmeans.moved(pca.transform(x[here]), shown[here], since[here])
        since[here] = kmeans.generation
        maps.append(shown[here].copy())
    return maps


def changes(maps):
    """Share of the pixels on each map that look different on the next, after a fifth."""
    shown = maps[len(maps) // 5 :]
    return np.array([np.mean(late[: len(early)] != early) for early, late in pairwise(shown)])


@pytest.mark.parametrize("edge_counts", [300, 2000])
@pytest.mark.parametrize("clusters", [None, 4])
def test_colours_stay_once_all_phases_were_met(edge_counts, clusters):
    x, phase = phantom((64, 64), 256, edge_counts)
    order = np.random.default_rng(0).permutation(len(x))
    maps = watched(x[order], ClusterSettings(clusters=clusters))
    assert changes(maps).max() <= 0.01
    assert adjusted_rand_score(phase[order], maps[-1]) > 0.95


@pytest.mark.parametrize("edge_counts", [300, 2000])
@pytest.mark.parametrize("clusters", [None, 4])
def test_colours_stay_line_by_line_but_for_what_a_new_phase_changes(edge_counts, clusters):
    x, phase = phantom((64, 64), 256, edge_counts)
    maps = watched(x, ClusterSettings(clusters=clusters))
    assert np.mean(changes(maps) <= 0.01) > 0.9
    assert changes(maps)[-25:].max() <= 0.01  # every phase was met by then
    assert adjusted_rand_score(phase, maps[-1]) > 0.9


def between(share, seed=1):
    """Rows on the line between the first two of ``CORNERS``, at ``share`` of the way."""
    rng = np.random.default_rng(seed)
    rows = np.array([[3 * share, 0, 5]]) + rng.normal(size=(200, 3)) * [0, 0.1, 0.1]
    return rows.astype(np.float32)


def test_a_pixel_hardly_past_the_border_keeps_its_cluster():
    rows, truth = blobs(CORNERS, 300)
    kmeans = fitted(rows)
    left, right = (int(kmeans.predict(rows[truth == k])[0]) for k in (0, 1))
    now = np.full(200, kmeans.generation, np.int32)
    for share, plain, held in ((0.52, right, left), (0.48, left, left), (0.9, right, right)):
        pixels = between(share)
        was = np.full(200, left, np.int16)
        assert (kmeans.predict(pixels) == plain).all()
        assert (kmeans.moved(pixels, was, now)[0] == held).all()
    nowhere = np.full(200, -2, np.int16)
    assert (kmeans.moved(between(0.52), nowhere, now)[0] == right).all()


def test_the_further_past_the_border_the_surer_a_pixel_leaves():
    rows, truth = blobs(CORNERS, 300)
    kmeans = fitted(rows)
    left = int(kmeans.predict(rows[truth == 0])[0])
    now = np.full(200, kmeans.generation, np.int32)
    was = np.full(200, left, np.int16)
    gains = [np.mean(kmeans.moved(between(share), was, now)[1]) for share in (0.52, 0.9, 1.1)]
    assert gains[0] == 0 < gains[1] < gains[2] < np.inf
    far = np.tile(np.float32([[500, 500, 5]]), (200, 1))
    label, gain = kmeans.moved(far, was, now)
    assert (label == -1).all()
    assert (gain > gains[2]).all()
    assert np.isfinite(gain).all()
    alone = np.tile(np.float32([[-500, 0, 5]]), (200, 1))  # nearest to the one it was in
    label, gain = kmeans.moved(alone, was, now)
    assert (label == -1).all()
    assert (gain > gains[2]).all()
    gone = np.full(200, 50, np.int16)
    assert np.isinf(kmeans.moved(between(0.0), gone, now)[1]).all()
    assert np.isinf(kmeans.moved(far, gone, now)[1]).all()


def test_to_a_cluster_that_there_was_not_a_pixel_goes_as_soon_as_it_is_past_the_border():
    rows, truth = blobs(CORNERS, 500)
    kmeans = fitted(rows[truth != 1])
    born = kmeans.generation
    pixels = between(0.52)
    was = kmeans.predict(pixels)
    was[:] = kmeans.predict(rows[truth == 0])[0]
    since = np.full(200, born, np.int32)
    kmeans.learn(rows[truth == 1])
    kmeans.finish()
    assert kmeans.generation > born
    new = kmeans.predict(rows[truth == 1])[0]
    assert (kmeans.moved(pixels, was, since)[0] == new).all()
    assert (kmeans.moved(pixels, was, since + 10)[0] == was).all()


def test_a_phase_is_found_by_what_is_strange_before_the_next_refit_is_due():
    """One that lies between two others looks like their mixture, of which there are few."""
    three, truth = blobs([[0, 0, 5], [120, 0, 5], [60, 0, 5]], 2000, spread=2.0)
    kmeans = OnlineKMeans(ClusterSettings(reservoir_pixels=4096))
    kmeans.learn(three[truth < 2])
    assert kmeans.clusters == 2
    due = kmeans._next_refit - kmeans._absorbed
    few = three[truth == 2][:150]
    assert len(few) < due
    kmeans.learn(few)
    assert kmeans.clusters == 3


@pytest.mark.parametrize("normalise", ["area", "max", "l2", "derivative"])
def test_a_phase_is_one_cluster_whether_thick_or_thin(normalise):
    x, phase = phantom((48, 48), 256, 2000)
    thick = np.random.default_rng(3).uniform(0.3, 1.0, len(x))
    x = np.random.default_rng(4).binomial(x.astype(int), thick[:, None]).astype(np.float32)
    label = watched(x, ClusterSettings(normalise=normalise))[-1]
    assert adjusted_rand_score(phase, label) > 0.9


def test_scores_tell_thick_from_thin():
    x, phase = phantom((48, 48), 256, 2000)
    x = x[phase == 3][:1200]
    thin = np.arange(len(x)) % 2 == 0
    x[thin] = np.random.default_rng(4).binomial(x[thin].astype(int), 0.2)
    scores = watched(x, ClusterSettings(normalise="scores", clusters=2))[-1]
    assert adjusted_rand_score(thin, scores) > 0.95
    assert len(np.unique(watched(x)[-1])) <= 2


def test_neighbours_settle_doubt_but_do_not_smear_a_single_pixel():
    ny, nx = 20, 30
    truth = np.repeat((np.arange(nx) < 15)[None], ny, axis=0).astype(int)
    truth[10, 20] = 1
    rng = np.random.default_rng(0)
    rows = np.stack([8.0 * truth, np.full_like(truth, 5)], axis=-1).reshape(-1, 2)
    rows = rows + rng.normal(size=rows.shape) * 0.3
    rows[5 * nx + 20, 0] = 4.5  # lies between both, slightly nearer to the wrong one
    rows = rows.astype(np.float32)
    kmeans = fitted(rows, ClusterSettings(clusters=2, neighbour_coupling=2.0, outlier_sigma=0))
    label = kmeans.predict(rows)
    settled = kmeans.agree(rows, label, ny, nx)
    assert adjusted_rand_score(truth.ravel(), settled) == 1.0
    assert adjusted_rand_score(truth.ravel(), label) < 1.0
    off = copy.copy(kmeans)
    off.settings = ClusterSettings(clusters=2)
    assert off.agree(rows, label, ny, nx) is label


def test_a_few_strange_pixels_in_many_are_no_news():
    """The reservoir holds too few of them for a cluster: to look for one costs for nothing."""
    rows, _ = blobs(CORNERS, 4000)
    rows = rows[np.random.default_rng(1).permutation(len(rows))]
    kmeans = fitted(rows[:6000], SMALL)
    known = kmeans.centres_version
    strange = rows[6000:].copy()
    strange[::100] += np.random.default_rng(2).normal(size=strange[::100].shape) * 20
    for start in range(0, len(strange), 100):
        kmeans.learn(strange[start : start + 100])
    assert kmeans.centres_version - known <= 3  # by growth alone
