"""Maps with plural scattering taken out: edges by Fourier-ratio, the low loss by Fourier-log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels import edges
from live_eels.analyses.net_edge import needs_low_loss, net_edge, split_elastic
from live_eels.kernels import background as bg
from live_eels.kernels import deconvolve
from live_eels.spectra import EnergyAxis, MapSpec, Prepared, Scan


class SingleEdgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The edge whose plural scattering is removed.

    Parameters
    ----------
    edge
        Name such as ``Mn L``.
    signal_ev, fit_ev
        Windows; None: the edge's defaults.
    resolution_ev
        Full width of the Gaussian kept as resolution; None: the pixel's zero-loss peak's.
    """

    edge: str
    signal_ev: tuple[float, float] | None = None
    fit_ev: tuple[float, float] | None = None
    resolution_ev: Annotated[float, Meta(gt=0, le=100)] | None = None


class SingleEdge:
    """Net counts of an edge after Fourier-ratio deconvolution (``kind = "fourier_ratio"``)."""

    Settings = SingleEdgeSettings

    def __init__(self, settings: SingleEdgeSettings) -> None:
        self.settings = settings
        self.edge = edges.find(settings.edge)
        self._name = f"{self.edge.name} single scattering"
        self.specs: tuple[MapSpec, ...] = (
            MapSpec(self._name, "signed", "counts", "net counts, plural scattering removed"),
        )

    def start(
        self, scan: Scan, axis: EnergyAxis, window: slice, low_axis: EnergyAxis | None
    ) -> None:
        """Place the windows; the low loss must be there."""
        needs_low_loss(low_axis, "Fourier-ratio deconvolution")
        signal = axis.window(*(self.settings.signal_ev or self.edge.signal_on(axis)))
        fit = axis.window(*(self.settings.fit_ev or self.edge.fit_on(axis)))
        lead = min(round(10.0 / axis.dispersion_ev), signal.start)
        self._target = slice(signal.start - lead, signal.stop)
        self._lead = lead
        self._fit = bg.make_fit(bg.POISSON, axis.energies_ev, fit, self._target, logarithmic=True)

    def update(self, prepared: Prepared) -> Mapping[str, NDArray[np.float32]]:
        """Deconvolved counts of each pixel, nan without low loss."""
        edge = net_edge(
            prepared,
            self._fit,
            self._target,
            plural=False,
            resolution_ev=self.settings.resolution_ev,
        )
        net = edge.net[:, self._lead :].sum(axis=1)
        return {self._name: np.where(np.isfinite(edge.elastic), net, np.nan).astype(np.float32)}


class LowLossSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plasmon in the single-scattering distribution.

    Parameters
    ----------
    plasmon_ev
        Where the strongest loss is looked for.
    """

    plasmon_ev: tuple[float, float] = (5.0, 40.0)


class SingleLowLoss:
    """Plasmon energy and thickness from Fourier-log deconvolution (``kind = "fourier_log"``).

    The single-scattering distribution's area over that of the zero-loss peak is t/lambda, as
    far as the low-loss axis reaches.
    """

    Settings = LowLossSettings

    def __init__(self, settings: LowLossSettings) -> None:
        self.settings = settings
        self.specs: tuple[MapSpec, ...] = (
            MapSpec("plasmon energy", "intensity", "eV", "maximum of single scattering"),
            MapSpec("t/lambda (Fourier-log)", "intensity", "", "single over zero-loss counts"),
        )

    def start(
        self, scan: Scan, axis: EnergyAxis, window: slice, low_axis: EnergyAxis | None
    ) -> None:
        """Place the plasmon window on the low-loss axis."""
        self._axis = needs_low_loss(low_axis, "Fourier-log deconvolution")
        low_ev, high_ev = self.settings.plasmon_ev
        self._axis.window(low_ev, high_ev)
        per_ev = 1.0 / self._axis.dispersion_ev
        self._zero = round(-self._axis.offset_ev * per_ev)
        self._plasmon = slice(int(low_ev * per_ev), int(high_ev * per_ev) + 1)

    def update(self, prepared: Prepared) -> Mapping[str, NDArray[np.float32]]:
        """Plasmon energy and t/lambda of each pixel."""
        low, width_ev = prepared.low, prepared.zlp_width_ev
        n = len(prepared.pixels)
        names = [spec.name for spec in self.specs]
        if low is None or width_ev is None:
            return {name: np.full(n, np.nan, np.float32) for name in names}
        single, elastic = self.distribution(low, width_ev)
        part = single[:, self._plasmon]
        good = np.isfinite(elastic) & (elastic > 0) & np.isfinite(part).all(axis=1)
        part = np.where(good[:, None], part, 0.0)
        energy = (self._plasmon.start + _peak(part)) * self._axis.dispersion_ev
        # Below the cut the distribution is what little the modifier leaves of the peak.
        first = self._plasmon.start // 2
        area = np.where(good, np.nan_to_num(single[:, first:]).sum(axis=1), np.nan)
        thickness = area / np.where(good, elastic, 1.0)
        return {
            names[0]: np.where(good, energy, np.nan).astype(np.float32),
            names[1]: thickness.astype(np.float32),
        }

    def distribution(
        self, low: NDArray[np.float32], width_ev: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Single-scattering distribution ``(pixel, loss channel)`` and zero-loss counts."""
        elastic, cut = split_elastic(low, self._axis, width_ev)
        channel = np.arange(low.shape[1]) - self._zero
        inside = np.abs(channel)[None, :] < np.nan_to_num(cut)[:, None]
        zlp = np.where(inside, low, np.float32(0.0))
        width = width_ev / np.float32(self._axis.dispersion_ev)
        return deconvolve.fourier_log(low, self._zero, width, zlp), elastic


def _peak(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Position of each row's maximum, refined by a parabola over a tenth of it on each side."""
    n, size = rows.shape
    top = np.argmax(rows, axis=1)
    reach = max(size // 20, 1)
    centre = np.clip(top, reach, max(size - 1 - reach, reach))
    offset = np.arange(-reach, reach + 1)
    values = rows[np.arange(n)[:, None], centre[:, None] + offset].astype(np.float64)
    # Least-squares parabola on symmetric points: closed form.
    s2 = (offset**2).sum()
    s4 = (offset**4).sum()
    slope = values @ offset / s2
    bend = (values @ offset**2 - values.mean(axis=1) * s2) / (s4 - s2**2 / offset.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.where(bend < 0, -0.5 * slope / bend, 0.0)
    refined: NDArray[np.float64] = centre + np.clip(step, -reach, reach)
    return refined
