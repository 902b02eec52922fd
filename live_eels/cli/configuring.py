"""``check`` and ``config``: configuration files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from live_eels import config as configuration
from live_eels.cli.options import set_option
from live_eels.cli.template import analysis_table, template
from live_eels.cli.terminal import console

path_argument = click.argument("path", type=click.Path(path_type=Path, dir_okay=False))


@click.command()
@path_argument
@set_option
def check(path: Path, overrides: tuple[str, ...]) -> None:
    """Check a configuration file: every wrong section is named, with line and remedy.

    Also tries what can be tried without a microscope: edges and analyses exist, the model
    loads, the stream's format is complete.
    """
    from live_eels import analyses, edges
    from live_eels.app.formats import decoder
    from live_eels.app.pipelines import ModelFinder

    settings = configuration.read(path, overrides, os.environ)
    decoder(settings)
    for name in (*settings.preprocess.edges, *settings.preprocess.align_edges):
        try:
            edges.find(name)
        except edges.EdgeError as error:
            raise configuration.ConfigError(f"[preprocess] edges: {error}") from error
    loaded = analyses.load(settings.analysis)
    ModelFinder(settings.classify.model)
    stream = settings.stream
    doing = "listens at" if stream.bind else "connects to"
    console.print(f"  {path}: good")
    console.print(f"  stream    {stream.pattern} {doing} {stream.endpoint} ({stream.format})")
    console.print(f"  model     {settings.classify.model or 'none'}")
    console.print(f"  analyses  {', '.join(type(a).__name__ for a in loaded) or 'none'}")
    console.print(f"  record    {settings.record.folder if settings.record.keep else 'not kept'}")


@click.group()
def config() -> None:
    """Make, check and explain configuration files."""


config.add_command(check)


@config.command()
@path_argument
@click.option(
    "--source",
    type=click.Choice(["live_eels", "dectris", "karabo"]),
    default="live_eels",
    show_default=True,
    help="What the detector's stream speaks.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def new(path: Path, source: str, force: bool) -> None:
    """Write a commented configuration file to start from."""
    if path.exists() and not force:
        raise click.UsageError(f"{path} exists; --force overwrites it")
    text = template(source)
    path.write_text(text, encoding="utf-8")
    marked = text.count("# CHANGE ME")
    console.print(
        f"wrote {path} ({len(text.splitlines())} lines, every setting commented; "
        f"{marked} lines marked CHANGE ME)"
    )
    console.print(f"next: live-eels check {path}; live-eels doctor {path}", style="dim")


@config.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), required=False)
@set_option
def show(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Show every setting as it would hold, and where it comes from."""
    settings = configuration.read(path, overrides, os.environ)
    for name, value, origin in configuration.origins(settings, path, overrides, os.environ):
        line = f"{name} = {json.dumps(value, default=str)}"
        click.secho(f"{line:<60s} # {origin}", dim=origin == "default")


@config.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors that complete TOML."""
    click.echo(json.dumps(configuration.schema(), indent=1))


@config.command()
@click.argument("kind", required=False)
def analyses(kind: str | None) -> None:
    """List the analyses that are installed, or write out the [[analysis]] table of one KIND."""
    from live_eels.analyses import kinds

    known = kinds()
    if kind is not None and kind not in known:
        raise click.UsageError(f"no analysis {kind!r}; installed: {', '.join(sorted(known))}")
    if kind is not None:
        click.echo(analysis_table(kind, known[kind].load()), nl=False)
        return
    for name, point in sorted(known.items()):
        first = (point.load().__doc__ or "").strip().splitlines()
        click.echo(f"  {name:16s} {first[0].replace('``', '') if first else ''}")
    click.echo("Settings of one: live-eels config analyses KIND")
