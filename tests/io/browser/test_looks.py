"""What is shown is readable: whole, in its colours, with its names."""

import numpy as np
import pytest

pytestmark = pytest.mark.browser

COMPARED = {
    "pins": [[9, 12], [18, 4]],
    "rois": {
        "A": {"shape": "rectangle", "corners": [[17, 2], [20, 8]]},
        "B": {"shape": "rectangle", "corners": [[8, 10], [11, 14]]},
    },
}


def luminance(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_compared_curves_are_named_beside_the_plot(screen):
    screen.set(cursor=[5, 5], **COMPARED)
    screen.wait("document.querySelectorAll('#compared li').length === 5")
    names = screen.js(
        "() => [...document.querySelectorAll('#compared li')].map((l) => l.innerText)"
    )
    assert names == ["region A", "region B", "A − B", "pin 1", "pin 2"]
    strokes = dict(
        screen.js("() => liveEels.panel.plot.u.series.slice(1).map((s) => [s.label, s._stroke])")
    )
    swatches = screen.js(
        """() => [...document.querySelectorAll('#compared li')]
             .map((l) => l.style.getPropertyValue("--swatch"))"""
    )
    assert [strokes[name] for name in names] == swatches
    screen.set(pins=[], rois={})
    screen.wait("document.querySelectorAll('#compared li').length === 0")


def test_regions_and_pins_follow_the_buttons_of_the_curves(screen):
    screen.set(cursor=[5, 5], **COMPARED)
    screen.wait("liveEels.panel.answers.size === 5")

    def drawn(label):
        return screen.numbers(f"liveEels.panel.lines().find((l) => l.label === '{label}').values")

    def answered(slot, curve):
        return screen.numbers(f"liveEels.panel.answers.get('{slot}').curves.{curve}")

    for traces, curve in (
        (["raw", "processed"], "processed"),
        (["signal"], "signal"),
        (["raw"], "raw"),
        ([], "processed"),
    ):
        screen.set(traces=traces)
        np.testing.assert_array_equal(drawn("pin 1"), answered("pin 0", curve))
        assert screen.settle().js("() => Number.isFinite(liveEels.panel.plot.u.scales.y.max)")
        difference = answered("A", curve) - answered("B", curve)
        np.testing.assert_allclose(drawn("A − B"), difference, atol=1e-3)


def test_lines_stand_out_on_paper(screen):
    """3 to 1 against white, as WCAG wants of what one has to see."""
    screen.set(theme="light", cursor=[5, 5], overlays=["references/Fe3+"], **COMPARED)
    screen.set(pins=[[9, 12], [18, 4], [2, 3], [4, 5], [6, 7], [8, 9]])
    screen.wait("document.querySelectorAll('#compared li').length === 10")
    strokes = screen.js(
        "() => liveEels.panel.plot.u.series.slice(1).map((s) => s._stroke)"
        ".filter((s) => s !== 'transparent')"
    )
    assert len(strokes) == 14
    low = [s for s in strokes if 1.05 / (luminance(s) + 0.05) < 3]
    assert low == []


def test_names_of_edges_stand_beside_their_lines(screen):
    """The plot's own axes leave text aligned as they need it."""
    screen.wait("document.querySelector('#plot').dataset.lines?.includes('raw')")
    screen.js(
        """() => {
          const { plot } = liveEels.panel;
          window.told = [];
          const pen = plot.u.ctx, write = pen.fillText.bind(pen);
          pen.fillText = (text, x, y) => {
            told.push([text, x, pen.textAlign]);
            write(text, x, y);
          };
          plot.u.redraw();
        }"""
    )
    screen.wait("told.some(([t]) => t === 'Mn L3')")
    name = next(t for t in screen.js("() => told") if t[0] == "Mn L3")
    line = screen.js("() => liveEels.panel.plot.u.valToPos(638.7, 'x', true)")
    assert name[2] == "left"
    assert 0 < name[1] - line < 12


@pytest.mark.parametrize("tab", ["drift", "clusters", "pca", "dose"])
def test_charts_beside_the_maps_are_seen_whole(served, open_screen, engine, tab):
    engine.advance(880)
    query = f"tab={tab}&signal=[703,735]&fit=[675,700]"
    screen = open_screen(served.url, query, viewport={"width": 1280, "height": 800}).shows(1)
    screen.wait("liveEels.asks.snr.length === 1")
    engine.advance(40)
    screen.wait("liveEels.asks.snr.length > 1")
    screen.wait("t => document.querySelector(`#panel-${t} .uplot`) !== null", tab)
    screen.settle()
    charts = screen.js(
        """(tab) => {
          const side = document.querySelector("#side").getBoundingClientRect();
          return [...document.querySelectorAll(`#panel-${tab} .chart`)]
            .filter((c) => c.offsetParent)
            .map((c) => c.getBoundingClientRect())
            .map((r) => [r.height, side.bottom - r.bottom]);
        }""",
        tab,
    )
    assert charts
    assert all(height >= 80 and room >= 0 for height, room in charts), charts


def test_rare_events_are_seen_and_their_absence_is_the_lowest_colour(screen):
    limits = screen.js(
        """async () => {
          const { robustLimits } = await import("./colour.js");
          const spec = { name: "spikes", kind: "intensity", limits: null };
          const rare = new Float32Array(1280);
          rare[45] = rare[300] = 3;
          return [robustLimits(rare, spec, 1), robustLimits(new Float32Array(9), spec, 1)];
        }"""
    )
    assert limits == [[0, 3], [0, 1]]


def test_the_cursor_is_a_line_in_the_drift_traces(screen):
    screen.page.locator("#tab-drift").click()
    screen.wait("document.querySelectorAll('#panel-drift .uplot').length === 2")
    marked = "[...document.querySelectorAll('#panel-drift .uplot')].map((u) => u.dataset.cursor)"
    screen.set(cursor=[8, 20])
    screen.wait(f"String({marked}) === '340,340'")
    screen.page.locator("#big-map").focus()
    screen.page.keyboard.press("ArrowDown")
    screen.wait(f"String({marked}) === '380,380'")
    at_once = f"""async () => {{
      liveEels.view.set({{ cursor: [1, 2] }});
      await new Promise(requestAnimationFrame);
      return String({marked});
    }}"""
    assert screen.js(at_once) == "42,42"
    screen.page.keyboard.press("Escape")
    screen.wait(f"String({marked}) === ','")


def test_labels_lie_over_the_counts_as_thick_as_wanted(screen, engine):
    engine.truth["label"][:] = 1
    engine.advance(40)
    screen.shows(2)
    screen.set(cursor=[0, 0])
    seen = []
    for opacity in ("1", "0.5", "0"):
        screen.page.locator("#opacity").fill(opacity)
        screen.settle()
        seen.append(screen.probe(10, 28))
    assert seen[0] == [61, 126, 191]  # Mn3+, nothing of the counts
    assert max(seen[2]) - min(seen[2]) == 0  # counts alone are grey
    np.testing.assert_allclose(seen[1], (np.array(seen[0]) + seen[2]) / 2, atol=2)


def test_clusters_have_no_column_for_confidence(screen):
    screen.wait("document.querySelector('#legend td:nth-child(4)')?.offsetParent")
    screen.set(map="cluster")
    screen.wait("document.querySelector('#legend-name').textContent === 'cluster'")
    screen.wait("document.querySelector('#legend td:nth-child(4)')?.offsetParent === null")
