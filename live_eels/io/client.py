"""A client of a running engine: notebooks, scripts, adapters for other software.

Needs pyzmq, msgspec and numpy, nothing else, so it is safe inside the Python of an
acquisition program. Two verbs: iterate for the newest maps, ``ask`` for a command.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import zmq
from numpy.typing import NDArray

from live_eels import control, wire
from live_eels.spectra import MapSpec, WireError


class EngineGone(Exception):  # noqa: N818 - reads as what happened
    """No answer from the engine."""


class Snapshot:
    """The newest maps of one scan, by name.

    ``snapshot["label"]`` is float32 on the navigation shape, nan where nothing came yet.

    Attributes
    ----------
    scan_id
        Which scan.
    version
        Newest version among the maps.
    specs
        What each map means.
    """

    def __init__(self, scan_id: str) -> None:
        self.scan_id = scan_id
        self.version = 0
        self.specs: dict[str, MapSpec] = {}
        self._messages: dict[str, wire.MapMessage] = {}

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        values: NDArray[np.float32] = self._messages[name].values
        return values

    def __contains__(self, name: str) -> bool:
        return name in self._messages

    def __iter__(self) -> Iterator[str]:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)

    def message(self, name: str) -> wire.MapMessage:
        """The map with its calibration."""
        return self._messages[name]

    def take(self, message: wire.MapMessage) -> None:
        """Put in a newer map."""
        self.version = max(self.version, message.version)
        self.specs[message.name] = message.spec
        self._messages[message.name] = message

    def keep(self, names: list[str]) -> bool:
        """Drop maps that exist no more; whether there was any."""
        gone = self._messages.keys() - set(names)
        for name in gone:
            del self._messages[name], self.specs[name]
        return bool(gone)


class Client:
    """Listens to an engine's maps and gives it commands.

    Parameters
    ----------
    endpoint
        Address at which the engine publishes (``publish.endpoint``).
    control_endpoint
        Address at which it takes commands (``control.endpoint``); None: only listen.
    timeout_s
        How long to wait for maps or a reply.

    Examples
    --------
    >>> with Client("tcp://127.0.0.1:5556") as live:
    ...     for snapshot in live:
    ...         if "label" in snapshot:  # maps come one by one
    ...             labels = snapshot["label"]
    """

    def __init__(
        self,
        endpoint: str = "tcp://127.0.0.1:5556",
        control_endpoint: str | None = "tcp://127.0.0.1:5557",
        timeout_s: float = 10.0,
    ) -> None:
        self._timeout_s = timeout_s
        self._context = zmq.Context()
        self._maps = self._context.socket(zmq.SUB)
        self._maps.set(zmq.RCVHWM, 1000)
        self._maps.set(zmq.LINGER, 0)
        for topic in (b"map/", b"contents", b"event", b"status"):
            self._maps.set(zmq.SUBSCRIBE, topic)
        self._maps.connect(endpoint)
        self._control_endpoint = control_endpoint
        self._snapshot: Snapshot | None = None
        self.status: dict[str, Any] = {}
        self.events: list[wire.EventMessage] = []

    def __iter__(self) -> Iterator[Snapshot]:
        """The maps as they are now, never a backlog; ends when the engine stays silent."""
        while (snapshot := self.next()) is not None:
            yield snapshot

    def next(self, timeout_s: float | None = None) -> Snapshot | None:
        """Wait for newer maps; None if none came in time."""
        deadline = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        while (left := deadline - time.monotonic()) > 0:
            if not self._maps.poll(int(left * 1000)):
                return None
            if self._drain():
                return self._snapshot
        return None

    def _drain(self) -> bool:
        """Read all that is there; whether any of it was a map."""
        news = False
        while True:
            try:
                parts = self._maps.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return news
            try:
                message = wire.decode_result(parts)
            except WireError:
                continue
            match message:
                case wire.MapMessage():
                    if self._snapshot is None or self._snapshot.scan_id != message.scan:
                        self._snapshot = Snapshot(message.scan)
                    self._snapshot.take(message)
                    news = True
                case wire.ContentsMessage():
                    if self._snapshot is not None and self._snapshot.scan_id == message.scan:
                        news |= self._snapshot.keep(message.maps)
                case wire.StatusMessage():
                    self.status = message.status
                case wire.EventMessage():
                    self.events = [*self.events[-99:], message]

    def ask(self, command: control.Command) -> control.Reply:
        """Send a command and wait for the reply.

        Raises
        ------
        EngineGone
            If no reply came in time.
        """
        if self._control_endpoint is None:
            raise EngineGone("this client only listens: no control endpoint was given")
        return ask(self._control_endpoint, command, self._timeout_s, self._context)

    def to_hyperspy(self, name: str) -> Any:
        """One map as a HyperSpy signal with calibrated axes (needs ``hyperspy``)."""
        import hyperspy.api as hs

        if self._snapshot is None:
            raise LookupError("no map has come yet")
        message = self._snapshot.message(name)
        values = np.array(message.values)
        signal = hs.signals.BaseSignal(values).T if values.ndim < 2 else hs.signals.Signal2D(values)
        signal.metadata.General.title = name
        axes = signal.axes_manager.signal_axes if values.ndim == 2 else ()
        for axis, scale, units in zip(axes, message.scale[::-1], message.units[::-1], strict=False):
            axis.scale, axis.units = scale, units
        return signal

    def close(self) -> None:
        """Let go of the sockets."""
        self._context.destroy(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(
    endpoint: str,
    command: control.Command,
    timeout_s: float = 10.0,
    context: zmq.Context[Any] | None = None,
) -> control.Reply:
    """Send one command to an engine's control address and wait for its reply.

    Raises
    ------
    EngineGone
        If no reply came in time.
    """
    own = context is None
    context = context or zmq.Context()
    socket = context.socket(zmq.REQ)
    try:
        socket.set(zmq.LINGER, 0)
        socket.connect(endpoint)
        socket.send(control.encode(command))
        if not socket.poll(int(timeout_s * 1000)):
            raise EngineGone(
                f"no engine answers at {endpoint} within {timeout_s:g} s: is `live-eels run` "
                "running, with this control.endpoint?"
            )
        return control.decode_reply(socket.recv())
    finally:
        socket.close(0)
        if own:
            context.destroy(0)
