"""Partial cross-sections of K and L shells from hydrogenic oscillator strengths.

The formulas of Egerton's SIGMAK and SIGMAL (*Electron Energy-Loss Spectroscopy in the Electron
Microscope*, 3rd ed., section 3.6 and appendix B): hydrogenic wave functions with Slater's
screening for K, and for L an empirical correction of the near-edge region that reproduces
photo-absorption data. Good to about 10 % for K and 15 to 20 % for L; white lines are not in it.
M shells have no such model: give a cross-section of your own for those.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from live_eels.edges import Edge, levels

RYDBERG_EV = 13.606
BOHR_CM2 = 2.8003e-17  # a0 squared
BARN_CM2 = 1e-24
REST_EV = 510_998.95

# The exponent of the L-shell correction by atomic number, from Mg on (appendix B of the book).
_L_EXPONENT = dict(
    enumerate(
        (0.52, 0.52, 0.42, 0.30, 0.29, 0.22, 0.30, 0.22, 0.16, 0.12, 0.13, 0.13, 0.14,
         0.16, 0.18, 0.19, 0.22, 0.14, 0.11, 0.12, 0.12, 0.12, 0.10, 0.10, 0.10),
        start=12,
    )
)  # fmt: skip


class CrossSectionError(ValueError):
    """A shell for which there is no hydrogenic cross-section (the user's to give)."""


def partial_barn(
    edge: Edge, width_ev: float, beam_kev: float, convergence_mrad: float, collection_mrad: float
) -> float:
    """Cross-section for losses from the onset to ``width_ev`` above it, barn per atom.

    Scattering within the collection angle, corrected for the convergence of the beam.
    """
    return between_barn(
        edge,
        (edge.onset_ev, edge.onset_ev + width_ev),
        beam_kev,
        convergence_mrad,
        collection_mrad,
    )


def between_barn(
    edge: Edge,
    losses_ev: tuple[float, float],
    beam_kev: float,
    convergence_mrad: float,
    collection_mrad: float,
) -> float:
    """Cross-section for losses in a window, barn per atom; nothing below the onset counts."""
    low = max(losses_ev[0], edge.onset_ev)
    if losses_ev[1] <= low:
        raise CrossSectionError(
            f"the window {losses_ev[0]:g} to {losses_ev[1]:g} eV ends before {edge.name} begins "
            f"at {edge.onset_ev:g} eV"
        )
    losses = np.linspace(low, losses_ev[1], max(int((losses_ev[1] - low) / 0.5), 16) + 1)
    angle, share = effective_angle(0.5 * (low + losses_ev[1]), beam_kev, convergence_mrad,
                                   collection_mrad)  # fmt: skip
    return float(share * trapezoid(per_ev_barn(edge, losses, beam_kev, angle), losses))


def per_ev_barn(
    edge: Edge, losses_ev: NDArray[np.float64], beam_kev: float, angle_mrad: float
) -> NDArray[np.float64]:
    """Differential cross-section within ``angle_mrad``, barn per eV, shape of ``losses_ev``.

    The Bethe formula: ``4 pi a0^2 (R/E) (R/T) * integral of df/dE over d ln(q a0)^2``.
    """
    beam_ev = 1e3 * beam_kev
    gamma = 1.0 + beam_ev / REST_EV
    t = beam_ev * (1.0 + 0.5 * beam_ev / REST_EV) / gamma**2  # m v^2 / 2
    e = np.asarray(losses_ev, dtype=np.float64)
    q_min = e**2 / (4 * RYDBERG_EV * t) + e**3 / (8 * gamma**3 * RYDBERG_EV * t**2)
    q_max = q_min + 4 * gamma**2 * (t / RYDBERG_EV) * np.sin(0.5e-3 * angle_mrad) ** 2
    points = np.linspace(0.0, 1.0, 97)
    log_q = np.log(q_min)[:, None] + points * np.log(q_max / q_min)[:, None]
    strength = _strength(edge, e[:, None], np.exp(log_q))
    inner = trapezoid(strength, log_q, axis=1)
    factor = 4 * np.pi * BOHR_CM2 / BARN_CM2
    result: NDArray[np.float64] = factor * (RYDBERG_EV / e) * (RYDBERG_EV / t) * inner
    return result


def effective_angle(
    loss_ev: float, beam_kev: float, convergence_mrad: float, collection_mrad: float
) -> tuple[float, float]:
    """Collection angle (mrad) for a parallel beam with the same inner-shell signal.

    Also the share of the incident electrons it stands for (1 for a probe narrower than the
    aperture): CONCOR2 in Egerton's appendix B.
    """
    if convergence_mrad <= 0:
        return collection_mrad, 1.0
    beam_ev = 1e3 * beam_kev
    theta = 1e3 * loss_ev / beam_ev * (beam_ev + REST_EV) / (beam_ev + 2 * REST_EV)
    a, b, c = convergence_mrad**2, collection_mrad**2, theta**2
    first = np.sqrt((a + b + c) ** 2 - 4 * a * b) - a - b - c
    second = 2 * b * np.log(0.5 / c * (np.sqrt((a + c - b) ** 2 + 4 * b * c) + a + c - b))
    third = 2 * a * np.log(0.5 / c * (np.sqrt((b + c - a) ** 2 + 4 * a * c) + b + c - a))
    share = 0.5 * (first + second + third) / a / np.log(1 + b / c)
    within = share * max(a / b, 1.0)
    angle = theta * np.sqrt(np.exp(within * np.log(1 + b / c)) - 1)
    return float(angle), float(share / within)


def _strength(edge: Edge, e: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Generalised oscillator strength per eV; ``q`` is (q a0)^2."""
    if edge.subshell == "K":
        return _k_strength(edge.atomic_number, e, q)
    if edge.subshell.startswith("L") and edge.atomic_number in _L_EXPONENT:
        return _l_strength(edge, e, q)
    raise CrossSectionError(
        f"no hydrogenic cross-section for {edge.name} (K shells, and L shells from Mg to Kr, "
        f"have one); give cross_section_barn"
    )


def _k_strength(z: int, e: NDArray[np.float64], q_a0: NDArray[np.float64]) -> NDArray[np.float64]:
    charge, electrons = (1.0, 1.0) if z == 1 else (z - 0.5, 2.0)
    q = q_a0 / charge**2
    k2 = e / (RYDBERG_EV * charge**2) - 1.0
    k = np.maximum(np.sqrt(np.abs(k2)), 0.1)
    angle = np.arctan2(2 * k, q - k2 + 1.0)
    free = np.exp(-2.0 / k * angle) / -np.expm1(-2 * np.pi / k)
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.exp(-np.log((q + 1.0 - k2 + 2 * k) / (q + 1.0 - k2 - 2 * k)) / k)
    wave = np.where(k2 >= 0, free, bound)
    bracket = ((q - k2 + 1.0) ** 2 + 4 * k2) ** 3
    shape = wave * (q + k2 / 3 + 1.0 / 3) / bracket
    result: NDArray[np.float64] = 128 * electrons * e / RYDBERG_EV**2 / charge**4 * shape
    return result


def _l_strength(
    edge: Edge, e: NDArray[np.float64], q_a0: NDArray[np.float64]
) -> NDArray[np.float64]:
    z = edge.atomic_number
    have = levels()[edge.element][1]
    l3, l1 = have["L3"], have.get("L1", have["L3"])
    charge = z - 0.35 * 7 - 1.7
    q = q_a0 / charge**2
    k2 = e / (RYDBERG_EV * charge**2) - 0.25
    k = np.sqrt(np.abs(k2))
    angle = np.arctan2(k, q - k2 + 0.25)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        free = np.exp(-2.0 / k * angle) / -np.expm1(-2 * np.pi / k)
        bound = np.exp(-np.log((q + 0.25 - k2 + k) / (q + 0.25 - k2 - k)) / k)
    wave = np.where(k2 > 0, free, bound)
    below = (
        2.25 * q**4
        - (0.75 + 3 * k2) * q**3
        + (0.59375 - 0.75 * k2 - 0.5 * k2**2) * q**2
        + (0.11146 + 0.85417 * k2 + 1.8833 * k2**2 + k2**3) * q
        + 0.0035807 + k2 / 21.333 + k2**2 / 4.5714 + k2**3 / 2.4 + k2**4 / 4
    ) / ((q - k2 + 0.25) ** 2 + k2) ** 5  # fmt: skip
    above = (
        q**3
        - (5 / 3 * k2 + 11 / 12) * q**2
        + (k2**2 / 3 + 1.5 * k2 + 65 / 48) * q
        + k2**3 / 3 + 0.75 * k2**2 + 23 / 48 * k2 + 5 / 64
    ) / ((q - k2 + 0.25) ** 2 + k2) ** 4  # fmt: skip
    shape = np.where(e <= l1, below, above) * wave
    correction = ((e + 0.1 - l3) / 1.8 / z / z) ** _L_EXPONENT[z]
    # Na to S within 20 eV of the onset: the correction does not hold there.
    correction = np.where((abs(z - 11) <= 5) & (e - l3 <= 20), 1.0, correction)
    result: NDArray[np.float64] = 32 * correction * shape * e / RYDBERG_EV**2 / charge**4
    return result
