import msgspec
import numpy as np
import pytest
from live_eels.models.dataset import preparation
from live_eels.models.domain import Domain
from live_eels.models.lines import shipped_lines
from live_eels.models.randomise import draw

from live_eels.edge_windows import MOST_MOVED_EV
from live_eels.spectra import EnergyAxis

AXIS = EnergyAxis(600.0, 0.25, 700)
PHASE = Domain(mixed=0.0, none=0.0, noiseless=1.0, thickness=(0, 0), background=(0.01, 0.011))


@pytest.fixture(scope="module")
def spectra():
    """A Mn and an Fe spectrum on `AXIS`, each at its nominal energy."""
    found = {}
    shifts = msgspec.structs.replace(PHASE, shift_ev=(0.0, 1e-6))
    for group in draw(shipped_lines(), 640, np.random.default_rng(3), shifts, group=8):
        element = "Mn" if group.label[0] < 3 else "Fe"
        counts = group.counts[0] / group.counts[0].max()
        found.setdefault(element, np.interp(AXIS.energies_ev, group.axis.energies_ev, counts))
        if len(found) == 2:
            return found["Mn"], found["Fe"]
    raise AssertionError("one of the elements was not drawn")


def _moved(spectrum, by_ev):
    return np.interp(AXIS.energies_ev - by_ev, AXIS.energies_ev, spectrum)


def _beside(pixels, mean, axis=AXIS):
    """Windows of pixels of one scan, and what they see of its mean."""
    cut = preparation()
    seen = cut.windows(np.asarray(pixels, np.float32), AXIS)
    of = np.zeros(len(pixels), np.intp)
    return seen, cut.beside(seen, np.asarray(mean, np.float32)[None], axis, of)


def test_a_pixel_sees_the_edge_of_its_own_element_in_the_mean(spectra):
    manganese, iron = spectra
    pixels = [_moved(spectrum, 0.6) for spectrum in spectra]
    seen, beside = _beside(pixels, 0.4 * manganese + 0.6 * iron)
    np.testing.assert_array_equal(seen.element, np.eye(2))
    for own, found in zip(seen.window, beside.window, strict=True):
        assert np.corrcoef(own, found)[0, 1] > 0.95
        assert np.ptp(found) < 0.8 * np.ptp(own)
    np.testing.assert_allclose(beside.moved_ev, 0.6, atol=0.2)


def test_how_far_an_edge_moved_is_told(spectra):
    manganese, _ = spectra
    _, beside = _beside([_moved(manganese, by) for by in (-1.0, 0.0, 0.5)], manganese)
    np.testing.assert_allclose(beside.moved_ev[:, 0], [-1.0, 0.0, 0.5], atol=0.1)
    for row in beside.window[1:]:
        np.testing.assert_array_equal(row, beside.window[0])


def test_scans_are_not_confused(spectra):
    manganese, _ = spectra
    cut = preparation()
    means = np.stack([manganese, 3 * _moved(manganese, 1.0)]).astype(np.float32)
    seen = cut.windows(np.stack([manganese] * 3).astype(np.float32), AXIS)
    beside = cut.beside(seen, means, AXIS, np.array([0, 1, 0]))
    np.testing.assert_allclose(beside.moved_ev[:, 0], [0.0, -1.0, 0.0], atol=0.1)
    heights = np.ptp(beside.window, axis=1)
    np.testing.assert_allclose(heights / heights[0], [1.0, 3.0, 1.0], rtol=0.1)


@pytest.mark.parametrize("why", ["far", "nan", "nothing", "short"])
def test_a_mean_that_tells_nothing_leaves_the_pixel_alone(spectra, why):
    manganese, _ = spectra
    axis = EnergyAxis(600.0, 0.25, 60) if why == "short" else AXIS
    mean = {
        "far": _moved(manganese, MOST_MOVED_EV + 1.0),
        "nan": np.full(AXIS.size, np.nan),
        "nothing": np.zeros(AXIS.size),
        "short": manganese[:60],
    }[why]
    seen, beside = _beside([manganese], mean, axis)
    np.testing.assert_array_equal(beside.window, seen.window)
    np.testing.assert_array_equal(beside.moved_ev, 0.0)
