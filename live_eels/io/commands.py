"""The control socket: commands in, replies out, one each, never fire and forget.

A ROUTER socket, so that a plain REQ client in any language works. The replying function
decides; this file only moves bytes, and answers what cannot be read. A command that takes its
time (a map of a large scan) does not hold up the next one's; so a client that sends a second
without waiting for the first one's reply cannot tell the replies apart by their order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import zmq

from live_eels import control
from live_eels.io.sockets import SocketError, advice

WORKERS = 4
"""Commands carried out at a time."""

MAX_WAITING = 256
"""Commands not yet answered; one more is refused."""


class CommandServer:
    """Answers commands until woken to stop.

    Parameters
    ----------
    endpoint
        Address to listen at.
    obey
        Carries out a command; called on several threads.

    Raises
    ------
    SocketError
        If the address cannot be used.
    """

    def __init__(self, endpoint: str, obey: Callable[[control.Command], control.Reply]) -> None:
        self._obey = obey
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.LINGER, 200)
        self._socket.set(zmq.MAXMSGSIZE, control.MAX_COMMAND_BYTES + 1024)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(0)
            raise SocketError(advice(endpoint, True, error)) from error
        self.endpoint = str(self._socket.get_string(zmq.LAST_ENDPOINT)).rstrip("\0")
        self._wake_here = self._context.socket(zmq.PAIR)
        self._wake_there = self._context.socket(zmq.PAIR)
        self._wake_here.bind("inproc://wake")
        self._wake_there.connect("inproc://wake")

        self._lock = threading.Lock()  # a ZeroMQ socket is one thread's at a time
        self._stopping = threading.Event()
        self._answered: deque[list[bytes]] = deque()
        self._waiting = 0

    def run(self) -> None:
        """Serve until ``stop``."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wake_here, zmq.POLLIN)
        with ThreadPoolExecutor(WORKERS, "command") as workers:
            while not self._stopping.is_set():
                ready = dict(poller.poll())
                if self._wake_here in ready:
                    self._wake_here.recv()
                    self._send_answers()
                if self._socket in ready:
                    self._take(workers)
            workers.shutdown(cancel_futures=True)
        self._send_answers()
        with self._lock:
            self._context.destroy(200)

    def _take(self, workers: ThreadPoolExecutor) -> None:
        *envelope, body = self._socket.recv_multipart()
        if self._waiting >= MAX_WAITING:
            busy = control.Refused(error="too many commands at once; try again")
            self._socket.send_multipart([*envelope, control.encode(busy)])
            return
        self._waiting += 1
        workers.submit(self._answer, envelope, body)

    def _answer(self, envelope: list[bytes], body: bytes) -> None:
        try:
            reply = self._obey(control.decode(body))
        except control.ControlError as error:
            reply = control.Refused(error=str(error))
        except Exception as error:  # one command that fails must not silence the next
            reply = control.Refused(error=f"{type(error).__name__}: {error}")
        self._answered.append([*envelope, control.encode(reply)])
        self._wake()

    def _send_answers(self) -> None:
        while self._answered:
            self._waiting -= 1
            self._socket.send_multipart(self._answered.popleft())

    def _wake(self) -> None:
        with self._lock:
            if not self._wake_there.closed:
                self._wake_there.send(b"")

    def stop(self) -> None:
        """End ``run``, from another thread, when the commands at work are answered."""
        self._stopping.set()
        self._wake()
