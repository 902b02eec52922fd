"""What the page's server hands out besides the page itself: recordings, numbers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from fake_engine import FakeEngine
from live_eels.io.viewer import Viewer


async def fetched(engine: FakeEngine, path: str, **options: Any) -> tuple[int, str, str]:
    """Status, content type and text of an answer of the page's server."""
    viewer = Viewer(engine, port=0, token="sesame", **options)
    url = (await viewer.start()).split("?")[0].replace("0.0.0.0", "127.0.0.1")
    try:
        async with aiohttp.ClientSession() as client, client.get(url + path) as reply:
            return (
                reply.status,
                reply.headers["Content-Type"],
                (await reply.read()).decode(errors="replace"),
            )
    finally:
        await viewer.stop()


def test_the_recording_of_a_scan_is_handed_out(tmp_path: Path) -> None:
    engine = FakeEngine((4, 5))
    engine.advance(7)
    file = tmp_path / "scan 1 µ.hspy"
    file.write_bytes(b"\x89HDF and so on")
    engine.paths = {"scan-1": str(file), "scan-2": str(tmp_path / "gone.hspy")}

    async def go() -> None:
        status, kind, text = await fetched(engine, "recording?scan=scan-1")
        assert (status, kind) == (200, "application/x-hdf5")
        assert text.endswith("HDF and so on")
        for other in ("scan-2", "", "../../etc/hosts", str(file)):
            assert (await fetched(engine, f"recording?scan={other}"))[0] == 404
        assert (await fetched(engine, "recording?scan=scan-1", host="0.0.0.0"))[0] == 403

    asyncio.run(go())


def test_the_page_s_server_has_them_where_it_is_told_to() -> None:
    engine = FakeEngine((4, 5))
    engine.advance(7)

    async def go() -> None:
        status, kind, text = await fetched(engine, "metrics", metrics=True)
        assert (status, kind.split(";")[0]) == (200, "text/plain")
        assert "live_eels_scan_visits 7.0" in text.splitlines()
        assert (await fetched(engine, "metrics", metrics=False))[0] == 404
        # open to others than this computer: with the token only
        assert (await fetched(engine, "metrics", metrics=True, host="0.0.0.0"))[0] == 403
        told = await fetched(engine, "metrics?token=sesame", metrics=True, host="0.0.0.0")
        assert told[0] == 200

    asyncio.run(go())
