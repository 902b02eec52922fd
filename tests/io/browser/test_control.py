"""The control tab, the side panels, the keyboard, and what a screen reader meets."""

import itertools

import numpy as np
import pytest

from fake_engine import Served
from live_eels import control

pytestmark = pytest.mark.browser


def open_control(screen):
    screen.page.locator("#tab-control").click()
    screen.wait("document.querySelectorAll('#panel-control .field').length > 5")
    return screen.page.locator("#panel-control")


def said(screen, reply):
    screen.wait("r => document.querySelector('#said')?.dataset.reply === r", reply)
    return screen.text("#said")


def test_commands_and_their_replies(screen, engine):
    panel = open_control(screen)
    panel.get_by_role("button", name="stop recording").click()
    assert said(screen, "ok") == "done: Record"
    assert engine.commands[-1] == control.Record(on=False)
    panel.get_by_label("clusters").fill("5")
    panel.get_by_role("button", name="set").first.click()
    screen.wait("document.querySelector('#said').textContent === 'done: SetClusters'")
    assert engine.commands[-1] == control.SetClusters(k=5)
    panel.get_by_role("button", name="set").last.click()
    screen.wait("document.querySelector('#said').textContent === 'done: SetComponents'")
    assert engine.commands[-1] == control.SetComponents(n=None)
    panel.get_by_label("refine").fill("gmm")
    panel.get_by_role("button", name="run").click()
    screen.wait("document.querySelector('#said').textContent === 'done: Refine'")
    assert engine.commands[-1] == control.Refine(method="gmm", clusters=5)


def test_the_card_of_a_model_says_what_it_covers(screen, engine):
    panel = open_control(screen)
    card = panel.locator(".card")
    screen.wait("document.querySelector('.card').textContent.includes('Mn and Fe, made up')")
    assert "618 to 730 eV: on this energy axis" in card.inner_text()  # of the model in use
    assert "where the probability is below 0.40" in card.inner_text()
    assert "not for anything real" in card.inner_text()
    panel.get_by_label("model").fill("narrow")
    screen.wait("document.querySelector('.card').textContent.includes('not on this energy axis')")
    panel.get_by_role("button", name="use").click()
    assert "450 to 540 eV" in said(screen, "refused")


def test_windows_go_to_the_engine(screen, engine):
    screen.set(signal=[703, 735], fit=[675, 700])
    panel = open_control(screen)
    panel.get_by_role("button", name="the Signal window").click()
    said(screen, "ok")
    assert engine.commands[-1] == control.SetWindow(low_ev=703, high_ev=735)
    screen.page.locator("#window-keep").click()
    screen.wait("document.querySelector('#said').textContent === 'done: AddWindowMap'")
    kept = engine.commands[-1]
    assert (kept.signal_ev, kept.fit_ev) == ((703, 735), (675, 700))


def test_regions_are_told_after_a_question(screen, engine):
    screen.set(rois={"A": {"shape": "rectangle", "corners": [[5, 9], [2, 3]]}})
    panel = open_control(screen)
    panel.get_by_label("region or cursor").fill("look here")
    panel.get_by_role("button", name="note").click()
    said(screen, "ok")
    expected = {"corner": (2, 3), "size": (4, 7)}
    assert engine.commands == [control.MarkRegion(request="note", text="look here", **expected)]
    # only notes can be made while nobody listens who could act on more
    assert panel.get_by_role("button", name="scan again").is_disabled()
    assert "no control software is connected" in panel.inner_text()
    engine.status_changes = {"controllers": 1}
    screen.wait("document.body.dataset.controllers === '1'")
    panel.get_by_role("button", name="scan again").click()
    screen.page.locator("#ask").get_by_role("button", name="no").click()
    assert len(engine.commands) == 1
    panel.get_by_role("button", name="scan again").click()
    screen.page.locator("#ask").get_by_role("button", name="yes").click()
    screen.wait("document.querySelector('#said').dataset.reply === 'ok'")
    assert engine.commands[-1].request == "scan_again"


def test_without_the_token_there_are_no_buttons(engine, open_screen):
    engine.advance(100)
    with Served(engine) as server:
        screen = open_screen(server.url.split("?")[0]).shows(1)
        screen.page.locator("#tab-control").click()
        screen.wait("document.querySelector('#panel-control').textContent.includes('token')")
        assert screen.page.locator("#panel-control button").count() == 0
        refused = screen.js(
            """() => liveEels.stream.ask("command", "", {command: {command: "stop"}})
                 .then((m) => m.header.reply)"""
        )
        assert refused["reply"] == "refused"
        assert "403" in refused["error"]
    with Served(engine, read_only=True) as server:
        screen = open_screen(server.url + "?token=sesame").shows(1)
        screen.page.locator("#tab-control").click()
        screen.wait("document.querySelector('#panel-control').textContent.includes('read-only')")
        assert screen.page.locator("#panel-control button").count() == 0
    assert engine.commands == []


def test_scree_and_factors(screen):
    screen.page.locator("#tab-pca").click()
    screen.wait("document.querySelector('#panel-pca .chart').dataset.points === '12'")
    assert screen.page.locator("#panel-pca .chart").first.get_attribute("data-elbow") == "2"
    screen.wait("document.querySelectorAll('#panel-pca .chart')[1].dataset.lines?.includes('2')")
    assert "% of the variance" in screen.text("#panel-pca p")


def test_components_that_are_not_certain_yet_look_so(screen, engine):
    screen.page.locator("#tab-pca").click()
    screen.wait("document.querySelectorAll('#panel-pca .chips li').length === 2")
    assert screen.text("#panel-pca .chips li:first-child") == "1 ± 1°"
    assert screen.text("#panel-pca .chips li:last-child") == "2 ± 24°, not certain yet"
    dashes = "() => liveEels.sides.pca.plot.u.series.slice(1).map((s) => !!s.dash)"
    assert screen.js(dashes) == [False, True]
    engine.status_changes = {"component_angles_deg": [0.8, 6.0]}
    screen.wait("document.querySelector('#panel-pca .chips').textContent === '1 ± 1°2 ± 6°'")
    assert screen.js(dashes) == [False, False]


def test_where_the_components_lack_something(screen):
    screen.page.locator("#tab-pca").click()
    screen.wait(
        "document.querySelector('#panel-pca').textContent.includes('times the counting noise')"
    )
    screen.page.get_by_role("button", name="residual map").click()
    screen.wait("document.body.dataset.map === 'PCA residual'")
    screen.wait("document.querySelector('#big-name').textContent === 'PCA residual'")


def test_stage_times_and_counters(screen):
    screen.page.locator("#tab-engine").click()
    screen.wait("document.querySelectorAll('#panel-engine tr').length > 12")
    text = screen.text("#panel-engine")
    assert "preprocess" in text
    assert "50 %" in text


def test_signal_to_noise_grows_with_the_root_of_dose(served, open_screen, engine):
    engine.new_scan((8, 10), passes=9)
    once = engine.cube.copy()
    engine.cube = once * 0
    screen = open_screen(served.url, "signal=[703,735]&fit=[675,700]&tab=dose")
    for n in range(1, 10):
        engine.cube = once * n
        engine.advance(80)
        screen.wait("n => liveEels.asks.snr.at(-1)?.visits === n * 80", n)
    snr = screen.js("() => liveEels.asks.snr.map((p) => [p.visits / 80, p.snr])")
    snr = np.array([p for p in snr if p[0] == int(p[0])])
    one = snr[snr[:, 0] == 1][-1, 1]
    np.testing.assert_allclose(snr[:, 1], one * np.sqrt(snr[:, 0]), rtol=0.02)


def test_passes_are_compared(served, open_screen, engine):
    engine.new_scan((8, 10), passes=3)
    engine.advance(80)
    screen = open_screen(served.url, "tab=dose").shows(1)
    served.viewer.trend.add(engine.status())
    engine.truth["label"][engine.truth["label"] == 2] = 1  # the beam reduces manganese
    engine.advance(80)
    served.viewer.trend.add(engine.status())
    screen.wait("document.querySelector('#panel-dose table').dataset.passes === '2'")
    rows = dict(
        row.split("\t", 1) for row in screen.text("#panel-dose table").splitlines() if "\t" in row
    )
    assert rows["Mn4+"].split("\t")[-1].startswith("−")
    assert rows["Mn3+"].split("\t")[-1].startswith("+")


def test_keyboard_alone(screen):
    page = screen.page
    page.keyboard.press("Tab")
    assert screen.js("() => document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.locator("#big-map").focus()
    screen.set(cursor=[10, 10])
    for key, place in (
        ("ArrowRight", [10, 11]),
        ("ArrowDown", [11, 11]),
        ("Control+ArrowLeft", [11, 1]),
        ("PageUp", [11, 1]),
        ("ArrowUp", [9, 1]),
        ("PageDown", [9, 1]),
        ("ArrowLeft", [9, 0]),
        ("ArrowLeft", [9, 0]),
    ):
        page.keyboard.press(key)
        assert screen.now("cursor") == place, key
    page.keyboard.press("+")
    screen.wait("document.querySelector('#caption').textContent.includes('2 × 2')")
    page.keyboard.press("-")
    page.keyboard.press("3")
    screen.wait("document.body.dataset.map === 'cluster'")
    page.keyboard.press("h")
    assert page.locator("#contrast-box").is_visible()
    page.keyboard.press("Escape")
    screen.set(zoom={"k": 3, "y": 0.5, "x": 0.5}, span=[620, 680])
    page.locator("#big-map").focus()
    page.keyboard.press("0")
    assert screen.now("zoom")["k"] == 1
    assert screen.now("span") is None
    page.keyboard.press("t")
    assert screen.js("() => document.documentElement.dataset.theme") == "light"
    page.keyboard.press("m")
    assert page.locator("#spectrum").is_hidden()
    page.keyboard.press("m")
    page.keyboard.press("Escape")
    assert screen.now("cursor") is None
    page.locator("#plot").focus()
    page.keyboard.press("ArrowRight")
    screen.wait("liveEels.view.now.marker !== null")
    page.locator("#tab-drift").focus()
    page.keyboard.press("ArrowRight")
    screen.wait("document.activeElement.id === 'tab-clusters'")
    assert screen.now("tab") == "clusters"


def test_help(screen):
    screen.page.locator("#big-map").focus()
    screen.page.keyboard.press("?")
    dialog = screen.page.locator("#help")
    assert dialog.is_visible()
    assert "follow the beam" in dialog.inner_text()
    assert "zero-loss" in dialog.inner_text()
    screen.page.keyboard.press("Escape")
    assert dialog.is_hidden()


def test_cursor_is_announced_but_not_chattered(screen):
    screen.page.locator("#big-map").focus()
    screen.js(
        """() => {
          window.spoken = [];
          const live = document.querySelector("#live");
          new MutationObserver(() => spoken.push([performance.now(), live.textContent]))
            .observe(live, {childList: true, characterData: true, subtree: true});
        }"""
    )
    screen.set(cursor=[5, 5])
    for _ in range(12):
        screen.page.keyboard.press("ArrowRight")
    screen.wait("spoken.length > 0 && spoken.at(-1)[1].includes('(5, 17)')")
    times = [t for t, _ in screen.js("() => spoken")]
    assert all(b - a > 1900 for a, b in itertools.pairwise(times))


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("theme=dark&signal=[703,735]&fit=[675,700]&cursor=[5,5]", (1280, 800)),
        ("theme=light&tab=control&map=counts&marker=708", (1280, 800)),
        ("theme=dark&tab=dose", (1280, 800)),
        ("theme=light&tab=engine", (1000, 700)),
        ("theme=dark", (390, 844)),
        ("theme=light", (390, 844)),
        ("large=1", (1920, 1080)),
    ],
)
def test_axe_finds_nothing(served, open_screen, engine, query, size):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    engine.advance(800)
    screen = open_screen(served.url, query, viewport={"width": size[0], "height": size[1]})
    screen.shows(1)
    screen.wait("document.querySelector('#legend tr') !== null")
    screen.wait("!document.querySelector('#alarm').hidden")
    results = axe.Axe().run(screen.page)
    bad = [(v["id"], [n["target"] for n in v["nodes"]]) for v in results.response["violations"]]
    assert bad == []


def test_axe_finds_nothing_in_the_help_and_the_menus(screen):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for opener in ("#help-button", "#contrast", "#export"):
        screen.page.locator(opener).click()
        results = axe.Axe().run(screen.page)
        assert [v["id"] for v in results.response["violations"]] == [], opener
        screen.page.keyboard.press("Escape")


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
def test_no_scrolling_on_a_desk(served, open_screen, engine, size):
    engine.advance(400)
    screen = open_screen(served.url, viewport={"width": size[0], "height": size[1]}).shows(1)
    assert screen.js("() => document.documentElement.scrollHeight <= innerHeight")
    assert screen.js("() => document.documentElement.scrollWidth <= innerWidth")
    cut = screen.js(
        """() => [...document.querySelectorAll("#strip .buttons *")]
             .filter((e) => e.getBoundingClientRect().right > innerWidth).length"""
    )
    assert cut == 0


def test_phone_shows_status_map_legend_and_nothing_else(served, open_screen, engine):
    engine.advance(400)
    screen = open_screen(served.url, viewport={"width": 390, "height": 844}, is_mobile=True)
    screen.shows(1)
    screen.wait("document.querySelector('#legend tr') !== null")
    shown = screen.js(
        """() => ["strip", "big-map", "legend", "small", "spectrum", "tabs"]
             .filter((id) => document.getElementById(id).offsetParent !== null)"""
    )
    assert shown in (["strip", "big-map", "legend"], ["big-map", "legend"])
    assert screen.js("() => document.documentElement.scrollWidth <= innerWidth")
    small = screen.js(
        """() => [...document.querySelectorAll("button, select")]
             .filter((e) => e.offsetParent && Math.min(e.offsetWidth, e.offsetHeight) < 24)
             .map((e) => e.id || e.textContent)"""
    )
    assert small == []
