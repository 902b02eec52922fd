"""What commands do to an engine and to the scan in hand.

Lives here: the commands that change the analysis, in the form in which the engine's other
threads may give them; everything else the engine answers itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from live_eels import control
from live_eels.analyses.window import WindowMap, WindowSettings
from live_eels.app.marking import note
from live_eels.app.pipelines import make_pipeline
from live_eels.app.refining import Refining
from live_eels.app.session import Session
from live_eels.control import Command, Ok, Refused, Reply
from live_eels.pipeline import Pipeline

if TYPE_CHECKING:
    from live_eels.app.engine import Engine
    from live_eels.refine import Refined


def on_analyse_thread(engine: Engine, command: Command) -> Reply:
    """Have a command carried out between two chunks, and wait for it."""

    def run() -> Reply:
        session = engine.in_hand()
        if session is None or session.pipeline is None:
            raise LookupError("no scan yet")
        return change(engine, session, session.pipeline, command)

    future = engine.analyse.ask(run)
    try:
        return future.result(timeout=30)
    except TimeoutError:
        future.cancel()  # refused means that it does not happen later either
        raise


def change(engine: Engine, session: Session, pipeline: Pipeline, command: Command) -> Reply:
    """Change how a scan is analysed; for the thread that analyses."""
    match command:
        case control.SetClusters(k=k):
            pipeline.set_clusters(k)
            _later(engine, cluster=msgspec.structs.replace(engine.config.cluster, clusters=k))
            engine.analyse.changed(session)
            return Ok(message=f"{k} clusters" if k else "as many clusters as the scan shows")
        case control.SetComponents(n=n):
            pipeline.set_components(n)
            _later(engine, decompose=msgspec.structs.replace(engine.config.decompose, components=n))
            engine.analyse.changed(session)
            return Ok(message=f"{n} components" if n else "components above the noise")
        case control.SetModel(model=model):
            classifier = engine.models.load(model)
            pipeline.set_classifier(classifier)
            engine.models.wanted = model
            _later(engine, classify=msgspec.structs.replace(engine.config.classify, model=model))
            engine.analyse.again(session, learn=False)
            return Ok(message=f"labels by {classifier.card.name}; earlier pixels follow")
        case control.SetWindow(low_ev=low_ev, high_ev=high_ev):
            preprocess = msgspec.structs.replace(
                engine.config.preprocess, window_ev=(low_ev, high_ev)
            )
            changed = msgspec.structs.replace(engine.config, preprocess=preprocess)
            session.scan.core.axis.window(low_ev, high_ev)
            session.pipeline = make_pipeline(session, changed, engine.models, engine.analyse.beside)
            engine.config = changed
            engine.analyse.again(session, learn=True)
            return Ok(message=f"analysing {low_ev:g} to {high_ev:g} eV; earlier pixels follow")
        case control.AddWindowMap(name=name, signal_ev=signal_ev, fit_ev=fit_ev):
            pipeline.add_analysis(
                WindowMap(WindowSettings(name=name, signal_ev=signal_ev, fit_ev=fit_ev))
            )
            engine.analyse.again(session, learn=False)
            return Ok(message=f"map {name!r} is added; earlier pixels follow")
        case _:
            raise ValueError(f"{type(command).__name__} is not for the analysis")


def _later(engine: Engine, **sections: Any) -> None:
    """Have scans that are yet to come analysed so too."""
    engine.config = msgspec.structs.replace(engine.config, **sections)


def mark(engine: Engine, command: control.MarkRegion) -> Reply:
    """Note a region, and tell the control software that listens."""
    session = engine.session(None)
    details = msgspec.to_builtins(command)
    details.pop("command", None)
    noted = "this scan is not recorded, so no file holds the note"
    if note(session, command):
        noted = "noted in the recording"
        engine.analyse.ask(lambda: engine.analyse.stale(session))  # a finished file gets it too
    told = engine.publisher.controllers if engine.publisher is not None else 0
    if engine.publisher is not None:
        engine.publisher.event("mark_region", session.scan.id, details)
    if not told and command.request != "note":
        return Refused(error=f"nobody heard it: no control software is connected ({noted})")
    return Ok(message=f"{noted}; sent to control software" if told else noted)


def refine(engine: Engine, command: control.Refine) -> Reply:
    """Segment the scan offline in a worker; its maps join the scan's own when it is done."""
    from live_eels.refine import METHODS, check  # scikit-learn: not while starting

    session, config = engine.session(None), engine.config
    if engine.refining is not None and engine.refining.running:
        raise ValueError(f"{engine.refining.name} is still at work; wait for its maps")
    if session.recorder is None or session.pipeline is None:
        raise LookupError("this scan is not recorded, so it cannot be refined")
    methods = METHODS if command.method == "all" else (command.method,)
    check(methods)
    engine.refining = Refining(
        session.path or session.recorder.path,
        methods,
        command.clusters,
        (session.pipeline.preprocessor.settings, config.decompose, config.cluster),
        lambda refined: _hold(engine, session, refined),
        lambda reason: session.problem(f"{command.method}: {reason}"),
    )
    return Ok(message=f"{engine.refining.name} is at work on the scan so far")


def _hold(engine: Engine, session: Session, refined: Refined) -> None:
    """Put the maps of a refinement beside the scan's own."""

    def run() -> None:
        if session.pipeline is not None and session.board is not None:
            session.pipeline.hold(refined.specs.values(), refined.curves)
            session.board.announce(session.pipeline.specs)
            session.board.refresh(refined.maps)
            engine.analyse.stale(session)

    engine.analyse.ask(run)
