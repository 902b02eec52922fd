"""Chromium, driven by Playwright: the page as a person has it."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from fake_engine import FakeEngine, Served


def pytest_collection_modifyitems(items):
    """A page on a busy computer may miss a click; a broken one misses it three times."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=2))


ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM = os.environ.get("LIVE_EELS_CHROMIUM") or shutil.which("chromium")


@pytest.fixture(scope="module")
def chromium():
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this computer (set LIVE_EELS_CHROMIUM)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Screen:
    """One tab, and short ways to ask it."""

    def __init__(self, page, url):
        self.page, self.url = page, url
        self.errors, self.outside, self.sent = [], [], []
        origin = url.split("/?")[0]
        page.set_default_timeout(20_000)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda r: self._request(r.url, origin))
        page.on("websocket", lambda ws: ws.on("framesent", lambda m: self.sent.append(m)))

    def _console(self, message):
        # The server was killed on purpose; the test itself reads pixels back.
        ours = ("WebSocket connection to", "ERR_CONNECTION_REFUSED", "Multiple readback")
        if message.type in {"error", "warning"} and not any(t in message.text for t in ours):
            self.errors.append(message.text)

    def _request(self, url, origin):
        local = (origin, "ws" + origin.removeprefix("http"), "data:", "blob:")
        if not url.startswith(local):
            self.outside.append(url)

    def open(self, query=""):
        separator = "&" if "?" in self.url else "?"
        self.page.goto(self.url + (separator + query if query else ""))
        return self

    def js(self, expression, argument=None):
        return self.page.evaluate(expression, argument)

    def wait(self, expression, argument=None):
        # As a function: the page forbids to evaluate strings.
        function = expression if argument is not None else f"() => ({expression})"
        self.page.wait_for_function(function, arg=argument)

    def shows(self, version):
        """Wait until this version is painted."""
        self.wait("v => Number(document.body.dataset.painted) >= v", version)
        return self

    def text(self, selector):
        return self.page.locator(selector).inner_text()

    def now(self, choice):
        return self.js("k => liveEels.view.now[k]", choice)

    def set(self, **choices):
        self.js("c => liveEels.view.set(c)", choices)
        return self

    def place(self, selector):
        """Where an element is, once it has kept its place for five frames."""
        self.js(
            """async (selector) => {
              const place = () => {
                const box = document.querySelector(selector).getBoundingClientRect();
                return [box.x, box.y, box.width, box.height].join();
              };
              for (let same = 0, before = place(), i = 0; same < 5 && i < 300; i += 1) {
                await new Promise(requestAnimationFrame);
                same = place() === before ? same + 1 : 0;
                before = place();
              }
            }""",
            selector,
        )
        return self.page.locator(selector).bounding_box()

    def point(self, y, x, canvas="#big-map"):
        """Place of a scan pixel on the screen."""
        box = self.place(canvas)
        left, top = self.js(
            """([y, x, sel]) => {
              const canvas = document.querySelector(sel);
              return liveEels.gestures.tileOf.get(canvas).toCanvas([y, x]);
            }""",
            [y, x, canvas],
        )
        return box["x"] + left, box["y"] + top

    def click_pixel(self, y, x, canvas="#big-map", **options):
        self.page.mouse.click(*self.point(y, x, canvas), **options)

    def drag(self, start, *others):
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        for place in others:
            mouse.move(*place, steps=4)
        mouse.up()

    def drag_pixels(self, *pixels):
        self.drag(*[self.point(*p) for p in pixels])

    def energy(self, ev):
        """Place of an energy on the spectrum."""
        box = self.place("#plot .u-over")
        left = self.js("ev => liveEels.panel.plot.u.valToPos(ev, 'x')", ev)
        return box["x"] + left, box["y"] + box["height"] * 0.4

    def curve(self, slot, name="raw"):
        self.wait("s => liveEels.stream.waiting.size === 0 && liveEels.panel.answers.has(s)", slot)
        return self.js(
            "([s, n]) => Array.from(liveEels.panel.answers.get(s).curves[n])", [slot, name]
        )

    def numbers(self, expression):
        """An array of the page's; null comes back as nan."""
        found = self.js(f"() => Array.from({expression}, (v) => v === v ? v : null)")
        return np.array([np.nan if v is None else v for v in found])

    def settle(self):
        """Two painted frames later everything asked for is on the screen."""
        self.js("() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")
        return self

    def legend(self, what):
        return self.js(f"() => [...document.querySelectorAll('#legend tr')].map((r) => {what})")

    def probe(self, y, x):
        """Colour in the middle of a scan pixel of the large map, as drawn."""
        return self.js(
            """([y, x]) => {
              const tile = liveEels.gestures.tileOf.get(document.querySelector("#big-map"));
              const [cx, cy] = tile.toCanvas([y, x]);
              const at = [Math.round(cx * tile.ratio), Math.round(cy * tile.ratio)];
              return Array.from(tile.context.getImageData(at[0], at[1], 1, 1).data.slice(0, 3));
            }""",
            [y, x],
        )

    def patch(self, y, x):
        """All colours within a scan pixel of the large map."""
        return self.js(
            """([y, x]) => {
              const tile = liveEels.gestures.tileOf.get(document.querySelector("#big-map"));
              const [cx, cy] = tile.toCanvas([y, x]);
              const inside = (v) => Math.max(1, Math.floor(v * 0.8 * tile.ratio));
              const [w, h] = [inside(tile.sx), inside(tile.sy)];
              const corner = [cx * tile.ratio - w / 2, cy * tile.ratio - h / 2].map(Math.round);
              const { data } = tile.context.getImageData(...corner, w, h);
              const colours = new Set();
              for (let i = 0; i < data.length; i += 4) colours.add(data.slice(i, i + 3).join());
              return [...colours];
            }""",
            [y, x],
        )

    def check(self):
        assert self.errors == []
        assert self.outside == []


@pytest.fixture
def engine():
    return FakeEngine((32, 40), channels=400)


@pytest.fixture
def served(engine):
    with Served(engine) as server:
        yield server


@pytest.fixture
def open_screen(chromium):
    """Open pages; at the end none of them may have complained or asked anybody else."""
    contexts, screens = [], []

    def go(url, query="", **options):
        options = {"viewport": {"width": 1280, "height": 800}, **options}
        context = chromium.new_context(**{"reduced_motion": "reduce"} | options)
        contexts.append(context)
        screen = Screen(context.new_page(), url)
        screens.append(screen)
        return screen.open(query)

    yield go
    for context in contexts:
        context.close()
    for screen in screens:
        screen.check()


@pytest.fixture
def screen(served, open_screen):
    """The page of a scan that is two thirds done."""
    served.engine.advance(22 * 40)
    return open_screen(served.url).shows(1)
