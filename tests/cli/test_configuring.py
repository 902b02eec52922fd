"""``config`` and ``check``: files are made, never overwritten, and judged before beam time."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from live_eels.cli import cli
from live_eels.cli.template import template
from live_eels.config import Config, ConfigError, parse
from live_eels.model_card import ModelError


def invoke(*arguments: object):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def test_a_file_that_is_there_is_overwritten_only_by_force(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text("mine")
    refused = invoke("config", "new", path)
    assert refused.exit_code == 2
    assert "--force" in refused.output
    assert path.read_text() == "mine"
    assert invoke("config", "new", path, "--force", "--source", "karabo").exit_code == 0
    assert "[karabo]" in path.read_text()


@pytest.mark.parametrize("source", ["live_eels", "dectris", "karabo"])
def test_a_new_file_changes_no_default(source):
    """What is not commented out is what a new set-up must fill in, at its default."""
    text = template(source)
    marked = [
        line.split(" = ")[0].lstrip("# ") for line in text.splitlines() if "CHANGE ME" in line
    ]
    assert {"endpoint", "folder"} <= set(marked)
    made, plain = parse(text), Config()
    assert made.stream.format == source
    for section in ("assemble", "preprocess", "decompose", "cluster", "classify", "record", "view"):
        assert getattr(made, section) == getattr(plain, section)
    assert (made.dectris is not None, made.karabo is not None) == (
        source == "dectris", source == "karabo",
    )  # fmt: skip
    assert set(tomllib.loads(text)) >= {"stream", "record"}


def test_text_is_written_so_that_it_is_read_back():
    from live_eels.cli.template import _toml

    for value in ("C:\\data", 'say "hello"', True, 3, 2.5, [1, 2], (0.5, 1.0), ""):
        read = tomllib.loads(f"value = {_toml(value)}")["value"]
        assert read == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('[classify]\nmodel = "nobody"\n', ModelError),
        ('[stream]\nformat = "dectris"\n', ConfigError),
        ('[stream]\nformat = "karabo"\n', ConfigError),
        ('[[analysis]]\nkind = "magic"\n', Exception),
        ('[preprocess]\nedges = ["Mn L", "Zz K"]\n', ConfigError),
        ('[preprocess]\nalign_edges = ["Mn Q"]\n', ConfigError),
    ],
)
def test_check_tries_what_can_be_tried_without_a_microscope(tmp_path, text, kind):
    path = tmp_path / "my.toml"
    path.write_text(text)
    done = invoke("check", path)
    assert isinstance(done.exception, kind)
    assert not isinstance(done.exception, SystemExit)
    path.write_text("")
    assert "good" in invoke("check", path).output


def test_check_says_what_would_be_done(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(
        '[stream]\nbind = true\npattern = "PULL"\n[record]\nkeep = false\n'
        '[[analysis]]\nkind = "thickness"\n'
    )
    text = " ".join(invoke("check", path).output.split())
    for part in ("PULL listens at tcp://127.0.0.1:5555", "Thickness", "record not kept"):
        assert part in text


def test_installed_analyses_are_listed():
    listed = invoke("config", "analyses").output
    for name in ("element", "thickness", "white_lines"):
        assert name in listed


def test_the_table_of_one_analysis_holds_all_its_settings():
    from live_eels.analyses import kinds

    for kind, point in kinds().items():
        text = invoke("config", "analyses", kind).output
        written = [line.removeprefix("# ") for line in text.splitlines() if " = " in line]
        names = {line.split(" = ")[0] for line in written}
        assert {"kind", *point.load().Settings.__struct_fields__} <= names
        assert tomllib.loads(text)["analysis"][0]["kind"] == kind
        assert "None" not in text
        settings = [line for line in written if "    # an example" not in line]
        whole = "\n".join(line for line in settings if re.fullmatch(r"\w+ = .*", line))
        tomllib.loads(whole)
    refused = invoke("config", "analyses", "magic")
    assert refused.exit_code == 2
    assert "thickness" in refused.output


def test_show_takes_the_file_too(tmp_path):
    path: Path = tmp_path / "my.toml"
    path.write_text("[view]\nport = 9999\n")
    rows = invoke("config", "show", path).output.splitlines()
    (port,) = [row for row in rows if row.startswith("view.port")]
    assert "9999" in port
    assert port.endswith("# file")
