"""Window maps over all recorded pixels, fast enough for a hand that drags.

Lives here: the two-area background, which needs three sums per pixel and no fit, so that a
window can be swept through energy while the scan runs. The careful maps (fits by Poisson
likelihood, error bars) are analyses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from live_eels.io.recorder import Recorder
from live_eels.spectra import EnergyAxis


def window_map(
    recorder: Recorder,
    axis: EnergyAxis,
    signal_ev: tuple[float, float],
    fit_ev: tuple[float, float] | None,
) -> NDArray[np.float32]:
    """Counts in a window less a power-law background fitted in another.

    Parameters
    ----------
    recorder
        The recording, also while it grows.
    axis
        Energy axis of the recorded core loss.
    signal_ev, fit_ev
        Windows; without ``fit_ev`` nothing is subtracted.

    Returns
    -------
    float32 ``(scan pixels,)``, counts; nan where nothing was recorded.

    Raises
    ------
    WindowError
        If a window is not inside the axis.

    Notes
    -----
    Two-area method, R. F. Egerton, *Electron Energy-Loss Spectroscopy in the Electron
    Microscope*, 3rd ed., eq. 4.45: with the fit window cut into halves that hold I1 and I2,
    ``r = 2 ln(I1 / I2) / ln(E2 / E1)`` and A follows from ``I1 + I2``.
    """
    signal = axis.window(*signal_ev)
    total = recorder.window_sum(signal)
    if fit_ev is None:
        return np.asarray(total, np.float32)
    fit = axis.window(*fit_ev)
    if fit.stop - fit.start < 2:
        fit = slice(fit.start, fit.start + 2)
    middle = (fit.start + fit.stop) // 2
    first = recorder.window_sum(slice(fit.start, middle))
    second = recorder.window_sum(slice(middle, fit.stop))
    border_ev = (
        axis.offset_ev + (np.array([fit.start, middle, fit.stop]) - 0.5) * axis.dispersion_ev
    )
    if border_ev[0] <= 0:
        width = (signal.stop - signal.start) / (fit.stop - fit.start)
        return np.asarray(total - (first + second) * width, np.float32)
    # Halves of unequal length (odd windows) are brought to counts per eV first.
    low, high = np.diff(border_ev)
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = 2 * np.log((first / low) / (second / high)) / np.log(border_ev[2] / border_ev[0])
        exponent = np.where(np.isfinite(exponent), np.clip(exponent, 0.0, 10.0), 0.0)
        norm = (first + second) / _power_law_area(border_ev[0], border_ev[2], exponent)
    edges_ev = axis.offset_ev + (np.array([signal.start, signal.stop]) - 0.5) * axis.dispersion_ev
    background = norm * _power_law_area(edges_ev[0], edges_ev[1], exponent)
    return np.asarray(total - background, np.float32)


def _power_law_area(
    low_ev: float, high_ev: float, exponent: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Integral of ``E ** -exponent``, also for exponent 1."""
    power = 1.0 - exponent
    near = np.abs(power) < 1e-9
    safe = np.where(near, 1.0, power)
    area = (high_ev**safe - low_ev**safe) / safe
    return np.asarray(np.where(near, np.log(high_ev / low_ev), area))
