"""What one page has been sent, and the frame that brings it up to date.

Lives here: the comparison of the newest snapshot with what a page already has. Maps of
which nothing changed are not sent, of the others only changed rows.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import Curve, MapSnapshot, Scan

if TYPE_CHECKING:
    from live_eels.io.viewer import Viewer

HISTORY_INTERVAL_S = 1.0


class FrameWriter:
    """Remembers what one page has; snapshots never change, so references do."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._sent: dict[str, NDArray[np.float32]] = {}
        self._sent_curves: dict[str, Curve] = {}
        self._sent_scan: str | None = None
        self._sent_specs: object = None
        self._sent_trend: tuple[str, int] = ("", -1)
        self._sent_history: object = None
        self._sent_choices: object = None
        self._history_at_s = 0.0

    def compose(
        self, snapshot: MapSnapshot | None, want: list[str] | None
    ) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        """Describe what this page does not have yet; remembers that it now has it."""
        header: dict[str, Any] = {
            "type": "frame",
            "status": self._viewer.status(),
            "sent_s": time.time(),
        }
        self._add_history(header)
        trend = self._viewer.trend
        if (trend.scan_id, trend.version) != self._sent_trend:
            self._sent_trend = (trend.scan_id, trend.version)
            header["trend"] = trend.described()
        arrays: list[NDArray[Any]] = []
        if snapshot is None:
            return header, arrays
        header["version"] = snapshot.version
        if snapshot.scan.id != self._sent_scan:
            self._sent_scan = snapshot.scan.id
            self._sent, self._sent_curves, self._sent_specs = {}, {}, None
            header["scan"] = described(snapshot.scan)
        if snapshot.specs != self._sent_specs:
            self._sent_specs = snapshot.specs
            header["specs"] = {name: msgspec.to_builtins(s) for name, s in snapshot.specs.items()}
        self._add_maps(header, arrays, snapshot, want)
        self._add_curves(header, arrays, snapshot)
        return header, arrays

    def _add_history(self, header: dict[str, Any]) -> None:
        now = time.monotonic()
        if now < self._history_at_s:
            return
        self._history_at_s = now + HISTORY_INTERVAL_S
        history = self._viewer.engine.history()
        if history != self._sent_history:
            self._sent_history = history
            header["history"] = history
        ask_choices = getattr(self._viewer.engine, "choices", None)
        choices = ask_choices() if ask_choices is not None else None
        if choices != self._sent_choices:
            self._sent_choices = choices
            header["choices"] = choices

    def _add_maps(
        self,
        header: dict[str, Any],
        arrays: list[NDArray[Any]],
        snapshot: MapSnapshot,
        want: list[str] | None,
    ) -> None:
        header["map_names"] = list(snapshot.maps)
        for name in self._sent.keys() - snapshot.maps.keys():
            del self._sent[name]
        maps = header["maps"] = {}
        for name in snapshot.maps:
            before = self._sent.get(name)
            if want is not None and name not in want and before is not None:
                continue
            values = snapshot.maps[name]
            if before is values:
                continue
            rows = self._viewer.differences.rows(before, values)
            self._sent[name] = values
            if rows is None:
                maps[name] = {"values": len(arrays)}
                arrays.append(values)
            elif len(rows):
                maps[name] = {"rows": len(arrays), "values": len(arrays) + 1}
                arrays += [rows, values[rows]]

    def _add_curves(
        self, header: dict[str, Any], arrays: list[NDArray[Any]], snapshot: MapSnapshot
    ) -> None:
        curves = header["curves"] = {}
        for name, curve in snapshot.curves.items():
            if self._sent_curves.get(name) is curve:
                continue
            self._sent_curves[name] = curve
            entry = {
                "axis": msgspec.to_builtins(curve.axis),
                "labels": curve.labels,
                "unit": curve.unit,
                "values": len(arrays),
            }
            arrays.append(curve.values)
            if curve.error is not None:
                entry["error"] = len(arrays)
                arrays.append(curve.error)
            curves[name] = entry
        header["curve_names"] = list(snapshot.curves)
        header["components"] = snapshot.components
        if snapshot.scree is not None:
            header["scree"] = len(arrays)
            arrays.append(np.asarray(snapshot.scree, dtype=np.float32))


def described(scan: Scan) -> dict[str, Any]:
    """Tell the page about the scan."""
    return {
        "id": scan.id,
        "title": scan.title,
        "shape": scan.shape,
        "navigation": [msgspec.to_builtins(axis) for axis in scan.navigation],
        "signals": [
            {"name": s.name, "dtype": s.dtype, "axis": msgspec.to_builtins(s.axis)}
            for s in scan.signals
        ],
        "core": scan.core.name,
        "instrument": msgspec.to_builtins(scan.instrument),
        "passes": scan.passes,
        "simulated": scan.simulated,
    }
