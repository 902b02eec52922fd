"""What a pipeline is made of, by the settings alone."""

import numpy as np
import pytest
from live_eels.simulators.acquire import Acquisition
from live_eels.simulators.scene import load_scene

from live_eels import analyses
from live_eels.analyses.defaults import for_edges
from live_eels.app.pipelines import ModelFinder, make_pipeline
from live_eels.app.session import Session
from live_eels.config import Config
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, EnergyAxis, NavigationAxis, Scan, Signal, Spectra


def pipeline_on(scan, **settings):
    session = Session(scan, 0, 0.0, 0.0)
    config = Config(preprocess=PreprocessSettings(edges=settings.pop("edges", ())), **settings)
    return make_pipeline(session, config, ModelFinder("")), session


def names_of(pipeline):
    return {spec.name for spec in pipeline.extra.specs}


SCAN = Scan("a", (NavigationAxis("x", 20),), (Signal("core", EnergyAxis(450.0, 0.5, 640)),))


def test_named_edges_bring_their_maps():
    pipeline, session = pipeline_on(SCAN, edges=("O K", "Mn L", "Fe L"))
    names = names_of(pipeline)
    assert {"O K", "Mn L", "Fe L", "Mn L SNR", "Mn valence", "Fe valence", "share Mn4+"} <= names
    assert session.problems == []
    assert names_of(pipeline_on(SCAN)[0]) == set()


def test_what_was_asked_for_is_not_replaced_nor_doubled():
    asked = ({"kind": "mixing", "references": ["Mn2+", "Mn4+"]},)
    pipeline, _ = pipeline_on(SCAN, edges=("Mn L",), analysis=asked)
    assert {"Mn L", "Mn valence", "share Mn2+", "share Mn4+"} <= names_of(pipeline)
    assert "share Mn3+" not in names_of(pipeline)


def test_what_the_axis_has_no_room_for_is_left_out_without_a_word():
    short = Scan("a", SCAN.navigation, (Signal("core", EnergyAxis(632.0, 0.25, 200)),))
    pipeline, session = pipeline_on(short, edges=("Mn L",))
    assert "Mn valence" not in names_of(pipeline)
    assert session.problems == []


def test_names_of_no_edge_are_left_to_preprocessing():
    kinds = [type(a).__name__ for a in for_edges(("Mn L", "nonsense", "Cr L", "O K"))]
    assert kinds == ["ElementMap", "Mixing", "ElementMap", "ElementMap"]
    assert isinstance(for_edges(("Mn L",))[1], analyses.Analysis)
    assert for_edges(("Mn L",), ["Mn L", "Mn valence"]) == []


def test_a_window_off_the_axis_costs_that_window_and_no_other_setting():
    wrong = PreprocessSettings(
        window_ev=(100.0, 200.0), dead_channels=(7,), core_offset_ev=1.5, spikes_sigma=6.0
    )
    session = Session(SCAN, 0, 0.0, 0.0)
    pipeline = make_pipeline(session, Config(preprocess=wrong), ModelFinder(""))
    kept = pipeline.preprocessor.settings
    assert kept == PreprocessSettings(dead_channels=(7,), core_offset_ev=1.5, spikes_sigma=6.0)
    (problem,) = session.problems
    for words in ("100 to 200 eV", "451.5 to 771", "default windows"):
        assert words in problem


def test_a_channel_off_the_axis_costs_the_other_settings_too():
    session = Session(SCAN, 0, 0.0, 0.0)
    wrong = Config(preprocess=PreprocessSettings(dead_channels=(900,), core_offset_ev=1.5))
    pipeline = make_pipeline(session, wrong, ModelFinder(""))
    assert pipeline.preprocessor.settings == PreprocessSettings()
    (problem,) = session.problems
    assert "900" in problem
    assert "default preprocessing" in problem


def test_the_valence_a_user_gets_is_within_a_tenth_at_snr_20():
    """All mixtures from MnO2 over Mn2O3 to MnO, by the scene's own detector, edges named."""
    acquisition = Acquisition(load_scene("valence_gradient"), seed=1)
    scan = acquisition.scan
    pipeline, _ = pipeline_on(scan, edges=("Mn L",))
    counts = {s.name: np.zeros((scan.pixels, s.axis.size), np.uint16) for s in scan.signals}
    pixels = np.arange(8 * 96)  # eight rows; valence falls along each
    done = dict.fromkeys(counts, 0)
    for message in acquisition.messages(chunk=256):
        if isinstance(message, Spectra):
            counts[message.signal][message.pixels] = message.counts
            done[message.signal] += len(message.pixels)
            if min(done.values()) >= len(pixels):
                break
    maps = pipeline.process(Chunk(scan, pixels, counts["core"][pixels], counts["low"][pixels])).maps
    truth = acquisition.truth.maps["valence"].ravel()[pixels]
    there = (np.abs(maps["Mn L SNR"] - 20) < 5) & np.isfinite(truth)
    assert there.sum() > 100
    assert np.ptp(truth[there]) > 1.0
    off = maps["Mn valence"][there] - truth[there]
    assert np.isfinite(off).all()
    assert abs(off.mean()) < 0.05
    assert np.sqrt((off**2).mean()) < 0.1
    assert np.median(maps["Mn valence error"][there]) == pytest.approx(off.std(), rel=0.5)
