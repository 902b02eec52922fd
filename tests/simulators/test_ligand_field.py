"""Charge-transfer multiplets: what ships is what is calculated, and theory's known limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from live_eels.simulators import ligand_field, multiplets

pytest.importorskip("edrixs")


def broadened(energies: np.ndarray, strength: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Lorentzians of 0.3 eV half width, area 1."""
    kept = strength > strength.max() * 1e-6
    lines = 0.3 / np.pi / (0.3**2 + (at[:, None] - energies[None, kept]) ** 2)
    return lines @ strength[kept] / strength.sum()


def test_shipped_file_is_the_one_with_its_checksum() -> None:
    with np.load(ligand_field.DATA) as file:
        assert multiplets.checksum(file["sticks"]) == str(file["checksum"])
        points = list(ligand_field.points())
        assert file["ion"].tolist() == [p.ion for p in points]
        np.testing.assert_allclose(file["hop_ev"], [p.hop_ev for p in points], rtol=1e-6)


def test_a_recalculated_point_is_the_shipped_one() -> None:
    shapes = ligand_field.load()
    row, point = next(
        (i, p) for i, p in enumerate(ligand_field.points()) if p.ion == "Fe2+" and i % 20 == 7
    )
    energies, strength = ligand_field.sticks(point)
    centroid = multiplets.place(energies, strength)[2]
    again = multiplets.on_grid(energies - centroid + ligand_field.BEFORE_EV, strength)
    shipped = np.cumsum(shapes.sticks[row] / shapes.sticks[row].sum(dtype=float))
    np.testing.assert_allclose(np.cumsum(again / again.sum()), shipped, atol=0.01)


def test_without_hopping_it_is_the_crystal_field() -> None:
    point = ligand_field.Point("Mn4+", 30.0, 1e-4, 2.0, 0.0, 0.7)
    energies, strength = ligand_field.sticks(point)
    field, wanted = multiplets.sticks(multiplets.Point("Mn4+", 2.0, 0.0, 0.7))
    at = np.linspace(-15.0, 20.0, 500)
    centre = np.average(energies, weights=strength)
    other = np.average(field, weights=wanted)
    bound = broadened(energies - centre, strength, at)
    np.testing.assert_allclose(bound, broadened(field - other, wanted, at), atol=2e-3)
    hopping = ligand_field.sticks(replace(point, delta_ev=2.0, hop_ev=3.0))
    centre = np.average(hopping[0], weights=hopping[1])
    assert np.abs(broadened(hopping[0] - centre, hopping[1], at) - bound).max() > 0.02
