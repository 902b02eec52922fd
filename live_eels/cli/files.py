"""``process`` and ``info``: recorded files."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from live_eels.cli.options import low_loss_option, set_option
from live_eels.cli.terminal import console, summary
from live_eels.io.reader import open_recording
from live_eels.io.recording import Recording

if TYPE_CHECKING:
    from live_eels.config import Config


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@low_loss_option
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="Settings (TOML).")
@set_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the result [FILE's name with _live_eels].",
)
@click.option(
    "--method",
    help="Offline methods instead: ward, hdbscan, nmf, ica, with commas; or all.",
)
def process(
    file: Path,
    low_loss: Path | None,
    config_path: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
    method: str | None,
) -> None:
    """Analyse a file with the same pipeline as a live scan, as fast as it goes.

    The result is the same as that of the live run, pixel for pixel: a recording with counts
    and maps, and PNG maps.
    """
    from live_eels import config as configuration
    from live_eels.app.offline import process as run
    from live_eels.io.pictures import save_maps

    settings = configuration.read(config_path, overrides, os.environ)
    folder = out or file.with_name(f"{file.stem}_live_eels")
    folder.mkdir(parents=True, exist_ok=True)
    with open_recording(file, low_loss) as recording, _progress() as bar:
        if method:
            _refine(recording, settings, method, folder, bar)
            return
        tasks = {phase: bar.add_task(phase, total=None) for phase in ("learn", "label")}

        def progress(phase: str, done: int, total: int) -> None:
            bar.update(tasks[phase], completed=done, total=total)

        start_s = time.perf_counter()
        target = _unused(folder / f"{file.stem}_maps.hspy")
        session = run(recording, settings, out=target, progress=progress)
        seconds = time.perf_counter() - start_s
    assert session.snapshot is not None
    summary(session, save_maps(session.snapshot, folder))
    console.print(f"  speed     {session.analysed / seconds:,.0f} spectra/s".replace(",", " "))


def _progress() -> Progress:
    columns = (
        TextColumn("  {task.description:6s}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} px"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _unused(path: Path) -> Path:
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.stem}_{number}{path.suffix}")
    return found


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--low-loss", type=click.Path(path_type=Path), help="Its low loss, if another file.")
def info(file: Path, low_loss: Path | None) -> None:
    """What is in a recording, what is missing, is it sound."""
    with open_recording(file, low_loss) as recording:
        console.print(_facts(recording))


def _facts(recording: Recording) -> Table:
    scan, table = recording.scan, Table(box=None, show_header=False, padding=(0, 2))
    seen = int(np.count_nonzero(recording.visits() > 0))
    shape = " x ".join(f"{a.name} {a.size} ({a.scale:g} {a.units})" for a in scan.navigation)
    table.add_row("file", str(recording.path))
    table.add_row("title", scan.title or "-")
    table.add_row("navigation", shape or "single spectrum")
    for signal in scan.signals:
        axis = signal.axis
        table.add_row(
            f"signal {signal.name}",
            f"{axis.size} channels of {signal.dtype}, {axis.offset_ev:g} to {axis.end_ev:g} eV "
            f"in steps of {axis.dispersion_ev:g} eV",
        )
    instrument = scan.instrument
    known = {
        "beam energy": (instrument.beam_energy_kev, "keV"),
        "convergence": (instrument.convergence_mrad, "mrad"),
        "collection": (instrument.collection_mrad, "mrad"),
        "dwell": (instrument.dwell_s, "s"),
    }
    for name, (value, unit) in known.items():
        table.add_row(name, "not known" if value is None else f"{value:g} {unit}")
    table.add_row("origin", "simulation" if scan.simulated else "experiment")
    table.add_row("pixels", f"{seen} of {scan.pixels} recorded")
    if seen < scan.pixels:
        missing = np.flatnonzero(recording.visits() == 0)
        table.add_row("missing", f"{len(missing)} pixels, the first at index {missing[0]}")
    table.add_row("end", _end(recording))
    if recording.maps:
        table.add_row("maps", ", ".join(recording.maps))
    for name, value in recording.facts.get("counters", {}).items():
        if value:
            said = f"{len(value)} listed" if isinstance(value, list) else str(value)
            table.add_row(name.replace("_", " "), said)
    for note in recording.facts.get("notes", ()):
        table.add_row("note", str(note))
    return table


def _end(recording: Recording) -> str:
    if recording.end is not None:
        return recording.end.reason
    if not recording.seen:
        return "the file does not tell"
    return "never written: in progress, or cut off"


def _refine(
    recording: Recording, settings: Config, method: str, folder: Path, bar: Progress
) -> None:
    from live_eels.io.comparison import save_comparison
    from live_eels.io.pictures import save_maps
    from live_eels.refine import METHODS, RefineError, refine

    tasks: dict[str, TaskID] = {}

    def progress(stage: str, share: float) -> None:
        if stage not in tasks:
            tasks[stage] = bar.add_task(stage, total=recording.scan.pixels)
        bar.update(tasks[stage], completed=share * recording.scan.pixels)

    try:
        refined = refine(
            recording,
            METHODS if method == "all" else method.split(","),
            preprocess=settings.preprocess,
            decompose=settings.decompose,
            cluster=settings.cluster,
            progress=progress,
        )
    except RefineError as error:
        raise click.UsageError(f"--method: {error}") from None
    written = save_maps(refined.snapshot, folder)
    compared = save_comparison(
        refined.snapshot, refined.ari, folder / "comparison.png", refined.embedding
    )
    bar.stop()
    table = Table("segmentations", "adjusted Rand index", box=None, padding=(0, 2))
    for (first, second), value in refined.ari.items():
        table.add_row(f"{first} and {second}", f"{value:.3f}")
    console.print(table)
    console.print(f"  pictures  {len(written) + (compared is not None)} in {folder}")
