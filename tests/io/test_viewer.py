"""The page's server: who may connect, what is answered, what is refused."""

import asyncio
import json
import mimetypes
import time
from contextlib import asynccontextmanager

import aiohttp
import numpy as np
import pytest

from fake_engine import FakeEngine
from live_eels.io.viewer import MAX_BROWSERS, MAX_REQUEST_BYTES, STATIC, Viewer
from live_eels.io.viewer_session import MAX_SLOTS


def decode(data):
    """The page's reading of a message, in Python."""
    length = int.from_bytes(data[:4], "little")
    header = json.loads(data[4 : 4 + length])
    body = data[4 + length :]
    arrays = []
    for entry in header["arrays"]:
        assert (4 + length + entry["offset"]) % 8 == 0
        n = int(np.prod(entry["shape"]))
        array = np.frombuffer(body, "<" + entry["dtype"], n, entry["offset"])
        arrays.append(array.reshape(entry["shape"]))
    return header, arrays


class Page:
    """A browser without a browser."""

    def __init__(self, socket):
        self.socket = socket
        self.maps = {}

    async def say(self, **request):
        await self.socket.send_str(json.dumps(request))

    async def hear(self, kind):
        async with asyncio.timeout(5):
            while True:
                message = await self.socket.receive()
                if message.type is not aiohttp.WSMsgType.BINARY:
                    raise ConnectionError(message)
                header, arrays = decode(message.data)
                if header["type"] == kind:
                    return header, arrays

    async def frame(self, **request):
        await self.say(do="ready", **request)
        header, arrays = await self.hear("frame")
        for name, part in header.get("maps", {}).items():
            if "rows" in part:
                self.maps[name][arrays[part["rows"]]] = arrays[part["values"]]
            else:
                self.maps[name] = arrays[part["values"]].copy()
        return header, arrays

    async def frame_of(self, version, **request):
        """Frames until this version is shown."""
        while True:
            header, arrays = await self.frame(**request)
            if header.get("version") == version:
                return header, arrays


@asynccontextmanager
async def served(engine, **options):
    viewer = Viewer(engine, **{"port": 0, "token": "sesame", **options})
    url = await viewer.start()
    async with aiohttp.ClientSession() as client:
        viewer.client, viewer.address = client, url.split("?")[0]
        try:
            yield viewer
        finally:
            await viewer.stop()


@asynccontextmanager
async def page(viewer, token="sesame", **headers):
    async with viewer.client.ws_connect(viewer.address + "ws", headers=headers) as socket:
        visitor = Page(socket)
        await visitor.say(do="hello", token=token)
        visitor.welcome = (await visitor.hear("welcome"))[0]
        yield visitor


def run(coroutine):
    asyncio.run(coroutine)


def test_files_have_our_content_types_whatever_the_registry_says(monkeypatch):
    monkeypatch.setattr(mimetypes, "guess_type", lambda *_: ("text/plain", None))

    async def go():
        async with served(FakeEngine((4, 5))) as viewer:
            for name, kind in (("", "text/html"), ("app.js", "text/javascript")):
                async with viewer.client.get(viewer.address + name) as reply:
                    assert reply.status == 200
                    assert reply.headers["Content-Type"] == f"{kind}; charset=utf-8"
                    assert reply.headers["Content-Security-Policy"].startswith("default-src 'self'")
                    assert reply.headers["X-Content-Type-Options"] == "nosniff"

    run(go())


@pytest.mark.parametrize(
    "name",
    ["../viewer.py", "%2e%2e/viewer.py", "nothing.js", "vendor", "vendor/uPlot", "/etc/hosts"],
)
def test_only_files_of_the_page_are_served(name):
    async def go():
        async with (
            served(FakeEngine((4, 5))) as viewer,
            viewer.client.get(aiohttp.client.URL(viewer.address + name, encoded=True)) as reply,
        ):
            assert reply.status == 404

    run(go())


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8050"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_other_sites_are_refused(headers):
    async def go():
        async with served(FakeEngine((4, 5))) as viewer:
            for name in ("", "ws"):
                async with viewer.client.get(viewer.address + name, headers=headers) as reply:
                    assert reply.status == 403

    run(go())


def test_the_own_origin_is_accepted():
    async def go():
        async with (
            served(FakeEngine((4, 5))) as viewer,
            page(viewer, Origin=viewer.address.rstrip("/")) as visitor,
        ):
            assert visitor.welcome["control"] is True

    run(go())


def test_another_host_demands_the_token_of_everybody():
    async def go():
        async with served(FakeEngine((4, 5)), host="0.0.0.0") as viewer:
            viewer.address = viewer.address.replace("0.0.0.0", "127.0.0.1")
            async with page(viewer) as visitor:
                assert visitor.welcome["control"] is True
            with pytest.raises(ConnectionError):
                async with page(viewer, token="guess"):
                    pass

    run(go())


def test_nothing_is_answered_before_hello():
    async def go():
        async with (
            served(FakeEngine((4, 5))) as viewer,
            viewer.client.ws_connect(viewer.address + "ws") as socket,
        ):
            await socket.send_str('{"do": "ready"}')
            message = await socket.receive(5)
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == 4401

    run(go())


def test_frames_bring_everything_once_then_changed_rows_only():
    async def go():
        engine = FakeEngine((40, 8))
        async with served(engine) as viewer, page(viewer) as visitor:
            header, _ = await visitor.frame()
            assert header["status"]["state"] == "waiting"
            assert "maps" not in header
            engine.advance(20)
            header, _ = await visitor.frame_of(1)
            assert header["scan"]["shape"] == [40, 8]
            assert set(header["maps"]) == set(engine.truth)
            assert header["specs"]["label"]["classes"][1] == "Mn3+"
            curves = {"cluster means", "factors", "references", "Mn class means"}
            assert set(header["curves"]) == curves
            engine.advance(20)
            header, arrays = await visitor.frame_of(2)
            assert "scan" not in header
            assert "specs" not in header
            rows = arrays[header["maps"]["counts"]["rows"]]
            assert rows.tolist() == [2, 3, 4]
            for name, values in engine.newest.maps.items():
                np.testing.assert_array_equal(visitor.maps[name], values)

    run(go())


def test_only_wanted_maps_are_refreshed_and_the_rest_comes_later_in_full():
    async def go():
        engine = FakeEngine((40, 8))
        engine.advance(8)
        async with served(engine) as viewer, page(viewer) as visitor:
            await visitor.frame_of(1)
            engine.advance(8)
            header, _ = await visitor.frame_of(2, want=["label"])
            assert set(header["maps"]) == {"label"}
            engine.advance(8)
            await visitor.frame_of(3)
            np.testing.assert_array_equal(visitor.maps["counts"], engine.newest.maps["counts"])
            header, _ = await visitor.frame(fresh=True)
            assert all("rows" not in part for part in header["maps"].values())
            assert set(header["maps"]) == set(engine.truth)

    run(go())


def test_a_page_that_is_not_ready_gets_nothing_and_then_the_newest():
    async def go():
        engine = FakeEngine((20, 8))
        engine.advance(8)
        async with served(engine) as viewer, page(viewer) as visitor:
            await visitor.frame_of(1)
            for _ in range(10):
                engine.advance(8)
            with pytest.raises(TimeoutError):
                await visitor.socket.receive(0.2)
            header, _ = await visitor.frame()
            assert header["version"] == 11

    run(go())


def test_counters_come_without_new_maps():
    async def go():
        engine = FakeEngine((20, 8))
        engine.advance(8)
        async with served(engine) as viewer, page(viewer) as visitor:
            await visitor.frame_of(1)
            engine.status_changes = {"orphans": 7}
            began = time.monotonic()
            header, _ = await visitor.frame()
            assert time.monotonic() - began < 1
            assert header["status"]["orphans"] == 7
            assert header["maps"] == {}

    run(go())


def test_spectrum_of_a_pixel_and_of_a_region():
    async def go():
        engine = FakeEngine((10, 8))
        engine.advance(80)
        async with served(engine) as viewer, page(viewer) as visitor:
            region = {"shape": "rectangle", "corners": [[3, 4], [3, 4]]}
            await visitor.say(do="spectrum", id=1, slot="cursor", region=region)
            header, arrays = await visitor.hear("spectrum")
            assert (header["id"], header["slot"], header["n"]) == (1, "cursor", 1)
            np.testing.assert_array_equal(arrays[header["curves"]["raw"]], engine.cube[3 * 8 + 4])
            # processed lies 0.2 eV higher and is drawn on the raw axis
            processed = arrays[header["curves"]["processed"]]
            e = engine.axis.energies_ev
            expected = np.interp(e, e + 0.2, engine.cube[28], np.nan, np.nan)
            np.testing.assert_allclose(processed, expected, rtol=1e-6)
            region = {"shape": "where", "map": "label", "value": 2}
            await visitor.say(do="spectrum", id=2, slot="A", region=region)
            header, arrays = await visitor.hear("spectrum")
            chosen = engine.truth["label"] == 2
            assert header["n"] == chosen.sum()
            np.testing.assert_allclose(
                arrays[header["curves"]["raw"]], engine.cube[chosen].mean(0), rtol=1e-5
            )

    run(go())


def test_a_pixel_that_has_not_come_says_so():
    async def go():
        engine = FakeEngine((10, 8))
        engine.advance(8)
        async with served(engine) as viewer, page(viewer) as visitor:
            region = {"shape": "rectangle", "corners": [[9, 1], [9, 1]]}
            await visitor.say(do="spectrum", id=1, slot="cursor", region=region)
            header, _ = await visitor.hear("spectrum")
            assert header["error"] == "this pixel has not come yet"

    run(go())


def test_newest_request_of_a_slot_overtakes_those_that_wait():
    async def go():
        engine = FakeEngine((10, 8))
        engine.advance(80)
        original, asked = engine.spectrum, []

        def slow(pixels, scan_id=None):
            asked.append(int(pixels[0]))
            time.sleep(0.05)
            return original(pixels, scan_id)

        engine.spectrum = slow
        async with served(engine) as viewer, page(viewer) as visitor:
            for i in range(30):
                region = {"shape": "rectangle", "corners": [[0, i % 8], [0, i % 8]]}
                await visitor.say(do="spectrum", id=i, slot="cursor", region=region)
            while (await visitor.hear("spectrum"))[0]["id"] != 29:
                pass
        assert len(asked) <= 4
        assert asked[-1] == 29 % 8

    run(go())


def test_window_map():
    async def go():
        engine = FakeEngine((10, 8))
        engine.advance(40)
        async with served(engine) as viewer, page(viewer) as visitor:
            await visitor.say(do="window", id=1, signal=[703, 735], fit=[675, 700])
            header, arrays = await visitor.hear("window")
            np.testing.assert_array_equal(
                arrays[0], engine.window_map((703.0, 735.0), (675.0, 700.0))
            )
            assert header["took_ms"] >= 0
            await visitor.say(do="window", id=2, signal=[100, 120])
            header, _ = await visitor.hear("window")
            assert "not inside the energy axis" in header["error"]

    run(go())


def test_commands_need_the_token():
    async def go():
        engine = FakeEngine((4, 5))
        command = {"command": "set_clusters", "k": 5}
        async with served(engine) as viewer:
            async with page(viewer) as visitor:
                await visitor.say(do="command", id=1, command=command)
                header, _ = await visitor.hear("reply")
                assert header["reply"]["reply"] == "ok"
                await visitor.say(do="command", id=2, command={"command": "set_clusters", "k": 1})
                header, _ = await visitor.hear("reply")
                assert header["reply"]["reply"] == "refused"
                assert "k" in header["reply"]["error"]
            async with page(viewer, token="wrong") as visitor:
                assert visitor.welcome["control"] is False
                await visitor.say(do="command", id=1, command=command)
                header, _ = await visitor.hear("reply")
                assert header["reply"]["reply"] == "refused"
                assert "403" in header["reply"]["error"]
        assert len(engine.commands) == 1

    run(go())


def test_read_only_refuses_even_with_the_token():
    async def go():
        engine = FakeEngine((4, 5))
        async with served(engine, read_only=True) as viewer:
            assert "token" not in viewer.url
            async with page(viewer) as visitor:
                assert visitor.welcome["control"] is False
                await visitor.say(do="command", id=1, command={"command": "stop"})
                header, _ = await visitor.hear("reply")
                assert header["reply"]["reply"] == "refused"
        assert engine.commands == []

    run(go())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"do": "format"}',
        '{"do": "ready", "extra": 1}',
        '{"do": "spectrum", "id": 1, "slot": "a", "region": {"shape": "circle"}}',
        '{"do": "spectrum", "id": 1, "slot": "a", "region": {"shape": "polygon", "points": []}}',
        '{"do": "window", "id": 1, "signal": [1]}',
        '{"do": "hello", "token": 5}',
        "[" * 30000,
        '{"do": "command", "id": 1}',
        '{"do": "ready", "want": "everything"}',
    ],
)
def test_nonsense_is_refused_and_the_page_lives_on(text):
    async def go():
        engine = FakeEngine((4, 5))
        async with served(engine) as viewer, page(viewer) as visitor:
            await visitor.socket.send_str(text)
            header, _ = await visitor.hear("error")
            assert header["error"]
            await visitor.frame()

    run(go())


def test_too_long_messages_end_the_connection():
    async def go():
        engine = FakeEngine((4, 5))
        async with served(engine) as viewer, page(viewer) as visitor:
            await visitor.socket.send_str(" " * (MAX_REQUEST_BYTES + 1))
            with pytest.raises(ConnectionError):
                await visitor.hear("frame")

    run(go())


@pytest.mark.parametrize("data", [b"", b"\x00" * 64, b'{"do": "ready"}', b"\x80\x04K\x01."])
def test_bytes_to_the_server_are_refused_and_the_page_lives_on(data):
    async def go():
        engine = FakeEngine((4, 5))
        async with served(engine) as viewer, page(viewer) as visitor:
            await visitor.socket.send_bytes(data)
            header, _ = await visitor.hear("error")
            assert "JSON text" in header["error"]
            await visitor.frame()

    run(go())


def test_a_page_that_asks_and_never_reads_holds_up_nobody():
    """What waits for it is one answer a slot; the others see the newest maps as ever."""
    region = {"shape": "rectangle", "corners": [[0, 0], [0, 0]]}

    async def go():
        engine = FakeEngine((64, 64), channels=4096, spectra=64)
        engine.advance(64)
        async with served(engine) as viewer, page(viewer) as greedy, page(viewer) as visitor:
            await visitor.frame()
            for i in range(4000):
                await greedy.say(do="spectrum", id=i, slot=f"slot {i % 60}", region=region)
                await greedy.say(do="ready", fresh=True)
            for _ in range(5):
                version = engine.advance(64).version
                await visitor.frame_of(version)
            waiting = [len(s._slots) + len(s._next) for s in viewer.sessions]
            assert len(waiting) == 2
            assert max(waiting) <= 2 * MAX_SLOTS
            # 80 kB each: most were overtaken or turned away, not kept
            assert len(engine.questions) < 1000
            left = [s._socket._req.transport.get_write_buffer_size() for s in viewer.sessions]
            assert max(left) < 16e6

    run(go())


def test_so_many_pages_and_no_more():
    async def go():
        async with served(FakeEngine((4, 5))) as viewer:
            sockets = [
                await viewer.client.ws_connect(viewer.address + "ws") for _ in range(MAX_BROWSERS)
            ]
            async with viewer.client.get(viewer.address + "ws") as reply:
                assert reply.status == 503
            for socket in sockets:
                await socket.close()

    run(go())


def test_earlier_scans_can_be_looked_at():
    async def go():
        engine = FakeEngine((4, 5), channels=256)
        engine.advance(20)
        engine.new_scan((3, 6), title="the second")
        engine.advance(6)
        async with served(engine) as viewer, page(viewer) as visitor:
            header, _ = await visitor.frame()
            assert header["scan"]["title"] == "the second"
            assert [entry["id"] for entry in header["history"]] == ["scan-1", "scan-2"]
            header, _ = await visitor.frame(scan="scan-1")
            assert header["scan"]["shape"] == [4, 5]
            assert header["status"]["scan_number"] == 2

    run(go())


@pytest.mark.parametrize("shape", [(), (7,), (1, 1), (3, 4)])
def test_all_navigation_shapes(shape):
    async def go():
        engine = FakeEngine(shape)
        engine.advance(1)
        async with served(engine) as viewer, page(viewer) as visitor:
            header, _ = await visitor.frame_of(1)
            assert header["scan"]["shape"] == list(shape)
            region = {"shape": "rectangle", "corners": [[0, 0], [0, 0]]}
            await visitor.say(do="spectrum", id=1, slot="cursor", region=region)
            header, _ = await visitor.hear("spectrum")
            assert header["n"] == 1

    run(go())


def test_edges_by_name():
    async def go():
        async with (
            served(FakeEngine((4, 5))) as viewer,
            viewer.client.get(viewer.address + "edges.json") as reply,
        ):
            table = await reply.json()
        near = [e for e in table if abs(e["ev"] - 708) < 15]
        assert {"element": "Fe", "edge": "L3"}.items() <= min(
            near, key=lambda e: abs(e["ev"] - 706.8)
        ).items()
        assert all(20 <= e["ev"] <= 3000 for e in table)

    run(go())


def test_the_page_asks_nobody_else():
    for path in STATIC.rglob("*"):
        if path.suffix in {".js", ".html", ".css"} and "vendor" not in path.parts:
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "http://" not in text, path
            assert "https://" not in text, path
