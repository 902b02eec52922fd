"""Every setting, typed, with its unit in its name; unknown keys are refused.

Lives here: the sections of the TOML file, reading them (one error per section, naming the
line and the nearest known key) and where each value came from. Stages define their own
settings beside their code; this file puts them together.

Precedence, first wins:

1. an option on the command line (``--set preprocess.align="edge"``)
2. the environment (``LIVE_EELS_PREPROCESS__ALIGN=edge``)
3. the TOML file
4. the default
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from live_eels.assemble import AssembleSettings
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose_settings import DecomposeSettings
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.sources.dectris import DectrisSettings
from live_eels.sources.karabo import KaraboSettings

PREFIX = "LIVE_EELS_"


class ConfigError(Exception):
    """A configuration that cannot be used: the user's fault; the text names file, line, key."""


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all sections share: unknown keys are refused."""


class StreamSettings(_Section, frozen=True):
    """Where spectra come from.

    Attributes
    ----------
    endpoint
        ZeroMQ address of the sender, or, with ``bind``, the address to listen at.
    pattern
        ``SUB`` (the sender publishes) or ``PULL`` (the sender pushes and waits when we are slow).
    bind
        Listen instead of connecting.
    format
        ``live_eels`` (our wire format), ``dectris`` or ``karabo``.
    topic
        Subscription prefix (SUB).
    high_water_mark
        Messages that ZeroMQ keeps for us while we are busy.
    server_key, public_key, secret_key
        CURVE keys (Z85, 40 characters); with ``server_key`` the stream is encrypted.
    """

    endpoint: str = "tcp://127.0.0.1:5555"
    pattern: Literal["SUB", "PULL"] = "SUB"
    bind: bool = False
    format: Literal["live_eels", "dectris", "karabo"] = "live_eels"
    topic: str = ""
    high_water_mark: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    server_key: str = ""
    public_key: str = ""
    secret_key: str = ""


class ClassifySettings(_Section, frozen=True):
    """Which model labels, and what it is shown.

    Attributes
    ----------
    model
        ``auto`` (the shipped model for the edges on the axis), the name of a shipped model,
        a path to an ``.onnx`` file with its card beside it, or empty for none.
    source
        Which spectrum of a pixel is labelled: ``raw``, ``denoised`` (rebuilt from the principal
        components), ``cluster`` (mean of its cluster), or ``automatic`` by counts.
    """

    model: Annotated[str, Meta(max_length=4096)] = "auto"
    source: Literal["automatic", "raw", "denoised", "cluster"] = "automatic"


class RecordSettings(_Section, frozen=True):
    """Where recordings go.

    Attributes
    ----------
    folder
        Folder for recordings, one file per scan.
    keep
        Keep recordings; otherwise counts live in a temporary file until the next scan.
    name
        File name without ending; ``{title}``, ``{time}``, ``{number}`` and ``{id}`` are filled in.
    flush_s
        How often counts are forced to the disk, seconds.
    """

    folder: str = "."
    keep: bool = True
    name: str = "{time}_{title}"
    flush_s: Annotated[float, Meta(gt=0)] = 2.0

    def __post_init__(self) -> None:
        try:
            self.name.format(title="", time="", number=0, id="")
        except (LookupError, ValueError, AttributeError) as error:
            raise ValueError(
                f"the name {self.name!r} may hold {{title}}, {{time}}, {{number}} and {{id}}, "
                "and no other braces"
            ) from error


class PublishSettings(_Section, frozen=True):
    """Where maps go.

    Attributes
    ----------
    endpoint
        Address of the PUB socket; empty for none.
    rate_hz
        Whole maps per second, at most; single pixels go out at once.
    """

    endpoint: str = "tcp://127.0.0.1:5556"
    rate_hz: Annotated[float, Meta(gt=0, le=100)] = 10.0


class ControlSettings(_Section, frozen=True):
    """Where commands come in: address of the ROUTER socket; empty for none."""

    endpoint: str = "tcp://127.0.0.1:5557"


class ViewSettings(_Section, frozen=True):
    """The page.

    Attributes
    ----------
    enabled
        Serve the page.
    host, port
        Where; port 0 takes a free one. Any host but this computer needs a token.
    token
        Secret in the page's address that allows commands; empty: made at start and printed.
    read_only
        Nobody may send commands from the page.
    prometheus
        Serve the engine's numbers at ``/metrics``, for Prometheus to scrape.
    """

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8050
    token: str = ""
    read_only: bool = False
    prometheus: bool = True


class EngineSettings(_Section, frozen=True):
    """The engine itself.

    Attributes
    ----------
    queue_mib
        Counts that may wait for the recorder, MiB.
    stall_s
        Silence after which a scan counts as stalled, seconds (or 5 dwells, if longer).
    seed
        Seed of everything random.
    """

    queue_mib: Annotated[float, Meta(ge=1, le=65_536)] = 128.0
    stall_s: Annotated[float, Meta(gt=0)] = 3.0
    seed: int = 0


class Config(_Section, frozen=True):
    """The whole configuration: one field per section of the file."""

    stream: StreamSettings = StreamSettings()
    dectris: DectrisSettings | None = None
    karabo: KaraboSettings | None = None
    assemble: AssembleSettings = AssembleSettings()
    preprocess: PreprocessSettings = PreprocessSettings()
    decompose: DecomposeSettings = DecomposeSettings()
    cluster: ClusterSettings = ClusterSettings()
    classify: ClassifySettings = ClassifySettings()
    analysis: tuple[dict[str, Any], ...] = ()
    record: RecordSettings = RecordSettings()
    publish: PublishSettings = PublishSettings()
    control: ControlSettings = ControlSettings()
    view: ViewSettings = ViewSettings()
    engine: EngineSettings = EngineSettings()


_FIELDS = {field.name: field for field in msgspec.structs.fields(Config)}


def read(
    path: Path | None,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read a configuration file and what overrides it.

    Parameters
    ----------
    path
        The TOML file, or None for defaults alone.
    options
        ``section.key=value`` as given on the command line.
    environment
        Variables; those that begin with ``LIVE_EELS_`` count.

    Raises
    ------
    ConfigError
        If the file cannot be read or any section is wrong; every wrong section is named.
    """
    text = ""
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from error
    return parse(
        text, name=str(path or "configuration"), overrides=_overrides(options, environment)
    )


def parse(
    text: str,
    *,
    name: str = "configuration",
    overrides: Iterable[tuple[str, str, Any, str]] = (),
) -> Config:
    """Read a configuration from TOML text; see ``read``."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from error
    for section, key, value, _ in overrides:
        part = table.setdefault(section, {})
        if not isinstance(part, dict):
            raise ConfigError(f"{name}: [{section}] is not a table, so {key!r} cannot be set")
        part[key] = value
    errors, sections = [], {}
    for section, value in table.items():
        field = _FIELDS.get(section)
        if field is None:
            errors.append(_located(text, section, None, f"unknown section [{section}]", _FIELDS))
            continue
        try:
            sections[section] = msgspec.convert(value, field.type)
        except msgspec.ValidationError as error:
            errors.append(_explain(text, section, field.type, str(error)))
    if errors:
        raise ConfigError("\n".join(f"{name}: {error}" for error in errors))
    return Config(**sections)


def origins(
    config: Config, path: Path | None, options: Sequence[str], environment: Mapping[str, str] | None
) -> list[tuple[str, Any, str]]:
    """List every setting as ``(section.key, value, origin)``; origin as in the precedence."""
    table = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
    given = {(section, key): origin for section, key, _, origin in _overrides(options, environment)}
    rows: list[tuple[str, Any, str]] = []
    for section in _FIELDS:
        part = msgspec.to_builtins(getattr(config, section))
        if not isinstance(part, dict):
            rows.append((section, part, "file" if section in table else "default"))
            continue
        for key, value in part.items():
            origin = "file" if key in table.get(section, {}) else "default"
            rows.append((f"{section}.{key}", value, given.get((section, key), origin)))
    return rows


def schema() -> dict[str, Any]:
    """Give the JSON Schema of the file, for editors that complete TOML."""
    return msgspec.json.schema(Config)


def _overrides(
    options: Sequence[str], environment: Mapping[str, str] | None
) -> list[tuple[str, str, Any, str]]:
    found = []
    for variable, value in sorted((environment or {}).items()):
        section, _, key = variable.removeprefix(PREFIX).lower().partition("__")
        if variable.startswith(PREFIX) and key:
            found.append((section, key, _value(value), f"environment {variable}"))
    for option in options:
        target, equals, value = option.partition("=")
        section, dot, key = target.strip().partition(".")
        if not (equals and dot and section and key):
            raise ConfigError(f"--set {option}: write it as section.key=value")
        found.append((section, key, _value(value.strip()), "option"))
    return found


def _value(text: str) -> Any:
    """Read a value as TOML would; what is not TOML is a plain string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(text: str, section: str, struct: Any, message: str) -> str:
    unknown = re.search(r"unknown field `([^`]+)`", message)
    if unknown:
        key = unknown[1]
        return _located(text, section, key, f"unknown setting `{key}`", _known(struct))
    where = re.search(r" - at `\$((?:\.|\[)[^`]*)`", message)
    key = where[1].lstrip(".") if where else None
    plain = message.split(" - at ")[0]
    named = f"`{key}`: {plain}" if key else plain
    return _located(text, section, key, named, ())


def _known(struct: Any) -> Iterable[str]:
    structs = [struct, *getattr(struct, "__args__", ())]
    for kind in structs:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return [field.name for field in msgspec.structs.fields(kind)]
    return ()


def _located(text: str, section: str, key: str | None, message: str, known: Iterable[str]) -> str:
    """Put section, line and the nearest known name to an error message."""
    line = _line(text, section, key)
    place = f"[{section}]" + (f" line {line}" if line else "")
    near = difflib.get_close_matches(key or section, list(known), n=1)
    hint = f"; did you mean `{near[0]}`?" if near else ""
    return f"{place}: {message}{hint}"


def _line(text: str, section: str, key: str | None) -> int | None:
    here = False
    first = re.split(r"[.\[]", key)[0] if key else ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([\w.-]+)\s*\]+", line)
        if header:
            here = header[1].split(".")[0] == section
            if here and key is None:
                return number
        elif here and key and re.match(rf"\s*{re.escape(first)}\s*=", line):
            return number
    return None
