"""A page that does not paint: asks as the page does until its standard input is closed.

``python tests/benchmarks/viewer_visitor.py ADDRESS``; prints what came after each frame.
"""

import asyncio
import json
import os
import sys
import time

import aiohttp


async def visit(url: str) -> None:
    """Behave as the page: say ready, take the frame, say ready; small maps in three turns."""
    address, _, token = url.partition("?token=")
    start, frames, taken = time.perf_counter(), 0, 0
    names: list[str] = []
    asyncio.get_running_loop().run_in_executor(None, lambda: (sys.stdin.read(), os._exit(0)))
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(address + "ws", max_msg_size=0) as socket,
    ):
        await socket.send_str(json.dumps({"do": "hello", "token": token}))
        async for message in socket:
            frames += 1
            taken += len(message.data)
            now = time.perf_counter()
            length = int.from_bytes(message.data[:4], "little")
            header = json.loads(message.data[4 : 4 + length])
            names = header.get("map_names", names)
            small = [name for name in names if name not in ("counts", "cluster")]
            want = ["counts", "cluster", *small[frames % 3 :: 3]] if names else None
            print(
                json.dumps({"frames": frames, "bytes": taken, "seconds": now - start}), flush=True
            )
            await socket.send_str(json.dumps({"do": "ready", "want": want}))


if __name__ == "__main__":
    asyncio.run(visit(sys.argv[1]))
