"""Offline segmentations of a recorded scan: what the literature does, on the same data.

Lives here: Ward's agglomerative clustering, HDBSCAN on a UMAP embedding, NMF and blind source
separation, over recordings larger than memory. All stand on one exact PCA pass; what is kept
in memory is its loadings. Ward and UMAP, whose cost grows faster than the pixels, see a
seeded sample; every other pixel goes with its nearest neighbours in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN, AgglomerativeClustering
from sklearn.decomposition import NMF, FastICA
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier

from live_eels.cluster import OnlineKMeans
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose import StreamingPCA
from live_eels.decompose_settings import DecomposeSettings
from live_eels.io.recording import Recording
from live_eels.preprocess import Preprocessor
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Curve, MapSnapshot, MapSpec, Scan

METHODS: tuple[str, ...] = ("ward", "hdbscan", "nmf", "ica")

BLOCK_PIXELS = 1024
SAMPLE_PIXELS = 4000
NEIGHBOURS = 5

Loadings = NDArray[np.float32]
Label = NDArray[np.int16]
Progress = Callable[[str, float], None]


class RefineError(ValueError):
    """A refinement that cannot be done; the message says why and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """What the methods found.

    Attributes
    ----------
    maps
        float32 ``(scan pixels,)`` by name; labels are whole numbers, -1 where like none; nan
        where the beam never was.
    curves
        Mean spectra of the clusters with the standard error of the mean; factors.
    ari
        Adjusted Rand index of each two segmentations, those stored with the recording
        included; over the pixels that both place.
    embedding
        UMAP coordinates of the sample and its clusters, float32 ``(pixel, 2)``,
        int16 ``(pixel,)``; None without ``hdbscan``.
    """

    scan: Scan
    specs: Mapping[str, MapSpec]
    maps: Mapping[str, NDArray[np.float32]]
    curves: Mapping[str, Curve]
    ari: Mapping[tuple[str, str], float]
    embedding: tuple[NDArray[np.float32], Label] | None = None

    @property
    def snapshot(self) -> MapSnapshot:
        """The maps in the form in which maps are drawn and stored."""
        shape = self.scan.shape or (1,)
        maps = {name: values.reshape(shape) for name, values in self.maps.items()}
        return MapSnapshot(self.scan, 1, self.specs, maps, curves=self.curves)


@dataclass(eq=False)
class _Found:
    """Results as they come."""

    specs: dict[str, MapSpec] = field(default_factory=dict)
    maps: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)


def refine(
    recording: Recording,
    methods: Sequence[str],
    *,
    clusters: int | None = None,
    preprocess: PreprocessSettings | None = None,
    decompose: DecomposeSettings | None = None,
    cluster: ClusterSettings | None = None,
    progress: Progress = lambda stage, share: None,
    seed: int = 0,
) -> Refined:
    """Segment a recording offline.

    Parameters
    ----------
    recording
        Open; read in blocks, several times.
    methods
        Of `METHODS`.
    clusters
        How many for Ward and components for NMF; None: as many as k-means finds (Ward), as
        stand above the noise (NMF). HDBSCAN finds its own number.
    preprocess, decompose, cluster
        As for a live scan.
    progress
        Called with the stage and the share of it that is done, 0 to 1.
    seed
        Of every draw.

    Raises
    ------
    RefineError
        For an unknown method, a missing package, a recording with too few pixels.
    """
    check(methods)
    passes = _Passes(recording, preprocess or PreprocessSettings(), progress)
    pca = passes.learnt(decompose or DecomposeSettings(), seed)
    loadings = passes.loadings(pca)
    kmeans = OnlineKMeans(cluster or ClusterSettings(), seed)
    width = pca.width
    kmeans.rebase(
        np.eye(width, dtype=np.float32), np.zeros(width, np.float32), pca.factors, pca.components
    )
    values, variance = kmeans.features(loadings)
    known = np.flatnonzero(np.isfinite(values).all(axis=1) & np.isfinite(variance))
    if len(known) < 16:
        raise RefineError(f"{recording.path} has {len(known)} usable pixels; 16 are needed")
    rng = np.random.default_rng(seed)
    kmeans.learn(loadings[known])
    kmeans.finish()
    label = kmeans.predict(loadings)
    if len(recording.scan.shape) == 2:
        label = kmeans.agree(loadings, label, *recording.scan.shape)
    labels: dict[str, Label] = {"k-means": label}
    sample = np.sort(rng.permutation(known)[:SAMPLE_PIXELS])
    found, embedding = _Found(), None
    for method in methods:
        progress(method, 0.0)
        if method == "ward":
            wanted = min(clusters or max(kmeans.clusters, 2), len(sample))
            fit = AgglomerativeClustering(n_clusters=wanted, linkage="ward")
            labels["ward"] = _spread(values, known, sample, fit.fit_predict(values[sample]))
        elif method == "hdbscan":
            embedding = _embedded(values[sample], seed)
            labels["hdbscan"] = _spread(values, known, sample, embedding[1])
        elif method == "nmf":
            _nmf(found, passes, pca, loadings, known, sample, clusters, seed)
        else:
            _ica(found, passes, pca, loadings, seed)
        progress(method, 1.0)
    _segmentations(found, passes, labels)
    return Refined(
        recording.scan, found.specs, found.maps, found.curves,
        _ari({**_stored(recording), **labels}), embedding,
    )  # fmt: skip


def check(methods: Sequence[str]) -> None:
    """Raise `RefineError` unless all methods are known and their packages are there."""
    unknown = [method for method in methods if method not in METHODS]
    if unknown or not methods:
        raise RefineError(
            f"no method {', '.join(unknown) or 'given'}; there are {', '.join(METHODS)}"
        )
    if "hdbscan" in methods:
        _umap()


class _Passes:
    """Passes over the recording, in raster order, through the same preprocessing."""

    def __init__(
        self, recording: Recording, preprocess: PreprocessSettings, progress: Progress
    ) -> None:
        self.recording, self.scan = recording, recording.scan
        self._preprocessor = Preprocessor(recording.scan, preprocess)
        self._progress = progress
        self.axis = self._preprocessor.axis.cropped(self._preprocessor.window)

    def spectra(self, stage: str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Pixels and corrected counts in the analysis window, background in."""
        total, done = max(int(np.count_nonzero(self.recording.visits() > 0)), 1), 0
        window = self._preprocessor.window
        for chunk in self.recording.chunks(BLOCK_PIXELS):
            prepared = self._preprocessor.process(chunk)
            spectra = prepared.counts if prepared.single is None else prepared.single
            yield chunk.pixels, np.ascontiguousarray(spectra[:, window])
            done += len(chunk.pixels)
            self._progress(stage, min(done / total, 1.0))

    def learnt(self, settings: DecomposeSettings, seed: int) -> StreamingPCA:
        """Learn the final basis; once more where preprocessing has learnt better meanwhile."""
        pca = self._learnt(settings, seed)
        if self._preprocessor.freeze():
            self._preprocessor.begin_again()
            pca = self._learnt(settings, seed)
            self._preprocessor.freeze()
        pca.finish()
        return pca

    def _learnt(self, settings: DecomposeSettings, seed: int) -> StreamingPCA:
        pca = StreamingPCA(self.axis.size, settings, seed)
        for _, rows in self.spectra("decompose"):
            pca.learn(rows)
        return pca

    def loadings(self, pca: StreamingPCA) -> Loadings:
        """Loadings of all pixels, nan where the beam never was."""
        out = np.full((self.scan.pixels, pca.width), np.nan, np.float32)
        for pixels, rows in self.spectra("project"):
            out[pixels] = pca.transform(rows)
        return out


def _spread(
    values: NDArray[np.float32], known: NDArray[np.int64], sample: NDArray[np.int64], own: Label
) -> Label:
    """Give every known pixel the cluster of most of its nearest neighbours in the sample."""
    label = np.full(len(values), -2, np.int16)
    neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(sample))).fit(values[sample], own)
    for start in range(0, len(known), BLOCK_PIXELS):
        part = known[start : start + BLOCK_PIXELS]
        label[part] = neighbours.predict(values[part])
    label[sample] = own
    return label


def _umap() -> type:
    try:
        from umap import UMAP
    except ImportError as error:
        raise RefineError("hdbscan needs umap-learn: pip install 'live-eels[refine]'") from error
    return UMAP  # type: ignore[no-any-return]


def _embedded(values: NDArray[np.float32], seed: int) -> tuple[NDArray[np.float32], Label]:
    """UMAP coordinates and HDBSCAN clusters, the largest first."""
    neighbours = min(30, len(values) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a seed means one thread: it says so each time
        embedding = _umap()(
            n_neighbors=neighbours, min_dist=0.0, random_state=seed, init="pca"
        ).fit_transform(values)
        least = max(8, len(values) // 50)
        label = HDBSCAN(min_cluster_size=least, min_samples=5, copy=True).fit_predict(embedding)
    numbers, sizes = np.unique(label[label >= 0], return_counts=True)
    order = np.full(int(label.max(initial=-1)) + 2, -1, np.int16)
    order[numbers[np.argsort(-sizes)]] = np.arange(len(numbers))
    return np.asarray(embedding, np.float32), order[label]


def _nmf(
    found: _Found,
    passes: _Passes,
    pca: StreamingPCA,
    loadings: Loadings,
    known: NDArray[np.int64],
    sample: NDArray[np.int64],
    wanted: int | None,
    seed: int,
) -> None:
    """Non-negative factors of the spectra that the significant components give."""
    k, n = wanted or max(pca.components, 2), pca.components

    def denoised(pixels: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(np.maximum(loadings[pixels, :n] @ pca.factors[:n], 0.0), np.float32)

    model = NMF(min(k, len(sample)), init="nndsvda", max_iter=200, tol=1e-4, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of iterations that ended early
        model.fit(denoised(sample[: SAMPLE_PIXELS // 2]))
    factors = model.components_
    area = np.maximum(factors.sum(axis=1), 1e-30)
    amount = np.full((passes.scan.pixels, len(factors)), np.nan, np.float32)
    model.set_params(max_iter=50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for start in range(0, len(known), BLOCK_PIXELS):
            part = known[start : start + BLOCK_PIXELS]
            amount[part] = model.transform(denoised(part)) * area
    for index in range(len(factors)):
        name = f"nmf {index + 1}"
        found.specs[name] = MapSpec(name, "intensity", "counts", f"counts of factor {index + 1}")
        found.maps[name] = amount[:, index]
    names = tuple(f"nmf {index + 1}" for index in range(len(factors)))
    shape = np.asarray(factors / area[:, None], np.float32)
    found.curves["nmf factors"] = Curve(passes.axis, shape, names, "1/channel")


def _ica(found: _Found, passes: _Passes, pca: StreamingPCA, loadings: Loadings, seed: int) -> None:
    """Blind source separation: factors whose slopes are independent (as HyperSpy does it)."""
    n = pca.components
    factors = pca.factors[:n].astype(np.float64)
    unmix = np.eye(n)
    if n > 1:
        ica = FastICA(whiten="unit-variance", max_iter=1000, tol=1e-5, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of iterations that ended early
            ica.fit(np.diff(factors, axis=1).T)
        unmix = ica.components_
    amount = loadings[:, :n] @ np.linalg.inv(unmix)
    factors = unmix @ factors
    size = np.nanstd(amount, axis=0) * np.linalg.norm(factors, axis=1)
    order = np.argsort(-size)
    sign = np.where(np.nanmean(amount, axis=0) < 0, -1.0, 1.0)
    for index, source in enumerate(order):
        name = f"ica {index + 1}"
        found.specs[name] = MapSpec(name, "signed", "", f"loading of source {index + 1}")
        found.maps[name] = np.asarray(amount[:, source] * sign[source], np.float32)
    names = tuple(f"ica {index + 1}" for index in range(n))
    values = np.asarray((sign[:, None] * factors)[order], np.float32)
    found.curves["ica factors"] = Curve(passes.axis, values, names)


def _segmentations(found: _Found, passes: _Passes, labels: Mapping[str, Label]) -> None:
    """Maps of the labels, and the mean spectrum of each cluster with its error."""
    sums = {name: _Sums(label, passes.axis.size) for name, label in labels.items()}
    for pixels, rows in passes.spectra("spectra"):
        for part in sums.values():
            part.add(pixels, rows)
    for name, label in labels.items():
        count = int(label.max(initial=-1)) + 1
        classes = tuple(f"{name} {index + 1}" for index in range(count))
        found.specs[name] = MapSpec(name, "label", "", f"segmentation by {name}", classes)
        found.maps[name] = np.where(label < -1, np.nan, label).astype(np.float32)
        mean, error = sums[name].result()
        found.curves[f"{name} means"] = Curve(passes.axis, mean, classes, error=error)


class _Sums:
    """Sums and squares of the spectra of each cluster."""

    def __init__(self, label: Label, channels: int) -> None:
        self._label = label
        count = int(label.max(initial=-1)) + 1
        self._sum, self._square = np.zeros((count, channels)), np.zeros((count, channels))
        self._pixels = np.zeros(count)

    def add(self, pixels: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        good = np.isfinite(rows).all(axis=1)
        label = self._label[pixels]
        for number in range(len(self._pixels)):
            mine = rows[good & (label == number)].astype(np.float64)
            self._sum[number] += mine.sum(axis=0)
            self._square[number] += (mine**2).sum(axis=0)
            self._pixels[number] += len(mine)

    def result(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and its standard error; nan for a number without pixels."""
        n = self._pixels[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self._sum / n
            variance = np.maximum(self._square / n - mean**2, 0.0) * n / np.maximum(n - 1, 1)
            error = np.sqrt(variance / n)
        return mean.astype(np.float32), error.astype(np.float32)


def _stored(recording: Recording) -> dict[str, Label]:
    """Segmentations that were recorded with the scan."""
    out: dict[str, Label] = {}
    for name, values in recording.maps.items():
        spec = recording.specs.get(name)
        if spec is not None and spec.kind == "label":
            out[f"live {name}"] = np.nan_to_num(values.ravel(), nan=-2).astype(np.int16)
    return out


def _ari(labels: Mapping[str, Label]) -> dict[tuple[str, str], float]:
    out: dict[tuple[str, str], float] = {}
    for (first, a), (second, b) in combinations(labels.items(), 2):
        both = (a >= 0) & (b >= 0)
        if both.any():
            out[first, second] = float(adjusted_rand_score(a[both], b[both]))
    return out
