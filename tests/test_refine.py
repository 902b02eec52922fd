"""Offline segmentations against known phases, and what they promise."""

import builtins
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import adjusted_rand_score

from live_eels.cli.files import process
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose_settings import DecomposeSettings
from live_eels.io.recorder import Recorder
from live_eels.io.recording import Recording
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.refine import METHODS, RefineError, refine
from live_eels.spectra import Chunk, EnergyAxis, MapSpec, NavigationAxis, Scan, Signal
from spectrum_images import phantom

SHAPE, CHANNELS = (40, 50), 200
PLAIN = PreprocessSettings(
    background="none", align="none", window_ev=(500.0, 699.0), spikes_sigma=0
)


def recording(seen=None, read=None, edge_counts=3000):
    counts, phase = phantom(SHAPE, CHANNELS, edge_counts)
    axis = EnergyAxis(500.0, 1.0, CHANNELS)
    navigation = (NavigationAxis("y", SHAPE[0]), NavigationAxis("x", SHAPE[1]))
    scan = Scan("phantom", navigation, (Signal("core", axis),), title="phantom")
    counts = counts.astype("<u2")

    def rows(pixels):
        if read is not None:
            read.append(len(pixels))
        return counts[pixels]

    visits = {} if seen is None else {"core": seen.astype(np.uint16)}
    return Recording(Path("phantom.hspy"), scan, {"core": rows}, visits), counts, phase


def refined(methods, source=None, **more):
    return refine(source or recording()[0], methods, preprocess=PLAIN, **more)


def test_ward_finds_the_phases():
    _, _, phase = recording()
    result = refined(["ward"], clusters=4)
    assert adjusted_rand_score(phase, result.maps["ward"]) > 0.95
    assert result.specs["ward"].kind == "label"
    assert len(result.specs["ward"].classes) == 4
    assert result.ari["k-means", "ward"] > 0.95


def test_neighbours_settle_the_k_means_map():
    _, _, phase = recording()
    alone, together = (
        refined(["ward"], cluster=ClusterSettings(clusters=4, neighbour_coupling=coupling),
                source=recording(edge_counts=40)[0])
        for coupling in (0.0, 1.0)
    )  # fmt: skip
    before, after = (adjusted_rand_score(phase, r.maps["k-means"]) for r in (alone, together))
    assert after > before + 0.02


def test_hdbscan_on_umap_finds_the_phases_and_their_number():
    pytest.importorskip("umap")
    _, _, phase = recording()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = refined(["hdbscan"])
    label = result.maps["hdbscan"]
    assert adjusted_rand_score(phase[label >= 0], label[label >= 0]) > 0.95
    assert np.mean(label == -1) < 0.05
    assert len(result.specs["hdbscan"].classes) == 4
    points, of = result.embedding
    assert points.shape == (len(of), 2)


def test_without_umap_the_user_is_told_what_to_install(monkeypatch):
    there = builtins.__import__

    def gone(name, *args, **kwargs):
        if name == "umap":
            raise ImportError(name)
        return there(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", gone)
    with pytest.raises(RefineError, match=r"pip install 'live-eels\[refine\]'"):
        refined(["hdbscan"])


@pytest.mark.parametrize("method", ["nmf", "ica"])
def test_factors_and_their_amounts_give_the_spectra_back(method):
    source, counts, phase = recording()
    result = refined([method], source)
    curve = result.curves[f"{method} factors"]
    amount = np.stack([result.maps[name] for name in curve.labels], axis=1)
    model = amount @ curve.values
    clean = np.stack([counts[phase == p].mean(axis=0) for p in range(4)])[phase]
    clean *= counts.sum(axis=1, keepdims=True) / clean.sum(axis=1, keepdims=True)
    assert np.linalg.norm(model - clean) < 0.05 * np.linalg.norm(clean)
    if method == "nmf":
        assert (amount >= 0).all()
        assert (curve.values >= 0).all()
        np.testing.assert_allclose(curve.values.sum(axis=1), 1, rtol=1e-4)


def test_blind_sources_separate_the_edges():
    _, _, phase = recording()
    result = refined(["ica"], decompose=DecomposeSettings(components=4))
    amount = np.stack([result.maps[f"ica {i + 1}"] for i in range(4)])
    stripe = phase == 2
    apart = np.abs(amount[:, stripe].mean(axis=1) - amount[:, ~stripe].mean(axis=1))
    assert (apart / amount[:, ~stripe].std(axis=1)).max() > 3


def test_mean_spectra_and_their_error_are_those_of_the_pixels():
    source, counts, _ = recording()
    result = refined(["ward"], source, clusters=3)
    curve, label = result.curves["ward means"], result.maps["ward"]
    for number in range(3):
        mine = counts[label == number].astype(float)
        np.testing.assert_allclose(curve.values[number], mine.mean(axis=0), rtol=1e-4)
        error = mine.std(axis=0, ddof=1) / np.sqrt(len(mine))
        np.testing.assert_allclose(curve.error[number], error, rtol=1e-3)


def test_pixels_that_never_came_stay_unknown_and_teach_nothing():
    seen = np.ones(SHAPE[0] * SHAPE[1], bool)
    seen[100:400] = False
    result = refined(["ward", "nmf", "ica"], recording(seen)[0], clusters=4)
    for values in result.maps.values():
        assert np.array_equal(np.isfinite(values), seen)
    assert result.snapshot.maps["ward"].shape == SHAPE


def test_files_are_read_in_blocks_and_progress_is_told():
    read, told = [], []
    source, _, _ = recording(read=read)
    refined(["ward"], source, progress=lambda stage, share: told.append((stage, share)))
    assert max(read) <= 1024
    stages = list(dict.fromkeys(stage for stage, _ in told))
    assert stages == ["decompose", "project", "ward", "spectra"]
    assert all(0 <= share <= 1 for _, share in told)
    assert {share for stage, share in told if stage == "spectra"} >= {1.0}


def test_more_pixels_than_the_sample_go_with_their_neighbours(monkeypatch):
    monkeypatch.setattr("live_eels.refine.SAMPLE_PIXELS", 300)
    _, _, phase = recording()
    first, again = refined(["ward"], clusters=4), refined(["ward"], clusters=4)
    assert adjusted_rand_score(phase, first.maps["ward"]) > 0.95
    np.testing.assert_array_equal(first.maps["ward"], again.maps["ward"])  # seeded


def test_stored_segmentations_are_compared():
    source, _, phase = recording()
    stored = {"cluster": phase.reshape(SHAPE).astype(np.float32)}
    source = replace(source, maps=stored, specs={"cluster": MapSpec("cluster", "label")})
    result = refined(["ward"], source, clusters=4)
    own = adjusted_rand_score(phase, result.maps["ward"])
    assert result.ari["live cluster", "ward"] == pytest.approx(own)


def test_what_cannot_be_done_is_said():
    with pytest.raises(RefineError, match="no method magic; there are ward"):
        refined(["magic"])
    few = np.zeros(SHAPE[0] * SHAPE[1], bool)
    few[:5] = True
    with pytest.raises(RefineError, match="5 usable pixels; 16 are needed"):
        refined(["ward"], recording(few)[0])


def test_process_draws_the_maps_and_prints_how_alike_they_are(tmp_path):
    source, counts, _ = recording()
    file = tmp_path / "phantom.hspy"
    recorder = Recorder(file, source.scan)
    recorder.write(Chunk(source.scan, np.arange(len(counts)), counts))
    recorder.close()
    more = ["--set", "preprocess.background=none", "--set", "preprocess.align=none"]
    more += ["--set", "preprocess.window_ev=[500.0, 699.0]"]
    out = tmp_path / "out"
    run = CliRunner().invoke(process, [str(file), "--method", "ward", *more, "--out", str(out)])
    assert run.exit_code == 0, run.output
    assert "k-means and ward" in run.output
    assert (out / "ward.png").stat().st_size > 1000
    assert (out / "spectra_ward_means.png").exists()
    wrong = CliRunner().invoke(process, [str(file), "--method", "magic", *more])
    assert wrong.exit_code == 2
    assert all(method in wrong.output for method in METHODS)
