"""Configuration: precedence, and errors that name section, line and remedy."""

from __future__ import annotations

import msgspec
import pytest

from live_eels.config import Config, ConfigError, origins, parse, read, schema


def test_an_empty_file_gives_the_defaults():
    assert parse("") == Config()


def test_every_wrong_section_is_named_with_line_and_nearest_key():
    text = "[decompose]\nwidth = 16\ncomponets = 4\n\n[view]\nport = 99999\n\n[preproces]\n"
    with pytest.raises(ConfigError) as error:
        parse(text, name="my.toml")
    message = str(error.value)
    assert "my.toml: [decompose] line 3: unknown setting `componets`; did you mean" in message
    assert "`components`?" in message
    assert "[view] line 6: `port`" in message
    assert "unknown section [preproces]; did you mean `preprocess`?" in message


def test_wrong_type_names_the_key():
    with pytest.raises(ConfigError, match=r"\[stream\] line 2: `bind`: Expected `bool`"):
        parse('[stream]\nbind = "yes"\n')


def test_unknown_settings_are_refused_in_every_section():
    for field in msgspec.structs.fields(Config):
        if field.name in ("dectris", "karabo", "analysis"):  # these need settings to be there
            continue
        with pytest.raises(
            ConfigError, match=rf"\[{field.name}\] line 2: unknown setting `colour`"
        ):
            parse(f"[{field.name}]\ncolour = 1\n")


def test_the_line_is_that_of_the_section_and_not_of_another():
    with pytest.raises(ConfigError, match=r"\[control\] line 4: `endpoint`"):
        parse('[publish]\nendpoint = ""\n[control]\nendpoint = 5\n')


@pytest.mark.parametrize(
    "text",
    ["[record]\nflush_s = 0", "[publish]\nrate_hz = 0", "[engine]\nstall_s = 0",
     "[stream]\nhigh_water_mark = 0", "[view]\nport = -1"],
)  # fmt: skip
def test_numbers_that_cannot_be_are_refused(text):
    with pytest.raises(ConfigError, match=r"line 2: `\w+`: Expected"):
        parse(text)


@pytest.mark.parametrize("name", ["{date}_{title}", "{time", "{0}", "{title.nothing}"])
def test_a_file_name_that_cannot_be_made_is_refused_at_once(name):
    with pytest.raises(ConfigError, match="may hold"):
        parse(f'[record]\nname = "{name}"\n')


@pytest.mark.parametrize("text", ["[stream", "a = = b", "\x00"])
def test_not_toml(text):
    with pytest.raises(ConfigError, match="not TOML"):
        parse(text)


def test_missing_file_is_the_users_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        read(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'[record]\nfolder = "\xe4"\n')
    with pytest.raises(ConfigError, match="cannot read"):
        read(tmp_path / "latin.toml")


def test_precedence_option_environment_file_default(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(
        '[[analysis]]\nkind = "window"\n[record]\nfolder = "file"\nname = "file"\nkeep = false\n'
    )
    environment = {
        "LIVE_EELS_RECORD__FOLDER": "environment",
        "LIVE_EELS_RECORD__NAME": "environment",
        "OTHER": "1",
        "RECORD__KEEP": "true",
    }
    config = read(path, ["record.folder=option"], environment)
    assert (config.record.folder, config.record.name) == ("option", "environment")
    assert config.record.keep is False
    assert config.record.flush_s == Config().record.flush_s
    rows = {n: o for n, _, o in origins(config, path, ["record.folder=option"], environment)}
    assert rows["record.folder"] == "option"
    assert rows["record.name"] == "environment LIVE_EELS_RECORD__NAME"
    assert rows["record.keep"] == rows["analysis"] == "file"
    assert rows["record.flush_s"] == "default"


@pytest.mark.parametrize("option", ["a", "a=1", ".b=1", "record.=1"])
def test_options_that_cannot_be_read(option):
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        read(None, [option])


def test_an_option_cannot_reach_into_a_list_of_tables(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('[[analysis]]\nkind = "window"\n')
    with pytest.raises(ConfigError, match=r"\[analysis\] is not a table"):
        read(path, ["analysis.kind=thickness"])


def test_option_values_are_toml_or_plain_text():
    config = read(None, ["preprocess.window_ev=[630, 670]", "record.folder=C:\\data"])
    assert config.preprocess.window_ev == (630.0, 670.0)
    assert config.record.folder == "C:\\data"


def test_schema_describes_every_section():
    text = msgspec.json.encode(schema()).decode()
    for field in msgspec.structs.fields(Config):
        assert f'"{field.name}"' in text
