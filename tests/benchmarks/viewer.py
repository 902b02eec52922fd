"""What the page costs: latency from snapshot to canvas, and spectra per second lost to pages.

Run from the root: ``python tests/benchmarks/viewer.py latency`` and ``... load``. Prints one
line per measurement with the settings it holds for. The machine should be idle otherwise.

``latency``: a snapshot every 100 ms, Chromium paints it, both clocks are the computer's own.
A frame counts as painted when the message posted while it was drawn comes round, after the
browser's own painting.

``load``: the real pipeline on 4096 channels and 512 x 512 maps, snapshots at 10 Hz, in turns
without and with four pages attached. The engine (pipeline, page server and all) is pinned to
one core, the pages to another, as if on other computers. So every microsecond of serving is
missing to the pipeline: the worst case. The loss is the share of that core which the server
takes; other work on the machine disturbs it little, but the rates a lot. The pages are
Chromium's (``--browser``, driven without Playwright, which has every frame copied to the test as
text), or processes that only ask, as often as a page may.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from chromium import Chromium

from fake_engine import FakeEngine, Served
from live_eels.app.memory import keep_freed_memory
from live_eels.app.pipelines import one_blas_thread
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose_settings import DecomposeSettings
from live_eels.maps import MapBoard
from live_eels.pipeline import Pipeline
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, EnergyAxis, NavigationAxis, Scan, Signal

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
EVERY_S = 0.1


def latency(seconds: float, sides: list[int], channels: int) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        for side in sides:
            engine = FakeEngine((side, side), channels=channels, spectra=256)
            with Served(engine) as served:
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                page.goto(served.url)
                engine.advance(side)
                page.wait_for_function("() => document.body.dataset.painted === '1'")
                page.evaluate(TIMERS)
                run_scan(engine, seconds, page)
                painted = page.evaluate("() => liveEels.painted")
                took = 1e3 * np.array(
                    [p["at"] / 1e3 - engine.published_s[p["version"]] for p in painted[2:]]
                )
                shown = len(took) / (engine.version - 2)
                p50, p95, p99 = np.percentile(took, [50, 95, 99])
                print(
                    f"{side} x {side}, {len(engine.truth)} maps, {channels} channels, 10 Hz, "
                    f"{seconds:g} s: "
                    f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms; "
                    f"{100 * shown:.0f} % of the snapshots painted"
                )
                print(legs(page, engine), told(page), sep="\n")
                page.close()
        browser.close()


TIMERS = """() => {
  const app = liveEels, spent = window.spent = {};
  const time = (object, name) => {
    const before = object[name].bind(object);
    object[name] = (...args) => {
      const start = performance.now();
      const out = before(...args);
      (spent[name] ??= []).push(performance.now() - start);
      return out;
    };
  };
  const frame = app.frame.bind(app);
  window.seen = {};
  app.frame = (message) => {
    const { version, sent_s } = message.header;
    const now_s = (performance.timeOrigin + performance.now()) / 1e3;
    if (version !== undefined) window.seen[version] ??= [sent_s, now_s];
    frame(message);
  };
  time(app, "frame"); time(app, "paint"); time(app, "showSide"); time(app, "showSpectra");
  time(app, "showStatus"); time(app.wall, "paint"); time(app.wall, "update");
  time(app.model, "apply");
}"""
"""Wraps what a frame costs in the page, for ``told``."""


def told(page) -> str:
    """Where the page's own time went: median and largest of each part, ms."""
    spent = page.evaluate("() => window.spent")
    parts = [f"{k} {np.median(v):.1f}/{max(v):.0f} ms x{len(v)}" for k, v in spent.items() if v]
    return "    " + ", ".join(parts)


def legs(page, engine) -> str:
    """From snapshot to canvas in three legs: found by the server, on the way, in the page."""
    painted = {p["version"]: p["at"] / 1e3 for p in page.evaluate("() => liveEels.painted")}
    seen = {int(v): times for v, times in page.evaluate("() => window.seen").items()}
    both = sorted(painted.keys() & seen.keys())[2:]
    times = np.array([[engine.published_s[v], *seen[v], painted[v]] for v in both])
    rows = 1e3 * np.diff(times, axis=1).T
    names = ("until the server sees it", "until it is in the page", "until it is on the canvas")
    each = (
        f"{n} {np.median(r):.0f}, p99 {np.percentile(r, 99):.0f} ms"
        for n, r in zip(names, rows, strict=True)
    )
    return "    " + "; ".join(each)


def run_scan(engine: FakeEngine, seconds: float, page) -> None:
    """The beam moves at 20 rows a second; Playwright must be kept breathing meanwhile."""
    start = time.perf_counter()
    columns = engine.scan.shape[-1]
    done = threading.Event()

    def beam() -> None:
        n = 0
        while time.perf_counter() - start < seconds:
            n += 1
            time.sleep(max(0.0, start + n * EVERY_S - time.perf_counter()))
            engine.advance(2 * columns)
        done.set()

    thread = threading.Thread(target=beam)
    thread.start()
    while not done.is_set():
        page.wait_for_timeout(200)
    thread.join()
    page.wait_for_timeout(300)


class Worked(FakeEngine):
    """The real pipeline in its own thread, as fast as it goes; snapshots at 10 Hz."""

    def __init__(self, side: int, channels: int) -> None:
        super().__init__((4, 4), channels=256)
        axes = (NavigationAxis("y", side), NavigationAxis("x", side))
        axis = EnergyAxis(470.0, 409.6 / channels, channels)
        self.scan = Scan("load", axes, (Signal("core", axis),), title="load")
        rng = np.random.default_rng(1)
        energies = axis.energies_ev
        white = 400 / (1 + ((energies - 642) / 2) ** 2) + 300 / (1 + ((energies - 709) / 2) ** 2)
        mean = 2000 * (energies / 470) ** -3 + rng.random((1024, 1)) * white
        self.counts = rng.poisson(mean).astype(np.uint16)
        self.pipeline = Pipeline(
            self.scan,
            preprocess=PreprocessSettings(window_ev=(620.0, 740.0)),
            decompose=DecomposeSettings(),
            cluster=ClusterSettings(),
        )
        self.board = MapBoard(self.scan, self.pipeline.specs)
        self.newest = None
        self.done = 0
        self.cpu_s = 0.0
        self.ended_work = False

    def status(self):
        from live_eels.control import Status

        return Status(state="scanning", version="", scan_id="load", pixels_analysed=self.done)

    def work(self) -> None:
        keep_freed_memory()  # as the engine does
        with one_blas_thread():  # so, too: on one core they would wait for each other
            self._work()

    def _work(self) -> None:
        next_s = 0.0
        while not self.ended_work:
            first = self.done % self.scan.pixels
            pixels = np.arange(first, first + len(self.counts))
            result = self.pipeline.process(Chunk(self.scan, pixels, self.counts))
            self.board.announce(self.pipeline.specs)
            self.board.update(result)
            self.done += len(pixels)
            if (part := next(self.pipeline.refreshed(), None)) is not None:  # as the engine does
                self.board.announce(self.pipeline.specs)
                self.board.update(part)
            self.cpu_s = time.thread_time()
            if time.perf_counter() > next_s:
                next_s = time.perf_counter() + EVERY_S
                self.newest = self.board.snapshot(
                    self.pipeline.curves(), self.pipeline.scree, self.pipeline.components
                )


def load(seconds: float, turns: int, pages: int, browser: bool) -> None:
    os.sched_setaffinity(0, {0})
    engine = Worked(512, 4096)
    thread = threading.Thread(target=engine.work)
    thread.start()
    rates: dict[bool, list[float]] = {False: [], True: []}
    shares: dict[bool, list[float]] = {False: [], True: []}
    frames = megabytes = page_ms = 0.0
    with Served(engine) as served:
        time.sleep(8)  # compile, fill, settle
        for turn in range(2 * turns):
            attached = turn % 2 == 1
            visitors = visitors_of(served.url, pages, browser) if attached else []
            while len(served.viewer.sessions) < (pages if attached else 0):
                time.sleep(0.1)
            time.sleep(4 if browser and attached else 1.5)
            start, before = time.perf_counter(), engine.done
            all_s, own_s = time.process_time(), engine.cpu_s
            time.sleep(seconds)
            served_s = time.process_time() - all_s - (engine.cpu_s - own_s)
            shares[attached].append(served_s / (time.perf_counter() - start))
            rates[attached].append((engine.done - before) / (time.perf_counter() - start))
            for visitor in visitors:
                said = json.loads(visitor.communicate()[0].splitlines()[-1])
                frames += said["frames"] / said["seconds"] / (turns * pages)
                megabytes += said["bytes"] / said["seconds"] / 1e6 / (turns * pages)
                page_ms += 1e3 * said.get("spent_s", 0.0) / max(said["frames"], 1) / turns
        engine.ended_work = True
        thread.join()
    without, with_ = np.array(rates[False]), np.array(rates[True])
    pairs = 100 * (np.array(shares[True]) - np.array(shares[False]))
    print(
        f"512 x 512, 4096 channels, {len(engine.newest.maps)} maps at 10 Hz, one core for the "
        f"engine, {turns} turns of {seconds:g} s: {np.median(without):.0f} spectra/s alone, "
        f"{np.median(with_):.0f} with {pages} {'Chromium' if browser else 'bare'} pages on "
        f"the other core ({frames:.1f} frames/s and {megabytes:.1f} MB/s each, {page_ms:.0f} ms of "
        f"processor time a frame). "
        f"Of its core the server and numba's helpers took {100 * np.median(shares[False]):.1f} % "
        f"alone and {100 * np.median(shares[True]):.1f} % with pages: {np.median(pairs):.1f} % of "
        f"throughput ({', '.join(f'{pair:.1f}' for pair in pairs)} in each pair)."
    )


def visitors_of(url: str, pages: int, browser: bool) -> list[subprocess.Popen[str]]:
    """Processes on the other core that are visitors until their input is closed."""
    here = Path(__file__)
    real = [[str(here), "browse", url, "--pages", str(pages)]]
    bare = [[str(here.with_name("viewer_visitor.py")), url]] * pages
    return [
        subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {1}),
        )
        for command in (real if browser else bare)
    ]


COUNT = """() => {
  const app = liveEels;
  window.bytes = 0;
  const receive = app.stream.receive.bind(app.stream);
  app.stream.receive = (m) => {
    window.bytes += m.arrays.reduce((sum, a) => sum + a.byteLength, 0);
    receive(m);
  };
  window.first = app.painted.length;
}"""
TOLD = """() => ({frames: liveEels.painted.length - window.first, bytes: window.bytes})"""


async def browse(url: str, pages: int) -> None:
    """Real pages, each in a window of its own, until the input is closed."""
    async with Chromium() as browser:
        open_ = [await browser.open(url) for _ in range(pages)]
        for page in open_:
            await browser.until(page, "Number(document.body.dataset.painted) > 0", 120)
            await browser.js(page, f"({COUNT})()")
        spent_s, start_s = sum(processes(browser)), time.perf_counter()
        await asyncio.to_thread(sys.stdin.read)
        took_s, spent_s = time.perf_counter() - start_s, sum(processes(browser)) - spent_s
        told = [await browser.js(page, f"({TOLD})()") for page in open_]
    total = {key: sum(one[key] for one in told) for key in ("frames", "bytes")}
    print(json.dumps(total | {"seconds": took_s, "spent_s": spent_s}), flush=True)


def processes(browser: Chromium) -> list[float]:
    """Processor seconds of the browser's processes so far."""
    return [s for kind, s in browser.spent_s().items() if not kind.startswith("-")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["latency", "load", "browse"])
    parser.add_argument("url", nargs="?")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--pages", type=int, default=4)
    parser.add_argument("--browser", action="store_true", help="load: real Chromium pages")
    parser.add_argument("--channels", type=int, default=4096)
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256, 512])
    options = parser.parse_args()
    if options.what == "latency":
        latency(options.seconds, options.sides, options.channels)
    elif options.what == "load":
        load(options.seconds, options.turns, options.pages, options.browser)
    else:
        asyncio.run(browse(options.url, options.pages))


if __name__ == "__main__":
    main()
