"""The record thread: owns the recording while its scan runs.

Raw counts are written before anything else touches them. A chunk that the analysis has no
room for is not kept in memory: its pixels are owed, and read back from the recording.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections import ChainMap
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from live_eels.app.queues import Closed, Edge
from live_eels.app.receive import Item
from live_eels.app.session import Session
from live_eels.config import RecordSettings
from live_eels.io.recorder import Recorder, RecorderError
from live_eels.pipeline import Pipeline
from live_eels.shown import exact_clusters
from live_eels.spectra import Chunk, MapSnapshot, Scan, ScanEnd


class RecordThread:
    """Writes every chunk and hands it on to the analysis.

    Parameters
    ----------
    inbox, out
        Edges from the receive thread and to the analyse thread.
    settings
        Where recordings go.
    config_text
        Gives the configuration as it stands, kept in each recording.
    """

    def __init__(
        self,
        inbox: Edge[Item],
        out: Edge[Item],
        settings: RecordSettings,
        config_text: Callable[[], str],
    ) -> None:
        self._inbox, self._out = inbox, out
        self._settings, self._config_text = settings, config_text

    def run(self) -> None:
        """Record until the inbox is closed."""
        try:
            while True:
                item = self._inbox.get()
                if item is not None:
                    self._take(*item)
        except Closed:
            pass
        finally:
            self._out.close()

    def _take(self, session: Session, item: Scan | Chunk | ScanEnd) -> None:
        match item:
            case Scan():
                self._open(session)
                self._out.put((session, item))
            case Chunk():
                self._write(session, item)
            case ScanEnd():
                self._out.put((session, item))  # the recorder goes with it

    def _open(self, session: Session) -> None:
        try:
            folder = Path(self._settings.folder)
            if not session.keep:
                folder = session.temporary = Path(tempfile.mkdtemp(prefix="live_eels_"))
            session.path = unused_path(folder, self._name(session))
            session.recorder = Recorder(
                session.path,
                session.scan,
                config_text=self._config_text(),
                flush_every_s=self._settings.flush_s,
            )
        except (RecorderError, OSError) as error:
            self._failed(session, error)

    def _name(self, session: Session) -> str:
        return self._settings.name.format(
            title=session.scan.title or "scan",
            time=time.strftime("%Y-%m-%d_%H%M%S", time.localtime(session.started_unix_s)),
            number=session.number,
            id=session.scan.id,
        )

    def _write(self, session: Session, chunk: Chunk) -> None:
        if session.recorder is not None and not session.record_error:
            try:
                visits = chunk.visits
                chunk = session.recorder.write(chunk)
                session.recorded += visits
            except RecorderError as error:
                self._failed(session, error)
        weight = chunk.counts.nbytes + (0 if chunk.low is None else chunk.low.nbytes)
        if session.recorder is None or session.record_error:
            self._out.put((session, chunk), weight)  # nothing to read it back from
        elif not self._out.offer((session, chunk), weight):
            session.shed += len(chunk.pixels)
            session.owed.add(chunk.pixels, learn=True)

    def _failed(self, session: Session, error: Exception) -> None:
        """Say so, loudly; the analysis goes on, and can still read what was written."""
        session.record_error = str(error)
        session.problem(f"NOT RECORDED: {error}")
        if session.recorder is not None:
            session.recorder.close()


def as_written(snapshot: MapSnapshot, pipeline: Pipeline) -> MapSnapshot:
    """The same with every pixel in its cluster, shown or not, and no number that is not used."""
    spec, values = exact_clusters(pipeline.known)
    others = cast("dict[str, NDArray[np.float32]]", snapshot.maps)  # still put together when read
    return replace(
        snapshot,
        specs={**snapshot.specs, spec.name: spec},
        maps=ChainMap({spec.name: values.reshape(snapshot.scan.shape or (1,))}, others),
        changed={**snapshot.changed, spec.name: snapshot.version},
    )


def finish_recording(
    session: Session, snapshot: MapSnapshot | None, end: ScanEnd, folder: Path
) -> None:
    """Write the end of a scan into its file, and keep in ``folder`` what is to be kept after all.

    For the thread that analyses, once the last map is made. What goes wrong the user is told.
    """
    recorder = session.recorder
    if recorder is None or not session.keep:
        return
    try:
        counters = asdict(session.counters) | {"shed": session.shed}
        if session.pipeline is not None:
            counters["spikes"] = session.pipeline.spikes.listed.tolist()
        recorder.finish(end, snapshot, counters)
        if session.temporary is None:
            return
        folder.mkdir(parents=True, exist_ok=True)  # the user changed their mind while it ran
        if session.path == recorder.path:
            session.path = unused_path(folder, recorder.path.stem)
        assert session.path is not None
        shutil.copyfile(recorder.path, session.path)
    except (RecorderError, OSError) as error:
        session.problem(str(error))


def unused_path(folder: Path, name: str) -> Path:
    """Path of a file that does not exist yet; whatever is odd in ``name`` becomes ``_``."""
    stem = re.sub(r"[^\w.+-]+", "_", name).strip("._")[:120] or "scan"
    path, again = folder / f"{stem}.hspy", 1
    while path.exists():
        again += 1
        path = folder / f"{stem}_{again}.hspy"
    return path
