"""The main thread: signals, ticks, and everything closed when it ends."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from conftest import two_phase_scan
from live_eels import control
from live_eels.app.engine import Engine
from live_eels.app.serve import Interrupted, serve
from live_eels.config import parse
from live_eels.io.client import EngineGone, ask
from running_engine import messages, send, wait_for

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX does")


@pytest.fixture
def engine(endpoint, tmp_path):
    return Engine(
        parse(
            f'[stream]\nendpoint = "{endpoint}"\npattern = "PULL"\nbind = true\n'
            f'[publish]\nendpoint = "{endpoint}p"\n[control]\nendpoint = "{endpoint}c"\n'
            f'[view]\nenabled = false\n[record]\nfolder = "{tmp_path}"\n'
        )
    )


def when(condition, what, do) -> threading.Thread:
    """Do something as soon as it is time for it, from another thread."""

    def run() -> None:
        wait_for(condition, what)
        do()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_waiting_ends_in_good_order(engine, endpoint, number):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    ticks, stopping = [], []
    thread = when(lambda: ticks, "a tick", lambda: os.kill(os.getpid(), number))
    serve(engine, tick=ticks.append, stopping=lambda: stopping.append(1))
    thread.join()
    assert stopping == [1]
    assert ticks[0].state == "waiting"
    assert engine.ended.is_set()
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert not [t for t in threading.enumerate() if t.name in ("control", "receive", "analyse")]
    with pytest.raises(EngineGone):
        ask(f"{endpoint}c", control.GetStatus(), timeout_s=0.1)


def test_a_second_one_stops_at_once(engine, monkeypatch):
    ticks, stopping = [], []
    monkeypatch.setattr(engine, "stop", lambda: None)  # an engine that does not come to an end

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    threads = [
        when(lambda: ticks, "a tick", interrupt),
        when(lambda: stopping, "the first to be heard", interrupt),
    ]
    with pytest.raises(Interrupted):
        serve(engine, tick=ticks.append, stopping=lambda: stopping.append(1))
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    engine.stop()
    engine.join(60)


def test_it_stops_when_told_and_what_a_thread_raised_comes_out(engine, monkeypatch):
    def broken() -> None:
        raise RuntimeError("the recorder is broken")

    monkeypatch.setattr(engine.record, "run", broken)
    with pytest.raises(RuntimeError, match="the recorder is broken"):
        serve(engine)


def test_status_and_maps_go_out_and_commands_are_answered_until_the_scans_are_done(
    engine, endpoint
):
    import zmq

    from live_eels.io.client import Client

    scan, core, low, _ = two_phase_scan()
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.connect(endpoint)
    heard, answers = [], []

    def listen() -> None:
        with Client(f"{endpoint}p", f"{endpoint}c", timeout_s=60) as client:
            answers.append(client.ask(control.GetStatus()))
            send(socket, messages(scan, core, low))
            while not (heard and "cluster" in heard[-1] and client.status):
                heard.append(client.next())

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        serve(engine, stop_when=lambda: not thread.is_alive())
    finally:
        thread.join()
        context.destroy(0)
    assert answers[0].state == "waiting"
    assert heard[-1]["cluster"].shape == scan.shape
