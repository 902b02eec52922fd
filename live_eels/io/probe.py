"""Is there a sender? Asked before the beam time, without taking anything away from anybody.

Three outcomes: ``ok`` (heard and understood), ``timeout`` (there, but silent: normal when no
scan runs), ``error`` (not there, refused, or speaking another language). A PULL stream is
only knocked at: every message heard there would be missing in a recording.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import zmq
from zmq.utils.monitor import recv_monitor_message

from live_eels.io.sockets import MAX_MESSAGE_BYTES, advice
from live_eels.spectra import Scan, ScanEnd, Spectra, WireError

Decode = Callable[[Sequence[memoryview]], Iterable[Scan | Spectra | ScanEnd]]

LISTEN_ON_S = 1.0
"""After the first message: how long to go on, for a rate."""
KNOCK_S = 3.0

_REFUSED = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "its keys and ours do not fit",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "it does not speak ZeroMQ as we do (encryption?)",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "it hung up while greeting (encryption?)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen; fields as in the configuration's ``[stream]``."""

    endpoint: str
    pattern: str = "SUB"
    bind: bool = False
    topic: str = ""
    keys: tuple[str, str, str] = ("", "", "")


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What came of it; ``scan`` is the newest one announced."""

    outcome: Literal["ok", "timeout", "error"]
    detail: str
    advice: str = ""
    scan: Scan | None = None


@dataclass(slots=True)
class _Ear:
    """What has been heard so far."""

    connected: bool = False
    refused: str = ""
    messages: int = 0
    spectra: int = 0
    unreadable: int = 0
    fault: str = ""
    first_s: float | None = None
    scan: Scan | None = None
    clock_s: float = field(default=float("nan"))


def listen(address: Address, decode: Decode, wait_s: float) -> Heard:
    """Listen for at most ``wait_s`` seconds and say what is there."""
    context = zmq.Context()
    try:
        if address.pattern == "PULL":
            return _try_bind(context, address) if address.bind else _knock(address)
        return _subscribe(context, address, decode, wait_s)
    except (zmq.ZMQError, ValueError, OSError) as error:
        return Heard("error", advice(address.endpoint, address.bind, error))
    finally:
        context.destroy(0)


def _try_bind(context: zmq.Context[zmq.Socket[bytes]], address: Address) -> Heard:
    with context.socket(zmq.PULL) as puller:
        puller.bind(address.endpoint)
    return Heard(
        "ok",
        f"{address.endpoint} can be listened at (not for longer than this: what is heard on "
        "a PULL socket would be missing in a recording)",
    )


def _knock(address: Address) -> Heard:
    """Connect as far as the greeting, which ZeroMQ sends before it counts us as a receiver."""
    try:
        with _plain_socket(address.endpoint) as peer:
            greeting = peer.recv(10)
    except TimeoutError:
        greeting = b""
    except OSError as error:
        return _nobody(address, str(error))
    if len(greeting) < 1 or greeting[0] != 0xFF:
        return Heard(
            "error",
            f"something answers at {address.endpoint}, but it is not ZeroMQ",
            "Is the port right?",
        )
    return Heard("ok", f"a ZeroMQ sender is at {address.endpoint} (only knocked at: PULL)")


def _plain_socket(endpoint: str) -> socket.socket:
    parts = urlsplit(endpoint)
    if parts.scheme == "ipc":
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(KNOCK_S)
        peer.connect(endpoint.removeprefix("ipc://"))
        return peer
    if parts.scheme != "tcp" or parts.hostname is None or parts.port is None:
        raise ValueError("not a tcp or ipc address")
    return socket.create_connection((parts.hostname, parts.port), KNOCK_S)


def _nobody(address: Address, why: str = "") -> Heard:
    return Heard(
        "error",
        f"nobody answers at {address.endpoint}" + (f" ({why})" if why else ""),
        "Is the sender on? Are host and port right, and does the firewall let them through?",
    )


def _subscribe(
    context: zmq.Context[zmq.Socket[bytes]], address: Address, decode: Decode, wait_s: float
) -> Heard:
    ear = _Ear()
    with context.socket(zmq.SUB) as subscriber:
        subscriber.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        subscriber.set(zmq.SUBSCRIBE, address.topic.encode())
        server, public, secret = (key.encode() for key in address.keys)
        if server:
            subscriber.curve_serverkey, subscriber.curve_publickey = server, public
            subscriber.curve_secretkey = secret
        with subscriber.get_monitor_socket() as monitor:
            (subscriber.bind if address.bind else subscriber.connect)(address.endpoint)
            _wait(ear, subscriber, monitor, decode, wait_s)
            subscriber.disable_monitor()
    return _verdict(ear, address, wait_s)


def _wait(
    ear: _Ear,
    subscriber: zmq.Socket[bytes],
    monitor: zmq.Socket[bytes],
    decode: Decode,
    wait_s: float,
) -> None:
    end_s = time.monotonic() + wait_s
    poller = zmq.Poller()
    poller.register(subscriber, zmq.POLLIN)
    poller.register(monitor, zmq.POLLIN)
    while (left_s := end_s - time.monotonic()) > 0:
        for ready, _ in poller.poll(int(left_s * 1000) + 1):
            if ready is monitor:
                _notice(ear, recv_monitor_message(monitor)["event"])
            else:
                _hear(ear, subscriber, decode)
        if ear.first_s is not None:
            end_s = min(end_s, ear.first_s + LISTEN_ON_S)


def _notice(ear: _Ear, event: int) -> None:
    if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
        ear.connected, ear.refused = True, ""
    elif event in _REFUSED:
        ear.refused = _REFUSED[zmq.Event(event)]


def _hear(ear: _Ear, subscriber: zmq.Socket[bytes], decode: Decode) -> None:
    frames = subscriber.recv_multipart(copy=False)
    ear.messages += 1
    ear.first_s = ear.first_s or time.monotonic()
    try:
        for noun in decode([frame.buffer for frame in frames]):
            if isinstance(noun, Scan):
                ear.scan = noun
            elif isinstance(noun, Spectra):
                ear.spectra += len(noun.pixels)
                ear.clock_s = noun.clock_s - time.time()
    except WireError as error:
        ear.unreadable += 1
        ear.fault = ear.fault or str(error)


def _verdict(ear: _Ear, address: Address, wait_s: float) -> Heard:
    if ear.messages and ear.unreadable == ear.messages:
        return Heard(
            "error",
            f"{ear.messages} messages came, none could be read: {ear.fault}",
            "Is `format` in [stream] right?",
        )
    if ear.messages:
        return Heard("ok", _describe(ear), _clock_advice(ear), ear.scan)
    if ear.refused:
        return Heard("error", f"{address.endpoint}: {ear.refused}", "Check the keys in [stream].")
    if ear.connected:
        return Heard(
            "timeout",
            f"{address.endpoint} connected, silent for {wait_s:g} s",
            "Normal when no scan runs. Start one and run this again, or wait longer with --wait 60."
            + (f" Only topics beginning with {address.topic!r} are heard." * bool(address.topic)),
        )
    if address.bind:
        return Heard(
            "timeout",
            f"listening at {address.endpoint}, but no sender has connected in {wait_s:g} s",
            "Normal when the sender is off. Start it and run this again.",
        )
    return _nobody(address)


def _describe(ear: _Ear) -> str:
    seconds = max(time.monotonic() - (ear.first_s or 0.0), 1e-3)
    text = f"{ear.spectra / seconds:,.0f} spectra/s heard".replace(",", " ")
    if ear.unreadable:
        text += f"; {ear.unreadable} of {ear.messages} messages could not be read: {ear.fault}"
    if ear.scan is None:
        return text + "; no scan announced yet"
    axis, shape = ear.scan.core.axis, " x ".join(map(str, ear.scan.shape)) or "single spectrum"
    return (
        f"{text}; scan {ear.scan.title!r}, {shape}, {axis.size} channels from "
        f"{axis.offset_ev:g} to {axis.end_ev:g} eV"
    )


def _clock_advice(ear: _Ear) -> str:
    if abs(ear.clock_s) > 5.0:
        return f"The sender's clock and ours differ by {ear.clock_s:+.0f} s: ages will be wrong."
    return ""
