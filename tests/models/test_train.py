import hashlib

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from live_eels.models import FOLDER, shipped
from live_eels.models.calibration import softmax, temperature
from live_eels.models.dataset import PENALTY, WINDOW, simulate
from live_eels.models.domain import Domain
from live_eels.models.graph import Graph, Heat, decided, prepare, prepared, roughness
from live_eels.models.lines import CLASSES, shipped_lines
from live_eels.models.recipe import RECIPES, Recipe, read_recipe
from live_eels.models.simulated_tests import SCANS, errors_in_scans
from live_eels.models.train import fit, save

from live_eels.classify import Classifier
from live_eels.edge_windows import Beside
from live_eels.model_card import ModelError, read_card

ORT = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def data():
    return simulate(shipped_lines(), 1600, 4, Domain(mixed=0.0, dose=(100, 3000)))


def _recipe(family, **changed):
    if family not in ("linear-svm", "cosine-svm", "rbf-svm"):
        pytest.importorskip("torch")
    return Recipe(
        name="small", title="t", family=family, epochs=30, components=16, cost=1.0, **changed
    )


@pytest.mark.parametrize(
    "family", ["dense", "convolutional", "linear-svm", "cosine-svm", "rbf-svm"]
)
def test_graph_equals_the_trained_model(family, data, tmp_path):
    recipe = _recipe(family)
    trained = fit(recipe, data)
    rule = msgspec.structs.replace(read_card(next(iter(shipped().values()))).rejection)
    heat = Heat((-3.0, -2.0, -1.2), (-0.2, 0.1, 0.4))
    card = save(recipe, b"", trained, data, (heat, rule, {}), tmp_path)
    means = read_card(card).means
    assert set(means) == {"Mn2+", "Mn3+", "Mn4+", "Fe2+", "Fe3+"}
    seen = prepare(data.window[data.pure & (data.label == CLASSES.index("Mn4+"))])
    assert np.corrcoef(means["Mn4+"], seen.mean(axis=0))[0, 1] > 0.999
    answer = Classifier.load(card).run(data.window, data.element)
    x = prepare(data.window)
    logits = trained.logits(x) + data.element @ PENALTY
    assert np.ptp(heat(x)) > 0.4
    np.testing.assert_allclose(answer["probability"], softmax(logits / heat(x)), atol=1e-5)
    energy = -np.log(np.exp(logits).sum(axis=1))
    np.testing.assert_allclose(answer["score"], energy, atol=2e-4)
    if "fraction" in answer:
        np.testing.assert_allclose(answer["fraction"].sum(axis=1), 1.0, atol=1e-5)
    if family != "convolutional":  # learns too slowly for a test; the shipped one is tested below
        assert (answer["probability"].argmax(axis=1) == data.label).mean() > 0.6


def test_graph_that_sees_scans_equals_the_trained_model(tmp_path):
    recipe = _recipe("dense", domain=Domain(pixels=16))
    data = simulate(shipped_lines(), 1600, 4, recipe.domain)
    trained = fit(recipe, data)
    rule = read_card(next(iter(shipped().values()))).rejection
    heat = Heat((-3.0, -2.0, -1.2), (-0.2, 0.1, 0.4))
    path = save(recipe, b"", trained, data, (heat, rule, {}), tmp_path)
    assert read_card(path).preparation.endswith("beside the mean")
    classifier = Classifier.load(path)
    for some, beside in ((data, Beside(data.scan, data.moved_ev)), (data.apart(), None)):
        answer = classifier.run(some.window, some.element, beside)
        logits = trained.logits(some.seen(scan=True)) + some.element @ PENALTY
        wanted = softmax(logits / heat(prepare(some.window)))
        np.testing.assert_allclose(answer["probability"], wanted, atol=2e-5)
    both = [trained.logits(some.seen(scan=True)) for some in (data, data.apart())]
    assert np.abs(both[0] - both[1]).max() > 0.1


def test_in_a_scan_differences_are_surer():
    """Line shapes and instrument are the same for all its pixels, and the mean tells them."""
    data = simulate(shipped_lines(), 3200, 31, SCANS)
    classifier = Classifier.load(shipped()["mn-fe-scan"])
    true = data.fraction @ np.array([c.valence or 0.0 for c in classifier.card.classes])
    errors = [
        errors_in_scans(
            classifier.mean_valence(classifier.run(data.window, data.element, beside)), true
        )
        for beside in (Beside(data.scan, data.moved_ev), None)
    ]
    seen, apart = (e["valence_difference_rms_in_scans"] for e in errors)
    assert seen < 0.8 * apart
    assert errors[0]["valence_rms_in_scans"] < errors[1]["valence_rms_in_scans"]


def test_errors_that_all_pixels_share_are_no_differences():
    true = np.linspace(2, 4, 2 * SCANS.pixels)
    found = true + np.repeat([0.3, -0.1], SCANS.pixels)
    errors = errors_in_scans(found, true)
    assert errors["valence_difference_rms_in_scans"] == pytest.approx(0.0, abs=1e-12)
    assert errors["valence_rms_in_scans"] == pytest.approx(np.sqrt(0.05))


def test_machine_equals_scikit_learn_calibrated_probabilities(data):
    from live_eels.models import svm
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    x = prepare(data.window)
    machine = svm.train_machine("rbf", x, data.label, cost=1.0, components=16, seed=0)
    seen = machine.seen(x)
    theirs = CalibratedClassifierCV(FrozenEstimator(machine.trained), method="temperature")
    theirs.fit(seen, data.label)
    beta = float(theirs.calibrated_classifiers_[0].calibrators[0].beta_)
    graph = Graph()
    seen_by = prepared(graph, WINDOW.points)
    name = svm.write_machine(graph, seen_by, machine)
    heat = Heat(log_temperature=(-np.log(beta),) * 2)
    decided(graph, seen_by, WINDOW.points, name, np.zeros_like(PENALTY), heat)
    inputs = {"window": WINDOW.points, "element": 2}
    outputs = {"probability": len(CLASSES), "score": 0}
    session = ORT.InferenceSession(graph.encode(inputs, outputs, {}))
    feed = {"window": data.window, "element": data.element}
    ours = session.run(["probability"], feed)[0]
    np.testing.assert_allclose(ours, theirs.predict_proba(seen), atol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_operator_of_skl2onnx_says_the_same():
    pytest.importorskip("skl2onnx")
    from benchmarks.svm_onnx import compare

    found = compare(500)
    assert found["ours_difference"] < 1e-5
    assert found["skl2onnx_difference"] < 1e-5


def test_training_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from live_eels.models import calibration, dataset, train

    monkeypatch.setattr(calibration, "CALIBRATED_ON", 400)
    monkeypatch.setattr(calibration, "TESTED_ON", 300)
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'name = "tiny"\ntitle = "t"\nfamily = "dense"\nspectra = 1500\nepochs = 50\nhidden = [32]\n'
    )
    said: list[str] = []
    first = train.train(recipe, tmp_path / "a", said.append, tmp_path / "kept")
    assert "ligand_field/covalent" in said[0]
    drawn = []
    whole = dataset.draw

    def counted(lines, count, rng, domain):
        drawn.append(count)
        return whole(lines, count, rng, domain)

    monkeypatch.setattr(dataset, "draw", counted)
    again = train.train(recipe, tmp_path / "b", said.append, tmp_path / "kept")
    assert drawn == []
    assert read_card(again) == read_card(first)
    figures = read_card(first).figures
    assert 0.2 < figures["held_out"]["accuracy"] < 1.0
    assert np.isfinite(figures["calibration"]["log_temperature"]).all()


def test_temperatures_of_clean_and_noisy_spectra_are_recovered():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (60_000, 4))
    rough = rng.uniform(-4, -1, len(logits))
    true = Heat((-3.7, -3.1, -2.5, -1.9, -1.3), tuple(np.log([0.7, 0.8, 1.0, 1.5, 2.0])))
    wanted = np.exp(np.interp(rough, true.rough, true.log_temperature))[:, None]
    p = softmax(logits / wanted)
    label = (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1)
    found = temperature(logits, label, rough)
    at = np.linspace(-3.9, -1.1, 15)
    np.testing.assert_allclose(
        np.interp(at, found.rough, found.log_temperature),
        np.interp(at, true.rough, true.log_temperature),
        atol=0.1,
    )


def test_heavier_spectra_decide_the_temperature():
    rng = np.random.default_rng(1)
    logits, rough = rng.normal(0, 3, (40_000, 4)), rng.uniform(-4, -1, 40_000)
    hot = np.arange(40_000) % 2 == 1  # half the answers are surer than they should be
    p = softmax(logits / np.where(hot, 2.0, 1.0)[:, None])
    label = (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1)
    for weight, wanted in ((np.where(hot, 1.0, 1e-6), 2.0), (np.where(hot, 1e-6, 1.0), 1.0)):
        found = temperature(logits, label, rough, weight)
        np.testing.assert_allclose(np.exp(found.log_temperature), wanted, atol=0.2)


def test_noisier_windows_are_rougher(data):
    order = np.argsort(data.dose)
    rough = roughness(prepare(data.window[order]))
    assert np.median(rough[:400]) > np.median(rough[-400:]) + 0.5


def test_the_command_makes_the_same_model_again(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from live_eels.models import calibration

    from live_eels.cli import cli

    monkeypatch.setattr(calibration, "CALIBRATED_ON", 200)
    monkeypatch.setattr(calibration, "TESTED_ON", 200)
    text = (
        'name = "tiny"\ntitle = "t"\nfamily = "dense"\nspectra = 300\nepochs = 2\nhidden = [16]\n'
    )
    cards = {}
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        recipe = tmp_path / f"{out}.toml"
        recipe.write_text(f"{text}seed = {seed}\n")
        done = CliRunner().invoke(cli, ["train", str(recipe), "--out", str(tmp_path / out)])
        assert done.exit_code == 0, done.output
        cards[out] = read_card(tmp_path / out / "tiny.toml")
        onnx = (tmp_path / out / "tiny.onnx").read_bytes()
        assert hashlib.sha256(onnx).hexdigest() == cards[out].sha256
        assert cards[out].training.recipe_sha256 == hashlib.sha256(recipe.read_bytes()).hexdigest()
    assert cards["a"] == cards["b"]
    assert cards["a"].sha256 != cards["c"].sha256
    assert cards["a"].training.data_sha256 != cards["c"].training.data_sha256


def test_same_seed_same_network(data):
    x = prepare(data.window[:50])
    first, again = (fit(_recipe("dense", hidden=(16,)), data).logits(x) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda p: p.stem)
def test_every_recipe_has_its_shipped_model(path):
    recipe, content = read_recipe(path.stem)
    assert recipe.name == path.stem
    card = read_card(shipped()[recipe.name])
    assert card.training.recipe_sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_models_load_and_label(name):
    data = simulate(shipped_lines(), 320, 9, Domain(mixed=0.0, none=0.0, dose=(1000, 3000)))
    classifier = Classifier.load(shipped()[name])
    label = classifier.decide(classifier.run(data.window, data.element))
    assert (label == data.label).mean() > 0.7
    figures = classifier.card.figures
    assert figures["held_out"]["accuracy"] > 0.75
    assert figures["simulated"]["accuracy"] > 0.75


def test_shipped_models_are_small():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.onnx")) < 3_000_000


def test_not_a_recipe(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('name = "a"\ntitle = "t"\nfamily = "forest"\n')
    with pytest.raises(ModelError, match="family"):
        read_recipe(path)
