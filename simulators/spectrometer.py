"""Mean electrons per channel of one signal, for any mixture of materials under the beam.

Lives here: the product of transforms for a whole block of pixels (see ``scattering.py``).
No noise, no detector beyond the width of its channels.
"""

from __future__ import annotations

import math

import numpy as np
from live_eels.simulators.edges import material_transform
from live_eels.simulators.lowloss import GUNS, Plasmon, single_scattering, zero_loss
from live_eels.simulators.materials import Material
from live_eels.simulators.scattering import FineGrid, mixed, plural
from live_eels.simulators.scene import MicroscopeSettings, Scene, used_materials
from numpy.typing import NDArray

from live_eels.spectra import EnergyAxis

KERNEL_EV = 205.0
"""Single scattering is followed at least this far; the low loss to the end of its axis."""
PADDING_PER_LAMBDA_EV = 150.0
"""Room above the axis for each mean free path, so that multiple losses do not fold over."""
REFERENCE_EV = 500.0


def mean_free_path_nm(material: Material, microscope: MicroscopeSettings) -> float:
    """Inelastic mean free path by Malis, Cheng and Egerton (1988), nm."""
    beam = microscope.beam_energy_kev
    relativistic = (1 + beam / 1022.12) / (1 + beam / 511.06) ** 2
    angle = microscope.collection_mrad
    mean_loss = material.mean_loss_ev
    return 106 * relativistic * beam / (mean_loss * math.log(2 * angle * beam / mean_loss))


class Spectrometer:
    """Everything about a signal that does not depend on the pixel, calculated once.

    Parameters
    ----------
    axis
        The channels that see electrons: the signal's axis, widened by the point spread's reach.
    low
        True for the low-loss region: zero-loss peak and valence losses; False for inner shells
        on their background.
    thickest
        Largest t/lambda that will be asked for.
    """

    def __init__(self, scene: Scene, axis: EnergyAxis, low: bool, thickest: float = 2.0) -> None:
        microscope = scene.microscope
        self.axis = axis
        self.low = low
        below = max(20.0, 30 * axis.dispersion_ev) if low else 120.0
        reach = max(KERNEL_EV, axis.end_ev + 20.0) if low else KERNEL_EV
        above = reach + 45.0 + PADDING_PER_LAMBDA_EV * thickest
        self.grid = FineGrid.around(axis, below, above)
        self.materials = tuple(scene.materials[name] for name in used_materials(scene))
        self.path_nm = np.array([mean_free_path_nm(m, microscope) for m in self.materials])
        zlp = zero_loss(GUNS[microscope.gun], microscope.zlp_fwhm_ev)
        omega = self.grid.omega
        instrument = zlp.transform(omega) * self.grid.channel_transform(omega)
        bins = self.grid.bins(instrument)
        self._omega = omega[:bins]
        self._instrument = instrument[:bins]
        losses = np.asarray(self.grid.step_ev * np.arange(self.grid.size), np.float64)
        losses = losses[losses <= reach]
        self._valence = np.array(
            [
                self.grid.kernel_transform(
                    single_scattering(
                        tuple(Plasmon(v.energy_ev, v.width_ev, v.weight) for v in m.valence),
                        m.gap_ev,
                        losses,
                        microscope.beam_energy_kev,
                        microscope.collection_mrad,
                    )
                )[:bins]
                for m in self.materials
            ]
        ).reshape(len(self.materials), bins)
        if low:
            self._shells = np.exp(1j * self._omega * self.grid.start_ev)[None, :]
        else:
            self._shells = np.array(
                [material_transform(m, self.grid, bins, microscope) for m in self.materials]
            ).reshape(len(self.materials), bins)

    def t_over_lambda(self, amounts_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Thickness of each material in mean free paths, ``(pixel, material)``."""
        return np.asarray(amounts_nm / self.path_nm)

    def electrons(
        self,
        amounts_nm: NDArray[np.float64],
        shift_ev: NDArray[np.float64],
        incident: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Mean electrons per channel, float64 ``(pixel, channel)``, never negative.

        Parameters
        ----------
        amounts_nm
            Thickness of each material, ``(pixel, material)``.
        shift_ev, incident
            Energy shift and incident electrons, ``(pixel,)``.
        """
        thickness = self.t_over_lambda(amounts_nm)
        hat = plural(self._valence, thickness, -np.outer(shift_ev, self._omega))
        hat *= self._instrument
        hat *= self._shells if self.low else mixed(amounts_nm, self._shells)
        out = self.grid.sampled(hat)
        if not self.low:
            out += self._background(thickness, shift_ev)
        return np.asarray(np.maximum(out, 0.0) * incident[:, None])

    def _background(
        self, thickness: NDArray[np.float64], shift_ev: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        energies = self.axis.energies_ev[None, :] - shift_ev[:, None]
        log_energy = np.log(np.maximum(energies, 20.0) / REFERENCE_EV)
        out = np.zeros_like(log_energy)
        for exponent in sorted({m.background_exponent for m in self.materials}):
            share = np.array(
                [m.background_per_ev * (m.background_exponent == exponent) for m in self.materials]
            )
            out += (thickness @ share)[:, None] * np.exp(-exponent * log_energy)
        return out * self.axis.dispersion_ev
