"""A scan larger than memory should ever have to be: 1024 x 1024 x 2048 through both learners.

Run ``python tests/benchmarks/large_scan.py [--side 1024] [--channels 2048]``. A small scan is
repeated, shuffled, until the large one is full, so the exact answer is that of the small one.
Prints the memory that was added, the angle to the exact basis, and how clusters agree.
"""

from __future__ import annotations

import argparse
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

from live_eels.cluster import OnlineKMeans
from live_eels.decompose import StreamingPCA
from spectrum_images import angle_deg, phantom

BLOCK = 256


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--channels", type=int, default=2048)
    arguments = parser.parse_args()
    pixels = arguments.side**2
    small, phase = phantom((64, 64), arguments.channels, 500)
    exact = StreamingPCA(arguments.channels)
    exact.learn(small)
    exact.finish()
    process = psutil.Process()
    before = process.memory_info().rss
    rng = np.random.default_rng(0)
    pca, kmeans = StreamingPCA(arguments.channels), OnlineKMeans()
    loadings = np.full((pixels, pca.width), np.nan, np.float32)
    truth = np.empty(pixels, np.int16)
    order, peak, start = np.empty(0, int), 0, time.perf_counter()
    done = 0
    while done < pixels:
        size = min(pca.room, pixels - done)
        if len(order) < size:
            order = np.concatenate([order, rng.permutation(len(small))])
        rows, order = order[:size], order[size:]
        pca.learn(small[rows])
        turned = pca.take_rotation()
        if turned is not None:
            rotation, offset = turned
            for first in range(0, done, 65536):
                part = loadings[first : min(first + 65536, done)]
                part[:] = part @ rotation + offset
            kmeans.rebase(rotation, offset, pca.factors, pca.components)
        fresh = pca.transform(small[rows])
        loadings[done : done + size], truth[done : done + size] = fresh, phase[rows]
        kmeans.learn(fresh)
        done += size
        if done % (64 * BLOCK) < BLOCK:
            peak = max(peak, process.memory_info().rss)
    pca.finish()
    seconds = time.perf_counter() - start
    rotation, offset = pca.take_rotation() or (np.eye(pca.width, dtype="f4"), 0)
    kmeans.rebase(rotation, offset, pca.factors, pca.components)
    loadings = loadings @ rotation + offset
    kmeans.finish()
    label = kmeans.predict(loadings)
    known = label > -2
    k = exact.components
    scale = np.sqrt(exact.mean / exact.mean.sum())[:, None]
    angle = angle_deg(exact.factors[:k].T / scale, pca.factors[:k].T / scale)
    counts = pixels * arguments.channels * 4 / 1e6
    print(f"{arguments.side} x {arguments.side} x {arguments.channels}: {counts:,.0f} MB of counts")
    print(f"memory added at most: {(peak - before) / 1e6:,.0f} MB, of which loadings "
          f"{loadings.nbytes / 1e6:,.0f} MB")  # fmt: skip
    print(f"components {pca.components} (exact: {k}); angle to the exact basis {angle:.2f} degrees")
    print(f"ARI with the phases {adjusted_rand_score(truth[known], label[known]):.4f}, "
          f"{np.mean(known):.5f} of the pixels labelled")  # fmt: skip
    print(f"{pixels / seconds:,.0f} spectra per second, one thread")


if __name__ == "__main__":
    main()
