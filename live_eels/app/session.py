"""One scan in the engine: what the threads share about it, and who writes what.

Each field has one writing thread (named in its comment); everybody may read. Numbers are
replaced, not locked: a reader sees the old one or the new one.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from live_eels.books import Counters
from live_eels.io.recorder import Recorder
from live_eels.losses import Losses
from live_eels.maps import MapBoard
from live_eels.pipeline import Pipeline
from live_eels.spectra import MapSnapshot, Scan, ScanEnd


@dataclass(eq=False)
class Session:
    """The state of one scan from its announcement to its last map."""

    scan: Scan
    number: int
    started_s: float  # monotonic
    started_unix_s: float
    counters: Counters = field(default_factory=Counters)  # receive
    losses: Losses | None = None  # receive
    end: ScanEnd | None = None  # receive
    last_data_s: float = 0.0  # receive, monotonic
    last_clock_s: float = float("nan")  # receive, sender's UNIX clock

    recorder: Recorder | None = None  # record; analyse from the scan's end on
    keep: bool = True  # whoever gives the command
    path: Path | None = None  # record; analyse from the scan's end on
    temporary: Path | None = None  # record: folder made for a scan that is not to be kept
    recorded: int = 0  # record: pixel visits on disk
    record_error: str = ""  # record: why nothing is written any more

    owed: Owed = field(default_factory=lambda: Owed())  # record adds, analyse takes
    shed: int = 0  # record: pixels that analysis had no time for at once

    pipeline: Pipeline | None = None  # analyse
    board: MapBoard | None = None  # analyse
    snapshot: MapSnapshot | None = None  # analyse
    analysed: int = 0  # analyse: pixel visits
    last_shift_ev: float = float("nan")  # analyse: energy shift of the newest pixel
    settled: int = 0  # analyse: pixels computed with the final basis
    following: bool = False  # analyse: settled and written; its maps do not show all of it yet
    finished: bool = False  # analyse
    ended_s: float = 0.0  # analyse, monotonic
    problems: list[str] = field(default_factory=list)  # any; append only
    lags_s: deque[float] = field(default_factory=lambda: deque(maxlen=512))  # analyse

    def problem(self, text: str) -> None:
        """Note something the user must know, once."""
        if text not in self.problems:
            self.problems.append(text)

    @property
    def behind(self) -> bool:
        """Whether pixels of it have yet to follow what was learnt."""
        return self.pipeline is not None and self.pipeline.stale

    @property
    def to_settle(self) -> bool:
        """Whether it is over and its pixels have yet to be computed with the final basis."""
        return self.end is not None and not self.following and not self.finished

    def owe_outdated(self) -> None:
        """Have pixels that came before a component was found looked at again."""
        if self.pipeline is not None:
            outdated = self.pipeline.take_outdated()
            if self.recorder is not None:
                self.owed.add(outdated, learn=False)

    @property
    def state(self) -> str:
        """``scanning``, ``catching_up``, or the reason the scan ended."""
        if self.end is None:
            return "scanning"
        return self.end.reason if self.finished else "catching_up"


class Owed:
    """Pixels that are on disk and still to be analysed (or analysed again)."""

    def __init__(self) -> None:
        self._parts: deque[tuple[NDArray[np.int64], bool]] = deque()
        self._lock = threading.Lock()
        self.pixels = 0

    def add(self, pixels: NDArray[np.int64], *, learn: bool) -> None:
        """Owe these; ``learn`` says whether the learners have yet to see them."""
        if len(pixels):
            with self._lock:
                self._parts.append((pixels, learn))
                self.pixels += len(pixels)

    def take(self, limit: int) -> tuple[NDArray[np.int64], bool] | None:
        """Take at most ``limit`` pixels of one kind, oldest first; None if nothing is owed."""
        with self._lock:
            if not self._parts:
                return None
            taken: list[NDArray[np.int64]] = []
            room, kind = limit, self._parts[0][1]
            while self._parts and room and self._parts[0][1] == kind:
                pixels, learn = self._parts.popleft()
                taken.append(pixels[:room])
                if len(pixels) > room:
                    self._parts.appendleft((pixels[room:], learn))
                room -= len(taken[-1])
            out = np.concatenate(taken)
            self.pixels -= len(out)
            return out, kind

    def clear(self) -> None:
        """Forget what is owed."""
        with self._lock:
            self._parts.clear()
            self.pixels = 0
