"""What is true of a simulated scan: maps, and the visits they sum up.

Lives here: making the maps from what lay under the beam. ``truth_file.py`` stores them,
``acquire.reconstruct`` rebuilds the noise-free spectra from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from live_eels.simulators.edges import element_of, ion_density
from live_eels.simulators.scene import Scene, used_materials
from live_eels.simulators.spectrometer import mean_free_path_nm
from numpy.typing import NDArray

from live_eels.spectra import MapSpec, Scan

CLASSES = ("Mn2+", "Mn3+", "Mn4+", "Fe2+", "Fe3+", "none")
LEAST_IONS_PER_NM2 = 60.0
"""Fewer Mn and Fe atoms than this under the beam (1.5 nm of oxide) are called ``none``."""
LEAST_NM = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class VisitTruth:
    """One row per stop of the beam, in scan order.

    Attributes
    ----------
    amounts_nm
        Thickness of each material, float32 ``(visit, material)``.
    shift_ev, electrons
        float32 ``(visit,)``; incident electrons.
    """

    pixels: NDArray[np.int64]
    amounts_nm: NDArray[np.float32]
    shift_ev: NDArray[np.float32]
    electrons: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The answer to the scan.

    Attributes
    ----------
    maps, specs
        Name to float32 values on the navigation shape (nan where the beam never was), and what
        they mean. ``label`` and ``phase`` are indices into their spec's classes;
        ``fraction_<ion>`` are shares of the Mn and Fe atoms (``fraction_none`` is 1 where there
        are none); ``thickness`` is t/lambda; ``amount_<material>`` nm; ``counts`` the mean
        core-loss counts over all channels and passes; ``electrons`` the incident ones.
    """

    maps: dict[str, NDArray[np.float32]]
    specs: dict[str, MapSpec]
    visits: VisitTruth


def phases(scene: Scene) -> tuple[str, ...]:
    """Names of the true segments, ``vacuum`` last."""
    names = used_materials(scene)
    return (*dict.fromkeys(scene.materials[name].phase or name for name in names), "vacuum")


def describe(scene: Scene, scan: Scan, visits: VisitTruth, counts: NDArray[np.float64]) -> Truth:
    """Truth maps from what was under the beam at each visit.

    Parameters
    ----------
    counts
        Mean core-loss counts of each visit, ``(visit,)``.
    """
    names = used_materials(scene)
    pixels = scan.pixels
    times = np.bincount(visits.pixels, minlength=pixels).astype(float)
    never = times == 0

    def mean(values: NDArray[np.generic]) -> NDArray[np.float64]:
        total = np.bincount(visits.pixels, values.astype(float), pixels)
        return np.asarray(np.where(never, np.nan, total / np.maximum(times, 1)))

    amounts = (
        np.stack([mean(visits.amounts_nm[:, k]) for k in range(len(names))], axis=1).reshape(
            pixels, len(names)
        )
        if names
        else np.zeros((pixels, 0))
    )
    path = np.array([mean_free_path_nm(scene.materials[n], scene.microscope) for n in names])
    values: dict[str, NDArray[np.float64]] = {}
    specs: list[MapSpec] = []

    def add(spec: MapSpec, column: NDArray[Any]) -> None:
        specs.append(spec)
        values[spec.name] = np.where(never, np.nan, column)

    fractions = class_fractions(scene, amounts)
    label = fractions.argmax(axis=1).astype(float)
    add(MapSpec("label", "label", "", "most frequent ion", CLASSES), label)
    segment = segments(scene, amounts).astype(float)
    add(MapSpec("phase", "label", "", "material", phases(scene)), segment)
    for k, name in enumerate(CLASSES):
        add(MapSpec(f"fraction_{name}", "fraction", "", f"share of {name}"), fractions[:, k])
    charge = np.array([float(name[2]) for name in CLASSES[:-1]])
    ions = fractions[:, :-1].sum(axis=1)
    with np.errstate(invalid="ignore"):
        valence = np.where(ions > 0.5, fractions[:, :-1] @ charge / ions, np.nan)
    add(MapSpec("valence", "intensity", "", "mean charge of Mn and Fe", (), (2.0, 4.0)), valence)
    add(MapSpec("thickness", "intensity", "t/lambda", "inelastic"), amounts @ (1 / path))
    add(MapSpec("shift_ev", "signed", "eV", "shift of the energy axis"), mean(visits.shift_ev))
    total = np.bincount(visits.pixels, counts, pixels)
    add(MapSpec("counts", "intensity", "counts", "mean core-loss counts"), total)
    current = np.bincount(visits.pixels, visits.electrons.astype(float), pixels)
    add(MapSpec("electrons", "intensity", "electrons", "incident electrons"), current)
    for k, name in enumerate(names):
        add(MapSpec(f"amount_{name}", "intensity", "nm", f"thickness of {name}"), amounts[:, k])
    shape = scan.shape or (1,)
    maps = {name: column.astype(np.float32).reshape(shape) for name, column in values.items()}
    return Truth(maps, {spec.name: spec for spec in specs}, visits)


def class_fractions(scene: Scene, amounts_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each of ``CLASSES`` in the Mn and Fe atoms under the beam, ``(pixel, class)``."""
    names = used_materials(scene)
    density = np.zeros((len(names), len(CLASSES) - 1))
    for k, name in enumerate(names):
        for ion, atoms in ion_density(scene.materials[name]).items():
            if element_of(ion) in ("Mn", "Fe"):
                density[k, CLASSES.index(ion)] = atoms
    ions = np.nan_to_num(amounts_nm) @ density
    total = ions.sum(axis=1, keepdims=True)
    enough = total >= LEAST_IONS_PER_NM2
    shares = np.where(enough, ions / np.maximum(total, 1e-30), 0.0)
    return np.concatenate([shares, ~enough], axis=1)


def segments(scene: Scene, amounts_nm: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index into ``phases`` of the thickest phase under the beam, ``(pixel,)``."""
    names = phases(scene)
    thick = np.zeros((len(amounts_nm), len(names)))
    for k, name in enumerate(used_materials(scene)):
        thick[:, names.index(scene.materials[name].phase or name)] += amounts_nm[:, k]
    thick[:, -1] = LEAST_NM
    return np.asarray(np.nan_to_num(thick).argmax(axis=1))


def truth_path(recording: str | Path) -> Path:
    """Where the truth of a recording lies: ``scan.hspy`` has ``scan.truth.hspy``."""
    path = Path(recording)
    return path.with_name(f"{path.stem}.truth.hspy")


def save(truth: Truth, scan: Scan, path: str | Path, scene: Scene | None = None) -> None:
    """Store the truth at ``path``; see ``truth_file.save``."""
    from live_eels.simulators.truth_file import save as write  # needs h5py, which truth does not

    write(truth, scan, path, scene)
