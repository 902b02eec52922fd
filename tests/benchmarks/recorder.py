"""How fast raw counts go to disk and come back: ``python tests/benchmarks/recorder.py [FOLDER]``.

Prints one line per case for a 256x256 scan of 2048 channels of uint16. The first pass over
fresh memory is limited by how fast the system finds pages; the fastest of three is shown too.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from live_eels.io.recorder import Recorder
from live_eels.spectra import Chunk, EnergyAxis, NavigationAxis, Scan, Signal

SIDE, CHANNELS = 256, 2048
PIXELS = SIDE * SIDE


def timed(call: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def one_round(folder: Path, passes: int) -> dict[str, float]:
    """Seconds of each case, over one fresh recording."""
    scan = Scan(
        "benchmark",
        (NavigationAxis("y", SIDE), NavigationAxis("x", SIDE)),
        (Signal("core", EnergyAxis(400.0, 0.25, CHANNELS)),),
        passes=passes,
    )
    random = np.random.default_rng(0)
    counts = random.integers(0, 1000, (SIDE, CHANNELS), np.uint16)
    scattered = random.permutation(PIXELS).reshape(-1, SIDE)
    rows = np.arange(PIXELS).reshape(-1, SIDE)
    singles = [Chunk(scan, np.array([p]), counts[:1]) for p in scattered.ravel()[:4000]]
    rec = Recorder(folder / "benchmark.hspy", scan)
    try:
        return {
            f"{passes} pass: rows of 256 pixels": timed(
                lambda: [rec.write(Chunk(scan, row, counts)) for row in rows]
            ),
            f"{passes} pass: the same again": timed(
                lambda: [rec.write(Chunk(scan, row, counts)) for row in rows]
            ),
            f"{passes} pass: 256 scattered pixels": timed(
                lambda: [rec.write(Chunk(scan, part, counts)) for part in scattered[:32]]
            ),
            f"{passes} pass: single pixels": timed(lambda: [rec.write(one) for one in singles]),
            f"{passes} pass: window_sum, 100 channels": timed(
                lambda: rec.window_sum(slice(800, 900))
            ),
            f"{passes} pass: read 1024 pixels": timed(lambda: rec.read(scattered.ravel()[:1024])),
        }
    finally:
        rec.discard()


UNITS: dict[str, Callable[[float], str]] = {
    "rows of": lambda s: f"{PIXELS * CHANNELS * 2 / s / 1e9:.2f} GB/s",
    "the same": lambda s: f"{PIXELS * CHANNELS * 2 / s / 1e9:.2f} GB/s",
    "scattered": lambda s: f"{s / 32 / 256 * 1e6:.1f} us a pixel",
    "single": lambda s: f"{s / 4000 * 1e6:.1f} us a pixel",
    "window_sum": lambda s: f"{s * 1e3:.1f} ms",
    "read": lambda s: f"{s * 1e3:.2f} ms",
}


def main() -> None:
    """Print the first and the fastest of three rounds."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        for passes in (1, 2):
            rounds = [one_round(Path(folder), passes) for _ in range(3)]
            for name in rounds[0]:
                unit = next(form for key, form in UNITS.items() if key in name)
                times = [each[name] for each in rounds]
                print(f"{name:40s} {unit(times[0]):>18s} {unit(min(times)):>18s}")


if __name__ == "__main__":
    main()
