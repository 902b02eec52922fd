"""Hearing a sender: three outcomes, and nothing taken away from a PULL stream."""

import re
import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import zmq

from live_eels import wire
from live_eels.io.probe import Address, listen
from live_eels.spectra import EnergyAxis, NavigationAxis, Scan, Signal, Spectra

SCAN = Scan("s", (NavigationAxis("x", 8),), (Signal("core", EnergyAxis(500, 0.5, 4)),), title="T")


def decode(parts):
    return [wire.decode(parts)]


def spectra(clock_s=float("nan")):
    return Spectra("s", "core", 0, np.arange(2), np.ones((2, 4), "<u2"), clock_s)


@contextmanager
def sender(kind, endpoint, messages, bind=True, prepare=lambda sock: None):
    """A peer that sends all messages again and again from a thread of its own."""
    context = zmq.Context()
    peer = context.socket(kind)
    peer.linger = 0
    prepare(peer)
    (peer.bind if bind else peer.connect)(endpoint)
    ended = threading.Event()

    def run():
        while not ended.wait(0.02):
            for parts in messages:
                if peer.poll(10, zmq.POLLOUT):
                    peer.send_multipart(parts)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield peer.get_string(zmq.LAST_ENDPOINT)
    finally:
        ended.set()
        thread.join()
        context.destroy(0)


@pytest.fixture
def endpoint(tmp_path):
    return f"ipc://{tmp_path}/s"


def test_heard_and_understood(endpoint):
    messages = [wire.encode(SCAN), wire.encode(spectra(time.time()))]
    with sender(zmq.PUB, endpoint, messages):
        heard = listen(Address(endpoint=endpoint), decode, 5.0)
    assert heard.outcome == "ok"
    assert "'T', 8, 4 channels from 500 to 501.5 eV" in heard.detail
    assert heard.scan.id == "s"
    assert heard.advice == ""


def test_another_clock_is_noticed(endpoint):
    with sender(zmq.PUB, endpoint, [wire.encode(spectra(time.time() - 60))]):
        heard = listen(Address(endpoint=endpoint), decode, 5.0)
    assert heard.outcome == "ok"
    assert "no scan announced yet" in heard.detail
    assert re.search(r"differ by -6\d s", heard.advice)


def test_there_but_silent(endpoint):
    with sender(zmq.PUB, endpoint, []):
        heard = listen(Address(endpoint=endpoint), decode, 0.5)
        assert heard.outcome == "timeout"
        assert "Normal when no scan runs" in heard.advice
        heard = listen(Address(endpoint=endpoint, topic="x"), decode, 0.5)
        assert "beginning with 'x'" in heard.advice


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for pattern in ("SUB", "PULL"):
        heard = listen(Address(endpoint=f"tcp://127.0.0.1:{port}", pattern=pattern), decode, 0.5)
        assert heard.outcome == "error"
        assert "nobody answers" in heard.detail
        assert "firewall" in heard.advice


def test_another_language(endpoint):
    with sender(zmq.PUB, endpoint, [[b"hello", b"world"]]):
        heard = listen(Address(endpoint=endpoint), decode, 5.0)
    assert heard.outcome == "error"
    assert "none could be read" in heard.detail
    assert "format" in heard.advice


def test_some_unreadable_is_said(endpoint):
    with sender(zmq.PUB, endpoint, [[b"x", b"y"], wire.encode(SCAN)]):
        heard = listen(Address(endpoint=endpoint), decode, 5.0)
    assert heard.outcome == "ok"
    assert "could not be read" in heard.detail


@pytest.mark.skipif(not zmq.has("curve"), reason="this ZeroMQ has no CURVE")
def test_keys_that_do_not_fit():
    server_public, server_secret = zmq.curve_keypair()
    public, secret = zmq.curve_keypair()
    wrong, _ = zmq.curve_keypair()

    def encrypt(peer):
        peer.curve_server = True
        peer.curve_secretkey = server_secret

    with sender(zmq.PUB, "tcp://127.0.0.1:*", [wire.encode(SCAN)], prepare=encrypt) as address:
        good = (server_public.decode(), public.decode(), secret.decode())
        assert listen(Address(endpoint=address, keys=good), decode, 5.0).outcome == "ok"
        bad = (wrong.decode(), public.decode(), secret.decode())
        for keys in (bad, ("", "", "")):
            heard = listen(Address(endpoint=address, keys=keys), decode, 1.0)
            assert heard.outcome == "error"
        malformed = Address(endpoint=address, keys=("short", "", ""))
        assert listen(malformed, decode, 1.0).outcome == "error"


def test_listening_ourselves(endpoint):
    heard = listen(Address(endpoint=endpoint, bind=True), decode, 0.3)
    assert heard.outcome == "timeout"
    assert "no sender has connected" in heard.detail
    with sender(zmq.PUB, endpoint, [wire.encode(SCAN)], bind=False):
        assert listen(Address(endpoint=endpoint, bind=True), decode, 5.0).outcome == "ok"


def test_knocking_at_a_pull_stream_takes_nothing_away(endpoint):
    for address in (endpoint, "tcp://127.0.0.1:*"):
        context = zmq.Context()
        pusher = context.socket(zmq.PUSH)
        pusher.bind(address)
        where = pusher.get_string(zmq.LAST_ENDPOINT)
        heard = listen(Address(endpoint=where, pattern="PULL"), decode, 1.0)
        assert heard.outcome == "ok"
        assert not pusher.poll(50, zmq.POLLOUT)  # nobody counts as a receiver
        puller = context.socket(zmq.PULL)
        puller.connect(where)
        for number in range(20):
            pusher.send(bytes([number]))
        assert [puller.recv()[0] for _ in range(20)] == list(range(20))
        context.destroy(0)


def test_pull_at_something_that_is_not_zeromq():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer():
            peer, _ = server.accept()
            peer.sendall(b"HTTP/1.1 400")
            peer.close()

        thread = threading.Thread(target=answer)
        thread.start()
        address = Address(endpoint=f"tcp://127.0.0.1:{port}", pattern="PULL")
        heard = listen(address, decode, 1.0)
        thread.join()
    assert heard.outcome == "error"
    assert "not ZeroMQ" in heard.detail


def test_pull_that_binds_only_tries_the_address(endpoint):
    heard = listen(Address(endpoint=endpoint, pattern="PULL", bind=True), decode, 5.0)
    assert heard.outcome == "ok"


@pytest.mark.parametrize("endpoint", ["localhost:5555", "tcp://", "http://a:1", "tcp://*:x"])
@pytest.mark.parametrize("pattern", ["SUB", "PULL"])
def test_addresses_that_are_none(endpoint, pattern):
    heard = listen(Address(endpoint=endpoint, pattern=pattern), decode, 0.2)
    assert heard.outcome == "error"
    assert "An address looks like tcp://" in heard.detail


def test_an_address_in_use():
    with sender(zmq.PUB, "tcp://127.0.0.1:*", []) as address:
        for pattern in ("SUB", "PULL"):
            heard = listen(Address(endpoint=address, pattern=pattern, bind=True), decode, 0.2)
            assert heard.outcome == "error"
            assert "choose another port" in heard.detail
