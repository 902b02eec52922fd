"""The page on the real engine, fed by the simulated spectrometer over ZeroMQ."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from live_eels.simulators.acquire import Acquisition
from live_eels.simulators.scene import load_scene

from fake_engine import Served
from live_eels import wire
from live_eels.io.client import Client
from live_eels.io.reader import open_recording
from running_engine import running, settings, wait_for

pytestmark = pytest.mark.browser
SHAPE = (24, 28)


@pytest.fixture(scope="module")
def acquisition():
    scene = load_scene("fe3o4_mn3o4")
    scan = msgspec.structs.replace(scene.scan, shape=SHAPE)
    return Acquisition(msgspec.structs.replace(scene, scan=scan), seed=3)


@pytest.fixture
def stage(acquisition, tmp_path):
    """The engine, its page, and two functions: the first half of the scan, and the rest."""
    messages = list(acquisition.messages(chunk=28))
    half = len(messages) // 2
    endpoint = f"ipc://{tmp_path}/s"
    with (
        running(settings(endpoint, tmp_path / "recordings")) as (engine, socket),
        Served(engine) as server,
    ):

        def put(some):
            for message in some:
                socket.send_multipart(wire.encode(message))

        server.first = lambda: put(messages[:half])
        server.rest = lambda: put(messages[half:])
        server.all = put
        server.messages = messages
        yield server


def pixels_of(screen):
    return screen.js("() => Number(document.body.dataset.analysed)")


def test_from_the_beam_to_the_screen(stage, acquisition, open_screen):
    engine = stage.engine
    screen = open_screen(stage.url)
    screen.wait("document.body.dataset.state === 'waiting'")
    stage.first()
    screen.wait("document.body.dataset.state === 'scanning'")
    # the first engine of a fresh checkout compiles its kernels first
    wait_for(lambda: engine.status().pixels_analysed > 200, "the first pixels")
    screen.wait("Number(document.body.dataset.analysed) > 200")
    assert screen.js("() => liveEels.model.scan.simulated") is True

    # the spectrum at the cursor is what was sent
    screen.click_pixel(3, 11)
    sent = {
        int(p): message.counts[i]
        for message in stage.messages
        if getattr(message, "signal", "") == "core"
        for i, p in enumerate(message.pixels)
    }
    np.testing.assert_allclose(screen.curve("cursor"), sent[3 * 28 + 11], rtol=1e-6)

    # everything is there again after a reload in the middle of the scan
    before = pixels_of(screen)
    screen.page.reload()
    screen.wait("n => Number(document.body.dataset.analysed) >= n", before)
    screen.wait("liveEels.model.maps.get('counts')?.some((v) => v === v)")
    assert screen.now("cursor") is None or screen.now("cursor") == [3, 11]

    stage.rest()
    screen.wait("document.body.dataset.state === 'complete'")
    screen.wait(f"Number(document.body.dataset.analysed) === {24 * 28}")
    screen.wait("document.querySelector('#legend-total').dataset.total === '672'")
    total = sum(screen.legend("+r.dataset.count"))
    assert total == 24 * 28

    # Fit and Signal around iron light up iron
    screen.page.locator("#edge").fill("Fe L3")
    screen.page.keyboard.press("Enter")
    screen.wait("liveEels.wall.windowMap !== null && document.body.dataset.window")
    values = np.array(screen.js("() => Array.from(liveEels.wall.windowMap)"), dtype=float)
    maps = acquisition.truth.maps
    iron = np.nan_to_num(sum(maps[n] for n in maps if n.startswith("fraction_Fe")).ravel())
    assert np.median(values[iron > 0.5]) > 5 * abs(np.median(values[iron < 0.02]))

    # a command and its reply
    screen.page.locator("#tab-control").click()
    panel = screen.page.locator("#panel-control")
    panel.get_by_label("clusters").fill("4")
    panel.get_by_role("button", name="set").first.click()
    screen.wait("document.querySelector('#said').dataset.reply === 'ok'")
    screen.wait("document.querySelector('#said').textContent.includes('4 clusters')")
    panel.get_by_label("model").fill("no such model")
    panel.get_by_role("button", name="use").click()
    screen.wait("document.querySelector('#said').dataset.reply === 'refused'")
    assert engine.status().state == "complete"


def test_a_note_from_the_page_is_in_the_file(stage, open_screen):
    """While the scan runs and after its end, by the page's buttons; read from the recording."""
    screen = open_screen(stage.url)
    stage.first()
    screen.wait("liveEels.model.maps.get('counts')?.some((v) => v === v)")
    screen.page.locator("#tab-control").click()
    panel = screen.page.locator("#panel-control")

    def note(text):
        panel.get_by_label("region or cursor").fill(text)
        panel.get_by_role("button", name="note").click()
        screen.wait("document.querySelector('#said').textContent === 'noted in the recording'")
        screen.js("() => { document.querySelector('#said').textContent = ''; }")

    before = time.time()
    screen.set(rois={"A": {"shape": "rectangle", "corners": [[4, 6], [2, 3]]}})
    note("a crack")
    stage.rest()
    screen.wait("document.body.dataset.state === 'complete'")
    screen.set(rois={}, cursor=[7, 9])
    note("look here")

    def notes():
        with open_recording(stage.engine.current.path) as recording:
            return recording.facts["notes"] if recording.maps else []

    wait_for(lambda: len(notes()) == 2, "the end of the file, written once more")
    first, second = notes()
    assert (first["text"], first["corner"], first["size"]) == ("a crack", [2, 3], [3, 4])
    assert (second["text"], second["corner"], second["size"]) == ("look here", [7, 9], [1, 1])
    assert before - 1 <= first["clock_s"] <= second["clock_s"] <= time.time()


def test_control_software_hears_what_the_operator_asks_for(stage, open_screen):
    engine = stage.engine
    screen = open_screen(stage.url)
    stage.first()
    screen.wait("liveEels.model.maps.get('counts')?.some((v) => v === v)")
    screen.set(cursor=[3, 4])
    screen.page.locator("#tab-control").click()
    again = screen.page.get_by_role("button", name="scan again")
    screen.wait("document.body.dataset.controllers === '0'")
    assert again.is_disabled()
    with Client(engine.publisher.endpoint, None, timeout_s=20) as software:

        def listening():
            engine.publisher.welcome()  # as the running engine does four times a second
            return engine.publisher.controllers == 1

        wait_for(listening, "the subscription")
        screen.wait("document.body.dataset.controllers === '1'")
        again.click()
        screen.page.locator("#ask").get_by_role("button", name="yes").click()
        screen.wait("document.querySelector('#said').textContent.includes('sent to control')")
        wait_for(lambda: software.next(0.1) is None and software.events, "the event")
        (event,) = software.events
    assert event.event == "mark_region"
    assert event.details["request"] == "scan_again"
    assert (event.details["corner"], event.details["size"]) == ([3, 4], [1, 1])


def test_scans_one_after_the_other(stage, open_screen):
    screen = open_screen(stage.url)
    stage.first()
    stage.rest()
    screen.wait("document.body.dataset.state === 'complete'")
    first = screen.js("() => liveEels.model.scan.id")
    second = [
        replace(m, id="second", title="the second scan")
        if hasattr(m, "navigation")
        else replace(m, scan_id="second")
        for m in stage.messages
    ]
    stage.all(second)
    screen.wait("document.querySelector('#scan-title').textContent === 'the second scan'")
    screen.wait("document.body.dataset.state === 'complete'")
    screen.wait("document.querySelectorAll('#scans option').length === 2")
    screen.page.locator("#scans").select_option(first)
    screen.wait("id => liveEels.model.scan.id === id", first)
    screen.click_pixel(5, 5)
    assert len(screen.curve("cursor")) == 1024


def test_lost_messages_are_seen_and_marked_once(stage, open_screen):
    screen = open_screen(stage.url)
    pixels = [m.pixels.tolist() for m in stage.messages if getattr(m, "signal", "") == "core"]
    gone = pixels[len(pixels) // 3]
    kept = [m for m in stage.messages if not hasattr(m, "counts") or m.pixels.tolist() != gone]
    stage.all(kept)
    screen.wait("Number(document.body.dataset.missing) === 2")
    screen.wait("liveEels.wall.lost.count === 28")
    screen.wait("!document.querySelector('#alarm').hidden")
    screen.page.locator("#tab-log").click()
    screen.wait("document.querySelectorAll('#panel-log tr').length > 0")
    texts = screen.page.locator("#panel-log tr").all_inner_texts()
    assert sum("lost on the way" in t for t in texts) == 1


def test_lines_of_python_open_the_recording_in_hyperspy(stage, open_screen):
    pytest.importorskip("hyperspy.api")
    screen = open_screen(stage.url)
    stage.first()
    stage.rest()
    screen.wait("document.body.dataset.state === 'complete'")
    screen.set(rois={"A": {"shape": "rectangle", "corners": [[1, 2], [5, 9]]}}, signal=[703, 735])
    screen.curve("A")
    screen.page.locator("#export").click()
    screen.page.locator("[data-export=python]").click()
    text = screen.page.locator("#ask textarea").input_value().replace("mean.plot()", "")
    check = (
        "import json, numpy as np\nmean.compute(); window.compute()\n"
        "print(json.dumps([np.asarray(mean.data, float).tolist(), list(window.data.shape)]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", text + check], capture_output=True, text=True, timeout=60, check=True
    )
    mean, shape = json.loads(run.stdout.splitlines()[-1])
    np.testing.assert_allclose(mean, screen.curve("A"), rtol=1e-4)
    assert tuple(shape) == SHAPE
    with open_recording(stage.engine.current.path) as recording:
        assert recording.end.reason == "complete"


def test_the_engine_is_restarted_under_an_open_page(acquisition, tmp_path, open_screen):
    messages = list(acquisition.messages(chunk=28))
    endpoint = f"ipc://{tmp_path}/s"
    with (
        running(settings(endpoint, tmp_path / "one")) as (engine, socket),
        Served(engine) as served,
    ):
        port = served.viewer._port
        screen = open_screen(served.url)
        for message in messages[: len(messages) // 2]:
            socket.send_multipart(wire.encode(message))
        screen.wait("document.body.dataset.state === 'scanning'")
        wait_for(lambda: engine.status().pixels_analysed > 200, "half a scan")
    screen.wait("document.body.dataset.state === 'disconnected'")
    endpoint = f"ipc://{tmp_path}/t"
    with (
        running(settings(endpoint, tmp_path / "two")) as (engine, socket),
        Served(engine, port=port),
    ):
        screen.wait("document.body.dataset.state === 'waiting'")
        for message in messages:
            socket.send_multipart(wire.encode(message))
        screen.wait("document.body.dataset.state === 'complete'")
        screen.wait(f"Number(document.body.dataset.analysed) === {24 * 28}")
