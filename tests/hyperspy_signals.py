"""HyperSpy and eXSpy without their noise, and spectra as their signals."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest

from live_eels.spectra import EnergyAxis

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    hs = pytest.importorskip("hyperspy.api")
    exspy = pytest.importorskip("exspy")

hs.preferences.General.show_progressbar = False
logging.getLogger("hyperspy").setLevel(logging.ERROR)
logging.getLogger("exspy").setLevel(logging.ERROR)


def signal(data, axis):
    """``(pixel, channel)`` on an axis as an EELS signal."""
    made = hs.signals.Signal1D(np.atleast_2d(np.asarray(data, np.float32)))
    made.set_signal_type("EELS")
    energy = made.axes_manager.signal_axes[0]
    energy.offset, energy.scale, energy.units = axis.offset_ev, axis.dispersion_ev, "eV"
    return made


def axis_of(loaded):
    """Energy axis of one of their signals."""
    energy = loaded.axes_manager.signal_axes[0]
    return EnergyAxis(float(energy.offset), float(energy.scale), int(energy.size))
