"""A scan larger than memory should ever have to be: 1024 x 1024 x 2048 through the pipeline.

Run ``python tests/benchmarks/large_scan.py [--side 1024] [--channels 2048] [--json FILE]``. A
small scan is repeated, shuffled, until the large one is full. Everything on but sockets and
disk: preprocessing, both learners, labels, maps, a snapshot every now and then. Prints spectra
per second of processor time in each tenth of the scan, the memory added, the angle to the
exact basis, and how clusters agree with the phases.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import psutil
from sklearn.metrics import adjusted_rand_score

sys.path.insert(0, str(Path(__file__).parents[1]))

from live_eels import models
from live_eels.app.beside import Beside
from live_eels.classify import Classifier
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose import StreamingPCA
from live_eels.decompose_settings import DecomposeSettings
from live_eels.maps import MapBoard
from live_eels.pipeline import Pipeline
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, EnergyAxis, NavigationAxis, Scan, Signal
from spectrum_images import angle_deg, phantom

CHUNK, SNAPSHOT_PIXELS = 1024, 65_536


def main() -> None:
    """Print what was measured; write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--channels", type=int, default=2048)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    side, channels = arguments.side, arguments.channels
    small, phase = phantom((64, 64), channels, 500)
    counts = small.astype(np.uint16)
    scan = Scan(
        "large",
        (NavigationAxis("y", side), NavigationAxis("x", side)),
        (Signal("core", EnergyAxis(450.0, 400.0 / channels, channels)),),
    )
    process, beside = psutil.Process(), Beside()
    before = peak = process.memory_info().rss
    pipeline = Pipeline(
        scan,
        preprocess=PreprocessSettings(window_ev=(451.0, 849.0), background="none"),
        decompose=DecomposeSettings(),
        cluster=ClusterSettings(),
        classifier=Classifier.load(models.shipped()[models.DEFAULT]),
        worker=beside.learning,
        ahead=beside.preparing.ahead,
    )
    board = MapBoard(scan, pipeline.specs)
    rng, order, truth = np.random.default_rng(0), np.empty(0, int), np.empty(scan.pixels, int)
    rates, tenth, started = [], scan.pixels // 10, time.process_time()
    for first in range(0, scan.pixels, CHUNK):
        if len(order) < CHUNK:
            order = np.concatenate([order, rng.permutation(len(small))])
        rows, order = order[:CHUNK], order[CHUNK:]
        truth[first : first + CHUNK] = phase[rows]
        result = pipeline.process(Chunk(scan, np.arange(first, first + CHUNK), counts[rows]))
        board.announce(pipeline.specs)
        board.update(result)
        part = next(pipeline.refreshed(), None)
        board.announce(pipeline.specs)
        if part is not None:
            board.update(part)
        if first % SNAPSHOT_PIXELS == 0:
            board.snapshot(pipeline.curves(), pipeline.scree, pipeline.components)
            peak = max(peak, process.memory_info().rss)
        if (first + CHUNK) // tenth > len(rates):
            now = time.process_time()
            rates.append(tenth / (now - started))
            started = now
    pipeline.learners.wait()
    for part in pipeline.refreshed():
        board.announce(pipeline.specs)
        board.update(part)
    peak = max(peak, process.memory_info().rss)
    exact = StreamingPCA(channels)
    exact.learn(np.ascontiguousarray(small, np.float32))
    exact.finish()
    label = board.snapshot().maps["cluster"].ravel()
    known = label >= 0
    k = min(exact.components, pipeline.components)
    window = pipeline.window
    scale = np.sqrt(exact.mean / exact.mean.sum())[window, None]
    angle = angle_deg(exact.factors[:k, window].T / scale, pipeline.pca.factors[:k].T / scale)
    found = {
        "scan": [side, side, channels],
        "counts_mb": scan.pixels * channels * 2 / 1e6,
        "memory_added_mb": (peak - before) / 1e6,
        "memory_mb": peak / 1e6,
        "bytes_per_pixel": (peak - before) / scan.pixels,
        "spectra_per_cpu_s": [round(rate) for rate in rates],
        "last_over_second_tenth": rates[-1] / rates[1],
        "angle_deg": angle,
        "ari": adjusted_rand_score(truth[known], label[known]),
        "share_in_a_cluster": float(known.mean()),
    }
    print(f"{side} x {side} x {channels}: {found['counts_mb']:,.0f} MB of counts")
    print(f"memory {found['memory_mb']:,.0f} MB, of which the scan added "
          f"{found['memory_added_mb']:,.0f} MB: "
          f"{found['bytes_per_pixel']:.0f} bytes a pixel")  # fmt: skip
    print("spectra per second of processor time, by tenths: "
          + ", ".join(f"{rate:,.0f}" for rate in rates))  # fmt: skip
    print(f"last tenth over second: {found['last_over_second_tenth']:.2f}")
    print(f"components {pipeline.components} (exact: {exact.components}), "
          f"{angle:.2f} degrees from the exact basis; ARI {found['ari']:.4f}")  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
