"""Specimens nobody tuned on: the shipped scenes with other doses, places, elements and seeds.

`variant(name, number)` for odd numbers is what thresholds may be chosen on, for even ones what
is reported. Number 0 is the scene as it ships. Materials that differ in their spectra are phases
of their own here, also where they are of one crystal (reduced LSMO and LSMO).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from live_eels.simulators.scene import Scene, load_scene

SWAPS = (
    {},
    {"MnO": "FeO", "FeO": "MnO", "Mn3O4": "Fe3O4", "Fe3O4": "Mn3O4", "MnO2": "Fe2O3",
     "Fe2O3": "MnO2", "LSMO": "LaMnO3"},
    {"MnO": "Mn2O3", "Mn2O3": "MnO", "FeO": "Fe2O3", "Fe2O3": "FeO", "LSMO": "SrMnO3",
     "LSMO_reduced": "SrMnO3_reduced"},
    {"MnO2": "FeO", "FeO": "MnO2", "Mn3O4": "Fe2O3", "Fe2O3": "Mn3O4", "Fe3O4": "Mn2O3",
     "Mn2O3": "Fe3O4", "LSMO": "LaMnO3", "LSMO_reduced": "SrMnO3_reduced"},
)  # fmt: skip
"""Materials that take each other's place."""


@dataclass(frozen=True)
class Variant:
    """A scene and the seed to acquire it with."""

    scene: Scene
    seed: int


def variant(name: str, number: int) -> Variant:
    """One of a scene's variants; the same number always gives the same one."""
    scene = load_scene(name)
    tree = msgspec.to_builtins(scene)
    for material in tree["materials"].values():
        material["phase"] = ""
    if number == 0:
        return Variant(msgspec.convert(tree, Scene), 0)
    rng = np.random.default_rng([number, len(scene.shapes), sum(map(ord, name))])
    tree["exposure"] = float(np.exp(rng.uniform(np.log(0.5), np.log(2.5))))
    swaps = SWAPS[rng.integers(len(SWAPS))]
    extent = [n * scene.scan.step_nm for n in (1, 1, *scene.scan.shape)[-2:]]
    mirror = rng.random(2) < 0.5
    for shape in tree["shapes"]:
        _rename(shape, swaps)
        if "seed" in shape:
            shape["seed"] = int(rng.integers(1000))
        if "radius_nm" in shape:
            size = rng.uniform(0.8, 1.15)
            shape["radius_nm"] *= size
            shape["core_radius_nm"] = (
                shape.get("core_radius_nm", 0.0) * size * rng.uniform(0.8, 1.1)
            )
            if shape["kind"] == "hole":
                del shape["core_radius_nm"]
            shape["centre_nm"] = [
                _moved(at + rng.normal() * 0.02 * width, width, flip)
                for at, width, flip in zip(shape["centre_nm"], extent, mirror, strict=True)
            ]
        if "from_nm" in shape:
            low, high = zip(*(
                sorted(_moved(at, size, flip) for at in ends)
                for *ends, size, flip in zip(
                    shape["from_nm"], shape["to_nm"], extent, mirror, strict=True)
            ), strict=True)  # fmt: skip
            shape["from_nm"], shape["to_nm"] = low, high
        if "materials" in shape and mirror[1]:
            shape["materials"] = shape["materials"][::-1]
    return Variant(msgspec.convert(tree, Scene), number)


def _rename(shape: dict, swaps: dict[str, str]) -> None:
    for key in ("material", "core"):
        if key in shape:
            shape[key] = swaps.get(shape[key], shape[key])
    if "materials" in shape:
        shape["materials"] = [swaps.get(material, material) for material in shape["materials"]]


def _moved(at: float, size: float, flip: bool) -> float:
    return size - at if flip else at
