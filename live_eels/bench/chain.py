"""The engine's side of a run, and the run itself: two processes, started and ended here."""

from __future__ import annotations

import math
import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from live_eels.bench import load

POLL_S = 0.005
SELDOM = 20  # of these: whether to end, and whether somebody subscribed
READY_WITHIN_S = 180.0
NOTHING_S = 1e-7  # a stage that takes less per spectrum has nothing to do


class BenchError(Exception):
    """A run that did not come to an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run showed.

    Attributes
    ----------
    spectra_per_s
        Spectra (of the core signal) received, recorded and analysed per second.
    seconds
        Time over which that was measured.
    lost, shed
        Messages that never came; spectra that had to wait for their analysis.
    stages
        Spectra/s of each stage if it were alone.
    memory_mib
        Most memory the engine held.
    ready_s
        From starting the engine to its being able to analyse (imports not counted).
    """

    spectra_per_s: float
    seconds: float
    lost: int
    shed: int
    stages: dict[str, float]
    memory_mib: float
    ready_s: float
    sender_cpu_share: float
    latency_p50_ms: float = math.nan
    latency_p99_ms: float = math.nan


def measure(
    folder: Path,
    template: Path,
    *,
    seconds: float,
    record: bool,
    per_message: int,
    side: int,
    rate: float | None = None,
) -> Run:
    """Run engine and sender once; see ``load.Task`` for the arguments."""
    context = multiprocessing.get_context("spawn")
    analysed = context.RawValue("q", 0)
    here, there = context.Pipe()
    engine = context.Process(target=_engine, args=(folder, record, analysed, there), daemon=True)
    engine.start()
    sender = None
    try:
        endpoint, results, ready_s = _receive(here, engine, READY_WITHIN_S)
        task = load.Task(endpoint, results, template, per_message, side, seconds, rate)
        mine, yours = context.Pipe()
        sender = context.Process(target=load.run, args=(task, analysed, yours), daemon=True)
        sender.start()
        sent: load.Load = _receive(mine, sender, READY_WITHIN_S + seconds)
        here.send("stop")
        found: dict[str, Any] = _receive(here, engine, 30.0)
    finally:
        for process in (sender, engine):
            if process is not None:
                process.kill()
                process.join()
    percentiles = np.percentile(sent.latencies_ms or [math.nan], [50, 99])
    return Run(
        **found,
        ready_s=ready_s,
        sender_cpu_share=sent.cpu_share,
        latency_p50_ms=float(percentiles[0]),
        latency_p99_ms=float(percentiles[1]),
    )


def _receive(pipe: Connection, process: Any, timeout_s: float) -> Any:
    end_s = time.monotonic() + timeout_s
    while not pipe.poll(0.1):
        if not process.is_alive() or time.monotonic() > end_s:
            raise BenchError(f"the {process.name} of a run ended or hung; see its message above")
    return pipe.recv()


def _engine(folder: Path, record: bool, analysed: Any, answer: Connection) -> None:
    """Target of the engine's process: run until told to stop, then say what was seen."""
    from live_eels.app.engine import Engine
    from live_eels.config import parse

    tempfile.tempdir = str(folder)  # what is not kept is still written, there
    config = parse(
        f"""
        stream = {{endpoint = "tcp://127.0.0.1:*", bind = true, pattern = "PULL"}}
        publish.endpoint = "tcp://127.0.0.1:*"
        control.endpoint = ""
        view.enabled = false
        record = {{folder = '{folder}', keep = {str(record).lower()}}}
        """
    )
    start = time.perf_counter()
    engine = Engine(config)
    engine.start()
    engine.analyse.ask(lambda: None).result()  # answered when everything is compiled
    ready_s = time.perf_counter() - start
    assert engine.publisher is not None
    answer.send((engine.receiver.address, engine.publisher.endpoint, ready_s))
    answer.send(_watch(engine, analysed, answer))
    os._exit(0)  # the rest (settling, closing the file) is not part of the run


def _watch(engine: Any, analysed: Any, answer: Connection) -> dict[str, Any]:
    """Keep the sender informed until told to stop; then the figures."""
    times: list[float] = []
    counts: list[int] = []
    memory, process = 0, psutil.Process()
    for turn in count():
        if turn % SELDOM == 0:  # this loop is not the engine's: it should cost next to nothing
            if answer.poll():
                break
            engine.publisher.welcome()
        session = engine.current
        if session is not None and session.analysed:
            analysed.value = session.analysed
            times.append(time.perf_counter())
            counts.append(session.analysed)
        if len(times) % 100 == 0:
            memory = max(memory, process.memory_info().rss)
        if engine.failure is not None:
            raise engine.failure
        time.sleep(POLL_S)
    session = engine.current
    if session is None or len(times) < 2:
        raise BenchError("the engine analysed nothing")
    first = np.searchsorted(times, times[0] + load.start_s(times[-1] - times[0]))
    last = np.searchsorted(counts, counts[-1])  # the sender may have been done for a while
    seconds = times[last] - times[first]
    pipeline = session.pipeline
    return {
        "spectra_per_s": (counts[last] - counts[first]) / seconds,
        "seconds": round(seconds, 2),
        "lost": session.counters.missing_messages,
        "shed": session.shed,
        "stages": {
            name: pipeline.spectra_done / total
            for name, total in pipeline.stage_seconds.items()
            if total > pipeline.spectra_done * NOTHING_S
        },
        "memory_mib": memory / 2**20,
    }
