"""The engine's numbers as Prometheus reads them: plain text, scraped from ``/metrics``.

Lives here: names, units and the text format (version 0.0.4). Numbers come from the status
alone, so scraping costs what a page costs and touches no other thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from live_eels.control import Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STATES = (
    "waiting", "scanning", "stalled", "catching_up", "complete", "aborted", "lost", "stopped",
)  # fmt: skip

GAUGES: tuple[tuple[str, str, str], ...] = (
    ("spectra_per_second", "spectra_per_s", "Spectra received per second"),
    ("analysed_spectra_per_second", "analysed_per_s", "Spectra analysed per second"),
    ("scan_pixels", "pixels_total", "Pixels of the scan"),
    ("scan_pixels_received", "pixels_received", "Pixels of the scan that came"),
    ("scan_pixels_analysed", "pixels_analysed", "Pixel visits of the scan that were analysed"),
    ("scan_pixels_lost", "pixels_lost", "Pixels of the scan that were sent and never came"),
    ("scan_visits", "visits", "Spectra of the scan that came"),
    ("scan_messages_missing", "missing_messages", "Messages of the scan that never came (yet)"),
    ("scan_gaps", "gaps", "Jumps of the sequence number in this scan"),
    ("scan_messages_late", "late", "Messages of the scan that came out of order"),
    ("scan_messages_doubled", "duplicates", "Messages of the scan that came twice: dropped"),
    ("scan_spectra_orphaned", "orphans", "Spectra dropped for want of an announced scan"),
    ("scan_pixels_unpaired", "unpaired", "Pixels without their low loss or core loss"),
    ("scan_pixels_shed", "shed", "Pixels put off because the analysis was busy"),
    ("scan_pixels_owed", "owed", "Pixels that are still to be analysed"),
    ("scan_saturated_spectra", "saturated", "Spectra with a saturated channel"),
    ("scan_no_zlp_spectra", "no_zlp", "Spectra without a zero-loss peak"),
    ("dead_channels", "dead_channels", "Channels that are bridged in every spectrum"),
    ("recording_bytes", "recording_bytes", "Size of the recording"),
    ("recording_complete", "recording_complete", "1 while nothing is missing in the recording"),
    ("controllers", "controllers", "Control software that hears events"),
)

COUNTERS: tuple[tuple[str, str, str], ...] = (
    ("messages", "messages", "Messages received since the start"),
    ("messages_unreadable", "wire_errors", "Messages that could not be read since the start"),
)

SECONDS: tuple[tuple[str, str, str], ...] = (
    ("age_seconds", "age_s", "Now minus the time the beam stood on the newest pixel"),
    ("disk_left_seconds", "disk_left_s", "Seconds of beam for which the disk has room"),
    ("scan_time_left_seconds", "eta_s", "Time until the scan is over"),
)


def exposition(status: Status, pages: int = 0) -> str:
    """Write the status in Prometheus' text format.

    Parameters
    ----------
    pages
        How many pages are open.
    """
    lines = [*_one("pages", "gauge", "Pages that are open", pages)]
    state = [({"state": name}, float(status.state == name)) for name in STATES]
    lines += _many("state", "gauge", "1 for the state the engine is in", state)
    for name, field, text in GAUGES:
        lines += _one(name, "gauge", text, getattr(status, field))
    for name, field, text in COUNTERS:
        lines += _one(f"{name}_total", "counter", text, getattr(status, field))
    for name, field, text in SECONDS:
        value = getattr(status, field)
        if value is not None:  # what is not known is not told, rather than told as 0
            lines += _one(name, "gauge", text, value)
    lags = [("0.5", status.lag_ms), ("0.95", status.lag_p95_ms)]
    known = [({"quantile": q}, lag / 1000) for q, lag in lags if lag is not None]
    lines += _many("lag_seconds", "gauge", "From arrival to the end of the analysis", known)
    queues = [({"queue": name}, fill) for name, fill in status.queue.items()]
    lines += _many("queue_fill_ratio", "gauge", "How full a queue is, 0 to 1", queues)
    stages = [({"stage": s.stage}, 1e-6 * s.us_per_spectrum) for s in status.stages]
    lines += _many("stage_seconds_per_spectrum", "gauge", "Time of a stage for a spectrum", stages)
    faults = [({"fault": name}, float(n)) for name, n in status.faults.items()]
    lines += _many("faults_total", "counter", "Unreadable messages by what was wrong", faults)
    info = [({"version": status.version, "model": status.model}, 1.0)]
    lines += _many("info", "gauge", "Version and model in use", info)
    return "\n".join(lines) + "\n"


def _one(name: str, kind: str, text: str, value: float) -> Iterator[str]:
    return _many(name, kind, text, [({}, value)])


def _many(
    name: str, kind: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    """A family: its meaning, then one line for each set of labels; nothing without samples."""
    samples = list(samples)
    if not samples:
        return
    yield f"# HELP live_eels_{name} {text}"
    yield f"# TYPE live_eels_{name} {kind}"
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
        yield f"live_eels_{name}{'{' + inside + '}' if inside else ''} {float(value)!r}"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
