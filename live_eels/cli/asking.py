"""``status``, ``send`` and ``view``: talk to a running engine."""

from __future__ import annotations

import sys
import time
from typing import Any

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from live_eels import control
from live_eels.io.client import ask

control_option = click.option(
    "--endpoint", default="tcp://127.0.0.1:5557", show_default=True,
    envvar="LIVE_EELS_CONTROL__ENDPOINT", help="The engine's control.endpoint.",
)  # fmt: skip


@click.command()
@control_option
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON, for monitoring.")
@click.option("--watch", is_flag=True, help="Ask again every second until Ctrl-C.")
def status(endpoint: str, as_json: bool, watch: bool) -> None:
    """Ask a running engine how it is."""
    while True:
        reply = ask(endpoint, control.GetStatus(), timeout_s=5.0)
        assert isinstance(reply, control.Status)
        if as_json:
            click.echo(msgspec.json.encode(reply).decode())
        else:
            _print(reply)
        if not watch:
            return
        time.sleep(1.0)


def _print(status: control.Status) -> None:
    from live_eels.cli.terminal import lines

    for line in lines(status):
        click.echo(line)
    rows = {
        "title": status.title,
        "pixels": f"{status.pixels_received} received, {status.pixels_recorded} recorded, "
        f"{status.pixels_analysed} analysed of {status.pixels_total}",
        "stream": f"{status.gaps} gaps, {status.missing_messages} messages missing, "
        f"{status.duplicates} duplicates, {status.late} late, {status.wire_errors} unreadable",
        "model": status.model,
        "stages": ", ".join(f"{s.stage} {s.us_per_spectrum:.0f} us" for s in status.stages),
        "recording": status.recording_path if status.recording else "not kept",
    }
    for name, value in rows.items():
        if value and status.state != "waiting":
            click.echo(f"  {name:10s} {value}")
    for alarm in status.alarms:
        click.secho(f"  ! {alarm}", fg="yellow")


@click.command()
@click.argument("command")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@control_option
def send(command: str, fields: tuple[str, ...], endpoint: str) -> None:
    """Give a running engine a command.

    \b
    live-eels send set_clusters k=5
    live-eels send set_model model=mn-fe-conv
    live-eels send add_window_map name=oxygen 'signal_ev=[530,560]' 'fit_ev=[490,525]'
    live-eels send record on=false
    live-eels send get_spectrum 'pixels=[0,1,2]' > spectrum.csv
    live-eels send get_window_map 'signal_ev=[640,660]' 'fit_ev=[600,635]' > map.csv
    live-eels send stop
    """
    message: dict[str, Any] = {"command": command}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            raise click.UsageError(f"{field!r}: write FIELD=VALUE")
        try:
            message[name] = msgspec.json.decode(value.encode())
        except msgspec.DecodeError:
            message[name] = value
    try:
        decoded = control.decode(msgspec.json.encode(message))
    except control.ControlError as error:
        raise click.UsageError(f"{command}: {error}") from error
    reply = ask(endpoint, decoded)
    match reply:
        case control.Ok():
            click.echo(reply.message)
        case control.Refused():
            raise click.ClickException(reply.error)
        case control.Status():
            _print(reply)
        case control.Spectrum():
            _print_spectrum(reply)
        case control.WindowMap():
            rows = np.frombuffer(reply.values, "<f4").reshape(-1, reply.shape[-1])
            np.savetxt(sys.stdout, rows, fmt="%.6g", delimiter=",")


def _print_spectrum(reply: control.Spectrum) -> None:
    """CSV: raw counts (mean over the pixels) with their scatter, and the processed curves."""
    columns: dict[str, NDArray[Any]] = {"counts": np.frombuffer(reply.raw, "<f4")}
    steps_ev = reply.dispersion_ev * np.arange(len(columns["counts"]))
    columns = {"energy_ev": reply.offset_ev + steps_ev} | columns
    if reply.error is not None:
        columns["error"] = np.frombuffer(reply.error, "<f4")
    if reply.processed_offset_ev is not None:
        columns["processed_energy_ev"] = reply.processed_offset_ev + steps_ev
        for name in ("processed", "background", "signal"):
            if (curve := getattr(reply, name)) is not None:
                columns[name] = np.frombuffer(curve, "<f4")
    if reply.note:
        click.echo(reply.note, err=True)
    click.echo(",".join(columns))
    rows = np.column_stack(list(columns.values()))
    np.savetxt(sys.stdout, rows, fmt="%.7g", delimiter=",")


@click.command()
@click.argument("address")
@click.option("--control", "control_endpoint", help="The engine's control.endpoint [port + 1].")
@click.option("--port", type=int, default=8050, show_default=True, help="Port of the page here.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the page is served.")
@click.option("--read-only", is_flag=True, help="Nobody may give commands from this page.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
def view(
    address: str,
    control_endpoint: str | None,
    port: int,
    host: str,
    read_only: bool,
    open_page: bool,
) -> None:
    """Serve the page of an engine that runs on another machine.

    ADDRESS is the engine's publish.endpoint as seen from here, such as
    tcp://microscope-pc:5556. The engine must publish on an address that can be reached.
    """
    import asyncio
    import threading
    import webbrowser

    from live_eels.app.remote import RemoteEngine
    from live_eels.io.viewer import Viewer

    if control_endpoint is None:
        stem, _, number = address.rpartition(":")
        if not number.isdigit():
            raise click.UsageError("give --control, the engine's control.endpoint")
        control_endpoint = f"{stem}:{int(number) + 1}"
    engine = RemoteEngine(address, control_endpoint)
    thread = threading.Thread(target=engine.run, name="maps")
    thread.start()

    async def page() -> None:
        viewer = Viewer(engine, host, port, read_only=read_only)
        url = await viewer.start()
        click.echo(f"  page     {url}\n  engine   {address}, commands to {control_endpoint}")
        if open_page:
            webbrowser.open(url)
        try:
            await asyncio.Event().wait()
        finally:
            await viewer.stop()

    try:
        asyncio.run(page())
    except KeyboardInterrupt:
        pass
    finally:
        engine.stop()
        thread.join()
