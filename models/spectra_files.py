"""Users' labelled spectra: ``labels.csv`` and one file a spectrum."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from live_eels.model_card import ModelError
from live_eels.spectra import EnergyAxis

F8 = NDArray[np.floating[Any]]
MOST_BYTES = 200_000_000
MOST_CHANNELS = 65_536


class SpectrumFileError(ModelError):
    """A file that is not a labelled spectrum; the message names it."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One spectrum: float64 ``(channel,)`` on a regular axis, and what its owner says it is."""

    file: str
    label: str
    axis: EnergyAxis
    intensity: F8


def read_folder(folder: Path) -> list[Labelled]:
    """Read the spectra that ``labels.csv`` (columns ``file,label``) lists.

    Raises
    ------
    SpectrumFileError
        If the list or a spectrum cannot be read.
    """
    listing = folder / "labels.csv"
    try:
        with listing.open(newline="", encoding="utf-8-sig") as file:
            rows = [
                {str(k).strip().lower(): (v or "").strip() for k, v in row.items() if k}
                for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SpectrumFileError(f"{listing}: {error}") from error
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise SpectrumFileError(f"{listing}: needs the columns file,label and one row a spectrum")
    return [_read(folder, row["file"], row["label"]) for row in rows if row["file"]]


def _read(folder: Path, name: str, label: str) -> Labelled:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SpectrumFileError(f"{name}: lies outside {folder}")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SpectrumFileError(f"{name}: larger than {MOST_BYTES // 1_000_000} MB")
        kind = path.suffix.lower()
        if kind == ".msa":
            energies, intensity = _read_msa(path)
        elif kind == ".hspy":
            energies, intensity = _read_hspy(path)
        else:
            energies, intensity = _read_csv(path)
        axis, values = regular(energies, intensity)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise SpectrumFileError(f"{name}: {error}") from error
    return Labelled(name, label, axis, values)


def regular(energies: F8, intensity: F8) -> tuple[EnergyAxis, F8]:
    """Put points on a regular axis: as dense as theirs are on the median."""
    sound = np.isfinite(energies) & np.isfinite(intensity)
    energies, intensity = energies[sound], intensity[sound]
    energies, first = np.unique(energies, return_index=True)
    if len(energies) < 16:
        raise ValueError("fewer than 16 channels")
    steps = np.diff(energies)
    step = float(np.median(steps))
    size = round((energies[-1] - energies[0]) / step) + 1
    if size > MOST_CHANNELS:
        raise ValueError(f"more than {MOST_CHANNELS} channels")
    axis = EnergyAxis(float(energies[0]), float((energies[-1] - energies[0]) / (size - 1)), size)
    return axis, np.interp(axis.energies_ev, energies, intensity[first])


def _read_csv(path: Path) -> tuple[F8, F8]:
    """Columns ``energy_ev,intensity`` by name, else the first two."""
    text = path.read_text(encoding="utf-8-sig")
    delimiter = next((d for d in ",;\t" if d in text.split("\n", 1)[0]), None)
    rows = [line.split(delimiter) for line in text.splitlines() if line.strip() and line[0] != "#"]
    names = [cell.strip().lower() for cell in rows[0]]
    columns = (0, 1)
    if "energy_ev" in names and "intensity" in names:
        columns = (names.index("energy_ev"), names.index("intensity"))
    if not _is_number(rows[0][0]):
        rows = rows[1:]
    values = np.array([[float(row[i]) for i in columns] for row in rows])
    return values[:, 0], values[:, 1]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_msa(path: Path) -> tuple[F8, F8]:
    """EMSA/MAS text: ``#OFFSET``, ``#XPERCHAN`` and values, as Y or XY."""
    keys: dict[str, str] = {}
    numbers: list[float] = []
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith("#"):
            key, _, value = line[1:].partition(":")
            keys[key.split("-")[0].strip().upper()] = value.strip()
        else:
            numbers += [float(part) for part in line.replace(",", " ").split()]
    scale = 1000.0 if keys.get("XUNITS", "").lower() == "kev" else 1.0
    values = np.array(numbers)
    if keys.get("DATATYPE", "Y").upper() == "XY":
        return scale * values[0::2], values[1::2]
    channels = np.arange(len(values))
    return scale * (float(keys["OFFSET"]) + float(keys["XPERCHAN"]) * channels), values


def _read_hspy(path: Path) -> tuple[F8, F8]:
    """HyperSpy's file: the mean spectrum over all beam positions."""
    import h5py

    with h5py.File(path, "r") as file:
        experiment = next(iter(file["Experiments"].values()))
        data = experiment["data"]
        if data.size * data.dtype.itemsize > MOST_BYTES:
            raise ValueError("too large to be one spectrum")
        axis = experiment[f"axis-{data.ndim - 1}"].attrs
        values = np.asarray(data[...], float).reshape(-1, data.shape[-1]).mean(axis=0)
        energies = float(axis["offset"]) + float(axis["scale"]) * np.arange(len(values))
    return energies, values
