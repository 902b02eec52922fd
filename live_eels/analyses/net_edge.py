"""An edge free of background, and of plural scattering where the low loss allows.

Lives here: what white lines and single-scattering maps share before they measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import background as bg
from live_eels.kernels import deconvolve, prepare
from live_eels.kernels.windows import elastic_counts
from live_eels.spectra import EnergyAxis, Prepared, WindowError

_CUT_EV = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class NetEdge:
    """Spectra of one chunk over the target channels, all float32 ``(pixel, channel)``.

    ``net`` has no background and, where deconvolved, no plural scattering; ``gross`` are the
    counts measured, ``under`` the background in them; ``elastic (pixel,)`` the zero-loss
    counts, nan where unknown.
    """

    net: NDArray[np.float32]
    gross: NDArray[np.float32]
    under: NDArray[np.float32]
    elastic: NDArray[np.float32]


def net_edge(
    prepared: Prepared,
    fit: bg.Fit,
    target: slice,
    *,
    plural: bool,
    resolution_ev: float | None = None,
) -> NetEdge:
    """Subtract the background of ``fit`` in ``target``; without ``plural`` deconvolve too.

    Pixels without a zero-loss peak are left as they are.
    """
    n, size = len(prepared.pixels), target.stop - target.start
    net, under = np.empty((n, size), np.float32), np.empty((n, size), np.float32)
    prepare.subtract(
        prepared.counts,
        fit,
        np.empty((0, 2)),
        target.start,
        0.0,
        net,
        under,
        np.empty(n, np.float32),
        np.zeros(n, np.uint8),
    )
    gross = np.ascontiguousarray(prepared.counts[:, target])
    elastic = np.full(n, np.nan, np.float32)
    low, low_axis, width_ev = prepared.low, prepared.low_axis, prepared.zlp_width_ev
    if low is not None and low_axis is not None and width_ev is not None:
        elastic, _ = split_elastic(low, low_axis, width_ev)
        if not plural:
            step_ev = prepared.axis.dispersion_ev
            matched, zero = deconvolve.match_dispersion(
                low, low_axis.offset_ev, low_axis.dispersion_ev, step_ev
            )
            kept = width_ev if resolution_ev is None else np.full_like(width_ev, resolution_ev)
            net = deconvolve.fourier_ratio(net, matched, zero, kept / np.float32(step_ev), elastic)
    return NetEdge(net, gross, under, elastic)


def needs_low_loss(low_axis: EnergyAxis | None, what: str) -> EnergyAxis:
    """The low-loss axis, which must hold 0 eV; ``WindowError`` says what needs it."""
    if low_axis is None:
        raise WindowError(f"{what} needs a low-loss signal; this scan has none")
    if not low_axis.offset_ev < 0 < low_axis.end_ev:
        raise WindowError(
            f"{what} needs 0 eV on the low-loss axis, which runs from "
            f"{low_axis.offset_ev:g} to {low_axis.end_ev:g} eV"
        )
    return low_axis


def split_elastic(
    low: NDArray[np.float32], axis: EnergyAxis, width_ev: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Zero-loss counts and where the zero-loss peak ends (channels of loss), ``(pixel,)``."""
    elastic, total, cut = (np.empty(len(low), np.float32) for _ in range(3))
    per_ev = 1.0 / axis.dispersion_ev
    zero = round(-axis.offset_ev * per_ev)
    elastic_counts(low, zero, width_ev * np.float32(per_ev), _CUT_EV * per_ev, elastic, total, cut)
    return elastic, cut
