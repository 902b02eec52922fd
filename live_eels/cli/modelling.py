"""``models``, ``train`` and ``evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from live_eels.cli.terminal import console

_file = click.Path(path_type=Path, dir_okay=False)
_folder = click.Path(path_type=Path, file_okay=False)


@click.group(invoke_without_command=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """List and inspect the models that label."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_models)


@models.command("list")
def list_models() -> None:
    """List the shipped models; the first is the default."""
    from live_eels.model_card import read_card
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


@models.command()
@click.argument("file", type=_file)
@click.option("--spectra", type=click.IntRange(min=100), default=20_000, show_default=True)
@click.option("--keep", type=_folder, help="Keep simulated spectra here: interrupted, it goes on.")
def structures(file: Path, spectra: int, keep: Path | None) -> None:
    """Train 12 dense and 8 convolutional networks, 10 and 30 epochs, and rank them in FILE (JSON).

    Takes about ten minutes on two cores; goes on where it was interrupted.
    """
    from live_eels.models.search import search
    from live_eels.models.studies import structures_in_words

    rows = search(spectra, out=file, say=console.print, keep=keep)
    console.print("\n".join(structures_in_words(rows)), highlight=False)


@models.command()
@click.argument("file", type=_file)
@click.option("--spectra", type=click.IntRange(min=100), default=10_000, show_default=True)
def shifts(file: Path, spectra: int) -> None:
    """Accuracy against a wrong energy axis, for four ways of training, into FILE (JSON).

    Goes on where it was interrupted.
    """
    from live_eels.models.shift_study import shift_study
    from live_eels.models.studies import shifts_in_words

    curves = shift_study(spectra, out=file, say=console.print)
    console.print("\n".join(shifts_in_words(curves)), highlight=False)


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        rows += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return rows


@click.command()
@click.argument("recipe", default="mn-fe-dense")
@click.option("--out", type=_folder, default=Path("models"), show_default=True)
@click.option(
    "--references",
    type=_folder,
    help="Your own measured standards: labels.csv (file,label) and one file a spectrum.",
)
@click.option("--keep", type=_folder, help="Keep simulated spectra here: interrupted, it goes on.")
def train(recipe: str, out: Path, references: Path | None, keep: Path | None) -> None:
    """Train the model of RECIPE (a shipped name or a TOML file) and write it with its card."""
    if references is None:
        from live_eels.models.train import train as run

        path = run(recipe, out, console.print, keep)
    else:
        from live_eels.models.references import train_with_references

        path = train_with_references(recipe, references, out, console.print)
    console.print(f"written: {path}")


@click.command()
@click.argument("model", required=False)
@click.option(
    "--spectra",
    type=_folder,
    help="Labelled spectra: labels.csv (file,label) and one .csv, .msa or .hspy file each.",
)
@click.option("--json", "json_file", type=_file, help="Write the result as JSON.")
@click.option("--report", type=_file, help="Write it as Markdown, with plots beside it.")
@click.option("--shift", "shift_ev", type=float, default=0.0, help="Move the energy axis, eV.")
@click.option(
    "--counts", type=click.FloatRange(min=0.01), help="Noise: counts per 0.1 eV at the top of L3."
)
@click.option(
    "--thickness", type=click.FloatRange(0, 5), default=0.0, help="Scatter again: t/lambda."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--quick", is_flag=True, help="A sixth of the simulated spectra (studies: a tenth).")
@click.option(
    "--studies", type=_folder, help="Do the studies again in this folder (structures, shifts)."
)
@click.option("--update-card", is_flag=True, help="Write the simulated figures into the card.")
def evaluate(model: str | None, **options: Any) -> None:
    """Test MODEL (the default one if not given) on your spectra, or on simulated ones."""
    from live_eels.models.evaluate import evaluate as run
    from live_eels.models.evaluate import in_words

    console.print(in_words(run(model, **options)), highlight=False)
