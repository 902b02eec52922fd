"""Chunks that are read back from the recording of a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from live_eels.app.session import Session
from live_eels.spectra import Chunk


def recorded_chunk(session: Session, pixels: NDArray[np.int64]) -> Chunk:
    """Read pixels that were recorded."""
    recorder, low = session.recorder, session.scan.low
    assert recorder is not None  # only what was recorded is ever owed
    seen = recorder.visits("core")[pixels] > 0
    low_seen = recorder.visits("low")[pixels] > 0 if low else None
    return Chunk(
        session.scan,
        pixels,
        recorder.read(pixels),
        recorder.read(pixels, "low") if low else None,
        low_seen if low_seen is not None and not low_seen.all() else None,
        None if seen.all() else seen,
        summed=recorder.summed(pixels),
        low_summed=recorder.summed(pixels, "low") if low else None,
    )


def recorded_chunks(session: Session) -> Callable[[int], Iterator[Chunk]]:
    """Give what reads all that was recorded, in raster order in chunks of a size."""
    recorder = session.recorder
    assert recorder is not None
    seen = recorder.visits("core") > 0
    if session.scan.low:
        seen |= recorder.visits("low") > 0
    pixels = np.flatnonzero(seen)

    def chunks(size: int) -> Iterator[Chunk]:
        for start in range(0, len(pixels), size):
            yield recorded_chunk(session, pixels[start : start + size])

    return chunks
