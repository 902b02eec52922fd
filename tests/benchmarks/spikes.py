"""X-ray spikes: how many of ten sigma are found, and how many channels are taken for one by chance.

Run ``python tests/benchmarks/spikes.py [--pixels N]``. Scans of Poisson counts on flat and sloping
spectra, with an edge and with sharp lines, at 0.3 to 1e5 counts per channel (at the spectrum's
lowest); brightness varies by 30 % from pixel to pixel. Every scan is prepared twice: clean, and
with a spike of ten local standard deviations (rounded up) in one pixel of four, half of them on
lines. What is printed is of the second pass, as at the end of a scan, then of the first, as live.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import poisson

from live_eels.preprocess import Preprocessor
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, EnergyAxis, NavigationAxis, Scan, Signal

CHANNELS = 2048
LEVELS = (0.3, 1, 3, 10, 100, 1e4, 1e5)
SHAPES: tuple[tuple[str, float, float], ...] = (
    ("flat", 0.25, 0.0),
    ("slope", 0.25, 0.0),
    ("edge", 0.25, 0.0),
    ("lines", 0.1, 0.5),
    ("lines", 0.1, 2.0),
    ("lines", 0.5, 0.5),
    ("lines", 0.5, 1.0),
    ("lines", 0.5, 2.0),
)
"""Kind, dispersion in eV, full width of the lines in eV."""


def expected(kind: str, dispersion_ev: float, width_ev: float) -> np.ndarray:
    """Counts by channel, at least 1."""
    energy = 500 + dispersion_ev * np.arange(CHANNELS)
    if kind == "flat":
        return np.ones(CHANNELS)
    x = (energy / 500) ** -3.0
    middle = 500 + dispersion_ev * 900.3
    if kind != "slope":
        x *= 1 + 0.5 / (1 + np.exp(-np.clip((energy - middle) / 0.8, -50, 50)))
    if kind == "lines":
        for at, height in ((0.0, 4.0), (11.0, 2.0)):
            x += height * np.exp(-0.5 * ((energy - middle - at) * 2.355 / width_ev) ** 2)
    return np.asarray(x / x.min())


def ideal(rate: np.ndarray, spike: np.ndarray) -> np.ndarray:
    """Chance that a spike of so many counts is found by who knows the rate; 1e-6 false ones."""
    least = poisson.isf(1e-6, rate) + 1
    assert (poisson.sf(least - 1, rate) <= 1e-6).all()
    return np.asarray(poisson.sf(least - spike - 1, rate))


def passes(counts: np.ndarray) -> list[set[tuple[int, int]]]:
    """Spikes found in the first pass and in the second."""
    axis = EnergyAxis(500.0, 0.25, CHANNELS)
    scan = Scan("spikes", (NavigationAxis("x", len(counts)),), (Signal("core", axis, "f4"),))
    preprocessor = Preprocessor(
        scan, PreprocessSettings(align="none", background="none", find_bad_channels=False)
    )
    found = []
    for _ in range(2):
        prepared = preprocessor.process(Chunk(scan, np.arange(len(counts)), counts))
        assert prepared.spikes is not None
        found.append({(int(pixel), int(channel)) for pixel, channel in prepared.spikes})
        preprocessor.freeze()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", type=int, default=700)
    n = parser.parse_args().pixels
    rng = np.random.default_rng(0)
    of_level: dict[float, list[tuple[float, float, float]]] = {level: [] for level in LEVELS}
    print("| shape | counts | ideal | found | on lines | false per million | live: found | false |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, dispersion_ev, width_ev in SHAPES:
        shape = expected(kind, dispersion_ev, width_ev)
        steep = np.flatnonzero(shape > 1.2 * np.median(shape)) if width_ev else np.arange(CHANNELS)
        for level in LEVELS:
            rows = level * shape * rng.uniform(0.7, 1.3, (n, 1)) / 0.7
            clean = rng.poisson(rows).astype(np.float32)
            live, last = passes(clean)
            hit = np.arange(0, n, 4)
            at = rng.integers(0, CHANNELS, len(hit))
            at[::2] = rng.choice(steep, len(at[::2]))
            spiked = clean.copy()
            size = np.ceil(10 * np.sqrt(rows[hit, at]))
            spiked[hit, at] += size
            best = ideal(rows[hit, at], size).mean()
            live_put, last_put = passes(spiked)
            put = list(zip(hit.tolist(), at.tolist(), strict=True))
            recall = np.array([pair in last_put for pair in put])
            live_recall = np.mean([pair in live_put for pair in put])
            million = 1e6 / clean.size
            name = f"{width_ev:g} eV lines, {dispersion_ev:g} eV" if width_ev else kind
            print(
                f"| {name} | {level:g} | {best:.3f} | {recall.mean():.3f} "
                f"| {recall[::2].mean():.3f} | {len(last) * million:.2f} "
                f"| {live_recall:.3f} | {len(live) * million:.2f} |",
                flush=True,
            )
            of_level[level].append((best, recall.mean(), len(last) * million))
    print("\nof all shapes at the end of the scan\n")
    print("| counts | ideal | found | false per million |")
    print("|---|---|---|---|")
    for level, of_shape in of_level.items():
        ideally, found, false = np.mean(of_shape, axis=0)
        print(f"| {level:g} | {ideally:.3f} | {found:.3f} | {false:.2f} |")
    print(f"\n{len(SHAPES) * n * CHANNELS / 1e6:.0f} million channels looked at, at each level")


if __name__ == "__main__":
    main()
