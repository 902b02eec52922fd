"""What the shipped analyses find in scans whose truth is known, and in measured spectra."""

import csv
from functools import cache

import numpy as np
import pytest

from edge_scans import CORE, IONS, LOW, low_loss, manganese, maps_of
from live_eels import analyses, edges
from live_eels.analyses.references import LibraryError, read, shipped
from live_eels.preprocess import Preprocessor
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import (
    Chunk,
    EnergyAxis,
    Instrument,
    NavigationAxis,
    Scan,
    Signal,
    WindowError,
)


@cache
def mixture(shares, snr):
    scan, chunk = manganese(np.array(shares), snr)
    return maps_of(
        scan,
        chunk,
        {"kind": "element", "edge": "Mn L"},
        {"kind": "mixing", "references": IONS},
        {"kind": "white_lines", "element": "Mn"},
    )


MIXES = [(1, 0, 0), (0.5, 0.5, 0), (0, 1, 0), (0, 0.6, 0.4), (0, 0, 1), (0.3, 0.3, 0.4)]


@pytest.mark.parametrize("shares", MIXES)
def test_valence_of_a_mixture_is_within_a_tenth_at_snr_20(shares):
    maps = mixture(shares, 20.0)
    assert np.median(maps["Mn L SNR"]) == pytest.approx(20, rel=0.35)
    truth = np.dot(shares, (2, 3, 4))
    assert np.nanmean(maps["Mn valence"]) == pytest.approx(truth, abs=0.04)
    off = maps["Mn valence"] - truth
    assert np.sqrt(np.nanmean(off**2)) < 0.07
    assert np.isfinite(maps["Mn valence"]).mean() > 0.98
    assert np.nanmean(maps["Mn MLLS chi-square"]) == pytest.approx(1.0, abs=0.2)


def test_the_valence_s_error_is_the_scatter():
    maps = mixture((0.3, 0.3, 0.4), 20.0)
    scatter = np.nanstd(maps["Mn valence"])
    assert np.nanmedian(maps["Mn valence error"]) == pytest.approx(scatter, rel=0.3)


@pytest.mark.parametrize("shares", MIXES[:5])
def test_valence_from_the_white_line_ratio(shares):
    """Mixtures of neighbours, at high dose; the error map says what lower dose costs."""
    maps = mixture(shares, 200.0)
    truth = np.dot(shares, (2, 3, 4))
    assert np.nanmedian(maps["Mn valence (L3/L2)"]) == pytest.approx(truth, abs=0.1)
    inside = 0 < shares.index(max(shares)) < 2 and max(shares) < 1
    if inside:
        scatter = np.nanstd(maps["Mn valence (L3/L2)"])
        assert np.nanmedian(maps["Mn valence (L3/L2) error"]) == pytest.approx(scatter, rel=0.6)
    position = np.nanmedian(maps["Mn L3 position"])
    assert 640 < position < 644.5


def test_what_references_lack_shows_in_the_residual():
    """Iron under manganese references: chi-square and residual rise."""
    scan, chunk = manganese(np.array([0.0, 1.0, 0.0]), 40.0)
    clean = maps_of(scan, chunk, {"kind": "mixing", "references": IONS})
    strange = chunk.counts.copy()
    strange[:, CORE.window(645.5, 648.5)] *= 1.3
    other = maps_of(
        scan,
        Chunk(scan, chunk.pixels, strange, chunk.low),
        {"kind": "mixing", "references": IONS},
        settings=PreprocessSettings(spikes_sigma=0, find_bad_channels=False),
    )
    assert np.mean(other["Mn MLLS chi-square"]) > 1.2 * np.mean(clean["Mn MLLS chi-square"])
    assert np.mean(other["Mn MLLS residual"]) > np.mean(clean["Mn MLLS residual"])


def test_every_edge_up_to_3_kev_gives_its_map():
    """By name, on an axis around it: the net counts put in, within their error; M and N too.

    Every fourth, and those that are most often mapped.
    """
    named = {"O K", "Mn L", "La M", "Ba M", "Au M", "Si K", "U N"}
    done = set()
    for number, edge in enumerate(edges.main_edges()):
        if edge.onset_ev < 60 or (number % 4 and edge.name not in named):
            continue  # below 60 eV a power law has no room above the zero loss
        start = edge.fit_ev[0] - 5
        axis = EnergyAxis(start, (edge.signal_ev[1] + 5 - start) / 400, 400)
        energy = axis.energies_ev
        expected = 300 * (energy / edge.onset_ev) ** -3.0
        step = 200 * (energy >= edge.onset_ev)
        core = np.random.default_rng(edge.atomic_number).poisson(expected + step, (12, 400))
        scan = Scan("e", (NavigationAxis("x", 12),), (Signal("core", axis, "f4"),))
        maps = maps_of(
            scan,
            Chunk(scan, np.arange(12), core.astype(np.float32)),
            {"kind": "element", "edge": edge.name},
            settings=PreprocessSettings(align="none", spikes_sigma=0, find_bad_channels=False),
        )
        inside = axis.window(*edge.signal_ev)
        error = maps[f"{edge.name} error"].mean() / np.sqrt(12)
        off = maps[edge.name].mean() - step[inside].sum()
        assert abs(off) < 5 * error, edge.name
        np.testing.assert_allclose(
            maps[f"{edge.name} SNR"], maps[edge.name] / maps[f"{edge.name} error"], rtol=1e-4
        )
        done.add(edge.name)
    assert named <= done
    assert len(done) > 40


@pytest.mark.parametrize("thickness", [0.1, 0.3, 1.0, 2.0, 3.0])
def test_thickness_within_three_percent_from_a_tenth_to_three(thickness):
    rows = np.random.default_rng(1).poisson(low_loss(np.full(100, thickness), 2e5))
    core = np.random.default_rng(2).poisson(100, (100, CORE.size))
    scan = Scan(
        "t", (NavigationAxis("x", 100),), (Signal("core", CORE, "f4"), Signal("low", LOW, "f4"))
    )
    chunk = Chunk(scan, np.arange(100), core.astype(np.float32), rows.astype(np.float32))
    config = {"kind": "thickness", "mean_free_path_nm": 100.0}
    maps = maps_of(scan, chunk, config, {"kind": "fourier_log"})
    assert np.mean(maps["t/lambda"]) == pytest.approx(thickness, rel=0.03)
    assert np.std(maps["t/lambda"]) == pytest.approx(np.mean(maps["t/lambda error"]), rel=0.3)
    np.testing.assert_allclose(maps["thickness"], 100 * maps["t/lambda"], rtol=1e-6)
    if thickness <= 2:
        assert np.mean(maps["t/lambda (Fourier-log)"]) == pytest.approx(thickness, rel=0.05)
        assert np.mean(maps["plasmon energy"]) == pytest.approx(21, abs=2.5)


def test_low_loss_analyses_say_that_there_is_none():
    scan = Scan("c", (), (Signal("core", CORE),))
    preprocessor = Preprocessor(scan)
    guarded = analyses.Guarded(
        analyses.load([{"kind": "thickness"}, {"kind": "fourier_log"},
                       {"kind": "fourier_ratio", "edge": "Mn L"}])
    )  # fmt: skip
    guarded.start(scan, preprocessor.axis, preprocessor.window, preprocessor.low_axis)
    assert len(guarded.errors) == 3
    assert all("low-loss" in error for error in guarded.errors)


def test_plural_scattering_does_not_change_a_deconvolved_edge():
    """Net counts after Fourier-ratio fall as the zero loss does, whatever the thickness."""
    nets = []
    for thickness in (0.2, 1.0):
        scan, chunk = manganese(np.array([0, 1.0, 0]), 300.0, thickness, n=20)
        maps = maps_of(
            scan,
            chunk,
            {"kind": "fourier_ratio", "edge": "Mn L"},
            {"kind": "element", "edge": "Mn L"},
        )
        nets.append((np.mean(maps["Mn L single scattering"]), np.mean(maps["Mn L"])))
    # single over all counts: less is left of a thicker specimen
    assert nets[1][0] / nets[1][1] < nets[0][0] / nets[0][1]


def test_composition_of_a_known_mixture():
    """O K and Mn L of given atoms by the same cross-sections: at. % comes back."""
    from live_eels.analyses.cross_sections import per_ev_barn
    from live_eels.edges import find

    axis = EnergyAxis(470.0, 0.5, 520)
    energy = axis.energies_ev
    optics = (200.0, 40.0)
    expected = 4e4 * (energy / 500) ** -3.0
    for name, atoms in (("O K", 60.0), ("Mn L", 40.0)):
        edge = find(name)
        after = energy >= edge.onset_ev
        expected[after] += 20 * atoms * per_ev_barn(edge, energy[after], *optics)
    core = np.random.default_rng(0).poisson(np.tile(expected, (200, 1))).astype(np.float32)
    scan = Scan(
        "q", (NavigationAxis("x", 200),), (Signal("core", axis, "f4"),),
        Instrument(beam_energy_kev=200.0, convergence_mrad=0.0, collection_mrad=40.0),
    )  # fmt: skip
    config = {"kind": "quantify", "edges": ["O K", "Mn L"], "fit_ev": {"Mn L": (600.0, 628.0)}}
    maps = maps_of(
        scan, Chunk(scan, np.arange(200), core), config,
        settings=PreprocessSettings(align="none", spikes_sigma=0),
    )  # fmt: skip
    total = maps["O at. %"] + maps["Mn at. %"]
    np.testing.assert_allclose(total[np.isfinite(total)], 100, rtol=1e-4)
    assert np.nanmean(maps["O at. %"]) == pytest.approx(60, abs=5)
    assert np.nanmedian(maps["O at. % error"]) == pytest.approx(np.nanstd(maps["O at. %"]), rel=0.4)
    unknown = Scan("u", scan.navigation, scan.signals)
    guarded = analyses.Guarded(analyses.load([config]))
    guarded.start(unknown, axis, slice(0, 520), None)
    assert "beam_energy_kev" in guarded.errors[0]


def test_a_user_s_own_references(tmp_path):
    library = shipped()
    file = tmp_path / "own.csv"
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["energy_eV", "a", "b"])
        for row in zip(library.energies_ev, *library.spectra[[1, 3]], strict=True):
            writer.writerow(row)
    scan, chunk = manganese(np.array([0.7, 0.0, 0.3]), 100.0, n=30)
    maps = maps_of(
        scan, chunk,
        {"kind": "mixing", "references": ["a", "b"], "library": str(file),
         "window_ev": [626, 668], "background_ev": [575, 625]},
    )  # fmt: skip
    assert np.mean(maps["share a"]) == pytest.approx(0.7, abs=0.03)
    bad = tmp_path / "bad.csv"
    bad.write_text("energy_eV,a\n1,2\n1,3\n")
    with pytest.raises(LibraryError):
        read(bad)
    with pytest.raises(LibraryError, match="Mn2"):
        library.on(("Co2+",), CORE, 0.8)
    with pytest.raises(WindowError, match="829"):
        library.on(("Mn2+",), EnergyAxis(700, 1.0, 300), 0.8)


@pytest.mark.parametrize("offset_ev", [11.0, 11.5])
def test_reduction_in_the_measured_line_scan(real_spectra, offset_ev):
    """La0.7Sr0.3MnO3, its middle (points 16 to 23) reduced by the beam by about 0.5.

    The absolute valence hangs on the axis (0.8 per eV of offset), the reduction does not.
    """
    h5py = pytest.importorskip("h5py")
    data = []
    for name in ("LSMO_linescan.hspy", "LSMO_linescan_low_loss.hspy"):
        with h5py.File(real_spectra / name) as opened:
            data.append(next(iter(opened["Experiments"].values()))["data"][:])
    signals = (
        Signal("core", EnergyAxis(428.5, 0.5, 586), "f4"),
        Signal("low", EnergyAxis(-50.0, 0.5, 1024), "f4"),
    )
    scan = Scan("lsmo", (NavigationAxis("x", 40),), signals)
    maps = maps_of(
        scan, Chunk(scan, np.arange(40), *data),
        {"kind": "mixing", "references": IONS, "window_ev": [630, 660]},
        {"kind": "thickness"},
        settings=PreprocessSettings(core_offset_ev=offset_ev, edges=("Mn L",)),
    )  # fmt: skip
    valence = maps["Mn valence"]
    ends, middle = np.r_[valence[:12], valence[-12:]].mean(), valence[17:22].mean()
    assert ends - middle > 0.3
    assert 15 <= np.argmin(valence) <= 23
    assert ((maps["t/lambda"] > 0.3) & (maps["t/lambda"] < 0.75)).all()
