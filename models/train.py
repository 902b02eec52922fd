"""Trains a model from a recipe and writes it with its card.

A recipe (TOML) fixes everything: family, structure, seed, simulation. Temperature and rejection
come from a twin trained without some families of line shapes and asked about those.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from live_eels.models.calibration import Trained, calibrate, held_out
from live_eels.models.class_means import class_means
from live_eels.models.dataset import ELEMENTS, PENALTY, WINDOW, Dataset, joined, simulate
from live_eels.models.graph import OPSET, Graph, Heat, decided, prepared
from live_eels.models.lines import CLASSES, ELEMENT, VALENCE, shipped_lines
from live_eels.models.recipe import Recipe, read_recipe
from numpy.typing import NDArray

from live_eels.model_card import Card, Class, Rejection, Training

F8 = NDArray[np.floating[Any]]
HELD_SHARE = 0.35
"""Share of the training spectra that has the line shapes which the twin does not see."""
LIMITS = (
    "one label a spectrum: where Mn and Fe edges are both there, the stronger one is labelled",
    "Mn and Fe are told apart by energy: an axis off by more than 22 eV is not understood",
    "mixtures get a hard label; read the mean valence map beside it",
    "the simulated L2 was once revised after a comparison with measured Mn spectra (before it, "
    "none of five Mn3+ spectra was recognised): figures on those spectra are not blind",
    "high-spin ions on octahedral, tetragonal and tetrahedral sites in computed line shapes only; "
    "no measured Fe spectrum was looked at",
)


LIMITS_OF_SCANS = (
    "while a scan runs, each pixel is judged beside the mean of what was learnt before it came; "
    "all are judged anew beside the whole scan's when it is over",
    "for valences along a scan, not for labels: measured pure Mn4+, shown alone, is taken for Mn3+",
)


def fit(recipe: Recipe, data: Dataset) -> Trained:
    """Train one model on a data set."""
    x = data.seen(recipe.scan)
    if recipe.family.endswith("-svm"):
        from live_eels.models import svm

        pure = data.pure
        kernel: Any = recipe.family.removesuffix("-svm")
        machine = svm.train_machine(
            kernel, x[pure], data.label[pure],
            cost=recipe.cost, components=recipe.components, seed=recipe.seed,
        )  # fmt: skip
        return Trained(
            machine.margins,
            lambda graph, name: (svm.write_machine(graph, name, machine), ""),
            machine.parameters,
        )
    from live_eels.models import networks

    network = build(recipe, x)
    mask = data.element @ PENALTY
    networks.train_network(
        network, x, data.fraction, mask,
        epochs=recipe.epochs, seed=recipe.seed,
        mixture_weight=recipe.mixture_weight, valence_weight=recipe.valence_weight,
    )  # fmt: skip
    return trained_network(network)


def build(recipe: Recipe, x: F8 | None = None) -> Any:
    """Make the untrained network of a recipe, with seeded weights.

    ``x``: prepared windows whose principal components a dense network sees.
    """
    import torch
    from live_eels.models import networks

    torch.manual_seed(recipe.seed)
    if recipe.family == "dense":
        width, components = WINDOW.points, recipe.components
        if recipe.scan:
            width, components = 2 * width + 1, 2 * components + 1
        projection: F8 | None = np.zeros((components, width)) if recipe.components else None
        if recipe.components and x is not None:
            projection = _projection(x[:: max(len(x) // 20_000, 1)], recipe)
        return networks.dense(width, recipe.hidden, len(CLASSES), projection)
    return networks.convolutional(recipe.filters, recipe.sizes, recipe.strides, len(CLASSES))


def _projection(x: F8, recipe: Recipe) -> F8:
    """Principal components of windows; in a scan, of the mean and of what a pixel differs by.

    Differences within a scan are small beside those between specimens: there each row is scaled
    to what varies along it.
    """
    points, components = WINDOW.points, recipe.components
    own = x[:, :points]
    found = np.linalg.svd(own - own.mean(axis=0), full_matrices=False)[2][:components]
    if not recipe.scan:
        return np.asarray(found)
    rows = np.zeros((2 * components + 1, x.shape[1]))
    rows[:components, points:-1] = found
    rows[components:-1, :points], rows[components:-1, points:-1] = found, -found
    rows[-1, -1] = 1.0
    spread = (x @ rows.T).std(axis=0)
    return np.asarray(rows / np.maximum(spread, 0.003 * spread.max())[:, None])


def trained_network(network: Any) -> Trained:
    """Wrap a network in what the export and the calibration need."""
    from live_eels.models import networks

    return Trained(
        lambda x: networks.logits(network, x)[0],
        lambda graph, name: networks.write_network(graph, name, network),
        networks.parameters(network),
        network,
    )


def train(
    recipe: Path | str, out: Path, say: Callable[[str], None] = print, keep: Path | None = None
) -> Path:
    """Train a recipe's model and write ``<name>.onnx`` and its card into ``out``.

    Parameters
    ----------
    keep
        Folder for simulated spectra, so that an interrupted training goes on.

    Returns
    -------
    The path of the card.
    """
    wanted, content = read_recipe(recipe)
    lines, families = shipped_lines(), wanted.held_out
    few = round(wanted.spectra * HELD_SHARE)
    seen = simulate(lines.without(families), wanted.spectra - few, wanted.seed, wanted.domain, keep)
    say(f"{wanted.name}: training a twin without {', '.join(families)}")
    twin = fit(wanted, seen)
    heat, rule = calibrate(wanted, twin, keep)
    figures = held_out(wanted, twin, heat, keep)
    say(f"{wanted.name}: {figures['accuracy']:.1%} on families not seen; training on all")
    data = joined([seen, simulate(lines.only(families), few, wanted.seed + 1, wanted.domain, keep)])
    return save(wanted, content, fit(wanted, data), data, (heat, rule, figures), out)


def save(
    recipe: Recipe,
    content: bytes,
    trained: Trained,
    data: Dataset,
    calibration: tuple[Heat, Rejection, dict[str, Any]],
    out: Path,
) -> Path:
    """Write model and card; more figures come later, from `evaluate`."""
    heat, rule, figures = calibration
    graph = Graph()
    x = seen = prepared(graph, WINDOW.points)
    inputs = {"window": WINDOW.points, "element": len(ELEMENTS)}
    if recipe.scan:
        inputs |= {"scan": WINDOW.points, "moved_ev": 1}
        mean = prepared(graph, WINDOW.points, "scan")
        seen = graph.node("Concat", x, mean, "moved_ev", axis=1)
    logits, shares = trained.write(graph, seen)
    outputs = {"probability": len(CLASSES), "score": 0}
    decided(graph, x, WINDOW.points, logits, PENALTY, heat)
    if shares:
        outputs["fraction"] = len(CLASSES)
        barred = graph.node("MatMul", "element", graph.constant(PENALTY))
        graph.node("Softmax", graph.node("Add", shares, barred), name="fraction", axis=-1)
    card = Card(
        format=1,
        name=recipe.name,
        title=recipe.title,
        family=recipe.family,
        file=f"{recipe.name}.onnx",
        sha256="",
        opset=OPSET,
        parameters=trained.parameters,
        classes=tuple(map(Class, CLASSES, ELEMENT, VALENCE)),
        elements=ELEMENTS,
        window=WINDOW,
        rejection=rule,
        training=Training(
            recipe=recipe.name,
            recipe_sha256=hashlib.sha256(content).hexdigest(),
            data_sha256=data.sha256(),
            seed=recipe.seed,
            spectra=len(data),
            made_with=_versions(),
        ),
        limits=LIMITS + (LIMITS_OF_SCANS if recipe.scan else ()),
        means=class_means(data),
        figures={"held_out": figures, "calibration": asdict(heat)},
        scan=recipe.scan,
    )
    metadata = {"preparation": card.preparation, "name": card.name}
    model = graph.encode(inputs, outputs, metadata)
    out.mkdir(parents=True, exist_ok=True)
    (out / card.file).write_bytes(model)
    card = msgspec.structs.replace(card, sha256=hashlib.sha256(model).hexdigest())
    return write_card(card, out / f"{card.name}.toml")


def write_card(card: Card, path: Path) -> Path:
    """Write a card as TOML."""
    path.write_bytes(msgspec.toml.encode(card))
    return path


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("numpy", "scikit-learn", "torch"):
        with contextlib.suppress(PackageNotFoundError):  # support vectors need no torch
            found.append(f"{name} {version(name)}")
    return ", ".join(found)
