"""The command line: parses, calls, prints.

Each command lives in one of the files beside this one and is imported when it is used, so
that ``--help`` costs no numba and no onnxruntime. Errors of the user, of a file or of the
stream are one line that says what to do next; anything else is our bug and shows as one.

Exit codes: 0 done, 1 our bug, 2 usage or configuration, 3 the stream's fault, 4 a file's or
a model's, 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, NoReturn

import click

from live_eels import __version__

_COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module:function, one line of help)
    "demo": ("running:demo", "Simulated spectrometer, engine and page, in one command."),
    "run": ("running:run", "Listen to a stream and analyse it."),
    "replay": ("sending:replay", "Stream a recorded spectrum image as if it were acquired."),
    "simulate": ("sending:simulate", "The spectrometer that isn't there, on a socket."),
    "process": ("files:process", "Analyse a file with the same pipeline, as fast as it goes."),
    "info": ("files:info", "What is in a recording, what is missing, is it sound."),
    "view": ("asking:view", "Serve the page of an engine that runs on another machine."),
    "status": ("asking:status", "Ask a running engine how it is."),
    "send": ("asking:send", "Give a running engine a command."),
    "check": ("configuring:check", "Check a configuration file."),
    "config": ("configuring:config", "Make, check and explain configuration files."),
    "doctor": ("health:doctor", "Is this computer fit, and can it hear the sender?"),
    "bench": ("health:bench", "How many spectra per second this computer keeps up with."),
    "models": ("modelling:models", "List and inspect the models that label."),
    "train": ("modelling:train", "Train a model, or add your lab's standards to one."),
    "evaluate": ("modelling:evaluate", "Test a model on spectra, with a report."),
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, function = _COMMANDS[name][0].split(":")
        command: click.Command = getattr(
            importlib.import_module(f"live_eels.cli.{module}"), function
        )
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
    epilog="Begin with `live-eels demo`: it needs no file, no network and no configuration.",
)
@click.version_option(__version__, prog_name="live-eels")
def cli() -> None:
    """Live analysis of EELS spectrum images while the beam is still moving.

    \b
    First time          live-eels demo
    Your own detector   live-eels config new my.toml; live-eels doctor my.toml
                        live-eels run my.toml
    A file you have     live-eels process scan.hspy
    """


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    code: Any = 0
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        _fail("interrupted", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except Exception as error:
        code = _code_of(error)
        if code == 1:
            click.echo(
                "This is a bug in live_eels; please report it with the lines below.", err=True
            )
            raise
        _fail(str(error), code)
    sys.exit(code if isinstance(code, int) else 0)  # an int is what a command exits with


_FAULTS: dict[str, int] = {
    "ConfigError": 2,
    "AnalysisError": 2,
    "WindowError": 2,
    "SceneError": 2,
    "FaultError": 2,
    "SocketError": 3,
    "EngineGone": 3,
    "FileError": 4,
    "RecorderError": 4,
    "ModelError": 4,
    "EvaluationError": 4,
    "TrainingError": 4,
    "Interrupted": 130,
}
"""Exit code by the name of the error class; by name, so that nothing heavy is imported."""


def _code_of(error: BaseException) -> int:
    names = (kind.__name__ for kind in type(error).__mro__ if kind.__module__[:9] == "live_eels")
    return next((_FAULTS[name] for name in names if name in _FAULTS), 1)


def _fail(text: str, code: int) -> NoReturn:
    click.secho(f"live-eels: {text}", fg="red", err=True)
    sys.exit(code)


def lazy_types() -> dict[str, Any]:
    """The commands by name, for the test that every one of them can be imported."""
    return {name: cli.get_command(click.Context(cli), name) for name in _COMMANDS}
