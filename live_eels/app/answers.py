"""Spectra for the page: read from the recording and processed as the pipeline does it.

Runs on the viewer's threads, never on the analyse thread.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from live_eels import control
from live_eels.app.session import Session
from live_eels.io.viewer import SpectrumAnswer
from live_eels.preprocess import Preprocessor
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, EnergyAxis, WindowError

MAX_PIXELS = 4096
"""Of a larger region this many pixels, evenly drawn, are averaged."""


def spectrum_answer(
    session: Session,
    settings: PreprocessSettings,
    pixels: NDArray[np.int64],
    kernels: AbstractContextManager[Any],
) -> SpectrumAnswer:
    """Average spectra of a scan.

    Parameters
    ----------
    kernels
        Held while parallel kernels run.

    Raises
    ------
    LookupError
        If the scan was not recorded or none of the pixels has been seen.
    """
    recorder, scan = session.recorder, session.scan
    if recorder is None:
        raise LookupError("this scan is not recorded, so its spectra cannot be read back")
    asked = len(pixels)
    inside = pixels[(pixels >= 0) & (pixels < scan.pixels)]
    visits = recorder.visits("core")
    seen = np.unique(inside[visits[inside] > 0])
    if len(seen) == 0:
        raise LookupError("not scanned yet")
    note = ""
    if len(seen) > MAX_PIXELS:
        seen = seen[np.linspace(0, len(seen) - 1, MAX_PIXELS).astype(int)]
        note = f"mean of {MAX_PIXELS} pixels drawn evenly from the region"
    raw = recorder.read(seen)
    low = recorder.read(seen, "low") if scan.low else None
    preprocessor = _preprocessor(session, settings)
    chunk = Chunk(
        scan, seen, raw, low, summed=recorder.summed(seen),
        low_summed=recorder.summed(seen, "low") if scan.low else None,
    )  # fmt: skip
    with kernels:
        prepared = preprocessor.process(chunk)
    n = len(seen)
    window = prepared.window
    background = np.full(prepared.axis.size, np.nan, np.float32)
    signal = background.copy()
    background[window] = prepared.background.mean(axis=0)
    signal[window] = prepared.signal.mean(axis=0)
    fitted = preprocessor.background_window is not None
    return SpectrumAnswer(
        axis=scan.core.axis,
        raw=raw.mean(axis=0, dtype=np.float64).astype(np.float32),
        n=n,
        asked=asked,
        error=_error_of_mean(raw),
        processed_axis=prepared.axis,
        processed=prepared.counts.mean(axis=0),
        background=background if fitted else None,
        signal=signal if fitted else None,
        visits=int(visits[seen].sum()),
        note=note,
    )


def spectrum_reply(answer: SpectrumAnswer) -> control.Spectrum:
    """The answer as it goes over the control socket."""

    def packed(values: NDArray[np.float32] | None) -> bytes | None:
        return None if values is None else values.astype("<f4").tobytes()

    processed = answer.processed_axis
    return control.Spectrum(
        offset_ev=answer.axis.offset_ev,
        dispersion_ev=answer.axis.dispersion_ev,
        raw=answer.raw.astype("<f4").tobytes(),
        n=answer.n,
        asked=answer.asked,
        visits=answer.visits,
        note=answer.note,
        error=packed(answer.error),
        processed_offset_ev=processed.offset_ev if processed else None,
        processed=packed(answer.processed),
        background=packed(answer.background),
        signal=packed(answer.signal),
    )


def spectrum_from(reply: control.Spectrum) -> SpectrumAnswer:
    """The answer as it came over the control socket."""

    def unpacked(values: bytes | None) -> NDArray[np.float32] | None:
        return None if values is None else np.frombuffer(values, "<f4").astype(np.float32)

    raw = np.frombuffer(reply.raw, "<f4").astype(np.float32)
    axis = EnergyAxis(reply.offset_ev, reply.dispersion_ev, len(raw))
    offset_ev = reply.processed_offset_ev
    return SpectrumAnswer(
        axis=axis,
        raw=raw,
        n=reply.n,
        asked=reply.asked,
        error=unpacked(reply.error),
        processed_axis=None if offset_ev is None else replace(axis, offset_ev=offset_ev),
        processed=unpacked(reply.processed),
        background=unpacked(reply.background),
        signal=unpacked(reply.signal),
        visits=reply.visits,
        note=reply.note,
    )


def _preprocessor(session: Session, settings: PreprocessSettings) -> Preprocessor:
    """One of its own, so that nothing here touches the running pipeline's state."""
    try:
        return Preprocessor(session.scan, settings)
    except WindowError:
        return Preprocessor(session.scan, PreprocessSettings(background="none", align="none"))


def _error_of_mean(raw: NDArray[Any]) -> NDArray[np.float32]:
    """One standard deviation of the mean, from the spread where there are pixels enough."""
    n = len(raw)
    values = raw.astype(np.float64)
    if n < 8:
        error = np.sqrt(np.maximum(values.sum(axis=0), 0.0)) / n
    else:
        error = values.std(axis=0, ddof=1) / np.sqrt(n)
    return np.asarray(error, np.float32)
