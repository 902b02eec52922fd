"""Numbers for Prometheus, read back by its own parser."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families as parse

from fake_engine import FakeEngine
from live_eels.control import StageTime, Status
from live_eels.io.metrics import COUNTERS, GAUGES, exposition
from live_eels.io.viewer import Viewer


async def fetched(engine: FakeEngine, path: str, **options: Any) -> tuple[int, str, str]:
    """Status, content type and text of an answer of the page's server."""
    viewer = Viewer(engine, port=0, token="sesame", **options)
    url = (await viewer.start()).split("?")[0].replace("0.0.0.0", "127.0.0.1")
    try:
        async with aiohttp.ClientSession() as client, client.get(url + path) as reply:
            return reply.status, reply.headers["Content-Type"], await reply.text()
    finally:
        await viewer.stop()


def read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


STATUS = Status(
    state="scanning",
    version="1.0",
    spectra_per_s=20_000.5,
    analysed_per_s=19_999.0,
    gaps=3,
    missing_messages=5,
    shed=7,
    messages=1234,
    wire_errors=2,
    age_s=0.25,
    lag_ms=12.0,
    lag_p95_ms=40.0,
    queue={"record": 0.5, "analyse": 0.25},
    stages=[StageTime(stage="preprocess", us_per_spectrum=9.5, share=0.4)],
    faults={'header: a "quoted" \\ fault\nof two lines': 2},
    model="mn-fe",
    recording_complete=False,
)


def test_prometheus_reads_what_the_status_says() -> None:
    found = read(exposition(STATUS, pages=4))
    assert found["live_eels_spectra_per_second", ()] == 20_000.5
    assert found["live_eels_scan_gaps", ()] == 3
    assert found["live_eels_scan_messages_missing", ()] == 5
    assert found["live_eels_scan_pixels_shed", ()] == 7
    assert found["live_eels_messages_total", ()] == 1234
    assert found["live_eels_messages_unreadable_total", ()] == 2
    assert found["live_eels_age_seconds", ()] == 0.25
    assert found["live_eels_lag_seconds", (("quantile", "0.5"),)] == 0.012
    assert found["live_eels_lag_seconds", (("quantile", "0.95"),)] == 0.04
    assert found["live_eels_queue_fill_ratio", (("queue", "record"),)] == 0.5
    stage = found["live_eels_stage_seconds_per_spectrum", (("stage", "preprocess"),)]
    assert abs(stage - 9.5e-6) < 1e-12
    assert found["live_eels_pages", ()] == 4
    assert found["live_eels_recording_complete", ()] == 0
    assert found["live_eels_state", (("state", "scanning"),)] == 1
    assert found["live_eels_state", (("state", "stalled"),)] == 0
    fault = 'header: a "quoted" \\ fault\nof two lines'
    assert found["live_eels_faults_total", (("fault", fault),)] == 2
    assert found["live_eels_info", (("model", "mn-fe"), ("version", "1.0"))] == 1


def test_what_is_not_known_is_not_told() -> None:
    found = read(exposition(Status(state="waiting", version="")))
    names = {name for name, _ in found}
    assert not names & {"live_eels_lag_seconds", "live_eels_age_seconds"}
    assert found["live_eels_state", (("state", "waiting"),)] == 1


def test_every_name_is_a_field_and_every_family_says_its_type() -> None:
    fields = {field.name for field in msgspec.structs.fields(Status)}
    assert {field for _, field, _ in (*GAUGES, *COUNTERS)} <= fields
    families = list(parse(exposition(STATUS)))
    assert all(family.documentation for family in families)
    assert {family.type for family in families} == {"gauge", "counter"}


def test_the_page_s_server_has_them_where_it_is_told_to() -> None:
    engine = FakeEngine((4, 5))
    engine.advance(7)

    async def go() -> None:
        status, kind, text = await fetched(engine, "metrics", metrics=True)
        assert (status, kind.split(";")[0]) == (200, "text/plain")
        assert read(text)["live_eels_scan_visits", ()] == 7
        assert (await fetched(engine, "metrics", metrics=False))[0] == 404
        # open to others than this computer: with the token only
        assert (await fetched(engine, "metrics", metrics=True, host="0.0.0.0"))[0] == 403
        told = await fetched(engine, "metrics?token=sesame", metrics=True, host="0.0.0.0")
        assert told[0] == 200

    asyncio.run(go())
