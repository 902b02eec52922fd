"""Send messages to an engine over ZeroMQ, paced like a microscope.

Lives here: the sender's socket and clock. What is sent comes as nouns (``Acquisition.messages``)
or as parts already encoded (``prepare``): encoding ahead is how one core saturates an engine.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import zmq

from live_eels import wire
from live_eels.spectra import Scan, ScanEnd, Spectra

Message = Scan | Spectra | ScanEnd
SPIN_S = 2e-3
"""Sleeping is exact to about this; the rest of a wait is spent looking at the clock."""

ANNOUNCE_EVERY_S = 1.0
COPY_BELOW_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Prepared:
    """One message as it goes over the wire, and how many pixel visits it carries.

    ``pause_s`` is waited before it goes out (a stalled sender).
    """

    parts: Sequence[bytes | memoryview]
    visits: int
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What went out: messages, pixel visits, seconds from first to last."""

    messages: int
    visits: int
    seconds: float

    @property
    def rate(self) -> float:
        """Pixel visits per second."""
        return self.visits / self.seconds if self.seconds > 0 else float("inf")


def prepare(messages: Iterable[Message], core: str = "core") -> Iterator[Prepared]:
    """Encode messages ahead of time; ``core`` names the signal whose pixels are counted."""
    for message in messages:
        visits = 0
        if isinstance(message, Scan):
            core = message.core.name
        elif isinstance(message, Spectra) and message.signal == core:
            visits = len(message.pixels)
        yield Prepared(wire.encode(message), visits)


def repeated(messages: Sequence[Message], times: int) -> Iterator[Message]:
    """The same scan again and again, each with its own id: load without calculating anew."""
    for number in range(times):
        for message in messages:
            scan_id = message.id if isinstance(message, Scan) else message.scan_id
            name = f"{scan_id[:56]}-{number}"
            if isinstance(message, Scan):
                yield replace(message, id=name)
            else:
                yield replace(message, scan_id=name)


def send(
    messages: Iterable[Message | Prepared],
    endpoint: str,
    *,
    pattern: Literal["PUB", "PUSH"] = "PUB",
    bind: bool = True,
    rate: float | None = None,
    settle_s: float = 0.5,
    high_water: int = 1000,
    context: zmq.Context[zmq.Socket[bytes]] | None = None,
) -> Sent:
    """Send all messages, no faster than ``rate`` pixel visits per second.

    Parameters
    ----------
    endpoint
        ``tcp://...``, ``ipc://...`` or ``inproc://...``.
    pattern
        ``PUB`` drops for receivers that are too slow (and for those not yet there);
        ``PUSH`` waits for them.
    bind
        Bind to the endpoint (the usual thing for a detector), or connect to it.
    rate
        Pixel visits per second; ``1 / dwell_s`` for real time, None for as fast as it goes.
    settle_s
        Time given to subscribers before the first message.
    high_water
        Messages queued at most.
    """
    own = context is None
    context = context or zmq.Context()
    socket = context.socket(zmq.PUB if pattern == "PUB" else zmq.PUSH)
    socket.setsockopt(zmq.SNDHWM, high_water)
    socket.setsockopt(zmq.LINGER, 5000)
    try:
        if bind:
            socket.bind(endpoint)
        else:
            socket.connect(endpoint)
        if settle_s > 0:
            time.sleep(settle_s)
        return send_on(socket, messages, rate=rate)
    finally:
        socket.close()
        if own:
            context.term()


def send_on(
    socket: zmq.Socket[bytes], messages: Iterable[Message | Prepared], *, rate: float | None = None
) -> Sent:
    """Send on a socket that is there already; see ``send``.

    Each message goes out when its last spectrum would have been read out; a late one is not
    waited for, and the schedule is kept: the mean rate does not creep. The announcement is
    repeated every second, as the format asks.
    """
    sent = visits = 0
    start = announced_s = time.perf_counter()
    announcement: Prepared | None = None
    for message in messages:
        one = message if isinstance(message, Prepared) else _prepared(message)
        if one.pause_s > 0:
            time.sleep(one.pause_s)
        if rate is not None and one.visits:
            wait_until(start + (visits + one.visits) / rate)
        if one.parts[0] == b"scan":
            announcement, announced_s = one, time.perf_counter()
        elif one.parts[0] == b"scan_end":
            announcement = None
        elif announcement is not None and time.perf_counter() - announced_s > ANNOUNCE_EVERY_S:
            socket.send_multipart(announcement.parts, copy=False)
            announced_s = time.perf_counter()
        # small messages are copied: handing over the buffer costs more than its bytes
        socket.send_multipart(one.parts, copy=len(one.parts[-1]) < COPY_BELOW_BYTES)
        sent += 1
        visits += one.visits
    return Sent(sent, visits, time.perf_counter() - start)


def wait_until(when_s: float) -> None:
    """Return at ``when_s`` on ``time.perf_counter``: sleep most of it, watch the rest."""
    while (left := when_s - time.perf_counter()) > 0:
        if left > SPIN_S:
            time.sleep(left - SPIN_S)


def _prepared(message: Message) -> Prepared:
    visits = len(message.pixels) if isinstance(message, Spectra) else 0
    if isinstance(message, Spectra) and message.signal == "low":
        visits = 0
    return Prepared(wire.encode(message), visits)
