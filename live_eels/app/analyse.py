"""The analyse thread: owns the pipelines, the maps and every parallel kernel.

It takes chunks as they come; when there are none it works off what it owes (pixels that came
too fast, pixels to be labelled anew) from the recording. When a scan ends it computes every
pixel once more with the final basis and closes the recording; when the maps show what is written
there (pixels change their colour a few at a time), it calls the scan done.
Commands that touch the analysis run here, between chunks.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from live_eels.app.beside import Beside
from live_eels.app.queues import Closed, Edge
from live_eels.app.receive import Item
from live_eels.app.record import as_written, finish_recording
from live_eels.app.recorded import recorded_chunk, recorded_chunks
from live_eels.app.session import Session
from live_eels.io.publisher import Publisher
from live_eels.maps import MapBoard
from live_eels.pipeline import Pipeline
from live_eels.ready import Ready
from live_eels.recolouring import AT_MOST
from live_eels.spectra import Chunk, ChunkResult, MapSnapshot, Scan, ScanEnd

T = TypeVar("T")

OWED_PIXELS = 1024
"""Owed pixels are analysed in blocks of this size, so that new chunks wait no longer."""

FOLLOW_SHARE = 0.1
"""Earlier pixels that follow a new basis take no more than this of a busy thread's time."""

SNAPSHOT_SHARE = 0.05
"""Snapshots take no more than this share of the thread's time, whatever the map size."""


class Prepared(NamedTuple):
    """A chunk under way on the thread that prepares."""

    pipeline: Pipeline
    chunk: Chunk
    result: Callable[[], Ready | None]


class AnalyseThread:
    """Runs the pipeline of the scan in progress.

    Parameters
    ----------
    inbox
        Edge from the record thread.
    make_pipeline
        Builds the pipeline of a session; raises nothing for a user's mistake but notes it.
    publisher
        Where results go, or None.
    rate_hz
        Snapshots per second, at most.
    folder
        Where recordings are kept.
    on_finished
        Called with a session whose last map is made.
    """

    def __init__(
        self,
        inbox: Edge[Item],
        make_pipeline: Callable[[Session], Pipeline],
        publisher: Publisher | None,
        rate_hz: float,
        folder: Path,
        on_finished: Callable[[Session], None],
    ) -> None:
        self._inbox, self._make_pipeline = inbox, make_pipeline
        self._publisher, self._rate_hz = publisher, rate_hz
        self._folder, self._on_finished = folder, on_finished
        self._commands: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._sessions: list[Session] = []
        self._snapshot_due_s = 0.0
        self._kernels: AbstractContextManager[Any] = nullcontext()
        self.beside = Beside(news=inbox.wake)
        self._prepared: Prepared | None = None
        self._follow_due_s = 0.0
        self._stale: Session | None = None
        self._over = False
        self._changes = 0  # by commands; a settling that one of them interrupts begins again

    def run(self, kernels: AbstractContextManager[Any] | None = None) -> None:
        """Analyse until the inbox is closed and nothing is owed.

        Parameters
        ----------
        kernels
            Held while parallel kernels run.
        """
        self._kernels = kernels or nullcontext()
        open_ = True
        while open_ or self._work_waits():
            try:
                item = self._inbox.get(self._patience_s())
            except Closed:
                open_, item = False, None
                self._hurry()
            if item is None:
                self._between()
                self._catch_up()
            while item is not None:
                following = self._inbox.get_now()
                self._take(*item, following)
                item = following
                self._between()
        self._obey()
        if self._stale is not None:
            self._refresh(self._stale)

    def _between(self) -> None:
        """What is done between two chunks: commands; earlier pixels follow; maps are shown."""
        self._obey()
        self._follow()
        if self._stale is not None and time.monotonic() >= self._snapshot_due_s:
            self._refresh(self._stale)

    def ask(self, what: Callable[[], T]) -> Future[T]:
        """Run ``what`` on this thread, between chunks."""
        future: Future[T] = Future()
        self._commands.append((what, future))
        if self._over:  # asked after it is in the queue: else nobody might answer it
            self._refuse()
        self._inbox.wake()
        return future

    def over(self) -> None:
        """Leave nobody waiting: the thread ends, however it came to that."""
        self._over = True
        self._refuse()

    def _refuse(self) -> None:
        while self._commands:
            _, future = self._commands.popleft()
            if future.set_running_or_notify_cancel():
                future.set_exception(LookupError("the engine has stopped"))

    def stale(self, session: Session) -> None:
        """Have a snapshot taken soon: something was changed (for commands on this thread)."""
        self._stale = session

    def changed(self, session: Session) -> None:
        """Show a scan soon, and settle it (once more) with what was changed."""
        self._stale = session
        self._changes += 1
        session.following = False
        if session.finished and session.recorder is not None:
            session.finished, session.settled = False, 0
            self._sessions.insert(0, session)

    def again(self, session: Session, *, learn: bool) -> None:
        """Owe every recorded pixel once more (for commands on this thread)."""
        if session.recorder is None:
            return
        if learn:
            session.owed.clear()
            session.analysed = 0
        session.owed.add(np.flatnonzero(session.recorder.visits("core") > 0), learn=learn)
        self.changed(session)

    # Waiting

    def _work_waits(self) -> bool:
        return any(not session.finished for session in self._sessions)

    def _patience_s(self) -> float | None:
        """How long to wait for a chunk: not at all while something is owed."""
        for session in self._sessions:
            if session.owed.pixels or session.to_settle or session.behind:
                return 0.0
        if self._stale is not None:
            return max(self._snapshot_due_s - time.monotonic(), 0.0)
        return None

    def _obey(self) -> None:
        while self._commands:
            what, future = self._commands.popleft()
            if not future.set_running_or_notify_cancel():
                continue  # the asker waits no longer
            try:
                future.set_result(what())
            except Exception as error:  # the asker's to handle
                future.set_exception(error)

    # Work

    def _take(self, session: Session, item: Scan | Chunk | ScanEnd, following: Item | None) -> None:
        match item:
            case Scan():
                self._hurry()
                session.pipeline = self._make_pipeline(session)
                session.board = MapBoard(session.scan, session.pipeline.specs)
                self._sessions.append(session)
                self._show(session)
            case Chunk():
                ready = self._ready(session, item, learn=True)
                self._prepare(following)
                self._analyse(session, item, ready, learn=True)
            case ScanEnd():
                pass  # session.end says so; what is owed comes first

    def _prepare(self, following: Item | None) -> None:
        """Have the next chunk prepared while this one is analysed."""
        if following is None:
            return
        session, chunk = following
        pipeline = session.pipeline
        if pipeline is not None and isinstance(chunk, Chunk):
            result = self.beside.preparing.begin(lambda: pipeline.prepare(chunk))
            self._prepared = Prepared(pipeline, chunk, result)

    def _ready(self, session: Session, chunk: Chunk, *, learn: bool) -> Ready | None:
        """The chunk as prepared meanwhile, or prepared now."""
        prepared, self._prepared = self._prepared, None
        pipeline = session.pipeline
        assert pipeline is not None
        with self._kernels:
            ready = prepared.result() if prepared is not None else None
            # A command may have replaced the pipeline since.
            if prepared is None or prepared.pipeline is not pipeline or prepared.chunk is not chunk:
                ready = pipeline.prepare(chunk, learn=learn)
            return ready

    def _analyse(self, session: Session, chunk: Chunk, ready: Ready | None, *, learn: bool) -> None:
        pipeline, board = session.pipeline, session.board
        assert pipeline is not None
        assert board is not None
        with self._kernels:
            result = pipeline.take(ready, learn=learn)
        if learn:
            session.analysed += chunk.visits
            if len(result.pixels):
                session.last_shift_ev = float(result.maps["shift"][-1])
        self._land(session, board, pipeline, result)
        session.owe_outdated()
        if np.isfinite(chunk.received_s):
            session.lags_s.append(time.monotonic() - chunk.received_s)

    def _land(
        self, session: Session, board: MapBoard, pipeline: Pipeline, result: ChunkResult
    ) -> None:
        board.announce(pipeline.specs)
        board.update(pipeline.as_shown(result))
        if self._publisher is not None:
            self._publisher.pixels(session.scan.id, result)
        self._stale = session

    def _follow(self) -> None:
        """Let some earlier pixels follow the newest basis; little of the time while busy."""
        start_s = time.monotonic()
        if start_s < self._follow_due_s and not self._inbox.empty:
            return
        for session in (one for one in self._sessions if one.behind):
            pipeline, board = session.pipeline, session.board
            assert pipeline is not None
            assert board is not None
            part = next(pipeline.refreshed(), None)
            session.owe_outdated()
            board.announce(pipeline.specs)
            if part is not None:
                board.update(part)
            self._stale = session
            now_s = time.monotonic()
            self._follow_due_s = now_s + (now_s - start_s) / FOLLOW_SHARE
            return

    def _catch_up(self) -> None:
        """Do one block of what is owed, oldest scan first; then end scans that are over."""
        for session in self._sessions:
            owed = session.owed.take(OWED_PIXELS)
            if owed is not None:
                pixels, learn = owed
                chunk = recorded_chunk(session, np.unique(pixels))
                ready = self._ready(session, chunk, learn=learn)
                self._analyse(session, chunk, ready, learn=learn)
                return
            if session.to_settle:
                self._finish(session)
                return

    # The end of a scan

    def _finish(self, session: Session) -> None:
        """Settle every pixel and write the end of the recording.

        Commands are served between blocks; one that changes what is computed ends this here,
        and it begins again when what is owed by then has been analysed. Once it is settled its
        maps follow, and then the scan is done.
        """
        changes = self._changes
        pipeline, board = session.pipeline, session.board
        assert pipeline is not None
        assert board is not None
        if session.recorder is not None and session.analysed:
            results = self._interruptible(pipeline.settle(recorded_chunks(session)))
            for result in results:
                if self._changes != changes:
                    session.settled = 0
                    results.close()
                    return
                session.settled += len(result.pixels)
                self._land(session, board, pipeline, result)
                if time.monotonic() >= self._snapshot_due_s:
                    self._show(session)
        session.following = True
        watched = session is self._sessions[-1]
        self._show(session, AT_MOST if watched else 1.0)
        if session.following and pipeline.waiting:  # the file waits for nobody
            assert session.snapshot is not None
            self._write(session, as_written(session.snapshot, pipeline))

    def _hurry(self) -> None:
        """Show at once what follows: another scan begins, or the engine ends."""
        for session in [one for one in self._sessions if one.following]:
            self._show(session, 1.0)

    def _write(self, session: Session, snapshot: MapSnapshot) -> None:
        assert session.end is not None
        finish_recording(session, snapshot, session.end, self._folder)

    def _close(self, session: Session) -> None:
        """Say that a scan is done: it is written, and shown as it is written."""
        end, snapshot = session.end, session.snapshot
        assert end is not None
        assert snapshot is not None
        self._write(session, snapshot)
        session.ended_s = session.ended_s or time.monotonic()
        session.finished, session.following = True, False
        self._sessions.remove(session)
        if self._stale is session:
            self._stale = None
        if self._publisher is not None:
            self._publisher.event("scan_end", session.scan.id, {"reason": end.reason})
        self._on_finished(session)

    def _interruptible(self, results: Iterator[ChunkResult]) -> Generator[ChunkResult]:
        while True:
            self._obey()
            with self._kernels:
                result = next(results, None)
            if result is None:
                return
            yield result

    # Showing

    def _refresh(self, session: Session) -> None:
        """Show a scan as it is now; the file of one that is finished follows."""
        again = session.finished
        self._show(session)
        if again and session.snapshot is not None:
            self._write(session, session.snapshot)

    def _show(self, session: Session, at_most: float = AT_MOST) -> None:
        """Take a snapshot and publish it; another is due while pixels wait for their colour.

        A scan that is settled is done with the first that leaves none waiting.
        """
        pipeline, board = session.pipeline, session.board
        assert pipeline is not None
        assert board is not None
        start_s = time.monotonic()
        board.announce(pipeline.specs)
        if session.end is not None:  # there is time: everything follows
            for part in pipeline.refreshed():
                board.announce(pipeline.specs)  # it may have found one more component
                board.update(part)
        board.update(pipeline.recoloured(at_most))
        snapshot = board.snapshot(pipeline.curves(), pipeline.scree, pipeline.components)
        settled = session.following or session.finished
        if settled and not pipeline.waiting:
            snapshot = as_written(snapshot, pipeline)
        session.snapshot = replace(snapshot)
        if self._publisher is not None:
            self._publisher.snapshot(snapshot)
        follow = (one for one in self._sessions if one.following and one is not session)
        self._stale = session if pipeline.waiting else next(follow, None)
        now_s = time.monotonic()  # how often follows from what it costs
        pause_s = max(1.0 / self._rate_hz, (now_s - start_s) / SNAPSHOT_SHARE)
        self._snapshot_due_s = now_s + pause_s
        if session.following and not pipeline.waiting:
            self._close(session)
