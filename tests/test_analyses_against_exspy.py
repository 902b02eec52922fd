"""Mixtures and composition beside HyperSpy's and eXSpy's model fits, on simulated truth."""

import numpy as np
import pytest

from edge_scans import IONS, maps_of
from hyperspy_signals import exspy, hs, signal
from live_eels.analyses.references import shipped
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, EnergyAxis, Instrument, NavigationAxis, Scan, Signal

pytestmark = pytest.mark.filterwarnings("ignore")

AS_IT_IS = PreprocessSettings(align="none", spikes_sigma=0, find_bad_channels=False)
OPTICS = {"beam_energy_kev": 200.0, "convergence_mrad": 5.0, "collection_mrad": 20.0}


def ours(data, axis, config):
    pixels = NavigationAxis("x", len(data))
    scan = Scan("s", (pixels,), (Signal("core", axis, "f4"),), Instrument(**OPTICS))
    chunk = Chunk(scan, np.arange(len(data)), data)
    return maps_of(scan, chunk, config, settings=AS_IT_IS)


@pytest.mark.parametrize("level", [3.0, 10.0, 100.0])
def test_shares_are_nearer_the_truth_than_a_linear_fit(level):
    """White lines on as much background, which they take off first; all channels weigh alike."""
    axis = EnergyAxis(570.0, 0.4, 320)
    fit_ev, window_ev = (572.0, 626.0), (627.0, 690.0)
    rng, n = np.random.default_rng(0), 60
    references = shipped().on(IONS, axis, 0.8).astype(float)
    references /= references.max()
    truth = rng.dirichlet(np.ones(3), n)
    under = (axis.energies_ev / 640) ** -3.0
    data = rng.poisson(2 * level * (under + truth @ references)).astype(np.float32)
    config = {
        "kind": "mixing", "references": IONS, "resolution_ev": 0.8, "window_ev": window_ev,
        "background_ev": fit_ev,
    }  # fmt: skip
    maps = ours(data, axis, config)
    mine = np.stack([maps[f"share {ion}"] for ion in IONS], axis=1)
    net = signal(data, axis).remove_background(
        signal_range=fit_ev, background_type="PowerLaw", fast=True
    )
    model = net.isig[window_ev[0] : window_ev[1]].create_model(
        auto_background=False, auto_add_edges=False
    )
    for row in references[:, axis.window(*window_ev)]:
        pattern = signal(row[: model.axis.size], axis.cropped(axis.window(*window_ev)))
        part = hs.model.components1D.ScalableFixedPattern(pattern.inav[0], interpolate=False)
        part.shift.free = part.xscale.free = False
        model.append(part)
    model.multifit(optimizer="lstsq")
    theirs = np.stack([part.yscale.map["values"] for part in model], axis=1)
    theirs /= theirs.sum(axis=1, keepdims=True)
    there = np.isfinite(mine).all(axis=1)
    assert there.mean() > (0.6 if level < 10 else 0.95)
    off = np.sqrt(np.mean((mine - truth)[there] ** 2))
    assert off < 0.85 * np.sqrt(np.mean((theirs - truth)[there] ** 2))


@pytest.mark.parametrize("oxygen", [0.5, 0.6])
def test_composition_of_exspy_s_own_edges(oxygen):
    """Their hydrogenic O K and Mn L3 in these atoms; their fit knows the shape that made them."""
    axis, n = EnergyAxis(450.0, 0.5, 700), 40
    energy = axis.energies_ev
    sections = []
    for name in ("O_K", "Mn_L3"):
        edge = exspy.components.EELSCLEdge(name, GOS="hydrogenic")
        edge.set_microscope_parameters(*OPTICS.values(), axis.dispersion_ev)
        edge.fine_structure_active = False
        edge.intensity.value = 1
        sections.append(np.nan_to_num(edge.function(energy)))
    atoms = np.array([oxygen, 1 - oxygen]) / sections[0].max()
    expected = 300 * (2 * (energy / 550) ** -3.0 + atoms @ sections)
    data = np.random.default_rng(1).poisson(expected, (n, axis.size)).astype(np.float32)
    mine = ours(data, axis, {"kind": "quantify", "edges": ["O K", "Mn L"]})["O at. %"]
    spectra = signal(data, axis)
    spectra.set_microscope_parameters(*OPTICS.values())
    spectra.add_elements(("O", "Mn"))
    model = spectra.create_model(GOS="hydrogenic")
    for part in model:
        if hasattr(part, "fine_structure_active"):
            part.fine_structure_active = False
    model.multifit(kind="smart")
    counts = [model[name].intensity.map["values"] for name in ("O_K", "Mn_L3")]
    theirs = 100 * np.mean(counts[0] / (counts[0] + counts[1]))
    assert theirs == pytest.approx(100 * oxygen, abs=0.5)
    assert mine.mean() == pytest.approx(100 * oxygen, abs=1.5)
    assert mine.mean() == pytest.approx(theirs, abs=1.5)
