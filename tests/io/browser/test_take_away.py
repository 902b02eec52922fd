"""What leaves the page: pictures, tables, a report, a link, lines of Python."""

import struct
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import pytest

pytestmark = pytest.mark.browser


def download(screen, what, tmp_path):
    screen.page.locator("#export").click()
    with screen.page.expect_download() as waiting:
        screen.page.locator(f"[data-export={what}]").click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def png_pixels(path):
    """Height, width and the decompressed rows of a PNG."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, body, size = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == b"IHDR":
            size = struct.unpack(">II", data[at + 8 : at + 16])
        if kind == b"IDAT":
            body += data[at + 8 : at + 8 + length]
        at += 12 + length
    return size, np.frombuffer(zlib.decompress(body), np.uint8)


@pytest.mark.parametrize("name", ["label", "Fe L2,3", "loading 1"])
def test_png_of_a_map(screen, tmp_path, name):
    screen.set(map=name)
    screen.wait("n => document.body.dataset.map === n", name)
    path = download(screen, "png", tmp_path)
    assert path.name.startswith("LSMO_Fe3O4_")
    (width, height), values = png_pixels(path)
    assert width > 700
    assert height > 500
    assert len(np.unique(values)) > 20


def test_s_saves_the_map(screen):
    with screen.page.expect_download() as waiting:
        screen.page.keyboard.press("s")
    assert waiting.value.suggested_filename.endswith("_label.png")


def test_svg_says_what_it_shows(screen, tmp_path):
    root = ET.parse(download(screen, "svg", tmp_path)).getroot()
    texts = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any(t.startswith("label") for t in texts)
    assert "5 nm" in texts
    assert "Mn3+" in texts
    assert any("scan-1" in t for t in texts)
    image = next(root.iter("{http://www.w3.org/2000/svg}image"))
    assert image.get("href").startswith("data:image/png")


def test_whole_page_png(screen, tmp_path):
    screen.click_pixel(5, 5)
    screen.curve("cursor")
    (width, height), values = png_pixels(download(screen, "page", tmp_path))
    assert width > 1000
    assert height > 800
    assert len(np.unique(values)) > 20


def test_csv_holds_the_curves(screen, engine, tmp_path):
    screen.set(cursor=[5, 12], rois={"A": {"shape": "rectangle", "corners": [[1, 1], [2, 3]]}})
    screen.curve("cursor")
    screen.curve("A")
    path = download(screen, "csv", tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[2].split(",") == [
        "energy_ev", "raw", "processed", "background", "signal", "region A", "region A sigma",
    ]  # fmt: skip
    table = np.genfromtxt(lines[3:], delimiter=",")
    np.testing.assert_allclose(table[:, 0], engine.axis.energies_ev, atol=1e-3)
    np.testing.assert_allclose(table[:, 1], engine.cube[5 * 40 + 12], rtol=1e-6)
    chosen = engine.cube[[41, 42, 43, 81, 82, 83]].mean(0)
    e = engine.axis.energies_ev  # the fake's processed spectra lie 0.2 eV higher
    processed = np.interp(e, e + 0.2, chosen, np.nan, np.nan)
    np.testing.assert_allclose(table[:, 5], processed, rtol=1e-6)
    np.testing.assert_allclose(table[:, 6], np.sqrt(chosen / 6), rtol=1e-5)


def test_the_recording_is_fetched(screen, engine, tmp_path):
    file = tmp_path / "the scan.hspy"
    file.write_bytes(b"counts" * 1000)
    engine.paths = {"scan-1": str(file)}
    screen.wait("liveEels.model.history.some((h) => h.path)")
    screen.page.locator("#export").click()
    assert "the scan.hspy" in screen.text("#export-box")
    with screen.page.expect_download() as download:
        screen.page.locator("[data-export=recording]").click()
    fetched = tmp_path / "fetched"
    download.value.save_as(fetched)
    assert download.value.suggested_filename == "the scan.hspy"
    assert fetched.read_bytes() == file.read_bytes()


def test_report_stands_alone(screen, chromium, tmp_path):
    screen.set(cursor=[5, 12])
    screen.curve("cursor")
    path = download(screen, "report", tmp_path)
    text = path.read_text(encoding="utf-8")
    for word in ("LSMO | Fe3O4", "Mn3+", "300 keV", "2 ms", "/tmp/scan.hspy", "hs.load", "0.5 nm"):
        assert word in text, word
    context = chromium.new_context()
    page = context.new_page()
    asked = []
    page.on("request", lambda r: asked.append(r.url))
    page.goto(path.as_uri())
    pictures = page.evaluate("() => [...document.images].every((i) => i.naturalWidth > 10)")
    maps = page.locator(".maps svg").count()
    context.close()
    assert pictures
    assert maps >= 8
    assert all(url.startswith(("file:", "data:")) for url in asked)


def test_link_restores_the_view(screen, served, open_screen):
    screen.set(cursor=[5, 12], map="cluster", signal=[703, 735], fit=[675, 700], theme="light")
    screen.page.locator("#export").click()
    screen.page.locator("[data-export=link]").click()
    link = screen.page.locator("#ask textarea").input_value()
    assert "sesame" not in link
    other = open_screen(link)
    other.shows(1)
    assert other.now("cursor") == [5, 12]
    assert other.now("signal") == [703, 735]
    other.wait("document.body.dataset.map === 'cluster'")
    assert other.js("() => document.documentElement.dataset.theme") == "light"
    assert other.js("() => document.body.dataset.control") == "false"


@pytest.mark.parametrize(
    "query",
    ["cursor=%22x%22", "cursor=[1]", "signal=5", "zoom={}", "rois=[1]", "pins=7", "map=nothing",
     "tab=nothing", "luts=%22%22", "reject=%22%22", "cursor=[1e9,-5]", "rgb=[1,2]", "span=[]"],
)  # fmt: skip
def test_a_broken_link_breaks_nothing(served, open_screen, query):
    served.engine.advance(400)
    screen = open_screen(served.url, query).shows(1)
    screen.click_pixel(3, 3)
    screen.curve("cursor")


def test_lines_of_python(screen):
    screen.set(rois={"A": {"shape": "rectangle", "corners": [[1, 2], [5, 9]]}}, signal=[703, 735])
    screen.page.locator("#export").click()
    screen.page.locator("[data-export=python]").click()
    text = screen.page.locator("#ask textarea").input_value()
    compile(text, "copied", "exec")
    assert 'hs.load("/tmp/scan.hspy"' in text
    assert "s.inav[2:10, 1:6]" in text
    assert "s.isig[703.0:735.0]" in text
