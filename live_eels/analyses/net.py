"""Net counts of an edge: window integral less the background fitted before it, with error.

Lives here: the arithmetic that element maps, quantification and user-drawn windows share.
For ``A * exp(-r * t)`` the background in the signal window is ``fit counts * ratio(r)``, so
net counts and their Poisson error need three sums per spectrum and look-ups in tables made
once per axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import background as bg
from live_eels.kernels.windows import net_counts
from live_eels.spectra import EnergyAxis


@dataclass(frozen=True, slots=True, eq=False)
class NetWindow:
    """A signal window and the background under it, on one axis.

    Attributes
    ----------
    signal
        Channels that are summed.
    fit
        Background model on the fit channels, or None for a plain sum.
    ratio, ratio_slope, spread
        float64 ``(point,)``, by the fit's table of slopes: background counts in the signal
        window per count in the fit window, its derivative by the slope, and the variance of
        the regressor in the fit window (whose inverse, per count, is the slope's variance).
    """

    signal: slice
    fit: bg.Fit | None
    ratio: NDArray[np.float64]
    ratio_slope: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def on(
        cls,
        axis: EnergyAxis,
        signal_ev: tuple[float, float],
        fit_ev: tuple[float, float] | None,
        *,
        power_law: bool = True,
    ) -> NetWindow:
        """Tables for windows in eV; ``WindowError`` if one is not on the axis."""
        signal = axis.window(*signal_ev)
        none = np.zeros(0)
        if fit_ev is None:
            return cls(signal, None, none, none, none)
        channels = axis.window(*fit_ev)
        fit = bg.make_fit(bg.POISSON, axis.energies_ev, channels, signal, logarithmic=power_law)
        t, target = fit.t.astype(float), fit.target.astype(float)
        weight = np.exp(-np.outer(fit.slopes, t))
        norm = weight.sum(axis=1)
        spread = (weight @ t**2) / norm - ((weight @ t) / norm) ** 2
        under = np.exp(np.minimum(-np.outer(fit.slopes, target), 60.0))
        ratio = under.sum(axis=1) / norm
        # d/dr of sum(exp(-r target)) / sum(exp(-r t)):
        mean_target = (under @ target) / np.maximum(under.sum(axis=1), 1e-300)
        ratio_slope = ratio * ((weight @ t) / norm - mean_target)
        return cls(signal, fit, ratio, ratio_slope, spread)

    def counts(
        self, spectra: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Net counts of ``spectra (pixel, channel)`` and their standard deviation.

        Each float32 ``(pixel,)``; nan where no background can be fitted.
        """
        net = np.empty(len(spectra), np.float32)
        error = np.empty(len(spectra), np.float32)
        if self.fit is None:
            net[:] = spectra[:, self.signal].sum(axis=1)
            np.sqrt(np.maximum(net, 1.0), out=error)
            return net, error
        net_counts(
            spectra,
            self.signal.start,
            self.signal.stop,
            self.fit,
            self.ratio,
            self.ratio_slope,
            self.spread,
            net,
            error,
        )
        return net, error
