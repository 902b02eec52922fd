"""Scans to be recorded, counts that tell their pixel, and HyperSpy to read them back."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from live_eels.spectra import (
    Chunk,
    Curve,
    EnergyAxis,
    Instrument,
    MapSnapshot,
    MapSpec,
    NavigationAxis,
    Scan,
    Signal,
)

CHANNELS = 37
LOW_CHANNELS = 23


def make_scan(
    shape: tuple[int, ...] = (4, 5),
    *,
    dtype: str = "u2",
    low: bool = False,
    passes: int = 1,
    title: str = "LSMO 0421",
    channels: int = CHANNELS,
) -> Scan:
    signals = [Signal("core", EnergyAxis(620.0, 0.25, channels), dtype)]
    if low:
        signals.append(Signal("low", EnergyAxis(-2.0, 0.5, LOW_CHANNELS), dtype))
    names = "tzyx"[-len(shape) :] if shape else ""
    return Scan(
        id="0f0e0d0c-1111-4222-8333-444455556666",
        navigation=tuple(
            NavigationAxis(name, size, 0.5 + number, "nm", 10.0 * number)
            for number, (name, size) in enumerate(zip(names, shape, strict=True))
        ),
        signals=tuple(signals),
        instrument=Instrument(200.0, 24.0, 55.0, 0.002, 0.3, "Nion U200", "IRIS"),
        title=title,
        passes=passes,
        simulated=True,
    )


def make_counts(scan: Scan, role: str = "core", seed: int = 0) -> np.ndarray:
    """Counts over the whole range of the dtype, ``(scan pixels, channel)``."""
    chosen = scan.core if role == "core" else scan.low
    assert chosen is not None
    random = np.random.default_rng([seed, len(role)])
    shape = (scan.pixels, chosen.axis.size)
    if chosen.dtype[0] == "f":
        return random.normal(100, 50, shape).astype(chosen.dtype)
    limits = np.iinfo(chosen.dtype)
    return random.integers(limits.min, limits.max, shape, chosen.dtype, endpoint=True)


def make_chunk(scan: Scan, pixels: np.ndarray | list[int], seed: int = 0) -> Chunk:
    pixels = np.asarray(pixels, np.int64)
    low = None if scan.low is None else np.ascontiguousarray(make_counts(scan, "low", seed)[pixels])
    return Chunk(scan, pixels, np.ascontiguousarray(make_counts(scan, "core", seed)[pixels]), low)


def make_snapshot(scan: Scan) -> MapSnapshot:
    shape = scan.shape or (1,)
    label = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) % 3 - 1
    label.flat[0] = np.nan
    return MapSnapshot(
        scan=scan,
        version=7,
        specs={
            "label": MapSpec("label", "label", "", "oxidation state", ("Mn2+", "Mn3+")),
            "Fe L/total": MapSpec("Fe L/total", "intensity", "counts", "", (), (0.0, 9.0)),
        },
        maps={"label": label, "Fe L/total": np.full(shape, 2.5, np.float32)},
        curves={
            "factors": Curve(
                scan.core.axis,
                np.ones((2, scan.core.axis.size), np.float32),
                ("first", "second"),
            )
        },
        scree=np.array([4, 2, 1], np.float32),
        components=2,
    )


def hs_load(path: Path, **how: object) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import hyperspy.api as hs

        return hs.load(path, **how)
