"""The pipeline: the same result however the stream was cut, no stale pixels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from conftest import two_phase_scan
from live_eels import models
from live_eels.analyses.window import WindowMap, WindowSettings
from live_eels.classify import Classifier
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose_settings import DecomposeSettings
from live_eels.maps import MapBoard
from live_eels.pipeline import Pipeline
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.shown import exact_clusters
from live_eels.spectra import Chunk, Curve, MapSpec, WindowError


def pipeline_of(scan, **changes) -> Pipeline:
    settings = {
        "preprocess": PreprocessSettings(),
        "decompose": DecomposeSettings(),
        "cluster": ClusterSettings(),
    }
    return Pipeline(scan, **(settings | changes))


def chunks_of(scan, core, low, sizes):
    start = 0
    while start < len(core):
        stop = min(start + next(sizes), len(core))
        rows = slice(start, stop)
        pixels = np.arange(start, stop)
        yield Chunk(scan, pixels, core[rows], None if low is None else low[rows])
        start = stop


def always(n):
    while True:
        yield n


def settled(scan, core, low, sizes, **changes):
    """Maps after a live scan in chunks of these sizes, settled from its recording."""
    pipeline = pipeline_of(scan, **changes)
    board = MapBoard(scan, pipeline.specs)
    for chunk in chunks_of(scan, core, low, sizes):
        result = pipeline.process(chunk)
        board.announce(pipeline.specs)
        board.update(result)
        for part in pipeline.refreshed():
            board.update(part)
    for result in pipeline.settle(lambda size: chunks_of(scan, core, low, always(size))):
        board.announce(pipeline.specs)
        board.update(result)
    return board.snapshot().maps, pipeline


@pytest.mark.parametrize("low", [True, False])
def test_two_phases_are_two_clusters(low):
    scan, core, low_counts, phase = two_phase_scan((24, 20), low=low)
    maps, _ = settled(scan, core, low_counts, always(37))
    assert adjusted_rand_score(phase, maps["cluster"].ravel().astype(int)) > 0.99


@pytest.mark.parametrize("model", [models.DEFAULT, "mn-fe-scan"])
def test_the_result_does_not_depend_on_how_the_stream_was_cut(model):
    scan, core, low, _ = two_phase_scan((24, 20))
    rng = np.random.default_rng(3)
    classifier = Classifier.load(models.shipped()[model])
    results = [
        settled(scan, core, low, sizes, classifier=classifier, source="denoised")[0]
        for sizes in (always(1000), always(1), iter(rng.integers(1, 60, 1000).tolist()))
    ]
    for other in results[1:]:
        assert other.keys() == results[0].keys()
        for name, values in results[0].items():
            np.testing.assert_array_equal(other[name], values, err_msg=name)


def test_what_is_settled_is_what_is_refreshed():
    """Two ways to the same maps: from the raw counts, and from the loadings that were kept."""
    scan, core, low, _ = two_phase_scan((24, 20))
    pipeline = pipeline_of(scan)
    for chunk in chunks_of(scan, core, low, always(37)):
        pipeline.process(chunk)
    list(pipeline.refreshed())
    board = MapBoard(scan, pipeline.specs)
    for result in pipeline.settle(lambda size: chunks_of(scan, core, low, always(size))):
        board.announce(pipeline.specs)
        board.update(result)
    settled_maps = board.snapshot().maps
    kept = pipeline.known.loadings()
    for name, values in {
        "cluster": pipeline.kmeans.predict(kept),
        "loading 1": kept[:, 0],
        "loading 2": kept[:, 1],
    }.items():
        np.testing.assert_array_equal(settled_maps[name].ravel(), values, err_msg=name)
    assert list(pipeline.refreshed()) == []  # until something moves again


@pytest.mark.parametrize(
    ("settings", "looked_at", "hot"),
    [
        ({}, 0.5, []),
        ({}, 0.5, [90]),  # found when some pixels have been seen
        ({"align": "edge", "edges": ("Mn L",)}, 1.0, [90]),
        ({"background_pixels": 1}, 1.0, [90]),
    ],
)
def test_a_recording_surveyed_first_gives_the_result_of_the_live_scan(settings, looked_at, hot):
    scan, core, low, _ = two_phase_scan((64, 48))
    core[:, hot] += 4000
    changes = {"preprocess": PreprocessSettings(**settings)}
    live, seen = settled(scan, core, low, always(256), **changes)
    pipeline = pipeline_of(scan, **changes)
    pixels = pipeline.preprocessor.telling(np.arange(scan.pixels))
    assert len(pixels) / scan.pixels == pytest.approx(looked_at, abs=0.2)
    pipeline.prepare(Chunk(scan, pixels, core[pixels], low[pixels]))
    board = MapBoard(scan, pipeline.specs)
    for result in pipeline.settle(
        lambda size: chunks_of(scan, core, low, always(size)), afresh=True
    ):
        board.announce(pipeline.specs)
        board.update(result)
    assert pipeline.preprocessor.bad_channels.tolist() == hot
    assert seen.preprocessor.bad_channels.tolist() == hot
    assert (pipeline.spectra_done < seen.spectra_done) == bool(hot)  # what is learned once
    maps = board.snapshot().maps
    assert maps.keys() == live.keys()
    for name, values in live.items():
        np.testing.assert_array_equal(maps[name], values, err_msg=name)


@pytest.mark.parametrize("order", ["swapped chunks", "a pixel again", "backwards"])
def test_pixels_that_come_out_of_order_are_noticed(order):
    scan, core, low, _ = two_phase_scan((4, 20))
    parts = {
        "swapped chunks": [np.arange(40, 80), np.arange(40)],
        "a pixel again": [np.arange(80), np.arange(79, 80)],
        "backwards": [np.arange(80)[::-1]],
    }[order]
    pipeline = pipeline_of(scan)
    for part in parts:
        pipeline.process(Chunk(scan, part, core[part], low[part]))
    learnt = []
    pipeline.learn = learnt.append  # the learners start anew and see the recording
    for _ in pipeline.settle(lambda size: chunks_of(scan, core, low, always(size))):
        pass
    assert sum(len(ready.total) for ready in learnt) == 80


def test_pixels_in_any_order_give_the_result_of_the_file():
    scan, core, low, _ = two_phase_scan((16, 20))
    in_order, _ = settled(scan, core, low, always(64))
    order = np.random.default_rng(1).permutation(scan.pixels)
    pipeline = pipeline_of(scan)
    for start in range(0, scan.pixels, 50):
        part = order[start : start + 50]
        pipeline.process(Chunk(scan, part, core[part], low[part]))
    board = MapBoard(scan, pipeline.specs)
    for result in pipeline.settle(lambda size: chunks_of(scan, core, low, always(size))):
        board.announce(pipeline.specs)
        board.update(result)
    maps = board.snapshot().maps
    for name in ("cluster", "loading 1", "loading 2"):  # loadings tell a basis learned otherwise
        np.testing.assert_array_equal(maps[name], in_order[name], err_msg=name)


def test_no_pixel_is_stale_when_the_basis_moved():
    """Mid-scan, early pixels stand where a fresh projection puts them, to within noise."""
    scan, core, low, phase = two_phase_scan((40, 20))
    order = np.argsort(phase, kind="stable")  # the second phase turns up late
    pipeline = pipeline_of(scan)
    board = MapBoard(scan, pipeline.specs)
    for start in range(0, 600, 40):
        part = order[start : start + 40]
        result = pipeline.process(Chunk(scan, part, core[part], low[part]))
        board.announce(pipeline.specs)
        board.update(result)
        for part in pipeline.refreshed():
            board.update(part)
        again = np.unique(pipeline.take_outdated())
        if len(again):
            chunk = Chunk(scan, again, core[again], low[again])
            board.update(pipeline.process(chunk, learn=False))
    seen = order[:600]
    fresh = pipeline.process(Chunk(scan, seen, core[seen], low[seen]), learn=False)
    shown = board.snapshot().maps
    assert pipeline.components >= 2
    # A pixel's own counting noise is the scale: the variance of each loading is its counts.
    noise = np.sqrt(np.median(core[seen][:, pipeline.window].sum(axis=1)))
    for component in (1, 2):
        name = f"loading {component}"
        error = np.abs(shown[name].ravel()[seen] - fresh.maps[name])
        assert np.median(error) < noise, name
    same = shown["cluster"].ravel()[seen] == fresh.maps["cluster"]
    assert same.mean() > 0.98


def test_labels_name_the_element():
    scan, core, low, phase = two_phase_scan((12, 20))
    classifier = Classifier.load(next(iter(models.shipped().values())))
    maps, pipeline = settled(scan, core, low, always(64), classifier=classifier)
    names = np.array([*classifier.card.names, "rejected"])
    given = names[maps["label"].ravel().astype(int)]
    element = np.array([name[:2] for name in given])
    wanted = np.array(["Mn", "Fe"])[phase]
    # Edges of two Gaussians and a step are no ion's: some are refused, none is the other element's.
    known = (given != "rejected") & (given != "none")
    assert known.mean() > 0.75
    assert (element == wanted)[known].all()
    assert set(pipeline.elements) == {"Mn", "Fe"}


def test_a_window_outside_the_axis_names_both_ranges():
    scan, *_ = two_phase_scan()
    with pytest.raises(WindowError, match=r"900 to 950 eV.*560 to 759\.5 eV"):
        pipeline_of(scan, preprocess=PreprocessSettings(window_ev=(900.0, 950.0)))


def test_a_pixel_whose_core_loss_never_came_stays_unknown():
    scan, core, low, _ = two_phase_scan((12, 20))
    pipeline = pipeline_of(scan)
    seen = np.ones(scan.pixels, bool)
    seen[[5, 77]] = False
    core[~seen] = 0
    chunk = Chunk(scan, np.arange(scan.pixels), core, low, core_seen=seen)
    board = MapBoard(scan, pipeline.specs)
    result = pipeline.process(chunk)
    board.announce(pipeline.specs)
    board.update(result)
    counts = board.snapshot().maps["counts"].ravel()
    np.testing.assert_array_equal(np.isnan(counts), ~seen)
    nothing = pipeline.process(
        Chunk(scan, np.array([5]), core[[5]], low[[5]], None, ~seen[[77]] & False)
    )
    assert len(nothing.pixels) == 0


def test_maps_made_elsewhere_stand_beside_its_own():
    scan, core, low, _ = two_phase_scan((4, 20))
    pipeline = pipeline_of(scan)
    for chunk in chunks_of(scan, core, low, always(48)):
        pipeline.process(chunk)
    curve = Curve(pipeline.axis, np.ones((1, pipeline.axis.size), np.float32), ("a",))
    pipeline.hold([MapSpec("ward", "label", classes=("a",))], {"ward means": curve})
    assert "ward" in {spec.name for spec in pipeline.specs}
    assert pipeline.curves()["ward means"] is curve
    assert {"factors", "cluster means"} <= pipeline.curves().keys()


def test_an_analysis_of_the_same_name_replaces_the_one_before():
    scan, core, low, _ = two_phase_scan((4, 20))
    pipeline = pipeline_of(scan)
    for low_ev in (640.0, 700.0):
        window = WindowSettings(name="edge", signal_ev=(low_ev, low_ev + 20))
        pipeline.add_analysis(WindowMap(window))
    assert [spec.name for spec in pipeline.specs].count("edge") == 1
    result = pipeline.process(Chunk(scan, np.arange(80), core, low))
    assert result.maps["edge"].argmax() % 20 >= 10  # iron, which is on the right
    with pytest.raises(WindowError):
        pipeline.add_analysis(WindowMap(WindowSettings(name="x", signal_ev=(10.0, 20.0))))
    assert "x" not in {spec.name for spec in pipeline.specs}


def test_components_can_be_set_mid_scan():
    scan, core, low, _ = two_phase_scan((12, 20))
    pipeline = pipeline_of(scan)
    for chunk in chunks_of(scan, core, low, always(48)):
        pipeline.process(chunk)
        pipeline.recoloured()
    pipeline.learners.set_clusters(4)
    list(pipeline.refreshed())
    pipeline.recoloured()
    assert pipeline.waiting
    pipeline.set_components(5)
    assert not pipeline.waiting  # what was asked for is shown at once
    assert {f"loading {n}" for n in range(1, 6)} <= next(pipeline.refreshed()).maps.keys()
    chunk = Chunk(scan, np.arange(48), core[:48], low[:48])
    fresh = pipeline.process(chunk, learn=False).maps
    kept = pipeline.known.loadings()[:48, 0]
    np.testing.assert_allclose(fresh["loading 1"], kept, rtol=1e-3)
    assert "loading 6" not in fresh


def test_number_of_clusters_can_be_set_mid_scan_and_is_shown_at_once():
    scan, core, low, _ = two_phase_scan((12, 20))
    pipeline = pipeline_of(scan)
    for chunk in chunks_of(scan, core, low, always(48)):
        pipeline.process(chunk)
        pipeline.recoloured()
    pipeline.set_clusters(4)
    cluster = np.concatenate([part.maps["cluster"] for part in pipeline.refreshed()])
    assert len(np.unique(cluster[cluster >= 0])) == 4
    np.testing.assert_array_equal(cluster, pipeline.kmeans.predict(pipeline.known.loadings()))
    assert not len(pipeline.recoloured().pixels)


def clusters_of(pipeline):
    return next(spec.classes for spec in pipeline.specs if spec.name == "cluster")


def live_scan():
    """A scan that has come and is on the map: scan, core loss, low loss, pipeline, the map."""
    scan, core, low, _ = two_phase_scan((12, 20))
    pipeline = pipeline_of(scan)
    shown = np.full(scan.pixels, np.nan)
    for chunk in chunks_of(scan, core, low, always(48)):
        shown[chunk.pixels] = pipeline.process(chunk).maps["cluster"]
        pipeline.recoloured()
    return scan, core, low, pipeline, shown


def test_what_is_found_late_is_shown_over_some_maps():
    scan, _, _, pipeline, shown = live_scan()
    pipeline.learners.set_clusters(4)  # as if they had found two more by themselves
    for part in pipeline.refreshed():
        np.testing.assert_array_equal(part.maps["cluster"], shown[part.pixels])
    wait = []
    while True:
        changed = pipeline.recoloured()
        if not len(changed.pixels):
            break
        assert len(changed.pixels) <= 0.01 * scan.pixels
        shown[changed.pixels] = changed.maps["cluster"]
        wait.append(pipeline.waiting)
    assert wait[0] > 20
    assert wait == sorted(wait, reverse=True)
    assert pipeline.waiting == 0
    assert len(np.unique(shown)) == 4
    pipeline.learners.set_clusters(2)
    list(pipeline.refreshed())
    assert len(clusters_of(pipeline)) == 4  # some pixels still show them
    pipeline.learners.set_clusters(6)
    list(pipeline.refreshed())
    pipeline.recoloured()
    assert pipeline.waiting > 20


def test_what_is_settled_is_exact_at_once_and_shown_over_some_maps():
    scan, core, low, pipeline, shown = live_scan()
    pipeline.learners.set_clusters(6)
    exact, before = np.full(scan.pixels, np.nan), shown.copy()
    for part in pipeline.settle(lambda size: chunks_of(scan, core, low, always(size))):
        exact[part.pixels] = part.maps["cluster"]
        shown[part.pixels] = pipeline.as_shown(part).maps["cluster"]
    np.testing.assert_array_equal(exact, pipeline.kmeans.predict(pipeline.known.loadings()))
    np.testing.assert_array_equal(shown, before)
    spec, values = exact_clusters(pipeline.known)
    np.testing.assert_array_equal(values, exact)
    assert len(spec.classes) == 6
    while len((changed := pipeline.recoloured()).pixels):
        assert len(changed.pixels) <= 0.01 * scan.pixels
        shown[changed.pixels] = changed.maps["cluster"]
    assert pipeline.waiting == 0
    np.testing.assert_array_equal(shown, exact)


def test_learnt_anew_clusters_keep_the_numbers_on_the_maps():
    scan, core, low, _ = two_phase_scan((16, 20))
    in_order, _ = settled(scan, core, low, always(64))
    first = {int(v) for v in in_order["cluster"][:1, :8].ravel()}
    pipeline = pipeline_of(scan)
    right_first = np.argsort(-(np.arange(scan.pixels) % 20), kind="stable")
    shown = np.full(scan.pixels, np.nan)
    for start in range(0, scan.pixels, 50):
        part = right_first[start : start + 50]
        shown[part] = pipeline.process(Chunk(scan, part, core[part], low[part])).maps["cluster"]
        for follows in pipeline.refreshed():
            shown[follows.pixels] = follows.maps["cluster"]
    exact = np.full(scan.pixels, np.nan)
    for part in pipeline.settle(lambda size: chunks_of(scan, core, low, always(size))):
        exact[part.pixels] = part.maps["cluster"]
    assert first == {0}
    assert shown[19] == 0  # other numbers than those of the file
    np.testing.assert_array_equal(exact, 1 - in_order["cluster"].ravel())
    np.testing.assert_array_equal(exact, shown)


def test_stage_times_come_from_the_clock_that_was_given():
    scan, core, low, _ = two_phase_scan((4, 20))
    ticks = iter(range(10_000))
    pipeline = pipeline_of(scan, clock=lambda: float(next(ticks)))
    for chunk in chunks_of(scan, core, low, always(40)):
        pipeline.process(chunk)
    assert pipeline.stage_seconds["preprocess"] == 2
    assert pipeline.spectra_done == scan.pixels


def test_where_plural_scattering_is_taken_out_all_stages_see_it():
    """Components and clusters too: their mean spectrum is that of single scattering."""
    scan, core, low, _ = two_phase_scan((16, 16))
    plasmon = 210 * np.exp(-0.5 * ((scan.low.axis.energies_ev - 22) / 5) ** 2)  # t/lambda 0.5
    low = (low + plasmon).astype(low.dtype)
    settings = PreprocessSettings(deconvolve="fourier_ratio")
    plain = settled(scan, core, low, always(64))[1]
    maps, pipeline = settled(scan, core, low, always(64), preprocess=settings)
    prepared = pipeline.preprocessor.process(Chunk(scan, np.arange(256), core, low), learn=False)
    expected = prepared.single[:, pipeline.window].mean(axis=0)
    np.testing.assert_allclose(pipeline.pca.mean, expected, rtol=0.02)
    assert np.abs(plain.pca.mean / expected - 1).max() > 0.05
    other, _ = settled(scan, core, low, always(37), preprocess=settings)
    for name, values in maps.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def test_what_the_model_saw_as_typical_is_among_the_curves():
    scan, *_ = two_phase_scan((4, 20))
    classifier = Classifier.load(models.shipped()[models.DEFAULT])
    assert "Mn class means" not in pipeline_of(scan).curves()
    curves = pipeline_of(scan, classifier=classifier).curves()
    assert curves["Mn class means"].labels == ("Mn2+", "Mn3+", "Mn4+")
