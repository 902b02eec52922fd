"""One browser's conversation with the engine.

Lives here: what a page may ask (typed), and the answers. A request carries an ``id`` and a
``slot`` (the cursor, a region, the window); a newer request of the same slot takes the
place of the older one that has not begun, so a hand that moves fast never queues work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from aiohttp import web
from msgspec import Meta
from numpy.typing import NDArray

from live_eels import control
from live_eels.io import viewer_regions as regions
from live_eels.io.viewer_frame import FrameWriter
from live_eels.io.viewer_message import encode
from live_eels.spectra import QUALITY_FLAGS, MapSnapshot

if TYPE_CHECKING:
    from live_eels.io.viewer import SpectrumAnswer, Viewer

MAX_SLOTS = 48
THUMBNAIL = 64
"""Pixels of a side of a thumbnail, at most."""
STATUS_INTERVAL_S = 0.25
FRAME_INTERVAL_S = 0.045
"""20 frames a second at most, with room for the clock's jitter."""

Name = Annotated[str, Meta(max_length=64)]
ScanId = Annotated[str, Meta(max_length=256)]
Window = tuple[float, float]


class _Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    pass


class Hello(_Request, tag="hello"):
    """The first message: shows the token, if the page has one."""

    token: Annotated[str, Meta(max_length=256)] = ""


class Ready(_Request, tag="ready"):
    """The page has drawn what it had.

    ``want`` names the maps it shows (None for all); ``fresh`` says that it has nothing.
    """

    fresh: bool = False
    want: Annotated[list[Name], Meta(max_length=256)] | None = None
    scan: ScanId | None = None


class AskSpectrum(_Request, tag="spectrum"):
    """The mean spectrum of a region."""

    id: int
    slot: Name
    region: regions.AnyRegion
    scan: ScanId | None = None


class AskWindow(_Request, tag="window"):
    """The map of an energy window over everything that has come."""

    id: int
    signal: Window
    slot: Name = "window"
    fit: Window | None = None
    scan: ScanId | None = None


class AskThumbnail(_Request, tag="thumbnail"):
    """A small picture's worth of the first of these maps that an earlier scan has."""

    id: int
    slot: Name
    scan: ScanId
    maps: Annotated[list[Name], Meta(max_length=8)]


class AskCommand(_Request, tag="command"):
    """A command for the control channel, as JSON of `live_eels.control`."""

    id: int
    command: msgspec.Raw


Request = Hello | Ready | AskSpectrum | AskWindow | AskThumbnail | AskCommand
_requests = msgspec.json.Decoder(Request)


class Session:
    """One page, from connect to disconnect."""

    def __init__(self, viewer: Viewer, socket: web.WebSocketResponse) -> None:
        self._viewer = viewer
        self._socket = socket
        self._welcome = False
        self._control = False
        self._frame: asyncio.Task[None] | None = None
        self._slots: dict[str, asyncio.Task[None]] = {}
        self._next: dict[str, Callable[[], Awaitable[None]]] = {}
        self._sent_key: tuple[object, ...] = ()
        self._frames = FrameWriter(viewer)
        self._frame_at_s = 0.0
        self._status_at_s = 0.0

    async def close(self) -> None:
        """Stop everything under way for this page."""
        tasks = [task for task in (self._frame, *self._slots.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self._socket.closed:
            await self._socket.close(code=1001, message=b"the server stops")

    async def hear(self, text: str) -> bool:
        """Act on one message of the page; False where the connection is to end."""
        try:
            request = _requests.decode(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            await self.refuse(str(error))
            return True
        if isinstance(request, Hello):
            return await self._greet(request)
        if not self._welcome:
            await self._socket.close(code=4401, message=b"say hello with the token first")
            return False
        match request:
            case Ready():
                if self._frame is None or self._frame.done():
                    self._frame = asyncio.create_task(self._answer_ready(request))
            case AskSpectrum(slot=slot):
                await self._enqueue(f"spectrum {slot}", lambda: self._answer_spectrum(request))
            case AskWindow(slot=slot):
                await self._enqueue(f"window {slot}", lambda: self._answer_window(request))
            case AskThumbnail(slot=slot):
                await self._enqueue(f"thumbnail {slot}", lambda: self._answer_thumbnail(request))
            case AskCommand(id=number):
                await self._enqueue(f"command {number}", lambda: self._answer_command(request))
        return True

    async def refuse(self, why: str) -> None:
        """Tell the page that it was not understood."""
        await self._send({"type": "error", "error": why})

    async def _greet(self, request: Hello) -> bool:
        if not self._viewer.may_look(request.token):
            await self._socket.close(code=4401, message=b"this server needs its token")
            return False
        self._welcome = True
        self._control = self._viewer.may_command(request.token)
        await self._send(
            {
                "type": "welcome",
                "control": self._control,
                "read_only": self._viewer.read_only,
                "quality_flags": QUALITY_FLAGS,
                "clock_s": time.time(),
            }
        )
        return True

    async def _send(self, header: dict[str, Any], arrays: list[NDArray[Any]] | None = None) -> None:
        if not self._socket.closed:
            await self._socket.send_bytes(encode(header, arrays or []))

    # -- requests of a hand ---------------------------------------------------------------

    async def _enqueue(self, slot: str, work: Callable[[], Awaitable[None]]) -> None:
        if slot not in self._slots and len(self._slots) >= MAX_SLOTS:
            await self.refuse("too many requests at once")
            return
        self._next[slot] = work
        if slot not in self._slots:
            self._slots[slot] = asyncio.create_task(self._work_off(slot))

    async def _work_off(self, slot: str) -> None:
        try:
            while (work := self._next.pop(slot, None)) is not None:
                await work()
        except ConnectionError:
            pass  # the page went away while we answered
        finally:
            del self._slots[slot]

    async def _answer_spectrum(self, request: AskSpectrum) -> None:
        base = {"type": "spectrum", "id": request.id, "slot": request.slot}
        try:
            header, arrays = await self._viewer.in_thread(self._spectrum, request)
        except (ValueError, LookupError, OSError) as error:
            await self._send({**base, "error": _said(error)})
            return
        await self._send({**base, **header}, arrays)

    def _spectrum(self, request: AskSpectrum) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        snapshot = self._snapshot(request.scan)
        if snapshot is None:
            raise LookupError("no scan yet")
        if isinstance(request.region, regions.Cluster):
            chosen = snapshot.maps[request.region.map].ravel() == request.region.value
            pixels = np.flatnonzero(chosen).astype(np.int64)
        else:
            pixels = regions.pixels(request.region, snapshot.scan.shape)
        if not len(pixels):
            raise LookupError("no pixel lies in that region")
        return _packed(self._viewer.engine.spectrum(pixels, request.scan))

    async def _answer_window(self, request: AskWindow) -> None:
        base = {"type": "window", "id": request.id, "slot": request.slot}
        began = time.perf_counter()
        visits = self._viewer.engine.status().visits  # before the counts are read, not after
        try:
            values, snr = await self._viewer.in_thread(self._window, request)
        except (ValueError, LookupError, OSError) as error:
            await self._send({**base, "error": _said(error)})
            return
        took_ms = 1e3 * (time.perf_counter() - began)
        about = {"signal": request.signal, "fit": request.fit, "took_ms": took_ms}
        about |= {"snr": snr, "visits": visits}
        await self._send({**base, **about}, [values])

    def _window(self, request: AskWindow) -> tuple[NDArray[np.float32], float | None]:
        """Ask for the map of a window and its mean signal-to-noise ratio per pixel."""
        engine = self._viewer.engine
        net = np.asarray(engine.window_map(request.signal, request.fit, request.scan), np.float32)
        gross = net
        if request.fit is not None:
            gross = engine.window_map(request.signal, None, request.scan)
        seen = np.isfinite(net) & np.isfinite(gross)
        if not seen.any():
            return net, None
        # Poisson: the variance of gross counts, and once more of the background taken away.
        variance = float(np.mean(2 * gross[seen] - net[seen], dtype=np.float64))
        mean = float(np.mean(net[seen], dtype=np.float64))
        return net, mean / variance**0.5 if variance > 0 else None

    async def _answer_thumbnail(self, request: AskThumbnail) -> None:
        base = {"type": "thumbnail", "id": request.id, "slot": request.slot}
        snapshot = await self._find(request.scan)
        if snapshot is None or snapshot.scan.id != request.scan or not snapshot.maps:
            await self._send({**base, "error": "the maps of this scan are not kept any more"})
            return
        there = [name for name in request.maps if name in snapshot.maps]
        name = there[0] if there else next(iter(snapshot.maps))
        values = snapshot.maps[name]
        steps = tuple(slice(None, None, -(-size // THUMBNAIL)) for size in values.shape)
        spec = msgspec.to_builtins(snapshot.specs[name])
        await self._send({**base, "spec": spec}, [np.atleast_2d(values[steps])])

    async def _answer_command(self, request: AskCommand) -> None:
        base = {"type": "reply", "id": request.id}
        if not self._control:
            why = "this server takes no commands" if self._viewer.read_only else "no token: 403"
            await self._send({**base, "reply": {"reply": "refused", "error": why}})
            return
        try:
            command = control.decode(bytes(request.command))
            reply = await self._viewer.in_thread(self._viewer.engine.command, command)
        except (control.ControlError, ValueError, LookupError) as error:
            await self._send({**base, "reply": {"reply": "refused", "error": _said(error)}})
            return
        await self._send({**base, "reply": msgspec.to_builtins(reply)})

    # -- maps -----------------------------------------------------------------------------

    def _snapshot(self, scan_id: str | None) -> MapSnapshot | None:
        engine = self._viewer.engine
        newest = engine.snapshot()
        if scan_id is None or (newest is not None and newest.scan.id == scan_id):
            return newest
        return engine.snapshot_of(scan_id)

    async def _answer_ready(self, request: Ready) -> None:
        """Wait for something new, then send one frame; the page then asks again."""
        now = time.monotonic()
        if (early := self._frame_at_s + FRAME_INTERVAL_S - now) > 0:
            await asyncio.sleep(early)
        while True:
            news = self._viewer.news
            snapshot = await self._find(request.scan)
            key = (None if snapshot is None else id(snapshot), request.scan)
            until_status = self._status_at_s + STATUS_INTERVAL_S - time.monotonic()
            if key != self._sent_key or request.fresh or until_status <= 0:
                break
            try:
                await asyncio.wait_for(news.wait(), until_status)
            except TimeoutError:
                continue
        self._sent_key = key
        if request.fresh:
            self._frames = FrameWriter(self._viewer)
        self._frame_at_s = self._status_at_s = time.monotonic()
        loop, frames = asyncio.get_running_loop(), self._frames
        header, arrays = await loop.run_in_executor(
            self._viewer.frame_threads, frames.compose, snapshot, request.want
        )
        with suppress(ConnectionError):  # the page went away; the reader ends the session
            await self._send(header, arrays)

    async def _find(self, scan_id: str | None) -> MapSnapshot | None:
        newest = self._viewer.engine.snapshot()
        if scan_id is None or (newest is not None and newest.scan.id == scan_id):
            return newest
        try:
            found: MapSnapshot | None = await self._viewer.in_thread(
                self._viewer.engine.snapshot_of, scan_id
            )
        except (LookupError, OSError):
            return newest
        return found


def _packed(answer: SpectrumAnswer) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Put all curves of an answer on one energy axis, which is what can be drawn."""
    axis = answer.axis
    header: dict[str, Any] = {
        "axis": msgspec.to_builtins(axis),
        "n": answer.n,
        "asked": answer.asked,
        "visits": answer.visits,
        "note": answer.note,
        "curves": {},
    }
    arrays: list[NDArray[Any]] = []

    def add(name: str, values: NDArray[np.float32] | None, own: bool) -> None:
        if values is None:
            return
        if not own and answer.processed_axis not in (None, axis):
            assert answer.processed_axis is not None
            there_ev = answer.processed_axis.energies_ev
            drawn: NDArray[Any] = np.interp(axis.energies_ev, there_ev, values, np.nan, np.nan)
        else:
            drawn = values
        header["curves"][name] = len(arrays)
        arrays.append(drawn.astype(np.float32, copy=False))

    add("raw", answer.raw, own=True)
    add("error", answer.error, own=True)
    add("processed", answer.processed, own=False)
    add("background", answer.background, own=False)
    add("signal", answer.signal, own=False)
    return header, arrays


def _said(error: Exception) -> str:
    """Give the error's words (a KeyError's are its argument)."""
    return str(error.args[0]) if error.args else type(error).__name__
