"""Live analysis of electron energy-loss spectrum images.

Importing this costs numpy and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from live_eels.io.client import Client
    from live_eels.io.recording import Recording

__version__ = "0.1.0"


def connect(
    endpoint: str = "tcp://127.0.0.1:5556", control_endpoint: str | None = "tcp://127.0.0.1:5557"
) -> Client:
    """Listen to a running engine's maps; see ``live_eels.io.client.Client``."""
    from live_eels.io.client import Client

    return Client(endpoint, control_endpoint)


def open_recording(path: Path | str, low_loss: Path | str | None = None) -> Recording:
    """Open a recording (or any spectrum image that can be read), piece by piece.

    Raises
    ------
    FileError
        If it cannot be read; the text says what to do.
    """
    from live_eels.io.reader import open_recording

    return open_recording(path, low_loss)


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
    "connect",
    "open_recording",
]
