import msgspec
import numpy as np
import pytest
from live_eels.models.dataset import simulate
from live_eels.models.domain import HOLES, Domain
from live_eels.models.lines import CLASSES, GRID_EV, shipped_lines
from live_eels.models.randomise import _one_state, draw
from live_eels.models.scan_fractions import scan_fractions
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


def _noiseless(**changed):
    """Scans on clean counts, whose axis does not jitter."""
    return Domain(pixels=8, noiseless=1, background=(0.01, 0.011), thickness=(0, 0), jitter_ev=0.03,
                  **changed)  # fmt: skip


def test_pixels_of_a_scan_share_everything_but_their_fractions(lines):
    """Spectra of one scan are sums of one spectrum for each of its states."""
    domain = _noiseless(mixed=1, none=0, saturation=(0, 0), removed=0)
    left, between = [], []
    for group in draw(lines, 320, _rng(), domain):
        for scan in range(len(group.counts) // 8):
            rows = slice(8 * scan, 8 * scan + 8)
            counts, fraction = group.counts[rows], group.fraction[rows]
            states = (fraction > 0).any(axis=0)
            if states.sum() > 2:
                continue
            known = np.linalg.lstsq(fraction[:, states], counts, rcond=None)[0]
            off = counts - fraction[:, states] @ known
            left.append(np.linalg.norm(off) / np.linalg.norm(counts))
        first, second = group.counts[0], group.counts[8]
        between.append(np.linalg.norm(first - second) / np.linalg.norm(first))
    assert np.median(left) < 0.06
    assert np.median(between) > 0.15


def test_scans_are_whole_and_as_many_as_asked_for(lines):
    data = simulate(lines, 100, 5, Domain(pixels=16))
    assert len(data) == 96
    assert data.scan.shape == data.window.shape
    assert data.sha256() == simulate(lines, 100, 5, Domain(pixels=16)).sha256()
    np.testing.assert_allclose(data.fraction.sum(axis=1), 1.0)


def test_pixels_of_a_scan_see_its_mean(lines):
    data = simulate(lines, 320, 5, Domain(pixels=16, none=0, alone=0))
    seen = data.scan.reshape(20, 16, -1)
    alike = (seen == np.median(seen, axis=1, keepdims=True)).all(axis=2)
    assert alike.mean() > 0.85  # some are farther from the mean than believed
    own = data.window.reshape(20, 16, -1)
    pairs = zip(own.mean(axis=1), np.median(seen, axis=1), strict=True)
    assert np.median([np.corrcoef(*pair)[0, 1] for pair in pairs]) > 0.95


def test_some_pixels_are_shown_without_their_scan(lines):
    data = simulate(lines, 1600, 5, Domain(pixels=16, none=0, alone=0.25))
    without = (data.scan == data.window).all(axis=1)
    assert 0.2 < without.mean() < 0.35  # some are farther from their mean than believed
    np.testing.assert_array_equal(data.moved_ev[without], 0.0)
    assert (data.moved_ev[~without] != 0).mean() > 0.95


def test_spectra_that_are_alone_have_no_mean(lines):
    data = simulate(lines, 96, 5)
    assert data.scan.shape == (96, 0)
    np.testing.assert_array_equal(data.seen(scan=True)[:, :128], data.seen(scan=True)[:, 128:-1])
    scans = simulate(lines, 96, 5, Domain(pixels=16, alone=0))
    assert scans.seen(scan=True).shape == (96, 257)
    np.testing.assert_array_equal(scans.apart().seen(scan=False), scans.seen(scan=False))


def test_scans_of_phases_and_of_mixtures():
    rng = _rng()
    phases = scan_fractions([0, 1, 2], 400, rng, Domain(pixels=16, mixed=0, none=0.2))
    assert set(np.unique(phases)) == {0.0, 1.0}
    assert 0.15 < phases[:, -1].mean() < 0.25
    mixtures = scan_fractions([0, 1, 2], 400, rng, Domain(pixels=16, mixed=1, none=0))
    np.testing.assert_allclose(mixtures.sum(axis=1), 1.0)
    valence = (mixtures[:, :3] @ [2, 3, 4]).reshape(-1, 16)
    even = valence.std(axis=1) < 1e-9
    assert 0.1 < even.mean() < 0.2  # one composition everywhere
    assert 0.15 < valence[~even].std(axis=1).mean() < 0.35
    assert valence.mean(axis=1).std() > 0.3
