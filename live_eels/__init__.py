"""Live analysis of electron energy-loss spectrum images.

Importing this costs numpy and nothing else.
"""

from live_eels.spectra import (
    Chunk,
    ChunkResult,
    Curve,
    EnergyAxis,
    Instrument,
    Labels,
    MapSnapshot,
    MapSpec,
    NavigationAxis,
    Prepared,
    Scan,
    ScanEnd,
    Signal,
    Spectra,
    WindowError,
)

__version__ = "0.1.0"

__all__ = [
    "Chunk",
    "ChunkResult",
    "Curve",
    "EnergyAxis",
    "Instrument",
    "Labels",
    "MapSnapshot",
    "MapSpec",
    "NavigationAxis",
    "Prepared",
    "Scan",
    "ScanEnd",
    "Signal",
    "Spectra",
    "WindowError",
]
