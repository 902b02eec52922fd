"""Six states of the page as small pictures: ``python tests/io/browser/screenshots.py``.

Real engine, simulated spectrometer, Chromium; nothing is drawn by hand. Writes
``.github/images/viewer_*.png``. Needs Pillow (matplotlib brings it) to keep them small.
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
from live_eels.spectra import ScanEnd, Spectra  # noqa: E402
from running_engine import running, settings, wait_for  # noqa: E402

DESK, PHONE, WALL = (1280, 800), (390, 844), (1280, 720)
PINS = "pins=[[26,46],[13,28],[84,60]]&cursor=[46,20]"
WINDOWS = "signal=[704,735]&fit=[672,699]"
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / ".github" / "images")
    parser.add_argument("--scene", default="fe3o4_mn3o4")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    scene = load_scene(options.scene)
    scan = msgspec.structs.replace(scene.scan, shape=(96, 128))
    messages = list(Acquisition(msgspec.structs.replace(scene, scan=scan), seed=2).messages(64))
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        take(browser, messages, Path(folder), options.out)
        browser.close()


def take(browser, messages, folder: Path, out: Path) -> None:
    with (
        running(settings(f"ipc://{folder}/1", folder / "a")) as (engine, socket),
        Served(engine) as served,
    ):
        most = 2 * len(messages) // 3
        trickle(socket, messages[:most], 0.05)
        live = threading.Thread(target=trickle, args=(socket, messages[most : most + 60], 0.08))
        live.start()
        shot(
            browser,
            served.url,
            out / "viewer_scanning.png",
            DESK,
            f"{WINDOWS}&tab=drift&cursor=[26,46]",
        )
        shot(browser, served.url, out / "viewer_phone.png", PHONE, "")
        live.join()
        trickle(socket, messages[most + 60 :], 0.02)
        wait_for(lambda: engine.status().state == "complete", "the end")
        shot(
            browser,
            served.url,
            out / "viewer_complete.png",
            DESK,
            f"theme=light&tab=clusters&map=cluster&{WINDOWS}&cursor=[26,46]",
        )
        roi = 'rois={"A":{"shape":"rectangle","corners":[[11,14],[19,24]]}}'
        shot(
            browser,
            served.url,
            out / "viewer_spectra.png",
            DESK,
            f'{PINS}&{roi}&{WINDOWS}&tab=pca&traces=["processed"]&map=window&span=[610,750]',
        )
        shot(browser, served.url, out / "viewer_large.png", WALL, "large=1")
    with (
        running(settings(f"ipc://{folder}/2", folder / "b")) as (engine, socket),
        Served(engine) as served,
    ):
        kept = [m for i, m in enumerate(messages[:90]) if i not in {40, 41, 66, 67}]
        for message in kept:
            if not isinstance(message, ScanEnd):
                socket.send_multipart(wire.encode(now(message)))
        wait_for(lambda: engine.status().state == "stalled", "silence")
        shot(browser, served.url, out / "viewer_alarm.png", DESK, "tab=log")


def trickle(socket, messages, every_s: float) -> None:
    """Send messages one after the other, so that the maps keep up."""
    for message in messages:
        socket.send_multipart(wire.encode(now(message)))
        time.sleep(every_s)


def now(message):
    """The message as if the beam had been there just now (simulated clocks repeat)."""
    return replace(message, clock_s=time.time()) if isinstance(message, Spectra) else message


def shot(browser, url: str, path: Path, size: tuple[int, int], query: str) -> None:
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page.goto(f"{url}&{query}")
    page.wait_for_function("() => Number(document.body.dataset.painted) > 0")
    page.wait_for_function("() => document.querySelector('#legend tr') !== null")
    page.wait_for_function("() => liveEels.stream.waiting.size === 0")
    page.wait_for_timeout(900)
    page.screenshot(path=path)
    page.close()
    Image.open(path).convert("RGB").quantize(255, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
