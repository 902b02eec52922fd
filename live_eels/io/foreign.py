"""Spectra in other people's formats, read by RosettaSciIO (GPL-3, optional, imported late).

Lives here: which formats we take, and how RosettaSciIO's dictionaries become a `Recording`.
Formats that may carry pickled objects are not on the list.
"""

from __future__ import annotations

import importlib
import math
import re
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
    titled,
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

_BAND_BYTES = 256 * 1024 * 1024


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
    values, axes = part["data"], list(part["axes"])
    if len(axes) != len(values.shape) or values.ndim < 1:
        raise FileError(f"{path}: part {number} has no axes")
    energy = _energy_axis_of(axes, number, path)
    order = [i for i, n in enumerate(values.shape) if i != energy and n > 1]
    # DigitalMicrograph stores energy first, and a line as an image one pixel high.
    values = values.transpose(
        [*(i for i, n in enumerate(values.shape) if i != energy and n == 1), *order, energy]
    ).reshape([values.shape[i] for i in order] + [values.shape[energy]])
    metadata = part.get("metadata", {})
    check_shape(values.shape[:-1], path)
    dtype = usable_dtype(values.dtype, path)
    signal = axes[energy]
    return FileSignal(
        title=titled(_text(_leaf(metadata, "General", "title")), path),
        navigation=tuple(
            NavigationAxis(
                _text(axes[i].get("name")) or f"axis {i}",
                int(values.shape[place]),
                _known(axes[i].get("scale")) or 1.0,
                _text(axes[i].get("units")),
                _known(axes[i].get("offset")) or 0.0,
            )
            for place, i in enumerate(order)
        ),
        axis=energy_axis(
            int(values.shape[-1]),
            float(signal.get("offset", 0.0)),
            float(signal.get("scale", 1.0)),
            _text(signal.get("units")),
            path,
        ),
        dtype=dtype,
        instrument=_instrument(part),
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
    if isinstance(values, np.ndarray):
        flat = values.reshape(-1, values.shape[-1])
        return lambda pixels: as_counts(flat[pixels], dtype, path)
    return _Bands(values, shape, dtype, path)


class _Bands:
    """Reads a dask array in bands of whole rows of the scan, and keeps the last band.

    Chunks of a scan come in raster order, and files that store energy first would be read
    anew from end to end for each of them.
    """

    def __init__(self, values: Any, shape: tuple[int, ...], dtype: str, path: Path) -> None:
        self._values = values
        self._dtype = dtype
        self._path = path
        self._shape = shape or (1,)
        slow = math.prod(self._shape[1:])
        row_bytes = slow * values.shape[-1] * np.dtype(dtype).itemsize
        self._rows = max(1, _BAND_BYTES // row_bytes)
        self._pixels = self._rows * slow
        self._band: tuple[int, NDArray[Any]] | None = None

    def __call__(self, pixels: NDArray[np.int64]) -> NDArray[Any]:
        cuts = np.flatnonzero(np.diff(pixels // self._pixels)) + 1
        parts = [self._of_band(part) for part in np.split(pixels, cuts) if part.size]
        if not parts:
            return np.empty((0, self._values.shape[-1]), np.dtype(self._dtype))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _of_band(self, pixels: NDArray[np.int64]) -> NDArray[Any]:
        number = int(pixels[0]) // self._pixels
        if self._band is None or self._band[0] != number:
            self._band = None  # let go of the old one first
            values = self._values
            if values.ndim > 1:
                values = values[number * self._rows : (number + 1) * self._rows]
            try:
                read = values.compute()
            except Exception as error:  # whatever a parser of someone else's format may raise
                raise FileError(
                    f"{self._path}: its counts cannot be read ({type(error).__name__}: {error})"
                ) from error
            read = read.reshape(-1, read.shape[-1])
            self._band = number, as_counts(read, self._dtype, self._path)
        rows: NDArray[Any] = self._band[1][pixels - number * self._pixels]
        return rows


def _leaf(tree: Any, *names: str) -> Any:
    for name in names:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) and value != "<undefined>" else ""


def _known(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _instrument(part: Mapping[str, Any]) -> Instrument:
    """Beam parameters: from the metadata, else by RosettaSciIO's mapping of the original."""
    tem = _leaf(part, "metadata", "Acquisition_instrument", "TEM")
    mapped = _mapped(part)

    def known(name: str) -> float | None:
        found = _known(_leaf(tem, "Detector", "EELS", name))
        if found is None:
            found = _known(_leaf(tem, name))
        return _known(mapped.get(name)) if found is None else found

    def text(name: str) -> str:
        return (
            _text(_leaf(tem, name))
            or _text(_leaf(tem, "Detector", "EELS", name))
            or _text(mapped.get(name))
        )

    return Instrument(
        beam_energy_kev=known("beam_energy"),
        convergence_mrad=known("convergence_angle"),
        collection_mrad=known("collection_angle"),
        dwell_s=known("exposure") if known("dwell_time") is None else known("dwell_time"),
        beam_current_na=known("beam_current"),
        microscope=text("microscope"),
        spectrometer=text("spectrometer"),
    )


def _mapped(part: Mapping[str, Any]) -> dict[str, Any]:
    """What RosettaSciIO leaves to HyperSpy: metadata computed from the original tags."""
    found: dict[str, Any] = {}
    original = _plain(part.get("original_metadata", {}))
    for source, (target, function) in (part.get("mapping") or {}).items():
        value = _leaf(original, *(_plain_name(name) for name in source.split(".")))
        if value is None or not target.startswith("Acquisition_instrument.TEM."):
            continue
        try:
            found[target.rpartition(".")[2]] = value if function is None else function(value)
        except Exception:  # a tag of an unforeseen kind: unknown, as if it were not there
            continue
    return found


def _plain(tree: Any) -> Any:
    """The tree with names as HyperSpy writes them, which RosettaSciIO's mapping expects."""
    if not isinstance(tree, Mapping):
        return tree
    return {_plain_name(str(name)): _plain(value) for name, value in tree.items()}


def _plain_name(name: str) -> str:
    return re.sub(r"[^\w\s-]", "", name).strip().replace(" ", "_")
