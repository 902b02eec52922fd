"""Element maps: net counts of an edge, their Poisson error, and signal to noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from live_eels import edges
from live_eels.analyses.net import NetWindow
from live_eels.spectra import EnergyAxis, MapSpec, Prepared, Scan, WindowError


class ElementSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One edge to map.

    Parameters
    ----------
    edge
        Name such as ``Mn L``, ``O K``, ``La M4,5``.
    signal_ev
        Energies that are summed; None: from just before the onset to 15 to 50 eV after it.
    fit_ev
        Where the background is fitted; None: before the onset, as far as the axis reaches.
    background
        ``power_law`` or ``exponential`` (Poisson likelihood), or ``none``: a plain sum.
    errors
        Also give maps of the error and of signal to noise.
    """

    edge: str
    signal_ev: tuple[float, float] | None = None
    fit_ev: tuple[float, float] | None = None
    background: Literal["power_law", "exponential", "none"] = "power_law"
    errors: bool = True


class ElementMap:
    """Map of one edge (``kind = "element"``)."""

    Settings = ElementSettings

    def __init__(self, settings: ElementSettings) -> None:
        self.settings = settings
        self.edge = edges.find(settings.edge)
        name = self.edge.name
        self.specs: tuple[MapSpec, ...] = (
            MapSpec(
                name, "signed", "counts", f"{name} edge, background subtracted, window integral"
            ),
        )
        if settings.errors:
            self.specs += (
                MapSpec(f"{name} error", "intensity", "counts", "Poisson error, one sigma"),
                MapSpec(f"{name} SNR", "signed", "", "net counts over their error"),
            )
        self._window: NetWindow | None = None

    def start(
        self, scan: Scan, axis: EnergyAxis, window: slice, low_axis: EnergyAxis | None
    ) -> None:
        """Place the windows on the axis."""
        self._window = edge_window(
            self.edge,
            axis,
            self.settings.signal_ev,
            self.settings.fit_ev,
            self.settings.background,
        )

    def update(self, prepared: Prepared) -> Mapping[str, NDArray[np.float32]]:
        """Net counts, error and SNR of each pixel."""
        assert self._window is not None
        net, error = self._window.counts(prepared.counts)
        name = self.edge.name
        if not self.settings.errors:
            return {name: net}
        return {name: net, f"{name} error": error, f"{name} SNR": net / error}


def edge_window(
    edge: edges.Edge,
    axis: EnergyAxis,
    signal_ev: tuple[float, float] | None,
    fit_ev: tuple[float, float] | None,
    background: str,
) -> NetWindow:
    """Windows of an edge on an axis, defaults where None; ``WindowError`` if they do not fit."""
    if fit_ev is None and background != "none":
        fit_ev = edge.fit_on(axis)
        if fit_ev[1] - fit_ev[0] < 4 * axis.dispersion_ev:
            raise WindowError(
                f"no room to fit a background before {edge.name}: it would be fitted from "
                f"{edge.fit_ev[0]:g} to {edge.fit_ev[1]:g} eV, the energy axis runs from "
                f"{axis.offset_ev:g} to {axis.end_ev:g} eV"
            )
    return NetWindow.on(
        axis,
        signal_ev or edge.signal_on(axis),
        None if background == "none" else fit_ev,
        power_law=background == "power_law",
    )
