"""Six states of the page, dark and light: ``python tests/io/browser/screenshots.py``.

Real engine, simulated spectrometer, Chromium; nothing is drawn by hand. Writes
``.github/images/viewer_*.webp``. ``--file SCAN`` shows a recorded scan instead, to look at
(into another folder: ``--out``). Needs Pillow to keep the pictures small.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import msgspec
from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests"))

from live_eels.simulators.acquire import Acquisition  # noqa: E402
from live_eels.simulators.scene import load_scene  # noqa: E402

from fake_engine import Served  # noqa: E402
from live_eels import wire  # noqa: E402
from live_eels.io.reader import open_recording  # noqa: E402
from live_eels.spectra import Scan, ScanEnd, Spectra  # noqa: E402
from running_engine import running, settings, wait_for  # noqa: E402

DESK, PHONE, WALL = (1280, 800), (390, 844), (1280, 720)
WINDOWS = "signal=[704,735]&fit=[672,699]"
ROI = 'rois={"A":{"shape":"rectangle","corners":[[14,60],[32,80]]}}'
SCANNING = f"tab=drift&cursor=[22,70]&{WINDOWS}&span=[610,750]"
COMPLETE = 'tab=clusters&map=valence&cursor=[70,28]&span=[610,750]&overlays=["references/Fe2%2B"]'
PINS = (
    f"pins=[[26,26],[26,10],[70,28],[70,72]]&cursor=[70,12]&{ROI}&{WINDOWS}&tab=pca&span=[610,750]"
    '&traces=["signal"]&map=cluster'
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / ".github" / "images")
    parser.add_argument("--scene", default="core_shell")
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        camera = Camera(playwright, options.out)
        if options.file is not None:
            with open_recording(options.file) as recording:
                messages = list(recording.messages(4))
            show_file(camera, messages, Path(folder))
        else:
            show_scene(camera, simulated(options.scene, options.side), Path(folder))
        camera.browser.close()


def simulated(name: str, side: int) -> list[Scan | Spectra | ScanEnd]:
    scene = load_scene(name)
    step_nm = scene.scan.step_nm * scene.scan.shape[1] / side
    scan = msgspec.structs.replace(scene.scan, shape=(side, side), step_nm=step_nm)
    return list(Acquisition(msgspec.structs.replace(scene, scan=scan), seed=2).messages(side))


def show_scene(camera: Camera, messages, folder: Path) -> None:
    with (
        running(settings(f"ipc://{folder}/1", folder / "a")) as (engine, socket),
        Served(engine) as served,
    ):
        warmed(engine, socket, messages)
        most = 2 * len(messages) // 3
        trickle(socket, messages[:most], 0.05)
        live = threading.Thread(target=trickle, args=(socket, messages[most:], 0.35))
        live.start()
        camera.both(served.url, "scanning", DESK, SCANNING)
        camera.both(served.url, "phone", PHONE, "")
        live.join()
        wait_for(lambda: engine.status().state == "complete", "the end")
        camera.both(served.url, "complete", DESK, COMPLETE)
        camera.both(served.url, "spectra", DESK, PINS)
        camera.both(served.url, "large", WALL, "large=1")
    with (
        running(settings(f"ipc://{folder}/2", folder / "b")) as (engine, socket),
        Served(engine) as served,
    ):
        warmed(engine, socket, messages)
        gone = {81, 82, 107, 108, 109, 110}
        kept = [m for i, m in enumerate(messages[:130]) if i not in gone]
        trickle(socket, [m for m in kept if not isinstance(m, ScanEnd)], 0.02)
        wait_for(lambda: engine.status().state == "stalled", "silence")
        camera.both(served.url, "alarm", DESK, "tab=log&cursor=[20,30]")


def show_file(camera: Camera, messages, folder: Path) -> None:
    with (
        running(settings(f"ipc://{folder}/1", folder / "a")) as (engine, socket),
        Served(engine) as served,
    ):
        trickle(socket, messages, 0.02)
        wait_for(lambda: engine.status().state == "complete", "the end")
        camera.both(served.url, "file", DESK, "tab=clusters")
        camera.both(served.url, "file_pca", DESK, "tab=pca&map=cluster&cursor=[0,30]")
        camera.both(served.url, "file_phone", PHONE, "")


def warmed(engine, socket, messages) -> None:
    """A first, small scan: kernels are compiled while nobody looks."""
    scan = next(m for m in messages if isinstance(m, Scan))
    axes = tuple(replace(axis, size=8) for axis in scan.navigation)
    first = [replace(scan, id="focus", title="focus test", navigation=axes)]
    for message in messages:
        if isinstance(message, Spectra) and message.pixels[0] == 0:
            few = [row[:64] for row in (message.pixels, message.counts)]
            part = replace(message, scan_id="focus", pixels=few[0], counts=few[1])
            first.append(part)
    trickle(socket, [*first, ScanEnd("focus", "complete", 64)], 0.0)
    wait_for(lambda: engine.finished_scans == 1, "the first scan")


def trickle(socket, messages, every_s: float) -> None:
    """Send messages one after the other, so that the maps keep up."""
    for message in messages:
        socket.send_multipart(wire.encode(now(message)))
        time.sleep(every_s)


def now(message):
    """The message as if the beam had been there just now (simulated clocks repeat)."""
    return replace(message, clock_s=time.time()) if isinstance(message, Spectra) else message


class Camera:
    """Takes pictures of pages and keeps them small."""

    def __init__(self, playwright, out: Path) -> None:
        self.browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        self.out = out

    def both(self, url: str, name: str, size: tuple[int, int], query: str) -> None:
        """The page in the dark and in the light theme."""
        for theme in ("dark", "light"):
            self.shot(
                f"{url}&theme={theme}&{query}", self.out / f"viewer_{name}_{theme}.webp", size
            )

    def shot(self, address: str, path: Path, size: tuple[int, int]) -> None:
        width, height = size
        page = self.browser.new_page(
            viewport={"width": width, "height": height}, reduced_motion="reduce"
        )
        page.goto(address)
        page.wait_for_function("() => Number(document.body.dataset.painted) > 0")
        page.wait_for_function("() => document.querySelector('#legend tr') !== null")
        page.wait_for_function("() => liveEels.stream.waiting.size === 0")
        page.wait_for_timeout(1200)
        with tempfile.NamedTemporaryFile(suffix=".png") as taken:
            page.screenshot(path=taken.name)
            few = Image.open(taken.name).convert("RGB").quantize(200, dither=Image.Dither.NONE)
            few.convert("RGB").save(path, lossless=True, quality=100, method=6)
        page.close()
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
