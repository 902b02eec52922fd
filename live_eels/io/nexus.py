"""NeXus groups in a recording: the same arrays, with names other programs look for.

Lives here: NXdata groups as the NeXus base class NXspectrum names them. Knows no stream.
"""

from __future__ import annotations

import h5py
import numpy as np

from live_eels.spectra import NavigationAxis, Scan, Signal

_NAVIGATION_LETTERS = ("i", "j", "k", "m", "n", "o", "p", "q")


def clean(text: str) -> str:
    """Text as HDF5 can hold it: no NUL, no lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def make_group(parent: h5py.Group, name: str, kind: str) -> h5py.Group:
    """Make (or find) a group of NeXus class ``kind``."""
    group = parent.require_group(name)
    group.attrs["NX_class"] = kind
    return group


def write_axes(group: h5py.Group, navigation: tuple[NavigationAxis, ...]) -> list[str]:
    """Write ``axis_j``, ``axis_i`` (slow first) and return their names."""
    names = []
    for letter, axis in zip(
        reversed(_NAVIGATION_LETTERS[: len(navigation)]), navigation, strict=False
    ):
        values = group.create_dataset(
            f"axis_{letter}", data=axis.offset + axis.scale * np.arange(axis.size)
        )
        values.attrs["units"] = clean(axis.units)
        values.attrs["long_name"] = f"{clean(axis.name)} ({clean(axis.units)})"
        names.append(f"axis_{letter}")
    return names


def link_spectra(
    entry: h5py.Group, counts: h5py.Dataset, scan: Scan, role: str, signal: Signal
) -> None:
    """Link the counts of one signal as NXdata, under ``entry/<role>``."""
    spectrum = make_group(entry, role, "NXspectrum")
    name = f"spectrum_{len(scan.navigation)}d"
    spectrum.attrs["default"] = name
    group = make_group(spectrum, name, "NXdata")
    axes = write_axes(group, scan.navigation)
    energy = group.create_dataset("axis_energy", data=signal.axis.energies_ev)
    energy.attrs["units"] = "eV"
    energy.attrs["long_name"] = "Energy loss (eV)"
    group["intensity"] = counts
    counts.attrs["interpretation"] = "spectrum"
    counts.attrs["long_name"] = "Counts"
    counts.attrs["units"] = "counts"
    group.attrs["interpretation"] = "spectrum"
    group.attrs["signal"] = "intensity"
    group.attrs["axes"] = [*axes, "axis_energy"]
