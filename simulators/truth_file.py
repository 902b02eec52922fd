"""Truth on disk, beside the recording and laid out like it.

Lives here: writing and reading ``<recording>.truth.hspy``. Maps are HyperSpy signals under
``/Experiments`` and, linked to the same arrays, NXdata under ``/entry/maps`` as in a recording;
the visits and the scene are under ``/live_eels/truth``. The files we write are the only ones we
read here: anything else is refused.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
from live_eels.simulators.scene import Scene
from live_eels.simulators.truth import Truth, VisitTruth
from numpy.typing import NDArray

from live_eels.io.layout import write_navigation_axes
from live_eels.io.nexus import make_group, write_axes
from live_eels.spectra import MapSpec, Scan

MAX_VALUES = 2**31


class TruthFileError(ValueError):
    """A file that is not a truth file of ours."""


def save(truth: Truth, scan: Scan, path: str | Path, scene: Scene | None = None) -> None:
    """Write the truth of a scan; an existing file is replaced."""
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file.attrs.update(
            {
                "file_format": "HyperSpy",
                "file_format_version": "3.3",
                "NX_class": "NXroot",
                "default": "entry",
            }
        )
        ours = file.create_group("live_eels")
        ours.attrs["scan_id"] = scan.id
        ours.attrs["kind"] = "truth"
        entry = make_group(file, "entry", "NXentry")
        entry["title"] = f"{scan.title}: truth"
        maps = make_group(entry, "maps", "NXcollection")
        for name, values in truth.maps.items():
            _write_map(file, maps, scan, truth.specs[name], values)
        kept = ours.create_group("truth")
        for field in fields(VisitTruth):
            kept[field.name] = getattr(truth.visits, field.name)
        if scene is not None:
            kept["scene"] = msgspec.json.encode(scene).decode()


def load(path: str | Path) -> tuple[Truth, Scene | None]:
    """Read a truth file.

    Raises
    ------
    TruthFileError
        If it is none.
    """
    try:
        with h5py.File(path, "r") as file:
            if file["live_eels"].attrs.get("kind") != "truth":
                raise TruthFileError(f"{path}: no truth file")
            maps, specs = {}, {}
            for group in file["entry/maps"].values():
                spec = msgspec.json.decode(group.attrs["spec"], type=MapSpec)
                specs[spec.name] = spec
                maps[spec.name] = _values(group["values"]).astype(np.float32)
            kept = file["live_eels/truth"]
            visits = VisitTruth(*(_values(kept[field.name]) for field in fields(VisitTruth)))
            scene = None
            if "scene" in kept:
                scene = msgspec.json.decode(kept["scene"][()], type=Scene)
    except (KeyError, OSError, msgspec.MsgspecError) as error:
        raise TruthFileError(f"{path}: no truth file ({error})") from error
    return Truth(maps, specs, visits), scene


def _values(dataset: h5py.Dataset) -> NDArray[Any]:
    if dataset.size > MAX_VALUES or dataset.dtype.kind not in "iuf":
        raise TruthFileError(f"{dataset.name}: not an array of ours")
    return np.asarray(dataset[...])


def _write_map(
    file: h5py.File,
    maps: h5py.Group,
    scan: Scan,
    spec: MapSpec,
    values: NDArray[np.float32],
) -> None:
    group = make_group(maps, spec.name, "NXdata")
    axes = write_axes(group, scan.navigation)
    stored = group.create_dataset("values", data=values)
    stored.attrs["units"] = spec.unit
    stored.attrs["long_name"] = spec.meaning or spec.name
    if len(axes) == 2:
        stored.attrs["interpretation"] = "image"
    group.attrs["signal"] = "values"
    group.attrs["axes"] = axes or ["."]
    group.attrs["spec"] = msgspec.json.encode(spec).decode()
    experiment = file.create_group(f"Experiments/{spec.name}")
    experiment["data"] = stored
    write_navigation_axes(experiment, scan.navigation)
    for number in range(len(scan.navigation)):
        experiment[f"axis-{number}"].attrs["navigate"] = False
    if not scan.navigation:
        _write_single_axis(experiment)
    experiment.attrs["package"] = "hyperspy"
    experiment.attrs["package_version"] = ""
    experiment.create_group("attributes").attrs.update({"_lazy": False, "ragged": False})
    experiment.create_group("learning_results")
    experiment.create_group("original_metadata")
    leaves = {
        "General": {"title": spec.name},
        "Signal": {"signal_type": "", "signal_origin": "simulation", "quantity": spec.unit},
        "_HyperSpy/Folding": {
            "original_axes_manager": "_None_",
            "original_shape": "_None_",
            "signal_unfolded": False,
            "unfolded": False,
        },
    }
    for name, attributes in leaves.items():
        experiment.require_group(f"metadata/{name}").attrs.update(attributes)


def _write_single_axis(experiment: h5py.Group) -> None:
    experiment.create_group("axis-0").attrs.update(
        {
            "_type": "UniformDataAxis",
            "name": "pixel",
            "units": "",
            "size": 1,
            "scale": 1.0,
            "offset": 0.0,
            "navigate": False,
            "is_binned": False,
        }
    )
