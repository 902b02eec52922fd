"""The same pipeline over a file, as fast as it goes: no sockets, no threads.

Looks at the few pixels that tell the preprocessing what it must know of all, learns from the
recording in raster order, then computes every pixel with the final basis, exactly as a live scan
is settled at its end; so the two give the same maps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from live_eels.app.beside import Beside
from live_eels.app.pipelines import ModelFinder, make_pipeline, one_blas_thread
from live_eels.app.session import Session
from live_eels.config import Config
from live_eels.io.recorder import Recorder
from live_eels.io.recording import Recording
from live_eels.maps import MapBoard
from live_eels.spectra import Chunk, ScanEnd

SURVEY_PIXELS = 1024


def process(
    recording: Recording,
    config: Config,
    *,
    out: Path | None = None,
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> Session:
    """Analyse a recorded scan.

    Parameters
    ----------
    recording
        Open recording.
    config
        Settings of the stages.
    out
        Where to write counts and maps as a new recording; None: nowhere.
    progress
        Called with ``learn`` or ``label``, pixels done, pixels in all.

    Returns
    -------
    Session
        With its last snapshot, counters and problems.
    """
    with one_blas_thread():
        return _process(recording, config, out, progress)


def _process(
    recording: Recording,
    config: Config,
    out: Path | None,
    progress: Callable[[str, int, int], None],
) -> Session:
    scan = recording.scan
    session = Session(scan, 1, time.monotonic(), time.time(), keep=out is not None, path=out)
    beside = Beside()
    models = ModelFinder(config.classify.model)
    pipeline = session.pipeline = make_pipeline(session, config, models, beside)
    board = session.board = MapBoard(scan, pipeline.specs)
    recorder = Recorder(out, recording.as_one_pass()) if out is not None else None
    pixels = recording.recorded
    passes = iter(("learn", "label"))

    def chunks(size: int) -> Iterator[Chunk]:
        phase, done = next(passes), 0
        for chunk in recording.chunks(size):
            if recorder is not None and phase == "learn":
                recorder.write(chunk)
            yield chunk
            done += len(chunk.pixels)
            progress(phase, done, len(pixels))

    survey = recording.chunks(SURVEY_PIXELS, pipeline.preprocessor.telling(pixels))
    for _ in beside.preparing.ahead(pipeline.prepare, survey):
        pass
    done = 0
    for result in pipeline.settle(chunks, afresh=True):
        board.announce(pipeline.specs)
        board.update(result)
        done += len(result.pixels)
    session.counters.visits = session.counters.pixels = session.analysed = done
    session.recorded = done if recorder else 0
    session.settled, session.finished, session.ended_s = done, True, time.monotonic()
    session.end = ScanEnd(scan.id, "complete" if done == scan.pixels else "aborted", done)
    session.snapshot = board.snapshot(pipeline.curves(), pipeline.scree, pipeline.components)
    session.problems += [e for e in pipeline.extra.errors if e not in session.problems]
    if recorder is not None:
        counters = {"visits": done, "spikes": pipeline.spikes.listed.tolist()}
        recorder.finish(session.end, session.snapshot, counters)
    return session
