"""What a model saw as typical, and what the labeller shows it of the scan."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from live_eels.models import shipped

from live_eels.classify import Classifier
from live_eels.cluster import OnlineKMeans
from live_eels.decompose import StreamingPCA
from live_eels.labelling import Labeller, typical
from live_eels.learning import Learnt
from live_eels.model_card import ModelError, read_card
from live_eels.spectra import EnergyAxis

AXIS = EnergyAxis(600.0, 0.5, 300)


@pytest.fixture
def card():
    found = read_card(next(iter(shipped().values())))
    line = np.hanning(found.window.points)
    means = {
        name: tuple((line * (i + 1)).tolist()) for i, name in enumerate(("Mn2+", "Mn4+", "Fe3+"))
    }
    return msgspec.structs.replace(found, means=means)


def test_means_lie_where_the_edge_is_expected(card) -> None:
    curves = typical(card, ("Mn", "Fe"))
    assert {name: curve.labels for name, curve in curves.items()} == {
        "Mn class means": ("Mn2+", "Mn4+"), "Fe class means": ("Fe3+",),
    }  # fmt: skip
    mn = curves["Mn class means"]
    assert mn.axis.offset_ev == 640.0 + card.window.low_ev
    assert mn.values.shape == (2, card.window.points)
    np.testing.assert_allclose(mn.values[1], 2 * mn.values[0])


def test_only_of_elements_that_can_be_told_here(card) -> None:
    assert list(typical(card, ("Fe",))) == ["Fe class means"]
    assert typical(msgspec.structs.replace(card, means={}), ("Mn", "Fe")) == {}


def test_means_of_another_window_are_no_card(card, tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_bytes(msgspec.toml.encode(card))
    assert read_card(path).means == card.means
    text = path.read_text().replace('"Mn2+" = [', '"Mn2+" = [0.5, ')
    path.write_text(text)
    with pytest.raises(ModelError, match="means of 'Mn2\\+' are not on the 128 points"):
        read_card(path)


class Asked:
    """Keeps what a classifier is asked."""

    def __init__(self, classifier, monkeypatch):
        self.scans = []
        predict = classifier.predict

        def kept(counts, axis, noise=None, scan=None):
            self.scans.append((axis, scan))
            return predict(counts, axis, noise, scan)

        monkeypatch.setattr(classifier, "predict", kept)


def _learnt(spectra, window: slice) -> Learnt:
    pca = StreamingPCA(window.stop - window.start)
    if len(spectra):
        pca.learn(np.ascontiguousarray(spectra[:, window]))
        pca.finish()
    return Learnt(pca, OnlineKMeans(), 100.0)


@pytest.mark.parametrize("source", ["raw", "denoised", "cluster"])
def test_the_model_is_shown_the_mean_of_what_was_learnt(monkeypatch, source) -> None:
    """Of all pixels so far, not of this chunk: maps do not depend on how a stream was cut."""
    spectra = np.random.default_rng(0).poisson(50, (300, 300)).astype(np.float32)
    window = slice(20, 280)
    classifier = Classifier.load(next(iter(shipped().values())))
    asked = Asked(classifier, monkeypatch)
    labeller = Labeller(classifier, AXIS, window, source)
    for learnt in (_learnt(spectra[:0], window), _learnt(spectra, window)):
        inside = np.ascontiguousarray(spectra[:5, window])
        loadings = learnt.pca.transform(inside)
        rebuilt = learnt.pca.rebuild(inside, loadings)
        shapes = loadings[:, : learnt.components] if source == "cluster" else None
        labeller.label(spectra[:5], rebuilt, shapes, learnt)
    (_, before), (_, after) = asked.scans
    assert before is None
    mean, axis = after
    np.testing.assert_allclose(mean, spectra[:, window].mean(axis=0), rtol=1e-5)
    assert axis == AXIS.cropped(window)


def test_no_mean_where_the_window_leaves_the_edge_out(monkeypatch) -> None:
    spectra = np.random.default_rng(0).poisson(50, (300, 300)).astype(np.float32)
    window = slice(0, 60)  # 600 to 630 eV
    classifier = Classifier.load(next(iter(shipped().values())))
    asked = Asked(classifier, monkeypatch)
    learnt = _learnt(spectra, window)
    assert learnt.components > 0
    inside = np.ascontiguousarray(spectra[:5, window])
    rebuilt = learnt.pca.rebuild(inside, learnt.pca.transform(inside))
    Labeller(classifier, AXIS, window, "automatic").label(spectra[:5], rebuilt, None, learnt)
    assert asked.scans == [(AXIS, None)]
