"""Maps of energy windows that a user drew: a sum, or a sum above a fitted background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels.analyses.net import NetWindow
from live_eels.spectra import EnergyAxis, MapKind, MapSpec, Prepared, Scan


class WindowSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One window to map.

    Parameters
    ----------
    name
        Name of the map.
    signal_ev
        Energies that are summed.
    fit_ev
        Where a power-law background is fitted; None: a plain sum.
    """

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    signal_ev: tuple[float, float]
    fit_ev: tuple[float, float] | None = None


class WindowMap:
    """Map of one energy window (``kind = "window"``)."""

    Settings = WindowSettings

    def __init__(self, settings: WindowSettings) -> None:
        self.settings = settings
        low_ev, high_ev = settings.signal_ev
        meaning = f"counts from {low_ev:g} to {high_ev:g} eV"
        if settings.fit_ev is not None:
            meaning += f" above a power law fitted from {settings.fit_ev[0]:g} to "
            meaning += f"{settings.fit_ev[1]:g} eV"
        kind: MapKind = "signed" if settings.fit_ev is not None else "intensity"
        self.specs: tuple[MapSpec, ...] = (MapSpec(settings.name, kind, "counts", meaning),)
        self._window: NetWindow | None = None

    def start(
        self, scan: Scan, axis: EnergyAxis, window: slice, low_axis: EnergyAxis | None
    ) -> None:
        """Make the tables; ``WindowError`` if a window is not on the axis."""
        self._window = NetWindow.on(axis, self.settings.signal_ev, self.settings.fit_ev)

    def update(self, prepared: Prepared) -> Mapping[str, NDArray[np.float32]]:
        """Net counts of each pixel of the chunk."""
        assert self._window is not None
        net, _ = self._window.counts(prepared.counts)
        return {self.settings.name: net}
