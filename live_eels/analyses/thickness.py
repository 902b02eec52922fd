"""Thickness in mean free paths from the low loss: the log-ratio, and by Fourier-log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels.analyses.net_edge import needs_low_loss
from live_eels.kernels.windows import elastic_counts
from live_eels.spectra import EnergyAxis, MapSpec, Prepared, Scan


class ThicknessSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the zero-loss peak is told from the rest.

    Parameters
    ----------
    cut_ev
        The zero-loss peak ends where the loss is least before this energy.
    mean_free_path_nm
        If known, the thickness is also given in nm.
    """

    cut_ev: Annotated[float, Meta(gt=0, le=100)] = 10.0
    mean_free_path_nm: Annotated[float, Meta(gt=0)] | None = None


class Thickness:
    """``t/lambda = ln(all counts / zero-loss counts)`` (``kind = "thickness"``).

    Egerton, *Electron Energy-Loss Spectroscopy in the Electron Microscope*, 3rd ed., 5.1.
    """

    Settings = ThicknessSettings

    def __init__(self, settings: ThicknessSettings) -> None:
        self.settings = settings
        self.specs: tuple[MapSpec, ...] = (
            MapSpec("t/lambda", "intensity", "", "thickness in inelastic mean free paths"),
            MapSpec("t/lambda error", "intensity", "", "Poisson error, one sigma"),
        )
        if settings.mean_free_path_nm is not None:
            self.specs += (MapSpec("thickness", "intensity", "nm", "t/lambda times lambda"),)

    def start(
        self, scan: Scan, axis: EnergyAxis, window: slice, low_axis: EnergyAxis | None
    ) -> None:
        """Find 0 eV on the low-loss axis."""
        self._axis = needs_low_loss(low_axis, "t/lambda")

    def update(self, prepared: Prepared) -> Mapping[str, NDArray[np.float32]]:
        """t/lambda of each pixel."""
        n = len(prepared.pixels)
        nothing = np.full(n, np.nan, np.float32)
        low, width_ev = prepared.low, prepared.zlp_width_ev
        ratio, error = nothing, nothing
        if low is not None and width_ev is not None:
            elastic, total = np.empty(n, np.float32), np.empty(n, np.float32)
            per_ev = np.float32(1.0 / self._axis.dispersion_ev)
            elastic_counts(
                low,
                round(-self._axis.offset_ev / self._axis.dispersion_ev),
                width_ev * per_ev,
                float(self.settings.cut_ev * per_ev),
                elastic,
                total,
                np.empty(n, np.float32),
            )
            good = (elastic > 0) & (total >= elastic)
            e, t = np.where(good, elastic, 1.0), np.where(good, total, 1.0)
            ratio = np.where(good, np.log(t / e), np.nan).astype(np.float32)
            # total = elastic + rest, independent: variance of ln(1 + rest / elastic)
            rest = t - e
            variance = (rest / t) ** 2 * (1 / np.maximum(rest, 1.0) + 1 / e)
            error = np.where(good, np.sqrt(variance), np.nan).astype(np.float32)
        maps = {"t/lambda": ratio, "t/lambda error": error}
        if self.settings.mean_free_path_nm is not None:
            maps["thickness"] = ratio * np.float32(self.settings.mean_free_path_nm)
        return maps
