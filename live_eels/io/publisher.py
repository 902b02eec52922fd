"""The PUB socket for control software and notebooks: topic first, header, arrays.

A slow subscriber loses messages at its own high-water mark and holds up nobody. Single
pixels go out as soon as they are analysed, whole maps at the publishing rate; a subscriber
that comes late is sent everything once. Sending is allowed from any thread (a lock makes
the hand-over that ZeroMQ asks for).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import zmq

from live_eels import wire
from live_eels.io.sockets import SocketError, advice
from live_eels.spectra import ChunkResult, Curve, MapSnapshot


class Publisher:
    """Sends results to whoever subscribed.

    Attributes
    ----------
    subscribers
        Subscriptions, of whatever topic.
    controllers
        Those that hear events: control software, which may act on what an operator asks for.

    Raises
    ------
    SocketError
        If the address cannot be used.
    """

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.Context()
        # XPUB: a PUB socket that tells when somebody subscribes.
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.set(zmq.XPUB_VERBOSER, 1)  # and when each of them leaves
        self._socket.set(zmq.SNDHWM, 1000)
        self._socket.set(zmq.LINGER, 200)
        self._lock = threading.Lock()
        self._sent: dict[str, int] = {}
        self._drawn: dict[str, Curve] = {}
        self._last: MapSnapshot | None = None
        self.subscribers = 0
        self.controllers = 0
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(0)
            raise SocketError(advice(endpoint, True, error)) from error
        self.endpoint = str(self._socket.get_string(zmq.LAST_ENDPOINT)).rstrip("\0")

    def pixels(self, scan_id: str, result: ChunkResult) -> None:
        """Send the values of the pixels of one chunk."""
        if self.subscribers:
            self._send(wire.encode_pixels(scan_id, result))

    def snapshot(self, snapshot: MapSnapshot) -> None:
        """Send every map and curve that changed since the last snapshot."""
        new_scan = self._last is None or snapshot.scan is not self._last.scan
        self._last = snapshot
        if new_scan:
            self._sent, self._drawn = {}, {}
            self._send(wire.encode(snapshot.scan))
        if not self.subscribers:
            return
        for name, version in snapshot.changed.items():
            if self._sent.get(name) != version:
                self._sent[name] = version
                self._send(wire.encode_map(snapshot, name))
        for name, curve in snapshot.curves.items():
            if self._drawn.get(name) is not curve:
                self._drawn[name] = curve
                self._send(wire.encode_curve(snapshot, name))
        self._send(wire.encode_contents(snapshot))

    def welcome(self) -> None:
        """Send everything to subscribers that came since the last call."""
        came = 0
        with self._lock:
            while not self._socket.closed and self._socket.poll(0):
                change = self._socket.recv()
                new = change[:1] == b"\x01"
                came += new
                self.subscribers += 1 if new else -1
                if b"event".startswith(change[1:]):
                    self.controllers += 1 if new else -1
        snapshot = self._last
        if came and snapshot is not None:
            self._send(wire.encode(snapshot.scan))
            for name in snapshot.maps:
                self._send(wire.encode_map(snapshot, name))
            for name in snapshot.curves:
                self._send(wire.encode_curve(snapshot, name))
            self._send(wire.encode_contents(snapshot))

    def status(self, status: Mapping[str, Any]) -> None:
        """Send the engine's status."""
        self._send(wire.encode_status(status))

    def event(self, event: str, scan_id: str, details: Mapping[str, Any]) -> None:
        """Send an event."""
        self._send(wire.encode_event(event, scan_id, details))

    def _send(self, parts: list[wire.Part]) -> None:
        with self._lock:
            if not self._socket.closed:
                self._socket.send_multipart(parts, copy=True)

    def close(self) -> None:
        """Close the socket; what is under way still goes out."""
        with self._lock:
            self._context.destroy(200)
