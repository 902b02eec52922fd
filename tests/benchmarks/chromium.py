"""Chromium as a person runs it, with the least that a measurement has to ask of it.

Playwright listens to everything a page receives: each frame's megabytes then also travel, as
text, from the page through the browser to the test. Here only expressions are evaluated.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--window-size=1280,800",
    "--remote-debugging-port=0",
]
TICKS = os.sysconf("SC_CLK_TCK")


class Chromium:
    """One browser; each page has a window of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def __aenter__(self) -> Self:
        program = os.environ.get("LIVE_EELS_CHROMIUM") or shutil.which("chromium") or "chromium"
        self._process = subprocess.Popen(
            [program, *ARGUMENTS, f"--user-data-dir={self._folder.name}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self._process.pid
        told = Path(self._folder.name, "DevToolsActivePort")
        for _ in range(600):
            if told.exists() and len(lines := told.read_text().split()) == 2:
                break
            await asyncio.sleep(0.05)
        self._client = aiohttp.ClientSession()
        self._socket = await self._client.ws_connect(
            f"ws://127.0.0.1:{lines[0]}{lines[1]}", max_msg_size=0
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.cancel()
        await self._client.close()
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    async def _read(self) -> None:
        async for message in self._socket:
            found = message.json()
            answer = self._answers.pop(found.get("id", 0), None)
            if answer is not None:
                answer.set_result(found)

    async def ask(self, method: str, session: str = "", **arguments: Any) -> Any:
        """Send one command of the DevTools protocol and give its result."""
        number = next(self._numbers)
        self._answers[number] = answer = asyncio.get_running_loop().create_future()
        request = {"id": number, "method": method, "params": arguments}
        await self._socket.send_json(request | ({"sessionId": session} if session else {}))
        found = await answer
        if "error" in found:
            raise RuntimeError(f"{method}: {found['error']['message']}")
        return found["result"]

    async def open(self, url: str) -> str:
        """Open a window; returns the session with its page."""
        target = await self.ask("Target.createTarget", url=url, newWindow=True)
        where = {"targetId": target["targetId"], "flatten": True}
        session = await self.ask("Target.attachToTarget", **where)
        return str(session["sessionId"])

    async def js(self, session: str, expression: str) -> Any:
        """Evaluate an expression in a page."""
        found = await self.ask(
            "Runtime.evaluate",
            session,
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"].get("description"))
        return found["result"].get("value")

    async def until(self, session: str, expression: str, seconds: float = 60.0) -> None:
        """Wait until an expression is true."""
        end_s = time.monotonic() + seconds
        while True:
            try:
                if await self.js(session, expression):
                    return
            except RuntimeError:
                pass  # the page is not there yet
            if time.monotonic() > end_s:
                raise TimeoutError(expression)
            await asyncio.sleep(0.1)

    def spent_s(self) -> Counter[str]:
        """Processor seconds so far, by kind of process; a renderer's also by thread."""
        parents = {pid: int(fields[1]) for pid, fields in _stats(Path("/proc")).items()}
        out: Counter[str] = Counter()
        for pid in parents:
            above = pid
            while above in parents and above != self.pid:
                above = parents[above]
            if above != self.pid:
                continue
            line = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
            kind = line.partition("--type=")[2].split("\0")[0].split(" ")[0] or "browser"
            for task, fields in _stats(Path(f"/proc/{pid}/task")).items():
                seconds = (int(fields[11]) + int(fields[12])) / TICKS
                out[kind] += seconds
                if kind == "renderer":
                    name = Path(f"/proc/{pid}/task/{task}/comm").read_text().strip()
                    out[f"- {name.rstrip('0123456789/')}"] += seconds
        return out


def _stats(folder: Path) -> dict[int, list[str]]:
    """Fields of ``stat``, from the state on, of each process or thread in a folder of /proc."""
    out = {}
    for entry in folder.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended meanwhile
                out[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
    return out
