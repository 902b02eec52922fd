"""The sender's side of a run: simulated spectra sent again and again, in a process of its own.

Closed loop: no more than ``WINDOW`` spectra are under way, so the rate found is one that the
engine keeps up with, not one it sheds. Open loop: a given rate, and the time until each pixel
comes back as a result.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray

from live_eels import wire
from live_eels.spectra import Instrument, NavigationAxis, Scan, Spectra

WINDOW = 8192
"""Spectra under way at most: less than what the engine would shed."""

MOST_PER_S = 45_000
"""Messages for each second of a run whose headers are made before it."""

START_S, START_SHARE = 2.0, 0.4
"""The start of a run does not count: there every spectrum is learnt and every block may be news.
So many seconds, or this share of a run that is shorter than five."""


def start_s(seconds: float) -> float:
    """How much of a run of so many seconds is its start."""
    return min(START_S, START_SHARE * seconds)


def template(path: Path, channels: int, *, dual: bool) -> None:
    """Simulate a small spectrum image and keep it for the runs."""
    import msgspec

    from live_eels.simulators.acquire import Acquisition
    from live_eels.simulators.scene import load_scene

    scene = load_scene("core_shell")
    core, low = scene.signals
    core = msgspec.structs.replace(
        core, channels=channels, dispersion_ev=core.dispersion_ev * core.channels / channels
    )
    low = msgspec.structs.replace(
        low, channels=channels // 2, dispersion_ev=low.dispersion_ev * low.channels * 2 / channels
    )
    scan = msgspec.structs.replace(scene.scan, shape=(32, 32), step_nm=2 * scene.scan.step_nm)
    signals = (core, low) if dual else (core,)
    acquisition = Acquisition(msgspec.structs.replace(scene, signals=signals, scan=scan))
    counts: dict[str, Any] = {
        s.name: np.zeros((scan.shape[0] * scan.shape[1], s.axis.size), "<" + s.dtype)
        for s in acquisition.scan.signals
    }
    for message in acquisition.messages(chunk=256):
        if isinstance(message, Spectra):
            counts[message.signal][message.pixels] = message.counts
    announcement = wire.encode(acquisition.scan)
    np.savez(
        path,
        **counts,
        announcement=np.array([len(part) for part in announcement]),
        parts=np.frombuffer(b"".join(bytes(part) for part in announcement), np.uint8),
    )


def read_template(path: Path, side: int) -> tuple[Scan, dict[str, NDArray[Any]]]:
    """Read what ``template`` wrote: the scan, enlarged for a run, and counts by signal."""
    with np.load(path, allow_pickle=False) as file:
        joined, parts = file["parts"].tobytes(), []
        for length in file["announcement"]:
            parts.append(joined[:length])
            joined = joined[length:]
        counts = {n: file[n] for n in file.files if n not in ("announcement", "parts")}
    small = wire.decode(parts)
    assert isinstance(small, Scan)
    axes = (NavigationAxis("y", side), NavigationAxis("x", side))
    scan = Scan("bench", axes, small.signals, Instrument(), "bench", simulated=True)
    return scan, counts


@dataclass(frozen=True, slots=True)
class Task:
    """What a sender is to do.

    Attributes
    ----------
    endpoint, results
        Where the engine listens and where it publishes.
    template
        File of the spectra.
    per_message
        Spectra in one message.
    side
        Lines of the scan, and pixels in each; it is cut off when the time is over.
    seconds
        How long, from the moment the engine has analysed the first spectra.
    rate
        Spectra/s for an open loop; None for a closed one.
    """

    endpoint: str
    results: str
    template: Path
    per_message: int
    side: int
    seconds: float
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What a sender did: spectra sent, its share of one core, latencies in ms."""

    spectra: int
    cpu_share: float
    latencies_ms: list[float]


def run(task: Task, analysed: Any, answer: Connection) -> None:
    """Send until the time is over; the target of the sender's process.

    ``analysed`` is a shared counter of what the engine has analysed.
    """
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDHWM, max(WINDOW // task.per_message, 8))
        socket.connect(task.endpoint)
        echo = _Echo(context, task.results, task.side**2) if task.rate else None
        scan, counts = read_template(task.template, task.side)
        heads = _heads(scan, counts, task)
        socket.send_multipart(wire.encode(scan))
        answer.send(_send(socket, task, heads, counts, analysed, echo))
        if echo is not None:
            echo.stop()


def _heads(scan: Scan, counts: dict[str, NDArray[Any]], task: Task) -> list[list[wire.Part]]:
    """Topic and header of every message, made before the run: a detector has other means."""
    times = min(scan.pixels // task.per_message, int(MOST_PER_S * task.seconds))
    one = {name: values[: task.per_message] for name, values in counts.items()}
    heads: list[list[wire.Part]] = []
    for number in range(times):
        first = number * task.per_message
        rows = np.arange(first, first + task.per_message)
        for name, values in one.items():
            message = Spectra(scan.id, name, len(heads), rows, values)
            heads.append(wire.encode(message)[:2])
    return heads


def _send(
    socket: zmq.Socket[bytes],
    task: Task,
    heads: list[list[wire.Part]],
    counts: dict[str, NDArray[Any]],
    analysed: Any,
    echo: _Echo | None,
) -> Load:
    sent = before = 0
    start = end = None
    window = WINDOW if task.rate is None else task.per_message
    cpu_start = time.process_time()
    size = len(next(iter(counts.values())))
    messages = iter(heads)
    while sent < len(heads) // len(counts) * task.per_message:
        now = time.perf_counter()
        if start is None and analysed.value:  # the engine has got going
            start, cpu_start, before = now, time.process_time(), sent
            end = start + task.seconds
        if end is not None and now > end:
            break
        if task.rate is not None and start is not None:
            time.sleep(max(start + (sent - before) / task.rate - now, 0.0))  # no spinning here
        elif sent + task.per_message - analysed.value > window:
            time.sleep(0.0003)
            continue
        first = sent % size
        for values in counts.values():
            part = values[first : first + task.per_message]
            socket.send_multipart([*next(messages), part.data], copy=False)
        if echo is not None:
            echo.sent(sent)
        sent += task.per_message
    elapsed = time.perf_counter() - (start or time.perf_counter()) or 1.0
    share = (time.process_time() - cpu_start) / elapsed
    return Load(sent, share, echo.latencies_ms() if echo is not None else [])


class _Echo:
    """Notes when each pixel went out and when it first came back as a result."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], results: str, pixels: int) -> None:
        self._out, self._back = np.full((2, pixels), np.nan)
        self._ended = threading.Event()
        self._socket = context.socket(zmq.SUB)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RCVHWM, 0)
        self._socket.set(zmq.RCVTIMEO, 100)
        self._socket.set(zmq.SUBSCRIBE, b"pixels")
        self._socket.connect(results)
        time.sleep(0.3)  # a subscription takes a moment to arrive
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def sent(self, pixel: int) -> None:
        self._out[pixel] = time.perf_counter()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                parts = self._socket.recv_multipart(copy=False)
            except zmq.Again:
                continue
            now = time.perf_counter()
            result = wire.decode_result([part.buffer for part in parts])
            assert isinstance(result, wire.PixelsMessage)
            new = result.pixels[np.isnan(self._back[result.pixels])]
            self._back[new] = now

    def latencies_ms(self) -> list[float]:
        """Latency of each pixel that came back, without those of its start."""
        time.sleep(0.3)  # the last ones are still under way
        known = np.flatnonzero(np.isfinite(self._out) & np.isfinite(self._back))
        if not known.size:
            return []
        sent = self._out[known]
        known = known[sent >= sent.min() + start_s(float(np.ptp(sent)))]
        latencies: list[float] = ((self._back - self._out)[known] * 1e3).tolist()
        return latencies

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()
