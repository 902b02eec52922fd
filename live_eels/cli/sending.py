"""``simulate`` and ``replay``: senders, for trying things before beam time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from live_eels.cli.options import Rate, Shape, low_loss_option
from live_eels.spectra import Scan, ScanEnd, Spectra

if TYPE_CHECKING:
    from live_eels.simulators.acquire import Acquisition
    from live_eels.simulators.send import Prepared

Message = Scan | Spectra | ScanEnd

_SENDER_OPTIONS = (
    click.option(
        "--endpoint", default="tcp://127.0.0.1:5555", show_default=True, help="ZeroMQ address."
    ),
    click.option(
        "--pattern", type=click.Choice(["PUB", "PUSH"]), default="PUB", show_default=True,
        help="PUB loses what nobody hears; PUSH waits for the engine.",
    ),
    click.option(
        "--connect", is_flag=True, help="Connect to the address instead of listening at it."
    ),
    click.option(
        "--settle", type=click.FloatRange(0, 60), default=1.0, show_default=True,
        help="Seconds for subscribers to connect before the first message.",
    ),
    click.option(
        "--chunk", type=click.IntRange(1, 65536), default=16, show_default=True,
        help="Spectra per message.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Sender:
    """Where and how to send, as given on the command line."""

    endpoint: str
    pattern: Literal["PUB", "PUSH"]
    connect: bool
    settle: float
    chunk: int

    def send(self, messages: Iterable[Message | Prepared], rate: float | None) -> str:
        """Send all messages, ``rate`` spectra per second; returns what went out, in words."""
        from live_eels.simulators.send import send

        sent = send(
            messages, self.endpoint,
            pattern=self.pattern, bind=not self.connect, rate=rate, settle_s=self.settle,
        )  # fmt: skip
        return (
            f"{sent.visits} spectra in {sent.seconds:.1f} s ({sent.rate:.0f}/s) to {self.endpoint}"
        )


def sender_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of everything that plays a detector, as one `Sender`."""

    @wraps(command)
    def with_sender(**given: Any) -> None:
        where_and_how = {field.name: given.pop(field.name) for field in fields(Sender)}
        command(sender=Sender(**where_and_how), **given)

    for option in reversed(_SENDER_OPTIONS):
        with_sender = option(with_sender)
    return with_sender


@click.command()
@click.option("--scene", default="core_shell", show_default=True, help="Scene name or TOML file.")
@click.option("--list", "list_scenes", is_flag=True, help="List scenes and faults, and exit.")
@click.option("--scan", "shape", type=Shape(), help="Another scan shape, same field of view.")
@sender_options
@click.option("--rate", type=Rate(), help="Spectra per second, or max [the scene's dwell time].")
@click.option(
    "--scans",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Scans one after another, each with the next seed.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@click.option("--faults", help="Faults on demand, such as `lossy` (see --list).")
@click.option("--gallery", type=click.Path(path_type=Path), help="Draw a gallery into a folder.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
def simulate(
    scene: str,
    list_scenes: bool,
    shape: tuple[int, ...] | None,
    sender: Sender,
    rate: float | None,
    scans: int,
    seed: int,
    faults: str | None,
    gallery: Path | None,
    quiet: bool,
) -> None:
    """The spectrometer that isn't there: simulated scans on a socket.

    \b
    live-eels simulate --scene core_shell --rate 2000      and in another terminal
    live-eels run
    """
    from live_eels.simulators.faults import PRESETS, with_faults
    from live_eels.simulators.scene import load_scene, scene_names

    if list_scenes:
        for name in scene_names():
            click.echo(f"{name:20s} {load_scene(name).title}")
        click.echo(f"faults: {', '.join(PRESETS)}")
        return
    if gallery is not None:
        from live_eels.simulators.gallery import make_gallery

        for path in make_gallery(gallery):
            click.echo(path)
        return
    given = click.get_current_context().get_parameter_source("rate")
    if given is not None and given.name == "DEFAULT":
        rate = 1.0 / load_scene(scene).microscope.dwell_s
    for number in range(scans):
        acquisition = simulated(scene, shape, seed + number)
        plain = stamped(acquisition.messages(sender.chunk))
        messages: Iterable[Message | Prepared] = (
            with_faults(plain, faults, seed + number) if faults else plain
        )
        sent = sender.send(messages, rate)
        if not quiet:
            click.echo(f"scan {number + 1}: {sent}")


def simulated(scene: str, shape: tuple[int, ...] | None, seed: int) -> Acquisition:
    """An acquisition of a scene; another shape keeps the field of view."""
    from live_eels.simulators.acquire import Acquisition
    from live_eels.simulators.scene import load_scene

    loaded = load_scene(scene)
    if shape is not None and loaded.scan.shape:
        step_nm = loaded.scan.step_nm * loaded.scan.shape[-1] / shape[-1]
        loaded = loaded.changed(scan={"shape": list(shape), "step_nm": step_nm})
    return Acquisition(loaded, seed=seed, start_s=time.time())


def stamped(messages: Iterable[Message]) -> Iterator[Message]:
    """Give each message the time at which it goes out, as a detector would."""
    for message in messages:
        if isinstance(message, Spectra):
            yield replace(message, clock_s=time.time())
        else:
            yield message


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@low_loss_option
@sender_options
@click.option(
    "--rate", type=Rate(), default="1000", show_default=True, help="Spectra per second, or max."
)
@click.option(
    "--repeat",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Send it so many times, as scans one after another.",
)
def replay(
    file: Path,
    low_loss: Path | None,
    sender: Sender,
    rate: float | None,
    repeat: int,
) -> None:
    """Stream a recorded spectrum image as if it were acquired.

    FILE is a .hspy file (a recording of ours, or any that HyperSpy wrote); .dm3, .dm4, .msa,
    .nxs, .emd and others need `pip install "live-eels[formats]"`.
    """
    from live_eels.io.reader import open_recording

    with open_recording(file, low_loss) as recording:
        for _ in range(repeat):
            sent = sender.send(stamped(recording.messages(sender.chunk)), rate)
            click.echo(f"{file.name}: {sent}")
