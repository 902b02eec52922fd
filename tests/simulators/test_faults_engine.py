"""A running engine fed by each fault: nothing crashes, its counters equal the injector's books."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from live_eels.simulators.acquire import Acquisition
from live_eels.simulators.faults import PRESETS, FaultInjector
from live_eels.simulators.scene import load_scene
from live_eels.simulators.send import Message

from live_eels import wire
from live_eels.io.reader import open_recording
from live_eels.spectra import Scan, ScanEnd
from running_engine import running, send, settings, wait_for


def renamed(messages: tuple[Message, ...], name: str) -> Iterator[Message]:
    for message in messages:
        if isinstance(message, Scan):
            yield replace(message, id=name, title=name)
        else:
            yield replace(message, scan_id=name)


def test_every_fault_is_survived_and_counted(endpoint, tmp_path):
    scene = load_scene("core_shell").changed(scan={"shape": (12, 16), "step_nm": 4.0})
    messages = tuple(Acquisition(scene, seed=8).messages(chunk=2))
    with running(settings(endpoint, tmp_path)) as (engine, socket):
        unreadable = 0
        for seed, (name, faults) in enumerate(PRESETS.items()):
            injector = FaultInjector(faults, seed)
            before = len(engine.sessions)
            for prepared in injector.apply(renamed(messages, name)):
                socket.send_multipart(prepared.parts)
            if injector.books and injector.books[-1].end in (None, "lost"):
                send(socket, [ScanEnd(injector.books[-1].scan_id, "lost")])
            announced = [book for book in injector.books if book.announced]
            wanted = before + len(announced)
            wait_for(lambda n=wanted: engine.finished_scans == n, name)
            unreadable += sum(book.unreadable for book in announced)
            assert engine.receive.books.wire_errors == unreadable, name
            sessions = engine.sessions[before:]
            assert len(sessions) == len(announced), name
            for session, book in zip(sessions, announced, strict=True):
                counters = session.counters
                for field in (
                    "messages", "visits", "gaps", "missing_messages", "duplicates", "late",
                ):  # fmt: skip
                    assert getattr(counters, field) == getattr(book, field), (name, field)
                assert session.end is not None
                assert session.end.reason == (book.end or "lost"), name
                assert session.analysed >= session.counters.pixels, name
                assert not session.record_error, name
                with open_recording(session.path) as recording:
                    recorded = int(np.count_nonzero(recording.visits() > 0))
                    assert np.isfinite(recording.maps["counts"]).sum() >= recorded, name
                    assert recording.end is not None
        # And the next scan is as good as any.
        for message in renamed(messages, "after it all"):
            socket.send_multipart(wire.encode(message))
        wait_for(lambda: engine.current.scan.id == "after it all", "one more scan")
        wait_for(lambda: engine.current.finished, "its end")
        assert engine.current.counters.pixels == engine.current.scan.pixels
        assert engine.current.state == "complete"
