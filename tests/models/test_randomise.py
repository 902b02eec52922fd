import msgspec
import numpy as np
import pytest
from live_eels.models.dataset import simulate
from live_eels.models.domain import HOLES, Domain
from live_eels.models.lines import CLASSES, GRID_EV, shipped_lines
from live_eels.models.randomise import _one_state, draw
from live_eels.models.simulated_tests import LABORATORY


@pytest.fixture(scope="module")
def lines():
    return shipped_lines()


def test_every_ion_has_both_families_and_two_lines(lines):
    for ion in range(len(CLASSES) - 1):
        mine = lines.family[lines.ion == ion].tolist()
        assert {name.split("/")[0] for name in mine} == {"crystal_field", "ligand_field"}
    area = (lines.l3 + lines.l2).sum(axis=1) * 0.1
    np.testing.assert_allclose(area, 1.0, atol=1e-3)
    l3, l2 = ((y @ GRID_EV) / y.sum(axis=1) for y in (lines.l3, lines.l2))
    assert ((l2 - l3 > 9) & (l2 - l3 < 14)).all()


def test_families_can_be_held_out(lines):
    some = lines.only(["crystal_field/slater 0.8", "ligand_field/covalent"])
    assert set(some.family.tolist()) == {"crystal_field/slater 0.8", "ligand_field/covalent"}
    assert len(some.ion) < len(lines.ion)


def test_seed_decides_all(lines):
    first, again, other = (simulate(lines, 96, seed) for seed in (5, 5, 6))
    assert first.sha256() == again.sha256()
    assert first.sha256() != other.sha256()


def test_truth_is_sound(lines):
    data = simulate(lines, 640, 1)
    np.testing.assert_allclose(data.fraction.sum(axis=1), 1.0)
    assert np.isfinite(data.window).all()
    assert set(data.label.tolist()) == set(range(len(CLASSES)))
    mn, fe = data.fraction[:, :3].sum(axis=1), data.fraction[:, 3:5].sum(axis=1)
    assert (np.minimum(mn, fe) == 0).all()


def test_edge_is_found_whatever_the_shift(lines):
    data = simulate(lines, 960, 2, msgspec.structs.replace(LABORATORY, none=0.0))
    found = data.element.argmax(axis=1)
    assert (found == (data.label >= 3)).mean() > 0.995
    assert data.shift_ev.min() < -8
    assert data.shift_ev.max() > 8


def test_fractions_are_of_atoms(lines):
    """An atom's white lines are as strong as its d shell has holes."""
    domain = Domain(step=(0, 0), satellite=(0, 0))
    area = [_one_state(lines, i, 64, _rng(), domain).sum(axis=1) * 0.1 for i in range(5)]
    for name, found in zip(CLASSES[:-1], area, strict=True):
        np.testing.assert_allclose(found, HOLES[name], rtol=0.02)


def test_dose_is_what_it_says(lines):
    domain = Domain(dose=(100, 100.01), noiseless=0, none=0, removed=0, background=(0.01, 0.011))
    tops = [
        g.counts.max(axis=1) / g.axis.dispersion_ev * 0.1 for g in draw(lines, 320, _rng(), domain)
    ]
    assert 95 < np.median(np.concatenate(tops)) < 150


def _rng():
    return np.random.default_rng(3)
