from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import zmq
from live_eels.simulators import send as sending
from live_eels.simulators.acquire import Acquisition
from live_eels.simulators.scene import load_scene
from live_eels.simulators.send import Prepared, prepare, repeated, send, send_on, wait_until

from live_eels import wire
from live_eels.spectra import Scan, ScanEnd, Spectra


class Clock:
    """Time that passes only by being looked at, slept, or spent: the same on a busy machine."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def perf_counter(self) -> float:
        self.now_s += 1e-6
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The sender's clock."""
    ours = Clock()
    monkeypatch.setattr(sending, "time", ours)
    return ours


class Ear:
    """A socket that notes what it was given and when; each message takes ``takes_s``."""

    def __init__(self, clock: Clock, takes_s: float = 2e-6) -> None:
        self.heard: list[tuple[float, list[bytes]]] = []
        self.clock, self.takes_s = clock, takes_s

    def send_multipart(self, parts: list[bytes], copy: bool) -> None:
        self.heard.append((self.clock.now_s, [bytes(part) for part in parts]))
        self.clock.now_s += self.takes_s


def few(n: int = 40) -> list[Scan | Spectra | ScanEnd]:
    scene = load_scene("core_shell").changed(scan={"shape": (n,)})
    return list(Acquisition(scene, seed=1).messages(chunk=1))


def test_what_is_sent_arrives_and_reads_the_same(tmp_path: Path) -> None:
    messages = few()
    endpoint = f"ipc://{tmp_path}/s"
    context = zmq.Context()
    ear = context.socket(zmq.PULL)
    ear.connect(endpoint)
    sender = threading.Thread(
        target=send, args=(messages, endpoint), kwargs={"pattern": "PUSH", "settle_s": 0.1}
    )
    sender.start()
    heard = [wire.decode(ear.recv_multipart()) for _ in messages]
    sender.join()
    ear.close()
    context.term()
    assert isinstance(heard[0], Scan)
    assert heard[0].shape == (40,)
    for sent, came in zip(messages, heard, strict=True):
        if isinstance(sent, Spectra):
            assert isinstance(came, Spectra)
            np.testing.assert_array_equal(came.counts, sent.counts)
            np.testing.assert_array_equal(came.pixels, sent.pixels)
    assert heard[-1] == messages[-1]


@pytest.mark.parametrize("dwell_s", [50e-6, 1e-3])
def test_no_spectrum_leaves_before_it_is_read_out_and_the_pace_is_kept(
    dwell_s: float, clock: Clock
) -> None:
    """It cannot be early, and what is late does not push back what follows."""
    times = max(1, round(0.4 / dwell_s / 40))
    ahead = list(prepare(repeated(few(), times)))
    ahead[20] = Prepared(ahead[20].parts, ahead[20].visits, pause_s=20 * dwell_s)
    ear = Ear(clock)
    start = clock.now_s
    sent = send_on(ear, ahead, rate=1 / dwell_s)
    assert sent.visits == 40 * times
    core = [when for when, parts in ear.heard if parts[0] == b"spectra" and b"core" in parts[1]]
    late_s = np.array(core) - start - dwell_s * np.arange(1, len(core) + 1)
    assert late_s.min() > 0
    assert late_s.max() > 18 * dwell_s
    assert late_s[-1] < 20e-6
    assert sent.rate < 1 / dwell_s


def test_a_late_sender_catches_up(clock: Clock) -> None:
    ahead = list(prepare(few(20)))
    ahead[10] = Prepared(ahead[10].parts, ahead[10].visits, pause_s=0.1)
    sent = send_on(Ear(clock), ahead, rate=1000.0)
    assert 0.1 < sent.seconds < 0.1 + 0.02


def test_rate_none_does_not_wait(clock: Clock) -> None:
    assert send_on(Ear(clock, takes_s=1e-4), prepare(few())).rate > 4000


def test_announcement_is_repeated_for_those_who_come_late(clock: Clock) -> None:
    ear = Ear(clock)
    ahead = list(prepare(few(6)))
    ahead[5] = Prepared(ahead[5].parts, ahead[5].visits, pause_s=1.05)
    send_on(ear, ahead)
    kinds = [parts[0] for _, parts in ear.heard]
    assert kinds.count(b"scan") == 2
    assert kinds.count(b"scan_end") == 1


def test_repeated_scans_have_names_of_their_own() -> None:
    messages = list(repeated(few(3), 3))
    assert len({m.id for m in messages if isinstance(m, Scan)}) == 3
    assert len({m.scan_id for m in messages if isinstance(m, ScanEnd)}) == 3


def test_waiting_is_exact_or_late_but_never_early() -> None:
    for wait_s in (0.0, 1e-4, 5e-3):
        when = time.perf_counter() + wait_s
        wait_until(when)
        assert time.perf_counter() >= when
