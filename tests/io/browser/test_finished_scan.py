"""Every tool of the page on one finished scan of the real engine, beside the simulator's truth."""

import msgspec
import numpy as np
import pytest
from live_eels.simulators.acquire import Acquisition
from live_eels.simulators.scene import load_scene

from fake_engine import Served
from live_eels import wire
from running_engine import running, settings, wait_for

pytestmark = pytest.mark.browser
NY, NX = 24, 28


class Scan:
    """What the simulator made and sent, and the page's address."""

    def __init__(self, acquisition, messages, served):
        self.truth, self.specs = acquisition.truth.maps, acquisition.truth.specs
        self.served, self.engine = served, served.engine
        self.axis = acquisition.scan.core.axis
        self.counts = np.empty((NY * NX, self.axis.size), np.float32)
        for message in messages:
            if getattr(message, "signal", "") == "core":
                self.counts[message.pixels] = message.counts

    def pixels(self, values):
        return np.asarray(values, float).reshape(NY, NX)

    def iron(self):
        """True share of iron, ``(y, x)``."""
        shares = [values for name, values in self.truth.items() if name.startswith("fraction_Fe")]
        return np.nan_to_num(sum(shares))


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    scene = load_scene("core_shell")
    step_nm = scene.scan.step_nm * scene.scan.shape[1] / NX
    small = msgspec.structs.replace(scene.scan, shape=(NY, NX), step_nm=step_nm)
    acquisition = Acquisition(msgspec.structs.replace(scene, scan=small), seed=5)
    messages = list(acquisition.messages(chunk=NX))
    folder = tmp_path_factory.mktemp("finished")
    with (
        running(settings(f"ipc://{folder}/s", folder)) as (engine, socket),
        Served(engine) as served,
    ):
        for message in messages:
            socket.send_multipart(wire.encode(message))
        wait_for(lambda: engine.status().state == "complete", "the scan")
        yield Scan(acquisition, messages, served)


@pytest.fixture
def page(scan, open_screen):
    return open_screen(scan.served.url).shows(1)


def map_of(screen, name):
    screen.wait("n => liveEels.model.maps.has(n)", name)
    return screen.numbers(f"liveEels.model.maps.get({name!r})").reshape(NY, NX)


def lines(of):
    """What is drawn in a chart, as an expression."""
    return f"document.querySelector('{of}')?.dataset.lines"


def test_maps_are_the_engine_s(scan, page):
    here = scan.engine.snapshot()
    assert page.js("() => [...liveEels.model.maps.keys()].sort()") == sorted(here.maps)
    for name in ("label", "counts", "valence", "PCA residual", "ZLP fwhm"):
        np.testing.assert_allclose(map_of(page, name), here.maps[name], rtol=1e-6, err_msg=name)


def test_labels_and_legend_beside_the_truth(scan, page):
    page.wait(f"document.querySelector('#legend-total').dataset.total === '{NY * NX}'")
    counts = dict(zip(page.legend("r.dataset.class"), page.legend("+r.dataset.count"), strict=True))
    label, truth = map_of(page, "label"), scan.truth["label"]
    classes = page.js("() => liveEels.model.specs.get('label').classes")
    of_truth = np.array([classes.index(name) for name in scan.specs["label"].classes])
    pure = np.max([v for n, v in scan.truth.items() if n.startswith("fraction_")], axis=0) > 0.95
    right = label[pure] == of_truth[np.nan_to_num(truth[pure]).astype(int)]
    assert right.mean() > 0.8
    for index, name in enumerate(classes):
        assert counts[name] == int((label == index).sum())


def test_mean_and_error_of_a_rectangle_and_a_lasso(scan, page):
    page.set(rois={"A": {"shape": "rectangle", "corners": [[2, 3], [6, 9]]}})
    inside = np.zeros((NY, NX), bool)
    inside[2:7, 3:10] = True
    rows = scan.counts[inside.ravel()]
    np.testing.assert_allclose(page.curve("A"), rows.mean(0), rtol=1e-4)
    error = rows.std(0, ddof=1) / len(rows) ** 0.5
    np.testing.assert_allclose(page.curve("A", "error"), error, rtol=1e-3)
    page.page.locator("[data-tool=lasso]").click()
    page.js("() => liveEels.view.set({ rois: {} })")
    page.drag_pixels((9.4, 9.4), (9.4, 14.6), (14.6, 14.6), (14.6, 9.4), (9.5, 9.4))
    page.wait("liveEels.view.now.rois.A?.shape === 'polygon'")
    region = page.now("rois")["A"]
    assert len(region["points"]) >= 4
    page.wait("liveEels.panel.answers.get('A')?.n === 25")
    inside[:] = False
    inside[10:15, 10:15] = True
    np.testing.assert_allclose(page.curve("A"), scan.counts[inside.ravel()].mean(0), rtol=1e-4)


def test_pins_are_the_spectra_that_were_sent(scan, page):
    page.page.locator("[data-tool=pin]").click()
    for y, x in ((3, 4), (12, 20)):
        page.click_pixel(y, x)
    assert page.now("pins") == [[3, 4], [12, 20]]
    for number, pixel in enumerate((3 * NX + 4, 12 * NX + 20)):
        np.testing.assert_allclose(page.curve(f"pin {number}"), scan.counts[pixel], rtol=1e-6)
    page.wait("document.querySelector('#plot').dataset.lines.includes('pin 2')")


def test_a_slice_swept_through_energy_finds_iron(scan, page):
    page.page.locator("#slice").click()
    page.page.mouse.move(*page.energy(690))
    page.page.mouse.move(*page.energy(711))
    page.wait("Math.abs(JSON.parse(document.body.dataset.window ?? '[0]')[0] - 706) < 1.5")
    page.wait("!liveEels.asks.windowBusy")
    values = scan.pixels(page.numbers("liveEels.wall.windowMap"))
    iron = scan.iron()
    assert np.median(values[iron > 0.9]) > 5 * abs(np.median(values[iron < 0.05]))
    assert page.js("() => document.body.dataset.map") == "window"
    page.page.mouse.click(*page.energy(711))  # the picker: what is near
    page.wait("document.querySelector('#near').textContent.includes('Fe L3')")


def test_clusters_components_and_residual(scan, page):
    status = scan.engine.status()
    page.page.locator("#tab-clusters").click()
    page.wait(f"{lines('#panel-clusters .chart')}?.includes('cluster 1')")
    assert f"{status.clusters} clusters" in page.text("#panel-clusters p")
    page.page.locator("#tab-pca").click()
    elbow = "document.querySelector('#panel-pca .chart').dataset.elbow"
    page.wait(f"{elbow} === '{status.components}'")
    scree = page.numbers("liveEels.model.scree")
    np.testing.assert_allclose(scree, scan.engine.snapshot().scree, rtol=1e-5)
    page.page.get_by_role("button", name="residual map").click()
    page.wait("document.body.dataset.map === 'PCA residual'")
    assert 0.5 < np.nanmedian(map_of(page, "PCA residual")) < 3  # noise alone is 1


def test_a_shipped_reference_lies_on_the_measured_edge(scan, page):
    y, x = np.unravel_index(np.argmax(np.nan_to_num(scan.truth["fraction_Fe3+"])), (NY, NX))
    low, high = [max(int(y) - 1, 0), max(int(x) - 1, 0)], [int(y) + 1, int(x) + 1]
    page.set(rois={"A": {"shape": "rectangle", "corners": [low, high]}})
    signal = np.array(page.curve("A", "signal"), float)
    likeness = {}
    for name in ("Fe3+", "Mn2+"):
        page.page.get_by_label("overlay").select_option(f"references/{name}")
        page.wait(f"{lines('#plot')}?.includes('references {name}')")
        drawn = page.numbers("liveEels.panel.lines().at(-1).values")
        both = np.isfinite(drawn) & np.isfinite(signal)
        likeness[name] = np.corrcoef(drawn[both], signal[both])[0, 1]
    assert likeness["Fe3+"] > max(0.6, likeness["Mn2+"] + 0.4)


def test_zero_loss_peak_quality_and_channels(scan, page):
    page.page.locator("#tab-drift").click()
    page.wait(f"{lines('#panel-drift .chart:nth-of-type(2)')} === 'width'")
    width = scan.engine.snapshot().maps["ZLP fwhm"]
    limit = float(page.page.locator("#panel-drift .chart").nth(1).get_attribute("data-limit"))
    assert limit == pytest.approx(1.5 * float(np.median(width.ravel()[:60])), rel=0.05)
    page.set(map="flags")
    page.wait("document.querySelector('#legend-name').textContent === 'flags'")
    flags = scan.engine.snapshot().maps["flags"]
    counts = dict(zip(page.legend("r.dataset.class"), page.legend("+r.dataset.count"), strict=True))
    assert counts["good"] == int((flags == 0).sum())
    assert counts["spikes"] == int((flags == 1).sum())
    page.page.locator("#tab-dose").click()
    page.wait("document.querySelector('#panel-dose').textContent.includes('dead channels')")
    dead = scan.engine.status().dead_channels
    assert f"dead channels {dead} " in page.text("#panel-dose p") + " "


def test_three_maps_as_colours_and_a_ratio(scan, page):
    page.set(rgb=["loading 1", "loading 2", "counts"], map="rgb")
    page.wait("document.body.dataset.map === 'rgb'")
    page.settle()
    assert len(page.patch(3, 4) + page.patch(12, 20) + page.patch(22, 2)) > 1
    page.set(rgb=[], ratio=["valence", "counts"], map="ratio")
    page.wait("document.body.dataset.map === 'ratio'")
    quotient = scan.pixels(page.numbers("liveEels.wall.quotient"))
    maps = scan.engine.snapshot().maps
    there = np.isfinite(quotient)
    expected = (maps["valence"] / maps["counts"])[there]
    np.testing.assert_allclose(quotient[there], expected, rtol=1e-4)


@pytest.mark.parametrize("what", ["png", "svg", "csv", "report", "recording"])
def test_what_is_taken_away(scan, page, tmp_path, what):
    page.click_pixel(3, 4)
    page.curve("cursor")
    page.wait("liveEels.model.history.some((h) => h.path)")
    page.page.locator("#export").click()
    with page.page.expect_download() as download:
        page.page.locator(f"[data-export={what}]").click()
    path = tmp_path / what
    download.value.save_as(path)
    data = path.read_bytes()
    if what == "recording":
        assert data == scan.engine.current.path.read_bytes()
        return
    begins = {"png": b"\x89PNG", "svg": b"<svg", "csv": b"# Manganese", "report": b"<!doctype"}
    assert data.startswith(begins[what])
    if what == "csv":
        table = np.genfromtxt(path, delimiter=",", names=True, skip_header=2)
        np.testing.assert_allclose(table["raw"], scan.counts[3 * NX + 4], rtol=1e-5)
    if what == "report":
        assert b"Fe3+" in data
        assert b"http" not in data.replace(b"http://www.w3.org/2000/svg", b"")


def test_another_model_is_taken_while_it_runs(scan, page):
    page.page.locator("#tab-control").click()
    panel = page.page.locator("#panel-control")
    page.wait("document.querySelector('.card')?.textContent.includes('on this energy axis')")
    before = scan.engine.status().model
    other = "mn-fe-linear-svm" if before != "mn-fe-linear-svm" else "mn-fe-dense"
    panel.get_by_label("model").fill(other)
    page.wait("document.querySelector('.card').textContent.includes('trained on')")
    panel.get_by_role("button", name="use").click()
    page.wait("document.querySelector('#said').dataset.reply === 'ok'")
    wait_for(lambda: scan.engine.status().model == other, "the other model")
    wait_for(lambda: scan.engine.status().state == "complete", "the labels")
    panel.get_by_label("model").fill(before)
    panel.get_by_role("button", name="use").click()
    wait_for(lambda: scan.engine.status().model == before, "the first model again")
    wait_for(lambda: scan.engine.status().state == "complete", "its labels")


def test_a_window_kept_becomes_a_map_for_everybody(scan, page, open_screen):
    page.set(signal=[704, 730], fit=[680, 700])
    page.page.locator("#window-keep").click()
    page.wait("document.querySelector('#said').dataset.reply === 'ok'")
    name = "704.0-730.0 eV"
    other = open_screen(scan.served.url)
    other.wait("n => liveEels.model.maps.get(n)?.every((v) => v === v)", name)
    values, iron = map_of(other, name), scan.iron()
    assert np.median(values[iron > 0.9]) > 5 * abs(np.median(values[iron < 0.05]))
