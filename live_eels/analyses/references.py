"""Reference spectra of ions and compounds, on the axis and at the resolution of a scan.

Lives here: the library that ships (``references.npz``: L2,3 edges of Ti, Mn and Fe ions from
multiplet calculations, one atom each; made by ``live_eels.simulators.reference_spectra``),
reading a user's own, and resampling. Reads files once, when a scan starts; fits nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import Curve, EnergyAxis, WindowError

MAX_FILE_BYTES = 16 * 1024 * 1024
TYPICAL_FWHM_EV = 1.0
"""Resolution that a spectrometer has when nobody says otherwise."""
LEAST_SHARE = 0.2
"""An edge is on an axis where this share of its highest peak is."""
_FWHM_TO_SIGMA = 1.0 / 2.354820045


class LibraryError(ValueError):
    """A reference file that cannot be read, or a name it does not hold (the user's fault)."""


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """Named spectra on one energy axis.

    ``spectra`` float64 ``(name, channel)``; ``fwhm_ev`` is the resolution already in them.
    """

    names: tuple[str, ...]
    spectra: NDArray[np.float64]
    energies_ev: NDArray[np.float64]
    fwhm_ev: float

    def on(
        self, names: tuple[str, ...], axis: EnergyAxis, resolution_ev: float, shift_ev: float = 0.0
    ) -> NDArray[np.float32]:
        """The named spectra on ``axis`` as a spectrometer of ``resolution_ev`` sees them.

        Each is moved up by ``shift_ev``. float32 ``(name, channel)``, in the library's unit per
        eV, averaged over each channel.

        Raises
        ------
        LibraryError
            If a name is not in the library.
        WindowError
            If the axis reaches beyond the library's energies.
        """
        missing = [name for name in names if name not in self.names]
        if missing:
            raise LibraryError(
                f"no reference spectrum {', '.join(missing)}; there are {', '.join(self.names)}"
            )
        start, end = float(self.energies_ev[0]), float(self.energies_ev[-1])
        if axis.offset_ev - shift_ev < start or axis.end_ev - shift_ev > end:
            raise WindowError(
                f"the fit from {axis.offset_ev:g} to {axis.end_ev:g} eV needs references there; "
                f"they run from {start:g} to {end:g} eV"
            )
        rows = self.spectra[[self.names.index(name) for name in names]]
        step = (end - start) / (self.energies_ev.size - 1)
        rows = _blurred(rows, max(resolution_ev**2 - self.fwhm_ev**2, 0.0) ** 0.5 / step)
        # The mean over a channel is the difference of the integral at its borders.
        integral = np.concatenate(
            [np.zeros((len(rows), 1)), np.cumsum(0.5 * (rows[:, 1:] + rows[:, :-1]), axis=1)],
            axis=1,
        )
        borders = axis.offset_ev - shift_ev + (np.arange(axis.size + 1) - 0.5) * axis.dispersion_ev
        at = np.clip((borders - start) / step, 0, self.energies_ev.size - 1)
        where = np.arange(self.energies_ev.size)
        sums = np.stack([np.interp(at, where, row) for row in integral])
        return np.asarray(np.diff(sums, axis=1) * (step / axis.dispersion_ev), dtype=np.float32)


def shipped() -> Library:
    """The library that comes with the package."""
    source = resources.files("live_eels.analyses").joinpath("references.npz")
    with resources.as_file(source) as path, np.load(path, allow_pickle=False) as file:
        size = file["spectra"].shape[1]
        return Library(
            tuple(str(name) for name in file["names"]),
            file["spectra"].astype(np.float64),
            float(file["offset_ev"]) + float(file["dispersion_ev"]) * np.arange(size),
            float(file["fwhm_ev"]),
        )


def curves(axis: EnergyAxis, resolution_ev: float = TYPICAL_FWHM_EV) -> dict[str, Curve]:
    """Shipped spectra to lay over measured ones: those that have an edge on ``axis``.

    ``{"references": Curve}`` with the library's unit, or nothing where no edge is. Energies
    beyond the library's are left out.
    """
    library = shipped()
    start = max(float(library.energies_ev[0]), axis.offset_ev)
    end = min(float(library.energies_ev[-1]), axis.end_ev)
    try:
        part = axis.cropped(axis.window(start, end))
    except WindowError:
        return {}
    spectra = library.on(library.names, part, resolution_ev)
    peaks = library.spectra.max(axis=1)
    there = np.flatnonzero(spectra.max(axis=1) > LEAST_SHARE * peaks)
    if not len(there):
        return {}
    names = tuple(library.names[i] for i in there)
    return {"references": Curve(part, spectra[there], names, "per atom")}


def read(path: Path) -> Library:
    """A user's references: a CSV file whose first line names the columns, ``energy_eV`` first.

    Energies must rise evenly; intensities are per atom (or in any unit, if only their shares
    among themselves matter), with the background removed.

    Raises
    ------
    LibraryError
        If it cannot be read so.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise LibraryError(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MiB")
        with path.open(encoding="utf-8") as file:
            names = tuple(word.strip() for word in file.readline().split(","))
            table = np.loadtxt(file, delimiter=",", ndmin=2)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise LibraryError(f"cannot read references from {path}: {error}") from error
    if table.shape[1] != len(names) or len(names) < 2 or len(table) < 8:
        raise LibraryError(
            f"{path}: expected energy_eV and at least one named column, 8 rows or more"
        )
    steps = np.diff(table[:, 0])
    if not (steps > 0).all() or not np.allclose(steps, steps.mean(), rtol=0.02):
        even = np.linspace(table[0, 0], table[-1, 0], len(table))
        if not (steps > 0).all():
            raise LibraryError(f"{path}: energies must rise from row to row")
        rows = np.stack([np.interp(even, table[:, 0], column) for column in table.T[1:]])
        return Library(names[1:], rows, even, 0.0)
    return Library(names[1:], table.T[1:].astype(np.float64), table[:, 0], 0.0)


def _blurred(rows: NDArray[np.float64], fwhm_points: float) -> NDArray[np.float64]:
    """Rows convolved with a Gaussian of ``fwhm_points``; ends continued flat."""
    sigma = fwhm_points * _FWHM_TO_SIGMA
    if sigma < 0.1:
        return rows
    reach = int(4 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(rows, ((0, 0), (reach, reach)), mode="edge")
    return np.stack([np.convolve(row, kernel, mode="valid") for row in padded])
