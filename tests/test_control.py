"""Commands and replies: every one there and back, and JSON that lies."""

import json
import random
import tracemalloc

import msgspec
import pytest

from live_eels import control

COMMANDS = [
    (control.GetStatus(), {"command": "status"}),
    (control.Stop(), {"command": "stop"}),
    (control.Record(on=False), {"command": "record", "on": False}),
    (control.SetClusters(k=6), {"command": "set_clusters", "k": 6}),
    (control.SetClusters(k=None), {"command": "set_clusters", "k": None}),
    (control.SetComponents(n=8), {"command": "set_components", "n": 8}),
    (control.SetModel(model="mn_fe"), {"command": "set_model", "model": "mn_fe"}),
    (
        control.SetWindow(low_ev=625.0, high_ev=735.0),
        {"command": "set_window", "low_ev": 625.0, "high_ev": 735.0},
    ),
    (
        control.AddWindowMap(name="Mn L", signal_ev=(638.0, 660.0), fit_ev=(600.0, 630.0)),
        {"command": "add_window_map", "name": "Mn L", "signal_ev": [638, 660],
         "fit_ev": [600, 630]},
    ),
    (
        control.Refine(method="gmm", clusters=4),
        {"command": "refine", "method": "gmm", "clusters": 4},
    ),
    (
        control.GetSpectrum(pixels=[3, 4], scan="abc"),
        {"command": "get_spectrum", "pixels": [3, 4], "scan": "abc"},
    ),
    (
        control.GetWindowMap(signal_ev=(638.0, 660.0)),
        {"command": "get_window_map", "signal_ev": [638, 660]},
    ),
    (
        control.MarkRegion(request="scan_again", pixels=[1, 2], corner=(0, 1), size=(2, 3)),
        {"command": "mark_region", "request": "scan_again", "pixels": [1, 2], "corner": [0, 1],
         "size": [2, 3], "text": ""},
    ),
]  # fmt: skip

REPLIES = [
    control.Ok(message="recording"),
    control.Refused(error="no such model"),
    control.Status(
        state="scanning",
        version="0.1.0",
        shape=[64, 64],
        queue={"record": 0.5},
        stages=[control.StageTime(stage="pca", us_per_spectrum=9.5, share=0.3)],
        faults={"WireError": 2},
    ),
    control.Spectrum(offset_ev=600.0, dispersion_ev=0.5, raw=b"\0\1\2\3", n=1, asked=2),
    control.WindowMap(shape=[2, 3], values=b"0123"),
]


@pytest.mark.parametrize(("command", "fields"), COMMANDS, ids=lambda value: type(value).__name__)
def test_every_command_there_and_back(command, fields):
    assert control.decode(json.dumps(fields).encode()) == command
    assert control.decode(control.encode(command)) == command
    assert control.decode(memoryview(control.encode(command))) == command


def test_no_command_is_forgotten_here():
    assert {type(command) for command, _ in COMMANDS} == set(control.Command.__args__)


@pytest.mark.parametrize("reply", REPLIES, ids=lambda value: type(value).__name__)
def test_every_reply_there_and_back(reply):
    assert control.decode_reply(control.encode(reply)) == reply


def test_no_reply_is_forgotten_here():
    assert {type(reply) for reply in REPLIES} == set(control.Reply.__args__)


def test_defaults_may_be_left_out():
    assert control.decode(b'{"command": "refine", "method": "gmm"}').clusters is None


def test_commands_do_not_change():
    with pytest.raises(AttributeError):
        control.Record(on=True).on = False


LIES = {
    "nothing": b"",
    "not json": b"status",
    "not utf-8": b'{"command": "\xff"}',
    "number": b"1",
    "list": b'["status"]',
    "null": b"null",
    "no command": b"{}",
    "unknown command": b'{"command": "eval"}',
    "command is a number": b'{"command": 1}',
    "rest after it": b'{"command": "status"} {}',
    "unknown field": b'{"command": "status", "now": true}',
    "missing field": b'{"command": "record"}',
    "number for a bool": b'{"command": "record", "on": 1}',
    "text for a bool": b'{"command": "record", "on": "true"}',
    "k too small": b'{"command": "set_clusters", "k": 1}',
    "k too large": b'{"command": "set_clusters", "k": 1000000}',
    "k beyond 64 bit": b'{"command": "set_clusters", "k": 1' + b"0" * 50 + b"}",
    "k fractional": b'{"command": "set_clusters", "k": 2.5}',
    "k nan": b'{"command": "set_clusters", "k": NaN}',
    "n zero": b'{"command": "set_components", "n": 0}',
    "empty model": b'{"command": "set_model", "model": ""}',
    "long model": b'{"command": "set_model", "model": "' + b"x" * 5000 + b'"}',
    "window nan": b'{"command": "set_window", "low_ev": NaN, "high_ev": 1}',
    "window infinite": b'{"command": "set_window", "low_ev": 1, "high_ev": 1e999}',
    "window falls": b'{"command": "set_window", "low_ev": 700, "high_ev": 600}',
    "window empty": b'{"command": "set_window", "low_ev": 700, "high_ev": 700}',
    "window of three": b'{"command": "add_window_map", "name": "a", "signal_ev": [1, 2, 3]}',
    "signal falls": b'{"command": "add_window_map", "name": "a", "signal_ev": [2, 1]}',
    "fit falls": json.dumps(
        {"command": "add_window_map", "name": "a", "signal_ev": [1, 2], "fit_ev": [2, 1]}
    ).encode(),
    "name with NUL": b'{"command": "add_window_map", "name": "a\\u0000", "signal_ev": [1, 2]}',
    "name leaves the folder": b'{"command": "add_window_map", "name": "../a", "signal_ev": [1, 2]}',
    "name on windows": b'{"command": "add_window_map", "name": "..\\\\a", "signal_ev": [1, 2]}',
    "name with newline": b'{"command": "add_window_map", "name": "a\\n", "signal_ev": [1, 2]}',
    "empty name": b'{"command": "add_window_map", "name": "", "signal_ev": [1, 2]}',
    "request unknown": b'{"command": "mark_region", "request": "explode"}',
    "request and newline": b'{"command": "mark_region", "request": "note\\n"}',
    "pixel negative": b'{"command": "mark_region", "request": "note", "pixels": [-1]}',
    "too many pixels": json.dumps(
        {"command": "mark_region", "request": "note", "pixels": [0] * 5000}
    ).encode(),
    "spectrum of no pixel": b'{"command": "get_spectrum", "pixels": []}',
    "refined into one": b'{"command": "refine", "method": "gmm", "clusters": 1}',
    "asked window falls": b'{"command": "get_window_map", "signal_ev": [2, 1]}',
    "asked fit falls": b'{"command": "get_window_map", "signal_ev": [1, 2], "fit_ev": [2, 1]}',
    "corner negative": b'{"command": "mark_region", "request": "note", "corner": [-1, 0]}',
    "NUL in a note": b'{"command": "mark_region", "request": "note", "text": "\\u0000"}',
    "too long": b'{"command": "status"}' + b" " * 70_000,
    "very long": b" " * 50_000_000,
    "deep": b'{"command": ' + b"[" * 60_000,
    "deep inside": b'{"command": "mark_region", "request": "note", "pixels": ' + b"[" * 60_000,
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_hostile_commands_are_control_errors_and_cost_nothing(name):
    tracemalloc.start()
    try:
        with pytest.raises(control.ControlError) as caught:
            control.decode(LIES[name])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    assert str(caught.value)


def test_the_error_names_the_field():
    with pytest.raises(control.ControlError, match=r"\$\.k"):
        control.decode(LIES["k too small"])


@pytest.mark.parametrize("data", [b"", b"{}", b'{"reply": "maybe"}', b"\xff", b"[" * 100_000])
def test_hostile_replies_are_control_errors(data):
    with pytest.raises(control.ControlError):
        control.decode_reply(data)


def test_mutations_are_refused_or_read_and_nothing_else():
    rng = random.Random(1)
    good = [control.encode(command) for command, _ in COMMANDS]
    refused = 0
    for _ in range(10_000):
        data = bytearray(rng.choice(good))
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            command = control.decode(bytes(data))
        except control.ControlError:
            refused += 1
        else:
            assert isinstance(command, msgspec.Struct)
    assert refused > 5_000
