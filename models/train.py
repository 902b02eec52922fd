"""Trains a model from a recipe and writes it with its card.

A recipe (TOML) fixes everything: family, structure, seed, simulation. Temperature and rejection
come from a twin trained without some families of line shapes and asked about those: what a
model says of shapes it has seen is too sure.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from live_eels.models.dataset import ELEMENTS, WINDOW, Dataset, simulate
from live_eels.models.graph import OPSET, Graph, decided, penalty, prepare, prepared
from live_eels.models.lines import CLASSES, ELEMENT, VALENCE, shipped_lines
from live_eels.models.randomise import Domain
from numpy.typing import NDArray

from live_eels.model_card import Card, Class, ModelError, Rejection, Training

RECIPES = Path(__file__).parent / "recipes"
PENALTY = penalty(ELEMENT, [element.symbol for element in ELEMENTS])
F8 = NDArray[np.floating[Any]]
Family = Literal["dense", "convolutional", "linear-svm", "cosine-svm", "rbf-svm"]
LIMITS = (
    "one label a spectrum: where Mn and Fe edges are both there, the stronger one is labelled",
    "Mn and Fe are told apart by energy: an axis off by more than 22 eV is not understood",
    "mixtures get a hard label; read the mean valence map beside it",
    "the width of L2 in the simulation was revised after a comparison with measured Mn spectra "
    "(before it, none of five Mn3+ spectra was recognised): figures on those are not blind",
    "trained on octahedral, tetragonal and tetrahedral ions in computed line shapes only",
)


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to make a model.

    Attributes
    ----------
    hidden
        Width of each dense layer.
    filters, sizes, strides
        Of each convolution.
    cost, components
        Of a support vector machine.
    spectra, epochs, seed
        Size of the training set, passes over it (networks), seed of everything.
    held_out
        Families of line shapes the calibrating twin does not see.
    false_rejection
        Share of good spectra that may be rejected.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]+$")]
    title: str
    family: Family
    seed: int = 1
    spectra: Annotated[int, msgspec.Meta(ge=100, le=10_000_000)] = 60_000
    epochs: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 12
    hidden: tuple[int, ...] = (128, 64)
    filters: tuple[int, ...] = (16, 32, 32)
    sizes: tuple[int, ...] = (7, 5, 5)
    strides: tuple[int, ...] = (2, 2, 2)
    cost: float = 10.0
    components: int = 32
    held_out: tuple[str, ...] = ("crystal_field/slater 0.8",)
    false_rejection: Annotated[float, msgspec.Meta(gt=0, le=0.2)] = 0.01
    domain: Domain = msgspec.field(default_factory=Domain)


def read_recipe(path: Path | str) -> tuple[Recipe, bytes]:
    """Read a recipe by its path or the name of a shipped one; with the bytes it was read from."""
    named = RECIPES / f"{path}.toml"
    try:
        content = (named if named.exists() else Path(path)).read_bytes()
        return msgspec.toml.decode(content, type=Recipe), content
    except (OSError, msgspec.MsgspecError) as error:
        raise ModelError(f"{path}: not a recipe: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained model: ``logits`` of prepared windows, and ``write`` into a graph.

    ``write(graph, x)`` returns the names of the label's logits and of the shares' or "".
    """

    logits: Callable[[F8], F8]
    write: Callable[[Graph, str], tuple[str, str]]
    parameters: int
    network: Any = None


def fit(recipe: Recipe, data: Dataset) -> Trained:
    """Train one model on a data set."""
    x = prepare(data.window)
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

    network = build(recipe)
    mask = data.element @ PENALTY
    networks.train_network(network, x, data.fraction, mask, epochs=recipe.epochs, seed=recipe.seed)
    return trained_network(network)


def build(recipe: Recipe) -> Any:
    """Make the untrained network of a recipe, with seeded weights."""
    import torch
    from live_eels.models import networks

    torch.manual_seed(recipe.seed)
    if recipe.family == "dense":
        return networks.dense(WINDOW.points, recipe.hidden, len(CLASSES))
    return networks.convolutional(recipe.filters, recipe.sizes, recipe.strides, len(CLASSES))


def trained_network(network: Any) -> Trained:
    """Wrap a network in what the export and the calibration need."""
    from live_eels.models import networks

    return Trained(
        lambda x: networks.logits(network, x)[0],
        lambda graph, name: networks.write_network(graph, name, network),
        networks.parameters(network),
        network,
    )


def softmax(logits: F8) -> F8:
    """Probabilities of logits ``(n, class)``."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def temperature(logits: F8, label: NDArray[np.int64]) -> float:
    """The temperature at which the right classes are most probable."""
    tried = np.geomspace(0.02, 10.0, 120)
    rows = np.arange(len(label))
    loss = [-np.log(softmax(logits / t)[rows, label] + 1e-12).mean() for t in tried]
    return float(tried[int(np.argmin(loss))])


def rejection(logits: F8, heat: float, false_rejection: float) -> Rejection:
    """Limits on probability and energy score that each reject half of the allowed share."""
    half = false_rejection / 2
    top = logits.max(axis=1)
    score = -(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)))
    probability = softmax(logits / heat).max(axis=1)
    return Rejection(
        probability=round(float(min(np.quantile(probability, half), 0.6)), 4),
        score=round(float(np.quantile(score, 1 - half)), 4),
        false_rejection=false_rejection,
    )


def calibrate(recipe: Recipe, twin: Trained) -> tuple[float, Rejection]:
    """Temperature and rejection from the twin and the families it has not seen."""
    unseen = shipped_lines().only(recipe.held_out)
    domain = msgspec.structs.replace(recipe.domain, mixed=0.0)
    data = simulate(unseen, 12_000, recipe.seed + 1000, domain)
    logits = twin.logits(prepare(data.window)) + data.element @ PENALTY
    heat = temperature(logits, data.label)
    good = (data.label < len(CLASSES) - 1) & (data.dose >= 30)
    return heat, rejection(logits[good], heat, recipe.false_rejection)


def held_out(recipe: Recipe, twin: Trained, heat: float) -> dict[str, Any]:
    """How the twin does on the families it has not seen, as a usual laboratory sees them."""
    from live_eels.models.simulated_tests import LABORATORY, near_90_percent

    lines = shipped_lines().only(recipe.held_out)
    data = simulate(lines, 4000, recipe.seed + 2000, LABORATORY)
    edge = data.label < len(CLASSES) - 1
    probability = softmax((twin.logits(prepare(data.window)) + data.element @ PENALTY) / heat)
    right = probability.argmax(axis=1) == data.label
    figures: dict[str, Any] = {
        "families": ", ".join(recipe.held_out),
        "accuracy": round(float(right[edge].mean()), 4),
        "right_at_90_percent": round(near_90_percent(probability.max(axis=1), right), 4),
    }
    if twin.network is not None:
        from live_eels.models.networks import logits

        domain = msgspec.structs.replace(LABORATORY, mixed=1.0, none=0.0)
        data = simulate(lines, 4000, recipe.seed + 3000, domain)
        data = data.take(np.flatnonzero((data.fraction > 0).sum(axis=1) == 2))
        share = softmax(logits(twin.network, prepare(data.window))[1] + data.element @ PENALTY)
        valence = np.array([v or 0.0 for v in VALENCE])
        error = (share @ valence) / share[:, :-1].sum(axis=1) - data.fraction @ valence
        figures["valence_rms_two_states"] = round(float(np.sqrt(np.mean(error**2))), 4)
    return figures


def train(recipe: Path | str, out: Path, say: Callable[[str], None] = print) -> Path:
    """Train a recipe's model and write ``<name>.onnx`` and its card into ``out``.

    Returns
    -------
    The path of the card.
    """
    wanted, content = read_recipe(recipe)
    lines = shipped_lines()
    families = sorted(set(lines.family.tolist()))
    seen = [f for f in families if not f.startswith(wanted.held_out)]
    say(f"{wanted.name}: calibrating on {', '.join(wanted.held_out)}")
    twin = fit(wanted, simulate(lines.only(seen), wanted.spectra, wanted.seed, wanted.domain))
    heat, rule = calibrate(wanted, twin)
    figures = held_out(wanted, twin, heat)
    say(f"{wanted.name}: {figures['accuracy']:.1%} on families not seen; training on all")
    data = simulate(lines, wanted.spectra, wanted.seed, wanted.domain)
    return save(wanted, content, fit(wanted, data), data, (heat, rule, figures), out)


def save(
    recipe: Recipe,
    content: bytes,
    trained: Trained,
    data: Dataset,
    calibration: tuple[float, Rejection, dict[str, Any]],
    out: Path,
) -> Path:
    """Write model and card; more figures come later, from `evaluate`."""
    heat, rule, figures = calibration
    graph = Graph()
    logits, shares = trained.write(graph, prepared(graph, WINDOW.points))
    outputs = {"probability": len(CLASSES), "score": 0}
    decided(graph, logits, PENALTY, heat)
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
        limits=LIMITS,
        figures={"held_out": figures},
    )
    model = graph.encode(
        WINDOW.points, len(ELEMENTS), outputs, {"preparation": card.preparation, "name": card.name}
    )
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
