"""L2,3 lines of 3d ions from atomic multiplet theory in a crystal field: makes ``lineshapes.npz``.

Lives here: the grid of ions and crystal fields, and the calculation of one point of it with
edrixs (extra ``physics``). Running it needs edrixs; using the result needs only numpy
(``lineshapes.py``). One command regenerates what ships::

    python -m live_eels.simulators.multiplets            # resumes if it was interrupted
    python -m live_eels.simulators.multiplets --check 6  # recompute every sixth point, compare

What is calculated: the dipole transitions 2p6 3dN -> 2p5 3dN+1 of one ion by exact
diagonalisation, Hartree-Fock Slater integrals times a reduction, spin-orbit coupling of both
shells, an octahedral (10Dq > 0) or tetrahedral (10Dq < 0) field, optionally tetragonally
distorted, initial states thermally populated at 300 K. What is kept is the *sticks* (energies
and strengths, on a 0.05 eV grid), not a broadened spectrum: lifetime, solid and instrument
belong to whoever uses them. Covalency is not in it (see the charge-transfer family in
``lineshapes.py``).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import itertools
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEP_EV = 0.05
POINTS = 800
TEMPERATURE_K = 300.0
BOLTZMANN_EV = 8.617333e-5
LEVELS = 20000
"""Sticks are stored as whole numbers, strongest bin = LEVELS; less than half a level is dropped."""

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Point:
    """One ion in one crystal field.

    Attributes
    ----------
    ten_dq_ev
        Cubic splitting; negative for a tetrahedral site.
    tetragonal_ev
        Splitting of the e_g pair, x2-y2 above z2 (an elongated octahedron); the t2g
        levels split by a quarter of it.
    slater
        Factor on the Hartree-Fock Slater integrals.
    """

    ion: str
    ten_dq_ev: float
    tetragonal_ev: float
    slater: float


@dataclass(frozen=True, slots=True)
class Ion:
    """An ion of the grid; ``l3_ev`` is where the L3 maximum of its mean oxide is measured."""

    element: str
    electrons: int
    l3_ev: float
    octahedral_ev: tuple[float, ...]
    tetrahedral_ev: tuple[float, ...] = ()
    tetragonal_ev: tuple[float, ...] = (0.0,)


IONS: dict[str, Ion] = {
    "Mn2+": Ion("Mn", 5, 640.4, (0.5, 0.7, 0.9, 1.2), (-0.3, -0.5)),
    "Mn3+": Ion("Mn", 4, 642.1, (0.9, 1.2, 1.5, 1.8), (), (0.0, 0.4, 0.8, 1.2)),
    "Mn4+": Ion("Mn", 3, 643.4, (1.7, 2.0, 2.3, 2.6), (), (0.0, 0.4)),
    "Fe2+": Ion("Fe", 6, 707.8, (0.6, 0.9, 1.2, 1.5), (-0.4, -0.6), (0.0, 0.3)),
    "Fe3+": Ion("Fe", 5, 709.5, (1.0, 1.25, 1.5, 1.8), (-0.5, -0.8)),
    "Ti4+": Ion("Ti", 0, 459.5, (1.4, 1.7, 2.0, 2.3), (), (0.0, 0.3)),
}
SLATER = (0.6, 0.7, 0.8)


def grid() -> Iterator[Point]:
    """Every point of the grid, in the order in which it is stored."""
    for name, ion in IONS.items():
        octahedral = itertools.product(ion.octahedral_ev, ion.tetragonal_ev)
        tetrahedral = itertools.product(ion.tetrahedral_ev, (0.0,))
        for (ten_dq, tetragonal), slater in itertools.product(
            itertools.chain(octahedral, tetrahedral), SLATER
        ):
            yield Point(name, ten_dq, tetragonal, slater)


def sticks(point: Point) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Transition energies (eV, arbitrary zero) and strengths of one point, unsorted."""
    import edrixs

    ion = IONS[point.ion]
    atom: dict[str, Any] = edrixs.get_atom_data(ion.element, "3d", ion.electrons, edge="L23")
    initial = [0.0 if k == 0 else v * point.slater for k, (_, v) in enumerate(atom["slater_i"])]
    final = [v * point.slater for _, v in atom["slater_n"]]
    final[0] = 0.0
    field = edrixs.cf_tetragonal_d(point.ten_dq_ev, point.tetragonal_ev / 4, point.tetragonal_ev)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the solver still is the simplest
        energy_i, energy_n, dipole = edrixs.ed_1v1c_py(
            ("d", "p"),
            v_soc=(atom["v_soc_i"][0], atom["v_soc_n"][0]),
            c_soc=atom["c_soc"],
            v_noccu=ion.electrons,
            slater=(initial, final),
            v_cfmat=field,
        )
    weight = np.exp(-(energy_i - energy_i.min()) / (BOLTZMANN_EV * TEMPERATURE_K))
    kept = np.flatnonzero(weight > 1e-4 * weight.sum())
    weight = weight / weight[kept].sum()
    strength = np.abs(dipole[:, :, kept]) ** 2
    energies = energy_n[:, None] - energy_i[None, kept]
    return energies.ravel(), (strength.sum(axis=0) * weight[kept]).ravel()


def on_grid(energies_ev: NDArray[np.float64], strength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sticks shared out between the two nearest points of the grid: ``(POINTS,)``, 0 = start."""
    position = energies_ev / STEP_EV
    low = np.floor(position).astype(int)
    part = position - low
    inside = (low >= 0) & (low < POINTS - 1)
    out = np.bincount(low[inside], strength[inside] * (1 - part[inside]), POINTS)
    out += np.bincount(low[inside] + 1, strength[inside] * part[inside], POINTS)
    return np.asarray(out, np.float64)


def place(
    energies_ev: NDArray[np.float64],
    strength: NDArray[np.float64],
    valley_ev: float | None = None,
    *,
    light: bool = False,
) -> tuple[float, float, float]:
    """Where one set of sticks has its L3 maximum, the valley between L3 and L2, L3's centroid."""
    start = energies_ev[strength > strength.max() * 1e-4].min() - 5.0
    hist = on_grid(energies_ev - start, strength)
    axis = start + STEP_EV * np.arange(POINTS)
    smooth = np.convolve(hist, np.exp(-0.5 * (np.arange(-40, 41) * STEP_EV / 0.35) ** 2), "same")
    centre = float((axis * hist).sum() / hist.sum())
    if valley_ev is None:
        # the valley is the emptiest place between the two lines, near the centroid; where L2 is
        # as strong as L3 (3d0) the centroid itself is between them
        below, above = (2.0, 1.7) if light else (1.0, 8.0)
        near = (axis > centre - below) & (axis < centre + above)
        wide = np.convolve(hist, np.exp(-0.5 * (np.arange(-60, 61) * STEP_EV / 0.8) ** 2), "same")
        valley_ev = float(axis[near][np.argmin(wide[near])])
    l3 = axis < valley_ev
    peak = float(axis[l3][np.argmax(smooth[l3])])
    return peak, valley_ev, float((axis * hist)[l3].sum() / hist[l3].sum())


def _light(point: Point) -> bool:
    return IONS[point.ion].electrons == 0


def checksum(stored: NDArray[np.uint16]) -> str:
    """SHA-256 of the stored sticks."""
    return hashlib.sha256(np.ascontiguousarray(stored).tobytes()).hexdigest()


def cached(point: Point, folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``sticks``, kept in ``folder`` so that an interrupted run goes on where it was."""
    name = f"{point.ion}_{point.ten_dq_ev}_{point.tetragonal_ev}_{point.slater}.npz"
    path = folder / name
    if path.exists():
        with np.load(path) as kept:
            return kept["energies"], kept["strength"]
    energies, strength = sticks(point)
    some = strength > strength.max() * 1e-7
    np.savez_compressed(path, energies=energies[some], strength=strength[some])
    return energies[some], strength[some]


def generate(folder: Path, out: Path, charge_transfer: Path | None = None) -> str:
    """Calculate the whole grid and write ``out``; returns the checksum.

    Parameters
    ----------
    folder
        Where finished points are kept.
    charge_transfer
        The ``lmct`` array file whose shapes are stored as the second family; None keeps the
        ones ``out`` already has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    points = list(grid())
    middle: dict[str, float] = {}
    placed = []
    for number, point in enumerate(points):
        energies, strength = cached(point, folder)
        peak, valley, centroid = place(energies, strength, light=_light(point))
        placed.append((energies, strength, peak, valley, centroid))
        print(f"{number + 1}/{len(points)} {point}", file=sys.stderr, flush=True)
    for name, ion in IONS.items():
        # the middle of the octahedral grid has its maximum where the oxide has it; the others
        # keep the centroid of that one, as the maximum jumps between lines of equal height
        rows = [i for i, p in enumerate(points) if p.ion == name]
        octahedral = sorted(ion.octahedral_ev)[len(ion.octahedral_ev) // 2]
        tetragonal = ion.tetragonal_ev[len(ion.tetragonal_ev) // 2]
        wanted = Point(name, octahedral, tetragonal, SLATER[1])
        row = next(i for i in rows if points[i] == wanted)
        middle[name] = ion.l3_ev - placed[row][2] + placed[row][4]
    stored = np.zeros((len(points), POINTS), np.uint16)
    split = np.zeros(len(points), np.float32)
    for row, (point, (energies, strength, _, valley, centroid)) in enumerate(
        zip(points, placed, strict=True)
    ):
        shift = middle[point.ion] - centroid
        start = IONS[point.ion].l3_ev - 10.0
        hist = on_grid(energies + shift - start, strength)
        stored[row] = np.rint(hist / hist.max() * LEVELS)
        split[row] = valley + shift
    arrays: dict[str, NDArray[Any]] = {
        "ion": np.array([p.ion for p in points]),
        "ten_dq_ev": np.array([p.ten_dq_ev for p in points], np.float32),
        "tetragonal_ev": np.array([p.tetragonal_ev for p in points], np.float32),
        "slater": np.array([p.slater for p in points], np.float32),
        "start_ev": np.array([IONS[p.ion].l3_ev - 10.0 for p in points], np.float32),
        "split_ev": split,
        "sticks": stored,
        "step_ev": np.array(STEP_EV, np.float32),
        "checksum": np.array(checksum(stored)),
    }
    arrays |= _charge_transfer(charge_transfer, out)
    np.savez_compressed(out, allow_pickle=False, **arrays)
    return checksum(stored)


def _charge_transfer(source: Path | None, out: Path) -> dict[str, NDArray[Any]]:
    if source is None:
        with np.load(out) as before:
            return {key: before[key] for key in before if key.startswith("ct_")}
    with np.load(source) as lmct:
        return {
            "ct_ion": lmct["ion"],
            "ct_start_ev": lmct["energy_start"].astype(np.float32),
            "ct_intensity": lmct["intensity"].astype(np.float32),
        }


def check(every: int, shipped: Path) -> float:
    """Recompute every ``every``-th point; returns the largest distance from what ships.

    The distance is that of the cumulative strengths (0 to 1), which does not mind a stick that
    moved across the edge of a bin by rounding.
    """
    worst = 0.0
    with np.load(shipped) as kept:
        for row, point in list(enumerate(grid()))[::every]:
            energies, strength = sticks(point)
            start = float(kept["start_ev"][row])
            shift = float(kept["split_ev"][row]) - place(energies, strength, light=_light(point))[1]
            hist = on_grid(energies + shift - start, strength)
            old = kept["sticks"][row].astype(float)
            distance = np.abs(np.cumsum(hist / hist.sum()) - np.cumsum(old / old.sum())).max()
            print(f"{point}: {distance:.1e}")
            worst = max(worst, float(distance))
    return worst


def main() -> None:
    """Regenerate, or check, the shipped line shapes."""
    parser = argparse.ArgumentParser(description="L2,3 multiplets of the shipped line shapes")
    parser.add_argument("--out", type=Path, default=HERE / "lineshapes.npz")
    parser.add_argument("--work", type=Path, default=Path("multiplets_work"))
    parser.add_argument("--charge-transfer", type=Path, default=None)
    parser.add_argument("--check", type=int, default=0, metavar="N")
    options = parser.parse_args()
    if options.check:
        worst = check(options.check, options.out)
        raise SystemExit(0 if worst < 1e-2 else f"differs by {worst:.1e}")
    print(generate(options.work, options.out, options.charge_transfer))


if __name__ == "__main__":
    main()
