"""Numbers for Prometheus, read back by its own parser."""

from __future__ import annotations

import msgspec
from prometheus_client.parser import text_string_to_metric_families as parse

from live_eels.control import StageTime, Status
from live_eels.io.metrics import COUNTERS, GAUGES, exposition


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
