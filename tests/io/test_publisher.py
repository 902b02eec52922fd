"""The PUB side: topics, newest maps only, everything to those who come late."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import zmq

from live_eels import wire
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
    # Who subscribed before the snapshot has had the announcement once already.
    messages = {p[0]: wire.decode_result(p) for p in results if p[0] != b"scan"}
    assert set(messages) == {b"map/a", b"map/b", b"curve/factors", b"contents"}
    assert messages[b"contents"].maps == ["a", "b"]
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


def test_the_next_scan_is_announced_and_all_its_maps_are_sent(publisher, subscriber, board):
    publisher.snapshot(board.snapshot())
    welcome(publisher)
    publisher.snapshot(replace(publisher._last))  # now it knows what was sent
    following = MapBoard(replace(SCAN, id="s2"), SPECS)
    publisher.snapshot(following.snapshot())  # of the same version as the last of the one before
    publisher.event("end", "s2", {})
    messages = list(socket_messages(subscriber))
    announced = [wire.decode(parts).id for parts in messages if parts[0] == b"scan"]
    assert announced[-1] == "s2"
    maps = [wire.decode_result(p) for p in messages if p[0].startswith(b"map/")]
    assert {m.name for m in maps if m.scan == "s2"} == {"a", "b"}


def test_who_is_there_already_is_not_sent_everything_again(publisher, subscriber, board):
    publisher.snapshot(board.snapshot())
    welcome(publisher)
    for _ in range(3):
        publisher.welcome()
    publisher.event("end", "s1", {})
    topics = [parts[0] for parts in socket_messages(subscriber)]
    # Whoever subscribed before the first snapshot was sent has heard of the scan by then.
    assert topics[-4:] == [b"scan", b"map/a", b"map/b", b"contents"]
    assert topics.count(b"map/a") == topics.count(b"contents") == 1


def test_subscribers_that_leave_are_noticed_and_nothing_is_written_for_nobody(
    publisher, board, monkeypatch
):
    publisher.snapshot(board.snapshot())
    context = zmq.Context()
    sockets = [context.socket(zmq.SUB) for _ in range(2)]
    for socket in sockets:
        socket.set(zmq.SUBSCRIBE, b"")
        socket.connect(publisher.endpoint)
    while publisher.subscribers < 2:
        publisher.welcome()
    for socket in sockets:
        socket.close(0)
    context.term()
    while publisher.subscribers:
        publisher.welcome()
    for write in ("encode_pixels", "encode_map"):
        monkeypatch.setattr(wire, write, None)
    board.update(ChunkResult(np.array([1]), {"a": np.array([5], np.float32)}))
    publisher.snapshot(board.snapshot())
    publisher.pixels("s1", ChunkResult(np.array([1]), {"a": np.array([5], np.float32)}))


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


def test_control_software_is_who_hears_events(publisher):
    """A subscriber of maps alone, such as a page, cannot act on what an operator asks for."""
    context = zmq.Context()

    def subscribed(topics):
        socket = context.socket(zmq.SUB)
        socket.set(zmq.LINGER, 0)
        for topic in topics:
            socket.set(zmq.SUBSCRIBE, topic)
        socket.connect(publisher.endpoint)
        return socket

    def until(subscribers):
        while publisher.subscribers != subscribers:
            publisher.welcome()
        return publisher.controllers

    page = subscribed([b"map/", b"status"])
    assert until(2) == 0
    software = subscribed([b"event"])
    assert until(3) == 1
    everything = subscribed([b""])
    assert until(4) == 2
    software.close()
    assert until(3) == 1
    everything.close()
    page.close()
    assert until(0) == 0
    context.destroy(0)
