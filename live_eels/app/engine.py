"""The engine: joins science and outside world; threads, edges, lifetimes.

    receive --chunks--> record --chunks--> analyse --snapshots--> viewer, publisher

Each thread owns what DESIGN says it owns; this file only makes them, starts them, stops
them in order, and answers questions about them from any thread.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from live_eels import analyses, control
from live_eels.app.analyse import AnalyseThread
from live_eels.app.answers import spectrum_answer, spectrum_reply
from live_eels.app.changing import mark, on_analyse_thread, refine
from live_eels.app.formats import decoder
from live_eels.app.memory import keep_freed_memory
from live_eels.app.pipelines import ModelFinder, make_pipeline, one_blas_thread, warm_up
from live_eels.app.queues import Edge
from live_eels.app.receive import Decode, Item, ReceiveThread
from live_eels.app.record import RecordThread
from live_eels.app.refining import Refining
from live_eels.app.session import Session
from live_eels.app.status import StatusMaker
from live_eels.app.windows import window_map
from live_eels.assemble import Assembler
from live_eels.config import Config
from live_eels.control import Command, Ok, Refused, Reply, Status
from live_eels.io.publisher import Publisher
from live_eels.io.sockets import Receiver
from live_eels.io.viewer import SpectrumAnswer
from live_eels.kernels import many_threads_may_call
from live_eels.pipeline import Pipeline
from live_eels.spectra import MapSnapshot, Scan

if TYPE_CHECKING:
    pass

SWITCH_S = 0.0002
"""How long a thread computes in Python before another one that wants to may."""

HISTORY = 32
"""Scans that are remembered with their last maps."""

QUEUE_SHARE = 4
"""The analysis may be behind by a quarter of what may wait for the recorder."""


class Engine:
    """Everything that runs while a stream is listened to.

    Parameters
    ----------
    config
        All settings.
    decode
        Parts to messages, when not given by ``config.stream.format``.

    Raises
    ------
    SocketError
        If an address cannot be used.
    AnalysisError, ModelError
        If an analysis or model that the settings name does not exist.
    """

    def __init__(self, config: Config, *, decode: Decode | None = None) -> None:
        self.config = config
        self.started_s = time.monotonic()
        self.sessions: list[Session] = []
        self.keep = config.record.keep
        self.failure: BaseException | None = None
        self.refining: Refining | None = None
        self.ended = threading.Event()
        self.finished_scans = 0
        # Held by whoever runs parallel kernels; free for all where numba's layer allows that.
        self.kernels: AbstractContextManager[Any] = threading.Lock()
        self._listeners: list[Callable[[Session], None]] = []
        self.models = ModelFinder(config.classify.model)
        analyses.load(config.analysis)  # a wrong table is refused now, not when a scan comes
        stream = config.stream
        self.receiver = Receiver(
            stream.endpoint,
            pattern=stream.pattern,
            bind=stream.bind,
            topic=stream.topic,
            high_water_mark=stream.high_water_mark,
            keys=(stream.server_key, stream.public_key, stream.secret_key),
        )
        try:
            endpoint = config.publish.endpoint
            self.publisher = Publisher(endpoint) if endpoint else None
        except Exception:
            self.receiver.close()
            raise
        limit = int(config.engine.queue_mib * 2**20)
        self.to_record: Edge[Item] = Edge(limit)
        self.to_analyse: Edge[Item] = Edge(max(limit // QUEUE_SHARE, 1))
        self.receive = ReceiveThread(
            self.receiver,
            decode or decoder(config),
            Assembler(config.assemble),
            self.to_record,
            lambda: self.to_record.idle and self.to_analyse.idle,
            self._begin,
        )
        self.record = RecordThread(
            self.to_record, self.to_analyse, config.record, lambda: _text(self.config)
        )
        self.analyse = AnalyseThread(
            self.to_analyse,
            self._make_pipeline,
            self.publisher,
            config.publish.rate_hz,
            Path(config.record.folder),
            self._finished,
        )
        self._status = StatusMaker(self)
        self._threads: list[threading.Thread] = []

    # Lifetime

    def start(self) -> None:
        """Start the threads."""
        # A thread that refits clusters computes in Python too; with the usual 5 ms a turn, each
        # step of a spectrum on its way to the map waited that long for its own.
        sys.setswitchinterval(SWITCH_S)
        keep_freed_memory()
        for name, run in (
            ("analyse", self._analyse),
            ("record", self.record.run),
            ("receive", self.receive.run),
        ):
            thread = threading.Thread(target=self._guard, args=(run,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Ask the engine to end: the scan in progress is closed as aborted, then finished."""
        self.receive.stop()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; False if it did not come in time. Raises what a thread raised."""
        ended = self.ended.wait(timeout_s)
        if ended and self.failure is not None:
            raise self.failure
        return ended

    def _analyse(self) -> None:
        try:
            with one_blas_thread():
                with self.kernels:
                    warm_up(self.config, self.models, self.analyse.beside)
                if many_threads_may_call():
                    self.kernels = nullcontext()
                self.analyse.run(self.kernels)
        finally:
            self.analyse.over()
            if self.refining is not None:
                self.refining.stop()
            if self.publisher is not None:
                self.publisher.close()
            for session in self.sessions:
                self._let_go(session)
            self.ended.set()

    def _guard(self, run: Callable[[], None]) -> None:
        """Run a thread; one that raises ends the engine, and ``join`` raises its exception."""
        try:
            run()
        except BaseException as error:
            self.failure = self.failure or error
            self.to_record.close()
            self.to_analyse.close()
            self.receive.stop()
            self.ended.set()

    # Scans

    def _begin(self, scan: Scan) -> Session:
        session = Session(scan, len(self.sessions) + 1, time.monotonic(), time.time())
        session.keep = self.keep
        self.sessions.append(session)
        for old in self.sessions[:-HISTORY]:
            old.snapshot = None
        return session

    def _make_pipeline(self, session: Session) -> Pipeline:
        return make_pipeline(session, self.config, self.models, self.analyse.beside)

    def _finished(self, session: Session) -> None:
        for old in self.sessions:
            if old.finished and old is not self.current:
                old.pipeline = old.board = None
                if not old.keep:
                    self._let_go(old)
        for old in self.sessions[:-HISTORY]:
            if old.finished:  # its recording is a mapped file: there are not endlessly many
                old.recorder = None
                old.lags_s.clear()
        self.finished_scans = sum(s.ended_s > 0 for s in self.sessions)
        for listener in self._listeners:
            listener(session)

    def _let_go(self, session: Session) -> None:
        """Close the recording of a scan nobody writes to any more; drop it if it is not kept."""
        recorder = session.recorder
        if recorder is None:
            return
        if session.keep and session.temporary is None:
            recorder.close()
            return
        session.recorder = None
        recorder.discard()
        if session.temporary is not None:
            session.temporary.rmdir()

    def on_finished(self, listener: Callable[[Session], None]) -> None:
        """Call ``listener`` (on the analyse thread) with each scan whose last map is made."""
        self._listeners.append(listener)

    @property
    def current(self) -> Session | None:
        """The newest scan."""
        return self.sessions[-1] if self.sessions else None

    def in_hand(self) -> Session | None:
        """The newest scan that the analysis has begun."""
        return next((s for s in reversed(self.sessions) if s.pipeline is not None), None)

    def session(self, scan_id: str | None) -> Session:
        """The newest scan, or the one of that name; ``LookupError`` if there is none."""
        for session in reversed(self.sessions):
            if scan_id is None or session.scan.id == scan_id:
                return session
        raise LookupError("no such scan in this session" if scan_id else "no scan yet")

    # Questions, from any thread

    def snapshot(self) -> MapSnapshot | None:
        """Newest maps of the newest scan that has any."""
        return next((s.snapshot for s in reversed(self.sessions) if s.snapshot), None)

    def snapshot_of(self, scan_id: str) -> MapSnapshot | None:
        """Last maps of an earlier scan."""
        return self.session(scan_id).snapshot

    def status(self) -> Status:
        """State of the engine now."""
        return self._status.make()

    def history(self) -> list[dict[str, Any]]:
        """Scans of this session, oldest first."""
        return [
            {
                "id": s.scan.id,
                "title": s.scan.title,
                "number": s.number,
                "shape": list(s.scan.shape),
                "state": s.state,
                "path": str(s.path) if s.path and s.keep else "",
            }
            for s in self.sessions[-HISTORY:]
        ]

    def choices(self) -> dict[str, Any]:
        """What can be chosen on the page: models and offline methods."""
        from live_eels.refine import METHODS  # scikit-learn: not while starting

        session = self.current
        axis = session.scan.core.axis if session else None
        return {"models": self.models.choices(axis), "refine": list(METHODS)}

    def spectrum(self, pixels: NDArray[np.int64], scan_id: str | None = None) -> SpectrumAnswer:
        """Mean spectrum of some pixels, raw and processed."""
        session = self.session(scan_id)
        return spectrum_answer(session, self.config.preprocess, pixels, self.kernels)

    def window_map(
        self,
        signal_ev: tuple[float, float],
        fit_ev: tuple[float, float] | None,
        scan_id: str | None = None,
    ) -> NDArray[np.float32]:
        """Counts in a window less the background fitted in another, on the navigation shape."""
        session = self.session(scan_id)
        if session.recorder is None:
            raise LookupError("this scan is not recorded, so its counts cannot be read back")
        axis = session.scan.core.axis
        values = window_map(session.recorder, axis, signal_ev, fit_ev)
        return values.reshape(session.scan.shape or (1,))

    # Commands, from any thread

    def command(self, command: Command) -> Reply:
        """Carry out a command and say what came of it."""
        try:
            return self._obey(command)
        except (ValueError, LookupError) as error:
            return Refused(error=str(error))
        except TimeoutError:
            return Refused(error="the analysis is too busy to answer; try again")

    def _obey(self, command: Command) -> Reply:
        match command:
            case control.GetStatus():
                return self.status()
            case control.GetSpectrum():
                pixels = np.array(command.pixels, np.int64)
                return spectrum_reply(self.spectrum(pixels, command.scan))
            case control.GetWindowMap():
                values = self.window_map(command.signal_ev, command.fit_ev, command.scan)
                return control.WindowMap(
                    shape=list(values.shape), values=values.astype("<f4").tobytes()
                )
            case control.Stop():
                self.stop()
                return Ok(message="finishing the recording and stopping")
            case control.Record(on=on):
                self.keep = on
                if (session := self.current) is not None and not session.finished:
                    session.keep = on
                return Ok(message="recordings are kept" if on else "recordings are not kept")
            case control.MarkRegion():
                return mark(self, command)
            case control.Refine():
                return refine(self, command)
            case _:
                return on_analyse_thread(self, command)


def _text(config: Config) -> str:
    return msgspec.json.format(msgspec.json.encode(_plain(config)), indent=1).decode()


def _plain(config: Config) -> dict[str, Any]:
    """The configuration as it goes into a recording: without secrets, without empty values."""

    def prune(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: prune(v) for k, v in value.items() if v is not None}
        return [prune(v) for v in value] if isinstance(value, list) else value

    plain: dict[str, Any] = prune(msgspec.to_builtins(config))
    plain.get("stream", {}).pop("secret_key", None)
    plain.get("view", {}).pop("token", None)
    return plain
