"""How fast one core sends prepared spectra, and how well it paces: a receiver in another process.

Run ``python tests/benchmarks/sender.py``; prints spectra/s for 2048 channels, and the error of
the pace at dwell times down to 50 microseconds.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zmq
from live_eels.simulators.acquire import Acquisition
from live_eels.simulators.scene import load_scene
from live_eels.simulators.send import prepare, repeated, send_on


def receive(endpoint: str, arrivals: multiprocessing.Queue[list[float]]) -> None:
    """Take messages until the end of the scans; report when each spectra message came."""
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    socket.connect(endpoint)
    came = []
    while True:
        parts = socket.recv_multipart(copy=False)
        if bytes(parts[0].buffer) == b"bye":
            break
        if bytes(parts[0].buffer) == b"spectra":
            came.append(time.perf_counter())
    arrivals.put(came)


def run(endpoint: str, chunk: int, dwell_s: float | None, times: int) -> None:
    """Send one scan ``times`` times and print the rate, or the pace."""
    scene = load_scene("phantom").changed(scan={"shape": (32, 64)})
    tree = scene.signals[0]
    wide = type(tree)(name="core", offset_ev=470.0, dispersion_ev=0.2, channels=2048)
    import msgspec

    scene = msgspec.structs.replace(scene, signals=(wide,))
    messages = list(Acquisition(scene).messages(chunk))
    ahead = list(prepare(repeated(messages, times)))
    arrivals: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    receiver = multiprocessing.Process(target=receive, args=(endpoint, arrivals))
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.setsockopt(zmq.SNDHWM, 1000)
    socket.bind(endpoint)
    receiver.start()
    socket.send(b"hello")
    time.sleep(0.5)
    before = time.process_time()
    sent = send_on(socket, ahead, rate=None if dwell_s is None else 1 / dwell_s)
    busy = time.process_time() - before
    socket.send(b"bye")
    came = np.array(arrivals.get(timeout=60))
    receiver.join()
    seconds = came[-1] - came[0]
    what = f"{chunk} spectra/message, {sent.visits} spectra of 2048 u2 channels"
    if dwell_s is None:
        print(
            f"{what}: sent {sent.rate:.0f}/s, received {(sent.visits - chunk) / seconds:.0f}/s, "
            f"sender used {busy / sent.seconds:.2f} cores"
        )
    else:
        due = came[0] + dwell_s * chunk * np.arange(came.size)
        late_us = (came - due) * 1e6
        off = 100 * dwell_s * (sent.visits - chunk) / seconds - 100
        print(
            f"{what}, dwell {dwell_s * 1e6:.0f} us: rate off by {off:+.3f} %, "
            f"late p50 {np.median(late_us):.0f} p99 {np.quantile(late_us, 0.99):.0f} us"
        )
    socket.close()
    context.term()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for number, (chunk, dwell_s, times) in enumerate(
            [
                (64, None, 50),
                (16, None, 50),
                (1, None, 10),
                (1, 50e-6, 10),
                (1, 1e-3, 2),
                (8, 50e-6, 20),
            ]
        ):
            run(f"ipc://{Path(folder) / str(number)}", chunk, dwell_s, times)
    sys.exit(0)
