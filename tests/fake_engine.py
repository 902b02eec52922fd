"""An engine without a pipeline: knows the answer to everything the page may ask.

Serves tests of the viewer. The scan advances only when the test says so, every map follows
from arrays that the test can read, and commands are written down.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from typing import Any

import numpy as np

from live_eels import control
from live_eels.io.viewer import SpectrumAnswer, Viewer
from live_eels.spectra import (
    QUALITY_FLAGS,
    Curve,
    EnergyAxis,
    Instrument,
    MapSnapshot,
    MapSpec,
    NavigationAxis,
    Scan,
    Signal,
)

CLASSES = ("Mn2+", "Mn3+", "Mn4+", "Fe2+", "Fe3+", "none")
VALENCE = np.array([2, 3, 4, 2, 3, np.nan])
L3_EV = np.array([640.0, 642.0, 644.0, 708.0, 710.0, 0.0])
L2_EV = np.array([651.0, 653.0, 655.0, 721.0, 723.0, 0.0])

SPECS = {
    "counts": MapSpec("counts", unit="counts", meaning="all counts of the core loss"),
    "label": MapSpec("label", "label", meaning="oxidation state", classes=CLASSES),
    "confidence": MapSpec("confidence", "fraction", meaning="of the label", limits=(0, 1)),
    "entropy": MapSpec("entropy", unit="bit", meaning="doubt about the label"),
    "valence": MapSpec("valence", meaning="mean valence", limits=(2, 4)),
    "cluster": MapSpec("cluster", "label", classes=tuple(f"cluster {i}" for i in (1, 2, 3, 4))),
    "loading 1": MapSpec("loading 1", "signed", meaning="loading of component 1"),
    "loading 2": MapSpec("loading 2", "signed", meaning="loading of component 2"),
    "Mn L2,3": MapSpec("Mn L2,3", unit="counts", meaning="above background, 635 to 665 eV"),
    "Fe L2,3": MapSpec("Fe L2,3", unit="counts", meaning="above background, 703 to 735 eV"),
    "thickness": MapSpec("thickness", unit="t/λ", meaning="relative thickness", limits=(0, 1.2)),
    "shift": MapSpec("shift", "signed", unit="eV", meaning="energy shift put right"),
    "ZLP fwhm": MapSpec("ZLP fwhm", unit="eV", meaning="width of the zero-loss peak"),
    "PCA residual": MapSpec("PCA residual", meaning="what the components leave"),
    "flags": MapSpec("flags", "flags", meaning="quality", classes=QUALITY_FLAGS),
}


def phases(ny: int, nx: int) -> np.ndarray:
    """The specimen: manganite layers, an iron oxide grain, a hole; int ``(y, x)``."""
    y, x = np.mgrid[0:ny, 0:nx] / np.array([ny, nx])[:, None, None]
    label = np.full((ny, nx), 1)
    label[y + 0.06 * np.sin(9 * x) > 0.62] = 2
    label[(y - 0.28) ** 2 + (x - 0.3) ** 2 < 0.035] = 4
    label[(y - 0.28) ** 2 + (x - 0.3) ** 2 < 0.008] = 3
    label[(y - 0.42) ** 2 + (x - 0.78) ** 2 < 0.02] = 0
    label[(y < 0.12) & (x > 0.8 - y)] = 5
    return label


class FakeEngine:
    """`live_eels.io.viewer.Engine`, driven by hand.

    With ``spectra`` there are only so many different ones, for scans that fill no memory.
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (48, 64),
        channels: int = 512,
        *,
        passes: int = 1,
        seed=3,
        spectra: int | None = None,
    ) -> None:
        self.spectra = spectra
        self.rng = np.random.default_rng(seed)
        self.lock = threading.RLock()
        self.axis = EnergyAxis(560.0, 200.0 / channels, channels)
        self.window_ev = (625.0, 735.0)
        self.commands: list[control.Command] = []
        self.questions: list[tuple[str, Any]] = []
        self.published_s: dict[int, float] = {}
        self.past: list[MapSnapshot] = []
        self.number = 0
        self.version = 0
        self.status_changes: dict[str, Any] = {}
        self.dropped: set[str] = set()
        self.without_curves: set[str] = set()
        self.paths: dict[str, str] = {}
        self.new_scan(shape, passes=passes)

    # -- driving it ---------------------------------------------------------------------

    def new_scan(self, shape: tuple[int, ...], *, passes: int = 1, title: str = "") -> None:
        with self.lock:
            if self.number and self.newest is not None:
                self.past.append(self.newest)
            self.number += 1
            names = ("y", "x")[-len(shape) :] if shape else ()
            self.scan = Scan(
                id=f"scan-{self.number}",
                navigation=tuple(
                    NavigationAxis(n, s, scale=0.5) for n, s in zip(names, shape, strict=True)
                ),
                signals=(Signal("core", self.axis),),
                instrument=Instrument(300, 25, 50, 0.002, 0.05, "fake", "none"),
                title=title or "LSMO | Fe3O4",
                passes=passes,
                simulated=True,
            )
            ny, nx = (1, 1, *shape)[-2:]
            self.phase = phases(ny, nx).ravel()
            n = ny * nx
            self.row = np.arange(n) * min(self.spectra or n, n) // n
            self.cube = self._expose()
            self.truth = self._maps()
            self.seen = np.zeros(ny * nx, dtype=bool)
            self.visits = 0
            self.ended = ""
            self.newest: MapSnapshot | None = None
            self.began_s = time.monotonic()
            self.fed_s = self.began_s

    def _expose(self) -> np.ndarray:
        e = self.axis.energies_ev
        n = len(self.phase)
        self.thickness = 0.5 + 0.25 * np.sin(np.linspace(0, 5, n)) + 0.02 * self.rng.normal(size=n)
        first = np.unique(self.row, return_index=True)[1]
        phase, thickness = self.phase[first], self.thickness[first]
        mean = (3000 * thickness)[:, None] * (e / 560) ** -3.2
        self.shift = 0.3 * np.sin(np.linspace(0, 7, n)) - np.where(np.arange(n) > 0.6 * n, 0.5, 0)
        for c in range(5):
            where = phase == c
            for centre, height in ((L3_EV[c], 700), (L2_EV[c], 330)):
                width = 1.6 + 0.3 * c
                line = height / (1 + ((e - centre) / width) ** 2)
                step = 150 / (1 + np.exp(-(e - centre)))
                mean[where] += (line + step) * thickness[where, None]
        mean[phase == 5] *= 0.05
        return self.rng.poisson(mean).astype(np.float32)

    def _maps(self) -> dict[str, np.ndarray]:
        n = len(self.phase)
        probability = np.clip(0.9 + 0.08 * self.rng.normal(size=n), 0.2, 1)
        label = self.phase.astype(float)
        label[self.rng.random(n) < 0.03] = -1
        probability[label < 0] = 0.4
        cluster = np.array([3, 0, 1, 2, 2, 3])[self.phase].astype(float)
        return {
            "counts": self.cube.sum(1)[self.row],
            "label": label,
            "confidence": probability,
            "entropy": 1 - probability,
            "valence": np.where(label < 0, np.nan, VALENCE[self.phase]),
            "cluster": cluster,
            "loading 1": (self.phase - 2) * 30 + 5 * self.rng.normal(size=n),
            "loading 2": np.sin(self.phase) * 20 + 5 * self.rng.normal(size=n),
            "Mn L2,3": self._net((635, 665), (605, 632)),
            "Fe L2,3": self._net((703, 735), (675, 700)),
            "thickness": self.thickness,
            "shift": self.shift,
            "ZLP fwhm": 0.8 + 0.02 * self.rng.normal(size=n),
            "PCA residual": 1 + 0.05 * self.rng.normal(size=n) + 2.0 * (label == 3),
            "flags": np.where(label < 0, 16.0, 0.0),
        }

    def _net(self, signal_ev, fit_ev) -> np.ndarray:
        s = self.axis.window(*signal_ev)
        gross = self.cube[:, s].sum(1)
        if fit_ev is not None:
            gross = gross - self._background(self.cube, fit_ev)[:, s].sum(1)
        return gross[self.row]

    def _background(self, rows: np.ndarray, fit_ev) -> np.ndarray:
        f = self.axis.window(*fit_ev)
        e = self.axis.energies_ev
        middle = (f.start + f.stop) // 2
        a = rows[:, f.start : middle].mean(1) + 1e-3
        b = rows[:, middle : f.stop].mean(1) + 1e-3
        ea, eb = e[f.start : middle].mean(), e[middle : f.stop].mean()
        r = np.log(a / b) / np.log(eb / ea)
        return a[:, None] * (e / ea) ** -r[:, None]

    def advance(self, pixels: int, *, lose: tuple[int, ...] = ()) -> MapSnapshot:
        """The beam moves over the next pixels; those in ``lose`` never arrive."""
        with self.lock:
            total = len(self.phase)
            came = (self.visits + np.arange(pixels)) % total
            self.seen[came] = True
            self.seen[list(lose)] = False
            self.visits += pixels
            self.fed_s = time.monotonic()
            return self.publish()

    def finish(self, reason: str = "complete") -> None:
        with self.lock:
            self.ended = reason
            self.publish()

    def publish(self) -> MapSnapshot:
        with self.lock:
            self.version += 1
            shape = self.scan.shape or (1,)
            maps = {
                name: np.where(self.seen, values, np.nan).astype(np.float32).reshape(shape)
                for name, values in self.truth.items()
            }
            maps = {name: values for name, values in maps.items() if name not in self.dropped}
            curves = {}
            if self.seen.any():
                curves = {
                    "cluster means": self._means(),
                    "factors": self._factors(),
                    "references": self._references(),
                    "Mn class means": self._class_means(),
                }
            curves = {n: curve for n, curve in curves.items() if n not in self.without_curves}
            scree = (4000 / np.arange(1, 13) ** 2.2 + 20).astype(np.float32)
            self.newest = MapSnapshot(
                self.scan, self.version, self.specs(), maps, {}, curves, scree, components=2
            )
            self.published_s[self.version] = time.time()
            return self.newest

    def specs(self) -> dict[str, MapSpec]:
        return {name: spec for name, spec in SPECS.items() if name not in self.dropped}

    def _means(self) -> Curve:
        window = self.axis.window(*self.window_ev)
        rows = []
        for c in range(4):
            mine = self.seen & (self.truth["cluster"] == c)
            rows_of = np.unique(self.row[mine])
            mean = self.cube[rows_of].mean(0) if mine.any() else np.full(self.axis.size, np.nan)
            rows.append(mean[window])
        return Curve(self.axis.cropped(window), np.float32(rows), SPECS["cluster"].classes)

    def _references(self) -> Curve:
        window = self.axis.window(*self.window_ev)
        e = self.axis.energies_ev[window]
        rows = [1 / (1 + ((e - L3_EV[c]) / (1.6 + 0.3 * c)) ** 2) for c in range(5)]
        return Curve(self.axis.cropped(window), np.float32(rows), CLASSES[:5], unit="per atom")

    def _class_means(self) -> Curve:
        """Level and slope removed, on the model's own axis; the scan's is 3 eV off it."""
        axis = EnergyAxis(633.0 + 3.0, 0.2, 128)
        rows = []
        for c in range(3):
            x = np.arange(128)
            line = 1 / (1 + ((axis.energies_ev - L3_EV[c] - 3.0) / (1.6 + 0.3 * c)) ** 2)
            rows.append(line - np.polyval(np.polyfit(x, line, 1), x))
        return Curve(axis, np.float32(rows), CLASSES[:3], unit="")

    def _factors(self) -> Curve:
        window = self.axis.window(*self.window_ev)
        e = self.axis.energies_ev[window]
        rows = [np.exp(-(((e - 643) / 3) ** 2)), np.exp(-(((e - 710) / 3) ** 2)) - 0.3]
        return Curve(
            self.axis.cropped(window), np.float32(rows), ("component 1", "component 2"), unit=""
        )

    # -- what the viewer asks -------------------------------------------------------------

    def snapshot(self) -> MapSnapshot | None:
        return self.newest

    def status(self) -> control.Status:
        with self.lock:
            total = len(self.phase)
            got = int(self.seen.sum())
            passed = min(self.visits, total)
            state = self.ended or ("scanning" if self.visits else "waiting")
            label = self.truth["label"][self.seen]
            fractions = {c: float((label == i).mean()) for i, c in enumerate(CLASSES) if got}
            status = control.Status(
                state=state,
                version="test",
                scan_id=self.scan.id if self.visits else "",
                title=self.scan.title,
                scan_number=self.number,
                shape=list(self.scan.shape),
                pixels_total=total,
                pixels_received=got,
                pixels_recorded=got,
                pixels_analysed=got,
                visits=self.visits,
                passes=self.scan.passes,
                spectra_per_s=1000.0,
                analysed_per_s=990.0,
                eta_s=max(total * self.scan.passes - self.visits, 0) / 1000,
                elapsed_s=time.monotonic() - self.began_s,
                age_s=time.monotonic() - self.fed_s,
                lag_ms=40.0,
                lag_p95_ms=85.0,
                messages=self.visits // 16,
                missing_messages=passed - got,
                pixels_lost=passed - got,
                lost=self._lost(passed),
                dead_channels=3,
                gaps=int(passed > got),
                queue={"analyse": 0.1, "record": 0.02},
                stages=[
                    control.StageTime(stage=s, us_per_spectrum=u, share=u / 60)
                    for s, u in (("preprocess", 30.0), ("decompose", 18.0), ("classify", 12.0))
                ],
                recording=True,
                recording_path="/tmp/scan.hspy",
                recording_bytes=got * self.axis.size * 2,
                disk_left_s=7200.0,
                model="mn_fe",
                clusters=4,
                components=2,
                component_angles_deg=[0.8, 24.0],
                label_fractions=fractions,
                zlp_ev=0.1,
                snapshot_version=self.version,
                endpoint="tcp://127.0.0.1:9999",
            )
            return control.msgspec.structs.replace(status, **self.status_changes)

    def _lost(self, passed: int) -> list[tuple[int, int]]:
        unseen = np.concatenate([[False], ~self.seen[:passed], [False]])
        return [tuple(run) for run in np.flatnonzero(np.diff(unseen)).reshape(-1, 2).tolist()]

    def choices(self) -> dict[str, Any]:
        return {
            "models": [
                {
                    "name": "mn_fe",
                    "classes": list(CLASSES),
                    "range_ev": [618.0, 730.0],
                    "covers": True,
                    "note": "Mn and Fe, made up",
                    "facts": [("rejects", "where the probability is below 0.40")],
                    "limits": ["not for anything real"],
                },
                {
                    "name": "narrow",
                    "classes": ["Ti3+", "Ti4+"],
                    "range_ev": [450.0, 540.0],
                    "covers": False,
                    "note": "Ti",
                    "facts": [],
                    "limits": [],
                },
            ],
            "refine": ["kmeans", "gmm"],
        }

    def history(self) -> list[dict[str, Any]]:
        return [
            {
                "id": s.scan.id,
                "title": s.scan.title,
                "number": i + 1,
                "shape": list(s.scan.shape),
                "state": "complete",
                "path": self.paths.get(s.scan.id, ""),
            }
            for i, s in enumerate([*self.past, *([self.newest] if self.newest else [])])
        ]

    def snapshot_of(self, scan_id: str) -> MapSnapshot | None:
        return next((s for s in self.past if s.scan.id == scan_id), None)

    def spectrum(self, pixels: np.ndarray, scan_id: str | None = None) -> SpectrumAnswer:
        self.questions.append(("spectrum", pixels))
        there = pixels[self.seen[pixels]]
        if not len(there):
            raise LookupError("this pixel has not come yet")
        raw = self.cube[self.row[there]].mean(0)
        window = self.axis.window(*self.window_ev)
        fit = (600.0, 632.0)
        background = np.full(self.axis.size, np.nan, dtype=np.float32)
        background[window] = self._background(raw[None], fit)[0, window]
        return SpectrumAnswer(
            axis=self.axis,
            raw=raw,
            n=len(there),
            asked=len(pixels),
            error=np.sqrt(raw / len(there)),
            processed_axis=dataclasses.replace(self.axis, offset_ev=self.axis.offset_ev + 0.2),
            processed=raw,
            background=background,
            signal=raw - background,
            visits=len(there),
        )

    def window_map(self, signal_ev, fit_ev, scan_id=None) -> np.ndarray:
        self.questions.append(("window", (signal_ev, fit_ev)))
        values = np.where(self.seen, self._net(signal_ev, fit_ev), np.nan)
        return values.astype(np.float32).reshape(self.scan.shape or (1,))

    def command(self, command: control.Command) -> control.Reply:
        self.commands.append(command)
        if isinstance(command, control.SetModel) and command.model == "narrow":
            return control.Refused(error="the model reads 450 to 540 eV, the axis runs from 560 eV")
        if isinstance(command, control.GetStatus):
            return self.status()
        return control.Ok(message=f"done: {type(command).__name__}")


class Served:
    """A viewer in a thread with its own event loop, as the application runs it."""

    def __init__(self, engine: FakeEngine, **options: Any) -> None:
        self.engine = engine
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="served")
        self.thread.start()
        self.viewer = Viewer(engine, **{"port": 0, "token": "sesame", **options})
        self.url: str = self.run(self.viewer.start())

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def close(self) -> None:
        self.run(self.viewer.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
