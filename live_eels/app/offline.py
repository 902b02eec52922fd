"""The same pipeline over a file, as fast as it goes: no sockets, no threads.

Learns from the recording in raster order, then computes every pixel with the final basis,
exactly as a live scan is settled at its end; so the two give the same maps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from live_eels.app.beside import Beside
from live_eels.app.pipelines import ModelFinder, make_pipeline, one_blas_thread
from live_eels.app.session import Session
from live_eels.config import Config
from live_eels.io.recorder import Recorder
from live_eels.io.recording import Recording
from live_eels.maps import MapBoard
from live_eels.spectra import Chunk, ScanEnd

LEARN_PIXELS = 1024


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
    total = int(np.count_nonzero(recording.visits() > 0))
    recorder = Recorder(out, recording.as_one_pass()) if out is not None else None
    done = 0

    def copied() -> Iterator[Chunk]:
        for chunk in recording.chunks(LEARN_PIXELS):
            if recorder is not None:
                recorder.write(chunk)
            yield chunk

    for ready in beside.preparing.ahead(pipeline.prepare, copied()):
        pipeline.learn(ready)
        done += 0 if ready is None else len(ready.total)
        progress("learn", done, total)
    session.counters.visits = session.counters.pixels = session.analysed = done
    session.recorded = done if recorder else 0

    done = 0
    for result in pipeline.settle(recording.chunks):
        board.announce(pipeline.specs)
        board.update(result)
        done += len(result.pixels)
        progress("label", done, total)
    session.settled, session.finished, session.ended_s = done, True, time.monotonic()
    session.end = ScanEnd(scan.id, "complete" if done == scan.pixels else "aborted", done)
    session.snapshot = board.snapshot(pipeline.curves(), pipeline.scree, pipeline.components)
    session.problems += [e for e in pipeline.extra.errors if e not in session.problems]
    if recorder is not None:
        counters = {"visits": done, "spikes": pipeline.spikes.listed.tolist()}
        recorder.finish(session.end, session.snapshot, counters)
    return session
