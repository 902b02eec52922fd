"""Scattering, edges and background; eXSpy is the judge where it has the function."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from live_eels.simulators.cross_sections import (
    NM2_PER_BARN,
    cross_section,
    effective_angle_mrad,
    onset_ev,
    subshells,
)
from live_eels.simulators.lineshapes import PhysicsError
from live_eels.simulators.lowloss import GUNS, Plasmon, single_scattering, zero_loss
from live_eels.simulators.scattering import FineGrid, plural
from live_eels.simulators.scene import Scene, load_scene
from live_eels.simulators.spectrometer import Spectrometer

from live_eels.spectra import EnergyAxis

pytestmark = pytest.mark.filterwarnings("ignore")
exspy = pytest.importorskip("exspy")
LOW = EnergyAxis(-20.0, 0.3, 1500)


def scene_of(material: str, **microscope: object) -> Scene:
    scene = load_scene("live_view").changed(microscope=dict(microscope))
    return msgspec.structs.replace(
        scene, shapes=(msgspec.structs.replace(scene.shapes[0], material=material),)
    )


def as_exspy(counts: np.ndarray, axis: EnergyAxis) -> object:
    signal = exspy.signals.EELSSpectrum(counts)
    energy = signal.axes_manager[-1]
    energy.offset, energy.scale, energy.units = axis.offset_ev, axis.dispersion_ev, "eV"
    return signal


def noisy_low(material: str, t_over_lambda: np.ndarray, electrons: float) -> np.ndarray:
    spectrometer = Spectrometer(scene_of(material), LOW, low=True, thickest=4.0)
    amounts = t_over_lambda[:, None] * spectrometer.path_nm[0]
    n = len(amounts)
    mean = spectrometer.electrons(amounts, np.zeros(n), np.full(n, electrons))
    return np.random.default_rng(0).poisson(mean).astype(float)


@pytest.mark.parametrize("material", ["MnO", "SrTiO3", "Fe2O3"])
def test_thickness_is_recovered_by_exspy(material: str) -> None:
    wanted = np.array([0.1, 0.3, 0.6, 1.0, 1.6, 2.5])
    signal = as_exspy(noisy_low(material, wanted, 1e8), LOW)
    found = signal.estimate_thickness(threshold=2.0).data
    np.testing.assert_allclose(found, wanted, rtol=0.02)


def test_fourier_log_deconvolution_gives_back_single_scattering() -> None:
    """eXSpy takes the plural scattering off again that we put on."""
    electrons, t = 1e9, 1.0
    spectrometer = Spectrometer(scene_of("SrTiO3"), LOW, low=True)
    none = spectrometer.electrons(np.zeros((1, 1)), np.zeros(1), np.array([electrons]))[0]
    thick = spectrometer.electrons(
        np.array([[t * spectrometer.path_nm[0]]]), np.zeros(1), np.array([electrons])
    )[0]
    zlp = as_exspy(none * np.exp(-t), LOW)
    ssd = as_exspy(thick, LOW).fourier_log_deconvolution(zlp, crop=False).data
    thin = spectrometer.electrons(
        np.array([[1e-4 * spectrometer.path_nm[0]]]), np.zeros(1), np.array([electrons])
    )[0]
    wanted = (thin - none * np.exp(-1e-4)) / 1e-4 * t * np.exp(-t)
    inside = (LOW.energies_ev > 5) & (LOW.energies_ev < 150)
    np.testing.assert_allclose(ssd[inside], wanted[inside], atol=0.01 * wanted.max())


def test_plural_scattering_is_the_poisson_sum() -> None:
    """The exponential in Fourier space against the sum written out, term by term."""
    axis = EnergyAxis(0.0, 0.5, 400)
    grid = FineGrid.around(axis, 10.0, 400.0)
    losses = grid.step_ev * np.arange(round(100 / grid.step_ev))
    ssd = single_scattering((Plasmon(22.0, 10.0),), 2.0, losses, 200.0, 30.0)
    hat = grid.kernel_transform(ssd)[None]
    t = 1.3
    ours = np.fft.irfft(plural(hat, np.array([[t]]), np.zeros((1, hat.shape[1])))[0], grid.size)
    term = np.zeros(grid.size)
    term[0] = 1.0
    wanted = np.zeros(grid.size)
    for order in range(12):
        wanted += np.exp(-t) * term
        term = np.convolve(term, ssd * grid.step_ev)[: grid.size] * t / (order + 1)
    np.testing.assert_allclose(ours, wanted, atol=1e-7)


@pytest.mark.parametrize("exponent", [2.5, 3.0, 4.2])
def test_power_law_exponent_is_recovered(exponent: float) -> None:
    hs = pytest.importorskip("hyperspy.api")
    scene = scene_of("carbon")
    carbon = msgspec.structs.replace(scene.materials["carbon"], background_exponent=exponent)
    scene = msgspec.structs.replace(scene, materials=scene.materials | {"carbon": carbon})
    axis = EnergyAxis(470.0, 0.4, 1024)
    spectrometer = Spectrometer(scene, axis, low=False)
    mean = spectrometer.electrons(np.array([[60.0]]), np.zeros(1), np.array([1e11]))
    signal = as_exspy(np.random.default_rng(1).poisson(mean)[0].astype(float), axis)
    law = hs.model.components1D.PowerLaw()
    law.estimate_parameters(signal, 480.0, 800.0, only_current=True)
    assert law.r.value == pytest.approx(exponent, rel=0.02)


@pytest.mark.parametrize("gun", ["cold_feg", "monochromated", "schottky"])
@pytest.mark.parametrize("fwhm", [0.2, 0.8, 1.5])
def test_zero_loss_peak_has_its_width_and_shape(gun: str, fwhm: float) -> None:
    try:
        peak = zero_loss(GUNS[gun], fwhm)
    except ValueError:
        assert (gun, fwhm) in {("cold_feg", 0.2), ("schottky", 0.2)}
        return
    axis = EnergyAxis(-10.0, 0.02, 1000)
    grid = FineGrid.around(axis, 5.0, 5.0)
    hat = peak.transform(grid.omega) * np.exp(1j * grid.omega * grid.start_ev)
    profile = grid.sampled(hat[None])[0]
    assert profile.sum() == pytest.approx(1.0, abs=1e-3)
    assert abs(axis.energies_ev[profile.argmax()]) <= 0.03
    above = axis.energies_ev[profile >= profile.max() / 2]
    assert above[-1] - above[0] == pytest.approx(fwhm, abs=0.05)
    loss_side = profile[axis.energies_ev > 1.5 * fwhm].sum()
    gain_side = profile[axis.energies_ev < -1.5 * fwhm].sum()
    if gun == "cold_feg":  # tunnelling electrons: a tail to the loss side only
        assert loss_side > 2 * gain_side


@pytest.mark.parametrize("edge", ["O_K", "Mn_L3", "Fe_L3", "C_K", "Ti_L3"])
@pytest.mark.parametrize(("beam", "angle"), [(200.0, 20.0), (120.0, 30.0), (80.0, 55.0)])
def test_cross_sections_are_exspys(edge: str, beam: float, angle: float) -> None:
    """On the table's nodes to float32, between them to 3 %."""
    component = exspy.components.EELSCLEdge(edge, GOS="hydrogenic")
    onset = float(component.GOS.onset_energy)
    assert onset_ev(edge) == onset
    above = np.array([8.0, 30.0, 77.0, 200.0, 600.0])
    wanted = component.GOS.integrateq(onset, angle * 1e-3, beam)(onset + above)
    found = cross_section(edge, above, beam, angle) / NM2_PER_BARN
    np.testing.assert_allclose(found, wanted, rtol=0.03)


def test_cross_sections_end_and_go_on() -> None:
    above = np.array([-5.0, -0.1, 840.0, 841.0, 3000.0])
    found = cross_section("O_K", above, 200.0, 20.0)
    assert (found[:2] == 0).all()
    assert found[2] == pytest.approx(found[3], rel=0.01)
    assert 0 < found[4] < found[3]


def test_what_is_not_tabulated_is_refused() -> None:
    with pytest.raises(PhysicsError, match="O_K"):
        onset_ev("Xx_K")
    with pytest.raises(PhysicsError, match="beam_kev"):
        cross_section("O_K", np.zeros(1), 1000.0, 20.0)
    assert "Mn_L3" in subshells()


def test_convergent_beam_loses_what_misses_the_aperture() -> None:
    assert effective_angle_mrad(1.0, 30.0)[1] == 1.0
    assert effective_angle_mrad(30.0, 15.0) == (15.0, 0.25)


@pytest.mark.parametrize("dispersion", [0.05, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("low", [True, False])
def test_a_shift_moves_the_spectrum_and_nothing_else(dispersion: float, low: bool) -> None:
    """Shifted by whole channels: the same numbers one channel on; by parts: the same sum."""
    axis = EnergyAxis(-30.0 * dispersion if low else 600.0, dispersion, 300)
    spectrometer = Spectrometer(scene_of("MnO"), axis, low=low)
    shifts = np.array([0.0, dispersion, 0.37 * dispersion])
    still, one, part = spectrometer.electrons(np.full((3, 1), 40.0), shifts, np.full(3, 1e6))
    np.testing.assert_allclose(one[1:], still[:-1], rtol=1e-5, atol=1e-6 * still.max())
    assert (part > -1e-9).all()
    inner = slice(20, -20)
    assert part[inner].sum() == pytest.approx(still[inner].sum(), rel=0.02)


def test_edges_lie_where_the_ions_put_them() -> None:
    axis = EnergyAxis(600.0, 0.1, 1500)
    peaks = {}
    for material in ("MnO", "Mn2O3", "MnO2", "FeO", "Fe2O3"):
        spectrometer = Spectrometer(scene_of(material), axis, low=False)
        mean = spectrometer.electrons(np.array([[40.0]]), np.zeros(1), np.array([1e8]))[0]
        window = axis.window(636, 650) if material.startswith("Mn") else axis.window(702, 716)
        peaks[material] = axis.energies_ev[window][mean[window].argmax()]
    assert peaks["MnO"] < peaks["Mn2O3"] < peaks["MnO2"]
    assert 1.0 < peaks["Fe2O3"] - peaks["FeO"] < 2.5


@pytest.mark.parametrize("low", [True, False])
def test_thick_specimens_do_not_fold_over(low: bool) -> None:
    """More room above the axis must not change anything, even at four mean free paths."""
    axis = EnergyAxis(-5.0 if low else 500.0, 0.25, 400)
    found = []
    for thickest in (4.0, 8.0):
        spectrometer = Spectrometer(scene_of("SrTiO3"), axis, low, thickest)
        thick = np.array([[4.0 * spectrometer.path_nm[0]]])
        found.append(spectrometer.electrons(thick, np.zeros(1), np.array([1e8]))[0])
    np.testing.assert_allclose(found[0], found[1], atol=2e-3 * found[1].mean())
