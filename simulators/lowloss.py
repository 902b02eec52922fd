"""The low-loss region: zero-loss peak of a field emitter, single scattering of valence electrons.

Lives here: the shapes, as Fourier transforms on frequencies given, or on an energy grid. How
often an electron scatters (the Poisson sum) is in ``scattering.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from live_eels.simulators.lineshapes import FWHM_OF_SIGMA, gaussian
from numpy.typing import NDArray

SMALLEST_STEP_EV = 0.005


@dataclass(frozen=True, slots=True)
class Gun:
    """Energy distribution of the emitter, before the spectrometer blurs it.

    A field emitter's electrons fall off exponentially towards energies below the Fermi level
    (the loss side: ``tunnel_ev``) and as the Fermi edge above it (``thermal_ev`` = kT).
    """

    tunnel_ev: float
    thermal_ev: float


GUNS = {
    "cold_feg": Gun(0.22, 0.026),
    "schottky": Gun(0.22, 0.085),
    "monochromated": Gun(0.02, 0.02),
}


@dataclass(frozen=True, slots=True)
class ZeroLoss:
    """A zero-loss peak of given width with its maximum at 0 eV.

    ``sigma_ev`` is the Gaussian that makes up the width, ``mode_ev`` where the unshifted
    convolution has its maximum.
    """

    gun: Gun
    fwhm_ev: float
    sigma_ev: float
    mode_ev: float

    def transform(self, omega: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Fourier transform, unit area, float64 frequencies in rad/eV."""
        return np.asarray(
            emission_transform(self.gun, omega)
            * gaussian(self.sigma_ev * FWHM_OF_SIGMA, omega)
            * np.exp(1j * omega * self.mode_ev)
        )


def emission_transform(gun: Gun, omega: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Fourier transform of the emitter's distribution over energy loss.

    Fowler-Nordheim emission ``exp(-loss/d) / (1 + exp(-loss/kT))`` has, exactly, the
    characteristic function ``(pi kT/d) / sin(pi kT (1/d + i w))`` over its value at 0.
    """
    # in terms of x = kT/d < 1: integral of e^(-E/d) e^(-iwE) / (1 + e^(-E/kT)) dE
    x = gun.thermal_ev / gun.tunnel_ev
    if x >= 1.0:  # the thermal tail wins; a symmetric peak of that width stands for it
        return np.asarray(gaussian(3.5 * gun.thermal_ev, omega).astype(complex))
    argument = np.pi * (x + 1j * gun.thermal_ev * omega)
    # sin grows as exp(|imaginary part|): keep it from overflowing
    safe = np.clip(argument.imag, -600.0, 600.0)
    return np.asarray(math.sin(math.pi * x) / np.sin(argument.real + 1j * safe))


def zero_loss(gun: Gun, fwhm_ev: float) -> ZeroLoss:
    """The zero-loss peak whose full width at half maximum is ``fwhm_ev``.

    Raises
    ------
    ValueError
        If the emitter alone is wider than that.
    """
    low, high = 0.0, fwhm_ev / FWHM_OF_SIGMA
    if _measure(gun, 0.02 * fwhm_ev / FWHM_OF_SIGMA)[0] > fwhm_ev:
        raise ValueError(f"this emitter is wider than {fwhm_ev:g} eV: choose another gun")
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _measure(gun, middle)[0] < fwhm_ev else (low, middle)
    sigma = (low + high) / 2
    return ZeroLoss(gun, fwhm_ev, sigma, _measure(gun, sigma)[1])


def _measure(gun: Gun, sigma_ev: float) -> tuple[float, float]:
    """Width and position of the maximum of the blurred emission."""
    size, step = 8192, SMALLEST_STEP_EV
    omega = np.asarray(2 * np.pi * np.fft.rfftfreq(size, step), np.float64)
    hat = emission_transform(gun, omega) * gaussian(sigma_ev * FWHM_OF_SIGMA, omega)
    peak = np.fft.fftshift(np.fft.irfft(hat, size))
    energies = (np.arange(size) - size // 2) * step
    above = np.flatnonzero(peak >= peak.max() / 2)
    edges = []
    for inner, outer in ((above[0], above[0] - 1), (above[-1], above[-1] + 1)):
        part = (peak[inner] - peak.max() / 2) / (peak[inner] - peak[outer])
        edges.append(energies[inner] + part * (energies[outer] - energies[inner]))
    top = int(np.argmax(peak))
    curve = peak[top - 1] - 2 * peak[top] + peak[top + 1]
    mode = energies[top] + 0.5 * step * (peak[top - 1] - peak[top + 1]) / curve
    return float(edges[1] - edges[0]), float(mode)


@dataclass(frozen=True, slots=True)
class Plasmon:
    """One oscillator of the valence loss: a Drude peak with its share of the strength."""

    energy_ev: float
    width_ev: float
    weight: float = 1.0


def single_scattering(
    plasmons: tuple[Plasmon, ...],
    gap_ev: float,
    energies_ev: NDArray[np.float64],
    beam_kev: float,
    collection_mrad: float,
) -> NDArray[np.float64]:
    """Single-scattering distribution of the valence electrons, float64 ``(energy,)``, 1/eV.

    Drude oscillators times the angular factor of a round aperture; unit area over
    ``energies_ev`` (evenly spaced), zero below the band gap.
    """
    loss = np.maximum(energies_ev, 1e-6)
    gamma = 1 + beam_kev / 510.99895
    effective_ev = 510998.95 * (1 - 1 / gamma**2) * gamma / 2  # gamma m v^2 / 2
    theta = loss / (2 * effective_ev)
    angular = np.log1p((collection_mrad * 1e-3 / theta) ** 2)
    total = np.zeros_like(loss)
    step = float(energies_ev[1] - energies_ev[0])
    for peak in plasmons:
        plasma2 = peak.energy_ev**2
        drude = loss * peak.width_ev * plasma2
        drude /= (loss**2 - plasma2) ** 2 + (loss * peak.width_ev) ** 2
        drude *= angular * -np.expm1(-np.maximum(energies_ev - gap_ev, 0.0) / 1.5)
        total += peak.weight * drude / (drude.sum() * step)
    return np.asarray(total / (total.sum() * step))
