"""The receive thread: owns the data socket and the assembler.

It understands nothing but order: parts become messages (``decode``), messages become chunks
(the assembler), chunks go to the recorder. What cannot be read is counted and skipped.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import psutil

from live_eels.app.queues import Closed, Edge
from live_eels.app.session import Session
from live_eels.assemble import Assembled, Assembler
from live_eels.io.sockets import Receiver
from live_eels.spectra import Chunk, Scan, ScanEnd, Spectra, WireError

Decode = Callable[[Sequence[memoryview]], Iterable[Scan | Spectra | ScanEnd]]
Item = tuple[Session, Scan | Chunk | ScanEnd]

HOLD_S = 0.05
"""Spectra wait no longer than this for their chunk to fill, however busy the analysis is."""

BYTES_PER_PIXEL = 320
"""What the engine keeps of each pixel: loadings, maps (measured: 170), maps that pages look at."""

POLL_S = 0.002
"""While a chunk is open: how soon an analysis that has become idle gets it."""


@dataclass
class Books:
    """What the receive thread counts over all scans."""

    messages: int = 0
    wire_errors: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def fault(self, error: WireError) -> None:
        """Count a message that cannot be read; the same fault is one entry."""
        self.wire_errors += 1
        text = str(error)[:200]
        if text in self.faults or len(self.faults) < 64:
            self.faults[text] += 1


class ReceiveThread:
    """Receives until told to stop, then ends the scan in progress as *aborted*.

    Parameters
    ----------
    receiver
        Open socket; this thread is its only user from ``run`` on.
    decode
        Parts to messages; raises ``WireError``.
    assembler
        Fresh assembler.
    out
        Edge to the recorder.
    idle
        Whether recorder and analysis have nothing to do: then an open chunk is closed at once.
    begin
        Makes the session of a newly announced scan.
    """

    def __init__(
        self,
        receiver: Receiver,
        decode: Decode,
        assembler: Assembler,
        out: Edge[Item],
        idle: Callable[[], bool],
        begin: Callable[[Scan], Session],
    ) -> None:
        self.books = Books()
        self._receiver, self._decode, self._assembler = receiver, decode, assembler
        self._out, self._idle, self._begin = out, idle, begin
        self._session: Session | None = None
        self._opened_s = 0.0
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End the thread, from another one."""
        self._stopping.set()
        self._receiver.wake()

    def run(self) -> None:
        """Receive until stopped."""
        try:
            while not self._stopping.is_set():
                self._receiver.wait(POLL_S if self._assembler.pending else None)
                for parts in self._receiver.receive():
                    self._take(parts)
                self._close_when_due()
            scan = self._assembler.scan
            if scan is not None:
                self._pass_on(self._assembler.feed(ScanEnd(scan.id, "aborted")))
        except Closed:
            pass
        finally:
            self._out.close()
            self._receiver.close()

    def _take(self, parts: list[memoryview]) -> None:
        now_s = time.monotonic()
        self.books.messages += 1
        try:
            for message in self._decode(parts):
                if isinstance(message, Scan):
                    self._check_room(message)
                assembled = self._assembler.feed(message, now_s)
                if self._session is not None:
                    self._session.last_data_s = now_s
                if assembled:
                    self._pass_on(assembled)
        except WireError as error:
            self.books.fault(error)

    def _check_room(self, scan: Scan) -> None:
        """Refuse a scan whose maps and loadings this computer cannot hold, before it tries."""
        known = self._assembler.scan
        need, free = scan.pixels * BYTES_PER_PIXEL, psutil.virtual_memory().available
        if need > free and (known is None or known.id != scan.id):
            raise WireError(
                f"a scan of {scan.pixels} pixels needs about {need >> 20} MiB of memory, "
                f"{free >> 20} are free: close other programs, or scan fewer pixels at a time"
            )

    def _close_when_due(self) -> None:
        if not self._assembler.pending:
            return
        now_s = time.monotonic()
        if self._idle() or now_s - self._opened_s > HOLD_S:
            self._pass_on(self._assembler.flush())

    def _pass_on(self, assembled: Sequence[Assembled]) -> None:
        for item in assembled:
            match item:
                case Scan():
                    self._session = self._begin(item)
                    self._session.counters = self._assembler.counters
                    self._session.losses = self._assembler.losses
                    self._session.last_data_s = time.monotonic()
                    weight = 0
                case Chunk():
                    weight = item.counts.nbytes + (0 if item.low is None else item.low.nbytes)
                    self._opened_s = time.monotonic()
                    if self._session is not None:
                        self._session.last_clock_s = item.clock_s
                case ScanEnd():
                    weight = 0
                    if self._session is not None:
                        self._session.end = item
            if self._session is not None:
                self._out.put((self._session, item), weight)
