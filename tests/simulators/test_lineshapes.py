from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import numpy as np
import pytest
from live_eels.simulators import multiplets
from live_eels.simulators.edges import L3_EV, broadening_of, l23_transform, site_rows
from live_eels.simulators.lineshapes import (
    Broadening,
    PhysicsError,
    gaussian,
    load,
    white_line_transform,
    white_lines,
)
from live_eels.simulators.materials import Material, shipped_materials
from live_eels.simulators.scattering import FineGrid

from live_eels.spectra import EnergyAxis

MEASURED = Path(__file__).parents[3] / "shared" / "real_spectra"
MATERIALS = msgspec.convert(shipped_materials(), dict[str, Material])
AXIS = EnergyAxis(620.0, 0.05, 1000)


def edge(material: str, resolution_ev: float) -> np.ndarray:
    """The whole L2,3 edge of a material's first ion on AXIS, blurred by the instrument."""
    grid = FineGrid.around(AXIS, 120.0, 250.0)
    hat = l23_transform(MATERIALS[material].sites[0], grid, grid.size // 2 + 1, 200.0, 40.0)
    return grid.sampled((hat * gaussian(resolution_ev, grid.omega))[None])[0]


def measured(name: str) -> tuple[np.ndarray, np.ndarray]:
    path = MEASURED / f"mnedgenet_Data2_{name}.csv"
    if not path.exists():
        pytest.skip(f"{path.name} not present")
    energies, values = np.genfromtxt(path, delimiter=",", skip_header=1).T
    return energies, values - values[:8].mean()


def test_shipped_file_is_the_one_with_its_checksum() -> None:
    with np.load(Path(multiplets.__file__).parent / "lineshapes.npz") as file:
        assert multiplets.checksum(file["sticks"]) == str(file["checksum"]) == load().checksum
        points = list(multiplets.grid())
        assert file["ion"].tolist() == [p.ion for p in points]
        np.testing.assert_allclose(file["ten_dq_ev"], [p.ten_dq_ev for p in points])


def test_recalculated_points_are_the_shipped_ones() -> None:
    """Ti4+ is quick to calculate: every point of it, from the Hamiltonian up."""
    pytest.importorskip("edrixs")
    shapes = load()
    for row, point in enumerate(multiplets.grid()):
        if point.ion != "Ti4+":
            continue
        energies, strength = multiplets.sticks(point)
        np.testing.assert_allclose(strength.sum(), 10.0, rtol=1e-9)  # the ten holes of 3d0
        start, split = float(shapes.start_ev[row]), float(shapes.split_ev[row])
        shift = split - multiplets.place(energies, strength, light=True)[1]
        again = multiplets.on_grid(energies + shift - start, strength)
        shipped = np.cumsum(shapes.strength[row])
        # cumulative strength, so that a stick on the border of two bins may be in either
        np.testing.assert_allclose(np.cumsum(again / again.sum()), shipped, atol=0.01)


@pytest.mark.parametrize("ion", list(L3_EV))
def test_white_lines_keep_their_area_and_place(ion: str) -> None:
    shapes = load()
    rows = shapes.rows(ion)
    start = L3_EV[ion] - 60.0
    lines = white_lines(shapes, rows, Broadening(), start, 0.1, 2000)
    np.testing.assert_allclose(lines.sum(axis=1) * 0.1, 1.0, atol=0.02)
    energies = start + 0.1 * np.arange(2000)
    octahedral = [i for i, row in enumerate(rows) if not shapes.ten_dq_ev[row] < 0]
    peaks = energies[lines[octahedral].argmax(axis=1)]
    assert np.abs(peaks - L3_EV[ion]).max() < 1.2


def test_white_lines_on_two_grids_are_the_same_function() -> None:
    shapes, rows = load(), load().rows("Mn3+")[:4]
    coarse = white_lines(shapes, rows, Broadening(), 600.0, 0.2, 600)
    fine = white_lines(shapes, rows, Broadening(), 600.0, 0.05, 2400)
    np.testing.assert_allclose(coarse, fine[:, ::4], atol=1e-3)


def test_lifetimes_broaden_their_own_line() -> None:
    shapes, rows = load(), load().rows("Mn2+")[4:5]
    sharp = Broadening(l3_fwhm_ev=0.3, l2_fwhm_ev=0.3, solid_fwhm_ev=0.2)
    narrow = white_lines(shapes, rows, sharp, 620.0, 0.05, 1000)[0]
    wide = white_lines(
        shapes, rows, Broadening(l3_fwhm_ev=0.3, l2_fwhm_ev=2.0, solid_fwhm_ev=0.2), 620, 0.05, 1000
    )[0]
    energies = 620 + 0.05 * np.arange(1000)
    l3, l2 = energies < 646, energies > 648
    assert wide[l3].max() > 0.95 * narrow[l3].max()
    assert wide[l2].max() < 0.6 * narrow[l2].max()


def test_one_row_per_spectrum_takes_one_width_per_spectrum() -> None:
    shapes, rows = load(), load().rows("Fe3+")[:3]
    many = Broadening(
        l3_fwhm_ev=np.array([0.3, 0.5, 0.7]), shift_ev=np.array([0.0, -1.0, 2.0]), tail_weight=0.2
    )
    together = white_line_transform(shapes, rows, many, 690.0, 0.1, 800)
    for k in range(3):
        alone = Broadening(
            l3_fwhm_ev=[0.3, 0.5, 0.7][k], shift_ev=[0.0, -1.0, 2.0][k], tail_weight=0.2
        )
        one = white_line_transform(shapes, rows[k : k + 1], alone, 690.0, 0.1, 800)
        np.testing.assert_allclose(together[k], one[0], atol=1e-12)


def test_unknown_ions_and_sites_are_refused() -> None:
    with pytest.raises(PhysicsError, match="Mn2"):
        load().rows("Xx9+")
    with pytest.raises(PhysicsError, match="site"):
        load().nearest("Mn4+", -0.5)


def lines_alone(material: str, resolution_ev: float) -> np.ndarray:
    """White lines of a material's first ion on AXIS, without continuum (it was taken off
    the measured ones)."""
    grid, shapes, site = FineGrid.around(AXIS, 120.0, 250.0), load(), MATERIALS[material].sites[0]
    rows, weights = zip(*site_rows(shapes, site), strict=True)
    hat = np.array(weights) @ white_line_transform(
        shapes, np.array(rows), broadening_of(site), grid.start_ev, grid.step_ev, grid.size
    )
    return grid.sampled((hat * gaussian(resolution_ev, grid.omega))[None])[0]


@pytest.mark.parametrize(
    ("compound", "agreement", "l3_over_l2"),
    [("MnO", 0.98, (4.0, 7.0)), ("LaMnO3", 0.97, (2.0, 3.0)), ("SrMnO3", 0.93, (1.5, 2.4))],
)
def test_shapes_resemble_measured_ones(
    compound: str, agreement: float, l3_over_l2: tuple[float, float]
) -> None:
    """Correlation with X-ray absorption, after the shift of at most 0.3 eV that fits best."""
    energies, values = measured(compound)
    simulated = lines_alone(compound, 0.2)
    shifts = np.arange(-0.3, 0.31, 0.05)
    shifted = [np.interp(energies - shift, AXIS.energies_ev, simulated) for shift in shifts]
    correlation = [np.corrcoef(one, values)[0, 1] for one in shifted]
    assert max(correlation) > agreement
    for spectrum in (shifted[int(np.argmax(correlation))], values):
        ratio = spectrum[energies < 648].max() / spectrum[energies > 649].max()
        assert l3_over_l2[0] < ratio < l3_over_l2[1]


def test_chemical_shift_follows_valence_as_measured() -> None:
    path = MEASURED / "mn_literature_half.csv"
    if not path.exists():
        pytest.skip(f"{path.name} not present")
    spectra: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with path.open() as file:
        for line in csv.DictReader(file):
            point = (float(line["energy_eV"]), float(line["intensity"]))
            spectra.setdefault((line["id"], line["group"]), []).append(point)
    for ion, material in (("Mn2+", "MnO"), ("Mn3+", "Mn2O3"), ("Mn4+", "MnO2")):
        peaks = []
        for (_, group), points in spectra.items():
            if group == ion:
                energies, values = np.array(points).T
                peaks.append(energies[values.argmax()])
        ours = AXIS.energies_ev[edge(material, 0.5).argmax()]
        assert abs(ours - np.median(peaks)) < 0.6
