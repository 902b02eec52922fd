"""The client: the newest maps, the last word of the engine, one answer to each command."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import zmq

from live_eels import control, wire
from live_eels.io.client import Client, EngineGone, ask
from live_eels.maps import MapBoard
from live_eels.spectra import ChunkResult, EnergyAxis, MapSpec, NavigationAxis, Scan, Signal

SPECS = [MapSpec("a", "signed", "eV", "first"), MapSpec("b", "label", classes=("x", "y"))]


def scan_of(name: str) -> Scan:
    axes = (NavigationAxis("y", 2, 0.25, "um"), NavigationAxis("x", 3, 0.5, "nm"))
    return Scan(name, axes, (Signal("core", EnergyAxis(600.0, 0.5, 8)),))


@pytest.fixture
def engine(endpoint: str) -> Iterator[zmq.Socket]:
    """What an engine publishes on."""
    context = zmq.Context()
    socket = context.socket(zmq.XPUB)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.RCVTIMEO, 60_000)
    socket.bind(endpoint)
    yield socket
    context.destroy(0)


@pytest.fixture
def client(endpoint: str, engine: zmq.Socket) -> Iterator[Client]:
    with Client(endpoint, None, timeout_s=60) as made:
        for _ in range(4):  # one subscription for each topic
            engine.recv()
        yield made


def publish(engine: zmq.Socket, scan: str, version: int, **maps: float) -> None:
    board = MapBoard(scan_of(scan), SPECS)
    values = {name: np.array([value], np.float32) for name, value in maps.items()}
    board.update(ChunkResult(np.array([0]), values))
    board.version = version - 1
    snapshot = board.snapshot()
    for name in maps:
        engine.send_multipart(wire.encode_map(snapshot, name))


def until(client: Client, condition) -> None:
    while not condition():
        assert client.next() is not None


def test_maps_come_one_by_one_and_the_newest_is_kept(engine, client):
    publish(engine, "s", 7, a=1.0)
    snapshot = client.next()
    assert (snapshot.scan_id, snapshot.version, list(snapshot), len(snapshot)) == ("s", 7, ["a"], 1)
    assert snapshot["a"][0, 0] == 1.0
    publish(engine, "s", 6, b=0.0)
    publish(engine, "s", 8, a=2.0)
    until(client, lambda: "b" in snapshot and snapshot["a"][0, 0] == 2.0)
    assert snapshot.version == 8
    assert snapshot.specs["b"].classes == ("x", "y")
    publish(engine, "s", 5, b=1.0)
    until(client, lambda: snapshot["b"][0, 0] == 1.0)
    assert snapshot.version == 8  # the newest among the maps


def test_a_map_that_is_no_more_is_dropped(engine, client):
    publish(engine, "s", 7, a=1.0, b=1.0)
    until(client, lambda: client._snapshot and "b" in client._snapshot)
    snapshot = client._snapshot
    contents = MapBoard(scan_of("s"), SPECS[:1]).snapshot()
    engine.send_multipart(wire.encode_contents(replace(contents, scan=scan_of("t"))))
    engine.send_multipart(wire.encode_contents(contents))
    until(client, lambda: "b" not in snapshot)
    assert (
        list(snapshot) == list(snapshot.specs) == ["a"]
    )  # another scan's contents changed nothing


def test_the_next_scan_begins_with_no_maps(engine, client):
    publish(engine, "s", 7, a=1.0, b=1.0)
    until(client, lambda: client._snapshot and "b" in client._snapshot)
    publish(engine, "t", 1, a=3.0)
    until(client, lambda: client._snapshot.scan_id == "t")
    assert list(client._snapshot) == ["a"]


def test_rubbish_is_skipped_and_status_and_events_are_kept(engine, client):
    engine.send_multipart([b"map/a", b"rubbish", b""])
    engine.send_multipart(wire.encode_status({"state": "scanning"}))
    for number in range(150):
        engine.send_multipart(wire.encode_event("mark_region", "s", {"number": number}))
    publish(engine, "s", 1, a=1.0)
    client.next()
    assert client.status == {"state": "scanning"}
    assert [event.details["number"] for event in client.events] == list(range(50, 150))


def test_iterating_ends_when_the_engine_is_silent(engine, client):
    client._timeout_s = 0.2
    publish(engine, "s", 1, a=1.0)
    assert [snapshot.scan_id for snapshot in client] == ["s"]
    engine.send_multipart(wire.encode_status({}))  # no map, so no news
    assert client.next() is None


def test_a_map_goes_to_hyperspy_with_its_axes(engine, client):
    with pytest.raises(LookupError, match="no map"):
        client.to_hyperspy("a")
    publish(engine, "s", 1, a=1.0)
    client.next()
    signal = client.to_hyperspy("a")
    assert signal.data.shape == (2, 3)
    x, y = signal.axes_manager.signal_axes
    assert ((x.scale, x.units), (y.scale, y.units)) == ((0.5, "nm"), (0.25, "um"))


def test_a_client_that_only_listens_commands_nobody(client):
    with pytest.raises(EngineGone, match="only listens"):
        client.ask(control.GetStatus())


def test_an_answer_that_takes_its_time_is_waited_for(endpoint):
    context = zmq.Context()
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)

    def answer() -> None:
        socket.recv()
        time.sleep(0.3)  # an engine at work
        socket.send(control.encode(control.Ok(message="done")))

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        assert ask(endpoint, control.Stop(), timeout_s=60) == control.Ok(message="done")
    finally:
        thread.join()
        context.destroy(0)


def test_no_engine_is_said_in_words(endpoint):
    start = time.monotonic()
    with pytest.raises(EngineGone, match="no engine answers"):
        ask(endpoint, control.GetStatus(), timeout_s=0.05)
    assert time.monotonic() - start < 5
