"""Scenes: those that ship, new ones, and mistakes in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from live_eels.simulators.acquire import Acquisition
from live_eels.simulators.microscope import electrons_per_visit
from live_eels.simulators.scene import SCENES, SceneError, load_scene, scene_names

from live_eels.spectra import Spectra

SMALL = {0: [], 1: [6], 2: [5, 6]}


@pytest.mark.parametrize("name", scene_names())
def test_every_shipped_scene_can_be_acquired(name: str) -> None:
    scene = load_scene(name)
    shape = SMALL[len(scene.scan.shape)]
    step = scene.scan.step_nm * max(scene.scan.shape, default=1) / max(shape, default=1)
    acquisition = Acquisition(
        scene.changed(scan={"shape": shape, "step_nm": step, "passes": 1}), seed=1
    )
    for message in acquisition.messages(chunk=4):
        if isinstance(message, Spectra):
            assert message.counts.shape[0] == message.pixels.size
    expected = acquisition.expected()
    for values in expected.values():
        assert np.isfinite(values).all()
        assert (values >= 0).all()
    assert acquisition.scan.simulated
    visited = np.unique(acquisition.visits.pixels)
    for spec_name, values in acquisition.truth.maps.items():
        if spec_name != "valence":
            assert np.isfinite(values.ravel()[visited]).all()


def test_a_new_scene_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        """
title = "Mine"
[scan]
shape = [2, 3]
[[signals]]
name = "core"
offset_ev = 600.0
dispersion_ev = 0.5
channels = 100
[[shapes]]
kind = "support"
material = "glass"
thickness_nm = 30
[materials.glass]
atoms_per_nm3 = { O = 44.0, Si = 22.0 }
"""
    )
    acquisition = Acquisition(load_scene(path))
    assert acquisition.truth.specs["phase"].classes == ("glass", "vacuum")
    assert acquisition.expected()["core"].shape == (6, 100)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[scan]", "[scan]\npasse = 2", "passe"),
        ("step_nm = 1.0", "step_nm = -1.0", "step_nm"),
        ('material = "MnO2"', 'material = "unobtainium"', "unobtainium"),
        ('detector = "ccd"', 'detector = "eye"', "eye"),
        ('name = "low"', 'name = "core"', "two signals"),
        ('kind = "support"', 'kind = "donut"', "donut"),
        ("[microscope]", "[microscope", "core"),
    ],
)
def test_mistakes_are_named(old: str, new: str, said: str, tmp_path: Path) -> None:
    text = (SCENES / "core_shell.toml").read_text()
    assert old in text
    path = tmp_path / "core_shell_wrong.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(SceneError, match=said):
        load_scene(path)


def test_unknown_scenes_are_refused() -> None:
    with pytest.raises(SceneError, match="core_shell"):
        load_scene("no_such")
    with pytest.raises(SceneError, match="cannot read"):
        load_scene("/no/such/file.toml")


def test_changes_are_checked_too() -> None:
    with pytest.raises(SceneError, match="visited"):
        load_scene("core_shell").changed(scan={"visited": 2.0})
    with pytest.raises(SceneError, match="no pixel"):
        load_scene("core_shell").changed(scan={"shape": [0, 4]})


@pytest.mark.parametrize("name", ["core_shell", "phantom"])
def test_phases_can_be_told_apart(name: str) -> None:
    """The true segmentation is one that a plain clustering finds, spikes aside."""
    cluster = pytest.importorskip("sklearn.cluster")
    metrics = pytest.importorskip("sklearn.metrics")
    decomposition = pytest.importorskip("sklearn.decomposition")
    acquisition = Acquisition(load_scene(name), seed=1)
    rng = np.random.default_rng(0)
    counts = rng.poisson(acquisition.expected()["core"]).astype(float)
    axis = acquisition.scan.core.axis
    energies, fit = axis.energies_ev, axis.window(590.0, 632.0)
    before, after = np.array_split(counts[:, fit], 2, axis=1)
    width = np.log(energies[fit][-1] / energies[fit][0])
    exponent = np.clip(2 * np.log(before.sum(1) / after.sum(1)) / width, 1, 6)[:, None]
    level = counts[:, fit].sum(1, keepdims=True) / (energies[fit] ** -exponent).sum(1)[:, None]
    window = axis.window(625.0, 735.0)
    signal = counts[:, window] - level * energies[window] ** -exponent
    loadings = decomposition.PCA(6, random_state=0).fit_transform(
        signal / np.sqrt(counts[:, window].mean(axis=0))
    )
    phase = acquisition.truth.maps["phase"].ravel()
    k = len(np.unique(phase))
    found = cluster.KMeans(k, n_init=4, random_state=0).fit_predict(loadings)
    assert metrics.adjusted_rand_score(phase, found) > 0.9


def test_an_interface_lies_between_core_and_shell() -> None:
    """Each takes its place from the one around it; together they are as thick as the section."""
    truth = Acquisition(load_scene("core_shell_interface"), seed=1).truth
    row = {name.removeprefix("amount_"): values[32] for name, values in truth.maps.items()
           if name.startswith("amount_")}  # fmt: skip
    through = row["Fe3O4"] + row["MnFe2O4"] + row["Mn3O4"]
    np.testing.assert_allclose(through[20:44], 40.0, rtol=1e-3)
    classes = truth.specs["phase"].classes
    met = [classes[int(i)] for i in truth.maps["phase"][32]]
    order = [name for i, name in enumerate(met) if i == 0 or met[i - 1] != name]
    assert order == ["carbon", "Mn3O4", "MnFe2O4", "Fe3O4", "MnFe2O4", "Mn3O4", "carbon"]
    assert 4 <= met.count("MnFe2O4") / 2 <= 6  # 3.5 nm in steps of 0.75


def test_another_exposure_is_another_dose() -> None:
    scene = load_scene("core_shell")
    twice = scene.changed(exposure=2 * scene.exposure)
    assert electrons_per_visit(twice) == pytest.approx(2 * electrons_per_visit(scene))


def test_a_material_of_the_scene_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    text = (SCENES / "core_shell.toml").read_text()
    path.write_text(text + "\n[materials.MnO]\natoms_per_nm3 = { Mn = 1.5 }\n")
    assert load_scene("core_shell").materials["MnO"].atoms_per_nm3 != {"Mn": 1.5}
    assert load_scene(path).materials["MnO"].atoms_per_nm3 == {"Mn": 1.5}
