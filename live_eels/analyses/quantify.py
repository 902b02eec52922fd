"""Relative composition in at. % from the net counts of several edges and their cross-sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels import edges
from live_eels.analyses.cross_sections import between_barn
from live_eels.analyses.element import edge_window
from live_eels.spectra import EnergyAxis, MapSpec, Prepared, Scan, WindowError


class QuantifySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Edges to compare, and what their cross-sections depend on.

    Parameters
    ----------
    edges
        One edge of each element, such as ``["O K", "Mn L"]``.
    signal_ev, fit_ev
        Windows by edge name, where the defaults do not suit.
    cross_section_barn
        Your own cross-sections by edge name, for the window and angles used (M edges have no
        hydrogenic one).
    beam_energy_kev, convergence_mrad, collection_mrad
        None: as the microscope announced them with the scan.
    """

    edges: Annotated[tuple[str, ...], Meta(min_length=2, max_length=16)]
    signal_ev: dict[str, tuple[float, float]] = {}
    fit_ev: dict[str, tuple[float, float]] = {}
    cross_section_barn: dict[str, Annotated[float, Meta(gt=0)]] = {}
    beam_energy_kev: Annotated[float, Meta(gt=0, le=5000)] | None = None
    convergence_mrad: Annotated[float, Meta(ge=0, le=1000)] | None = None
    collection_mrad: Annotated[float, Meta(gt=0, le=1000)] | None = None


class Quantification:
    """Atomic percent among the elements named (``kind = "quantify"``).

    ``at. % ~ net counts / partial cross-section`` (Egerton 3rd ed., 4.5): hydrogenic
    cross-sections unless given, so systematic errors of 10 to 20 % remain, which maps of one
    scan share.
    """

    Settings = QuantifySettings

    def __init__(self, settings: QuantifySettings) -> None:
        self.settings = settings
        self._edges = [edges.find(name) for name in settings.edges]
        self._names = [f"{edge.element} at. %" for edge in self._edges]
        if len(set(self._names)) < len(self._names):
            raise ValueError("each element can be quantified by one edge only")
        self.specs: tuple[MapSpec, ...] = tuple(
            spec
            for name, edge in zip(self._names, self._edges, strict=True)
            for spec in (
                MapSpec(name, "intensity", "at. %", f"{edge.element} from {edge.name}",
                        limits=(0.0, 100.0)),
                MapSpec(f"{name} error", "intensity", "at. %", "Poisson error, one sigma"),
            )
        )  # fmt: skip

    def start(
        self, scan: Scan, axis: EnergyAxis, window: slice, low_axis: EnergyAxis | None
    ) -> None:
        """Place windows and compute cross-sections for this microscope."""
        settings = self.settings
        self._windows, sections = [], []
        for name, edge in zip(settings.edges, self._edges, strict=True):
            signal_ev = settings.signal_ev.get(name, edge.signal_on(axis))
            placed = edge_window(edge, axis, signal_ev, settings.fit_ev.get(name), "power_law")
            self._windows.append(placed)
            given = settings.cross_section_barn.get(name)
            sections.append(
                given if given is not None else between_barn(edge, signal_ev, *self._optics(scan))
            )
        self._sections = np.asarray(sections)

    def _optics(self, scan: Scan) -> tuple[float, float, float]:
        values = []
        for name in ("beam_energy_kev", "convergence_mrad", "collection_mrad"):
            value = getattr(self.settings, name)
            if value is None:
                value = getattr(scan.instrument, name)
            if value is None:
                raise WindowError(
                    f"cross-sections need {name}: the scan does not say it; set it in [[analysis]]"
                )
            values.append(float(value))
        return values[0], values[1], values[2]

    def update(self, prepared: Prepared) -> Mapping[str, NDArray[np.float32]]:
        """Atomic percent of each pixel and its error; nan where there is nothing to compare."""
        found = [window.counts(prepared.counts) for window in self._windows]
        atoms = np.stack([net for net, _ in found]).astype(np.float64) / self._sections[:, None]
        errors = np.stack([error for _, error in found]).astype(np.float64)
        errors /= self._sections[:, None]
        total = atoms.sum(axis=0)
        total[~(total > 3.0 * np.sqrt((errors**2).sum(axis=0)))] = np.nan
        share = atoms / total
        # d share_i = (d n_i - share_i * sum of d n) / total
        everything = (errors**2).sum(axis=0)
        variance = (1 - 2 * share) * errors**2 + share**2 * everything
        error = np.sqrt(np.maximum(variance, 0.0)) / total
        maps = {}
        for i, name in enumerate(self._names):
            maps[name] = (100 * share[i]).astype(np.float32)
            maps[f"{name} error"] = (100 * error[i]).astype(np.float32)
        return maps
