"""The default model on measured Mn spectra from other laboratories (beside the repository).

Not a blind test: the simulated width of L2 was once revised after a look at these spectra.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import measured
from live_eels.models.evaluate import find, on_spectra
from live_eels.models.spectra_files import read_folder
from measured_table import line_scan

if not measured.SHARED.exists():
    pytest.skip("measured spectra not present", allow_module_level=True)


@pytest.fixture(scope="module")
def classifier():
    return find(None)


@pytest.fixture(scope="module")
def spectra(tmp_path_factory):
    return read_folder(measured.write(tmp_path_factory.mktemp("measured"), 60))


@pytest.fixture(scope="module")
def pure(spectra):
    return [s for s in spectra if s.label in measured.PURE and not s.file.startswith("titan")]


def test_pure_states_of_many_laboratories(classifier, pure):
    result = on_spectra(classifier, pure)
    assert result["n"] == 18
    assert result["accuracy"] >= 0.95
    assert result["rejected"] == 0


@pytest.mark.parametrize("shift_ev", [-10.0, -3.3, 10.0])
def test_shifted_axes_lose_nothing(classifier, pure, shift_ev):
    whole = on_spectra(classifier, pure)["accuracy"]
    assert on_spectra(classifier, pure, shift_ev=shift_ev)["accuracy"] >= whole - 0.02


@pytest.mark.parametrize(("counts", "wanted"), [(50, 0.95), (20, 0.90), (10, 0.75)])
def test_few_counts(classifier, pure, counts, wanted):
    assert on_spectra(classifier, pure, counts=counts)["accuracy"] >= wanted


def test_plural_scattering_loses_nothing(classifier, pure):
    whole = on_spectra(classifier, pure)["accuracy"]
    assert on_spectra(classifier, pure, thickness=1.0)["accuracy"] >= whole - 0.03


def test_a_session_of_one_laboratory(classifier, spectra):
    titan = [s for s in spectra if s.file.startswith("titan")]
    assert on_spectra(classifier, titan)["accuracy"] >= 0.9


def test_reduced_middle_of_the_line_scan_has_the_lowest_valence(classifier):
    valence = line_scan(classifier)
    ends = np.nanmean(np.concatenate([valence[:10], valence[-8:]]))
    assert np.nanmean(valence[18:22]) < ends - 0.1
