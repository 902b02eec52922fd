"""Each step beside HyperSpy 2.5 and eXSpy 0.3: on simulated truth and on measured spectra.

The limits say how far the two may be apart; where counts are few, ours must be nearer the
truth.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from live_eels.simulators.acquire import Acquisition
from live_eels.simulators.scene import load_scene

from hyperspy_signals import axis_of, exspy, hs, signal
from live_eels import analyses
from live_eels.kernels.deconvolve import fourier_ratio
from live_eels.preprocess import Preprocessor
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, EnergyAxis, NavigationAxis, Scan, Signal, Spectra

pytestmark = pytest.mark.filterwarnings("ignore")

WHEEL = Path(exspy.__file__).parent / "tests"


def prepared(core, core_axis, low=None, low_axis=None, settings=None):
    signals = (Signal("core", core_axis, "f4"),)
    if low is not None:
        signals += (Signal("low", low_axis, "f4"),)
    scan = Scan("beside", (NavigationAxis("x", len(core)),), signals)
    preprocessor = Preprocessor(scan, settings or PreprocessSettings())
    low = None if low is None else low.astype(np.float32)
    return preprocessor, preprocessor.process(
        Chunk(scan, np.arange(len(core)), core.astype(np.float32), low)
    )


def analysed(preprocessor, chunk, **config):
    (analysis,) = analyses.load([config])
    analysis.start(preprocessor.scan, preprocessor.axis, preprocessor.window, preprocessor.low_axis)
    return analysis.update(chunk)


@cache
def simulated():
    """Core-shell particles: noisy counts, noise-free counts, truth, axes (dark removed)."""
    acquisition = Acquisition(load_scene("core_shell"), seed=3)
    scan = acquisition.scan
    counts = {s.name: np.zeros((scan.pixels, s.axis.size), np.float32) for s in scan.signals}
    for message in acquisition.messages(chunk=256):
        if isinstance(message, Spectra):
            counts[message.signal][message.pixels] = message.counts
    for s in scan.signals:
        counts[s.name] = (counts[s.name] - s.dark) / s.gain
    truth = {name: values.ravel() for name, values in acquisition.truth.maps.items()}
    # the drift tube moves both signals: every 16th pixel is enough here
    few = np.arange(0, scan.pixels, 16)
    expected = acquisition.expected(few)
    axes = {s.name: s.axis for s in scan.signals}
    return (
        {name: values[few] for name, values in counts.items()},
        expected,
        {name: values[few] for name, values in truth.items()},
        axes,
    )


def lsmo(real_spectra):
    core = hs.load(real_spectra / "LSMO_linescan.hspy", reader="HSPY")
    low = hs.load(real_spectra / "LSMO_linescan_low_loss.hspy", reader="HSPY")
    return core, low


# Alignment


def test_alignment_of_a_simulated_scan_is_nearer_the_truth():
    counts, _, truth, axes = simulated()
    _, ours = prepared(counts["core"], axes["core"], counts["low"], axes["low"])
    left = ours.shift_ev + truth["shift_ev"]
    theirs = signal(counts["low"], axes["low"])
    theirs.align_zero_loss_peak(
        print_stats=False, crop=False, calibrate=True, signal_range=(-15.0, 15.0)
    )
    # Judged alike: where the peak of each aligned low loss lies, by its own centre of mass.
    channel = axes["low"].dispersion_ev
    assert np.std(left) <= 0.05 * channel

    def residual(rows, axis):
        energy = axis.energies_ev
        near = np.abs(energy) < 1.5
        return (rows[:, near] @ energy[near]) / rows[:, near].sum(axis=1)

    ours_left = residual(ours.low, axes["low"])
    theirs_left = residual(theirs.data, axis_of(theirs))
    assert np.std(ours_left) <= 1.05 * np.std(theirs_left)
    assert np.std(ours_left) < 0.02


@pytest.mark.parametrize("counts", [100, 3000, 1e5])
def test_alignment_is_nearer_the_truth_at_any_dose(counts):
    """Zero-loss peaks moved by up to 2 eV; what is left, judged by noise-free peaks moved along."""
    low, core = EnergyAxis(-30.0, 0.25, 512), EnergyAxis(560.0, 0.4, 64)
    rng = np.random.default_rng(3)
    moved = rng.uniform(-2, 2, 200)
    energy = low.energies_ev - moved[:, None]
    peak = np.exp(-0.5 * (energy / 0.5) ** 2)
    peak /= peak.sum(axis=1, keepdims=True)
    plasmon = 0.01 * np.exp(-0.5 * ((energy - 22) / 5) ** 2)
    data = rng.poisson(counts * (peak + plasmon)).astype(np.float32)
    settings = PreprocessSettings(background="none")
    _, ours = prepared(np.ones((200, 64)), core, data, low, settings)
    theirs, along = signal(data, low), signal(1e6 * peak, low)
    theirs.align_zero_loss_peak(
        also_align=[along], print_stats=False, crop=False, signal_range=(-15.0, 15.0)
    )
    energies = axis_of(along).energies_ev
    near = np.abs(energies) < 6
    their_left = along.data[:, near] @ energies[near] / along.data[:, near].sum(axis=1)
    assert np.std(ours.shift_ev + moved) < 0.9 * np.std(their_left)


def test_alignment_of_measured_spectra(real_spectra):
    core, low = lsmo(real_spectra)
    _, ours = prepared(core.data, axis_of(core), low.data, axis_of(low))
    theirs = low.estimate_zero_loss_peak_centre().data  # the highest channel
    assert np.abs(-ours.shift_ev - theirs).max() <= 0.5 * 1.5  # a channel and a half


# Spikes


def test_spikes_put_into_measured_spectra_are_found_by_both(real_spectra):
    core, _ = lsmo(real_spectra)
    data = core.data.copy()
    rng = np.random.default_rng(0)
    at = rng.integers(20, 560, len(data))
    rows = np.arange(len(data))
    # several counts per electron: the noise is what neighbouring channels differ by
    noise = np.abs(np.diff(data, 2, axis=1)).mean() / (0.8 * np.sqrt(6))
    data[rows, at] += 20 * noise
    _, ours = prepared(data, axis_of(core))
    found = {tuple(pair) for pair in ours.spikes.tolist()}
    recall = np.mean([(row, channel) in found for row, channel in zip(rows, at, strict=True)])
    assert recall >= 0.9
    repaired = np.abs(ours.counts[rows, at] - core.data[rows, at]) / noise
    assert np.median(repaired) < 3.0
    theirs = signal(data, axis_of(core))
    theirs.spikes_removal_tool(interactive=False, threshold=float(10 * noise))
    their_error = np.abs(theirs.data - core.data).sum()
    assert np.abs(ours.counts - core.data).sum() <= their_error


def test_few_counts_are_repaired_nearer_the_truth():
    """Three counts, spikes of ten sigma in one pixel of four; theirs by its best threshold."""
    axis, n = EnergyAxis(560.0, 0.4, 256), 400
    rng = np.random.default_rng(4)
    clean = rng.poisson(3.0, (n, 256)).astype(np.float32)
    data = clean.copy()
    data[np.arange(0, n, 4), rng.integers(5, 250, n // 4)] += 18
    _, ours = prepared(data, axis, settings=PreprocessSettings(background="none"))
    mine = np.abs(ours.counts - clean).sum()
    other = np.inf
    for threshold in (8.0, 11.0, 14.0, 17.0, 27.0):
        theirs = signal(data.copy(), axis)
        theirs.spikes_removal_tool(interactive=False, threshold=threshold)
        other = min(other, np.abs(theirs.data - clean).sum())
    assert mine < 0.2 * min(other, np.abs(data - clean).sum())


# Background


@pytest.mark.parametrize("level", [1.0, 5.0, 1000.0])
def test_background_is_as_theirs_at_high_dose_and_nearer_the_truth_at_low_dose(level):
    axis = EnergyAxis(560.0, 0.4, 512)
    energy = axis.energies_ev
    truth = level * (energy / 600) ** -3.2
    data = np.random.default_rng(1).poisson(truth, (400, 512)).astype(np.float32)
    fit_ev = (570.0, 625.0)
    settings = PreprocessSettings(
        window_ev=(640.0, 700.0), background_ev=fit_ev, spikes_sigma=0, find_bad_channels=False
    )
    preprocessor, ours = prepared(data, axis, settings=settings)
    theirs = signal(data, axis).remove_background(
        signal_range=fit_ev, background_type="PowerLaw", fast=True
    )
    theirs = theirs.data[:, preprocessor.window].sum(axis=1)
    mine = ours.signal.sum(axis=1)
    rms, their_rms = np.sqrt(np.mean(mine**2)), np.sqrt(np.mean(theirs**2))
    assert rms < 0.95 * their_rms
    assert abs(np.mean(mine)) < 0.2 * np.std(mine)
    assert abs(np.mean(mine)) < abs(np.mean(theirs))
    assert abs(np.mean(mine - theirs)) < 0.2 * np.std(theirs)


@pytest.mark.parametrize("level", [1.0, 5.0])
def test_local_averaging_halves_their_error_at_low_dose(level):
    axis = EnergyAxis(560.0, 0.4, 512)
    truth = level * (axis.energies_ev / 600) ** -3.2
    data = np.random.default_rng(2).poisson(truth, (400, 512)).astype(np.float32)
    fit_ev = (570.0, 625.0)
    settings = PreprocessSettings(
        window_ev=(640.0, 700.0), background_ev=fit_ev, background_pixels=2, spikes_sigma=0,
        find_bad_channels=False,
    )  # fmt: skip
    axes = (NavigationAxis("y", 20), NavigationAxis("x", 20))
    preprocessor = Preprocessor(Scan("low", axes, (Signal("core", axis, "f4"),)), settings)
    for _ in range(2):  # the first pass gathers what the neighbours have
        ours = preprocessor.process(Chunk(preprocessor.scan, np.arange(400), data))
    theirs = signal(data, axis).remove_background(
        signal_range=fit_ev, background_type="PowerLaw", fast=True
    )
    theirs = theirs.data[:, preprocessor.window].sum(axis=1)
    assert np.sqrt(np.mean(ours.signal.sum(axis=1) ** 2)) < 0.5 * np.sqrt(np.mean(theirs**2))


def test_background_of_measured_spectra():
    """eXSpy's own Cr L edge, and the net counts after it."""
    core = hs.load(WHEEL / "drawing" / "data" / "Cr_L_cl.hspy", reader="HSPY")
    axis = axis_of(core)
    settings = PreprocessSettings(
        window_ev=(572.0, 599.0), background_ev=(560.5, 570.0), spikes_sigma=0
    )
    preprocessor, ours = prepared(core.data[None], axis, settings=settings)
    theirs = core.remove_background(
        signal_range=(560.5, 570.0), background_type="PowerLaw", fast=False
    )
    theirs = theirs.data[preprocessor.window].sum()
    assert ours.signal.sum() == pytest.approx(theirs, rel=0.02)


def test_background_of_the_line_scan(real_spectra):
    core, _ = lsmo(real_spectra)
    axis = axis_of(core)
    settings = PreprocessSettings(
        window_ev=(625.0, 700.0), background_ev=(580.0, 622.0), spikes_sigma=0
    )
    preprocessor, ours = prepared(core.data, axis, settings=settings)
    theirs = core.remove_background(
        signal_range=(580.0, 622.0), background_type="PowerLaw", fast=True
    )
    theirs = theirs.data[:, preprocessor.window].sum(axis=1)
    np.testing.assert_allclose(ours.signal.sum(axis=1), theirs, rtol=0.06)


# Thickness


def test_thickness_of_exspy_s_own_line_scan():
    """Simulated by eXSpy's authors: zero-loss peaks alone give the true t/lambda."""
    data = WHEEL / "signals" / "data"
    low = hs.load(data / "EELS_LL_linescan_simulated_thickness_variation.hspy", reader="HSPY")
    zlp = hs.load(data / "EELS_ZLP_linescan_simulated_thickness_variation.hspy", reader="HSPY")
    truth = np.log(low.data.sum(axis=1) / zlp.data.sum(axis=1))
    preprocessor, ours = prepared(low.data, axis_of(low))
    found = analysed(preprocessor, ours, kind="thickness")["t/lambda"]
    theirs = low.estimate_thickness(threshold=low.estimate_elastic_scattering_threshold()).data
    thick = (truth > 0.1) & (truth < 3)
    np.testing.assert_allclose(found[thick], truth[thick], rtol=0.03)
    assert np.abs(found - truth)[thick].mean() <= np.abs(theirs - truth)[thick].mean() + 0.005


def test_thickness_of_a_simulated_scan_is_nearer_the_truth():
    counts, _, truth, axes = simulated()
    preprocessor, ours = prepared(counts["core"], axes["core"], counts["low"], axes["low"])
    found = analysed(preprocessor, ours, kind="thickness")["t/lambda"]
    theirs = signal(ours.low, axes["low"])
    theirs = theirs.estimate_thickness(
        threshold=theirs.estimate_elastic_scattering_threshold()
    ).data
    thick = truth["thickness"] > 0.1
    off = np.abs(found - truth["thickness"])[thick]
    assert (off / truth["thickness"][thick]).mean() < 0.03
    assert off.mean() < np.abs(theirs - truth["thickness"])[thick].mean()


def test_thickness_of_the_line_scan(real_spectra):
    core, low = lsmo(real_spectra)
    preprocessor, ours = prepared(core.data, axis_of(core), low.data, axis_of(low))
    found = analysed(preprocessor, ours, kind="thickness")["t/lambda"]
    aligned = signal(ours.low, axis_of(low))
    theirs = aligned.estimate_thickness(
        threshold=aligned.estimate_elastic_scattering_threshold()
    ).data
    # Theirs counts the peak's tails beyond the threshold as losses, and so reads higher.
    np.testing.assert_allclose(found, theirs, rtol=0.09)
    assert (found < theirs).all()


# Deconvolution


def test_fourier_ratio_is_as_theirs(real_spectra):
    """On the measured line scan: net Mn L counts after deconvolution, up to the zero loss."""
    core, low = lsmo(real_spectra)
    settings = PreprocessSettings(
        window_ev=(610.0, 715.0), background_ev=(580.0, 622.0), spikes_sigma=0,
        deconvolve="fourier_ratio", align="auto",
    )  # fmt: skip
    plain = PreprocessSettings(
        window_ev=(610.0, 715.0), background_ev=(580.0, 622.0), spikes_sigma=0
    )
    preprocessor, ours = prepared(core.data, axis_of(core), low.data, axis_of(low), settings)
    _, before = prepared(core.data, axis_of(core), low.data, axis_of(low), plain)
    window = preprocessor.axis.cropped(preprocessor.window)
    edge, aligned = signal(before.signal, window), signal(ours.low, axis_of(low))
    theirs = edge.fourier_ratio_deconvolution(
        aligned, fwhm=float(np.median(ours.zlp_width_ev)), threshold=3.0,
        extrapolate_lowloss=False, extrapolate_coreloss=True,
    ).data  # fmt: skip
    energies = window.energies_ev
    near = (energies > 628) & (energies < 665)
    mine, other = ours.signal[:, near].mean(axis=0), theirs[:, near].mean(axis=0)
    assert np.corrcoef(mine, other)[0, 1] > 0.999
    # Their modifier has the zero loss's area per eV, ours per channel.
    assert mine.sum() == pytest.approx(other.sum() * window.dispersion_ev, rel=0.08)


@pytest.mark.parametrize("counts", [3.0, 100.0])
def test_fourier_ratio_is_nearer_the_truth_at_low_dose(counts):
    """White lines through t/lambda 0.7, few counts on twice as many of background."""
    low, core = EnergyAxis(-20.0, 0.5, 512), EnergyAxis(600.0, 0.5, 256)
    energy, zero, thick = low.energies_ev, 40, 0.7
    zlp = np.exp(-0.5 * (energy * 2.355 / 1.5) ** 2)
    loss = energy * (energy > 3) / ((energy**2 - 21**2) ** 2 + (12 * energy) ** 2)
    peak, plural = (np.fft.fft(np.roll(x / x.sum(), -zero)) for x in (zlp, loss))
    total = peak * np.exp(thick * (plural - 1))
    edge = np.zeros(512)
    energy = core.energies_ev
    edge[:256] = 2 * np.exp(-0.5 * ((energy - 641) / 1.3) ** 2) + 0.4 / (1 + np.exp(640 - energy))
    edge[:256] += np.exp(-0.5 * ((energy - 652) / 1.6) ** 2)
    single, measured = (
        counts * np.fft.ifft(np.fft.fft(edge) * by).real[:256]
        for by in (peak * np.exp(-thick), total)
    )
    rng, n = np.random.default_rng(0), 64
    under, elastic = 2 * counts, 1e3 * counts
    data = (rng.poisson(measured + under, (n, 256)) - under).astype(np.float32)
    rows = rng.poisson(elastic * np.roll(np.fft.ifft(total).real, zero).clip(0), (n, 512))
    rows = rows.astype(np.float32)
    width, zlp_counts = np.full(n, 3.0, "f4"), np.full(n, elastic * np.exp(-thick), "f4")
    ours = fourier_ratio(data, rows, zero, width, zlp_counts)
    theirs = signal(data, core).fourier_ratio_deconvolution(
        signal(rows, low), fwhm=1.5, threshold=4.0, extrapolate_lowloss=False,
        extrapolate_coreloss=False,
    ).data * core.dispersion_ev  # fmt: skip
    mine, other = (np.sqrt(((x - single)[:, 20:220] ** 2).mean()) for x in (ours, theirs))
    assert mine < 0.95 * other


def test_fourier_log_is_as_theirs():
    data = WHEEL / "signals" / "data"
    low = hs.load(data / "EELS_LL_linescan_simulated_thickness_variation.hspy", reader="HSPY")
    zlp = hs.load(data / "EELS_ZLP_linescan_simulated_thickness_variation.hspy", reader="HSPY")
    theirs = low.fourier_log_deconvolution(zlp, add_zlp=False, crop=True)
    their_energy = axis_of(theirs).energies_ev
    their_top = their_energy[
        theirs.data[:, their_energy > 5].argmax(axis=1) + (their_energy <= 5).sum()
    ]
    preprocessor, ours = prepared(low.data, axis_of(low))
    found = analysed(preprocessor, ours, kind="fourier_log")
    truth = np.log(low.data.sum(axis=1) / zlp.data.sum(axis=1))
    thick = (truth > 0.2) & (truth < 2.5)
    assert np.abs(found["plasmon energy"] - their_top)[thick].max() < 1.5
    np.testing.assert_allclose(found["t/lambda (Fourier-log)"][thick], truth[thick], rtol=0.05)
