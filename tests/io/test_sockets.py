"""The receiving socket: what is heard, how much is kept, who may speak, and waking up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import zmq

from live_eels.io import sockets
from live_eels.io.sockets import Receiver, SocketError

WAIT_S = 60.0


@pytest.fixture
def socket() -> Iterator[Callable[[int], zmq.Socket]]:
    """Makes sockets of a kind for the other side."""
    context, made = zmq.Context(), []

    def make(kind: int) -> zmq.Socket:
        made.append(context.socket(kind))
        return made[-1]

    yield make
    context.destroy(0)


def heard(receiver: Receiver, number: int) -> list[list[bytes]]:
    messages: list[list[bytes]] = []
    while len(messages) < number:
        assert receiver.wait(WAIT_S)
        messages += [[bytes(part) for part in parts] for parts in receiver.receive()]
    return messages


def test_only_the_topic_asked_for_is_heard(socket, endpoint):
    sender = socket(zmq.XPUB)
    sender.bind(endpoint)
    with closing(Receiver(endpoint, topic="spectra")) as receiver:
        sender.recv()  # the subscription
        for topic in (b"other", b"spectra", b"spectra/core", b"other"):
            sender.send_multipart([topic, b"x"])
        sender.send_multipart([b"spectra", b"last"])
        topics = [parts[0] for parts in heard(receiver, 3)]
    assert topics == [b"spectra", b"spectra/core", b"spectra"]


def test_no_more_is_kept_than_the_high_water_mark(socket, endpoint):
    sender = socket(zmq.PUSH)
    sender.set(zmq.SNDHWM, 1)
    with closing(Receiver(endpoint, pattern="PULL", bind=True, high_water_mark=3)):
        sender.connect(endpoint)
        sent = 0
        while sender.poll(300, zmq.POLLOUT):  # large ones: the system's own buffers hold none
            sender.send(bytes(2_000_000))
            sent += 1
            assert sent < 20
    assert sent >= 3


def test_one_call_hands_over_a_bounded_number(socket, endpoint, monkeypatch):
    monkeypatch.setattr(sockets, "MAX_BATCH", 4)
    sender = socket(zmq.PUSH)
    with closing(Receiver(endpoint, pattern="PULL", bind=True)) as receiver:
        sender.connect(endpoint)
        for number in range(10):
            sender.send(bytes([number]))
        came: list[int] = []
        while len(came) < 10:
            assert receiver.wait(WAIT_S)
            batch = [parts[0][0] for parts in receiver.receive()]
            assert len(batch) <= 4
            came += batch
    assert came == list(range(10))


def test_a_call_wakes_once(endpoint):
    with closing(Receiver(endpoint, pattern="PULL", bind=True)) as receiver:
        assert not receiver.wait(0.01)
        receiver.wake()
        assert receiver.wait(WAIT_S)
        assert not receiver.wait(0.01)
        assert list(receiver.receive()) == []


@pytest.mark.skipif(not zmq.has("curve"), reason="this pyzmq has no CURVE")
@pytest.mark.parametrize("right", [True, False])
def test_with_keys_only_the_sender_who_has_the_right_one_is_heard(socket, endpoint, right):
    public, secret = zmq.curve_keypair()
    other, _ = zmq.curve_keypair()
    mine = [key.decode() for key in zmq.curve_keypair()]
    sender = socket(zmq.PUSH)
    sender.curve_server = 1
    sender.curve_publickey, sender.curve_secretkey = public, secret
    sender.bind(endpoint)
    server = (public if right else other).decode()
    with closing(Receiver(endpoint, pattern="PULL", keys=(server, *mine))) as receiver:
        if right:
            sender.send(b"counts")
            assert heard(receiver, 1) == [[b"counts"]]
        else:
            assert not sender.poll(300, zmq.POLLOUT)  # nobody is connected
    with closing(Receiver(endpoint, pattern="PULL")) as receiver:  # without any key
        assert not receiver.wait(0.2)


def test_keys_that_are_none_are_said_in_words(endpoint):
    with pytest.raises(SocketError, match="cannot connect to"):
        Receiver(endpoint, keys=("short", "", ""))


def test_an_address_in_use_is_said_so(socket):
    other = socket(zmq.PULL)
    port = other.bind_to_random_port("tcp://127.0.0.1")
    with pytest.raises(SocketError, match="Another program"):
        Receiver(f"tcp://127.0.0.1:{port}", bind=True)
    with pytest.raises(SocketError, match="An address looks like"):
        Receiver("nowhere")


def test_a_port_of_zero_is_filled_in():
    with closing(Receiver("tcp://127.0.0.1:0", pattern="PULL", bind=True)) as receiver:
        assert int(receiver.address.rpartition(":")[2]) > 0


def test_a_message_keeps_its_parts_together(socket, endpoint):
    sender = socket(zmq.PUSH)
    messages = [[b"a"], [b"b", b"", b"c", bytes(100_000)], [b"d", b"e", b"f"]]
    with closing(Receiver(endpoint, pattern="PULL", bind=True)) as receiver:
        sender.connect(endpoint)
        for parts in messages:
            sender.send_multipart(parts)
        assert heard(receiver, 3) == messages
