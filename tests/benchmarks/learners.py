"""Learners alone, per core: spectra per second here and in scikit-learn, in one run.

Run ``python tests/benchmarks/learners.py [--json FILE]``. Spectra of 2048 channels; one thread
for all, and seconds of processor time, so that other work on the machine hardly matters; the
angle is to the exact decomposition of the same pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import IncrementalPCA

sys.path.insert(0, str(Path(__file__).parents[1]))

from live_eels.cluster import OnlineKMeans
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose import StreamingPCA
from live_eels.decompose_settings import DecomposeSettings
from spectrum_images import angle_deg, keenan_kotula, phantom

CHANNELS, BLOCK = 2048, 256


def streaming(
    x: np.ndarray, settings: DecomposeSettings, times: int = 1
) -> tuple[float, StreamingPCA]:
    """Spectra per second of learning alone, going ``times`` over the scan."""
    pca = StreamingPCA(CHANNELS, settings)
    start = time.process_time()
    for _ in range(times):
        for first in range(0, len(x), BLOCK):
            pca.learn(x[first : first + BLOCK])
    seconds = time.process_time() - start
    pca.finish()
    return times * len(x) / seconds, pca


def incremental(x: np.ndarray, k: int, block: int = BLOCK) -> tuple[float, np.ndarray]:
    """scikit-learn's learner on spectra weighted beforehand (which costs it nothing here)."""
    weighted = keenan_kotula(x).astype(np.float32)
    both = np.stack([weighted, -weighted], axis=1).reshape(-1, CHANNELS)  # uncentred, as ours
    model = IncrementalPCA(k)
    start = time.process_time()
    for first in range(0, len(both), 2 * block):
        model.partial_fit(both[first : first + 2 * block])
    seconds = (time.process_time() - start) / 2  # each spectrum was taken twice
    return len(x) / seconds, model.components_.T


class Beside(NamedTuple):
    """Ours and IncrementalPCA's: spectra per second, and angle to the exact basis, degrees."""

    learnt: str
    rate: float
    angle_deg: float
    their_block: int
    their_rate: float
    their_angle_deg: float


def beside_incremental() -> list[Beside]:
    """Both see the same 256 x 256 spectra (512 x 512: four times over), ours in blocks of 256.

    IncrementalPCA is the faster the smaller its blocks are (its exactness is lost a little):
    it gets blocks as ours, and the ones that suit it best.
    """
    x, _ = phantom((256, 256), CHANNELS, 500)
    x = x[np.random.default_rng(3).permutation(len(x))]
    every = DecomposeSettings(full_pixels=1 << 30)
    streaming(x[:1024], every)  # compile
    rate, exact = streaming(x, every)
    k, scale = exact.components, np.sqrt(exact.mean / exact.mean.mean())[:, None]
    true = exact.factors[:k].T / scale
    theirs = {}
    for block in (BLOCK, 32):
        their_rate, factors = incremental(x, k, block)
        theirs[block] = (block, their_rate, angle_deg(true, factors))
    rows = [Beside("every spectrum", rate, 0.0, *theirs[BLOCK])]
    coarse = DecomposeSettings(full_pixels=4096, later_share=0.0625, growth=0.5)
    for name, settings, times in (
        ("as set, 256 x 256", DecomposeSettings(), 1),
        ("as set, 512 x 512", DecomposeSettings(), 4),
        ("no nearer than theirs, 256 x 256", coarse, 1),
    ):
        rate, pca = streaming(x, settings, times)
        angle = angle_deg(true, pca.factors[:k].T / scale)
        rows += [Beside(name, rate, angle, *their) for their in theirs.values()]
    return rows


def clustering(loadings: np.ndarray, pca: StreamingPCA) -> dict[str, float]:
    """Learning, and predicting, loadings per second; scikit-learn's MiniBatchKMeans beside."""
    out = {}
    for name, clusters in (("k-means, six", 6), ("k-means, as many as there are", None)):
        kmeans = OnlineKMeans(ClusterSettings(clusters=clusters))
        width = pca.width
        kmeans.rebase(np.eye(width, dtype=np.float32), np.zeros(width, np.float32),
                      pca.factors, pca.components)  # fmt: skip
        start = time.process_time()
        for first in range(0, len(loadings), 1024):
            kmeans.learn(loadings[first : first + 1024])
        out[f"{name}, learn"] = len(loadings) / (time.process_time() - start)
        start = time.process_time()
        kmeans.predict(loadings)
        out[f"{name}, predict"] = len(loadings) / (time.process_time() - start)
    model = MiniBatchKMeans(6, n_init=1, random_state=0)
    start = time.process_time()
    for first in range(0, len(loadings), 1024):
        model.partial_fit(loadings[first : first + 1024])
    out["MiniBatchKMeans, six, learn"] = len(loadings) / (time.process_time() - start)
    return out


def main() -> None:
    """Print the table; write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", type=int, default=128)
    arguments = parser.parse_args()
    x, _ = phantom((arguments.side, arguments.side), CHANNELS, 500)
    x = x[np.random.default_rng(3).permutation(len(x))]
    streaming(x[:1024], DecomposeSettings())  # compile
    exact = streaming(x, DecomposeSettings(full_pixels=1 << 30))[1]
    k, scale = exact.components, np.sqrt(exact.mean / exact.mean.mean())[:, None]
    true = exact.factors[:k].T / scale
    every = DecomposeSettings(full_pixels=1 << 30)
    rates: dict[str, float] = {}
    found: dict[str, float] = {}
    default = DecomposeSettings()
    for name, settings, times in (
        ("every pixel of 128 x 128", every, 1),
        ("as set, 128 x 128", default, 1),
        ("as set, 512 x 512", default, 16),
    ):
        rates[f"StreamingPCA, {name}"], pca = streaming(x, settings, times)
        found[f"StreamingPCA, {name}"] = angle_deg(true, pca.factors[:k].T / scale)
    name = "IncrementalPCA"
    rates[name], factors = incremental(x[: 16 * BLOCK], k)
    part = streaming(x[: 16 * BLOCK], every)[1].factors[:k].T / scale
    found[name] = angle_deg(part, factors)
    rates |= clustering(np.tile(exact.transform(x), (16, 1)), exact)
    print(f"{len(x)} spectra of {CHANNELS} channels, {k} components, one thread\n")
    print("| learner | per second | angle, degrees |\n|---|---|---|")
    for name, value in rates.items():
        angle = found.get(name)
        print(f"| {name} | {value:,.0f} | {'' if angle is None else f'{angle:.2f}'} |")
    for name in list(found)[:3]:
        print(f"\n{name}, over IncrementalPCA: {rates[name] / rates['IncrementalPCA']:.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"per_s": rates, "angle_deg": found}, indent=1))


if __name__ == "__main__":
    main()
