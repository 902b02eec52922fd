"""State of the scan: counters, alarms, freezing, losing the server and finding it again."""

import time

import pytest

from fake_engine import Served

pytestmark = pytest.mark.browser


def test_strip_says_how_far_and_how_old(screen, engine):
    assert screen.text("#state") == "scanning"
    assert "row 22/32" in screen.text("#progress-text")
    assert "left" in screen.text("#eta")
    assert screen.text("#scan-title") == "LSMO | Fe3O4"
    assert "32 × 40" in screen.text("#scan-shape")
    assert screen.text("#lag") == "85 ms"
    assert "1\u2009000 / 990" in screen.text("#rate")


def test_silence_counts_up_turns_red_and_says_stalled(screen, engine):
    engine.fed_s = time.monotonic() + 5
    screen.wait("document.querySelector('#age').dataset.level === 'good'")
    engine.fed_s -= 20
    engine.status_changes = {"state": "stalled"}
    screen.wait("document.body.dataset.state === 'stalled'")
    screen.wait("document.querySelector('#age').dataset.level === 'bad'")
    first = screen.js("() => liveEels.model.age()")
    screen.wait("a => liveEels.model.age() > a + 0.3", first)
    assert screen.js("() => document.body.dataset.stale") == "true"
    assert "Beam blanked" in screen.text("#advice")
    screen.wait("document.querySelector('#alarm').textContent.includes('No spectra')")


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("complete", "complete"),
        ("aborted", "aborted"),
        ("lost", "lost"),
        ("catching_up", "catching up"),
    ],
)
def test_ends(screen, engine, state, word):
    engine.finish(state)
    screen.wait("s => document.body.dataset.state === s", state)
    assert screen.text("#state") == word
    advice = {"aborted": "was stopped", "lost": "without saying so", "catching_up": "beam is done"}
    assert advice.get(state, "") in screen.text("#advice")
    if state != "catching_up":
        screen.wait("document.querySelector('#age').dataset.level === 'idle'")


def test_waiting_says_where_it_listens(served, open_screen):
    screen = open_screen(served.url)
    screen.wait("document.body.dataset.state === 'waiting'")
    assert "tcp://127.0.0.1:9999" in screen.text("#advice")
    assert "doctor" in screen.text("#advice")


def test_one_fault_one_alarm(screen, served, engine):
    engine.shift[:] = 0
    engine.truth["shift"] = engine.shift
    engine.advance(40, lose=(22 * 40 + 3,))
    engine.status_changes = {"alarms": ["1 messages were lost on the way"]}
    screen.shows(2)
    screen.wait("document.querySelector('#alarm').textContent.includes('lost on the way')")
    for _ in range(4):
        engine.advance(8)
    screen.shows(6)
    screen.page.locator("#tab-log").click()
    rows = screen.page.locator("#panel-log tr")
    losses = [t for t in rows.all_inner_texts() if "lost" in t]
    assert len(losses) == 1
    screen.page.locator("#alarm").get_by_role("button", name="seen").click()
    screen.wait("document.querySelector('#alarm').hidden")


def test_snoozed_alarm_comes_back(screen, engine):
    engine.truth["shift"] = engine.truth["shift"] * 0  # no jump
    engine.advance(40)
    engine.status_changes = {"saturated": 4}
    screen.wait("document.querySelector('#alarm').textContent.includes('saturated')")
    screen.page.locator("#alarm").get_by_role("button", name="snooze").click()
    screen.wait("document.querySelector('#alarm').hidden")
    screen.js(
        "() => { for (const k of liveEels.alarms.quiet.keys()) liveEels.alarms.quiet.set(k, 0) }"
    )
    screen.wait("!document.querySelector('#alarm').hidden")


def test_the_alarm_line_moves_nothing(screen, engine):
    before = screen.page.locator("main").bounding_box()
    engine.status_changes = {"recording_complete": False}
    screen.wait("document.querySelector('#alarm').textContent.includes('incomplete')")
    assert screen.page.locator("main").bounding_box() == before


def test_a_jump_of_the_energy_axis_is_marked_once(screen, engine):
    # the fake's shift steps by 0.5 eV at 0.6 of the scan, which has been passed
    screen.page.locator("#tab-drift").click()
    screen.wait("document.querySelector('#panel-drift .chart').dataset.jumps === '1'")
    jump = screen.js("() => liveEels.sides.drift.found.shift.jumps[0]")
    assert abs(jump["pixel"] - 0.6 * 32 * 40) < 12
    assert jump["by"] == pytest.approx(-0.5, abs=0.1)
    assert "jumps 1" in screen.text("#panel-drift p")


def test_the_zero_loss_peak_is_watched_in_position_and_width(screen, engine):
    screen.wait("document.querySelectorAll('#panel-drift .chart').length === 2")
    shift, width = "#panel-drift .chart", "#panel-drift .chart:nth-of-type(2)"
    screen.wait("s => document.querySelector(s)?.dataset.lines === 'width'", width)
    # without limits of the operator's: 2 eV about the beginning, and half as wide again
    low, high = screen.js("s => JSON.parse(document.querySelector(s).dataset.limits)", shift)
    assert high - low == pytest.approx(4.0, abs=0.02)
    assert float(screen.page.locator(width).get_attribute("data-limit")) == pytest.approx(1.2, 0.05)
    screen.page.locator("#tab-log").click()
    log = "document.querySelector('#panel-log').textContent"
    assert "eV wide" not in screen.text("#panel-log")
    screen.page.locator("#tab-drift").click()
    screen.page.get_by_label("width below").fill("0.7")
    screen.page.get_by_label("width below").press("Enter")
    screen.wait(f"{log}.includes('eV wide (limit 0.70 eV)')")
    assert "from where the scan began" not in screen.js(f"() => {log}")
    screen.page.get_by_label("shift within").fill("0.1")
    screen.page.get_by_label("shift within").press("Enter")
    screen.wait(f"{log}.includes('from where the scan began (limit 0.1 eV)')")
    screen.wait("location.search.includes('limits')")  # the limits are in the link, too


def test_earlier_scans_as_small_pictures(screen, engine):
    engine.finish()
    engine.new_scan((12, 20), title="the next")
    engine.advance(40)
    screen.page.locator("#tab-scans").click()
    screen.wait("document.querySelector('.scan canvas')?.dataset.painted === 'label'")
    colours = screen.js("""() => {
      const canvas = document.querySelector(".scan canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const found = new Set();
      for (let i = 0; i < data.length; i += 4) found.add(data.slice(i, i + 3).join());
      return [canvas.width, canvas.height, found.has("61,126,191"), found.has("34,34,34")];
    }""")
    assert colours == [40, 32, True, True]  # Mn3+, and what had not been scanned
    screen.page.locator(".scan[data-scan=scan-1]").click()
    screen.wait("liveEels.model.scan.id === 'scan-1'")
    screen.wait("document.querySelector('[data-scan=scan-1]').ariaPressed === 'true'")
    screen.page.locator(".scan[data-scan='']").click()
    screen.wait("liveEels.model.scan.id === 'scan-2'")


def test_freezing_holds_the_picture_not_the_counters(screen, engine):
    screen.page.locator("#big-map").focus()
    screen.page.keyboard.press("Space")
    screen.wait("document.body.dataset.frozen === 'true'")
    assert screen.page.locator("#frozen").is_visible()
    picture = screen.js("() => document.querySelector('#big-map').toDataURL()")
    engine.advance(80)
    screen.wait("document.body.dataset.analysed === '960'")
    assert screen.js("() => document.body.dataset.painted") == "1"
    assert screen.js("() => document.querySelector('#big-map').toDataURL()") == picture
    engine.advance(80)
    screen.page.keyboard.press("Space")
    screen.shows(3)
    screen.wait("liveEels.model.maps.get('counts').filter((v) => v === v).length === 26 * 40")


def test_reload_in_the_middle_shows_everything_at_once(screen, engine):
    screen.set(cursor=[3, 4], map="cluster", log=True)
    screen.wait("location.search.includes('cursor')")
    screen.page.reload()
    screen.shows(1)
    screen.wait("document.body.dataset.map === 'cluster'")
    assert screen.now("cursor") == [3, 4]
    assert screen.js("() => liveEels.model.maps.size") == len(engine.truth)
    screen.wait("document.body.dataset.control === 'true'")  # the token stayed with the tab
    assert "sesame" not in screen.js("() => location.href")


def test_server_dies_and_comes_back(engine, open_screen):
    engine.advance(200)
    server = Served(engine)
    port = server.viewer._port
    screen = open_screen(server.url).shows(1)
    server.close()
    screen.wait("document.body.dataset.state === 'disconnected'")
    assert "tries again" in screen.text("#advice")
    assert screen.js("() => document.body.dataset.stale") == "true"
    assert screen.page.locator("#age").get_attribute("data-level") == "bad"
    engine.new_scan((10, 12), title="after the restart")
    engine.advance(60)
    with Served(engine, port=port):
        screen.wait("document.body.dataset.state === 'scanning'")
        screen.wait("document.querySelector('#scan-title').textContent === 'after the restart'")
        screen.shows(2)
        screen.click_pixel(1, 1)
        screen.curve("cursor")


def test_a_new_scan_replaces_the_old_one(screen, engine):
    engine.new_scan((12, 20), title="the next")
    engine.advance(40)
    screen.shows(2)
    screen.wait("document.querySelector('#scan-title').textContent === 'the next'")
    assert screen.js("() => [liveEels.model.ny, liveEels.model.nx]") == [12, 20]
    screen.wait("document.querySelector('#legend-total').textContent === '40 px'")


def test_earlier_scans_of_the_session(screen, engine):
    engine.finish()
    engine.new_scan((12, 20), title="the next")
    engine.advance(40)
    screen.wait("document.querySelectorAll('#scans option').length === 2")
    screen.page.locator("#scans").select_option("scan-1")
    screen.wait("liveEels.model.scan.id === 'scan-1'")
    screen.wait("document.querySelector('#scan-title').textContent === 'LSMO | Fe3O4'")
    assert screen.text("#state") == "earlier scan"
    screen.page.locator("#scans").select_option("")
    screen.wait("liveEels.model.scan.id === 'scan-2'")


def test_hidden_page_asks_once_a_second(screen, engine):
    screen.js("""() => {
      Object.defineProperty(document, "hidden", {value: true, configurable: true});
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    screen.wait("document.hidden")
    start = time.monotonic()
    count = len(screen.sent)
    screen.js("() => new Promise((r) => setTimeout(r, 2200))")
    asked = len(screen.sent) - count
    assert asked <= 4 * (time.monotonic() - start)


def test_token_is_demanded_where_the_server_is_open_to_others(engine, open_screen):
    with Served(engine, host="0.0.0.0") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        engine.advance(40)
        open_screen(url).shows(1)
        stranger = open_screen(url.split("?")[0])
        stranger.wait("document.body.dataset.refused !== undefined")
        stranger.wait("document.querySelector('#advice').textContent.includes('token')")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recording": True, "disk_left_s": 240.0}, "room for 4 more minutes"),
        ({"state": "stalled"}, "No spectra are coming"),
        ({"saturated": 3}, "3 spectra hold saturated channels"),
        ({"missing_messages": 2}, "2 messages were lost on the way"),
        ({"recording_complete": False}, "recording is incomplete"),
        ({"alarms": ["analysis is 3.0 s behind"]}, "3.0 s behind"),
    ],
)
def test_each_rule_raises_its_alarm_once_and_with_sound_if_wanted(screen, engine, change, words):
    engine.truth["shift"] = engine.truth["shift"] * 0  # no jump
    engine.advance(40)
    screen.shows(2)
    screen.js(
        """() => {
          window.tones = 0;
          window.AudioContext = class {
            createGain() { return { gain: {}, connect: (to) => to }; }
            createOscillator() {
              const start = () => { tones += 1; };
              return { frequency: {}, connect: (to) => to, start, stop() {} };
            }
          };
        }"""
    )
    screen.page.locator("#tab-log").click()
    screen.page.get_by_role("button", name="sound").click()
    engine.status_changes = change
    screen.wait("w => document.querySelector('#alarm').textContent.includes(w)", words)
    engine.advance(8)
    screen.shows(3)
    screen.wait("at => liveEels.sideAt > at", screen.js("() => liveEels.sideAt"))
    texts = screen.page.locator("#panel-log tr").all_inner_texts()
    assert sum(words in text for text in texts) == 1
    assert screen.js("() => tones") == 1


def test_the_strip_has_losses_queue_and_room_on_the_disk(screen, engine):
    assert screen.text("#rec-room") == "rec · 2:00 h free"
    assert screen.text("#queue") == "10 %"
    engine.status_changes = {
        "missing_messages": 3, "late": 2, "duplicates": 1, "queue": {"record": 0.95}
    }  # fmt: skip
    screen.wait("document.querySelector('#lost').textContent === '3 · 2 · 1'")
    screen.wait("document.querySelector('#queue-box').dataset.level === 'bad'")
    assert screen.page.locator("#lost-box").get_attribute("data-level") == "bad"


def test_waiting_fills_the_map_with_what_to_do(served, open_screen, engine):
    screen = open_screen(served.url)
    screen.page.locator("#blank").wait_for(state="visible")
    screen.wait("document.querySelector('#blank').innerText.includes('tcp://127.0.0.1:9999')")
    assert screen.text("#blank").startswith("Waiting for a scan")
    assert "live-eels doctor" in screen.text("#blank")
    engine.advance(40)
    screen.wait("document.querySelector('#blank').hidden")


def test_the_newest_scan_s_counters_are_not_told_of_an_earlier_one(screen, engine, served):
    engine.finish()
    engine.new_scan((12, 20), passes=3, title="the next")
    engine.advance(240)
    served.viewer.trend.add(engine.status())
    engine.advance(240)
    served.viewer.trend.add(engine.status())
    screen.page.locator("#tab-dose").click()
    screen.wait("document.querySelector('#panel-dose table').dataset.passes === '2'")
    assert "dead channels 3" in screen.text("#panel-dose p")
    screen.page.locator("#scans").select_option("scan-1")
    screen.wait("liveEels.model.scan.id === 'scan-1'")
    screen.wait("document.querySelector('#panel-dose p').textContent.includes('newest scan')")
    assert screen.page.locator("#panel-dose table").is_hidden()
    assert "dead channels" not in screen.text("#panel-dose p")
    assert screen.text("#progress-text") == "complete"  # as the history has it
    assert screen.text("#eta") == ""
    screen.page.locator("#tab-drift").click()
    screen.wait("document.querySelector('#panel-drift p').textContent.includes('jumps 1')")
    assert "no peak" not in screen.text("#panel-drift p")
    screen.page.locator("#scans").select_option("")
    screen.wait("document.querySelector('#panel-drift p').textContent.includes('no peak')")


def test_one_position_has_its_drift_against_time(screen, engine, served):
    """Setting up: is the zero-loss peak still, before a scan begins? Nothing of earlier scans."""
    screen.page.locator("#tab-drift").click()
    shift = "#panel-drift .chart"
    screen.wait("s => document.querySelector(s).dataset.lines === 'shift'", shift)
    assert screen.page.locator(shift).first.is_visible()
    engine.new_scan((), passes=60, title="live view")
    engine.advance(1)
    screen.wait("document.querySelector('#scan-title').textContent === 'live view'")
    screen.wait("s => document.querySelector(s).offsetParent === null", shift)
    assert screen.text("#caption").startswith("one position")
    for n in range(12):
        ev = 0.1 + (0.6 if n > 7 else 0.0)
        engine.status_changes = {"elapsed_s": 2.0 * n, "zlp_ev": ev, "visits": n + 2}
        served.viewer.trend.add(engine.status())
    engine.advance(1)
    found = "liveEels.sides.drift.found"
    screen.wait(f"{found}?.shift.ev.length >= 12")
    times = screen.js(f"() => {found}.shift.pixel")
    assert set(times) >= {2.0 * n for n in range(12)}
    screen.wait("s => document.querySelector(s).offsetParent !== null", shift)
    assert screen.js(f"() => {found}.shift.jumps.map((j) => j.by)") == [pytest.approx(0.6)]
    screen.wait("document.querySelector('#alarm').textContent.includes('eV after 16 s')")
