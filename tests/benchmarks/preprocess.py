"""Preprocessing, step by step: spectra per second here and in HyperSpy/eXSpy, in one run.

Run ``python tests/benchmarks/preprocess.py [--json FILE] [--cpu]``; needs ``pip install
live-eels[test]``. ``--cpu`` counts processor time, which a busy machine changes least.
Dual EELS of 2048 core-loss and 1024 low-loss channels, uint16, chunks of 256; both sides on the
same spectra and the same cores; the best of seven repetitions.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from live_eels import analyses
from live_eels.kernels import deconvolve, prepare, rarity, spikes
from live_eels.kernels.correct import Correction
from live_eels.preprocess import Preprocessor
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, EnergyAxis, NavigationAxis, Scan, Signal

CORE, LOW = EnergyAxis(500.0, 0.25, 2048), EnergyAxis(-30.0, 0.25, 1024)
CHUNK = 256
WINDOW = Preprocessor(Scan("window", (), (Signal("core", CORE),))).window


def spectra(n: int) -> tuple[Scan, np.ndarray, np.ndarray]:
    """A Mn edge and a low loss with drift and noise."""
    rng = np.random.default_rng(0)
    drift = 0.4 * np.sin(np.arange(n) / 30.0)[:, None]
    energy = CORE.energies_ev - drift
    core = 200 * (energy / 500) ** -3 + 60 * np.exp(-0.5 * ((energy - 641) / 1.5) ** 2)
    core += 25 * np.exp(-0.5 * ((energy - 652) / 1.8) ** 2) + 20 / (1 + np.exp(640 - energy))
    energy = LOW.energies_ev - drift
    low = 3000 * np.exp(-0.5 * (energy / 0.4) ** 2) + 30 * np.exp(-0.5 * ((energy - 22) / 5) ** 2)
    core = rng.poisson(core).astype(np.uint16)
    core[::50, 700] += 3000
    # As many pixels as a real scan: bad channels are then looked for in a few of them only.
    scan = Scan("bench", (NavigationAxis("y", 256), NavigationAxis("x", 256)),
                (Signal("core", CORE), Signal("low", LOW)))  # fmt: skip
    return scan, core, rng.poisson(low).astype(np.uint16)


Clock = Callable[[], float]


def rate(work: Callable[[], object], n: int, repeats: int, clock: Clock) -> float:
    """Spectra per second of the best repetition, after one to warm up."""
    work()
    best = float("inf")
    for _ in range(repeats):
        start = clock()
        work()
        best = min(best, clock() - start)
    return n / best


def ours(clock: Clock) -> dict[str, float]:
    """Rates of each step alone on one chunk, and of the fused stage."""
    scan, core, low = spectra(CHUNK)
    n, size = core.shape
    plain = Preprocessor(scan, PreprocessSettings(align="none", spikes_sigma=0))
    everything = Preprocessor(scan)
    pixels = np.arange(n)
    chunk = Chunk(scan, pixels, core, low)
    single = Chunk(Scan("c", scan.navigation, scan.signals[:1]), pixels, core)
    alone = Preprocessor(single.scan)

    def correction(channels: int) -> Correction:
        one = np.ones(channels, np.float32)
        return Correction(0 * one, one, np.float32(65535), np.zeros(0, np.int32))

    everything.process(chunk)  # from now on it knows the scan's mean spectrum
    none, rare = rarity.threshold(0.0), rarity.threshold(4.78)
    known = everything._typical.reference
    out, shift = np.empty(core.shape, np.float32), np.full(n, 0.37, np.float32)
    found, where = np.zeros(n, np.int32), np.zeros((n, spikes.MOST_SPIKES), np.int32)
    flags = np.zeros(n, np.uint8)
    aligned, moved, width = np.empty(low.shape, np.float32), shift.copy(), shift.copy()

    def align() -> None:
        prepare.prepare_low(low, correction(1024), (40, 200), 120.0, 30.0, aligned, moved,
                            width, flags)  # fmt: skip
        prepare.prepare_core(core, correction(size), none, spikes.NO_REFERENCE, moved, out, found,
                             where, flags)  # fmt: skip

    def remove_spikes() -> None:
        prepare.prepare_core(core, correction(size), rare, known, 0 * shift, out, found, where,
                             flags)  # fmt: skip

    prepared = everything.process(chunk)
    signal, background = np.empty_like(prepared.signal), np.empty_like(prepared.background)
    quality = np.empty(n, np.float32)

    def subtract() -> None:
        prepare.subtract(prepared.counts, plain._fit, np.empty((0, 2)), plain.window.start, 0.0,
                         signal, background, quality, flags)  # fmt: skip

    fwhm, zlp = np.full(n, 4.0, np.float32), np.full(n, 1e4, np.float32)
    edge = np.ascontiguousarray(prepared.signal)  # the analysis window, as the live option does

    def ratio() -> None:
        deconvolve.fourier_ratio(edge, prepared.low, 120, fwhm, zlp)

    rates = {
        "alignment (low and core loss)": rate(align, n, 7, clock),
        "spikes": rate(remove_spikes, n, 7, clock),
        "background (power law)": rate(subtract, n, 7, clock),
        "deconvolution (Fourier-ratio)": rate(ratio, n, 7, clock),
        "all of it, core loss alone": rate(lambda: alone.process(single), n, 7, clock),
        "all of it, dual EELS pairs": rate(lambda: everything.process(chunk), n, 7, clock),
    }
    for name, config in (
        ("element map", {"kind": "element", "edge": "Mn L"}),
        ("thickness", {"kind": "thickness"}),
        ("white lines", {"kind": "white_lines", "element": "Mn"}),
        ("mixture of 3 references", {"kind": "mixing", "references": ["Mn2+", "Mn3+", "Mn4+"]}),
        ("single-scattering edge", {"kind": "fourier_ratio", "edge": "Mn L"}),
        ("Fourier-log", {"kind": "fourier_log"}),
    ):
        (analysis,) = analyses.load([config])
        analysis.start(scan, everything.axis, everything.window, everything.low_axis)
        rates[name] = rate(lambda made=analysis: made.update(prepared), n, 3, clock)
    return rates


def theirs(clock: Clock, n: int = 256) -> dict[str, float]:
    """The same steps by HyperSpy and eXSpy."""
    import exspy  # noqa: F401  (registers the EELS signals)
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    logging.getLogger("hyperspy").setLevel(logging.ERROR)
    logging.getLogger("exspy").setLevel(logging.ERROR)
    _, core, low = spectra(n)

    def signal(data: np.ndarray, axis: EnergyAxis) -> object:
        made = hs.signals.Signal1D(data.astype(np.float32).reshape(16, n // 16, -1))
        made.set_signal_type("EELS")
        energy = made.axes_manager.signal_axes[0]
        energy.offset, energy.scale, energy.units = axis.offset_ev, axis.dispersion_ev, "eV"
        return made

    def align() -> None:
        low_signal, core_signal = signal(low, LOW), signal(core, CORE)
        low_signal.align_zero_loss_peak(
            also_align=[core_signal], print_stats=False, show_progressbar=False, crop=False,
            signal_range=(-20.0, 20.0),
        )  # fmt: skip

    def spikes() -> None:
        signal(core, CORE).spikes_removal_tool(interactive=False, threshold=200.0)

    def subtract() -> None:
        signal(core, CORE).remove_background(
            signal_range=(578.0, 629.0), background_type="PowerLaw", fast=True,
            show_progressbar=False,
        )  # fmt: skip

    def ratio() -> None:
        signal(core[:, WINDOW], CORE).fourier_ratio_deconvolution(
            signal(low, LOW), fwhm=1.0, threshold=3.0, extrapolate_lowloss=False,
            extrapolate_coreloss=False,
        )  # fmt: skip

    steps = {
        "alignment (low and core loss)": align,
        "spikes": spikes,
        "background (power law)": subtract,
        "deconvolution (Fourier-ratio)": ratio,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: rate(step, n, 7, clock) for name, step in steps.items()}


def main() -> None:
    """Print the table; write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--cpu", action="store_true", help="per second of processor time")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu else time.perf_counter
    mine, others = ours(clock), theirs(clock)
    threads = os.environ.get("NUMBA_NUM_THREADS", str(os.cpu_count()))
    print(f"{threads} threads\n")
    print("| step | live_eels, spectra/s | HyperSpy/eXSpy, spectra/s | ratio |")
    print("|---|---|---|---|")
    for name, value in mine.items():
        other = others.get(name)
        ratio = f"{value / other:.0f}" if other else ""
        print(f"| {name} | {value:,.0f} | {f'{other:,.0f}' if other else ''} | {ratio} |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"live_eels": mine, "hyperspy": others}, indent=1))


if __name__ == "__main__":
    main()
