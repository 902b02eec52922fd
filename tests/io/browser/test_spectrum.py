"""The spectrum panel: curves, regions, windows, edges, slice and picker."""

import numpy as np
import pytest

from live_eels.spectra import EnergyAxis

pytestmark = pytest.mark.browser

IRON, MANGANESE = (9, 12), (18, 4)


def test_curves_can_be_switched(screen):
    screen.click_pixel(*MANGANESE)
    screen.wait("document.querySelector('#plot').dataset.lines?.includes('processed')")
    lines = screen.js("() => document.querySelector('#plot').dataset.lines")
    assert lines.split("|")[:4] == ["raw", "processed", "background", "signal"]
    screen.page.get_by_role("button", name="background").click()
    screen.wait("!document.querySelector('#plot').dataset.lines.includes('background')")


def test_log_scale_by_key_and_button(screen):
    screen.click_pixel(*MANGANESE)
    screen.page.keyboard.press("l")
    screen.wait("document.querySelector('#plot').dataset.log === 'true'")
    assert screen.page.locator("#log").get_attribute("aria-pressed") == "true"
    screen.page.locator("#log").click()
    screen.wait("document.querySelector('#plot').dataset.log === 'false'")


def test_energy_readout_and_zoom(screen):
    screen.click_pixel(*MANGANESE)
    screen.curve("cursor")
    screen.page.mouse.move(*screen.energy(642.0))
    screen.wait("document.querySelector('#energy-value').textContent.includes('eV · raw')")
    ev = float(screen.text("#energy-value").split(" eV")[0])
    assert abs(ev - 642) < 0.5
    screen.drag(screen.energy(620), screen.energy(680))
    screen.wait("liveEels.panel.plot.u.scales.x.min > 615")
    np.testing.assert_allclose(screen.now("span"), [620, 680], atol=0.5)
    screen.page.locator("#plot .u-over").dblclick()
    screen.wait("liveEels.view.now.span === null")


def test_rectangle_gives_mean_and_band(screen, engine):
    screen.page.keyboard.press("r")
    screen.drag_pixels((17, 2), (20, 8))
    y, x = np.mgrid[17:21, 2:9]
    chosen = engine.cube[(y * 40 + x).ravel()]
    np.testing.assert_allclose(screen.curve("A"), chosen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(
        screen.curve("A", "error"), np.sqrt(chosen.mean(0) / len(chosen)), rtol=1e-5
    )
    assert "A: mean of 28 px" in screen.text("#caption")
    assert screen.js("() => liveEels.panel.plot.u.bands.length") == 1


def test_second_region_and_the_difference(screen):
    screen.page.keyboard.press("r")
    screen.drag_pixels((17, 2), (20, 8))
    screen.page.keyboard.press("e")
    assert screen.text("#roi-name") == "B"
    screen.drag_pixels((8, 10), (11, 14))
    screen.wait("document.querySelector('#plot').dataset.lines?.includes('A − B')")
    a, b = (np.array(screen.curve(name, "processed"), float) for name in "AB")
    lines = screen.js(
        "() => Array.from(liveEels.panel.lines().find((l) => l.label === 'A − B').values)"
    )
    np.testing.assert_allclose(np.array(lines, float), a - b, atol=1e-3)
    screen.page.mouse.move(5, 5)
    screen.page.keyboard.press("Delete")
    screen.wait("liveEels.panel.answers.size === 1")


def test_lasso_and_line(screen, engine):
    screen.page.keyboard.press("o")
    screen.drag_pixels((6, 9), (6, 15), (12, 15), (12, 9), (7, 9))
    screen.wait("liveEels.panel.answers.has('A')")
    inside = screen.js("() => liveEels.panel.answers.get('A').n")
    assert 20 < inside < 50
    screen.page.keyboard.press("i")
    screen.drag_pixels((4, 5), (4, 14))
    screen.wait("liveEels.panel.answers.get('A')?.n === 10")
    np.testing.assert_allclose(
        screen.curve("A"), engine.cube[4 * 40 + np.arange(5, 15)].mean(0), rtol=1e-5
    )


def test_region_of_a_cluster(screen, engine):
    screen.wait("document.querySelector('#legend tr') !== null")
    screen.page.get_by_role("button", name="Fe3+").click(modifiers=["Shift"])
    chosen = (engine.truth["label"] == 4) & engine.seen
    np.testing.assert_allclose(screen.curve("A"), engine.cube[chosen].mean(0), rtol=1e-5)


def test_pins_are_compared(screen, engine):
    screen.page.keyboard.press("n")
    screen.click_pixel(*IRON)
    screen.click_pixel(*MANGANESE)
    screen.wait("document.querySelector('#plot').dataset.lines?.includes('pin 2')")
    np.testing.assert_allclose(screen.curve("pin 0"), engine.cube[9 * 40 + 12], rtol=1e-6)
    screen.click_pixel(*IRON)  # once more: gone
    screen.wait("liveEels.view.now.pins.length === 1")


def windows(screen):
    return screen.now("fit"), screen.now("signal")


def test_windows_make_a_map_of_iron_only(screen, engine):
    screen.page.locator("#arm-fit").click()
    screen.drag(screen.energy(675), screen.energy(700))
    screen.page.locator("#arm-signal").click()
    screen.drag(screen.energy(703), screen.energy(735))
    screen.wait("liveEels.wall.windowMap !== null && document.body.dataset.window")
    fit, signal = windows(screen)
    screen.wait("s => document.body.dataset.window === JSON.stringify(s)", rounded(signal))
    np.testing.assert_allclose([*fit, *signal], [675, 700, 703, 735], atol=0.6)
    values = np.array(screen.js("() => Array.from(liveEels.wall.windowMap)"), dtype=float)
    expected = engine.window_map(tuple(signal), tuple(fit)).ravel()
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=0.1)
    seen = engine.seen
    iron = np.isin(engine.phase, (3, 4))
    assert np.median(values[seen & iron]) > 6 * abs(np.median(values[seen & ~iron]))
    # dragging a handle moves the window and the map follows
    before = screen.js("() => liveEels.wall.windowMap[0]")
    handle = screen.page.get_by_role("slider", name="Signal to, eV")
    box = handle.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + 20)
    screen.drag(middle, (middle[0] - 60, middle[1]))
    screen.wait("b => liveEels.wall.windowMap[0] !== b", before)
    assert screen.now("signal")[1] < 730
    handle.focus()
    last = screen.now("signal")[1]
    screen.page.keyboard.press("ArrowLeft")
    assert screen.now("signal")[1] == pytest.approx(last - 0.5)
    shown = f"{screen.now('signal')[1]:.1f}"
    name = "[aria-label='Signal to, eV']"
    screen.wait(
        "([n, v]) => document.querySelector(n).getAttribute('aria-valuenow') === v", [name, shown]
    )


def rounded(window):
    return [int(v * 10 + 0.5) / 10 for v in window]


def test_window_map_follows_new_pixels(screen, engine):
    screen.set(signal=[703, 735], fit=[675, 700])
    screen.wait("liveEels.wall.windowMap !== null")
    count = "() => liveEels.wall.windowMap.filter((v) => v === v).length"
    assert screen.js(count) == 22 * 40
    engine.advance(80)
    screen.wait("liveEels.wall.windowMap.filter((v) => v === v).length === 24 * 40")


def test_edges_by_name_and_near(screen):
    screen.page.locator("#edge").fill("fe l3")
    screen.page.keyboard.press("Enter")
    screen.wait("liveEels.view.now.signal !== null")
    fit, signal = windows(screen)
    assert fit[1] < 707 <= signal[1]
    assert signal[0] < 707
    screen.page.locator("#edge").fill("Xx")
    screen.page.keyboard.press("Enter")
    screen.wait("document.querySelector('#energy-value').textContent.includes('no edge is called')")
    screen.page.locator("#edge").fill("O K")
    screen.page.keyboard.press("Enter")
    screen.wait("document.querySelector('#energy-value').textContent.includes('not on this')")


def test_picker_names_what_is_near(screen):
    screen.click_pixel(*IRON)
    screen.curve("cursor")
    screen.page.mouse.click(*screen.energy(708))
    screen.wait("document.querySelectorAll('#near button').length > 0")
    assert abs(screen.now("marker") - 708) < 0.6
    names = screen.js(
        "() => [...document.querySelectorAll('#near button')].map(b => b.textContent)"
    )
    assert names[0].startswith("Fe L3")
    screen.page.locator("#near button").first.click()
    screen.wait("liveEels.view.now.fit !== null")


def test_slice_sweeps_through_energy(screen, engine):
    screen.page.keyboard.press("w")
    screen.wait("document.body.dataset.map === 'window'")
    seen = []
    for ev in (660, 690, 712):
        screen.page.mouse.move(*screen.energy(ev))
        screen.wait(
            "e => liveEels.view.now.signal && Math.abs((liveEels.view.now.signal[0]"
            " + liveEels.view.now.signal[1]) / 2 - e) < 1.5",
            ev,
        )
        screen.wait(
            "s => document.body.dataset.window === JSON.stringify(s)", rounded(screen.now("signal"))
        )
        seen.append(screen.js("i => liveEels.wall.windowMap[i]", 9 * 40 + 12))
    assert seen[2] > 5 * max(abs(seen[1]), 1)  # iron lights up at its edge
    screen.page.mouse.click(*screen.energy(712))
    screen.wait("document.querySelector('#slice').getAttribute('aria-pressed') === 'false'")
    before = screen.now("signal")
    screen.page.keyboard.press("]")
    assert screen.now("signal")[0] == pytest.approx(before[0] + 0.5, abs=0.01)


def test_a_window_off_the_axis_is_explained(screen):
    screen.set(signal=[100, 120])
    screen.wait("document.querySelector('#window-text').textContent.includes('not inside')")
    screen.page.locator("#windows-off").click()
    screen.wait("liveEels.wall.windowMap === null")


def test_reference_laid_over_the_signal(screen, engine):
    screen.click_pixel(*IRON)
    screen.curve("cursor")
    screen.page.get_by_label("overlay").select_option("cluster means/cluster 3")
    screen.wait("document.querySelector('#plot').dataset.lines?.includes('cluster means')")
    values = screen.js(
        "() => Array.from(liveEels.panel.lines().at(-1).values, (v) => v === v ? v : null)"
    )
    drawn = np.array([np.nan if v is None else v for v in values])
    window = engine.axis.window(*engine.window_ev)
    assert np.isnan(drawn[: window.start - 1]).all()
    assert np.isfinite(drawn[window.start + 1 : window.stop - 1]).all()


def test_a_reference_is_scaled_to_the_region_it_explains(screen, engine):
    screen.click_pixel(*IRON)
    screen.curve("cursor")
    signal = np.array(screen.curve("cursor", "signal"), float)
    likeness = {}
    for name in ("Fe3+", "Mn3+"):
        screen.page.get_by_label("overlay").select_option(f"references/{name}")
        screen.wait("n => document.querySelector('#plot').dataset.lines?.includes(n)", name)
        values = screen.js(
            "() => Array.from(liveEels.panel.lines().at(-1).values, (v) => v === v ? v : null)"
        )
        drawn = np.array([np.nan if v is None else v for v in values])
        both = np.isfinite(drawn) & np.isfinite(signal)
        likeness[name] = np.corrcoef(drawn[both], signal[both])[0, 1]
        if name == "Fe3+":
            best = signal[both] @ drawn[both] / (drawn[both] @ drawn[both])
            assert best == pytest.approx(1, abs=0.01)  # scaled by least squares
    assert likeness["Fe3+"] > likeness["Mn3+"] + 0.4  # one pixel is noisy


def test_deep_axis(served, open_screen, engine):
    """4096 channels and counts beyond ten thousand: labels whole, every channel there."""
    engine.axis = EnergyAxis(400.0, 0.1, 4096)
    engine.new_scan((6, 8))
    engine.cube *= 40
    engine.advance(48)
    screen = open_screen(served.url).shows(1)
    screen.click_pixel(2, 3)
    assert len(screen.curve("cursor")) == 4096
    screen.wait("liveEels.panel.plot.u?.axes[1]._size > 20")


def test_what_the_model_saw_as_typical_is_laid_where_the_edge_is(screen, engine):
    """The model finds the edge itself, and sees neither level nor slope: so does the page."""
    pixel = int(np.flatnonzero(engine.phase[: 22 * 40] == 1)[0])  # Mn3+, L3 at 642 eV
    screen.click_pixel(*divmod(pixel, 40))
    screen.curve("cursor")
    screen.page.get_by_label("overlay").select_option("Mn class means/Mn3+")
    screen.wait("document.querySelector('#plot').dataset.lines?.includes('class means')")
    drawn = screen.numbers("liveEels.panel.lines().at(-1).values")
    signal = screen.numbers("liveEels.panel.answers.get('cursor').curves.signal")
    both = np.isfinite(drawn) & np.isfinite(signal)
    energies = engine.axis.energies_ev
    assert abs(energies[np.nanargmax(drawn)] - 642.0) < 0.6  # the curve's own axis says 645
    assert np.ptp(energies[both]) > 20
    off = np.abs(drawn - signal)[both]
    assert np.median(off) < 3 * np.sqrt(np.median(screen.numbers(RAW)[both]))


def test_a_model_without_class_means(screen, engine):
    """Older cards have none."""
    engine.without_curves = {"Mn class means"}
    engine.publish()
    screen.shows(2)
    screen.wait("![...document.querySelector('#overlay').options].some("
                "(o) => o.value.startsWith('Mn class means'))")  # fmt: skip
    assert screen.js("() => liveEels.panel.lines().length") > 0


RAW = "liveEels.panel.answers.get('cursor').curves.raw"
