"""White lines of a 3d metal: L3/L2 ratio, L3 position and width, and valence from the ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels import edges
from live_eels.analyses.net_edge import NetEdge, net_edge
from live_eels.analyses.references import shipped
from live_eels.kernels import background as bg
from live_eels.kernels import prepare
from live_eels.kernels import white_lines as kernel
from live_eels.spectra import EnergyAxis, MapSpec, Prepared, Scan, WindowError

_MIXES = 11  # points of the calibration between two valences


class WhiteLineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The element whose L2,3 white lines are measured.

    Parameters
    ----------
    element
        Symbol, such as ``Mn``.
    search_ev
        L3 is looked for this far on both sides of its tabulated onset plus 2 eV.
    half_width_ev
        Half the window around each line; None: 0.42 of the L3 to L2 distance.
    plateau_ev
        Where the continuum step is scaled: from and to, after L2.
    fit_ev
        Where the power-law background is fitted; None: before the edge.
    deconvolve
        Take plural scattering out first, where the scan has low loss: it raises the plateau
        after L2 and so lowers L2 (a specimen of 0.7 mean free paths doubles the ratio of Mn2+).
    resolution_ev
        Full width of the spectrometer's resolution, for the valence calibration.
    """

    element: str
    search_ev: Annotated[float, Meta(gt=0, le=50)] = 8.0
    half_width_ev: Annotated[float, Meta(gt=0, le=50)] | None = None
    plateau_ev: tuple[float, float] = (8.0, 18.0)
    fit_ev: tuple[float, float] | None = None
    deconvolve: bool = True
    resolution_ev: Annotated[float, Meta(ge=0, le=50)] = 0.8


class WhiteLines:
    """L3/L2 ratio after a double arctan step (``kind = "white_lines"``).

    The valence comes from the ratio by a calibration made when the scan starts: the same
    measurement on mixtures of neighbouring valences of the shipped reference spectra, at the
    scan's own dispersion and resolution. Ratios beyond those of the pure references give the
    nearest valence. A mixture of ions that are not neighbours (Mn2+ with Mn4+) has the ratio
    of another mixture: for those, fit references (``kind = "mixing"``).
    """

    Settings = WhiteLineSettings

    def __init__(self, settings: WhiteLineSettings) -> None:
        self.settings = settings
        name = settings.element
        self._l3 = edges.find(f"{name} L3")
        self._l2 = edges.find(f"{name} L2")
        known = [ion for ion in shipped().names if ion.rstrip("+0123456789") == name]
        self._ions = tuple(known) if len(known) > 1 else ()
        specs = [
            MapSpec(
                f"{name} L3/L2", "intensity", "", "white-line ratio above a double arctan step"
            ),
            MapSpec(f"{name} L3/L2 error", "intensity", "", "Poisson error, one sigma"),
            MapSpec(f"{name} L3 position", "intensity", "eV", "energy of the L3 line"),
            MapSpec(f"{name} L3 width", "intensity", "eV", "full width at half maximum of L3"),
        ]
        if self._ions:
            limits = (float(self._charge(0)), float(self._charge(-1)))
            specs += [
                MapSpec(
                    f"{name} valence (L3/L2)", "intensity", "", "valence from the ratio",
                    limits=limits,
                ),
                MapSpec(f"{name} valence (L3/L2) error", "intensity", "", "one sigma"),
            ]  # fmt: skip
        self.specs: tuple[MapSpec, ...] = tuple(specs)

    def _charge(self, number: int) -> int:
        return int(self._ions[number].strip("+")[-1])

    def start(
        self, scan: Scan, axis: EnergyAxis, window: slice, low_axis: EnergyAxis | None
    ) -> None:
        """Place the windows and calibrate valence against the ratio."""
        settings = self.settings
        self._axis = axis
        split = self._l2.onset_ev - self._l3.onset_ev
        half = settings.half_width_ev or 0.42 * split
        centre = self._l3.onset_ev + 2.0
        first_ev = centre - settings.search_ev - half
        last_ev = centre + split + settings.plateau_ev[1]
        self._channels = axis.window(first_ev, min(last_ev + settings.search_ev, axis.end_ev))
        axis.window(first_ev, last_ev)
        fit_ev = settings.fit_ev or edges.find(f"{settings.element} L").fit_on(axis)
        if fit_ev[1] - fit_ev[0] < 4 * axis.dispersion_ev:
            raise WindowError(
                f"no room to fit a background before {settings.element} L: the energy axis runs "
                f"from {axis.offset_ev:g} to {axis.end_ev:g} eV"
            )
        self._fit = bg.make_fit(
            bg.POISSON, axis.energies_ev, axis.window(*fit_ev), self._channels, logarithmic=True
        )
        per_ev = 1.0 / axis.dispersion_ev
        low = round((settings.search_ev + half - settings.search_ev) * per_ev)
        self._search = (low, low + round(2 * settings.search_ev * per_ev) + 1)
        self._lengths = (
            split * per_ev,
            half * per_ev,
            kernel.STEP_WIDTH_EV * per_ev,
            (settings.plateau_ev[0] * per_ev, settings.plateau_ev[1] * per_ev),
        )
        self._ratios, self._valences = self._calibration()

    def _measure(self, edge: NetEdge, fit_counts: NDArray[np.float64]) -> NDArray[np.float32]:
        out = np.empty((len(edge.net), 6), np.float32)
        split, half, step, plateau = self._lengths
        kernel.white_lines(
            edge.net,
            edge.under,
            edge.gross,
            fit_counts,
            self._fit,
            self._search,
            split,
            half,
            step,
            plateau,
            out,
        )
        return out

    def _calibration(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rising ratios and the valence of each; empty where references do not tell."""
        if not self._ions:
            return np.zeros(0), np.zeros(0)
        part = self._axis.cropped(self._channels)
        pure = shipped().on(self._ions, part, self.settings.resolution_ev).astype(np.float64)
        weights = np.linspace(0.0, 1.0, _MIXES)
        mixes, valences = [], []
        for i in range(len(pure) - 1):
            for w in weights if i == 0 else weights[1:]:
                mixes.append((1 - w) * pure[i] + w * pure[i + 1])
                valences.append((1 - w) * self._charge(i) + w * self._charge(i + 1))
        net = (np.asarray(mixes) * (1e6 / pure.max())).astype(np.float32)
        edge = NetEdge(net, net, np.zeros_like(net), np.zeros(len(net), np.float32))
        ratio = self._measure(edge, np.zeros((len(net), 2)))[:, 0].astype(np.float64)
        falling = bool((np.diff(ratio) < 0).all())
        if not np.isfinite(ratio).all() or not (falling or (np.diff(ratio) > 0).all()):
            return np.zeros(0), np.zeros(0)
        order = slice(None, None, -1) if falling else slice(None)
        return ratio[order], np.asarray(valences)[order]

    def update(self, prepared: Prepared) -> Mapping[str, NDArray[np.float32]]:
        """Ratio, position, width and valence of each pixel."""
        name = self.settings.element
        edge = net_edge(prepared, self._fit, self._channels, plural=not self.settings.deconvolve)
        fit_counts = np.empty((len(prepared.pixels), 2))
        prepare.sum_fit(prepared.counts, self._fit, fit_counts)
        found = self._measure(edge, fit_counts)
        ratio, error = found[:, kernel.RATIO], found[:, kernel.RATIO_ERROR]
        start_ev = self._axis.offset_ev + self._channels.start * self._axis.dispersion_ev
        maps = {
            f"{name} L3/L2": ratio,
            f"{name} L3/L2 error": error,
            f"{name} L3 position": (
                start_ev + found[:, kernel.POSITION].astype(np.float64) * self._axis.dispersion_ev
            ).astype(np.float32),
            f"{name} L3 width": found[:, kernel.WIDTH] * np.float32(self._axis.dispersion_ev),
        }
        if self._ions:
            valence = np.full(len(ratio), np.nan, np.float32)
            slope = np.full(len(ratio), np.nan, np.float32)
            if self._ratios.size:
                known = np.isfinite(ratio)
                valence[known] = np.interp(ratio[known], self._ratios, self._valences)
                steep = np.abs(np.gradient(self._valences, self._ratios))
                slope[known] = np.interp(ratio[known], self._ratios, steep)
            maps[f"{name} valence (L3/L2)"] = valence
            maps[f"{name} valence (L3/L2) error"] = slope * error
        return maps
