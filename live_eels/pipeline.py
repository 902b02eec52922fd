"""What happens to a chunk, in order, on one page.

Lives here: preprocess, decompose, cluster, classify, analyses; and the rule that no pixel
on a map is stale: when the basis or the centres move, earlier pixels follow from their
loadings, and when the scan is over every pixel is computed once more from its raw counts
with the final ones (``settle``). So the live result of a scan is the result of its file.

A chunk passes in two steps that may run side by side: ``prepare`` looks at raw counts alone,
``take`` at what was learnt too. Learning is a third (see `learning`). Which threads do them
is the caller's choice and changes no result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from live_eels import analyses
from live_eels.analyses import references
from live_eels.classify import Classifier, Source
from live_eels.cluster import OnlineKMeans
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose import StreamingPCA
from live_eels.decompose_settings import DecomposeSettings
from live_eels.following import EveryPixel, NumbersBefore
from live_eels.kernels.align import variance_kept
from live_eels.kernels.pca import row_totals
from live_eels.labelling import Labeller, Values
from live_eels.learning import AtOnce, Learners, Worker
from live_eels.preprocess import Preprocessor
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.ready import Ahead, Ready, quality, seen_spectra, with_core
from live_eels.recolouring import AT_MOST
from live_eels.shown import cluster_map, curves, map_specs
from live_eels.spectra import Chunk, ChunkResult, Curve, EnergyAxis, MapSpec, Scan
from live_eels.spike_list import SpikeList, spike_map

SETTLE_PIXELS = 1024
"""Pixels of a block in which the final pass runs; fixed, so that its result is too."""


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
        Clock for the stage times; the core has none of its own.
    worker
        Where the learners learn.
    ahead
        How chunks are prepared when the scan is settled.

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
        worker: Worker | None = None,
        ahead: Ahead = map,
    ) -> None:
        self.scan = scan
        self.preprocessor = Preprocessor(scan, preprocess)
        self.axis: EnergyAxis = self.preprocessor.axis
        self.window: slice = self.preprocessor.window
        self.source = source
        self.stage_seconds = dict.fromkeys(
            ("preprocess", "learn", "decompose", "cluster", "classify", "analyses", "refresh"), 0.0
        )
        self.spectra_done = 0
        self.spikes = SpikeList()
        self._decompose, self._cluster, self._seed = decompose, cluster, seed
        self._clock, self._worker, self._ahead = clock, worker or AtOnce(), ahead
        self._begin_learning()
        self._start_extra(extra)
        self._held: dict[str, MapSpec] = {}
        self._held_curves: dict[str, Curve] = {}
        self._references = references.curves(self.axis.cropped(self.window))
        self.labeller: Labeller | None = None
        if classifier is not None:
            self.set_classifier(classifier)

    def _begin_learning(self) -> None:
        channels = int(self.window.stop) - int(self.window.start)
        self.learners = Learners(
            channels, self._decompose, self._cluster, self._seed, self._worker, self._timed
        )
        self.known = EveryPixel(self.scan.pixels, self.learners.newest)
        self._next_pixel = 0
        self._out_of_order = False

    def _start_extra(self, extra: Sequence[analyses.Analysis]) -> None:
        self._extra = tuple(extra)
        self.extra = analyses.Guarded(self._extra)
        self.extra.start(self.scan, self.axis, self.window, self.preprocessor.low_axis)

    # What can be changed while it runs (earlier pixels follow when they are processed again)

    def set_classifier(self, classifier: Classifier) -> None:
        """Label with another model from now on.

        Raises
        ------
        ModelError
            If it is not made for this energy axis; the one before stays.
        """
        self.labeller = Labeller(classifier, self.axis, self.window, self.source)

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
        """Use so many clusters, or let the scan choose."""
        self._cluster = msgspec.structs.replace(self._cluster, clusters=clusters)
        self.learners.set_clusters(clusters)
        self.known.forget_colours()  # what was asked for is shown at once

    def set_components(self, components: int | None) -> None:
        """Show and cluster so many components, or let the noise floor choose."""
        self._decompose = msgspec.structs.replace(self._decompose, components=components)
        self.learners.set_components(components)
        self.known.forget_colours()

    # What can be seen

    @property
    def pca(self) -> StreamingPCA:
        """The basis that is shown; it must not learn."""
        return self.known.learnt.pca

    @property
    def kmeans(self) -> OnlineKMeans:
        """The clusters that are shown; they must not learn."""
        return self.known.learnt.kmeans

    @property
    def components(self) -> int:
        """Principal components that stand above the noise (or were asked for)."""
        return self.known.learnt.components

    @property
    def scree(self) -> NDArray[np.float32] | None:
        """Variance of each component relative to the noise, or None before there is a basis."""
        return self.pca.scree.astype(np.float32) if self.pca.basis_version else None

    @property
    def elements(self) -> tuple[str, ...]:
        """Elements that the model can tell on this axis."""
        return self.labeller.elements if self.labeller else ()

    @property
    def classifier(self) -> Classifier | None:
        """The model that labels."""
        return self.labeller.classifier if self.labeller else None

    @property
    def specs(self) -> list[MapSpec]:
        """Every map of this pipeline as it stands."""
        shown = map_specs(self.known, self.labeller)
        return [*shown, *self.extra.specs, *self._held.values()]

    def curves(self) -> dict[str, Curve]:
        """Factors, cluster means, reference spectra, and what the model saw as typical."""
        learnt = curves(self.known, self.axis.cropped(self.window))
        typical = self.labeller.curves if self.labeller else {}
        return self._references | learnt | self._held_curves | typical

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
        return self.take(self.prepare(chunk, learn=learn), learn=learn)

    def prepare(self, chunk: Chunk, *, learn: bool = True) -> Ready | None:
        """Do what needs the chunk alone; None where nothing is known of its pixels.

        Chunks are prepared in order. May run beside ``take``, not beside itself.
        """
        chunk = with_core(chunk)
        if not len(chunk.pixels):
            return None
        with self._timed("preprocess"):
            prepared = self.preprocessor.process(chunk, learn=learn)
            total = np.empty(len(chunk.pixels))
            row_totals(prepared.counts, total)
            spectra = np.ascontiguousarray(seen_spectra(prepared)[:, self.window])
        return Ready(prepared, spectra, total.astype(np.float32))

    def learn(self, ready: Ready | None) -> None:
        """Let the learners see a chunk, without asking what they make of it."""
        if ready is not None:
            self._learn(ready)
            self.spectra_done += len(ready.total)

    def take(self, ready: Ready | None, *, learn: bool = True) -> ChunkResult:
        """Say what is seen in a prepared chunk; ``learn`` as for ``process``."""
        if ready is None:
            return ChunkResult(np.empty(0, np.int64), {})
        if learn:
            self._learn(ready)
        self._adopt()
        prepared = ready.prepared
        with self._timed("decompose"):
            loadings = self.pca.transform(ready.spectra)
            rebuilt = self.pca.rebuild(ready.spectra, loadings)
            kept = variance_kept(prepared.shift_ev / np.float32(self.axis.dispersion_ev))
        with self._timed("cluster"):
            cluster = self.known.put(prepared.pixels, loadings)
        maps: Values = quality(prepared) | {
            "counts": ready.total,
            "shift": prepared.shift_ev,
            "flags": prepared.flags.astype(np.float32),
            "spikes": spike_map(prepared),
            "cluster": cluster_map(cluster),
            "PCA residual": rebuilt.residual / kept,
        }
        if self.labeller is not None:
            with self._timed("classify"):
                learnt = self.known.learnt
                by_cluster = self.labeller.source(learnt) == "cluster"
                shapes = self.known.shapes(cluster) if by_cluster else None
                maps |= self.labeller.label(seen_spectra(prepared), rebuilt, shapes, learnt)
        for index in range(self.components):
            maps[f"loading {index + 1}"] = loadings[:, index]
        with self._timed("analyses"):
            maps |= self.extra.update(prepared)
        self.spectra_done += len(prepared.pixels)
        return ChunkResult(prepared.pixels, maps)

    def _learn(self, ready: Ready) -> None:
        prepared = ready.prepared
        self._follow_order(prepared.pixels)
        self.learners.learn(ready.spectra)
        self.spikes.note(prepared)

    def _follow_order(self, pixels: NDArray[np.int64]) -> None:
        """Note whether pixels come in raster order, once each (some may be missing)."""
        if int(pixels[0]) < self._next_pixel or not (np.diff(pixels) > 0).all():
            self._out_of_order = True
        self._next_pixel = int(pixels[-1]) + 1

    # When more was learnt

    def _adopt(self) -> None:
        if self.learners.newest is not self.known.learnt:
            self.known.adopt(self.learners.newest)

    def take_outdated(self) -> NDArray[np.int64]:
        """Pixels to process again (without learning) when there is time, each once."""
        return self.known.take_outdated()

    @property
    def stale(self) -> bool:
        """Whether ``refreshed`` has something to give."""
        return self.learners.newest is not self.known.learnt or self.known.stale

    def refreshed(self) -> Iterator[ChunkResult]:
        """Give the maps of earlier pixels that moved with the basis or the centres, in parts.

        Costs pixels times components, never a pass over channels.
        """
        self._adopt()
        parts = self.known.follow()
        while True:
            with self._timed("refresh"):
                part = next(parts, None)
                if part is None:
                    return
                pixels, loadings, cluster = part
                maps: Values = {f"loading {i + 1}": loadings[:, i] for i in range(self.components)}
                maps["cluster"] = cluster_map(cluster)
            yield ChunkResult(pixels, maps)

    @property
    def waiting(self) -> int:
        """Pixels whose colour changes with a later map than the newest (`recoloured`)."""
        return self.known.colours.waiting

    def recoloured(self, at_most: float = AT_MOST) -> ChunkResult:
        """Give the pixels that change their cluster with the map that is made now.

        Whoever shows maps asks before each; while some are ``waiting``, another map is due.
        """
        pixels, cluster = self.known.colours.next_map(at_most)
        return ChunkResult(pixels, {"cluster": cluster_map(cluster)})

    def as_shown(self, result: ChunkResult) -> ChunkResult:
        """The same with the clusters that these pixels show until the next map."""
        shown = cluster_map(self.known.colours.shown(result.pixels))
        return replace(result, maps={**result.maps, "cluster": shown})

    # What happens at the end

    def settle(
        self, chunks: Callable[[int], Iterable[Chunk]], *, afresh: bool = False
    ) -> Iterator[ChunkResult]:
        """Compute every pixel once more, from its raw counts, with the final basis and centres.

        If the pixels did not come in raster order, once each, or the preprocessing has since
        learned better, the learners start anew and see them so: the result depends on the
        recording, not on how it arrived, but for the numbers of clusters: those on the maps stay.

        Parameters
        ----------
        chunks
            Given a size, the recorded pixels in raster order in chunks of that size.
        afresh
            The learners start anew: they saw no more than `Preprocessor.telling` asks for.
        """
        self.learners.wait()
        learnt_better = self.preprocessor.freeze()
        if afresh or learnt_better or self._out_of_order:
            self._begin_again(chunks)
        else:
            self.learners.finish()
        self._adopt()
        self.known.put_anew()
        self.spikes = SpikeList()
        as_learnt = partial(self.prepare, learn=False)
        for ready in self._ahead(as_learnt, chunks(SETTLE_PIXELS)):
            if ready is not None:
                self.spikes.note(ready.prepared)
            result = self.take(ready, learn=False)
            exact = cluster_map(self.known.colours.before(result.pixels)[0])
            yield replace(result, maps={**result.maps, "cluster": exact})

    def _begin_again(self, chunks: Callable[[int], Iterable[Chunk]]) -> None:
        """Learn from the recording alone; clusters keep the numbers that are on the maps."""
        before = self.known
        self._begin_learning()
        self.known.show_as(before)
        self.preprocessor.begin_again()
        numbers = NumbersBefore(before, self._seed)
        for ready in self._ahead(self.prepare, chunks(SETTLE_PIXELS)):
            self.learn(ready)
            if ready is not None:
                numbers.note(ready.prepared.pixels, ready.spectra)
        self.preprocessor.freeze()
        self.learners.finish()
        self.learners.keep_numbers(*numbers.noted())

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = self._clock()
        yield
        self.stage_seconds[stage] += self._clock() - start
