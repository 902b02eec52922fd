"""What happens to a chunk, in order, on one page.

Lives here: preprocess, decompose, cluster, classify, analyses; and the rule that no pixel
on a map is stale: when the basis or the centres move, earlier pixels follow from their
loadings, and when the scan is over every pixel is computed once more from its raw counts
with the final ones (``settle``). So the live result of a scan is the result of its file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
import numpy as np
from numpy.typing import NDArray

from live_eels import analyses
from live_eels.analyses import references
from live_eels.classify import Classifier, Source, entropy, label_source
from live_eels.cluster import ClusterSettings, OnlineKMeans
from live_eels.decompose import DecomposeSettings, StreamingPCA
from live_eels.kernels.align import variance_kept
from live_eels.loadings import PixelLoadings
from live_eels.model_card import ModelError
from live_eels.preprocess import Preprocessor
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import (
    QUALITY_FLAGS,
    Chunk,
    ChunkResult,
    Curve,
    EnergyAxis,
    MapSpec,
    Prepared,
    Scan,
)

SETTLE_PIXELS = 1024
"""Pixels of a block in which the final pass runs; fixed, so that its result is too."""

CAPTURED = 0.9
"""A component is new when less of it than this lies in the basis before."""

Values = dict[str, NDArray[np.float32]]


class Pipeline:
    """All stages for one scan; learns from each chunk and says what it sees.

    Parameters
    ----------
    scan
        The scan to analyse.
    preprocess, decompose, cluster
        Settings of the stages.
    extra
        Analyses that add maps of their own.
    classifier
        The model that labels, or None.
    source
        Which spectrum of a pixel is labelled.
    seed
        Seed of the learners.
    clock
        Monotonic clock for the stage times; the core has none of its own.

    Raises
    ------
    WindowError
        If a window in the settings is not inside the scan's energy axis.
    """

    def __init__(
        self,
        scan: Scan,
        *,
        preprocess: PreprocessSettings,
        decompose: DecomposeSettings,
        cluster: ClusterSettings,
        extra: Sequence[analyses.Analysis] = (),
        classifier: Classifier | None = None,
        source: Source = "automatic",
        seed: int = 0,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.scan = scan
        self.preprocessor = Preprocessor(scan, preprocess)
        self.axis: EnergyAxis = self.preprocessor.axis
        self.window: slice = self.preprocessor.window
        self._decompose, self._cluster, self._seed = decompose, cluster, seed
        self._begin_learning()
        self._start_extra(extra)
        self.stage_seconds = dict.fromkeys(
            ("preprocess", "decompose", "cluster", "classify", "analyses", "refresh"), 0.0
        )
        self.spectra_done = 0
        self.spikes_found = 0
        self._clock = clock
        self._held: dict[str, MapSpec] = {}
        self._held_curves: dict[str, Curve] = {}
        self._references = references.curves(self.axis.cropped(self.window))
        self.classifier: Classifier | None = None
        self.elements: tuple[str, ...] = ()
        self.source = source
        if classifier is not None:
            self.set_classifier(classifier)

    def _begin_learning(self) -> None:
        self.pca = StreamingPCA(self._channels, self._decompose, self._seed)
        self.kmeans = OnlineKMeans(self._cluster, self._seed)
        self.loadings = PixelLoadings(self.scan.pixels, self.pca.width)
        self._block: list[NDArray[np.float32]] = []
        self._waiting = 0
        self._since_turn: list[NDArray[np.int64]] = []
        self._outdated: list[NDArray[np.int64]] = []
        self._shown = (-1, -1, 0)
        self._next_pixel = 0
        self._out_of_order = False

    def _start_extra(self, extra: Sequence[analyses.Analysis]) -> None:
        self._extra = tuple(extra)
        self.extra = analyses.Guarded(self._extra)
        self.extra.start(self.scan, self.axis, self.window, self.preprocessor.low_axis)

    @property
    def _channels(self) -> int:
        return int(self.window.stop) - int(self.window.start)

    # What can be changed while it runs (earlier pixels follow when they are processed again)

    def set_classifier(self, classifier: Classifier) -> None:
        """Label with another model from now on.

        Raises
        ------
        ModelError
            If it is not made for this energy axis; the one before stays.
        """
        self.elements = classifier.bind(self.axis)
        self.classifier = classifier

    def add_analysis(self, analysis: analyses.Analysis) -> None:
        """Give its maps too from now on; one of the same name is replaced.

        Raises
        ------
        WindowError
            If it cannot run on this axis; nothing is changed then.
        """
        analysis.start(self.scan, self.axis, self.window, self.preprocessor.low_axis)
        names = {spec.name for spec in analysis.specs}
        others = [a for a in self._extra if not names & {spec.name for spec in a.specs}]
        self._start_extra([*others, analysis])

    def hold(self, specs: Iterable[MapSpec], curves: Mapping[str, Curve]) -> None:
        """Keep maps and curves that were made elsewhere, as they are, beside its own."""
        self._held |= {spec.name: spec for spec in specs}
        self._held_curves |= curves

    def set_clusters(self, clusters: int | None) -> None:
        """Use so many clusters, or let the scan choose: the learner starts anew on loadings."""
        self._cluster = msgspec.structs.replace(self._cluster, clusters=clusters)
        self.kmeans = OnlineKMeans(self._cluster, self._seed)
        if self.components:
            width = self.pca.width
            self.kmeans.rebase(
                np.eye(width, dtype=np.float32), np.zeros(width, np.float32),
                self.pca.factors, self.pca.components,
            )  # fmt: skip
            self.kmeans.learn(self.loadings.current()[self.loadings.seen()])

    def set_components(self, components: int | None) -> None:
        """Show and cluster so many components, or let the noise floor choose."""
        self._decompose = msgspec.structs.replace(self._decompose, components=components)
        self.pca.set_components(components)
        self._turn()
        self._shown = (-1, -1, 0)

    # What can be seen

    @property
    def specs(self) -> list[MapSpec]:
        """Every map of this pipeline as it stands."""
        clusters = tuple(f"cluster {i + 1}" for i in range(len(self.kmeans.centres)))
        specs = [
            MapSpec("cluster", "label", "", "k-means cluster", clusters),
            MapSpec("counts", unit="counts", meaning="total counts of the core loss"),
            MapSpec("shift", "signed", "eV", "energy added to align the spectrum"),
            MapSpec("ZLP fwhm", "intensity", "eV", "full width of the zero-loss peak"),
            MapSpec("background fit", "intensity", "", "reduced chi-square of the background"),
            MapSpec("PCA residual", "intensity", "", "chi-square the components leave; 1: noise"),
            MapSpec("flags", "flags", "", "quality of the spectrum", QUALITY_FLAGS),
        ]
        if self.classifier is not None:
            names = self.classifier.card.names
            specs = [
                MapSpec("label", "label", "", "oxidation state", names),
                MapSpec("valence", "intensity", "", "mean valence", limits=(2.0, 4.0)),
                *specs,
                MapSpec("confidence", "fraction", "", "probability of the label"),
                MapSpec("entropy", "fraction", "", "undecidedness of the label, 0 to 1"),
            ]
            specs += [
                MapSpec(f"p({name})", "fraction", "", f"probability of {name}") for name in names
            ]
        specs += [
            MapSpec(f"loading {i + 1}", "signed", "", f"loading of principal component {i + 1}")
            for i in range(self.components)
        ]
        return [*specs, *self.extra.specs, *self._held.values()]

    @property
    def scree(self) -> NDArray[np.float32] | None:
        """Variance of each component relative to the noise, or None before there is a basis."""
        return self.pca.scree.astype(np.float32) if self.pca.basis_version else None

    @property
    def components(self) -> int:
        """Principal components that stand above the noise (or were asked for)."""
        return self.pca.components if self.pca.basis_version else 0

    def curves(self) -> dict[str, Curve]:
        """Factors, cluster means and reference spectra on the analysis window."""
        if not self.components:
            return self._references | self._held_curves
        axis = self.axis.cropped(self.window)
        names = tuple(f"component {i + 1}" for i in range(self.components))
        factors = Curve(axis, self.pca.factors[: self.components], names)
        curves = self._references | {"factors": factors}
        if len(self.kmeans.centres):
            means = self._cluster_loadings() @ self.pca.factors[: self.components]
            labels = tuple(f"cluster {i + 1}" for i in range(len(means)))
            curves["cluster means"] = Curve(axis, means, labels)
        return curves | self._held_curves

    # What happens to a chunk

    def process(self, chunk: Chunk, *, learn: bool = True) -> ChunkResult:
        """Take a chunk through all stages.

        Parameters
        ----------
        chunk
            Raw counts.
        learn
            Let the learners see it; False for pixels they saw before.
        """
        chunk = _with_core(chunk)
        if not len(chunk.pixels):
            return ChunkResult(chunk.pixels, {})
        if learn:
            self._follow_order(chunk.pixels)
        with self._timed("preprocess"):
            prepared = self.preprocessor.process(chunk, learn=learn)
        spectra = np.ascontiguousarray(_spectra(prepared)[:, self.window])
        if learn:
            self._learn(spectra)
            self.spikes_found += 0 if prepared.spikes is None else len(prepared.spikes)
        with self._timed("decompose"):
            loadings = self.pca.transform(spectra)
            self.loadings.put(chunk.pixels, loadings)
            self._since_turn.append(chunk.pixels)
            residual = self.pca.residual(spectra, loadings)
            residual /= variance_kept(prepared.shift_ev / np.float32(self.axis.dispersion_ev))
        with self._timed("cluster"):
            cluster = self.kmeans.predict(loadings)
        maps: Values = _quality(prepared) | {
            "counts": prepared.counts.sum(axis=1),
            "shift": prepared.shift_ev,
            "flags": prepared.flags.astype(np.float32),
            "cluster": _cluster_map(cluster),
            "PCA residual": residual,
        }
        with self._timed("classify"):
            maps |= self._labels(prepared, loadings, cluster)
        for index in range(self.components):
            maps[f"loading {index + 1}"] = loadings[:, index]
        with self._timed("analyses"):
            maps |= self.extra.update(prepared)
        self.spectra_done += len(chunk.pixels)
        return ChunkResult(chunk.pixels, maps)

    def learn(self, chunk: Chunk) -> None:
        """Let the learners see a chunk, without asking what they make of it."""
        chunk = _with_core(chunk)
        if not len(chunk.pixels):
            return
        self._follow_order(chunk.pixels)
        with self._timed("preprocess"):
            prepared = self.preprocessor.process(chunk)
        self._learn(np.ascontiguousarray(_spectra(prepared)[:, self.window]))
        self.spikes_found += 0 if prepared.spikes is None else len(prepared.spikes)
        self.spectra_done += len(chunk.pixels)

    def _learn(self, spectra: NDArray[np.float32]) -> None:
        """Learn in the decomposition's own blocks, whatever the chunks that bring them.

        Both learners then see the same blocks in the same basis however the stream was cut,
        and end in the same state to the last bit.
        """
        start = 0
        while start < len(spectra):
            piece = spectra[start : start + self.pca.room - self._waiting]
            start += len(piece)
            self._block.append(piece)
            self._waiting += len(piece)
            if self._waiting == self.pca.room:
                self._learn_block()

    def _learn_block(self) -> None:
        rows = self._block[0] if len(self._block) == 1 else np.concatenate(self._block)
        self._block, self._waiting = [], 0
        with self._timed("decompose"):
            self.pca.learn(rows)
            self._turn()
            loadings = self.pca.transform(rows)
        with self._timed("cluster"):
            self.kmeans.learn(loadings)

    def _turn(self) -> None:
        """Bring everything that is expressed in the old basis into the new one."""
        turned = self.pca.take_rotation()
        if turned is not None:
            rotation, offset = turned
            self.loadings.turn(rotation, offset)
            self.kmeans.rebase(rotation, offset, self.pca.factors, self.pca.components)
            captured = (rotation[:, : self.components] ** 2).sum(axis=0)
            if captured.size and captured.min() < CAPTURED:
                self._outdated += self._since_turn
            self._since_turn = []

    def take_outdated(self) -> NDArray[np.int64]:
        """Pixels to process again (without learning) when there is time.

        Loadings follow a turn of the basis as far as the basis before could express them. What
        came just before a component was found did not have it: those pixels' own counts are
        needed again. int64 ``(pixel,)``; empty after they were taken.
        """
        outdated, self._outdated = self._outdated, []
        return np.concatenate(outdated) if outdated else np.empty(0, np.int64)

    def _labels(
        self, prepared: Prepared, loadings: NDArray[np.float32], cluster: NDArray[np.int16]
    ) -> Values:
        if self.classifier is None:
            return {}
        source, axis = self._label_source()
        if source == "raw":
            labels = self.classifier.predict(_spectra(prepared), self.axis)
        else:
            n = self.components
            use = loadings[:, :n]
            if source == "cluster":
                shapes = self._cluster_shapes()
                use = np.where((cluster >= 0)[:, None], shapes[np.maximum(cluster, 0)], use)
            denoised = use @ self.pca.factors[:n]
            noise = None
            if source == "denoised":
                noise = (_spectra(prepared)[:, self.window] - denoised).std(axis=1)
            labels = self.classifier.predict(denoised, axis, noise)
        probability = labels.probability
        maps: Values = {
            "label": labels.label.astype(np.float32),
            "confidence": probability.max(axis=1, initial=0.0),
            "entropy": entropy(probability),
            "valence": labels.valence,
        }
        for index, name in enumerate(self.classifier.card.names):
            maps[f"p({name})"] = np.ascontiguousarray(probability[:, index])
        return maps

    def _label_source(self) -> tuple[Source, EnergyAxis]:
        """Which spectra are labelled now, and their axis.

        The mean spectrum of the learner decides, so the choice does not depend on chunks.
        """
        assert self.classifier is not None
        axis = self.axis.cropped(self.window)
        per_100_mev = float(np.median(self.pca.mean)) * 0.1 / axis.dispersion_ev
        source = label_source(
            per_100_mev, self.components > 0, self.kmeans.clusters > 0, self.source
        )
        if source == "raw" or not self.components:
            return "raw", self.axis
        try:
            self.classifier.bind(axis)
        except ModelError:  # the analysis window leaves out what the model needs
            return "raw", self.axis
        if source == "cluster" and not self.kmeans.clusters:
            source = "denoised"
        return source, axis

    def _cluster_shapes(self) -> NDArray[np.float32]:
        """Loadings of each cluster's spectrum, up to a factor, ``(cluster, component)``.

        The centres are that, and do not depend on which pixels were looked at so far; only
        where slopes are compared they are not, and the pixels' mean has to serve.
        """
        if self._cluster.normalise == "derivative":
            return self._cluster_loadings()
        return self.kmeans.centres

    def _cluster_loadings(self) -> NDArray[np.float32]:
        """Mean loadings of each cluster, float32 ``(cluster, component)``; nan where none."""
        n, k = self.components, len(self.kmeans.centres)
        seen = self.loadings.seen()
        sample = self.loadings.current()[seen[:: max(1, len(seen) // 20_000)]]
        cluster = self.kmeans.predict(sample)
        means = np.full((k, n), np.nan, np.float32)
        for index in range(k):
            if (cluster == index).any():
                means[index] = sample[cluster == index, :n].mean(axis=0)
        return means

    def refreshed(self) -> Values:
        """Give the maps of all pixels that moved with the basis or the centres since last asked.

        Costs pixels times components, never a pass over channels.
        """
        state = (self.pca.basis_version, self.kmeans.centres_version, self.components)
        if state == self._shown or not self.components:
            return {}
        self._shown = state
        with self._timed("refresh"):
            loadings, seen = self.loadings.current(), self.loadings.seen()
            maps: Values = {
                f"loading {i + 1}": loadings[:, i].copy() for i in range(self.components)
            }
            cluster = np.full(self.scan.pixels, np.nan, np.float32)
            cluster[seen] = _cluster_map(self.kmeans.predict(loadings[seen]))
            maps["cluster"] = cluster
            return maps

    # What happens at the end

    def settle(self, chunks: Callable[[int], Iterable[Chunk]]) -> Iterator[ChunkResult]:
        """Compute every pixel once more, from its raw counts, with the final basis and centres.

        If the pixels did not come in raster order, once each, or the preprocessing has since
        learned better, the learners start anew and see them so: the result depends on the
        recording, not on how it arrived.

        Parameters
        ----------
        chunks
            Given a size, the recorded pixels in raster order in chunks of that size.
        """
        learnt_better = self.preprocessor.freeze()
        if learnt_better or self._out_of_order:
            self._begin_learning()
            self.preprocessor.begin_again()
            for chunk in chunks(SETTLE_PIXELS):
                self.learn(chunk)
            self.preprocessor.freeze()
        if self._block:
            self._learn_block()
        self.pca.finish()
        self._turn()
        self.kmeans.finish()
        for chunk in chunks(SETTLE_PIXELS):
            yield self.process(chunk, learn=False)

    def _follow_order(self, pixels: NDArray[np.int64]) -> None:
        """Note whether pixels come in raster order, once each (some may be missing)."""
        if int(pixels[0]) < self._next_pixel or not (np.diff(pixels) > 0).all():
            self._out_of_order = True
        self._next_pixel = int(pixels[-1]) + 1

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = self._clock()
        yield
        self.stage_seconds[stage] += self._clock() - start


def _with_core(chunk: Chunk) -> Chunk:
    """The chunk without pixels whose core loss never came: nothing is known of them."""
    seen = chunk.core_seen
    if seen is None:
        return chunk
    return Chunk(
        chunk.scan,
        chunk.pixels[seen],
        chunk.counts[seen],
        None if chunk.low is None else chunk.low[seen],
        None if chunk.low_seen is None else chunk.low_seen[seen],
        None,
        chunk.received_s,
        chunk.clock_s,
        None if chunk.summed is None else chunk.summed[seen],
        None if chunk.low_summed is None else chunk.low_summed[seen],
    )


def _spectra(prepared: Prepared) -> NDArray[np.float32]:
    """What learners and labels see: single scattering where that was asked for."""
    return prepared.counts if prepared.single is None else prepared.single


def _quality(prepared: Prepared) -> Values:
    """How well background and zero-loss peak were found; nan where there is none."""
    unknown = np.full(len(prepared.pixels), np.nan, np.float32)
    fit, width = prepared.fit_quality, prepared.zlp_width_ev
    return {
        "background fit": unknown if fit is None else fit,
        "ZLP fwhm": unknown if width is None else width,
    }


def _cluster_map(cluster: NDArray[np.int16]) -> NDArray[np.float32]:
    """Cluster numbers as map values: -1 for outliers, nan where nothing can be said."""
    return np.where(cluster < -1, np.nan, cluster).astype(np.float32)
