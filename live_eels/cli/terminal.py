"""What the terminal shows of a running scan: one live line, a summary at the end.

On a terminal the line is redrawn; elsewhere a plain line is printed now and then, so that
log files stay readable.
"""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from live_eels.app.session import Session
from live_eels.control import Status

console = Console(highlight=False)

PLAIN_EVERY_S = 2.0
SHOWN_LABELS = 6


class Progress:
    """Shows the status of an engine while it runs; use as a context manager."""

    def __init__(self) -> None:
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._plain = not console.is_terminal
        self._printed_s = 0.0
        self._alarms: set[str] = set()

    def __enter__(self) -> Progress:
        if not self._plain:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._plain:
            self._live.stop()

    def tick(self, status: Status) -> None:
        """Show the newest status."""
        for alarm in status.alarms:
            if alarm not in self._alarms:
                self._alarms.add(alarm)
                console.print(Text(f"  ! {alarm}", style="bold yellow"))
        if not self._plain:
            self._live.update(Text("\n").join(map(Text, lines(status))))
        elif status.state == "scanning" and time.monotonic() - self._printed_s > PLAIN_EVERY_S:
            self._printed_s = time.monotonic()
            console.print("\n".join(lines(status)), soft_wrap=True)


def lines(status: Status) -> list[str]:
    """The live line and the label line of a status."""
    if status.state == "waiting":
        return [f"  waiting for a scan at {status.endpoint}"]
    done = status.visits / max(status.pixels_total * status.passes, 1)
    parts = [
        f"  scan {status.scan_number} {status.state.replace('_', ' ')}",
        f"{bar(done)} {done:4.0%}",
        f"{status.pixels_received:,} px".replace(",", " "),
        f"{status.spectra_per_s:,.0f}/s".replace(",", " "),
        f"lag {status.lag_ms / 1000:.2f} s" if status.lag_ms is not None else "",
        f"lost {status.missing_messages}" if status.missing_messages else "",
        f"owed {status.owed}" if status.owed else "",
        f"{duration(status.eta_s)} left" if status.eta_s is not None else "",
    ]
    out = ["  ".join(part for part in parts if part)]
    if status.label_fractions:
        shares = sorted(status.label_fractions.items(), key=lambda item: -item[1])[:SHOWN_LABELS]
        out.append("    " + "  ".join(f"{name} {share:.0%}" for name, share in shares))
    return out


def bar(done: float, width: int = 24) -> str:
    """Draw a bar of ``width`` characters."""
    full = round(min(max(done, 0.0), 1.0) * width)
    return "━" * full + "─" * (width - full)


def duration(seconds: float) -> str:
    """Write seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def summary(session: Session, pictures: list[Path]) -> None:
    """Say what became of a scan, pixel by pixel accounted for."""
    counters, scan = session.counters, session.scan
    end = session.end.reason if session.end else "running"
    missing = scan.pixels - counters.pixels
    seconds = max((session.ended_s or time.monotonic()) - session.started_s, 1e-9)
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_row("scan", f"{session.number}  {scan.title}  ({end})")
    shape = " x ".join(map(str, scan.shape)) or "single spectrum"
    channels = scan.core.axis.size
    table.add_row("pixels", f"{counters.pixels} of {scan.pixels} ({shape}), {channels} channels")
    table.add_row("analysed", f"{session.analysed} spectra in {seconds:.1f} s")
    losses = (
        f"{counters.missing_messages} messages, {counters.duplicates} duplicates dropped, "
        f"{counters.late} late, {counters.unpaired} without partner"
    )
    table.add_row("lost", losses if counters.missing_messages or counters.unpaired else "none")
    if missing:
        table.add_row("missing", f"{missing} pixels never came; they are nan in every map")
    if session.snapshot is not None and "label" in session.snapshot.maps:
        table.add_row("labels", _labels(session))
    for problem in session.problems:
        table.add_row("problem", Text(problem, style="yellow"))
    if session.path is not None and session.keep:
        table.add_row("recording", str(session.path))
    if pictures:
        table.add_row("pictures", f"{len(pictures)} in {pictures[0].parent}")
    console.print(table)
    if session.path is not None and session.keep:
        console.print("  Open it:", style="dim")
        line = f'    >>> import hyperspy.api as hs; s = hs.load("{session.path}")'
        console.print(line, soft_wrap=True)  # to be copied: whole


def _labels(session: Session) -> str:
    from live_eels.app.status import label_fractions

    assert session.snapshot is not None
    fractions = label_fractions(session.snapshot)
    return "  ".join(f"{name} {share:.1%}" for name, share in fractions.items())
