"""Questions about what listens and what is heard: page, ports, ZeroMQ, stream."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import zmq

from live_eels.config import Config, ConfigError
from live_eels.doctor.check import Check
from live_eels.spectra import Scan

ANSWER_S = 0.5
"""A running engine answers sooner."""


def page() -> Check:
    """Every file of the page is there, with a content type browsers accept."""
    from live_eels.io.viewer import CONTENT_TYPES, STATIC

    if not (STATIC / "index.html").exists():
        return Check("page", "error", f"{STATIC}/index.html is missing", "Install live_eels anew.")
    found, waiting = set(), [STATIC / "index.html"]
    while waiting:
        path = waiting.pop()
        if not path.exists():
            return Check("page", "error", f"{path} is missing", "Install live_eels anew.")
        if path.suffix not in CONTENT_TYPES:
            return Check("page", "error", f"{path}: no content type", "Please report this bug.")
        found.add(path)
        waiting += [other for other in _mentioned(path) if other not in found]
    return Check("page", "ok", f"complete, {len(found)} files")


_MENTIONS = re.compile(
    r"""(?:src|href)="(?!https?:|data:|#)([\w./-]+)"|(?:from|import)\s*\(?["'](\.[\w./-]+)["']"""
)


def _mentioned(path: Path) -> list[Path]:
    """Files that a file of the page loads."""
    if path.suffix not in (".html", ".js"):
        return []
    names = _MENTIONS.findall(path.read_text(encoding="utf-8"))
    return [(path.parent / (one or other)).resolve() for one, other in names]


def ports(config: Config) -> Check:
    """Addresses that we listen at are free."""
    wanted = {"publish": config.publish.endpoint, "control": config.control.endpoint}
    if config.view.enabled:
        wanted["view"] = f"tcp://{config.view.host}:{config.view.port}"
    free: list[str] = []
    taken: list[str] = []
    for section, endpoint in wanted.items():
        if not endpoint:
            continue
        problem = _bind_problem(endpoint.replace("localhost", "127.0.0.1"))
        (taken if problem else free).append(f"{section} {endpoint}" + problem)
    if taken:
        return Check(
            "ports",
            "error",
            "; ".join(taken),
            "Another live-eels running (`live-eels status`)? Else choose other ports.",
        )
    return Check("ports", "ok", f"free: {', '.join(free)}" if free else "none wanted")


def _bind_problem(endpoint: str) -> str:
    if endpoint.startswith("ipc:") and Path(urlsplit(endpoint).path).exists():
        return ""  # a file left behind by a finished run; ZeroMQ takes it over
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            return f": {error}"
    return ""


def engine(config: Config) -> Check:
    """Whether an engine runs already, and whether control software hears its events."""
    from live_eels.control import ControlError, GetStatus, Status
    from live_eels.io.client import EngineGone, ask

    endpoint = config.control.endpoint
    if not endpoint:
        return Check("engine", "ok", "no control address wanted, so none can be asked")
    try:
        status = ask(endpoint.replace("*", "127.0.0.1"), GetStatus(), ANSWER_S)
    except (EngineGone, ControlError, zmq.ZMQError):
        return Check("engine", "ok", f"none running at {endpoint}")
    if not isinstance(status, Status):
        return Check("engine", "warn", f"{endpoint} answers, but not with its status")
    detail = f"running at {endpoint}: {status.state}, scan {status.scan_number or 'none yet'}"
    if status.controllers:
        return Check("engine", "ok", f"{detail}; control software listening: {status.controllers}")
    return Check(
        "engine",
        "warn",
        f"{detail}; no control software is subscribed",
        '"Scan again" and "dwell longer" reach nobody: subscribe to `event` at '
        f"{config.publish.endpoint}.",
    )


def zeromq(config: Config) -> Check:
    """Transports and encryption that the configuration asks for."""
    stream = config.stream
    has = {name: zmq.has(name) for name in ("ipc", "curve")}
    detail = f"{zmq.zmq_version()}, " + ", ".join(
        name if there else f"no {name}" for name, there in has.items()
    )
    if stream.endpoint.startswith("ipc:") and not has["ipc"]:
        return Check("zeromq", "error", detail, "Use a tcp:// address: ipc is not for this system.")
    keys = {"server_key": stream.server_key, "public_key": stream.public_key,
            "secret_key": stream.secret_key}  # fmt: skip
    if not any(keys.values()):
        return Check("zeromq", "ok", detail)
    if not has["curve"]:
        return Check("zeromq", "error", detail, "Install pyzmq from PyPI: it brings CURVE.")
    if wrong := [name for name, key in keys.items() if len(key) != 40]:
        return Check(
            "zeromq",
            "error",
            f"{', '.join(wrong)} in [stream] must have 40 characters",
            "All three keys are needed, in Z85; `python -c 'import zmq; "
            "print(zmq.curve_keypair())'` makes a pair.",
        )
    return Check("zeromq", "ok", detail + ", keys are well formed")


def stream(config: Config, wait_s: float, scan: list[Scan]) -> Check:
    """Listen for the sender; an announced scan is put into ``scan``."""
    from live_eels.app.formats import decoder
    from live_eels.io.probe import Address, listen

    try:
        decode = decoder(config)
    except (ConfigError, ImportError) as error:
        return Check("stream", "error", str(error))
    stream = config.stream
    heard = listen(
        Address(
            endpoint=stream.endpoint,
            pattern=stream.pattern,
            bind=stream.bind,
            topic=stream.topic,
            keys=(stream.server_key, stream.public_key, stream.secret_key),
        ),
        decode,
        wait_s,
    )
    if heard.scan is not None:
        scan.append(heard.scan)
    return Check("stream", heard.outcome, heard.detail, heard.advice)


def fit(config: Config, scans: list[Scan]) -> Check:
    """Whether windows, model and analyses fit the scan that was heard."""
    from live_eels.app.pipelines import ModelFinder, make_pipeline
    from live_eels.app.session import Session

    if not scans:
        return Check("fit", "ok", "no scan heard, so windows and model are not tried on one")
    scan = scans[-1]
    session = Session(scan, 0, 0.0, 0.0)
    pipeline = make_pipeline(session, config, ModelFinder(config.classify.model))
    if session.problems:
        return Check("fit", "error", "; ".join(session.problems), "Mend the settings it names.")
    window = pipeline.axis.cropped(pipeline.window)
    model = pipeline.classifier.card.name if pipeline.classifier else "no model for this axis"
    return Check(
        "fit",
        "ok",
        f"analysed from {window.offset_ev:g} to {window.end_ev:g} eV; labels: {model}",
    )
