"""L2,3 lines of 3d ions bound to ligands: multiplets with one charge-transfer configuration.

Lives here: the ions and ranges of parameters, and the calculation of one point with edrixs
(extra ``physics``; about 10 s each), and reading what ships. One command regenerates it and goes
on where it was interrupted::

    python -m live_eels.simulators.ligand_field

The ion is d^n with a full ligand shell, mixed with d^(n+1) and one ligand hole (Zaanen, Sawatzky
and Allen 1985; de Groot and Kotani, Core Level Spectroscopy of Solids, chapter 4). Energies are
those of configurations averaged over their multiplets: ``delta_ev`` between the two before the
transition, ``delta_ev + U - U_pd`` after it, where the core hole pulls the d shell down. The
hopping is ``hop_ev`` in e_g orbitals and half of it in t_2g; a tetragonal site hops less along
its long axis.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from live_eels.simulators import multiplets
from numpy.typing import NDArray

DATA = Path(__file__).parent / "ligand_field.npz"
CORE_PULL_EV = 1.5
"""U_pd - U_dd: how much more the core hole attracts a d electron than another repels it."""
BEFORE_EV = 12.0
"""The stored grid starts this far below the centroid of L3."""
STEPS = 150
"""Lanczos steps; the sticks of 150 make a spectrum that 250 do not change at 0.3 eV."""
POINTS = 20
"""Calculated for each ion."""

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Ranges:
    """Of one ion's parameters.

    After fits to oxides and halides in the literature; ``ten_dq_ev`` such that, with what
    hopping adds, the d levels split as optical spectra say (4T2 of Mn4+ at 1.7 to 2.5 eV).
    """

    electrons: int
    delta_ev: Range
    hop_ev: Range
    ten_dq_ev: Range
    tetragonal_ev: Range


IONS = {
    "Mn2+": Ranges(5, (5.0, 9.0), (1.5, 2.5), (0.3, 1.0), (0.0, 0.1)),
    "Mn3+": Ranges(4, (2.5, 5.5), (2.0, 3.0), (0.8, 1.4), (0.2, 1.2)),
    "Mn4+": Ranges(3, (0.5, 4.0), (2.4, 3.4), (1.2, 2.1), (0.0, 0.1)),
    "Fe2+": Ranges(6, (4.0, 8.0), (1.5, 2.5), (0.3, 1.0), (0.0, 0.3)),
    "Fe3+": Ranges(5, (2.0, 5.0), (2.0, 3.0), (0.6, 1.3), (0.0, 0.1)),
}
SLATER: Range = (0.7, 0.85)


@dataclass(frozen=True, slots=True)
class Point:
    """One ion with its ligands; ``ten_dq_ev`` is the ionic part of the cubic splitting."""

    ion: str
    delta_ev: float
    hop_ev: float
    ten_dq_ev: float
    tetragonal_ev: float
    slater: float


def points() -> Iterator[Point]:
    """All points: a low-discrepancy sequence in each ion's ranges (rounded, so that they last)."""
    # Powers of the five-dimensional golden ratio, the root of x^6 = x + 1 (Roberts 2018).
    steps = 1.1347241384015194 ** -np.arange(1.0, 6.0)
    for ion, ranges in IONS.items():
        between = (
            ranges.delta_ev, ranges.hop_ev, ranges.ten_dq_ev, ranges.tetragonal_ev, SLATER,
        )  # fmt: skip
        for row in (0.5 + np.arange(1, POINTS + 1)[:, None] * steps) % 1.0:
            low_high = zip(between, row, strict=True)
            yield Point(ion, *(round(float(a + (b - a) * part), 2) for (a, b), part in low_high))


def sticks(point: Point) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Transition energies (eV, arbitrary zero) and strengths of one point, unsorted."""
    import edrixs
    from scipy.sparse.linalg import eigsh

    n = IONS[point.ion].electrons
    before, after, umat_i, umat_n, dipole = _operators(point, edrixs)
    shift_ev = point.delta_ev - CORE_PULL_EV
    basis_i, second_i = _basis(edrixs, n, 6)
    basis_n, second_n = _basis(edrixs, n + 1, 5)
    h_i = _hamiltonian(edrixs, before, umat_i, basis_i, second_i * point.delta_ev)
    h_n = _hamiltonian(edrixs, after, umat_n, basis_n, second_n * shift_ev)
    rng = np.random.default_rng(0)
    start = rng.normal(size=h_i.shape[0]) + 1j * rng.normal(size=h_i.shape[0])
    energy, state = eigsh(h_i, k=18, which="SA", v0=start)
    weight = np.exp(-(energy - energy.min()) / (multiplets.BOLTZMANN_EV * multiplets.TEMPERATURE_K))
    weight /= weight.sum()
    found = []
    for component in dipole:
        lift = edrixs.build_op(component, None, basis_n, basis_i)
        for k in np.flatnonzero(weight > 3e-3):
            at, strength = _lanczos(h_n, lift @ state[:, k])
            found.append((at - energy[k], strength * weight[k]))
    return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])


def _operators(point: Point, edrixs: Any) -> tuple[Any, Any, Any, Any, Any]:
    """One- and two-body terms before and after, and the dipole, of 10 d, 10 ligand, 6 p."""
    n = IONS[point.ion].electrons
    atom: dict[str, Any] = edrixs.get_atom_data(point.ion[:2], "3d", n, edge="L23")
    initial = [0.0 if k == 0 else v * point.slater for k, (_, v) in enumerate(atom["slater_i"])]
    final = [v * point.slater for _, v in atom["slater_n"]]
    # Monopoles such that the mean over a configuration is 0: only `delta_ev` separates them.
    for integrals in (initial, final):
        integrals[0] = 2 / 63 * (integrals[1] + integrals[2])
    final[3] = final[5] / 15 + 3 / 70 * final[6]
    field = edrixs.cf_tetragonal_d(point.ten_dq_ev, point.tetragonal_ev / 4, point.tetragonal_ev)
    uneven = 0.15 * point.tetragonal_ev
    e_g, t_2g = point.hop_ev, point.hop_ev / 2
    # z2, zx, zy, x2-y2, xy; as the tetragonal field, the long axis is z
    hops = np.array([e_g * (1 - uneven), t_2g, t_2g, e_g * (1 + uneven), t_2g])
    hop = edrixs.cb_op(np.diag(np.repeat(hops, 2)).astype(complex), edrixs.tmat_r2c("d", True))
    hopping = []
    for soc in (atom["v_soc_i"][0], atom["v_soc_n"][0]):
        matrix = np.zeros((20, 20), complex)
        matrix[:10, :10] = field + edrixs.atom_hsoc("d", soc)
        matrix[:10, 10:], matrix[10:, :10] = hop, hop.conj().T
        hopping.append(matrix)
    before, umat_i, _, after, umat_n, _, dipole, _ = edrixs.model_siam(
        ("d", "p"), 1, siam_type=1, v_noccu=n + 10, c_soc=atom["c_soc"],
        hopping=hopping[0], hopping_n=hopping[1], slater=(initial, final), sparse_U=True,
    )  # fmt: skip
    return before, after, umat_i, umat_n, dipole


def _basis(edrixs: Any, d: int, p: int) -> tuple[Any, NDArray[np.float64]]:
    """States of d^d L^10 p^p and d^(d+1) L^9 p^p, and 1 for those of the second kind."""
    first = edrixs.get_fock_basis_int(10, d, 10, 10, 6, p)
    second = edrixs.get_fock_basis_int(10, d + 1, 10, 9, 6, p)
    basis = edrixs.FockBasis(first.basis_int + second.basis_int, 26)
    return basis, np.repeat([0.0, 1.0], [len(first), len(second)])


def _hamiltonian(edrixs: Any, one: Any, two: Any, basis: Any, level_ev: NDArray[Any]) -> Any:
    from scipy import sparse

    return (edrixs.build_op(one, two, basis) + sparse.diags(level_ev)).tocsr()


def _lanczos(
    matrix: Any, start: NDArray[np.complex128]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies and strengths of what ``start`` holds of the eigenvectors of ``matrix``."""
    from scipy.linalg import eigh_tridiagonal

    total = float(np.vdot(start, start).real)
    if total < 1e-12:
        return np.empty(0), np.empty(0)
    old, vector = np.zeros_like(start), start / np.sqrt(total)
    diagonal, beside, length = [], [], 0.0
    for _ in range(STEPS):
        new = matrix @ vector - length * old
        diagonal.append(float(np.vdot(vector, new).real))
        new -= diagonal[-1] * vector
        length = float(np.linalg.norm(new))
        if length < 1e-9:
            break
        beside.append(length)
        old, vector = vector, new / length
    energy, state = eigh_tridiagonal(np.array(diagonal), np.array(beside[: len(diagonal) - 1]))
    return energy, total * np.abs(state[0]) ** 2


def generate(folder: Path, out: Path) -> str:
    """Calculate all points, each kept in ``folder`` when done, and write ``out``; its checksum."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(points())
    stored = np.zeros((len(rows), multiplets.POINTS), np.uint16)
    split = np.zeros(len(rows), np.float32)
    for row, point in enumerate(rows):
        energies, strength = _cached(point, folder)
        _, valley, centroid = multiplets.place(energies, strength)
        nominal = multiplets.IONS[point.ion].l3_ev
        hist = multiplets.on_grid(energies - centroid + BEFORE_EV, strength)
        stored[row] = np.rint(hist / hist.max() * multiplets.LEVELS)
        split[row] = nominal + valley - centroid
        print(f"{row + 1}/{len(rows)} {point}", file=sys.stderr, flush=True)
    values = np.array([astuple(p)[1:] for p in rows], np.float32)
    np.savez_compressed(
        out,
        allow_pickle=False,
        ion=np.array([p.ion for p in rows]),
        **{f.name: values[:, i] for i, f in enumerate(fields(Point)[1:])},
        start_ev=np.array([multiplets.IONS[p.ion].l3_ev - BEFORE_EV for p in rows], np.float32),
        split_ev=split,
        sticks=stored,
        step_ev=np.array(multiplets.STEP_EV, np.float32),
        checksum=np.array(multiplets.checksum(stored)),
    )
    return multiplets.checksum(stored)


def _cached(point: Point, folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    path = folder / ("_".join(map(str, astuple(point))) + ".npz")
    if not path.exists():
        energies, strength = sticks(point)
        some = strength > strength.max() * 1e-7
        np.savez_compressed(path, energies=energies[some], strength=strength[some])
    with np.load(path) as kept:
        return kept["energies"], kept["strength"]


@dataclass(frozen=True, slots=True, eq=False)
class LigandShapes:
    """The shipped shapes, one row per point.

    ``ion``, ``delta_ev`` and ``start_ev``, ``split_ev`` (the valley between L3 and L2)
    ``(shape,)``; ``sticks`` ``(shape, channel)``, each row of any scale, ``step_ev`` apart.
    """

    ion: NDArray[np.str_]
    delta_ev: NDArray[np.float32]
    start_ev: NDArray[np.float32]
    split_ev: NDArray[np.float32]
    sticks: NDArray[np.uint16]
    step_ev: float


@cache
def load() -> LigandShapes:
    """The shipped shapes (read once)."""
    with np.load(DATA, allow_pickle=False) as file:
        columns = {name: file[name] for name in ("ion", "delta_ev", "start_ev", "split_ev")}
        return LigandShapes(**columns, sticks=file["sticks"], step_ev=float(file["step_ev"]))


def main() -> None:
    """Regenerate the shipped shapes."""
    parser = argparse.ArgumentParser(description="L2,3 multiplets with charge transfer")
    parser.add_argument("--out", type=Path, default=DATA)
    parser.add_argument("--work", type=Path, default=Path("ligand_field_work"))
    options = parser.parse_args()
    print(generate(options.work, options.out))


if __name__ == "__main__":
    main()
