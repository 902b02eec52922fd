"""Inner-shell edges of a material: cross section times density, single scattering only.

Lives here: white lines, continuum and near-edge peaks put together, as Fourier transforms over a
grid of energies. ``l23_transform`` is the piece that training spectra are built from as well.

The strength of the white lines follows Pearson, Ahn and Fultz (Phys. Rev. B 47, 8471 (1993)):
their area over the continuum 50 to 100 eV above the edge falls in proportion to the filling of
the 3d shell, ``1.06 (1 - 0.094 n3d)``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from live_eels.simulators.cross_sections import (
    cross_section,
    effective_angle_mrad,
    onset_ev,
    subshells,
)
from live_eels.simulators.lineshapes import (
    Broadening,
    LineShapes,
    PhysicsError,
    gaussian,
    load,
    lorentzian,
    white_line_transform,
)
from live_eels.simulators.materials import Material, Site
from live_eels.simulators.scattering import FineGrid
from live_eels.simulators.scene import MicroscopeSettings
from numpy.typing import NDArray

ELECTRONS_3D = {"Mn2+": 5, "Mn3+": 4, "Mn4+": 3, "Fe2+": 6, "Fe3+": 5, "Ti4+": 0}
L3_EV = {
    "Mn2+": 640.4, "Mn3+": 642.1, "Mn4+": 643.4, "Fe2+": 707.8, "Fe3+": 709.5, "Ti4+": 459.5,
}  # fmt: skip
SPIN_ORBIT_EV = {"Ti": 5.7, "Mn": 11.2, "Fe": 13.1}
CONTINUUM_AFTER_L3_EV = 1.5
"""The continuum begins that much above the L3 maximum (the core hole binds the 3d states)."""


def element_of(ion: str) -> str:
    """``Mn`` of ``Mn2+``."""
    return ion.rstrip("+0123456789")


def white_line_area_nm2(ion: str, beam_kev: float, angle_mrad: float) -> float:
    """Cross section of L3 and L2 white lines together, nm² per atom."""
    above = np.arange(50.0, 100.0, 0.5)
    section = cross_section(f"{element_of(ion)}_L3", above, beam_kev, angle_mrad)
    return float(1.06 * (1 - 0.094 * ELECTRONS_3D[ion]) * section.mean() * 50.0)


def continuum(
    ion: str, energies_ev: NDArray[np.float64], beam_kev: float, angle_mrad: float, shift_ev: float
) -> NDArray[np.float64]:
    """L3 and L2 continuum of an ion in the 2:1 ratio of their electrons, nm² per eV and atom."""
    element = element_of(ion)
    first = L3_EV[ion] + CONTINUUM_AFTER_L3_EV + shift_ev
    name = f"{element}_L3"
    l3 = cross_section(name, energies_ev - first, beam_kev, angle_mrad)
    l2 = cross_section(name, energies_ev - first - SPIN_ORBIT_EV[element], beam_kev, angle_mrad)
    return np.asarray((2 * l3 + l2) / 3)


def site_rows(shapes: LineShapes, site: Site) -> list[tuple[int, float]]:
    """Rows of the line shapes that make up a site, with their weights."""
    rows = [
        (
            shapes.nearest(site.ion, site.ten_dq_ev, site.tetragonal_ev, site.slater),
            1 - site.charge_transfer,
        )
    ]
    if site.charge_transfer > 0:
        rows.append((int(shapes.rows(site.ion, "charge_transfer")[0]), site.charge_transfer))
    return rows


def l23_transform(
    site: Site, grid: FineGrid, bins: int, beam_kev: float, angle_mrad: float
) -> NDArray[np.complex128]:
    """Transform of one ion's L2,3 edge: white lines and continuum, nm² per atom, ``(bin,)``."""
    shapes = load()
    omega = grid.omega[:bins]
    weighted = site_rows(shapes, site)
    lines = white_line_transform(
        shapes,
        np.array([row for row, _ in weighted], np.intp),
        broadening_of(site),
        grid.start_ev,
        grid.step_ev,
        grid.size,
        bins,
    )
    area = white_line_area_nm2(site.ion, beam_kev, angle_mrad)
    total = area * (np.array([weight for _, weight in weighted]) @ lines)
    smooth = continuum(site.ion, grid.energies_ev, beam_kev, angle_mrad, site.shift_ev)
    hat = np.fft.rfft(tapered(smooth, grid))[:bins] * grid.step_ev
    return np.asarray(total + hat * lorentzian(2.0, omega))


def broadening_of(site: Site) -> Broadening:
    """The widths of a site in the form the line shapes take them."""
    return Broadening(
        l3_fwhm_ev=site.l3_fwhm_ev,
        l2_fwhm_ev=site.l2_fwhm_ev,
        solid_fwhm_ev=site.solid_fwhm_ev,
        l2_solid_fwhm_ev=site.l2_solid_fwhm_ev,
        tail_weight=site.tail_weight,
        tail_ev=site.tail_ev,
        l2_strength=site.l2_strength,
        l2_shift_ev=site.l2_shift_ev,
        shift_ev=site.shift_ev,
    )


def material_transform(
    material: Material, grid: FineGrid, bins: int, microscope: MicroscopeSettings
) -> NDArray[np.complex128]:
    """Transform of all edges of a material on the grid, probability per nm, ``(bin,)``."""
    beam = microscope.beam_energy_kev
    angle, kept = effective_angle_mrad(microscope.convergence_mrad, microscope.collection_mrad)
    total = np.zeros(bins, complex)
    for element, density in material.atoms_per_nm3.items():
        sites = [site for site in material.sites if element_of(site.ion) == element]
        for site in sites:
            total += density * site.part * l23_transform(site, grid, bins, beam, angle)
        for edge in subshells():
            if edge.startswith(element + "_") and not (sites and edge.endswith("L3")):
                total += density * _edge_transform(edge, material, grid, bins, beam, angle)
    return np.asarray(total * kept)


def _edge_transform(
    edge: str, material: Material, grid: FineGrid, bins: int, beam: float, angle: float
) -> NDArray[np.complex128]:
    onset = material.onset_ev.get(edge, onset_ev(edge))
    omega = grid.omega[:bins]
    # an edge that begins before the grid is part of the power-law background
    if onset > grid.axis.end_ev + 50.0 or onset < grid.start_ev + 5.0:
        return np.zeros(bins, complex)
    smooth = cross_section(edge, grid.energies_ev - onset, beam, angle)
    hat = np.fft.rfft(tapered(smooth, grid))[:bins] * grid.step_ev * lorentzian(1.2, omega)
    height = float(cross_section(edge, np.array([10.0]), beam, angle)[0])
    for peak in material.peaks:
        if peak.edge == edge and peak.energy_ev - 40.0 > grid.start_ev:
            hat += (
                peak.area_ev
                * height
                * gaussian(peak.fwhm_ev, omega)
                * np.exp(-1j * omega * (peak.energy_ev - grid.start_ev))
            )
    return np.asarray(hat)


def tapered(spectrum: NDArray[np.float64], grid: FineGrid) -> NDArray[np.float64]:
    """The spectrum let down to zero over the grid's padding, so that it does not fold over."""
    end = grid.left + grid.axis.size * grid.oversample
    room = grid.size - end
    fade = min(room // 3, round(40.0 / grid.step_ev))
    out = spectrum.copy()
    if fade > 0:
        out[end : end + fade] *= 0.5 * (1 + np.cos(np.pi * np.arange(fade) / fade))
    out[end + max(fade, 0) :] = 0.0
    return out


def ion_density(material: Material) -> Mapping[str, float]:
    """Number density of each 3d ion in a material, per nm³."""
    out: dict[str, float] = {}
    for site in material.sites:
        element = element_of(site.ion)
        if element not in material.atoms_per_nm3:
            raise PhysicsError(f"a site of {site.ion} in a material without {element}")
        out[site.ion] = out.get(site.ion, 0.0) + site.part * material.atoms_per_nm3[element]
    return out
