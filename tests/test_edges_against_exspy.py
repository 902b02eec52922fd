"""Onsets and cross-sections beside eXSpy 0.3."""

import warnings

import numpy as np
import pytest

from live_eels import edges
from live_eels.analyses.cross_sections import between_barn, effective_angle, per_ev_barn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    exspy = pytest.importorskip("exspy")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", ["C K", "N K", "O K", "Al K", "Si K", "Ti L", "Mn L", "Fe L"])
def test_onsets_are_as_theirs(name):
    element, shell = name.split()
    table = exspy.material.elements[element]["Atomic_properties"]["Binding_energies"]
    theirs = table["K" if shell == "K" else "L3"]["onset_energy (eV)"]
    assert edges.find(name).onset_ev == pytest.approx(theirs, abs=5.0, rel=0.006)


def test_every_onset_is_as_theirs():
    """All elements and shells eXSpy lists between 100 and 3000 eV and calls major."""
    compared = 0
    for element, content in exspy.material.elements.as_dictionary().items():
        if not isinstance(content, dict):
            continue
        table = content.get("Atomic_properties", {}).get("Binding_energies", {})
        have = edges.levels().get(element, (0, {}))[1]
        for subshell, row in table.items():
            onset = row["onset_energy (eV)"]
            if row["relevance"] != "Major" or not 100 <= onset <= 3000 or subshell not in have:
                continue
            assert have[subshell] == pytest.approx(onset, rel=0.06, abs=8), (element, subshell)
            compared += 1
    assert compared > 100


@pytest.mark.parametrize(
    ("name", "limit"), [("C K", 0.01), ("O K", 0.01), ("Si K", 0.01), ("Ti L", 0.03),
                        ("Mn L", 0.03), ("Fe L", 0.03)]
)  # fmt: skip
def test_hydrogenic_cross_sections_are_as_theirs(name, limit):
    edge = edges.find(name)
    subshell = "K" if edge.shell == "K" else "L3"
    component = exspy.components.EELSCLEdge(f"{edge.element}_{subshell}", GOS="hydrogenic")
    component.set_microscope_parameters(200, 1e-3, 10, 1.0)
    component.fine_structure_active = False
    component.intensity.value = 1
    onset = component.onset_energy.value
    after = np.arange(2.0, 100.0)
    theirs = component.function(onset + after)
    mine = per_ev_barn(edge, edge.onset_ev + after, 200, 10)
    np.testing.assert_allclose(mine.sum(), theirs.sum(), rtol=limit)
    assert between_barn(edge, (edge.onset_ev, edge.onset_ev + 50), 200, 0, 10) > 0


def test_convergence_is_corrected_with_the_right_characteristic_angle():
    """eXSpy's formula doubles the characteristic angle; with that undone, the same number."""
    from exspy._misc.eels.effective_angle import effective_angle as theirs

    for convergence in (2.0, 5.0, 9.0, 15.0):
        mine, _ = effective_angle(532.0, 200.0, convergence, 10.0)
        assert mine == pytest.approx(theirs(200, 266.0, convergence, 10.0), rel=2e-3)
