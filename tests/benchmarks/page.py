"""What a frame costs, in processor time: the page by its processes, the server by its threads.

``python tests/benchmarks/page.py [--whole] [--profile FILE]`` from the root. Processor time, not
the clock's, so that other work on the machine hardly shows; a pair is two checkouts in turns.

The fake engine publishes 512 x 512 maps ten times a second. By default the beam moves over two
rows between; with ``--whole`` loadings, clusters and labels change everywhere each time, as while
the basis still turns. ``--profile`` writes Chromium's own CPU profile of the page
and prints where its script was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from chromium import Chromium

from fake_engine import FakeEngine, Served

EVERY_S = 0.1
TURNING = ("loading 1", "loading 2", "cluster", "label", "confidence", "PCA residual")


class Moving(FakeEngine):
    """Publishes without making all maps anew where only some rows came."""

    def __init__(self, side: int, channels: int, whole: bool) -> None:
        super().__init__((side, side), channels=channels, spectra=256)
        self.whole = whole
        self.rng = np.random.default_rng(0)

    def turn(self) -> None:
        if self.whole:
            for name in TURNING:
                self.truth[name] = np.roll(self.truth[name], 1)
        self.advance(2 * self.scan.shape[-1])


async def measure(options: argparse.Namespace) -> dict[str, float]:
    engine = Moving(options.side, options.channels, options.whole)
    with Served(engine) as served:
        async with Chromium() as browser:
            page = await browser.open(served.url + options.query)
            for _ in range(options.side // 4):
                engine.turn()
            await browser.until(page, "Number(document.body.dataset.painted) > 0")
            await asyncio.sleep(1.5)
            if options.profile:
                await browser.ask("Profiler.enable", page)
                await browser.ask("Profiler.setSamplingInterval", page, interval=200)
                await browser.ask("Profiler.start", page)
            frames = await browser.js(page, "liveEels.painted.length")
            before, own_s = browser.spent_s(), time.thread_time()
            all_s, start_s = time.process_time(), time.perf_counter()
            for n in range(1, round(options.seconds / EVERY_S) + 1):
                await asyncio.sleep(max(0.0, start_s + n * EVERY_S - time.perf_counter()))
                engine.turn()
            after = browser.spent_s()
            served_s = time.process_time() - all_s - (time.thread_time() - own_s)
            frames = await browser.js(page, "liveEels.painted.length") - frames
            if options.profile:
                found = await browser.ask("Profiler.stop", page)
                options.profile.write_text(json.dumps(found["profile"]))
                print(told(found["profile"], frames))
    parts = {kind: 1e3 * (after[kind] - before[kind]) / frames for kind in after}
    return {"frames": frames, **parts, "server": 1e3 * served_s / frames}


def told(profile: dict, frames: int) -> str:
    """Milliseconds a frame that the page's script spent in each function itself."""
    nodes = {node["id"]: node["callFrame"] for node in profile["nodes"]}
    own: Counter[str] = Counter()
    for node, us in zip(profile["samples"], profile["timeDeltas"], strict=True):
        frame = nodes[node]
        where = f"{Path(frame['url']).name}:{frame['lineNumber'] + 1}" if frame["url"] else ""
        own[f"{frame['functionName'] or '(anonymous)'} {where}"] += us
    rows = [f"{us / 1e3 / frames:8.2f} ms  {name}" for name, us in own.most_common(28)]
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--channels", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--query", default="", help="what the page's address says, &tab=pca")
    parser.add_argument("--profile", type=Path)
    options = parser.parse_args()
    found = asyncio.run(measure(options))
    print(", ".join(f"{kind} {value:.1f}" for kind, value in found.items()), "(ms a frame)")


if __name__ == "__main__":
    main()
