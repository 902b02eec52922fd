"""Geometry: as much of each material as the shapes say."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from live_eels.simulators.scene import Scene, load_scene, used_materials
from live_eels.simulators.shapes import Particle, Ramp, Stripes, Support
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


def field_of(*shapes: object, shape: tuple[int, int] = (10, 40)) -> Scene:
    """Only these shapes, on a field of ``shape`` nm."""
    scene = load_scene("core_shell").changed(
        scan={"shape": shape, "step_nm": 1.0}, microscope={"probe_nm": 0.1}
    )
    return msgspec.structs.replace(scene, shapes=shapes, damage=())


def thickness_at(scene: Scene, *points: tuple[float, float]) -> np.ndarray:
    y, x = np.array(points).T
    return amounts(scene, y, x, seed=3)


@pytest.mark.parametrize(("along", "end"), [("y", (10.0, 0.0)), ("x", (0.0, 40.0))])
def test_a_wedge_goes_from_one_side_of_the_field_to_the_other(along, end) -> None:
    film = Support(material="MnO", thickness_nm=20.0)
    scene = field_of(film, Ramp(along=along, from_factor=0.5, to_factor=1.5))
    middle = (5.0, 20.0)
    thick = thickness_at(scene, (0.0, 0.0), middle, end)[:, 0]
    np.testing.assert_allclose(thick, [10.0, 20.0, 30.0])


def test_stripes_are_of_equal_width() -> None:
    scene = field_of(Stripes(materials=("MnO", "Mn2O3"), thickness_nm=20.0))
    thick = thickness_at(scene, (5.0, 1.0), (5.0, 10.0), (5.0, 19.0), (5.0, 21.0), (5.0, 39.0))
    np.testing.assert_allclose(thick[:3], [[20, 0]] * 3, atol=1e-6)
    np.testing.assert_allclose(thick[3:], [[0, 20]] * 2, atol=1e-6)


@pytest.mark.parametrize(("squareness", "in_the_corner"), [(0.0, 0.0), (1.0, 20.0)])
def test_a_particle_is_as_square_as_asked(squareness: float, in_the_corner: float) -> None:
    scene = field_of(
        Particle(
            centre_nm=(5.0, 20.0), radius_nm=4.0, material="MnO", thickness_nm=20.0,
            squareness=squareness,
        )
    )  # fmt: skip
    thick = thickness_at(scene, (5.0, 20.0), (8.5, 23.5), (5.0, 24.5))[:, 0]
    np.testing.assert_allclose(thick, [20.0, in_the_corner, 0.0], atol=1e-6)


def test_roughness_is_the_standard_deviation_of_the_thickness() -> None:
    film = Support(material="MnO", thickness_nm=20.0, roughness=0.1, grain_nm=5.0)
    scene = field_of(film, shape=(200, 200))
    y, x = np.mgrid[0:200.0, 0:200.0]
    thick = amounts(scene, y.ravel(), x.ravel(), seed=3)
    assert thick.mean() == pytest.approx(20.0, rel=0.01)
    assert thick.std() == pytest.approx(2.0, rel=0.1)
