import hashlib
import shutil

import msgspec
import numpy as np
import pytest
from live_eels.models import DEFAULT, shipped
from live_eels.models.dataset import simulate
from live_eels.models.lines import CLASSES, shipped_lines
from live_eels.models.randomise import draw
from live_eels.models.simulated_tests import LABORATORY

from live_eels.classify import Classifier, entropy, label_source
from live_eels.edge_windows import alone
from live_eels.model_card import Card, ModelError, read_card
from live_eels.spectra import EnergyAxis

AXIS = EnergyAxis(600.0, 0.25, 600)


@pytest.fixture(scope="module")
def classifier():
    return Classifier.load(shipped()[DEFAULT])


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(11)
    return list(draw(shipped_lines(), 640, rng, msgspec.structs.replace(LABORATORY, none=0.0)))


@pytest.fixture
def copied(tmp_path):
    for suffix in (".onnx", ".toml"):
        shutil.copy(shipped()[DEFAULT].with_suffix(suffix), tmp_path)
    return tmp_path / f"{DEFAULT}.toml"


def test_labels_simulated_spectra(classifier, drawn):
    right = [classifier.predict(g.counts, g.axis).label == g.label for g in drawn]
    assert np.mean(np.concatenate(right)) > 0.85


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_scale_and_offset_change_nothing(classifier, drawn, scale):
    group = drawn[0]
    first = classifier.predict(group.counts, group.axis)
    top = np.abs(group.counts).max()
    again = classifier.predict((group.counts - 0.2 * top) * scale, group.axis)
    np.testing.assert_allclose(again.probability, first.probability, atol=2e-3)


@pytest.mark.parametrize("shift_ev", [-10.0, -0.3, 10.0])
def test_wrong_energy_axis_changes_nothing(classifier, drawn, shift_ev):
    group = next(g for g in drawn if g.axis.end_ev > 690)
    first = classifier.predict(group.counts, group.axis)
    axis = EnergyAxis(group.axis.offset_ev + shift_ev, group.axis.dispersion_ev, group.axis.size)
    again = classifier.predict(group.counts, axis)
    assert (again.label == first.label).mean() > 0.95


def test_denoised_spectra_below_the_noise_have_no_edge(classifier, drawn):
    """Noise seen through the components of other pixels looks like their edges."""
    rng = np.random.default_rng(3)
    edges = np.stack([g.counts[0] for g in drawn if g.axis == drawn[0].axis] + [*drawn[0].counts])
    factors = np.linalg.svd(edges, full_matrices=False)[2][:5]
    measured = rng.poisson(20.0, (400, drawn[0].axis.size)).astype(np.float32)
    level = np.full((400, drawn[0].axis.size), 20.0, np.float32)
    denoised = (level + (measured - level) @ factors.T @ factors).astype(np.float32)
    noise = (measured - denoised).std(axis=1)
    none = CLASSES.index("none")
    blind = classifier.predict(denoised, drawn[0].axis)
    assert (blind.label != none).mean() > 0.1
    found = classifier.predict(denoised, drawn[0].axis, noise)
    assert (found.label == none).mean() > 0.99
    np.testing.assert_array_equal(found.probability[:, none] == 1.0, found.label == none)
    clear = np.full(len(drawn[0].counts), 1e-6, np.float32)
    seen = classifier.predict(drawn[0].counts, drawn[0].axis, clear)
    np.testing.assert_array_equal(
        seen.label, classifier.predict(drawn[0].counts, drawn[0].axis).label
    )


def test_a_model_that_sees_scans_is_shown_the_mean(drawn):
    seeing = Classifier.load(shipped()["mn-fe-scan"])
    group = next(g for g in drawn if g.axis.end_ev > 690)
    mean = np.float32([1.0, 0.5]) @ group.counts[:2].astype(np.float32)
    windows = seeing.preparation.windows(group.counts, group.axis)
    of = np.zeros(len(group.counts), np.intp)
    beside = seeing.preparation.beside(windows, mean[None], group.axis, of)
    wanted = seeing.run(windows.window, windows.element, beside)["probability"]
    found = seeing.predict(group.counts, group.axis, scan=(mean, group.axis)).probability
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    apart = seeing.predict(group.counts, group.axis).probability
    assert np.abs(found - apart).max() > 0.05


def test_other_models_do_not_mind_a_mean(classifier, drawn):
    group = drawn[0]
    scan = group.counts.mean(axis=0).astype(np.float32), group.axis
    wanted = classifier.predict(group.counts, group.axis).probability
    found = classifier.predict(group.counts, group.axis, scan=scan).probability
    np.testing.assert_array_equal(found, wanted)
    seen = classifier.preparation.windows(group.counts, group.axis)
    found = classifier.run(seen.window, seen.element, alone(seen.window))["probability"]
    np.testing.assert_array_equal(found, wanted)


def test_chunks_of_any_size_agree(classifier, drawn):
    group = drawn[1]
    whole = classifier.predict(group.counts, group.axis)
    for n in (1, 7):
        parts = [classifier.predict(group.counts[i : i + n], group.axis) for i in range(0, 32, n)]
        np.testing.assert_allclose(
            np.concatenate([p.probability for p in parts]), whole.probability, atol=1e-5
        )


def test_no_spectra(classifier):
    labels = classifier.predict(np.empty((0, 600), np.float32), AXIS)
    assert labels.label.shape == (0,)
    assert labels.probability.shape == (0, len(CLASSES))


def test_nan_is_rejected_and_its_neighbours_are_not_touched(classifier, drawn):
    group = drawn[0]
    counts = group.counts.astype(np.float32)
    first = classifier.predict(counts, group.axis)
    counts[3, 5:] = np.nan
    again = classifier.predict(counts, group.axis)
    assert again.label[3] == -1
    assert np.isnan(again.valence[3])
    others = np.arange(32) != 3
    np.testing.assert_array_equal(again.label[others], first.label[others])


def test_counts_are_left_alone(classifier):
    counts = np.random.default_rng(0).poisson(20, (8, 600)).astype(np.float32)
    before = counts.copy()
    classifier.predict(counts, AXIS)
    np.testing.assert_array_equal(counts, before)


def test_neither_is_mostly_refused(classifier):
    domain = msgspec.structs.replace(LABORATORY, none=1.0)
    data = simulate(shipped_lines(), 600, 21, domain)
    label = classifier.decide(classifier.run(data.window, data.element))
    assert np.isin(label, (-1, CLASSES.index("none"))).mean() > 0.9


def test_valence_lies_between_the_states(classifier, drawn):
    for group in drawn[:6]:
        labels = classifier.predict(group.counts, group.axis)
        known = labels.valence[(labels.label >= 0) & (labels.label < 5)]
        assert ((known >= 2) & (known <= 4)).all()
        assert np.isnan(labels.valence[labels.label < 0]).all()


def test_axis_that_covers_no_edge_names_both_ranges(classifier):
    with pytest.raises(ModelError, match=r"618 to 662 eV.*686 to 730 eV.*300 to 399\.9 eV"):
        classifier.bind(EnergyAxis(300.0, 0.1, 1000))


def test_bind_says_which_elements_can_be_told(classifier):
    assert classifier.bind(EnergyAxis(600.0, 0.1, 2000)) == ("Mn", "Fe")
    assert classifier.bind(EnergyAxis(630.0, 0.1, 340)) == ("Mn",)
    assert classifier.bind(EnergyAxis(690.0, 0.1, 500)) == ("Fe",)


def test_wrong_number_of_channels(classifier):
    with pytest.raises(ModelError, match="600 channels"):
        classifier.predict(np.zeros((3, 599), np.float32), AXIS)


def test_changed_model_is_refused(copied):
    onnx = copied.with_suffix(".onnx")
    onnx.write_bytes(onnx.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match="is not the model"):
        Classifier.load(copied)


def _rewritten(copied, **changed) -> None:
    card = msgspec.structs.replace(read_card(copied), **changed)
    copied.write_bytes(msgspec.toml.encode(card))


def test_broken_model_with_a_true_hash_is_refused(copied):
    content = b"not onnx"
    copied.with_suffix(".onnx").write_bytes(content)
    _rewritten(copied, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(ModelError, match="cannot be loaded"):
        Classifier.load(copied)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("low_ev", -6.0, "trained on spectra prepared by"), ("points", 100, "the graph takes")],
)
def test_card_that_prepares_otherwise_is_refused(copied, field, value, words):
    window = msgspec.structs.replace(read_card(copied).window, **{field: value})
    _rewritten(copied, window=window, means={})  # means would not fit either
    with pytest.raises(ModelError, match=words):
        Classifier.load(copied)


def test_card_with_other_classes_is_refused(copied):
    _rewritten(copied, classes=read_card(copied).classes[:-1])
    with pytest.raises(ModelError, match="the graph gives"):
        Classifier.load(copied)


def test_card_may_not_name_a_file_elsewhere(copied):
    _rewritten(copied, file="../other.onnx")
    with pytest.raises(ModelError, match="beside its card"):
        Classifier.load(copied)


@pytest.mark.parametrize("text", ["", "format = 2", "nonsense", "format = 1\nname = 3\n"])
def test_unreadable_cards(tmp_path, text):
    path = tmp_path / "card.toml"
    path.write_text(text)
    with pytest.raises(ModelError, match="not a model card"):
        read_card(path)


def test_card_survives_writing(copied):
    card = read_card(copied)
    assert msgspec.toml.decode(msgspec.toml.encode(card), type=Card) == card


@pytest.mark.parametrize(
    ("counts", "components", "clusters", "wanted", "source"),
    [
        (500.0, True, True, "automatic", "raw"),
        (10.0, True, True, "automatic", "denoised"),
        (10.0, False, True, "automatic", "raw"),
        (1.0, True, True, "automatic", "cluster"),
        (1.0, True, False, "automatic", "denoised"),
        (1.0, True, True, "raw", "raw"),
        (500.0, True, True, "cluster", "cluster"),
    ],
)
def test_which_spectrum_is_labelled(counts, components, clusters, wanted, source):
    assert label_source(counts, components, clusters, wanted) == source


def test_entropy_runs_from_sure_to_undecided():
    p = np.array([[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]], np.float32)
    np.testing.assert_allclose(entropy(p), [0, 1, 0.5], atol=1e-5)
