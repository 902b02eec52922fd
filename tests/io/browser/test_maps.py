"""Maps on the page: what they show, and a hand on them."""

import time
from dataclasses import replace

import numpy as np
import pytest

from live_eels.spectra import NavigationAxis

pytestmark = pytest.mark.browser


def test_any_map_is_a_navigator(screen, engine):
    screen.click_pixel(5, 12)
    screen.wait("document.querySelector('#caption').textContent.includes('(5, 12)')")
    assert screen.now("cursor") == [5, 12]
    np.testing.assert_allclose(screen.curve("cursor"), engine.cube[5 * 40 + 12], rtol=1e-6)
    screen.click_pixel(9, 30, ".small-map[data-map='counts']")
    screen.wait("document.querySelector('#caption').textContent.includes('(9, 30)')")
    np.testing.assert_allclose(screen.curve("cursor"), engine.cube[9 * 40 + 30], rtol=1e-6)


def test_the_crosshair_is_in_all_maps(screen):
    """In those on the screen at once, in the others when they are scrolled to."""
    drawn = """() => [...document.querySelectorAll('.small-map')]
      .map((c) => [liveEels.wall.onScreen.has(c), c.toDataURL()])"""
    before = screen.js(drawn)
    screen.set(cursor=[8, 20])
    screen.settle()
    after = screen.js(drawn)
    assert sum(there for there, _ in after) > 8
    changed = [a != b for (_, a), (_, b) in zip(after, before, strict=True)]
    assert changed == [there for there, _ in after]
    screen.js("() => { document.querySelector('#small').scrollTop = 1e6; }")
    screen.wait("[...document.querySelectorAll('.small-map')].some((c, i, all) => "
                "i === all.length - 1 && liveEels.wall.onScreen.has(c))")  # fmt: skip
    screen.settle()
    assert screen.js(drawn)[-1][1] != before[-1][1]


def test_nothing_moves_by_itself(served, open_screen, engine):
    """An animation has the page put together sixty times a second, on the microscope's computer."""
    engine.advance(22 * 40)
    screen = open_screen(served.url, reduced_motion="no-preference").shows(1)
    screen.wait("document.body.dataset.state === 'scanning'")
    assert screen.js("() => document.getAnimations({subtree: true}).length") == 0


def test_the_spectrum_of_the_newest_pixel_is_asked_for_twice_a_second(screen, engine):
    """Not with each frame: a plot costs as much as all maps together."""
    asked = """() => liveEels.stream.requests"""
    start, began = screen.js(asked), time.monotonic()
    for n in range(2, 12):
        engine.advance(8)
        screen.shows(n)
    took = time.monotonic() - began
    assert screen.js(asked) - start <= 2 + took / 0.5
    screen.wait("document.querySelector('#caption').textContent.includes('newest pixel (23, 39)')")


def test_dragging_moves_the_cursor(screen):
    screen.drag_pixels((2, 2), (10, 25))
    assert screen.now("cursor") == [10, 25]


def test_hover_reads_out_without_moving_the_cursor(screen, engine):
    screen.set(cursor=[1, 1])
    screen.page.mouse.move(*screen.point(6, 9))
    screen.wait("document.querySelector('#readout').textContent.includes('(6, 9)')")
    text = screen.text("#readout")
    assert "3, 4.5 nm" in text
    assert f"counts {engine.truth['counts'][6 * 40 + 9]:.0f}" in text
    assert screen.now("cursor") == [1, 1]
    screen.curve("hover")
    screen.page.mouse.move(5, 5)
    screen.wait("!liveEels.panel.answers.has('hover')")


def test_hover_says_why_a_pixel_is_rejected(screen, engine):
    rejected = int(np.flatnonzero(engine.truth["label"][: 22 * 40] < 0)[0])
    screen.page.mouse.move(*screen.point(*divmod(rejected, 40)))
    screen.wait("document.querySelector('#readout').textContent.includes('rejected')")
    assert "few counts" in screen.text("#readout")
    screen.page.mouse.move(*screen.point(30, 20))
    screen.wait("document.querySelector('#readout').textContent.includes('nothing came')")


def test_four_looks(screen, served, engine):
    """Not scanned, lost, rejected and zero cannot be taken for one another."""
    engine.truth["label"][:] = 1
    engine.truth["label"][2 * 40 + 5] = -1
    engine.truth["counts"][6 * 40 + 5] = 0
    engine.advance(40, lose=(4 * 40 + 5,))
    screen.set(opacity=1, cursor=[0, 0])
    screen.shows(2)
    screen.wait("liveEels.wall.lost.count === 1")
    screen.settle()
    label, rejected, lost, unseen = (
        screen.patch(y, x) for y, x in ((10, 28), (2, 5), (4, 5), (27, 30))
    )
    assert label == ["61,126,191"]  # Mn3+
    assert unseen == ["34,34,34"]
    assert "34,34,34" in rejected
    assert len(rejected) > 1  # hatched, grey
    assert all(abs(int(r) - int(g)) < 12 for r, g, _ in (c.split(",") for c in rejected))
    assert len(lost) > 1  # hatched, red
    assert any(int(c.split(",")[0]) > int(c.split(",")[1]) + 60 for c in lost)
    screen.set(map="counts", percentile=0)
    screen.wait("document.body.dataset.map === 'counts'")
    screen.settle()
    assert screen.patch(6, 5) == ["0,0,0"]  # zero is a colour of the scale


def test_quality_flags_are_classes(screen, engine):
    flags = engine.truth["flags"]
    flags[5 * 40 + 3] = 2 + 1  # saturated, and spikes: the graver one counts
    engine.advance(40)
    screen.set(map="flags", opacity=1)
    screen.wait("document.querySelector('#legend-name').textContent === 'flags'")
    names = screen.legend("r.dataset.class")
    assert names[:3] == ["good", "spikes", "saturated"]
    seen = flags[: 23 * 40]
    screen.wait("document.querySelector('#legend-total').dataset.total === '920'")
    counts = dict(zip(names, screen.legend("+r.dataset.count"), strict=True))
    assert counts["good"] == int((seen == 0).sum())
    assert counts["few counts"] == int((seen == 16).sum())
    assert counts["saturated"] == 1
    screen.page.mouse.move(*screen.point(5, 3))
    screen.wait("document.querySelector('#readout').textContent.includes('flags: saturated')")
    assert "spikes, saturated" in screen.text("#readout")


def test_a_map_that_is_no_more_goes_from_the_page(screen, engine):
    screen.set(map="thickness")
    screen.wait("document.body.dataset.map === 'thickness'")
    before = screen.page.locator(".tile").count()
    engine.dropped = {"thickness", "Fe L2,3"}
    engine.advance(40)
    screen.shows(2)
    screen.wait("n => document.querySelectorAll('.tile').length === n", before - 2)
    assert screen.page.locator(".tile[data-map=thickness]").count() == 0
    assert screen.js("() => document.body.dataset.map") == "label"  # something is shown large
    engine.dropped = set()
    engine.advance(40)
    screen.wait("n => document.querySelectorAll('.tile').length === n", before)


def test_only_lost_pixels_are_marked_lost(screen, engine):
    """In a scan that leaves pixels out, what did not come was mostly never sent."""
    engine.seen[::2] = False
    engine.status_changes = {"missing_messages": 1, "lost": [(10 * 40 + 4, 10 * 40 + 6)]}
    engine.publish()
    screen.shows(2)
    screen.wait("liveEels.wall.lost.count === 2")
    screen.settle()
    assert screen.patch(10, 8) == ["34,34,34"]
    assert len(screen.patch(10, 4)) > 1


def test_a_frame_repaints_the_large_map_and_soon_the_small_ones(screen, engine):
    """Nobody touches anything: what came is drawn."""
    screen.set(cursor=[0, 0])
    small = """(name) => {
      const canvas = document.querySelector(`.small-map[data-map="${name}"]`);
      const tile = liveEels.gestures.tileOf.get(canvas);
      const [x, y] = tile.toCanvas([25, 20]).map((v) => v * tile.ratio);
      return [...tile.context.getImageData(x, y, 1, 1).data].join() === "34,34,34,255";
    }"""
    assert screen.probe(25, 20) == [34, 34, 34]
    assert screen.js(small, "thickness")
    engine.advance(6 * 40)
    screen.shows(2)
    assert screen.probe(25, 20) != [34, 34, 34]
    for name in ("counts", "confidence", "thickness"):
        screen.wait(f"(name) => !({small})(name)", name)


def test_what_takes_room_from_the_map_does_not_squeeze_it(screen):
    fits = """() => {
      const canvas = document.querySelector("#big-map");
      return canvas.width === Math.round(canvas.clientWidth * Math.min(devicePixelRatio, 2));
    }"""
    wide = screen.js("() => document.querySelector('#big-map').clientWidth")
    screen.set(map="counts")  # the colour bar comes
    screen.wait("w => document.querySelector('#big-map').clientWidth < w", wide)
    screen.settle()
    assert screen.js(fits)
    screen.js("() => { document.querySelector('#big').style.width = '300px'; }")
    screen.settle().settle()
    assert screen.js(fits)


def test_legend_counts_add_up(screen, engine):
    screen.wait("document.querySelectorAll('#legend tr').length === 7")
    counts = screen.js(
        "() => [...document.querySelectorAll('#legend tr')].map(r => +r.dataset.count)"
    )
    label = engine.truth["label"][: 22 * 40]
    assert counts == [int((label == i).sum()) for i in range(6)] + [int((label < 0).sum())]
    assert sum(counts) == engine.status().pixels_analysed
    sure = screen.js("() => document.querySelectorAll('#legend tr')[1].cells[3].textContent")
    mine = engine.truth["confidence"][: 22 * 40][label == 1]
    assert float(sure) == pytest.approx(mine.mean(), abs=0.006)


def test_a_class_can_be_hidden(screen):
    screen.set(opacity=1, cursor=[0, 0])
    before = screen.probe(2, 20)
    screen.page.get_by_role("button", name="Mn3+").click()
    screen.wait("liveEels.view.now.hidden.length === 1")
    screen.wait("document.querySelector('#legend [aria-pressed=false]') !== null")
    assert screen.probe(2, 20) != before


def test_threshold_rejects(screen):
    screen.wait("document.querySelector('#legend tr') !== null")
    screen.page.locator("#reject").fill("1")
    screen.wait("+document.querySelector('#legend tr:last-child').dataset.count > 700")
    counts = screen.js(
        "() => [...document.querySelectorAll('#legend tr')].map(r => +r.dataset.count)"
    )
    assert sum(counts[:-1]) < sum(counts) * 0.2  # those that are certain stay
    screen.set(opacity=1, cursor=[0, 0])
    screen.settle()
    assert len(screen.patch(9, 5)) > 1


def test_pointing_at_a_cluster_shows_where_it_lies(screen):
    screen.set(map="cluster", opacity=1, cursor=[0, 0], tab="clusters")
    screen.wait("document.querySelectorAll('#legend tr').length === 5")
    before = screen.probe(20, 35)
    screen.page.locator("#legend tr").nth(2).hover()
    screen.wait("liveEels.wall.highlight === 2")
    screen.settle()
    assert screen.probe(20, 35) != before
    # and the other way round
    screen.page.mouse.move(*screen.point(9, 12))
    screen.wait("document.querySelector('#legend tr.pointed') !== null")
    names = screen.js(
        "() => [...document.querySelectorAll('#legend tr.pointed')].map(r => r.dataset.class)"
    )
    assert names == ["cluster 3"]


def test_colours_and_contrast_ask_nobody(screen):
    screen.set(map="Fe L2,3")
    screen.page.locator("#contrast").click()
    start = len(screen.sent)
    before = screen.probe(9, 12)
    screen.page.get_by_label("colour map").select_option("magma")
    screen.page.get_by_label("cut, % at each end").fill("5")
    screen.page.get_by_label("logarithmic", exact=True).check()
    screen.page.get_by_label("lock limits").check()
    screen.page.get_by_label("to", exact=True).fill("1000")
    screen.page.keyboard.press("Tab")
    screen.wait("liveEels.wall.pictures.get('Fe L2,3').limits[1] === 1000")
    assert screen.probe(9, 12) != before
    assert {m.split('"')[3] for m in screen.sent[start:]} <= {"ready"}
    screen.page.keyboard.press("Escape")
    assert screen.page.locator("#contrast-box").is_hidden()


def test_scale_bar_has_the_units_of_the_scan(screen):
    # 40 pixels of 0.5 nm: the bar is at most 0.3 of 20 nm
    assert screen.js("() => document.querySelector('#big-map').dataset.scaleBar") == "5 nm"
    assert screen.text("#colour-bar") == ""


def test_colour_bar_has_unit_and_limits(screen):
    screen.set(map="thickness")
    screen.wait("document.querySelector('#bar-unit').textContent === 't/λ'")
    assert (screen.text("#bar-low"), screen.text("#bar-high")) == ("0", "1.2")


def test_zoom_and_pan_are_shared(screen):
    x, y = screen.point(10, 10)
    screen.page.mouse.move(x, y)
    screen.page.mouse.wheel(0, -800)
    screen.wait("liveEels.view.now.zoom.k > 2")
    np.testing.assert_allclose(screen.point(10, 10), (x, y), atol=2)
    small = ".small-map[data-map='counts']"
    zoomed = screen.js("s => liveEels.gestures.tileOf.get(document.querySelector(s)).sx", small)
    screen.page.keyboard.down("Shift")
    screen.drag((x, y), (x + 30, y + 20))
    screen.page.keyboard.up("Shift")
    np.testing.assert_allclose(screen.point(10, 10), (x + 30, y + 20), atol=2)
    screen.page.locator("#big-map").dblclick()
    screen.wait("liveEels.view.now.zoom.k === 1")
    screen.settle()
    after = screen.js("s => liveEels.gestures.tileOf.get(document.querySelector(s)).sx", small)
    assert zoomed > 2 * after


def test_three_maps_as_colours(screen, engine):
    screen.page.locator("#contrast").click()
    for colour, name in (("red", "Fe L2,3"), ("green", "Mn L2,3"), ("blue", "counts")):
        screen.page.get_by_label(colour, exact=True).select_option(name)
    screen.wait("document.body.dataset.map === 'rgb'")
    screen.page.keyboard.press("Escape")
    screen.set(cursor=[0, 0])
    screen.settle()
    iron, manganese = screen.probe(9, 12), screen.probe(18, 4)
    assert iron[0] > manganese[0] + 50
    assert manganese[1] > iron[1] + 50


def test_ratio_of_two_maps(screen, engine):
    screen.page.locator("#contrast").click()
    screen.page.get_by_label("ratio of", exact=True).select_option("Fe L2,3")
    screen.page.get_by_label("over", exact=True).select_option("counts")
    screen.wait("document.body.dataset.map === 'ratio'")
    engine.advance(40)
    screen.shows(2)
    screen.wait("liveEels.wall.quotient.filter((v) => v === v).length === 23 * 40")
    values = np.array(screen.js("() => Array.from(liveEels.wall.quotient)"), dtype=float)
    expected = (engine.truth["Fe L2,3"] / engine.truth["counts"])[: 23 * 40]
    np.testing.assert_allclose(values[: 23 * 40], expected, rtol=1e-4, atol=1e-6)
    assert "Fe L2,3 / counts" in screen.text("#big-meaning")


def test_the_beam_is_marked_and_its_spectrum_shown_until_one_points(screen, engine):
    assert "newest pixel (21, 39)" in screen.text("#caption")
    engine.advance(25)
    screen.shows(2)
    screen.wait("liveEels.model.beam === 22 * 40 + 24")
    screen.wait("document.querySelector('#caption').textContent.includes('(22, 24)')")


def test_a_line_scan_in_micrometres(served, open_screen, engine):
    """Told in nanometres, and its maps have their values drawn over them."""
    engine.new_scan((60,))
    engine.scan = replace(engine.scan, navigation=(NavigationAxis("x", 60, 0.002, "µm"),))
    engine.advance(60)
    screen = open_screen(served.url, "map=thickness").shows(1)
    assert screen.js("() => document.querySelector('#big-map').dataset.scaleBar") == "20 nm"
    profile = screen.js("() => liveEels.wall.scene('thickness', true).profile.values.length")
    assert profile == 60
    assert screen.js("() => liveEels.wall.scene('label', true).profile") is None
    row = screen.js("""() => {
      const { context, height, width, ratio } = liveEels.wall.tiles.get("thickness");
      const { data } = context.getImageData(0.5 * width * ratio, 0, 1, height * ratio);
      let white = 0;
      for (let i = 0; i < data.length; i += 4) white += data[i] > 200 && data[i + 2] > 200;
      return white;
    }""")
    assert row > 0  # the curve crosses every column


def test_line_scan_and_single_spectrum(served, open_screen, engine):
    engine.new_scan((60,), title="a line")
    engine.advance(50)
    screen = open_screen(served.url).shows(1)
    screen.click_pixel(0, 7)
    screen.wait("document.querySelector('#caption').textContent.includes('pixel 7')")
    np.testing.assert_allclose(screen.curve("cursor"), engine.cube[7], rtol=1e-6)
    screen.page.keyboard.press("r")
    screen.drag_pixels((0, 10), (0, 19))
    np.testing.assert_allclose(screen.curve("A"), engine.cube[10:20].mean(0), rtol=1e-5)
    screen.page.keyboard.press("n")
    screen.click_pixel(0, 33)
    np.testing.assert_allclose(screen.curve("pin 0"), engine.cube[33], rtol=1e-6)
    screen.page.keyboard.press("w")
    screen.page.mouse.move(*screen.energy(660))
    screen.page.mouse.move(*screen.energy(642))
    screen.wait("liveEels.wall.windowMap?.length === 60 && document.body.dataset.window")
    screen.wait("Math.abs(JSON.parse(document.body.dataset.window)[0] - 637) < 1.5")
    swept = screen.numbers("liveEels.wall.windowMap")
    expected = engine.window_map(tuple(screen.now("signal")), tuple(screen.now("fit"))).ravel()
    np.testing.assert_allclose(swept, expected, rtol=1e-3, atol=0.5)
    engine.new_scan((), title="live view")
    engine.advance(1)
    screen.shows(2)
    screen.wait("document.querySelector('#scan-shape').textContent.includes('single spectrum')")
    screen.set(cursor=None)
    np.testing.assert_allclose(screen.curve("cursor"), engine.cube[0], rtol=1e-6)
