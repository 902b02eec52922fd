"""The PUB side: topics, newest maps only, everything to those who come late; and its client."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import zmq

from live_eels import control, wire
from live_eels.io import commands
from live_eels.io.client import Client, EngineGone, ask
from live_eels.io.commands import CommandServer
from live_eels.io.publisher import Publisher
from live_eels.io.sockets import SocketError
from live_eels.maps import MapBoard
from live_eels.spectra import (
    ChunkResult,
    Curve,
    EnergyAxis,
    MapSpec,
    NavigationAxis,
    Scan,
    Signal,
)

AXIS = EnergyAxis(600.0, 0.5, 8)
SCAN = Scan(
    "s1", (NavigationAxis("y", 2, 0.5), NavigationAxis("x", 3, 0.5)), (Signal("core", AXIS),)
)
SPECS = [MapSpec("a", "signed", "eV", "first"), MapSpec("b", "label", classes=("x", "y"))]


@pytest.fixture
def publisher(endpoint):
    made = Publisher(endpoint)
    yield made
    made.close()


@pytest.fixture
def board():
    return MapBoard(SCAN, SPECS)


@pytest.fixture
def subscriber(publisher):
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.RCVTIMEO, 60_000)
    socket.set(zmq.SUBSCRIBE, b"")
    socket.connect(publisher.endpoint)
    yield socket
    context.destroy(0)


def welcome(publisher: Publisher) -> None:
    """As the engine's main thread does at each tick, until the subscriber is there."""
    while not publisher.subscribers:
        publisher.welcome()


def received(socket) -> list:
    return [wire.decode_result(parts) for parts in socket_messages(socket)]


def socket_messages(socket):
    while True:
        parts = socket.recv_multipart()
        if parts[0] == b"event":  # the tests end with one
            return
        yield parts


def test_a_late_subscriber_is_sent_everything(publisher, subscriber, board):
    board.update(ChunkResult(np.array([1]), {"a": np.array([5], np.float32)}))
    curve = Curve(AXIS, np.ones((1, 8), np.float32), ("1",), error=np.zeros((1, 8), np.float32))
    publisher.snapshot(board.snapshot({"factors": curve}))
    welcome(publisher)
    publisher.event("end", "s1", {})
    first, *results = socket_messages(subscriber)
    assert wire.decode(first).id == "s1"
    messages = {parts[0]: wire.decode_result(parts) for parts in results}
    assert set(messages) == {b"map/a", b"map/b", b"curve/factors"}
    a = messages[b"map/a"]
    assert a.values.shape == (2, 3)
    assert a.values[0, 1] == 5
    assert (a.unit, a.scale, a.units) == ("eV", [0.5, 0.5], ["nm", "nm"])
    assert messages[b"map/b"].spec == SPECS[1]
    assert messages[b"curve/factors"].sigma.shape == (1, 8)


def test_only_maps_that_changed_are_sent_again(publisher, subscriber, board):
    publisher.snapshot(board.snapshot())
    welcome(publisher)
    publisher.snapshot(board.snapshot())
    board.update(ChunkResult(np.array([1]), {"a": np.array([5], np.float32)}))
    publisher.snapshot(board.snapshot())
    publisher.event("end", "s1", {})
    topics = [parts[0] for parts in socket_messages(subscriber)]
    assert topics.count(b"map/a") >= topics.count(b"map/b") + 1


def test_pixels_go_out_at_once(publisher, subscriber, board):
    publisher.snapshot(board.snapshot())
    welcome(publisher)
    result = ChunkResult(np.array([4, 2]), {"a": np.array([1, 2], np.float32)})
    publisher.pixels("s1", result)
    publisher.event("end", "s1", {})
    (message,) = [wire.decode_result(p) for p in socket_messages(subscriber) if p[0] == b"pixels"]
    np.testing.assert_array_equal(message.pixels, [4, 2])
    np.testing.assert_array_equal(message.values, [[1, 2]])
    assert message.maps == ["a"]


def test_an_address_in_use_is_said_in_words(publisher):
    with pytest.raises(SocketError, match="cannot listen at"):
        Publisher("tcp://nowhere.invalid:1")


def test_the_client_gets_the_newest_maps(publisher, board, endpoint):
    with Client(publisher.endpoint, None, timeout_s=10) as client:
        publisher.snapshot(board.snapshot())
        welcome(publisher)
        snapshot = client.next()
        while "b" not in snapshot:
            snapshot = client.next()
        board.update(ChunkResult(np.array([0]), {"a": np.array([9], np.float32)}))
        publisher.snapshot(board.snapshot())
        while snapshot["a"][0, 0] != 9:
            snapshot = client.next()
        assert list(snapshot) == ["a", "b"]
        assert snapshot.specs["b"].classes == ("x", "y")
        signal = client.to_hyperspy("a")
        assert signal.axes_manager.signal_axes[0].scale == 0.5
        with pytest.raises(EngineGone, match="only listens"):
            client.ask(control.GetStatus())


def test_commands_are_answered_and_rubbish_too(endpoint):
    def obey(command):
        if isinstance(command, control.SetClusters):
            return control.Ok(message=f"k is {command.k}")
        return control.Refused(error="no")

    server = CommandServer(endpoint, obey)
    thread = threading.Thread(target=server.run)
    thread.start()
    context = zmq.Context()
    try:
        assert ask(endpoint, control.SetClusters(k=3)) == control.Ok(message="k is 3")
        assert ask(endpoint, control.Stop()) == control.Refused(error="no")
        socket = context.socket(zmq.REQ)
        socket.connect(endpoint)
        socket.send(b"{rubbish")
        assert isinstance(control.decode_reply(socket.recv()), control.Refused)
        bare = context.socket(zmq.DEALER)  # no delimiter, several parts: must not end the server
        bare.connect(endpoint)
        bare.send_multipart([b"a", b"b", b"c"])
        assert isinstance(control.decode_reply(bare.recv_multipart()[-1]), control.Refused)
        assert ask(endpoint, control.SetClusters(k=4)) == control.Ok(message="k is 4")
    finally:
        context.destroy(0)
        server.stop()
        thread.join()


def test_a_slow_command_does_not_hold_up_others(endpoint):
    asked, answer = threading.Event(), threading.Event()

    def obey(command):
        if isinstance(command, control.SetClusters):
            asked.set()
            answer.wait(30)
        return control.Ok(message=type(command).__name__)

    server = CommandServer(endpoint, obey)
    thread = threading.Thread(target=server.run)
    thread.start()
    replies = []
    slow = threading.Thread(
        target=lambda: replies.append(ask(endpoint, control.SetClusters(k=3), timeout_s=30))
    )
    try:
        slow.start()
        assert asked.wait(30)
        assert ask(endpoint, control.GetStatus()).message == "GetStatus"
        assert not replies
        server.stop()  # what is at work is still answered
        answer.set()
        slow.join()
        assert [reply.message for reply in replies] == ["SetClusters"]
    finally:
        answer.set()
        server.stop()
        thread.join()


def test_a_flood_of_commands_is_refused(endpoint, monkeypatch):
    monkeypatch.setattr(commands, "MAX_WAITING", 2)
    answer = threading.Event()
    server = CommandServer(endpoint, lambda command: control.Ok(message=str(answer.wait(30))))
    thread = threading.Thread(target=server.run)
    thread.start()
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(endpoint)
    try:
        for _ in range(3):
            socket.send_multipart([b"", control.encode(control.GetStatus())])
        assert "too many" in control.decode_reply(socket.recv_multipart()[-1]).error
        answer.set()
        for _ in range(2):
            assert isinstance(control.decode_reply(socket.recv_multipart()[-1]), control.Ok)
    finally:
        answer.set()
        context.destroy(0)
        server.stop()
        thread.join()


def test_no_engine_is_said_in_words(endpoint):
    start = time.monotonic()
    with pytest.raises(EngineGone, match="no engine answers"):
        ask(endpoint, control.GetStatus(), timeout_s=0.05)
    assert time.monotonic() - start < 5
