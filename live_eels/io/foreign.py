"""Spectra in other people's formats, read by RosettaSciIO (GPL-3, optional, imported late).

Lives here: which formats we take, and how RosettaSciIO's dictionaries become a `Recording`.
Formats that may carry pickled objects are not on the list.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from live_eels.io.recording import (
    FileError,
    FileSignal,
    Recording,
    Rows,
    as_counts,
    check_shape,
    energy_axis,
    from_signals,
    usable_dtype,
)
from live_eels.spectra import Instrument, NavigationAxis

READERS: Mapping[str, str] = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emd": "emd",
    ".emi": "tia",
    ".ser": "tia",
    ".msa": "msa",
    ".emsa": "msa",
    ".nxs": "nexus",
    ".rpl": "ripple",
}
"""File name ending and the RosettaSciIO reader for it."""


def open_foreign(path: Path) -> Recording:
    """Open a file through RosettaSciIO.

    Raises
    ------
    FileError
        If RosettaSciIO is not installed, does not know the format or finds no spectra.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = " ".join([".hspy", *READERS])
        raise FileError(f"{path}: live_eels reads {known}; export the spectra as one of these")
    try:
        module = importlib.import_module(f"rsciio.{reader}")
    except ImportError as error:
        raise FileError(
            f'{path}: to read {path.suffix} files, `pip install "live-eels[formats]"` '
            f"(RosettaSciIO): {error}"
        ) from error
    found, refusals = [], []
    for number, part in enumerate(_load(module, path)):
        try:
            found.append(_signal(part, number, path))
        except FileError as refusal:
            refusals.append(str(refusal))
    if not found:
        raise FileError(refusals[0] if refusals else f"{path} holds no spectra")
    return from_signals(found, path, lambda: None)


def _load(module: Any, path: Path) -> list[dict[str, Any]]:
    """RosettaSciIO's dictionaries, with counts left in the file where the format allows."""
    try:
        try:
            parts = module.file_reader(str(path), lazy=True)
        except NotImplementedError:
            parts = module.file_reader(str(path))
    except Exception as error:  # whatever a parser of someone else's format may raise
        raise FileError(
            f"{path}: RosettaSciIO cannot read it ({type(error).__name__}: {error}); "
            "open and save it in the software that made it, or export .hspy from HyperSpy"
        ) from error
    return list(parts)


def _signal(part: Mapping[str, Any], number: int, path: Path) -> FileSignal:
    values, axes = part["data"], part["axes"]
    metadata = part.get("metadata", {})
    if len(axes) != len(values.shape) or values.ndim < 1:
        raise FileError(f"{path}: part {number} has no axes")
    energy = _energy_axis_of(axes, number, path)
    if energy != values.ndim - 1:
        values = (
            np.moveaxis(values, energy, -1)
            if isinstance(values, np.ndarray)
            else (values.transpose([a for a in range(values.ndim) if a != energy] + [energy]))
        )
    navigation = [axis for i, axis in enumerate(axes) if i != energy]
    check_shape(values.shape[:-1], path)
    dtype = usable_dtype(values.dtype, path)
    signal = axes[energy]
    return FileSignal(
        title=_title(metadata) or path.stem,
        navigation=tuple(
            NavigationAxis(
                _text(axis.get("name")) or f"axis {i}",
                int(values.shape[i]),
                _known(axis.get("scale")) or 1.0,
                _text(axis.get("units")),
                _known(axis.get("offset")) or 0.0,
            )
            for i, axis in enumerate(navigation)
        ),
        axis=energy_axis(
            int(values.shape[-1]),
            _known(signal.get("offset")) or 0.0,
            1.0 if signal.get("scale") is None else float(signal["scale"]),
            _text(signal.get("units")),
            path,
        ),
        dtype=dtype,
        instrument=_instrument(metadata),
        simulated=_leaf(metadata, "Signal", "signal_origin") == "simulation",
        rows=_array_rows(values, dtype, path),
    )


def _energy_axis_of(axes: list[Mapping[str, Any]], number: int, path: Path) -> int:
    """Index of the one axis that is energy: by its unit, else the only one not navigated."""
    in_ev = [i for i, axis in enumerate(axes) if _text(axis.get("units")) in ("eV", "keV")]
    if len(in_ev) == 1:
        return in_ev[0]
    signal = [i for i, axis in enumerate(axes) if not axis.get("navigate", True)]
    if len(signal) != 1 or in_ev:
        raise FileError(
            f"{path}: part {number} is not a spectrum image with one energy axis; "
            "make it one in HyperSpy (as_signal1D) and save it as .hspy"
        )
    if _text(axes[signal[0]].get("units")):
        raise FileError(
            f"{path}: part {number} has its signal axis in {axes[signal[0]]['units']!r}, not eV"
        )
    return signal[0]


def _array_rows(values: Any, dtype: str, path: Path) -> Rows:
    shape = tuple(int(n) for n in values.shape[:-1])

    def rows(pixels: NDArray[np.int64]) -> NDArray[Any]:
        if not shape:
            part = values[None, :][pixels]
        elif isinstance(values, np.ndarray):
            part = values[np.unravel_index(pixels, shape)]
        else:
            part = _dask_rows(values, pixels, shape)
        part = part if isinstance(part, np.ndarray) else part.compute()
        return as_counts(part, dtype, path)

    return rows


def _dask_rows(values: Any, pixels: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[Any]:
    """Pixels (ascending) of an array in the file: whole rows of the scan, then a selection."""
    row = shape[-1]
    picked = []
    for number in np.unique(pixels // row):
        line = values[
            tuple(int(i) for i in np.unravel_index(int(number), shape[:-1] or (1,)))
            if len(shape) > 1
            else ()
        ]
        picked.append(line.compute()[pixels[pixels // row == number] % row])
    return np.concatenate(picked) if picked else np.empty((0, values.shape[-1]), values.dtype)


def _leaf(tree: Any, *names: str) -> Any:
    for name in names:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _title(metadata: Any) -> str:
    title = _text(_leaf(metadata, "General", "title"))
    return "" if title.strip("_").startswith("unnamed") else title


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) and value != "<undefined>" else ""


def _known(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _instrument(metadata: Any) -> Instrument:
    tem = _leaf(metadata, "Acquisition_instrument", "TEM")
    eels = _leaf(tem, "Detector", "EELS")
    return Instrument(
        beam_energy_kev=_known(_leaf(tem, "beam_energy")),
        convergence_mrad=_known(_leaf(tem, "convergence_angle")),
        collection_mrad=_known(_leaf(eels, "collection_angle")),
        dwell_s=_known(_leaf(eels, "dwell_time") or _leaf(tem, "dwell_time")),
        beam_current_na=_known(_leaf(tem, "beam_current")),
        microscope=_text(_leaf(tem, "microscope")),
        spectrometer=_text(_leaf(eels, "spectrometer")),
    )
