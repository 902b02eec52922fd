"""The evaluation as a page: Markdown with plots beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from live_eels.model_card import Card

CURVES = {
    "shift_ev": ("Energy axis off by, eV", "linear"),
    "counts": ("Counts per 0.1 eV at the top of L3", "log"),
    "thickness": ("t/lambda", "linear"),
    "dispersion_ev": ("Dispersion, eV/channel", "log"),
}


def write_report(card: Card, result: dict[str, Any], path: Path) -> None:
    """Write ``path`` (Markdown) and, where matplotlib is installed, its plot as PNG."""
    lines = [
        f"# {card.title}",
        "",
        f"Model `{card.name}` ({card.family}, {card.parameters} numbers).",
    ]
    if "files" in result:
        lines += _spectra(result)
    else:
        lines += ["", "| figure | value |", "|---|---|"]
        lines += [f"| {k.replace('_', ' ')} | {v:g} |" for k, v in result["summary"].items()]
        for part, figures in card.figures.items():
            if part != "simulated" and isinstance(figures, dict):
                lines += [f"| {part.replace('_', ' ')}: {k} | {v} |" for k, v in figures.items()]
        lines += ["", "## Confusion", "", *_table(result["confusion"])]
        plot = path.with_suffix(".png")
        if _plots(result, plot):
            lines += ["", f"![Curves]({plot.name})"]
    lines += ["", "## Limits", "", *[f"- {limit}" for limit in card.limits], ""]
    path.write_text("\n".join(lines), "utf-8")


def _spectra(result: dict[str, Any]) -> list[str]:
    accuracy = result["accuracy"]
    head = "no label that the model knows" if accuracy is None else f"{accuracy:.1%} right"
    lines = ["", f"{result['n']} spectra: {head}, {result['rejected']:g} rejected.", ""]
    lines += ["## Confusion", "", *_table(result["confusion"]), "", "## Spectra", ""]
    lines += ["| file | label | answer | probability | valence |", "|---|---|---|---|---|"]
    for name, one in result["files"].items():
        sure = max(one["probabilities"].values(), default=0.0)
        lines.append(f"| {name} | {one['true']} | {one['label']} | {sure:.2f} | {one['valence']} |")
    return lines


def _table(confusion: dict[str, dict[str, int]]) -> list[str]:
    """Render rows of the truth, columns of the answers."""
    given = list(dict.fromkeys(name for row in confusion.values() for name in row))
    lines = [f"| true | {' | '.join(given)} |", "|---" * (len(given) + 1) + "|"]
    for true, row in confusion.items():
        lines.append(f"| {true} | {' | '.join(str(row.get(g, 0)) for g in given)} |")
    return lines


def _plots(result: dict[str, Any], path: Path) -> bool:
    """Draw the curves; False where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3).ravel()
    for ax, (name, (label, scale)) in zip(axes[:4], CURVES.items(), strict=True):
        curve = result[name]
        ax.plot([float(x) for x in curve], list(curve.values()), "o-")
        ax.set(xlabel=label, ylabel="right", xscale=scale, ylim=(0, 1.02))
    bins = result["reliability"]["bins"]
    axes[4].plot([0.3, 1], [0.3, 1], "k:")
    axes[4].plot([b[0] for b in bins], [b[1] for b in bins], "o-")
    axes[4].set(xlabel="Confidence", ylabel="right")
    axes[5].plot([p[0] for p in result["rejection"]], [p[1] for p in result["rejection"]], "o-")
    axes[5].set(xlabel="Mn and Fe spectra rejected", ylabel="others rejected", ylim=(0.8, 1.005))
    for ax in axes:
        ax.grid(alpha=0.3)
    figure.savefig(path, dpi=90)
    return True
