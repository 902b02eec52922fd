"""Pipelines for scans: which model, which analyses, and what to do when they do not fit.

A setting that does not fit a scan (a window outside its energy axis, a model for another
edge) is the user's to mend, but never a reason to show nothing: the pipeline is built
without it and the session says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from live_eels import analyses
from live_eels.analyses.defaults import for_edges
from live_eels.app.beside import Beside
from live_eels.app.session import Session
from live_eels.classify import Classifier
from live_eels.config import Config
from live_eels.model_card import Card, ModelError, read_card
from live_eels.pipeline import Pipeline
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import (
    Chunk,
    EnergyAxis,
    NavigationAxis,
    Scan,
    Signal,
    WindowError,
)


class ModelFinder:
    """Loads models by name or path, each once.

    Parameters
    ----------
    wanted
        ``auto``, a shipped name, a path, or empty for none.

    Raises
    ------
    ModelError
        If a model is named that does not exist.
    """

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self._loaded: dict[Path, Classifier] = {}
        self._choices: tuple[EnergyAxis | None, list[dict[str, Any]]] | None = None
        if wanted not in ("", "auto"):
            self.load(wanted)

    def load(self, name: str) -> Classifier:
        """Load a shipped model by name, or any by path.

        Raises
        ------
        ModelError
            If there is none; the text lists the shipped ones.
        """
        from live_eels import models

        shipped = models.shipped()
        path = shipped.get(name, Path(name))
        if not path.exists():
            known = ", ".join(shipped)
            raise ModelError(f"no model {name!r}: not a file, and the shipped ones are {known}")
        if path not in self._loaded:
            self._loaded[path] = Classifier.load(path)
        return self._loaded[path]

    def choices(self, axis: EnergyAxis | None) -> list[dict[str, Any]]:
        """Shipped models and whether each can say something on an axis, for the page."""
        from live_eels import models

        if self._choices is not None and self._choices[0] == axis:
            return self._choices[1]
        found = []
        for name, path in models.shipped().items():
            card = read_card(path)
            low = min(e.l3_ev - e.within_ev for e in card.elements)
            high = max(e.l3_ev + e.within_ev for e in card.elements)
            covers = axis is not None and any(
                axis.offset_ev < e.l3_ev < axis.end_ev for e in card.elements
            )
            found.append(
                {
                    "name": name,
                    "classes": list(card.names),
                    "range_ev": [low, high],
                    "covers": covers,
                    "note": card.title,
                    "facts": _facts(card),
                    "limits": list(card.limits),
                }
            )
        self._choices = (axis, found)
        return found

    def for_axis(self, axis: EnergyAxis) -> Classifier | None:
        """Load the model that the settings want for a scan on this axis.

        Raises
        ------
        ModelError
            If a model was asked for by name and does not cover the axis.
        """
        from live_eels import models

        if not self.wanted:
            return None
        classifier = self.load(models.DEFAULT if self.wanted == "auto" else self.wanted)
        try:
            classifier.bind(axis)
        except ModelError:
            if self.wanted == "auto":
                return None  # nobody asked for it
            raise
        return classifier


def _facts(card: Card) -> list[tuple[str, str]]:
    """What a card says that an operator wants to know, as lines of name and value."""
    facts = [
        ("looks for", ", ".join(f"{e.symbol} L3 at {e.l3_ev:g} ± {e.within_ev:g} eV"
                                for e in card.elements)),
        ("rejects", f"where the probability is below {card.rejection.probability:.2f}"),
        ("trained on", f"{card.training.spectra} simulated spectra, seed {card.training.seed}"),
        ("made of", f"{card.family}, {card.parameters} parameters"),
    ]  # fmt: skip
    for test in ("held_out", "measured", "simulated"):
        figures = card.figures.get(test, {})
        if isinstance(figures, dict) and isinstance(figures.get("accuracy"), float):
            facts.append((f"right, {test.replace('_', '-')}", f"{100 * figures['accuracy']:.0f} %"))
    return facts


def make_pipeline(
    session: Session, config: Config, models: ModelFinder, beside: Beside | None = None
) -> Pipeline:
    """Build the pipeline of a session; what does not fit its scan is left out and named.

    Without threads ``beside`` everything happens where it is asked for.
    """
    scan = session.scan

    def build(preprocess: PreprocessSettings) -> Pipeline:
        return Pipeline(
            scan,
            preprocess=preprocess,
            decompose=config.decompose,
            cluster=config.cluster,
            extra=analyses.load(config.analysis),
            source=config.classify.source,
            seed=config.engine.seed,
            clock=time.thread_time,
            worker=beside.learning if beside else None,
            ahead=beside.preparing.ahead if beside else map,
        )

    pipeline = _first_that_fits(session, config.preprocess, build)
    try:
        classifier = models.for_axis(pipeline.axis)
        if classifier is not None:
            pipeline.set_classifier(classifier)
    except ModelError as error:
        session.problem(f"no labels: {error}")
    for error_text in pipeline.extra.errors:
        session.problem(error_text)
    given = [spec.name for spec in pipeline.extra.specs]
    for analysis in for_edges(config.preprocess.edges, given):
        with suppress(WindowError):  # nobody asked for it
            pipeline.add_analysis(analysis)
    return pipeline


def _first_that_fits(
    session: Session, wanted: PreprocessSettings, build: Callable[[PreprocessSettings], Pipeline]
) -> Pipeline:
    """With the settings wanted, else without those windows, else without any of them."""
    windows = {"window_ev": None, "background_ev": None, "edges": (), "align_edges": ()}
    instead = (
        (wanted, ""),
        (msgspec.structs.replace(wanted, **windows), "default windows"),
        (PreprocessSettings(), "default preprocessing"),
    )
    problem = ""
    for settings, said in instead:
        try:
            pipeline = build(settings)
        except WindowError as error:
            problem = problem or f"{error}."
            continue
        if said:
            session.problem(f"{problem} This scan is analysed with {said} instead.")
        return pipeline
    session.problem(f"{problem} This scan is analysed as it is.")
    return build(PreprocessSettings(background="none", align="none"))


def one_blas_thread() -> AbstractContextManager[Any]:
    """Keep BLAS to the calling thread while the pipeline runs.

    Its own threads spin between calls, on the cores that other stages want: with them the
    analysis took 62 us of processor time a spectrum, without them 28.
    """
    return threadpool_limits(1, user_api="blas")  # type: ignore[no-any-return]


def warm_up(config: Config, models: ModelFinder, beside: Beside | None = None) -> None:
    """Compile (or load from the cache) every kernel before the first spectrum comes."""
    axis = EnergyAxis(450.0, 0.5, 640)
    low = EnergyAxis(-20.0, 0.5, 128)
    rng = np.random.default_rng(0)
    for signals in (
        (Signal("core", axis), Signal("low", low)),
        (Signal("core", axis),),
    ):
        scan = Scan("warm-up", (NavigationAxis("x", 64),), signals)
        session = Session(scan, 0, 0.0, 0.0)
        pipeline = make_pipeline(session, config, models, beside)
        counts = rng.poisson(50.0, (64, axis.size)).astype("<u2")
        zlp = rng.poisson(1.0, (64, low.size)).astype("<u2")
        zlp[:, 40] += 1000
        both = len(signals) == 2
        chunk = Chunk(scan, np.arange(64), counts, zlp if both else None)
        pipeline.process(chunk)
        once = [chunk]
        for _ in pipeline.settle(lambda size, once=once: once):  # type: ignore[misc]
            pass
        list(pipeline.refreshed())
