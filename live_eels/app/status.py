"""The engine's status: numbers from every thread, rates and alarms, at one moment.

Reads only; may be called from any thread and must return at once.
"""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from live_eels import __version__
from live_eels.app.session import Session
from live_eels.control import StageTime, Status
from live_eels.spectra import QUALITY_FLAGS, MapSnapshot

if TYPE_CHECKING:
    from live_eels.app.engine import Engine
    from live_eels.pipeline import Pipeline

RATE_OVER_S = 2.0
ALARM_LAG_S = 1.0
MAX_RUNS = 1024


class _Rate:
    """Counts per second over the last ``RATE_OVER_S`` seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def of(self, now_s: float, count: int) -> float:
        points = self._points
        if points and count < points[-1][1]:
            points.clear()  # the next scan began
        points.append((now_s, count))
        while len(points) > 2 and points[1][0] < now_s - RATE_OVER_S:
            points.popleft()
        elapsed = now_s - points[0][0]
        return (count - points[0][1]) / elapsed if elapsed > 0 else 0.0


class StatusMaker:
    """Makes the status of an engine.

    Parameters
    ----------
    engine
        The engine; only read.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._received, self._analysed = _Rate(), _Rate()
        self._lock = threading.Lock()
        self._fractions: tuple[MapSnapshot | None, dict[str, float], dict[str, int]] = (
            None, {}, {},
        )  # fmt: skip
        self._disk: tuple[float, int] = (-math.inf, 0)

    def make(self) -> Status:
        """Collect everything."""
        with self._lock:
            return self._make(time.monotonic())

    def _make(self, now_s: float) -> Status:
        engine = self._engine
        books, session = engine.receive.books, engine.current
        stream = Status(
            state="stopped" if engine.ended.is_set() else "waiting",
            version=__version__,
            messages=books.messages,
            wire_errors=books.wire_errors,
            faults=dict(books.faults),
            endpoint=engine.receiver.address,
            queue={"record": engine.to_record.fill, "analyse": engine.to_analyse.fill},
            recording=engine.keep,
            controllers=engine.publisher.controllers if engine.publisher else 0,
        )
        return stream if session is None else self._of_scan(stream, session, now_s)

    def _of_scan(self, stream: Status, session: Session, now_s: float) -> Status:
        counters, scan = session.counters, session.scan
        state = self._state(session, now_s)
        received = self._received.of(now_s, counters.visits)
        analysed = self._analysed.of(now_s, session.analysed)
        fractions, flags = self._maps(session)
        lag_ms, lag_p95_ms = _lags(session)
        visits_total = scan.pixels * scan.passes
        left = visits_total - counters.visits
        pipeline, recorder = session.pipeline, session.recorder
        lost = _lost(session)
        written = recorder.bytes_written if recorder else 0
        return msgspec.structs.replace(
            stream,
            state=state,
            scan_id=scan.id,
            title=scan.title,
            scan_number=session.number,
            shape=list(scan.shape),
            pixels_total=scan.pixels,
            pixels_received=counters.pixels,
            pixels_recorded=session.recorded,
            pixels_analysed=session.analysed,
            visits=counters.visits,
            passes=scan.passes,
            spectra_per_s=received if state == "scanning" else 0.0,
            analysed_per_s=analysed if state in ("scanning", "catching_up") else 0.0,
            eta_s=left / received if state == "scanning" and received > 0 else None,
            elapsed_s=(session.ended_s or now_s) - session.started_s,
            age_s=self._age(session, now_s),
            lag_ms=lag_ms,
            lag_p95_ms=lag_p95_ms,
            gaps=counters.gaps,
            missing_messages=counters.missing_messages,
            duplicates=counters.duplicates,
            late=counters.late,
            orphans=counters.orphans,
            unpaired=counters.unpaired,
            shed=session.shed,
            owed=session.owed.pixels,
            spikes=pipeline.spikes.found if pipeline else 0,
            saturated=flags.get("saturated", 0),
            no_zlp=flags.get("no_zlp", 0),
            pixels_lost=int((lost[:, 1] - lost[:, 0]).sum()),
            lost=[(int(start), int(stop)) for start, stop in lost[:MAX_RUNS]],
            dead_channels=len(pipeline.preprocessor.bad_channels) if pipeline else 0,
            stages=_stages(session),
            recording_path=str(session.path or ""),
            recording_bytes=written,
            recording_complete=not session.record_error and counters.missing_messages == 0,
            disk_left_s=self._disk_left(session, now_s, written),
            model=pipeline.classifier.card.name if pipeline and pipeline.classifier else "",
            clusters=pipeline.kmeans.clusters if pipeline else 0,
            recolouring=pipeline.waiting if pipeline else 0,
            components=pipeline.components if pipeline else 0,
            component_angles_deg=_angles_deg(pipeline) if pipeline else [],
            label_fractions=fractions,
            zlp_ev=_newest_shift(session),
            snapshot_version=session.snapshot.version if session.snapshot else 0,
            alarms=self._alarms(session, state, lag_ms),
            **self._refining(),
        )

    def _refining(self) -> dict[str, Any]:
        """The refinement at work, and how far its present stage is."""
        refining = self._engine.refining
        if refining is None or not refining.running:
            return {}
        text = f"{refining.name}: {refining.stage}"
        return {"refine": text, "refine_progress": refining.share}

    def _state(self, session: Session, now_s: float) -> str:
        if self._engine.ended.is_set():
            return session.state if session.finished else "stopped"
        if session.state == "scanning":
            dwell_s = session.scan.instrument.dwell_s or 0.0
            patience_s = max(self._engine.config.engine.stall_s, 5 * dwell_s)
            return "stalled" if now_s - session.last_data_s > patience_s else "scanning"
        return session.state

    def _age(self, session: Session, now_s: float) -> float | None:
        """Age of what is shown: the sender's clock where it has one, else since arrival."""
        if session.finished:
            return None
        if math.isfinite(session.last_clock_s):
            return max(time.time() - session.last_clock_s, 0.0)
        return now_s - session.last_data_s

    def _maps(self, session: Session) -> tuple[dict[str, float], dict[str, int]]:
        """Label fractions and flag counts of the newest snapshot, counted once for each."""
        snapshot = session.snapshot
        if snapshot is None:
            return {}, {}
        if self._fractions[0] is not snapshot:
            self._fractions = (snapshot, label_fractions(snapshot), _flags(snapshot))
        return self._fractions[1], self._fractions[2]

    def _disk_left(self, session: Session, now_s: float, written: int) -> float | None:
        """Seconds of beam that still fit on the disk at the scan's own rate."""
        elapsed = max(session.last_data_s - session.started_s, 1e-3)
        if session.path is None or written < 1_000_000:
            return None
        if now_s - self._disk[0] > 5.0:
            folder = Path(session.path).parent
            self._disk = (now_s, shutil.disk_usage(folder).free if folder.exists() else 0)
        return self._disk[1] / (written / elapsed)

    def _alarms(self, session: Session, state: str, lag_ms: float | None) -> list[str]:
        alarms = list(session.problems)
        counters = session.counters
        pipeline = session.pipeline  # the analyse thread may let go of it
        if pipeline is not None:
            alarms += [e for e in pipeline.extra.errors if e not in alarms]
        if counters.missing_messages:
            alarms.append(f"{counters.missing_messages} messages were lost on the way")
        if counters.unpaired:
            alarms.append(f"{counters.unpaired} pixels came without their low loss")
        if counters.visits_lost:
            alarms.append(f"{counters.visits_lost} spectra that were sent never came")
        if self._engine.receive.books.wire_errors:
            number = self._engine.receive.books.wire_errors
            alarms.append(f"{number} messages could not be read (see faults)")
        if state == "stalled":
            alarms.append("no data: the sender is silent in mid-scan")
        if lag_ms is not None and lag_ms > 1000 * ALARM_LAG_S and state == "scanning":
            alarms.append(
                f"maps are {lag_ms / 1000:.1f} s behind: analysis is slower than the beam"
            )
        return alarms


def label_fractions(snapshot: MapSnapshot) -> dict[str, float]:
    """Share of each label (or cluster) among the pixels that have one."""
    name = "label" if "label" in snapshot.maps else "cluster"
    values = snapshot.maps.get(name)
    if values is None:
        return {}
    known = values[np.isfinite(values)].astype(np.int64)
    if known.size == 0:
        return {}
    classes = snapshot.specs[name].classes
    counts = np.bincount(known + 1, minlength=len(classes) + 1)
    named = ("rejected", *classes)
    return {
        label: float(count / known.size)
        for label, count in zip(named, counts, strict=False)
        if count
    }


def _flags(snapshot: MapSnapshot) -> dict[str, int]:
    values = snapshot.maps.get("flags")
    if values is None:
        return {}
    bits = values[np.isfinite(values)].astype(np.int64)
    return {
        name: int(np.count_nonzero(bits & (1 << bit))) for bit, name in enumerate(QUALITY_FLAGS)
    }


def _lost(session: Session) -> NDArray[np.int64]:
    """Runs of lost pixels; looked for only where something is missing or the scan is over."""
    missing = session.counters.missing_messages or session.end is not None
    if session.losses is None or not missing:
        return np.empty((0, 2), np.int64)
    return session.losses.runs()


def _lags(session: Session) -> tuple[float | None, float | None]:
    lags = np.array(session.lags_s.copy())
    if lags.size == 0 or session.finished:
        return None, None
    return float(np.median(lags[-32:]) * 1000), float(np.percentile(lags, 95) * 1000)


def _stages(session: Session) -> list[StageTime]:
    pipeline = session.pipeline
    if pipeline is None or not pipeline.spectra_done:
        return []
    total = sum(pipeline.stage_seconds.values()) or 1.0
    return [
        StageTime(
            stage=name,
            us_per_spectrum=round(1e6 * seconds / pipeline.spectra_done, 3),
            share=round(seconds / total, 4),
        )
        for name, seconds in pipeline.stage_seconds.items()
    ]


def _newest_shift(session: Session) -> float | None:
    value = session.last_shift_ev
    return float(value) if math.isfinite(value) else None


def _angles_deg(pipeline: Pipeline) -> list[float]:
    """Angle to be expected between each shown component and the true one."""
    known = pipeline.pca.angles_deg[: pipeline.components]
    return [round(float(angle), 1) for angle in known]
