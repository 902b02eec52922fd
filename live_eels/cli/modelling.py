"""``models``, ``train`` and ``evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from live_eels.cli.terminal import console


@click.group(invoke_without_command=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """List and inspect the models that label."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_models)


@models.command("list")
def list_models() -> None:
    """List the shipped models; the first is the default."""
    from live_eels.classify import read_card
    from live_eels.models import shipped

    table = Table("name", "family", "classes", "title", box=None, padding=(0, 2))
    for name, path in shipped().items():
        card = read_card(path)
        table.add_row(name, card.family, " ".join(card.names), card.title)
    console.print(table)


@models.command()
@click.argument("name")
def inspect(name: str) -> None:
    """Show a model's card: what it was trained on, how good it is, its limits."""
    from live_eels.app.pipelines import ModelFinder

    card = ModelFinder("").load(name).card
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_row("name", card.name)
    table.add_row("title", card.title)
    table.add_row("family", f"{card.family}, {card.parameters} parameters, opset {card.opset}")
    table.add_row("classes", ", ".join(card.names))
    for element in card.elements:
        table.add_row(
            f"{element.symbol} L3", f"looked for at {element.l3_ev:g} +- {element.within_ev:g} eV"
        )
    window = card.window
    table.add_row(
        "window",
        f"{window.low_ev:g} to {window.high_ev:g} eV from L3, {window.points} points, "
        f"{window.dispersion_ev:g} eV apart",
    )
    table.add_row("rejects", f"{card.rejection.false_rejection:.1%} of good spectra wrongly")
    table.add_row("recipe", f"{card.training.recipe}, {card.training.spectra} spectra")
    for name_, value in _flat(card.figures):
        table.add_row(name_, f"{value:g}" if isinstance(value, float) else str(value))
    for limit in card.limits:
        table.add_row("limit", limit)
    console.print(table)


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        rows += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return rows


path_option = click.Path(path_type=Path)
