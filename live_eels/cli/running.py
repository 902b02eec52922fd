"""``demo`` and ``run``: the engine in the terminal."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from live_eels import config as configuration
from live_eels.app.engine import Engine
from live_eels.app.serve import serve
from live_eels.app.session import Session
from live_eels.cli.options import Rate, Shape, set_option
from live_eels.cli.terminal import Progress, console, summary
from live_eels.config import Config
from live_eels.io.pictures import save_maps


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), required=False)
@set_option
@click.option("--out", type=click.Path(path_type=Path), help="Folder for recordings and pictures.")
@click.option("--scans", type=click.IntRange(1), help="Stop after so many scans.")
@click.option("--headless", is_flag=True, help="No page.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option("--no-pictures", is_flag=True, help="Write no PNG maps at the end of a scan.")
def run(
    config: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
    scans: int | None,
    headless: bool,
    open_page: bool,
    no_pictures: bool,
) -> None:
    """Listen to a stream and analyse every scan that comes.

    CONFIG is a TOML file (`live-eels config new` writes one); without it the defaults hold:
    a SUB socket connected to tcp://127.0.0.1:5555.

    Ctrl-C finishes the recording of the scan in progress; a second one stops at once.
    """
    options = [*overrides]
    if out is not None:
        options.append(f"record.folder={msgspec.json.encode(str(out)).decode()}")
    if headless:
        options.append("view.enabled=false")
    settings = configuration.read(config, options, os.environ)
    engine = Engine(settings)
    _run(engine, scans=scans, open_page=open_page, pictures=not no_pictures)


@click.command()
@click.option("--scene", "--specimen", default="core_shell", help="Scene name or TOML file.")
@click.option("--scan", "shape", type=Shape(), help="Scan shape, such as 64x64.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("live_eels_demo"),
    show_default=True,
    help="Folder for recordings and pictures.",
)
@click.option("--headless", is_flag=True, help="No page; one scan; compare with the truth; exit.")
@click.option("--no-browser", is_flag=True, help="Serve the page but do not open a browser.")
@click.option("--scans", type=click.IntRange(1), help="How many scans [1 headless, else 3].")
@click.option(
    "--rate", type=Rate(), default="1000", show_default=True, help="Spectra per second, or max."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the simulation.")
@click.option("--port", type=int, default=8050, show_default=True, help="Port of the page.")
@click.option("--check", is_flag=True, help="Exit 1 unless maps and truth agree.")
@set_option
def demo(
    scene: str,
    shape: tuple[int, ...] | None,
    out: Path,
    headless: bool,
    no_browser: bool,
    scans: int | None,
    rate: float | None,
    seed: int,
    port: int,
    check: bool,
    overrides: tuple[str, ...],
) -> None:
    """Simulated spectrometer, engine and page, in one command, on free ports.

    Everything is real but the spectrometer: spectra travel over ZeroMQ, are recorded,
    analysed and shown. At the end the maps are compared with the simulator's truth.
    """
    from live_eels.simulators.scene import load_scene

    load_scene(scene)  # a wrong name is said before anything starts
    scans = scans or (1 if headless else 3)
    options = [
        'stream.endpoint="tcp://127.0.0.1:0"', 'stream.pattern="PULL"', "stream.bind=true",
        'publish.endpoint="tcp://127.0.0.1:0"', 'control.endpoint="tcp://127.0.0.1:0"',
        f"view.port={_free(port)}", f"view.enabled={'false' if headless else 'true'}",
        f"record.folder={msgspec.json.encode(str(out)).decode()}",
        *overrides,
    ]  # fmt: skip
    engine = Engine(configuration.read(None, options))
    agreed = True
    arguments = ["--scene", scene, "--seed", str(seed), "--rate", str(rate or "max")]
    if shape:
        arguments += ["--scan", "x".join(map(str, shape))]
    console.print(f"live_eels demo: {scene}, {scans} scan{'s' if scans > 1 else ''}")
    with _sender(engine.receiver.address, [*arguments, "--scans", str(scans)]):
        sessions = _run(
            engine,
            # A page stays until Ctrl-C, unless nobody is there to press it.
            scans=scans if headless or not sys.stdin.isatty() else None,
            open_page=not (headless or no_browser),
            pictures=True,
        )
    for number, session in enumerate(sessions):
        if session.finished and session.snapshot is not None:
            agreed &= _compare(session, scene, shape, seed + number)
    if check and not agreed:
        raise click.exceptions.Exit(1)


def _run(engine: Engine, *, scans: int | None, open_page: bool, pictures: bool) -> list[Session]:
    """Run an engine with progress on the terminal; say what became of each scan."""
    config = engine.config
    done: list[Session] = []

    def finished(session: Session) -> None:
        folder = Path(config.record.folder)
        written: list[Path] = []
        if pictures and session.snapshot is not None and session.keep:
            stem = session.path.stem if session.path else f"scan_{session.number}"
            written = save_maps(session.snapshot, folder / f"{stem}_maps")
        done.append(session)
        summary(session, written)

    def started(url: str) -> None:
        _say_where(engine, config, url)
        if open_page and url:
            webbrowser.open(url)

    engine.on_finished(finished)
    with Progress() as progress:
        serve(
            engine,
            started=started,
            tick=progress.tick,
            stop_when=lambda: scans is not None and engine.finished_scans >= scans,
            stopping=lambda: console.print(
                "  finishing the recording (Ctrl-C again to stop at once) ..."
            ),
        )
    if not done:
        console.print("  no scan came.")
    return done


def _say_where(engine: Engine, config: Config, url: str) -> None:
    console.print(f"  stream   {engine.receiver.address}  ({config.stream.pattern})")
    if engine.publisher is not None:
        console.print(f"  maps     {engine.publisher.endpoint}  (PUB)")
    if url:
        console.print(f"  page     {url}", soft_wrap=True)
        port = url.split(":")[2].split("/")[0]
        console.print(f"  remote?  ssh -L {port}:localhost:{port} <this computer>", style="dim")
    console.print(f"  record   {Path(config.record.folder).resolve()}", soft_wrap=True)


@contextlib.contextmanager
def _sender(address: str, arguments: list[str]) -> Iterator[None]:
    """A simulated spectrometer in a process of its own, ended with the demo."""
    # -P: a folder named live_eels where the user stands must not shadow the installed one.
    process = subprocess.Popen(
        [
            sys.executable, "-P", "-m", "live_eels", "simulate", "--endpoint", address,
            "--connect", "--pattern", "PUSH", "--quiet", *arguments,
        ],
        stdout=subprocess.DEVNULL,
        # Ctrl-C is the engine's to handle; it ends its sender itself.
        start_new_session=os.name == "posix",
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def _free(port: int) -> int:
    """The port, or 0 (any free one) if somebody has it."""
    import socket

    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def _compare(session: Session, scene: str, shape: tuple[int, ...] | None, seed: int) -> bool:
    """Print how the maps agree with the truth; whether they do as well as they should."""
    from live_eels.app.compare import compare
    from live_eels.cli.sending import simulated
    from live_eels.simulators.truth import save, truth_path

    assert session.snapshot is not None
    truth = simulated(scene, shape, seed).truth
    agreement = compare(session.snapshot, truth.maps, truth.specs)
    console.print(f"  truth     {agreement.text}")
    if session.path is not None and session.keep:
        save(truth, session.scan, truth_path(session.path))
    return agreement.good
