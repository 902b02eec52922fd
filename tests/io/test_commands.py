"""The control socket: an answer to everybody, whatever they send, and nobody holds up others."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import zmq

from live_eels import control
from live_eels.io import commands
from live_eels.io.client import ask
from live_eels.io.commands import CommandServer
from live_eels.io.sockets import SocketError


@pytest.fixture
def server(endpoint: str) -> Iterator[CommandServer]:
    """Sets clusters and fails to stop."""

    def obey(command: control.Command) -> control.Reply:
        if isinstance(command, control.Stop):
            raise OSError("the disk went away")
        return control.Ok(message="good")

    made = CommandServer(endpoint, obey)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join(10)
    assert not thread.is_alive()


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
        refusal = control.decode_reply(socket.recv())
        assert isinstance(refusal, control.Refused)
        assert "ControlError" not in refusal.error  # said to a person, in words
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


def test_a_command_that_fails_does_not_silence_the_next(server):
    assert ask(server.endpoint, control.Stop()).error == "OSError: the disk went away"
    assert ask(server.endpoint, control.SetClusters(k=3)).message == "good"


def test_who_sends_far_too_much_is_cut_off_unread(server):
    context = zmq.Context()
    try:
        socket = context.socket(zmq.DEALER)
        events = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        socket.connect(server.endpoint)
        socket.send_multipart([b"", b" " * 10_000_000])
        assert events.poll(60_000)
        assert not socket.poll(0)
        socket.disable_monitor()
    finally:
        context.destroy(0)
    assert ask(server.endpoint, control.SetClusters(k=3)).message == "good"


def test_an_address_that_cannot_be_used_is_said_in_words():
    with pytest.raises(SocketError, match="cannot listen at"):
        CommandServer("tcp://nowhere.invalid:1", lambda command: control.Ok(message=""))
