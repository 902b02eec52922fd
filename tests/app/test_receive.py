"""The receive thread refuses what cannot be read, and what this computer cannot hold."""

import psutil
import pytest

from live_eels import wire
from live_eels.app.queues import Edge
from live_eels.app.receive import ReceiveThread
from live_eels.app.session import Session
from live_eels.assemble import Assembler
from live_eels.spectra import EnergyAxis, NavigationAxis, Scan, Signal


@pytest.fixture
def receive():
    return ReceiveThread(
        None,  # nothing is received here: messages are handed over
        lambda parts: [wire.decode(parts)],
        Assembler(),
        Edge(2**20),
        lambda: True,
        lambda scan: Session(scan, 1, 0.0, 0.0),
    )


def scan(*shape, scan_id="s"):
    axes = tuple(NavigationAxis("x", size) for size in shape)
    return Scan(scan_id, axes, (Signal("core", EnergyAxis(500, 0.5, 8)),))


def test_a_scan_too_large_for_the_memory_is_refused_and_said(receive, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("M", (), {"available": 2**34})())
    receive._take(wire.encode(scan(16_384, 16_384)))
    [(fault, number)] = receive.books.faults.items()
    assert number == 1
    assert "268435456 pixels needs about 81920 MiB" in fault
    assert receive._assembler.scan is None
    receive._take(wire.encode(scan(8, 8, scan_id="t")))
    assert receive._assembler.scan.id == "t"


def test_a_scan_in_progress_goes_on_when_memory_runs_short(receive, monkeypatch):
    receive._take(wire.encode(scan(8, 8)))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("M", (), {"available": 0})())
    receive._take(wire.encode(scan(8, 8)))
    assert receive.books.wire_errors == 0
    receive._take(wire.encode(scan(8, 8, scan_id="t")))
    assert receive.books.wire_errors == 1
    assert receive._assembler.scan.id == "s"


def test_the_same_fault_is_one_entry_with_a_count(receive):
    for _ in range(3):
        receive._take([b"spectra", b"\xc1"])
    assert receive.books.messages == receive.books.wire_errors == 3
    assert list(receive.books.faults.values()) == [3]
