"""A running engine for tests: settings on addresses of its own, a sender, and waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import zmq

from live_eels import wire
from live_eels.app.engine import Engine
from live_eels.config import Config, parse
from live_eels.spectra import ScanEnd, Spectra

WAIT_S = 180.0  # the first engine of a fresh computer compiles its kernels meanwhile


def settings(endpoint: str, folder: Path, extra: str = "") -> Config:
    return parse(
        f'[stream]\nendpoint = "{endpoint}"\npattern = "PULL"\nbind = true\n'
        f'[publish]\nendpoint = "{endpoint}p"\n[control]\nendpoint = ""\n'
        f'[view]\nenabled = false\n[record]\nfolder = "{folder}"\n' + extra
    )


@contextmanager
def running(config: Config) -> Iterator[tuple[Engine, zmq.Socket]]:
    """A started engine and a socket to feed it."""
    engine = Engine(config)
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.connect(config.stream.endpoint)
    engine.start()
    try:
        yield engine, socket
    finally:
        engine.stop()
        engine.join(WAIT_S)
        context.destroy(0)


def wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S} s for {what}"
        time.sleep(0.01)


def messages(scan, core, low, chunk=16, *, reason="complete", stop=None):
    yield scan
    sequence = 0
    for start in range(0, len(core) if stop is None else stop, chunk):
        rows = slice(start, min(start + chunk, len(core)))
        pixels = np.arange(rows.start, rows.stop)
        for name, counts in (("low", low), ("core", core)):
            if counts is not None:
                yield Spectra(scan.id, name, sequence, pixels, counts[rows], time.time())
                sequence += 1
    yield ScanEnd(scan.id, reason, len(core) if stop is None else stop)


def send(socket, items) -> None:
    for item in items:
        socket.send_multipart(wire.encode(item))
