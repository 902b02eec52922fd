"""Geometry: as much of each material as the shapes say."""

from __future__ import annotations

import msgspec
import numpy as np
from live_eels.simulators.scene import load_scene, used_materials
from live_eels.simulators.specimen import amounts


def test_a_sphere_is_as_thick_as_a_sphere() -> None:
    scene = load_scene("fe3o4_mn3o4")
    sphere = scene.shapes[1]
    alone = msgspec.structs.replace(scene, shapes=(sphere,))
    y, x = sphere.centre_nm
    distance = np.array([0.0, 3.0, 7.0, 8.99, 10.0])
    thick = amounts(alone, np.full(5, y), x + distance, seed=0)
    total = 2 * np.sqrt(np.maximum(sphere.radius_nm**2 - distance**2, 0))
    np.testing.assert_allclose(thick.sum(axis=1), total)
    core = thick[:, used_materials(alone).index("Fe3O4")]
    np.testing.assert_allclose(core, 2 * np.sqrt(np.maximum(6.0**2 - distance**2, 0)))


def test_gradient_mixes_evenly_and_keeps_its_thickness() -> None:
    scene = load_scene("valence_gradient")
    x = np.linspace(10, 86, 40)
    thick = amounts(scene, np.full(40, 16.0), x, seed=0)
    names = used_materials(scene)
    mixed = thick[:, [names.index(n) for n in ("MnO2", "Mn2O3", "MnO")]]
    np.testing.assert_allclose(mixed.sum(axis=1), 40.0, rtol=1e-6)
    np.testing.assert_allclose(mixed[:, 1].max(), 40.0, rtol=0.05)


def test_holes_are_vacuum_and_layers_do_not_gape() -> None:
    scene = load_scene("hard_day")
    assert amounts(scene, np.array([12.0]), np.array([52.0]), 1).sum() < 0.01
    layered = load_scene("lsmo_sto")
    y, x = np.mgrid[0.5:24:0.5, 0.5:31:0.5]
    thick = amounts(layered, y.ravel(), x.ravel(), 1).sum(axis=1)
    wedge = 35.0 * (0.7 + 0.7 * x.ravel() / 32.0)
    np.testing.assert_allclose(thick, wedge, rtol=0.02)
