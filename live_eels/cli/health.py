"""``doctor`` and ``bench``: is this computer fit, and how fast is it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from live_eels.cli.options import set_option

if TYPE_CHECKING:
    from live_eels.config import Config
    from live_eels.doctor import Check

_COLOURS = {"ok": "green", "timeout": "yellow", "warn": "yellow", "error": "red"}
_SAID = {"ok": "ok", "timeout": "TIMEOUT", "warn": "WARNING", "error": "ERROR"}


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--wait", "wait_s", default=5.0, show_default=True, type=click.FloatRange(0, 3600),
              help="Seconds to listen for the sender.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON.")
@set_option
def doctor(config: Path | None, wait_s: float, as_json: bool, overrides: tuple[str, ...]) -> None:
    """Tell what is wrong before the beam time.

    Without CONFIG it examines this computer; with CONFIG also the set-up: addresses, keys,
    folder, and whether the sender is heard. Exit code 2 if anything is in error.
    """
    from live_eels.doctor import checks

    settings, found = _settings(config, overrides)
    for check in found:
        _print(check, as_json)
    for check in checks(settings, wait_s=wait_s):
        found.append(check)
        _print(check, as_json)
    states = Counter(check.state for check in found)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in found], indent=1))
    else:
        errors, watch = states["error"], states["warn"] + states["timeout"]
        click.echo(f"{errors} error{'s' * (errors != 1)}, {watch} to watch.")
    sys.exit(2 if states["error"] else 0)


def _settings(path: Path | None, overrides: tuple[str, ...]) -> tuple[Config | None, list[Check]]:
    """Read the configuration; what is wrong with it is a check like the others."""
    import os

    from live_eels import config
    from live_eels.doctor import Check

    if path is None and not overrides:
        return None, []
    try:
        return config.read(path, overrides, os.environ), [
            Check("config", "ok", str(path or "defaults"))
        ]
    except config.ConfigError as error:
        advice = "The rest is examined with default settings."
        return None, [Check("config", "error", str(error), advice)]


def _print(check: Check, as_json: bool) -> None:
    if as_json:
        return
    said = click.style(_SAID[check.state], fg=_COLOURS[check.state], bold=check.state != "ok")
    first, *more = _wrap(check.detail)
    click.echo(f"  {check.name:<10}{first:<76} {said}")
    for line in [*more, *(_wrap(check.advice) if check.advice else ())]:
        click.echo(f"  {'':<10}{line}")


def _wrap(text: str, width: int = 76) -> list[str]:
    import textwrap

    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, width)]
    return lines or [""]


@click.command()
@click.option("--quick", is_flag=True, help="One short run of each kind: done within 45 s.")
@click.option("--channels", default=2048, show_default=True, type=click.IntRange(128, 16_384),
              help="Channels of a spectrum.")  # fmt: skip
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="Disk to record on; by default the one for temporary files.")  # fmt: skip
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False),
              help="Also write the figures to this file.")  # fmt: skip
def bench(quick: bool, channels: int, folder: Path | None, json_file: Path | None) -> None:
    """Measure how many spectra per second this computer keeps up with.

    Simulated spectra are sent over ZeroMQ, analysed with everything on, and recorded, as in
    life. Without --quick it takes about five minutes and tells more reliable figures.
    """
    from live_eels import bench as measuring

    result = measuring.bench(
        quick=quick,
        channels=channels,
        folder=folder,
        say=lambda text: click.echo(f"  {text} ...", err=True),
    )
    click.echo(measuring.report(result))
    if json_file is not None:
        measuring.write_json(result, json_file)
