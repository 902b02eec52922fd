from __future__ import annotations

import msgspec
import numpy as np
import pytest
from live_eels.simulators.acquire import Acquisition
from live_eels.simulators.microscope import electrons_per_visit, energy_shift, one_pass, plan
from live_eels.simulators.scene import MicroscopeSettings, ScanSettings, Scene, load_scene

from live_eels.spectra import Spectra


def scene(name: str = "core_shell", **scan: object) -> Scene:
    return load_scene(name).changed(scan=dict(scan))


def test_raster_visits_in_order() -> None:
    visits = plan(scene(shape=(3, 4)), 0)
    np.testing.assert_array_equal(visits.pixels, np.arange(12))
    np.testing.assert_allclose(np.diff(visits.time_s), 5e-3)
    np.testing.assert_allclose(visits.y_nm, np.repeat([0.5, 1.5, 2.5], 4))


def test_serpentine_turns_at_every_row() -> None:
    order = one_pass(ScanSettings(shape=(3, 4), path="serpentine"), np.random.default_rng(0))
    np.testing.assert_array_equal(order, [0, 1, 2, 3, 7, 6, 5, 4, 8, 9, 10, 11])


@pytest.mark.parametrize("path", ["raster", "serpentine", "random"])
def test_sub_sampled_scans_visit_their_share_once(path: str) -> None:
    settings = ScanSettings(shape=(20, 20), path=path, visited=0.3)
    order = one_pass(settings, np.random.default_rng(0))
    assert order.size == len(set(order.tolist())) == 120
    if path == "raster":
        assert (np.diff(order) > 0).all()
    if path == "serpentine":
        steps = np.abs(np.diff(order % 20))
        assert steps.max() < 20  # it never flies back over a whole row


def test_passes_come_back_and_pixels_never_repeat_in_a_message() -> None:
    acquisition = Acquisition(scene(shape=(4, 5), passes=3), seed=1)
    seen = np.zeros(20, int)
    for message in acquisition.messages(chunk=7):
        if isinstance(message, Spectra) and message.signal == "core":
            assert len(set(message.pixels.tolist())) == message.pixels.size
            seen[message.pixels] += 1
    assert (seen == 3).all()


def test_flyback_takes_its_time() -> None:
    settings = load_scene("hard_day").changed(scan={"shape": (3, 4)})
    time_s = plan(settings, 0).time_s
    np.testing.assert_allclose(np.diff(time_s)[3], 4e-3 + 2e-3)


def test_mains_hum_has_its_frequency_and_amplitude() -> None:
    """A Fourier transform over many dwell times finds 50 Hz, at the averaged amplitude."""
    settings = scene(shape=(4096,)).changed(
        microscope={
            "hum_ev": 0.3, "hum_hz": 50.0, "jitter_ev": 0.0, "drift_ev": 0.0, "dwell_s": 1e-3,
        }
    )  # fmt: skip
    shift = plan(settings, 3).shift_ev
    spectrum = np.abs(np.fft.rfft(shift)) / (shift.size / 2)
    frequency = np.fft.rfftfreq(shift.size, 1e-3)
    assert frequency[spectrum.argmax()] == pytest.approx(50.0, abs=0.3)
    assert shift.std() * np.sqrt(2) == pytest.approx(0.3 * np.sinc(0.05), rel=0.02)


def test_hum_is_that_of_the_dwell_as_a_whole() -> None:
    """Against an average over each dwell, taken numerically."""
    settings = MicroscopeSettings(hum_ev=0.3, hum_hz=50.0, dwell_s=6e-3)
    time_s = np.arange(40) * settings.dwell_s
    shift = energy_shift(settings, time_s, np.random.default_rng(4))
    _, start = 2 * np.pi * np.random.default_rng(4).random(2)
    within = time_s[:, None] + (np.arange(1000) + 0.5) / 1000 * settings.dwell_s
    wanted = 0.3 * np.sin(2 * np.pi * 50.0 * within + start).mean(axis=1)
    np.testing.assert_allclose(shift, wanted, atol=1e-5)


def test_drift_begins_where_the_axis_is_calibrated() -> None:
    settings = MicroscopeSettings(drift_ev=2.0, drift_period_s=10.0, drift_ev_per_s=0.1)
    for seed in range(5):
        shift = energy_shift(settings, np.array([0.0, 10.0]), np.random.default_rng(seed))
        np.testing.assert_allclose(shift, [0.0, 1.0], atol=1e-5)


def test_hum_averages_out_over_a_long_dwell() -> None:
    settings = scene(shape=(500,)).changed(
        microscope={"hum_ev": 0.3, "jitter_ev": 0.0, "drift_ev": 0.0, "dwell_s": 20e-3}
    )
    assert np.abs(plan(settings, 0).shift_ev).max() < 1e-6


@pytest.mark.filterwarnings("ignore")
def test_jitter_and_drift_are_recovered_from_the_zero_loss_peaks() -> None:
    """HyperSpy finds the zero-loss peaks; their scatter is the jitter that was put in."""
    exspy = pytest.importorskip("exspy")
    settings = scene("phantom", shape=(24, 24)).changed(
        microscope={"jitter_ev": 0.25, "drift_ev": 0.8, "drift_period_s": 20.0}
    )
    acquisition = Acquisition(settings, seed=4)
    low = np.zeros((576, 512))
    for message in acquisition.messages():
        if isinstance(message, Spectra) and message.signal == "low":
            low[message.pixels] = message.counts
    signal = exspy.signals.EELSSpectrum(low)
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale, axis.units = -20.0, 0.4, "eV"
    found = -signal.estimate_shift1D(
        start=-8.0, end=8.0, interpolate=True, number_of_interpolation_points=40,
        show_progressbar=False,
    )  # fmt: skip
    true = acquisition.truth.maps["shift_ev"].ravel()
    error = (found - found.mean()) - (true - true.mean())
    assert error.std() < 0.03
    smooth = np.convolve(found, np.ones(15) / 15, "same")
    jitter = (found - smooth)[20:-20].std() / np.sqrt(1 - 1 / 15)
    assert jitter == pytest.approx(0.25, rel=0.1)


def test_electrons_are_current_times_time() -> None:
    assert electrons_per_visit(load_scene("core_shell")) == pytest.approx(
        1e-9 * 5e-3 / 1.602176634e-19
    )


def test_flicker_has_its_size() -> None:
    settings = scene(shape=(4000,)).changed(microscope={"current_noise": 0.05})
    electrons = plan(settings, 0).electrons
    assert electrons.std() / electrons.mean() == pytest.approx(0.05, rel=0.05)


def test_spatial_drift_shears_the_picture() -> None:
    settings = scene(shape=(10, 10)).changed(microscope={"drift_nm_per_s": (0.0, 10.0)})
    visits = plan(settings, 0)
    columns = visits.pixels % 10
    np.testing.assert_allclose(visits.x_nm, columns + 0.5 + 10.0 * visits.time_s)


def test_damage_goes_with_the_dose() -> None:
    """After n passes the mean share of Mn4+ is (1 - exp(-n d)) / (n d), d the dose of one."""
    for passes in (1, 4, 12):
        settings = load_scene("beam_damage").changed(
            scan={"shape": (8, 8), "step_nm": 4.0, "passes": passes},
            microscope={"drift_nm_per_s": (0.0, 0.0)},
        )
        damage = msgspec.structs.replace(settings.damage[0], dose_e_per_nm2=2e6)
        acquisition = Acquisition(msgspec.structs.replace(settings, damage=(damage,)), seed=0)
        dose = passes * electrons_per_visit(settings) / 16.0 / 2e6
        left = acquisition.truth.maps["fraction_Mn4+"][4, 4]
        # per nm the reduced oxide holds as many Mn as the whole one
        assert left == pytest.approx(-np.expm1(-dose) / dose, rel=1e-4)
        assert acquisition.truth.maps["phase"][4, 4] == 1
