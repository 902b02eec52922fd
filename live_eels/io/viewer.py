"""The page's server: what the operator's browser talks to.

Lives here: what the viewer asks of the engine (`Engine`), HTTP routes, who may connect
(`Host`, `Origin`, token), and the life of the server. One browser's conversation is in
`viewer_session`; what a message looks like in `viewer_message`.

Nothing is pushed: the page says "ready" and is answered with the newest snapshot, so one
message is under way per browser and a slow one never builds a backlog. Calls that may take
longer than a few microseconds go to threads of the viewer's own.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import msgspec
import numpy as np
from aiohttp import WSMsgType, web
from numpy.typing import NDArray

from live_eels import edges
from live_eels.control import Command, Reply, Status
from live_eels.io import metrics as prometheus
from live_eels.io.viewer_message import Differences
from live_eels.io.viewer_session import Session
from live_eels.io.viewer_trend import Trend
from live_eels.spectra import EnergyAxis, MapSnapshot

STATIC = Path(__file__).parent / "static"
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".bin": "application/octet-stream",
    ".toml": "text/plain; charset=utf-8",
    ".LICENSE": "text/plain; charset=utf-8",
}
"""Our own: Windows' registry often calls ``.js`` text/plain, and browsers refuse that."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
MAX_REQUEST_BYTES = 64 * 1024
MAX_BROWSERS = 32
POLL_S = 0.008
STATUS_KEPT_S = 0.03
WHITE_LINES = ("L3", "L2", "M5", "M4")
LEAST_ONSET_EV = 20.0
"""Below it the plasmon hides every edge."""


@dataclass(frozen=True, slots=True, eq=False)
class SpectrumAnswer:
    """The spectrum of one pixel, or the mean of several.

    Attributes
    ----------
    axis
        Energy axis of ``raw``.
    raw
        Counts as they came, mean over the pixels, float32 ``(channel,)``.
    error
        One standard deviation of that mean (Poisson), float32 ``(channel,)``, or None.
    processed_axis, processed
        Corrected and aligned counts, background still in them, float32 ``(channel,)``.
    background, signal
        Fitted background and what is above it, float32 on ``processed_axis``, nan outside
        the analysis window; None where no background was fitted.
    n
        Pixels that had a spectrum, of the ``asked`` ones.
    visits
        How often the beam came by, summed over the ``n`` pixels.
    note
        Why something is missing, for a person.
    """

    axis: EnergyAxis
    raw: NDArray[np.float32]
    n: int
    asked: int
    error: NDArray[np.float32] | None = None
    processed_axis: EnergyAxis | None = None
    processed: NDArray[np.float32] | None = None
    background: NDArray[np.float32] | None = None
    signal: NDArray[np.float32] | None = None
    visits: int = 0
    note: str = ""


class Engine(Protocol):
    """What the viewer asks of the running engine; every method may be called from any thread.

    ``snapshot`` and ``status`` are called often and must return at once. The others may
    take a while (they run in the viewer's threads) and may raise ``ValueError`` or
    ``LookupError`` with a message for a person.

    An engine may also have ``choices() -> dict``: what can be chosen in the control tab.
    ``models`` lists ``{"name", "classes", "range_ev", "covers", "note"}``, ``refine`` the
    names of methods.
    """

    def snapshot(self) -> MapSnapshot | None:
        """Give the newest maps of the scan in progress, or of the last one."""

    def status(self) -> Status:
        """Tell the state of the engine now."""

    def history(self) -> list[dict[str, Any]]:
        """Earlier scans, oldest first: ``id title number shape state path``."""

    def snapshot_of(self, scan_id: str) -> MapSnapshot | None:
        """Give the last maps of an earlier scan."""

    def spectrum(self, pixels: NDArray[np.int64], scan_id: str | None = None) -> SpectrumAnswer:
        """Average the spectra of flat pixel indices, int64 ``(pixel,)``."""

    def window_map(
        self,
        signal_ev: tuple[float, float],
        fit_ev: tuple[float, float] | None,
        scan_id: str | None = None,
    ) -> NDArray[np.float32]:
        """Map the counts in a window less the background fitted in another."""

    def command(self, command: Command) -> Reply:
        """Carry out a command; may block briefly."""


class Viewer:
    """Serves the page of one engine.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one. Any host but loopback demands the token
        of everybody who wants to see anything.
    token
        What a page must show to give commands; made up if None (and not ``read_only``).
    read_only
        Nobody may give commands, with or without token.
    allowed_hosts
        Further names under which a proxy may present this server.
    metrics
        Serve numbers for Prometheus at ``/metrics`` (with ``?token=`` where pages need one).
    """

    def __init__(
        self,
        engine: Engine,
        host: str = "127.0.0.1",
        port: int = 8050,
        *,
        token: str | None = None,
        read_only: bool = False,
        allowed_hosts: Sequence[str] = (),
        metrics: bool = False,
    ) -> None:
        self.engine = engine
        self.read_only = read_only
        self._metrics_wanted = metrics
        self.open = _is_loopback(host)
        self.token = token or secrets.token_urlsafe(16)
        self.news = asyncio.Event()
        self.trend = Trend()
        self.differences = Differences()
        self.sessions: set[Session] = set()
        self._status: tuple[float, msgspec.Raw] = (-1.0, msgspec.Raw(b"null"))
        self.threads = ThreadPoolExecutor(2, thread_name_prefix="viewer")
        # Their own, so that no frame waits for a question that takes long.
        self.frame_threads = ThreadPoolExecutor(2, thread_name_prefix="frames")
        self._host, self._port = host, port
        self._hosts = {"localhost", "127.0.0.1", "::1", host.lower(), *allowed_hosts}
        self._runner: web.AppRunner | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen; returns the address to open, with the token that allows commands."""
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_REQUEST_BYTES)
        app.router.add_get("/ws", self._socket)
        app.router.add_get("/edges.json", self._edges)
        app.router.add_get("/recording", self._recording)
        if self._metrics_wanted:
            app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/", self._file)
        app.router.add_get("/{name:.+}", self._file)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]
        self._watcher = asyncio.create_task(self._watch())
        return self.url

    @property
    def url(self) -> str:
        """The address to open; without the token in it the page is read-only."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        query = f"?token={self.token}" if not (self.read_only and self.open) else ""
        return f"http://{host}:{self._port}/{query}"

    async def stop(self) -> None:
        """Close every page's connection and stop listening."""
        if self._watcher is not None:
            self._watcher.cancel()
        for session in list(self.sessions):
            await session.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for threads in (self.threads, self.frame_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    def status(self) -> msgspec.Raw:
        """The engine's status as JSON, made once for all pages that ask at about the same time."""
        made_s, text = self._status
        if (now := time.monotonic()) - made_s > STATUS_KEPT_S:
            text = msgspec.Raw(msgspec.json.encode(self.engine.status()))
            self._status = (now, text)
        return text

    async def in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Run a call that may take a while in one of the viewer's threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, call, *arguments)

    def may_command(self, token: str) -> bool:
        """Whether a page that shows this token may give commands."""
        return not self.read_only and hmac.compare_digest(token.encode(), self.token.encode())

    def may_look(self, token: str) -> bool:
        """Whether a page that shows this token may see anything."""
        return self.open or hmac.compare_digest(token.encode(), self.token.encode())

    async def _watch(self) -> None:
        """Pull the version and wake every waiting page when it moved."""
        seen: tuple[int, int] | None = None
        next_trend_s = 0.0
        while True:
            snapshot = self.engine.snapshot()
            found = (id(snapshot), snapshot.version) if snapshot is not None else None
            if found != seen:
                seen = found
                news, self.news = self.news, asyncio.Event()
                news.set()
            if (now := time.monotonic()) >= next_trend_s:
                next_trend_s = now + 1.0
                self.trend.add(self.engine.status())
            await asyncio.sleep(POLL_S)

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Refuse names that are not ours (DNS rebinding) and pages of other sites."""
        name = urlsplit(f"//{request.host}").hostname or ""
        if self.open and name not in self._hosts:
            raise web.HTTPForbidden(text=f"this server is not called {name!r}\n")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="pages of other sites may not ask this server\n")
        return await handler(request)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info.get("name", "index.html")
        path = (STATIC / name).resolve()
        content_type = CONTENT_TYPES.get(path.suffix)
        if content_type is None or not path.is_relative_to(STATIC) or not path.is_file():
            raise web.HTTPNotFound(text="no such page\n")
        return web.Response(
            body=path.read_bytes(), headers={**HEADERS, "Content-Type": content_type}
        )

    async def _edges(self, request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=edge_table(), headers={**HEADERS, "Content-Type": CONTENT_TYPES[".json"]}
        )

    async def _recording(self, request: web.Request) -> web.StreamResponse:
        """Hand out the file of a scan of this session, whoever asks from wherever they may look."""
        self._demand_token(request)
        wanted = request.query.get("scan", "")
        history = await self.in_thread(self.engine.history)
        path = next((Path(s["path"]) for s in history if s["id"] == wanted and s["path"]), None)
        if path is None or not path.is_file():
            raise web.HTTPNotFound(text="no recording of such a scan is here\n")
        disposition = f"attachment; filename*=UTF-8''{quote(path.name)}"
        headers = {**HEADERS, "Content-Type": "application/x-hdf5"}
        return web.FileResponse(path, headers={**headers, "Content-Disposition": disposition})

    def _demand_token(self, request: web.Request) -> None:
        if not self.may_look(request.query.get("token", "")):
            raise web.HTTPForbidden(text="this server needs its token: ?token=...\n")

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        self._demand_token(request)
        text = prometheus.exposition(self.engine.status(), len(self.sessions))
        return web.Response(
            body=text.encode(), headers={**HEADERS, "Content-Type": prometheus.CONTENT_TYPE}
        )

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self.sessions) >= MAX_BROWSERS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_BROWSERS} pages are open already\n")
        socket = web.WebSocketResponse(
            compress=False, max_msg_size=MAX_REQUEST_BYTES, heartbeat=20, timeout=2
        )
        await socket.prepare(request)
        session = Session(self, socket)
        self.sessions.add(session)
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    await session.refuse("messages to the server are JSON text")
                elif not await session.hear(message.data):
                    break
        finally:
            self.sessions.discard(session)
            await session.close()
        return socket


@cache
def edge_table() -> bytes:
    """Edges that a person would name, as JSON: main edges with windows, white lines without."""
    main = {(edge.element, edge.subshell): edge for edge in edges.main_edges()}
    rows = []
    for element, (_, have) in edges.levels().items():
        for subshell, onset_ev in have.items():
            edge = main.get((element, subshell))
            if onset_ev < LEAST_ONSET_EV:
                continue
            if edge is None and (subshell not in WHITE_LINES or onset_ev > edges.MAX_ONSET_EV):
                continue
            row: dict[str, Any] = {"element": element, "edge": subshell, "ev": onset_ev}
            if edge is not None:
                row |= {"fit": edge.fit_ev, "signal": edge.signal_ev}
            rows.append(row)
    return msgspec.json.encode(rows)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
