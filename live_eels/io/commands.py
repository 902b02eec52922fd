"""The control socket: commands in, replies out, one each, never fire and forget.

A ROUTER socket, so that a plain REQ client in any language works. The replying function
decides; this file only moves bytes, and answers what cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable

import zmq

from live_eels import control
from live_eels.io.sockets import SocketError, advice


class CommandServer:
    """Answers commands until woken to stop.

    Parameters
    ----------
    endpoint
        Address to listen at.
    obey
        Carries out a command.

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

    def run(self) -> None:
        """Serve until ``stop``."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wake_here, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._socket in ready:
                self._serve()
            if self._wake_here in ready:
                break
        self._context.destroy(200)

    def _serve(self) -> None:
        *envelope, body = self._socket.recv_multipart()
        try:
            reply = self._obey(control.decode(body))
        except control.ControlError as error:
            reply = control.Refused(error=str(error))
        except Exception as error:  # one command that fails must not silence the next
            reply = control.Refused(error=f"{type(error).__name__}: {error}")
        self._socket.send_multipart([*envelope, control.encode(reply)])

    def stop(self) -> None:
        """End ``run``, from another thread."""
        self._wake_there.send(b"")
