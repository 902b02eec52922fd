"""How a scan went over time, for pages that were not open while it happened.

Lives here: a bounded record of the engine's status, one per scan.
"""

from __future__ import annotations

from typing import Any

from live_eels.control import Status

MAX_POINTS = 512


class Trend:
    """Status over the course of one scan, at most `MAX_POINTS` points, evenly thinned.

    Also keeps the shares of labels at the end of each pass over the scan: a change from
    the first to the last pass is what beam damage looks like.
    """

    def __init__(self) -> None:
        self.scan_id = ""
        self.version = 0
        self.points: list[dict[str, Any]] = []
        self.passes: list[dict[str, Any]] = []
        self._every = 1
        self._skipped = 0

    def add(self, status: Status) -> None:
        """Note the status; call at a steady pace."""
        if status.scan_id != self.scan_id:
            self.__init__()  # type: ignore[misc]
            self.scan_id = status.scan_id
        if not status.scan_id:
            return
        self._note_pass(status)
        self._skipped += 1
        same = self.points and self.points[-1]["visits"] == status.visits
        if self._skipped < self._every or same:
            return
        self._skipped = 0
        self.version += 1
        self.points.append(
            {
                "elapsed_s": status.elapsed_s,
                "visits": status.visits,
                "analysed": status.pixels_analysed,
                "rate": status.analysed_per_s,
                "lag_ms": status.lag_ms,
                "fractions": status.label_fractions,
                "shift_ev": status.zlp_ev,
            }
        )
        if len(self.points) > MAX_POINTS:
            self.points = self.points[::2]
            self._every *= 2

    def _note_pass(self, status: Status) -> None:
        """Keep the label shares of each pass, the one under way replaced until it ends."""
        if not status.pixels_total or not status.label_fractions:
            return
        number = min(max(status.visits - 1, 0) // status.pixels_total + 1, max(status.passes, 1))
        entry = {"pass": number, "fractions": status.label_fractions}
        if self.passes and self.passes[-1]["pass"] == number:
            if self.passes[-1] == entry:
                return
            self.passes[-1] = entry
        else:
            self.passes.append(entry)
        self.version += 1

    def described(self) -> dict[str, Any]:
        """Tell the page."""
        return {"points": self.points, "passes": self.passes}
