"""MLLS: what mixture of reference spectra a spectrum is, with residual and reduced chi-square.

Also the mean valence of the mixture, with its uncertainty from the fit's covariance.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels import edges
from live_eels.analyses.references import Library, read, shipped
from live_eels.kernels import background as bg
from live_eels.kernels import deconvolve
from live_eels.kernels.align import variance_kept
from live_eels.kernels.mixing import mix
from live_eels.spectra import EnergyAxis, MapSpec, Prepared, Scan, WindowError

_ION = re.compile(r"([A-Z][a-z]?)(\d)([+-])")
_CERTAIN = 3.0  # sigmas by which there must be any of it before shares mean something


class MixingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """References to mix, and where.

    Parameters
    ----------
    references
        Names in the library, such as ``["Mn2+", "Mn3+", "Mn4+"]``.
    library
        A CSV file of your own (``energy_eV`` and one column per reference); None: the shipped
        calculated L2,3 edges.
    window_ev
        Energies that are fitted; None: from 12 eV before the first edge of the references to
        30 eV after its onset.
    background_ev
        Where the power-law background is fitted; None: before the edge. Its amplitude is
        fitted again with the references.
    background
        False: the spectra have none.
    resolution_ev
        Full width of the spectrometer's resolution, to which references are blurred where the
        low loss does not tell.
    convolve
        Convolve references with each pixel's own low loss, so that they have its resolution
        and its plural scattering. Without low loss they stay single-scattering spectra.
    search_ev
        Energy shifts up to this are tried for each spectrum, and the best kept: for axes
        whose calibration is not certain. 0: references stay where they are.
    offset_ev
        Added to the energies of all references.
    """

    references: Annotated[tuple[str, ...], Meta(min_length=1, max_length=12)]
    library: str | None = None
    window_ev: tuple[float, float] | None = None
    background_ev: tuple[float, float] | None = None
    background: bool = True
    resolution_ev: Annotated[float, Meta(ge=0, le=50)] = 0.8
    convolve: bool = True
    search_ev: Annotated[float, Meta(ge=0, le=20)] = 0.0
    offset_ev: float = 0.0


class Mixing:
    """Mixing fractions of reference spectra (``kind = "mixing"``)."""

    Settings = MixingSettings

    def __init__(self, settings: MixingSettings) -> None:
        self.settings = settings
        self._library: Library = (
            shipped() if settings.library is None else read(Path(settings.library))
        )
        self._ions = [_ION.fullmatch(name) for name in settings.references]
        elements = {ion[1] for ion in self._ions if ion is not None}
        self.valence_of = elements.pop() if len(elements) == 1 and all(self._ions) else None
        self._prefix = f"{self.valence_of} " if self.valence_of else ""
        specs = [
            MapSpec(f"share {name}", "fraction", "", f"share of {name} among the references (MLLS)")
            for name in settings.references
        ]
        specs += [
            MapSpec(f"{self._prefix}MLLS residual", "intensity", "counts", "rms of what is left"),
            MapSpec(
                f"{self._prefix}MLLS chi-square", "intensity", "",
                "reduced chi-square: 1 is noise alone, more is something the references lack",
                limits=(0.0, 3.0),
            ),
        ]  # fmt: skip
        if self.valence_of:
            charges = [int(ion[2]) for ion in self._ions if ion is not None]
            limits = (float(min(charges)), float(max(charges)))
            specs += [
                MapSpec(
                    f"{self.valence_of} valence", "intensity", "", "mean valence (MLLS)",
                    limits=limits if limits[1] > limits[0] else None,
                ),
                MapSpec(f"{self.valence_of} valence error", "intensity", "", "one sigma"),
            ]  # fmt: skip
        if settings.search_ev > 0:
            specs.append(
                MapSpec(f"{self._prefix}MLLS shift", "signed", "eV", "shift of the references")
            )
        self.specs: tuple[MapSpec, ...] = tuple(specs)
        self._fit: bg.Fit | None = None

    def start(
        self, scan: Scan, axis: EnergyAxis, window: slice, low_axis: EnergyAxis | None
    ) -> None:
        """Place windows and references on the axis."""
        settings = self.settings
        window_ev, background_ev = self._windows(axis)
        self._channels = axis.window(*window_ev)
        if settings.background:
            self._fit = bg.make_fit(
                bg.POISSON,
                axis.energies_ev,
                axis.window(*background_ev),
                self._channels,
                logarithmic=True,
            )
        else:
            self._fit = bg.make_fit(
                bg.FLAT, axis.energies_ev, slice(0, 2), self._channels, logarithmic=False
            )
        step = max(axis.dispersion_ev / 2, settings.search_ev / 20)
        n = round(settings.search_ev / step)
        self._shifts_ev = np.arange(-n, n + 1) * step
        self._axis, self._low_axis = axis, low_axis if settings.convolve else None
        part = axis.cropped(self._channels)
        self._single = self._placed(part, settings.resolution_ev)
        # For convolution: the references as far below the window as losses lead into it.
        self._reach = part.size
        first = self._channels.start - self._reach
        wider = EnergyAxis(
            axis.offset_ev + first * axis.dispersion_ev,
            axis.dispersion_ev,
            part.size + self._reach,
        )
        if self._low_axis is not None:
            self._sharp = self._placed(wider, 0.0)

    def _placed(self, axis: EnergyAxis, resolution_ev: float) -> NDArray[np.float32]:
        """References on an axis at every shift: ``(shift, component, channel)``, largest 1.

        Coefficients are then near counts, which keeps the float32 normal equations sound.
        """
        settings = self.settings
        placed = np.stack(
            [
                self._library.on(
                    settings.references, axis, resolution_ev, settings.offset_ev + shift
                )
                for shift in self._shifts_ev
            ]
        )
        return np.ascontiguousarray(placed / placed.max(), dtype=np.float32)

    def _references(self, prepared: Prepared) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """References by kind, and the kind of each pixel: its own, or 0 the unconvolved."""
        n = len(prepared.pixels)
        low, width_ev, low_axis = prepared.low, prepared.zlp_width_ev, self._low_axis
        kinds = np.zeros(n, np.int32)
        if low is None or width_ev is None or low_axis is None:
            return self._single[None], kinds
        good = np.flatnonzero(np.isfinite(width_ev))
        matched, zero = deconvolve.match_dispersion(
            low[good], low_axis.offset_ev, low_axis.dispersion_ev, self._axis.dispersion_ev
        )
        own = deconvolve.convolve_low_loss(self._sharp, matched, zero, self._reach)
        kinds[good] = 1 + np.arange(len(good), dtype=np.int32)
        return np.concatenate([self._single[None], own]), kinds

    def _windows(self, axis: EnergyAxis) -> tuple[tuple[float, float], tuple[float, float]]:
        settings = self.settings
        first = next((ion[1] for ion in self._ions if ion is not None), None)
        edge = edges.find(f"{first} L") if first else None
        if edge is None and (settings.window_ev is None or settings.background_ev is None):
            raise WindowError(
                "window_ev and background_ev are needed for references that are no ions; the "
                f"energy axis runs from {axis.offset_ev:g} to {axis.end_ev:g} eV"
            )
        onset = edge.onset_ev if edge else 0.0
        window_ev = settings.window_ev or (onset - 12.0, onset + 30.0)
        fit_ev = settings.background_ev or (edge.fit_on(axis) if edge else (0.0, 0.0))
        return window_ev, fit_ev

    def update(self, prepared: Prepared) -> Mapping[str, NDArray[np.float32]]:
        """Shares, residual, chi-square and valence of each pixel."""
        assert self._fit is not None
        n, k = len(prepared.pixels), len(self.settings.references)
        amounts, covariance = np.empty((n, k)), np.empty((n, k, k))
        residual, chi_square = np.empty(n, np.float32), np.empty(n, np.float32)
        chosen = np.zeros(n, np.int32)
        references, kinds = self._references(prepared)
        mix(
            prepared.counts,
            self._channels.start,
            references,
            kinds,
            self._fit,
            amounts,
            covariance,
            residual,
            chi_square,
            chosen,
        )
        chi_square /= variance_kept(prepared.shift_ev / np.float32(prepared.axis.dispersion_ev))
        total = amounts.sum(axis=1)
        error = np.sqrt(np.maximum(covariance.sum(axis=(1, 2)), 0.0))
        there = total > _CERTAIN * error
        shares = np.where(there[:, None], amounts / np.where(there, total, 1.0)[:, None], np.nan)
        maps = {
            f"share {name}": shares[:, i].astype(np.float32)
            for i, name in enumerate(self.settings.references)
        }
        maps[f"{self._prefix}MLLS residual"] = residual
        maps[f"{self._prefix}MLLS chi-square"] = chi_square
        if self.valence_of:
            charges = np.array([float(ion[2]) for ion in self._ions if ion is not None])
            valence = shares @ charges
            slope = (charges - valence[:, None]) / np.where(there, total, np.nan)[:, None]
            variance = np.einsum("pi,pij,pj->p", slope, covariance, slope)
            maps[f"{self.valence_of} valence"] = valence.astype(np.float32)
            maps[f"{self.valence_of} valence error"] = np.sqrt(variance).astype(np.float32)
        if self.settings.search_ev > 0:
            shift = np.where(np.isnan(chi_square), np.nan, self._shifts_ev[chosen])
            maps[f"{self._prefix}MLLS shift"] = shift.astype(np.float32)
        return maps
