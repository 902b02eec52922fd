"""The main thread of a running engine: page, control socket, status, signals.

Lives here: what is asyncio or a signal. First Ctrl-C finishes the recording, the second
stops at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable
from types import FrameType

import msgspec

from live_eels.app.engine import Engine
from live_eels.control import Status
from live_eels.io.commands import CommandServer
from live_eels.io.viewer import Viewer

TICK_S = 0.25
"""How often status goes out and the terminal is told."""


class Interrupted(Exception):  # noqa: N818 - a wish, not a fault
    """The user asked twice to stop: at once, without finishing."""


def serve(
    engine: Engine,
    *,
    started: Callable[[str], None] = lambda url: None,
    tick: Callable[[Status], None] = lambda status: None,
    stop_when: Callable[[], bool] = lambda: False,
    stopping: Callable[[], None] = lambda: None,
) -> None:
    """Run an engine until it ends; page and control socket as its configuration says.

    Parameters
    ----------
    engine
        Not started yet.
    started
        Called with the page's address (empty without a page) when everything listens.
    tick
        Called with the status a few times per second.
    stop_when
        Asked at each tick; the engine is stopped when it is true.
    stopping
        Called when the user asked to stop (the first Ctrl-C).

    Raises
    ------
    SocketError
        If an address cannot be used.
    Interrupted
        If the user asked twice.
    """
    control = engine.config.control.endpoint
    commands = CommandServer(control, engine.command) if control else None
    with _Interrupts(engine, stopping) as interrupts:
        engine.start()
        thread = threading.Thread(target=commands.run, name="control") if commands else None
        if thread:
            thread.start()
        try:
            asyncio.run(_serve(engine, started, tick, stop_when, interrupts))
        finally:
            if commands and thread:
                commands.stop()
                thread.join()
    engine.join()


async def _serve(
    engine: Engine,
    started: Callable[[str], None],
    tick: Callable[[Status], None],
    stop_when: Callable[[], bool],
    interrupts: _Interrupts,
) -> None:
    view = engine.config.view
    viewer = None
    url = ""
    if view.enabled:
        viewer = Viewer(
            engine,
            view.host,
            view.port,
            token=view.token or None,
            read_only=view.read_only,
            metrics=view.prometheus,
        )
        url = await viewer.start()
    started(url)
    asked_to_stop = False
    try:
        while not engine.ended.is_set():
            await asyncio.sleep(TICK_S)
            if interrupts.count > 1:
                raise Interrupted
            status = engine.status()
            if engine.publisher is not None:
                engine.publisher.welcome()
                engine.publisher.status(msgspec.to_builtins(status))
            tick(status)
            if not asked_to_stop and stop_when():
                asked_to_stop = True
                engine.stop()
    finally:
        if viewer is not None:
            await viewer.stop()


class _Interrupts(contextlib.AbstractContextManager["_Interrupts"]):
    """Counts Ctrl-C (and SIGTERM); the first one stops the engine in good order."""

    def __init__(self, engine: Engine, stopping: Callable[[], None]) -> None:
        self.count = 0
        self._engine, self._stopping = engine, stopping
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1:
            self._stopping()
            self._engine.stop()
