"""Window maps by three sums: exact for a power law, whatever the windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from live_eels.app.windows import _power_law_area, window_map
from live_eels.io.recorder import Recorder
from live_eels.spectra import Chunk, EnergyAxis, NavigationAxis, Scan, Signal, WindowError

AXIS = EnergyAxis(500.0, 0.5, 400)


def recorded(path: Path, spectra: np.ndarray, axis: EnergyAxis = AXIS) -> Recorder:
    """A recording of these spectra, and of one more pixel that never came."""
    scan = Scan(
        "s", (NavigationAxis("x", len(spectra) + 1),), (Signal("core", axis, "f8"),)
    )  # fmt: skip
    recorder = Recorder(path / "scan.hspy", scan)
    recorder.write(Chunk(scan, np.arange(len(spectra)), spectra))
    recorder.close()  # it can still be read
    return recorder


def power_law(exponents: list[float], axis: EnergyAxis = AXIS) -> np.ndarray:
    """Counts of each channel, integrated over it, of ``1e6 (E / 500)^-r``."""
    border = axis.offset_ev + (np.arange(axis.size + 1) - 0.5) * axis.dispersion_ev
    whole = [
        np.log(border) if r == 1 else border ** (1 - r) / (1 - r) for r in exponents
    ]  # fmt: skip
    return np.stack([1e6 * 500.0**r * np.diff(f) for r, f in zip(exponents, whole, strict=True)])


@pytest.mark.parametrize("fit_ev", [(520, 560), (520, 560.5), (510, 515)])
def test_a_power_law_leaves_nothing_and_an_edge_stays(tmp_path, fit_ev):
    spectra = power_law([1.0, 2.5, 3.7, 5.0])
    edge = np.zeros(400)
    edge[AXIS.window(600, 620)] = 300.0
    recorder = recorded(tmp_path, np.concatenate([spectra, spectra + edge]))
    net = window_map(recorder, AXIS, (600, 620), fit_ev)
    under = spectra[:, AXIS.window(600, 620)].sum(axis=1)
    # The method takes the middle of each half for its centre of gravity: 1e-3 of what is under.
    assert (np.abs(net[:4]) < 1e-3 * under).all()
    np.testing.assert_allclose(net[4:8] - net[:4], 300.0 * 41, rtol=1e-4)
    assert np.isnan(net[8])


def test_without_a_fit_the_counts_are_what_they_are(tmp_path):
    spectra = power_law([2.0])
    total = window_map(recorded(tmp_path, spectra), AXIS, (600, 620), None)
    assert total[0] == pytest.approx(spectra[0, AXIS.window(600, 620)].sum(), rel=1e-6)
    assert np.isnan(total[1])


def test_backgrounds_that_rise_or_are_empty_stay_flat(tmp_path):
    """No power law falls so; nothing is continued upwards into the signal."""
    rising = np.linspace(100, 300, 400)
    net = window_map(recorded(tmp_path, np.stack([rising, np.zeros(400)])), AXIS, (600, 620),
                     (520, 560))  # fmt: skip
    level = rising[AXIS.window(520, 560)].mean() * 41
    assert net[0] == pytest.approx(rising[AXIS.window(600, 620)].sum() - level, rel=1e-3)
    assert net[1] == 0


def test_a_fit_window_of_one_channel_is_widened_to_two(tmp_path):
    net = window_map(recorded(tmp_path, power_law([3.0])), AXIS, (600, 620), (520, 520.2))
    assert abs(net[0]) < 1e-2 * 1e6


def test_below_zero_loss_the_background_is_a_mean(tmp_path):
    axis = EnergyAxis(-20.0, 0.5, 200)
    recorder = recorded(tmp_path, np.full((1, 200), 7.0), axis)
    assert window_map(recorder, axis, (0, 10), (-15, -5))[0] == pytest.approx(0, abs=1e-3)


def test_a_window_outside_the_axis_is_refused(tmp_path):
    with pytest.raises(WindowError, match="not inside"):
        window_map(recorded(tmp_path, power_law([2.0])), AXIS, (900, 910), None)


def test_the_area_of_one_over_energy_is_a_logarithm():
    area = _power_law_area(2.0, 6.0, np.array([1.0, 0.0, 2.0]))
    np.testing.assert_allclose(area, [np.log(3.0), 4.0, 1 / 2 - 1 / 6])
