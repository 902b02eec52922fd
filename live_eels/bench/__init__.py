"""What this computer can hold: the whole chain measured, in words a user acts on.

Lives here: which runs are made and what they mean. Each run is two processes of their own,
an engine (``chain``) and a sender (``load``), as in life; the numbers are of this computer,
with these settings, while the sender takes its share of the same cores.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from live_eels import __version__
from live_eels.bench.chain import Run, measure
from live_eels.bench.load import template

SPECTRA_PER_MESSAGE = 64
LATENCY_RATE = 1000.0
LATENCY_SIDE = 256
BUSY_PERCENT = 15.0
COPIED_BYTES = 256 * 2**20
PACKAGES = ("numpy", "numba", "h5py", "onnxruntime", "pyzmq", "scikit-learn")

Say = Callable[[str], None]


def bench(
    *,
    quick: bool = False,
    channels: int = 2048,
    folder: Path | None = None,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Measure the chain on this computer.

    Parameters
    ----------
    quick
        One run of each kind, a few seconds each, instead of the median of several.
    channels
        Channels of the core-loss spectra, uint16.
    folder
        Where the runs record; default: a temporary folder.
    say
        Told what is being done.

    Returns
    -------
    dict
        Rates in spectra/s, latencies in ms; the keys are those of ``report``.
    """
    seconds, again, side = (5.0, 1, 512) if quick else (20.0, 3, 1024)
    busy = psutil.cpu_percent(interval=0.5)
    with tempfile.TemporaryDirectory(prefix="live_eels_bench_", dir=folder) as place:
        spectra = Path(place) / "spectra.npz"
        say("simulating spectra")
        template(spectra, channels, dual=False)

        def runs(what: str, **changes: Any) -> list[Run]:
            out = []
            for number in range(again):
                say(f"{what}, {seconds:g} s" + (f" ({number + 1} of {again})" * (again > 1)))
                out.append(measure(Path(place), spectra, seconds=seconds, **changes))
            return out

        chunked = {"per_message": SPECTRA_PER_MESSAGE, "side": side}
        recording = runs("everything on, recording", record=True, **chunked)
        plain = runs("everything on, recording not kept", record=False, **chunked)
        single = runs("one spectrum per message, recording", record=True, per_message=1, side=side)
        paced = runs(
            f"latency at {LATENCY_RATE:g} spectra/s",
            record=True,
            per_message=1,
            side=LATENCY_SIDE,
            rate=LATENCY_RATE,
        )
        dual = []
        if not quick:
            template(spectra, channels, dual=True)
            dual = runs("pairs of core and low loss, recording", record=True, **chunked)
    return _result(quick, channels, recording, plain, single, paced, dual) | {
        "scan": [side, side],
        "memory_gb_per_s": copying_gb_per_s(),
        "busy_before_percent": busy,
    }


def copying_gb_per_s() -> float:
    """Bytes read and written per second, 1e9, when one core copies what no cache holds."""
    source, target = np.ones(COPIED_BYTES // 8), np.zeros(COPIED_BYTES // 8)
    best = math.inf  # of processor time: what other programs take does not count
    for _ in range(5):
        start = time.thread_time()
        np.copyto(target, source)
        best = min(best, time.thread_time() - start)
    return round(2 * COPIED_BYTES / best / 1e9, 1)


def _result(
    quick: bool,
    channels: int,
    recording: list[Run],
    plain: list[Run],
    single: list[Run],
    paced: list[Run],
    dual: list[Run],
) -> dict[str, Any]:
    def middle(runs: list[Run], name: str, digits: int = 0) -> float:
        value = round(statistics.median(getattr(run, name) for run in runs), digits)
        return value if digits else int(value)

    result = {
        "full_chain_spectra_per_s": middle(plain, "spectra_per_s"),
        "full_chain_recording_spectra_per_s": middle(recording, "spectra_per_s"),
        "one_per_message_spectra_per_s": middle(single, "spectra_per_s"),
        "latency_p50_ms": middle(paced, "latency_p50_ms", 2),
        "latency_p99_ms": middle(paced, "latency_p99_ms", 2),
        "stages_spectra_per_s": _stages(recording),
        "memory_mib": middle(recording, "memory_mib"),
        "ready_s": middle(recording, "ready_s", 2),
        "sender_cpu_share": middle(recording, "sender_cpu_share", 2),
        "lost_messages": sum(run.lost for run in [*recording, *plain, *single, *paced, *dual]),
        "settings": {
            "quick": quick,
            "channels": channels,
            "dtype": "u2",
            "spectra_per_message": SPECTRA_PER_MESSAGE,
            "latency_rate_per_s": LATENCY_RATE,
            "runs": len(recording),
            "seconds": recording[0].seconds,
            "transport": "tcp loopback, PUSH to PULL, sender on the same computer",
        },
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "memory_mib": psutil.virtual_memory().total // 2**20,
            "system": platform.platform(),
        },
        "versions": {
            "live_eels": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }
    if dual:
        result["dual_recording_pairs_per_s"] = middle(dual, "spectra_per_s")
    return result


def _stages(runs: list[Run]) -> dict[str, int]:
    """Rate of each stage if it were alone, median over the runs, slowest first."""
    rates = {
        name: int(statistics.median(run.stages[name] for run in runs))
        for name in runs[0].stages
        if all(name in run.stages for run in runs)
    }
    return dict(sorted(rates.items(), key=lambda item: item[1]))


def report(result: dict[str, Any]) -> str:
    """Write the result for a person."""

    def number(name: str) -> str:
        return f"{result[name]:,.0f}".replace(",", " ")

    channels = result["settings"]["channels"]
    kept = result["full_chain_recording_spectra_per_s"]
    stages = result["stages_spectra_per_s"]
    slowest = next(iter(stages), "")
    lines = [
        f"This computer keeps up with {number('full_chain_recording_spectra_per_s')} spectra/s "
        f"of {channels} channels while recording",
        f"(a dwell time of {1e3 / kept:.3g} ms or longer), everything on: alignment, background, "
        "components,",
        "clusters, labels, maps.",
        "",
        f"  recording not kept         {number('full_chain_spectra_per_s'):>8} spectra/s",
        f"  one spectrum per message   {number('one_per_message_spectra_per_s'):>8} spectra/s",
    ]
    if "dual_recording_pairs_per_s" in result:
        lines.append(
            f"  core and low loss          {number('dual_recording_pairs_per_s'):>8} pairs/s"
        )
    lines += [
        f"  from sender to map         {result['latency_p50_ms']:>8.1f} ms (median), "
        f"{result['latency_p99_ms']:.1f} ms (99 %), at "
        f"{result['settings']['latency_rate_per_s']:.0f} spectra/s",
        f"  memory of the engine       {number('memory_mib'):>8} MiB",
        f"  ready after                {result['ready_s']:>8.1f} s",
        f"  memory, copied by one core {result['memory_gb_per_s']:>8.1f} GB/s",
        "",
        "  stage alone, spectra/s of one core\n    "
        + ", ".join(f"{name} {rate:,}".replace(",", " ") for name, rate in stages.items()),
    ]
    if result["lost_messages"]:
        lines.append(f"  LOST {result['lost_messages']} messages: the figures do not hold.")
    elif slowest:
        lines.append(f"  Nothing was lost. The slowest stage is {slowest}.")
    lines.append(
        f"  The sender ran here too and took {result['sender_cpu_share']:.0%} of one core."
    )
    if result["busy_before_percent"] > BUSY_PERCENT:
        lines.append(
            f"  Other programs took {result['busy_before_percent']:.0f} % of the processor before "
            "it began: close them and measure again, these figures are too low."
        )
    return "\n".join(lines)


def write_json(result: dict[str, Any], path: Path) -> None:
    """Write the result as JSON."""
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
