"""Measured spectra from beside the repository, as the folder that `evaluate --spectra` takes.

Run as a script to write them: ``python tests/models/measured.py FOLDER``. Looked at once, after
every choice has been made on simulations; never trained on.
"""

import csv
import re
import sys
from pathlib import Path

import numpy as np

SHARED = Path(__file__).parents[2].parent / "shared" / "real_spectra"
PURE = ("Mn2+", "Mn3+", "Mn4+")


def _write(folder: Path, name: str, energies, intensity) -> str:
    lines = ["energy_ev,intensity"]
    lines += [f"{e:.4f},{y:.7g}" for e, y in zip(energies, intensity, strict=True)]
    (folder / name).write_text("\n".join(lines) + "\n")
    return name


def literature() -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    """Id, group, energies, intensity of each digitised spectrum."""
    rows: dict[str, list[tuple[str, float, float]]] = {}
    with (SHARED / "mn_literature_half.csv").open() as file:
        for row in csv.DictReader(file):
            point = (row["group"], float(row["energy_eV"]), float(row["intensity"]))
            rows.setdefault(row["id"], []).append(point)
    return [
        (name, p[0][0], np.array([q[1] for q in p]), np.array([q[2] for q in p]))
        for name, p in rows.items()
    ]


def label_of(group: str) -> str:
    """The pure state a group is, or the group itself (a mixture)."""
    match = re.fullmatch(r"\s*Mn[ _]?(?:\()?([234])\+?(?:\))?\s*", group)
    return f"Mn{match[1]}+" if match else group


def write(folder: Path, titan: int = 40) -> Path:
    """Write the pure spectra (and mixtures under their own label) as a labelled folder."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for name, group, energies, intensity in literature():
        safe = re.sub(r"[^A-Za-z0-9]+", "_", f"lit_{name}")
        listed.append((_write(folder, f"{safe}.csv", energies, intensity), label_of(group)))
    for compound, label in (("MnO", "Mn2+"), ("LaMnO3", "Mn3+"), ("SrMnO3", "Mn4+"),
                            ("YBaMn3AlO7", "mixed")):  # fmt: skip
        values = np.genfromtxt(SHARED / f"mnedgenet_Data2_{compound}.csv", delimiter=",",
                               skip_header=1)  # fmt: skip
        listed.append((_write(folder, f"edgenet_{compound}.csv", *values.T), label))
    with np.load(SHARED / "mn2_titan_659.npz") as file:
        rows = np.linspace(0, len(file["intensity"]) - 1, titan).astype(int)
        for i in rows:
            name = _write(folder, f"titan_{i}.csv", file["energy"], file["intensity"][i])
            listed.append((name, "Mn2+"))
    with (folder / "labels.csv").open("w", newline="") as out:
        csv.writer(out).writerows([("file", "label"), *listed])
    return folder


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40)
