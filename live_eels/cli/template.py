"""A commented configuration file, written from the settings themselves.

What a setting means stands once, in the docstring of its section; this reads it there.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any

import msgspec

from live_eels.config import Config

_INTRO = """\
# live_eels configuration. Every line that begins with '#' shows a default; take the '#' away
# to change it. Lines marked CHANGE ME are the ones a new set-up needs.
# Check it with `live-eels check THIS_FILE`, try it with `live-eels doctor THIS_FILE`.
"""

_CHANGE = {("stream", "endpoint"), ("record", "folder")}


def template(source: str = "live_eels") -> str:
    """Write a configuration with every setting, its meaning and its default.

    Parameters
    ----------
    source
        ``live_eels``, ``dectris`` or ``karabo``: the format of the stream.
    """
    parts = [_INTRO]
    for field in msgspec.structs.fields(Config):
        if field.name in ("dectris", "karabo"):
            if field.name == source:
                parts.append(_foreign(field.name, field.type))
            continue
        if field.name == "analysis":
            parts.append(_ANALYSIS)
            continue
        given = {"format": source} if field.name == "stream" and source != "live_eels" else {}
        parts.append(_section(field.name, field.default, given))
    return "\n".join(parts)


_ANALYSIS = """\
# Maps of your own choice, one [[analysis]] table each; `live-eels config analyses` lists them,
# `live-eels config analyses element` writes one out with all its settings.
#   [[analysis]]
#   kind = "element"
#   edge = "Mn L"
"""


def analysis_table(kind: str, made: Any) -> str:
    """An ``[[analysis]]`` table of this kind with every setting, its meaning and its default.

    Parameters
    ----------
    kind
        Name of its entry point.
    made
        The class: its docstring says what it is for, its ``Settings`` what can be set.
    """
    about = re.split(r"\n\s*\n", inspect.getdoc(made) or "")
    lines = [line for part in about for line in _commented(_plain(" ".join(part.split())))]
    lines += ["[[analysis]]", f"kind = {_toml(kind)}"]
    docs = _docs(made.Settings)
    for field in msgspec.structs.fields(made.Settings):
        lines += _commented(docs.get(field.name, ""))
        if field.required:
            text = "[]" if "tuple" in str(field.type) else '""'
            lines.append(f"{field.name} = {text}    # CHANGE ME")
        elif field.default is None:
            lines.append(f"# {_unset(field)}")
        else:
            default = field.default
            if default is msgspec.NODEFAULT:
                default = field.default_factory()
            lines.append(f"# {field.name} = {_toml(default)}")
    return "\n".join(lines) + "\n"


def _section(name: str, defaults: Any, given: dict[str, Any]) -> str:
    docs = _docs(type(defaults))
    lines = [f"[{name}]"]
    for field in msgspec.structs.fields(type(defaults)):
        value = given.get(field.name, getattr(defaults, field.name))
        change = (name, field.name) in _CHANGE
        lines += _commented(docs.get(field.name, ""))
        written = f"{field.name} = {_toml(value)}" if value is not None else _unset(field)
        active = change or field.name in given
        lines.append((written if active else f"# {written}") + ("    # CHANGE ME" * change))
    return "\n".join(lines) + "\n"


def _foreign(name: str, kind: Any) -> str:
    """The section of a foreign format; what has no default must be filled in."""
    struct = next(k for k in kind.__args__ if isinstance(k, type) and k is not type(None))
    docs = _docs(struct)
    lines = [f"[{name}]"]
    for field in msgspec.structs.fields(struct):
        lines += _commented(docs.get(field.name, ""))
        if field.required:
            lines.append(f"{field.name} = {_EXAMPLES.get((name, field.name), '0')}    # CHANGE ME")
        else:
            value = field.default if field.default is not msgspec.NODEFAULT else None
            example = _EXAMPLES.get((name, field.name))
            if example is not None:
                lines.append(f"# {field.name} = {example}    # an example: not set")
            elif value is None:
                lines.append(f"# {_unset(field)}")
            else:
                lines.append(f"# {field.name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


_INSTRUMENT = "{ beam_energy_kev = 200.0, convergence_mrad = 20.0, collection_mrad = 40.0 }"
_EXAMPLES = {
    ("dectris", "low"): "{ offset_ev = -20.0, dispersion_ev = 0.25 }",
    ("dectris", "instrument"): _INSTRUMENT,
    ("karabo", "instrument"): _INSTRUMENT,
    ("karabo", "navigation"): '[{ name = "y", size = 64 }, { name = "x", size = 64 }]',
    ("karabo", "low"): (
        '{ source = "SPECTROMETER/LOW", key = "spectra", offset_ev = -20.0, dispersion_ev = 0.25 }'
    ),
    ("karabo", "pixel"): '{ source = "SCAN/GENERATOR", key = "pixel" }',
    ("karabo", "scan"): '{ source = "SCAN/GENERATOR", key = "scan" }',
    ("dectris", "navigation"): '[{ name = "y", size = 64 }, { name = "x", size = 64 }]',
    ("dectris", "core"): "{ offset_ev = 400.0, dispersion_ev = 0.25 }",
    ("karabo", "core"): (
        '{ source = "SPECTROMETER/DETECTOR", key = "spectra", '
        "offset_ev = 400.0, dispersion_ev = 0.25 }"
    ),
}


def _commented(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 90)]


def _docs(struct: type) -> dict[str, str]:
    """Meaning of each field, from the numpydoc sections of the class docstring."""
    text = inspect.getdoc(struct) or ""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        entry = re.fullmatch(r"(\w+(?:, \w+)*)(?: : .*)?", line)
        if entry:
            names = entry[1].split(", ")
        elif line.startswith("    ") and names:
            for name in names:
                found[name] = (found.get(name, "") + " " + line.strip()).strip()
        elif not line.strip():
            continue
        else:
            names = []
    return {name: _plain(text) for name, text in found.items()}


def _plain(text: str) -> str:
    """Without the marks of reStructuredText; what has quotes of its own gets no others."""
    text = re.sub(r"``([^`]*\"[^`]*)``", r"\1", text).replace("``", '"')
    return re.sub(r"\bNone\b(?=:| lets)", "not set", text)


def _unset(field: msgspec.structs.FieldInfo) -> str:
    """A setting that has no default, with a value of the right kind to put another in place."""
    kind = str(field.type)
    example = "[600.0, 700.0]" if "tuple" in kind else "2" if "int" in kind else '""'
    example = "0.5" if "float" in kind and "tuple" not in kind else example
    return f"{field.name} = {example}    # an example: not set"


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case dict():
            return "{" + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case int() | float():
            return repr(value)
        case _:
            return _toml(str(value))
