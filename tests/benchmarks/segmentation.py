"""Is the live segmentation right? Against batch decompositions, batch k-means and the truth.

Run ``python tests/benchmarks/segmentation.py [--shape 128 --channels 2048] [--picture FILE]``;
``--no-angles --variants 2 4`` gives the specimens held out (see variants.py). Prints the tables of
the README; needs ``pip install live-eels[test]``.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

sys.path.insert(0, str(Path(__file__).parents[1]))

from live_eels.simulators.acquire import Acquisition
from live_eels.simulators.scene import load_scene
from variants import variant

from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose import StreamingPCA
from live_eels.decompose_settings import DecomposeSettings
from live_eels.pipeline import Pipeline
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, ChunkResult, Spectra
from spectrum_images import angle_deg, keenan_kotula, phantom

SCENES = (
    "core_shell", "fe3o4_mn3o4", "lsmo_sto", "standards", "phantom", "sparse_counting",
    "valence_gradient", "line_scan", "hard_day", "noise_only",
)  # fmt: skip


def angles(edge_counts: int, side: int, channels: int) -> list[float]:
    """Components; angles in degrees: what a tenth can know, then one pass to both batches."""
    x, _ = phantom((side, side), channels, edge_counts)
    x = x[np.random.default_rng(3).permutation(len(x))]  # a tenth that has met every phase
    pca = StreamingPCA(channels)
    tenth = len(x) // 10
    early = None
    for start in range(0, len(x), 256):
        pca.learn(x[start : start + 256])
        if early is None and start + 256 >= tenth:
            early = pca.factors[: pca.components][pca.certain]
    pca.finish()
    k, scale = pca.components, np.sqrt(x.mean(axis=0) / x.mean())[:, None]
    batch, theirs = scikit_factors(x, k), hyperspy_factors(x, k) / scale
    part = np.sqrt(x[:tenth].mean(axis=0) / x[:tenth].mean())[:, None]
    out = [float(k), angle_deg(batch, scikit_factors(x[:tenth], k) * part / scale), len(early)]
    for factors in (early, pca.factors[:k]):
        used = factors.T / scale
        out += [angle_deg(batch, used), angle_deg(theirs, used)]
    return out


def scikit_factors(x: np.ndarray, k: int) -> np.ndarray:
    """Orthonormal, in weighted space; scikit-learn centres, so each spectrum comes twice."""
    weighted = keenan_kotula(x + 1e-9)
    both = np.concatenate([weighted, -weighted])
    return PCA(k, svd_solver="covariance_eigh").fit(both).components_.T


def hyperspy_factors(x: np.ndarray, k: int) -> np.ndarray:
    import hyperspy.api as hs

    signal = hs.signals.Signal1D(x.astype(float))
    signal.decomposition(
        normalize_poissonian_noise=True,
        output_dimension=k,
        print_info=False,
        algorithm="SVD",
        svd_solver="full",  # what it takes by itself is a random approximation
    )
    return np.asarray(signal.learning_results.factors[:, :k])


@dataclass
class Score:
    """ARI with the true phases, and how steady the colours were."""

    phases: int
    found: int
    live: list[float]  # at 25, 50 and 100 % of the scan
    end: float  # when every pixel has been computed with the final basis
    batch: float
    hyperspy: float
    restless: float  # largest share of coloured pixels that changed from one map to the next
    maps_over: float  # share of the maps where more than 1 % did
    settling: float  # share that changed from the last map while the beam moved to the final one

    @property
    def row(self) -> str:
        """As in the README."""
        aris = [*self.live, self.end, self.batch, self.hyperspy]
        cells = " | ".join(f"{value:.3f}" for value in aris)
        return (
            f"{self.phases} | {self.found} | {cells} | {self.restless:.2%} | {self.maps_over:.0%} "
            f"| {self.settling:.1%}"
        )


def scored(name: str, number: int = 0) -> Score:
    """One specimen, live and in batches, on the same spectra."""
    specimen = variant(name, number)
    acquisition = Acquisition(specimen.scene, seed=specimen.seed)
    scan = acquisition.scan
    pipeline = Pipeline(
        scan, preprocess=PreprocessSettings(), decompose=DecomposeSettings(),
        cluster=ClusterSettings(),
    )  # fmt: skip
    truth = acquisition.truth.maps["phase"].ravel()
    chunks = list(_chunks(acquisition))
    pixels = np.concatenate([chunk.pixels for chunk in chunks])
    maps = list(_live_maps(pipeline, chunks))
    parts = [_at(maps, share) for share in (0.25, 0.5, 1.0)]
    live = [_ari(truth[pixels[: len(label)]], label) for label in parts]
    settled, shown = np.full((2, scan.pixels), np.nan, np.float32)
    shown[pixels], scanned = maps[-1], maps[-1]
    spectra = np.zeros((scan.pixels, pipeline.window.stop - pipeline.window.start), np.float32)

    def again(size: int) -> Iterator[Chunk]:
        yield from _recut(chunks, size)

    for result in pipeline.settle(again):
        settled[result.pixels] = result.maps["cluster"]
        shown[result.pixels] = pipeline.as_shown(result).maps["cluster"]
    while pipeline.waiting or maps[-1] is scanned:  # as an engine shows it
        changed = pipeline.recoloured()
        shown[changed.pixels] = changed.maps["cluster"]
        maps.append(_numbers(shown[pixels]))
    assert (maps[-1] == _numbers(settled[pixels])).all()
    for chunk in again(1024):
        spectra[chunk.pixels] = pipeline.preprocessor.process(chunk).counts[:, pipeline.window]
    good = pixels[np.isfinite(truth[pixels]) & (spectra[pixels].sum(axis=1) > 0)]
    phases = len(np.unique(truth[good]))
    told = (spectra[good], phases, pipeline.components)
    batch, theirs = (adjusted_rand_score(truth[good], by(*told)) for by in (_batch, _hyperspy))
    return Score(
        phases, pipeline.kmeans.clusters, live, _ari(truth[pixels], settled[pixels]),
        batch, theirs, *_restless(maps), _changed(scanned, maps[-1]),
    )  # fmt: skip


def _live_maps(pipeline: Pipeline, chunks: list[Chunk]) -> Iterator[np.ndarray]:
    """Cluster of each pixel so far, in the order of their coming, on each map.

    As an engine shows them: one after each message, and while pixels wait for their colour
    ``MAPS_HZ`` until the next has been scanned.
    """
    whole, dwell_s = next(_recut(chunks, pipeline.scan.pixels)), pipeline.scan.instrument.dwell_s
    seen, shown = np.empty(0, np.int64), np.full(pipeline.scan.pixels, np.nan, np.float32)

    def show(result: ChunkResult) -> None:
        shown[result.pixels] = result.maps["cluster"]

    for chunk in chunks:
        show(pipeline.process(chunk))
        outdated = np.unique(pipeline.take_outdated())
        if outdated.size:  # as the engine does it: from the recording
            rows = np.searchsorted(whole.pixels, outdated)
            low = None if whole.low is None else whole.low[rows]
            again = Chunk(whole.scan, outdated, whole.counts[rows], low)
            show(pipeline.process(again, learn=False))
        for result in pipeline.refreshed():
            show(result)
        seen = np.concatenate([seen, chunk.pixels])
        shows = 0
        while not shows or (
            pipeline.waiting and shows + 1 <= MAPS_HZ * len(chunk.pixels) * dwell_s
        ):
            show(pipeline.recoloured())
            shows += 1
            yield _numbers(shown[seen])


def _at(maps: list[np.ndarray], share: float) -> np.ndarray:
    """The newest map when so much of the scan had come."""
    return ([label for label in maps if len(label) <= share * len(maps[-1])] or maps)[-1]


def _numbers(shown: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(shown), -2, shown).astype(np.int16)


def _restless(maps: list[np.ndarray]) -> tuple[float, float]:
    """Coloured pixels that change between consecutive maps after a fifth of the scan."""
    late = [label for label in maps if len(label) > len(maps[-1]) / 5]
    changed = [_changed(*pair) for pair in pairwise(late)]
    return (max(changed), float(np.mean(np.array(changed) > 0.01))) if changed else (0.0, 0.0)


def _changed(early: np.ndarray, late: np.ndarray) -> float:
    """Share of the pixels with a colour that have another, or none, on a later map."""
    coloured = early >= 0
    return float(np.mean((late[: len(early)] != early)[coloured])) if coloured.any() else 0.0


def _batch(x: np.ndarray, k: int, components: int) -> np.ndarray:
    """k-means told the number, on weighted principal components per area."""
    weighted = keenan_kotula(np.maximum(x, 0) + 1e-6)
    _, _, axes = np.linalg.svd(weighted[:: max(1, len(x) // 4096)], full_matrices=False)
    area = np.maximum(x.sum(axis=1, keepdims=True), 1)
    scores = weighted @ axes[:components].T * np.sqrt(area) / area
    return np.asarray(KMeans(k, n_init=10, random_state=0).fit_predict(scores))


def _hyperspy(x: np.ndarray, k: int, components: int) -> np.ndarray:
    """HyperSpy's own clustering of its own decomposition, told the number and to normalise."""
    import hyperspy.api as hs

    signal = hs.signals.Signal1D(np.maximum(x, 0).astype(float))
    signal.decomposition(
        normalize_poissonian_noise=True, output_dimension=components, print_info=False
    )
    signal.cluster_analysis(
        "decomposition", n_clusters=k, number_of_components=components, preprocessing="norm",
        n_init=10, random_state=0,
    )  # fmt: skip
    return np.argmax(np.asarray(signal.learning_results.cluster_labels), axis=0)


def _ari(truth: np.ndarray, label: np.ndarray) -> float:
    """Over pixels that have a truth and of which something is said; outliers are a cluster."""
    use = np.isfinite(truth) & np.isfinite(label) & (label >= -1)
    return float(adjusted_rand_score(truth[use], label[use])) if use.any() else float("nan")


def _chunks(acquisition: Acquisition) -> Iterator[Chunk]:
    """Partners of one message each, in the order of their coming."""
    scan, waiting = acquisition.scan, {}
    for message in acquisition.messages(chunk=64):
        if isinstance(message, Spectra):
            waiting[message.signal] = message
            if len(waiting) == len(scan.signals):
                core, low = waiting[scan.core.name], waiting.get("low")
                yield Chunk(scan, core.pixels, core.counts, low.counts if low else None)
                waiting = {}


def _recut(chunks: list[Chunk], size: int) -> Iterator[Chunk]:
    """The same pixels in raster order."""
    pixels = np.concatenate([chunk.pixels for chunk in chunks])
    order = np.argsort(pixels, kind="stable")
    counts = np.concatenate([chunk.counts for chunk in chunks])
    low = None if chunks[0].low is None else np.concatenate([chunk.low for chunk in chunks])
    for start in range(0, len(order), size):
        part = order[start : start + size]
        yield Chunk(chunks[0].scan, pixels[part], counts[part], None if low is None else low[part])


def picture(file: Path) -> None:
    """Offline methods on a particle with an interface, beside the truth."""
    from live_eels.io.comparison import save_comparison
    from live_eels.io.recording import Recording
    from live_eels.refine import refine

    print(
        "A core in a shell with an interface between, on carbon. Inner pixels: one material makes"
    )
    print(
        f"{INNER:.0%} of what lies on the carbon (the others are borders, as wide as the probe).\n"
    )
    for seed in range(3):
        acquisition = Acquisition(load_scene("core_shell_interface"), seed=seed)
        scan, truth = acquisition.scan, acquisition.truth
        whole = next(_recut(list(_chunks(acquisition)), scan.pixels))
        rows = {"core": lambda p: whole.counts[p], "low": lambda p: whole.low[p]}  # noqa: B023
        refined = refine(Recording(Path("core_shell"), scan, rows), ["ward", "hdbscan"])
        phase, inner = truth.maps["phase"].ravel(), _inner(truth.maps)
        for name in ("k-means", "ward", "hdbscan"):
            label = refined.maps[name]
            whole_ari, inner_ari = _ari(phase, label), _ari(phase[inner], label[inner])
            own, shares = [], []
            for number in np.unique(phase):
                at = label[inner & (phase == number)].astype(int)
                found = np.bincount(at[at >= 0])
                own.append(int(found.argmax()))
                shares.append(f"{truth.specs['phase'].classes[int(number)]} "
                              f"{found.max() / len(at):.0%}")  # fmt: skip
            print(f"seed {seed}, {name}: ARI {whole_ari:.3f}, {inner_ari:.3f} of inner pixels; "
                  f"{int(label.max()) + 1} clusters, {len(set(own))} of them the most frequent of "
                  f"a material: {', '.join(shares)}")  # fmt: skip
        if seed == 0:
            maps = {"simulation": truth.maps["phase"]} | refined.snapshot.maps
            specs = {"simulation": truth.specs["phase"]} | dict(refined.specs)
            shown = replace(refined.snapshot, maps=maps, specs=specs)
            ari = {("simulation", n): _ari(phase, refined.maps[n]) for n in refined.maps}
            save_comparison(shown, ari | dict(refined.ari), file, refined.embedding)


INNER = 0.95

MAPS_HZ = 10  # as the engine comes set


def _inner(truth: dict[str, np.ndarray]) -> np.ndarray:
    """Pixels with one material on the support, or with none."""
    amounts = np.stack([truth[f"amount_{n}"].ravel() for n in ("Fe3O4", "MnFe2O4", "Mn3O4")])
    total = amounts.sum(axis=0)
    return (amounts.max(axis=0) > INNER * total) & ((total < 1.0) | (total > 30.0))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, default=64, help="pixels of a side")
    parser.add_argument("--channels", type=int, default=1024)
    parser.add_argument("--scenes", default=",".join(SCENES))
    parser.add_argument("--variants", type=int, nargs="*", default=[0], help="see variants.py")
    parser.add_argument("--no-angles", action="store_true")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    logging.disable()
    warnings.simplefilter("ignore")
    if not arguments.no_angles:
        side, channels = arguments.shape, arguments.channels
        print(f"Streaming PCA, one pass over {side} x {side} x {channels}: largest angle of the")
        print("significant components to a batch decomposition, degrees\n")
        print("| counts in the edges | components | batch of 10 % to batch of all "
              "| certain at 10 % | at 10 %, scikit-learn | at 10 %, HyperSpy "
              "| at 100 %, scikit-learn | at 100 %, HyperSpy |")  # fmt: skip
        print("|---|---|---|---|---|---|---|---|")
        for edge_counts in (50, 500, 5000):
            k, limit, certain, a, b, c, d = angles(edge_counts, side, channels)
            cells = f"{limit:.2f} | {certain} | {a:.2f} | {b:.2f} | {c:.3f} | {d:.3f}"
            print(f"| {edge_counts} | {k:.0f} | {cells} |", flush=True)
        print()
    if arguments.picture:
        picture(arguments.picture)
    print("Adjusted Rand index with the true phases; the batches are told how many there are\n")
    head = (
        "specimen | phases | found | 25 % | 50 % | 100 % | end | batch | HyperSpy | change | maps "
        "| settling"
    )
    print(f"| {head} |\n|{'---|' * 12}", flush=True)
    for scene in filter(None, arguments.scenes.split(",")):
        for number in arguments.variants:
            name = f"{scene} {number}" if number else scene
            print(f"| {name} | {scored(scene, number).row} |", flush=True)


if __name__ == "__main__":
    main()
