"""Threads beside the one that analyses: learning, and preparing the next chunk.

On two cores the three take turns at what is slowest; none changes a result, because learning
goes block by block in order, and preparing chunk by chunk in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from live_eels.kernels import many_threads_may_call

A = TypeVar("A")
B = TypeVar("B")

BYTES_WAITING = 32 * 2**20
"""Of blocks that may wait to be learnt; then the stream waits for the learners. The first few
thousand spectra, each block of which may change everything, fit in: a fast stream passes by."""


class Learning:
    """A thread on which blocks are learnt, in order; ``news`` is called after each."""

    def __init__(self, news: Callable[[], None]) -> None:
        self._news = news
        self._thread = ThreadPoolExecutor(1, "learn")
        self._jobs: deque[tuple[Future[None], int]] = deque()
        self._waiting = 0

    def do(self, job: Callable[[], None], size: int) -> None:
        """Have a block of ``size`` bytes learnt; waits where too much waits already."""
        while self._jobs and (self._jobs[0][0].done() or self._waiting + size > BYTES_WAITING):
            self._next()
        self._jobs.append((self._thread.submit(self._run, job), size))
        self._waiting += size

    def _next(self) -> None:
        job, size = self._jobs.popleft()
        self._waiting -= size
        job.result()

    def _run(self, job: Callable[[], None]) -> None:
        job()
        self._news()

    def wait(self) -> None:
        """Until every block is learnt. Raises what a job raised."""
        while self._jobs:
            self._next()


class Preparing:
    """A thread that prepares one chunk while another is analysed.

    Where numba's layer forbids parallel kernels on two threads, all is done where it is asked
    for instead.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "prepare") if many_threads_may_call() else None

    def begin(self, job: Callable[[], B]) -> Callable[[], B]:
        """Begin a job; the answer gives its result, or raises what it raised."""
        return self._thread.submit(job).result if self._thread else job

    def ahead(self, function: Callable[[A], B], items: Iterable[A], /) -> Iterator[B]:
        """``map`` that works on the next item (and fetches it) while one is being used."""
        iterator = iter(items)

        def one() -> list[B]:
            return [function(item) for item in islice(iterator, 1)]

        result = self.begin(one)
        try:
            while found := result():
                result = self.begin(one)
                yield found[0]
        finally:
            result()  # nothing is under way when the caller goes on to something else


class Beside:
    """Both threads; ``news`` is called when something was learnt."""

    def __init__(self, news: Callable[[], None] = lambda: None) -> None:
        self.learning, self.preparing = Learning(news), Preparing()
