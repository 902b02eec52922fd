"""How much of which material lies under the beam: shapes painted into thickness maps.

Lives here: geometry. ``amounts`` gives the thickness of each material at any beam positions, so
that drift, sub-sampling and several passes all ask the same specimen.
"""

from __future__ import annotations

import numpy as np
from live_eels.simulators.scene import Scene, used_materials
from live_eels.simulators.shapes import (
    Gradient,
    Hole,
    Layer,
    Mosaic,
    Particle,
    Ramp,
    Shape,
    Stripes,
    Support,
)
from numpy.typing import NDArray

Field = NDArray[np.float64]


def amounts(scene: Scene, y_nm: Field, x_nm: Field, seed: int) -> Field:
    """Thickness of each of ``used_materials(scene)`` at the positions.

    Parameters
    ----------
    y_nm, x_nm
        float64 ``(position,)``.

    Returns
    -------
    float64 ``(position, material)``, nm.
    """
    names = used_materials(scene)
    out = np.zeros((y_nm.size, len(names)))
    extent = extent_nm(scene)
    probe = max(scene.microscope.probe_nm, 1e-3)
    for number, shape in enumerate(scene.shapes):
        # layers bend alike, so that neighbours neither gape nor overlap
        own = 0 if isinstance(shape, Layer) else number + 1
        rng = np.random.default_rng([seed, own, 0x5EC])
        painted = _painted(shape, y_nm, x_nm, extent, probe, rng)
        if isinstance(shape, Hole | Ramp):
            out *= painted[""][:, None]
        else:
            for name, thickness in painted.items():
                out[:, names.index(name)] += thickness
    return out


def extent_nm(scene: Scene) -> tuple[float, float]:
    """Height and width of the scanned field, nm."""
    shape = (1, 1, *scene.scan.shape)[-2:]
    return shape[0] * scene.scan.step_nm, shape[1] * scene.scan.step_nm


def _painted(
    shape: Shape,
    y: Field,
    x: Field,
    extent: tuple[float, float],
    probe: float,
    rng: np.random.Generator,
) -> dict[str, Field]:
    match shape:
        case Support():
            uneven = 1 + shape.roughness * _waves(y, x, shape.grain_nm, rng)
            return {shape.material: shape.thickness_nm * uneven}
        case Particle():
            return _particle(shape, y, x, probe)
        case Layer():
            inside = _inside(shape.from_nm, shape.to_nm, y, x, probe, shape.waviness_nm, rng)
            return {shape.material: shape.thickness_nm * inside}
        case Gradient():
            return _gradient(shape, y, x, probe, rng)
        case Mosaic():
            return _mosaic(shape, y, x, extent, probe)
        case Stripes():
            return _stripes(shape, x, extent[1], probe)
        case Hole():
            distance = np.hypot(y - shape.centre_nm[0], x - shape.centre_nm[1])
            return {"": 1 - _within(distance, shape.radius_nm, probe)}
        case Ramp():
            part = x / extent[1] if shape.along == "x" else y / extent[0]
            return {"": shape.from_factor + (shape.to_factor - shape.from_factor) * part}


def _within(distance: Field, radius: float, probe: float) -> Field:
    """1 inside, 0 outside, the probe's width between."""
    return np.asarray(1 / (1 + np.exp(np.clip((distance - radius) / (0.25 * probe), -50, 50))))


def _particle(shape: Particle, y: Field, x: Field, probe: float) -> dict[str, Field]:
    dy, dx = y - shape.centre_nm[0], x - shape.centre_nm[1]
    round_, square = np.hypot(dy, dx), np.maximum(np.abs(dy), np.abs(dx))
    distance = (1 - shape.squareness) * round_ + shape.squareness * square
    bodies = [(shape.material, shape.radius_nm)]
    if shape.interface:
        bodies.append((shape.interface, shape.core_radius_nm + shape.interface_nm))
    if shape.core:
        bodies.append((shape.core, shape.core_radius_nm))
    through: dict[str, Field] = {}
    outer = ""
    for name, radius in bodies:  # each takes its place from the one around it
        if shape.thickness_nm is not None:
            through[name] = shape.thickness_nm * _within(distance, radius, probe)
        else:
            through[name] = 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0.0))
        if outer:
            through[outer] = np.maximum(through[outer] - through[name], 0.0)
        outer = name
    return through


def _inside(
    corner: tuple[float, float],
    other: tuple[float, float],
    y: Field,
    x: Field,
    probe: float,
    waviness_nm: float,
    rng: np.random.Generator,
) -> Field:
    bent_y = y + waviness_nm * _waves(np.zeros_like(x), x, 15.0, rng)
    bent_x = x + waviness_nm * _waves(y, np.zeros_like(y), 15.0, rng)
    inside = np.ones_like(y)
    for value, low, high in ((bent_y, corner[0], other[0]), (bent_x, corner[1], other[1])):
        inside = inside * _within(np.abs(value - (low + high) / 2), (high - low) / 2, probe)
    return inside


def _gradient(
    shape: Gradient, y: Field, x: Field, probe: float, rng: np.random.Generator
) -> dict[str, Field]:
    inside = _inside(shape.from_nm, shape.to_nm, y, x, probe, 0.0, rng)
    width = shape.to_nm[1] - shape.from_nm[1]
    position = np.clip((x - shape.from_nm[1]) / width, 0.0, 1.0) * (len(shape.materials) - 1)
    out: dict[str, Field] = {}
    for number, name in enumerate(shape.materials):
        share = np.maximum(1 - np.abs(position - number), 0.0)
        out[name] = out.get(name, np.zeros_like(x)) + shape.thickness_nm * inside * share
    return out


def _mosaic(
    shape: Mosaic, y: Field, x: Field, extent: tuple[float, float], probe: float
) -> dict[str, Field]:
    rng = np.random.default_rng([shape.seed, 0x305A1C])
    seeds = rng.random((shape.grains, 2)) * extent
    distance = np.hypot(y[:, None] - seeds[:, 0], x[:, None] - seeds[:, 1])
    kinds = np.arange(shape.grains) % len(shape.materials)
    nearest = np.stack(
        [
            distance[:, kinds == kind].min(axis=1)
            for kind in range(min(len(shape.materials), shape.grains))
        ]
    )
    # a border is as wide as the probe: compare how much nearer one grain is than the other
    weight = np.exp(-(nearest - nearest.min(axis=0)) / (0.5 * probe))
    weight /= weight.sum(axis=0)
    out: dict[str, Field] = {}
    for name, share in zip(shape.materials, weight, strict=False):
        out[name] = out.get(name, np.zeros_like(x)) + shape.thickness_nm * share
    return out


def _stripes(shape: Stripes, x: Field, width: float, probe: float) -> dict[str, Field]:
    stripe = width / len(shape.materials)
    out: dict[str, Field] = {}
    for number, name in enumerate(shape.materials):
        inside = _within(np.abs(x - (number + 0.5) * stripe), stripe / 2, probe)
        out[name] = out.get(name, np.zeros_like(x)) + shape.thickness_nm * inside
    return out


def _waves(y: Field, x: Field, grain_nm: float, rng: np.random.Generator) -> Field:
    """A smooth random field of unit variance: a few plane waves of random direction."""
    waves = 12
    angle = rng.random(waves) * 2 * np.pi
    length = grain_nm * (0.7 + rng.random(waves))
    phase = rng.random(waves) * 2 * np.pi
    field = np.zeros_like(y)
    for a, wavelength, p in zip(angle, length, phase, strict=True):
        field += np.cos(2 * np.pi * (y * np.sin(a) + x * np.cos(a)) / wavelength + p)
    return np.asarray(field * np.sqrt(2 / waves))
