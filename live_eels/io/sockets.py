"""Sockets that bring spectra: open, wait, receive; nothing is understood here.

Lives here: socket options decided once, and the one poll on which the receive thread
sleeps. It is woken to stop, not polled. Parts come out as views of ZeroMQ's own memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import zmq

MAX_MESSAGE_BYTES = 256 * 1024 * 1024
"""ZeroMQ closes the connection of a peer that announces a larger part."""

MAX_BATCH = 4096
"""Messages that ``receive`` hands over in one go, at most."""


class SocketError(Exception):
    """An address that cannot be used (the user's or the network's fault)."""


class Receiver:
    """A SUB or PULL socket, and a way to wake the thread that waits on it.

    Parameters
    ----------
    endpoint
        ZeroMQ address.
    pattern
        ``SUB`` or ``PULL``.
    bind
        Listen at the address instead of connecting to it.
    topic
        Subscription prefix (SUB).
    high_water_mark
        Messages that ZeroMQ keeps while we are busy.
    keys
        CURVE keys ``(server, public, secret)`` in Z85; an empty server key means no encryption.

    Raises
    ------
    SocketError
        If the address cannot be used; the text says what to try.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        pattern: str = "SUB",
        bind: bool = False,
        topic: str = "",
        high_water_mark: int = 20_000,
        keys: tuple[str, str, str] = ("", "", ""),
    ) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(getattr(zmq, pattern))
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RCVHWM, high_water_mark)
        self._socket.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._socket.set(zmq.TCP_KEEPALIVE, 1)
        if pattern == "SUB":
            self._socket.set(zmq.SUBSCRIBE, topic.encode())
        server, public, secret = keys
        try:
            if server:
                self._socket.curve_serverkey = server.encode()
                self._socket.curve_publickey = public.encode()
                self._socket.curve_secretkey = secret.encode()
            (self._socket.bind if bind else self._socket.connect)(endpoint)
        except (zmq.ZMQError, ValueError) as error:
            self._context.destroy(0)
            raise SocketError(advice(endpoint, bind, error)) from error
        last = self._socket.get_string(zmq.LAST_ENDPOINT).rstrip("\0")
        self.address: str = str(last)  # as the system resolved it: a port of 0 is filled in
        self._wake_here = self._context.socket(zmq.PAIR)
        self._wake_there = self._context.socket(zmq.PAIR)
        self._wake_here.bind("inproc://wake")
        self._wake_there.connect("inproc://wake")
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._wake_here, zmq.POLLIN)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Sleep until a message is there or ``wake`` was called; False if time ran out."""
        ready = self._poller.poll(None if timeout_s is None else int(timeout_s * 1000))
        if any(socket is self._wake_here for socket, _ in ready):
            self._wake_here.recv()
        return bool(ready)

    def receive(self) -> Iterator[list[memoryview]]:
        """Yield the messages that are there, without waiting, at most ``MAX_BATCH``."""
        receive: Any = self._socket.recv
        for _ in range(MAX_BATCH):
            try:
                frame = receive(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            # By hand: recv_multipart asks the socket for each part whether more follow, which
            # takes longer than the parts themselves where each spectrum is a message.
            parts = [frame.buffer]
            while frame.more:
                frame = receive(copy=False)
                parts.append(frame.buffer)
            yield parts

    def wake(self) -> None:
        """Make ``wait`` return, from another thread; nothing waits on what is closed."""
        with contextlib.suppress(zmq.ZMQError):
            self._wake_there.send(b"")

    def close(self) -> None:
        """Close everything; nothing may wait on it any more."""
        self._context.destroy(0)


def advice(endpoint: str, bind: bool, error: Exception) -> str:
    """Say why an address cannot be used, and what to try."""
    doing = "listen at" if bind else "connect to"
    text = f"cannot {doing} {endpoint!r}: {error}"
    if bind and getattr(error, "errno", None) == zmq.EADDRINUSE:
        return text + ". Another program (another live-eels?) uses it; choose another port."
    return text + ". An address looks like tcp://192.168.0.5:5555 or ipc:///tmp/eels."
