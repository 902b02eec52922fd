"""Ten pages for some minutes: does memory stay flat, and does one slow page hold up the others?

Run from the root: ``python tests/benchmarks/viewer_soak.py --minutes 5``. The real pipeline
works on scans of 128 x 128 pixels that follow one another; nine sockets ask as pages do, a
tenth waits a second before each answer, and one of Chromium's pages (with ``--browser``) paints.
Prints a line every ten seconds, then the verdict; the exit status is 1 where memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from viewer import ARGUMENTS, Worked

from fake_engine import Served

MOST_GROWTH_MIB = 40.0
SETTLE_SHARE = 0.3
"""Caches fill during this share of the run; growth is counted after it."""


class Pages:
    """Sockets in a thread of their own that behave as pages, some of them slowly."""

    def __init__(self, url: str, fast: int, slow: int) -> None:
        self.frames = [0] * (fast + slow)
        waits = [0.0] * fast + [1.0] * slow
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        for number, wait_s in enumerate(waits):
            asyncio.run_coroutine_threadsafe(self.visit(url, number, wait_s), self.loop)

    async def visit(self, url: str, number: int, wait_s: float) -> None:
        import aiohttp

        address, _, token = url.partition("?token=")
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(address + "ws", max_msg_size=0) as socket,
        ):
            await socket.send_str(json.dumps({"do": "hello", "token": token}))
            async for _ in socket:
                self.frames[number] += 1
                await asyncio.sleep(wait_s)
                await socket.send_str(json.dumps({"do": "ready"}))


def soak(minutes: float, browser: bool) -> bool:
    engine = Worked(128, 1024)
    worker = threading.Thread(target=engine.work)
    worker.start()
    process = psutil.Process()
    samples: list[tuple[float, float, float]] = []
    with Served(engine) as served:
        pages = Pages(served.url, 9, 1)
        window = Window(served.url) if browser else None
        start, done = time.monotonic(), 0
        while (elapsed := time.monotonic() - start) < 60 * minutes:
            time.sleep(10)
            rate, done = (engine.done - done) / 10, engine.done
            mib = process.memory_info().rss / 2**20
            heap = window.heap_mib() if window else float("nan")
            samples.append((elapsed, mib, heap))
            fast, slow = min(pages.frames[:9]), pages.frames[9]
            print(
                f"{elapsed:5.0f} s: {mib:6.1f} MiB, page's heap {heap:5.1f} MiB, "
                f"{rate:6.0f} spectra/s, frames {fast} (slow page {slow})",
                flush=True,
            )
        if window:
            window.close()
        engine.ended_work = True
        worker.join()
    settled = np.array([s for s in samples if s[0] >= SETTLE_SHARE * 60 * minutes])
    # The slope over the rest, so that one sample's luck does not decide.
    grew = [slope_mib(settled[:, 0], settled[:, i]) for i in (1, 2)]
    flat = all(not growth > MOST_GROWTH_MIB for growth in grew)
    print(
        f"{minutes:g} min, 10 sockets{' and a Chromium page' if browser else ''}: server grew "
        f"{grew[0]:+.1f} MiB, page {grew[1]:+.1f} MiB after the first {100 * SETTLE_SHARE:.0f} %; "
        f"{'flat' if flat else 'NOT FLAT'}"
    )
    return flat


def slope_mib(at_s: np.ndarray, mib: np.ndarray) -> float:
    """Growth over the whole stretch, by a straight line; nan where nothing was measured."""
    if not np.isfinite(mib).all() or len(mib) < 3:
        return float("nan")
    return float(np.polyfit(at_s, mib, 1)[0] * (at_s[-1] - at_s[0]))


class Window:
    """A Chromium page that paints all the while."""

    def __init__(self, url: str) -> None:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        arguments = [*ARGUMENTS, "--js-flags=--expose-gc", "--enable-precise-memory-info"]
        self._browser = self._playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=arguments
        )
        self._page = self._browser.new_page(viewport={"width": 1280, "height": 800})
        self._page.goto(url)
        self._page.wait_for_function("() => Number(document.body.dataset.painted) > 0")

    def heap_mib(self) -> float:
        """JavaScript's memory after a collection."""
        used = self._page.evaluate("() => { gc(); return performance.memory.usedJSHeapSize; }")
        return float(used) / 2**20

    def close(self) -> None:
        self._browser.close()
        self._playwright.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--browser", action="store_true")
    options = parser.parse_args()
    sys.exit(0 if soak(options.minutes, options.browser) else 1)


if __name__ == "__main__":
    main()
