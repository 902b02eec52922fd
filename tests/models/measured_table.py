"""The issue's table on measured spectra, for one model: ``python tests/models/measured_table.py``.

Prints one row a line; writes nothing. See ``measured.py`` for where the spectra come from.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from live_eels.models.evaluate import find, on_spectra
from live_eels.models.spectra_files import read_folder

from live_eels.spectra import EnergyAxis

sys.path.insert(0, str(Path(__file__).parent))
import measured


def line_scan(classifier) -> np.ndarray:
    """Mean valence at the 40 points of the measured LSMO line scan, nan where rejected."""
    import h5py

    with h5py.File(measured.SHARED / "LSMO_linescan.hspy") as file:
        experiment = next(iter(file["Experiments"].values()))
        counts = np.asarray(experiment["data"], np.float32)
        signal = experiment[f"axis-{counts.ndim - 1}"].attrs
        axis = EnergyAxis(float(signal["offset"]), float(signal["scale"]), counts.shape[-1])
    counts = counts.reshape(-1, axis.size)
    return classifier.predict(counts, axis, scan=(counts.mean(axis=0), axis)).valence


def table(model: str | None = None, titan: int = 659) -> dict[str, object]:
    classifier = find(model)
    rows: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        spectra = read_folder(measured.write(Path(folder), titan))
    pure = [s for s in spectra if s.label in measured.PURE]
    groups = {
        "literature": [s for s in pure if s.file.startswith("lit_")],
        "compounds": [s for s in pure if s.file.startswith("edgenet_")],
        "Mn2+ session": [s for s in pure if s.file.startswith("titan_")],
    }
    few = groups["literature"] + groups["compounds"]
    for name, some in groups.items():
        result = on_spectra(classifier, some)
        rows[name] = (result["accuracy"], result["n"], result["rejected"], result["confusion"])
    rows["wrong"] = {
        name: (one["true"], one["label"], one["probabilities"])
        for name, one in on_spectra(classifier, few)["files"].items()
        if one["label"] != one["true"]
    }
    rows["mixed"] = {
        s.file: (s.label, on_spectra(classifier, [s])["files"][s.file]["valence"])
        for s in spectra
        if s not in pure
    }
    for shift in (-10, -5, 5, 10):
        rows[f"shift {shift}"] = on_spectra(classifier, few, shift_ev=shift)["accuracy"]
    for counts in (50, 20, 10):
        rows[f"counts {counts}"] = on_spectra(classifier, few, counts=counts)["accuracy"]
    rows["thickness 1"] = on_spectra(classifier, few, thickness=1.0)["accuracy"]
    rows["LSMO valence"] = np.round(line_scan(classifier), 2).tolist()
    return rows


if __name__ == "__main__":
    for key, value in table(sys.argv[1] if len(sys.argv) > 1 else None).items():
        print(key, value)
