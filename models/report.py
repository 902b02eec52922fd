"""The evaluation as a page: Markdown with plots beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from live_eels.models import studies

from live_eels.model_card import Card

CURVES = {
    "shift_ev": ("energy axis off by, eV", "linear"),
    "counts": ("counts per 0.1 eV at the top of L3", "log"),
    "thickness": ("t/lambda", "linear"),
    "dispersion_ev": ("dispersion, eV/channel", "log"),
}


def write_report(
    card: Card, result: dict[str, Any], path: Path, own_studies: Path | None = None
) -> None:
    """Write ``path`` (Markdown) and, where matplotlib is installed, its plots as PNG.

    ``own_studies``: the folder of studies to show, the shipped one where None.
    """
    shown = own_studies or studies.FOLDER
    lines = [
        f"# {card.title}",
        "",
        f"Model `{card.name}` ({card.family}, {card.parameters} numbers).",
    ]
    lines += _spectra(result) if "files" in result else _simulated(card, result, path, shown)
    lines += ["", "## Limits", "", *[f"- {limit}" for limit in card.limits], ""]
    path.write_text("\n".join(lines), "utf-8")


def _simulated(card: Card, result: dict[str, Any], path: Path, shown: Path) -> list[str]:
    lines = ["", "| figure | value |", "|---|---|"]
    lines += [f"| {k.replace('_', ' ')} | {v:g} |" for k, v in result["summary"].items()]
    for part, figures in card.figures.items():
        if part != "simulated" and isinstance(figures, dict):
            lines += [f"| {part.replace('_', ' ')}: {k} | {v} |" for k, v in figures.items()]
    lines += ["", "## Confusion", "", *_table(result["confusion"])]
    lines += ["", "## Mixtures of two states", "", "| share of the larger | rms error of the mean"]
    lines[-1] += " valence |"
    lines += ["|---|---|", *(f"| {k} | {v:g} |" for k, v in result["mixtures"].items())]
    plot = path.with_suffix(".png")
    if _drawn(result, plot):
        lines += ["", "## Curves", "", f"![Curves]({plot.name})"]
    return lines + _studies(path, shown)


def _studies(path: Path, folder: Path) -> list[str]:
    """Machines against networks, and the studies in ``folder``: structures, shifts."""
    lines = ["", "## Support vector machines against networks", ""]
    lines += studies.machines_against_networks(studies.cards())
    rows, curves = (studies.stored(folder / name) for name in (studies.STRUCTURES, studies.SHIFTS))
    if rows:
        lines += ["", "## Structures of networks, asked about line shapes not seen", ""]
        lines += [*studies.structures_in_words(rows), ""]
        lines += ["| family | structure | epochs | numbers | right |", "|---|---|---|---|---|"]
        lines += [
            f"| {r['family']} | {r['structure']} | {r['epochs']} | {r['parameters']} "
            f"| {r['accuracy']:.1%} |"
            for r in rows
        ]
    if curves:
        lines += ["", "## Training shifted, or finding the edge", ""]
        lines += studies.shifts_in_words(curves)
    plot = path.with_name(f"{path.stem}-studies.png")
    if (rows or curves) and _drawn_studies(rows or [], curves or {}, plot):
        lines += ["", f"![Studies]({plot.name})"]
    return lines


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


def _figure(width: float, height: float) -> Any:
    """An empty figure that needs no screen; None where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _drawn(result: dict[str, Any], path: Path) -> bool:
    """Draw the model's curves; False where matplotlib is not installed."""
    figure = _figure(14, 6.5)
    if figure is None:
        return False
    axes = figure.subplots(2, 4).ravel()
    for ax, (name, (label, scale)) in zip(axes[:4], CURVES.items(), strict=True):
        _curve(ax, result[name])
        ax.set(xlabel=label, ylabel="right", xscale=scale, ylim=(0, 1.02))
    _curve(axes[4], result["mixtures"])
    axes[4].set(xlabel="share of the larger state", ylabel="rms error of mean valence")
    axes[4].set_ylim(bottom=0)
    bins = result["reliability"]["bins"]
    axes[5].plot([0.3, 1], [0.3, 1], "k:")
    axes[5].plot([b[0] for b in bins], [b[1] for b in bins], "o-")
    axes[5].set(xlabel="confidence", ylabel="right")
    axes[6].plot([p[0] for p in result["rejection"]], [p[1] for p in result["rejection"]], ".-")
    axes[6].set(xlabel="Mn and Fe spectra rejected", ylabel="others rejected", xlim=(0, 0.3))
    _confusion(axes[7], result["confusion"])
    for ax in axes[:7]:
        ax.grid(alpha=0.3)
    figure.savefig(path, dpi=90)
    return True


def _curve(ax: Any, curve: Mapping[str, float], **style: Any) -> None:
    ax.plot([float(x) for x in curve], list(curve.values()), "o-", markersize=3, **style)


def _confusion(ax: Any, confusion: dict[str, dict[str, int]]) -> None:
    """Shares of the answers in each row, written where they are more than 1 %."""
    given = list(dict.fromkeys(name for row in confusion.values() for name in row))
    shares = [
        [row.get(g, 0) / max(sum(row.values()), 1) for g in given] for row in confusion.values()
    ]
    ax.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for y, row in enumerate(shares):
        for x, share in enumerate(row):
            if share > 0.01:
                colour = "white" if share > 0.6 else "black"
                ax.text(x, y, f"{share:.0%}", ha="center", va="center", fontsize=7, color=colour)
    ax.set_xticks(range(len(given)), given, rotation=60)
    ax.set_yticks(range(len(confusion)), list(confusion))
    ax.set(xlabel="answer", ylabel="truth")


def _drawn_studies(
    rows: list[dict[str, Any]], curves: dict[str, dict[str, float]], path: Path
) -> bool:
    """Draw accuracy of each structure and of each training against the shift."""
    figure = _figure(14, 5)
    if figure is None:
        return False
    left, right = figure.subplots(1, 2)
    names = list(dict.fromkeys(row["structure"] for row in sorted(rows, key=lambda r: r["family"])))
    for epochs in sorted({row["epochs"] for row in rows}):
        some = {row["structure"]: row["accuracy"] for row in rows if row["epochs"] == epochs}
        places = [i for i, name in enumerate(names) if name in some]
        left.plot(places, [some[names[i]] for i in places], "o", label=f"{epochs} epochs")
    left.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    left.set(ylabel="right, line shapes not seen")
    for name, curve in curves.items():
        _curve(right, curve, label=name)
    right.set(xlabel="energy axis off by, eV", ylabel="right", ylim=(0, 1.02))
    for ax in (left, right):
        ax.grid(alpha=0.3)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(fontsize=8)
    figure.savefig(path, dpi=90)
    return True
