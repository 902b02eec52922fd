"""Raw chunks to spectra one can compare: corrected, aligned, background fitted.

Lives here: the order of steps. What the user sets is in ``preprocess_settings``, where that
lies on a scan's axis in ``placement``, the loops are in ``kernels/``. Knows nothing of what
becomes of the spectra.

What a pixel becomes depends on its own counts, except for spikes, which are told by the mean
spectrum of pixels before it, and where the settings ask for more: channels *found* to be bad,
drift tracked from edges, and locally averaged backgrounds look at other pixels. These learn
while the scan runs; ``freeze`` settles them once every pixel was seen, and a second pass over
the recording then gives what an offline pass gives, however the stream was cut.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from live_eels import edges, placement
from live_eels.kernels import background as bg
from live_eels.kernels import deconvolve, neighbours, prepare, rarity, spikes
from live_eels.kernels.align import variance_kept
from live_eels.kernels.bad_channels import find_bad_channels
from live_eels.kernels.correct import Correction
from live_eels.kernels.windows import elastic_counts
from live_eels.other_pixels import EdgeTracks, Typical
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk, EnergyAxis, Prepared, Scan, Signal, WindowError

_LEAST_LOOKED_AT = 8  # pixels whose sum may show a bad channel


class Preprocessor:
    """Everything between raw counts and analysis, for one scan.

    Parameters
    ----------
    scan
        Its core-loss axis and references decide all windows.
    settings
        What the user asked for.

    Attributes
    ----------
    axis
        Energy axis of the prepared core loss.
    window
        Analysis window, channels of ``axis``.
    background_window
        Fit channels of ``axis``, or None where no background is taken.
    low_axis
        Energy axis of the prepared low loss (zero-loss peak at 0 eV), or None. A core loss that
        holds 0 eV itself is its own low loss.
    bad_channels
        Raw core-loss channels that are bridged, int32, sorted.

    Raises
    ------
    WindowError
        If a window or an edge asked for is not on the axis; the message names both ranges.
    """

    def __init__(self, scan: Scan, settings: PreprocessSettings | None = None) -> None:
        self.scan = scan
        self.settings = settings = settings or PreprocessSettings()
        core, low = scan.core, scan.low
        given = core.axis
        if given.size < 16:
            raise WindowError(f"an energy axis of {given.size} channels is too short (16)")
        self.axis = EnergyAxis(
            given.offset_ev + settings.core_offset_ev, given.dispersion_ev, given.size
        )
        known = placement.edges_on(settings.edges, self.axis)
        self.window = placement.analysis_window(settings.window_ev, known, self.axis)
        self.background_window = None
        if settings.background != "none":
            self.background_window = placement.fit_window(
                settings.background_ev,
                settings.window_ev,
                known,
                self.window,
                self.axis,
                required=settings.background != "auto",
                power_law=settings.background != "exponential",
            )
        self._fit = self._make_fit()
        self._core = self._correction(core)
        self._low = self._correction(low) if low is not None else None
        self._rare = rarity.threshold(settings.spikes_sigma)
        self._zlp = placement.zlp_source(settings.align, core, low)
        self.low_axis = low.axis if low is not None else None
        if self._zlp == "core":
            self.low_axis = self.axis
        if settings.deconvolve != "none" and self.low_axis is None:
            raise WindowError("deconvolution needs a low-loss signal; this scan has none")
        self._given_bad = self._core.bad
        self._typical = Typical(scan.pixels, core.axis.size)
        self._fit_sums = np.zeros((scan.pixels if settings.background_pixels else 0, 2))
        self._tracks = self._edge_tracks(known) if settings.align == "edge" else None
        self._learns = True
        self._settled = False
        self._changed = False

    @property
    def bad_channels(self) -> NDArray[np.int32]:
        """Raw core-loss channels that are bridged, int32, sorted."""
        return self._core.bad

    def _make_fit(self) -> bg.Fit:
        channels = self.background_window
        name = self.settings.background
        method = bg.LOG_LOG if name == "power_law_log_log" else bg.POISSON
        if channels is None:
            method, channels = bg.FLAT, slice(0, 2)
        energies = self.axis.energies_ev
        return bg.make_fit(
            method, energies, channels, self.window, logarithmic=name != "exponential"
        )

    def _correction(self, signal: Signal) -> Correction:
        size = signal.axis.size
        gain = np.ones(size, np.float32) if signal.gain is None else signal.gain
        dark = np.zeros(size, np.float32) if signal.dark is None else signal.dark
        # A channel without gain, or whose reference is no number, measures nothing.
        bad = ~(np.isfinite(gain) & np.isfinite(dark) & (gain > 0.05) & (gain < 20.0))
        if signal is self.scan.core:
            for channel in self.settings.dead_channels:
                if not 0 <= channel < size:
                    raise WindowError(
                        f"dead channel {channel} is not on the axis of {size} channels"
                    )
                bad[channel] = True
        if bad.all():
            raise WindowError(f"no channel of signal {signal.name!r} has a usable gain")
        dtype = np.dtype(signal.dtype)
        top = np.inf if dtype.kind == "f" else float(np.iinfo(dtype).max)
        top = min(top, self.settings.saturation_counts or np.inf)
        return Correction(
            np.where(bad, 0, dark).astype(np.float32),
            (1.0 / np.where(bad, 1, gain)).astype(np.float32),
            np.float32(top),
            np.flatnonzero(bad).astype(np.int32),
        )

    def _edge_tracks(self, known: tuple[edges.Edge, ...]) -> EdgeTracks:
        names = self.settings.align_edges
        followed = placement.edges_on(names, self.axis) if names else known
        if not followed:
            raise WindowError(
                'align = "edge" needs edges to follow: name them in align_edges; the energy '
                f"axis runs from {self.axis.offset_ev:g} to {self.axis.end_ev:g} eV"
            )
        reach_ev = self.settings.max_shift_ev
        ranges = [
            placement.search_channels(self.axis, edge.onset_ev, reach_ev) for edge in followed
        ]
        row = self.scan.shape[-1] if self.scan.shape else 1
        span = self.settings.drift_pixels or max(row, 33)
        return EdgeTracks(ranges, self.axis.dispersion_ev, self.scan.pixels, span)

    def freeze(self) -> bool:
        """Settle what was learnt over the scan, from all pixels seen, and learn no more.

        Returns True if spectra would now be prepared differently than at least one of them
        was: then they should be processed again. Call when every pixel has been processed.
        Locally averaged backgrounds need that twice: once to gather what the neighbours have
        now, once to use it.
        """
        self._look()
        again = self._changed or self._tracks is not None or self.settings.background_pixels > 0
        if self._tracks is not None:
            self._tracks.settle()
        self._learns, self._settled = False, True
        return again

    def telling(self, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of these pixels that have to be processed before ``freeze``: few, if any.

        All where edges are tracked or backgrounds averaged: there each tells of its neighbours.
        """
        if self._tracks is not None or self.settings.background_pixels > 0:
            return pixels
        return pixels[self._typical.chosen(pixels)]

    def begin_again(self) -> None:
        """Forget what a spectrum typically is, to learn it in another order; after ``freeze``."""
        self._typical = Typical(self.scan.pixels, self.scan.core.axis.size)
        self._learns = True

    def _look(self) -> None:
        """Look for bad channels until ``freeze``, and make what spikes are told by."""
        typical = self._typical
        wanted = self.settings.find_bad_channels and not self._settled
        if wanted and typical.looked_at >= _LEAST_LOOKED_AT:
            bad = find_bad_channels(typical.steady, self._given_bad)
            if not np.array_equal(bad, self._core.bad):
                self._changed = True
                self._core = self._core._replace(bad=bad)
        typical.look(self._core.bad)

    def process(self, chunk: Chunk, *, learn: bool = True) -> Prepared:
        """Correct, align and background-subtract the spectra of ``chunk``.

        ``learn`` False: pixels that were seen before, which teach nothing new.
        """
        flags = np.zeros(len(chunk.pixels), np.uint8)
        if chunk.summed is not None:
            chunk = self._as_of_one_visit(chunk, flags)
        low, shift_ev, width_ev = self._prepare_low(chunk, flags)
        counts, found = self._prepare_core(chunk, shift_ev, flags, learn=learn and self._learns)
        signal, background, quality = self._subtract(chunk.pixels, counts, flags)
        quality /= variance_kept(shift_ev / np.float32(self.axis.dispersion_ev))
        if self._zlp == "core":
            low = counts
        single = None
        if self.settings.deconvolve != "none" and low is not None and width_ev is not None:
            signal = self._deconvolved(signal, low, width_ev)
            single = counts.copy()
            single[:, self.window] = background + signal
        return Prepared(
            scan=chunk.scan,
            pixels=chunk.pixels,
            axis=self.axis,
            counts=counts,
            window=self.window,
            signal=signal,
            background=background,
            shift_ev=shift_ev,
            flags=flags,
            low=low,
            low_axis=self.low_axis if low is not None else None,
            zlp_width_ev=width_ev,
            fit_quality=quality,
            spikes=found,
            single=single,
        )

    def _as_of_one_visit(self, chunk: Chunk, flags: NDArray[np.uint8]) -> Chunk:
        """Sums of several visits, less the darks of all but one of them.

        A sum cannot tell that one of its visits was at the top of the detector's range; it is
        flagged where all of them, on average, were above ``saturation_counts``.
        """
        top = self.settings.saturation_counts

        def less(
            counts: NDArray[Any], summed: NDArray[np.uint16] | None, dark: NDArray[np.float32]
        ) -> NDArray[Any]:
            if summed is None:
                return counts
            if top is not None:
                flags[(counts >= top * summed[:, None]).any(axis=1)] |= prepare.SATURATED
            further = summed.astype(np.float32)[:, None] - np.float32(1.0)
            return np.asarray(counts - further * dark, np.float32)

        low = chunk.low
        if low is not None and self._low is not None:
            low = less(low, chunk.low_summed, self._low.dark)
        return replace(chunk, counts=less(chunk.counts, chunk.summed, self._core.dark), low=low)

    def _prepare_low(
        self, chunk: Chunk, flags: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float32], NDArray[np.float32] | None]:
        """Aligned low loss, shift in eV and peak width in eV."""
        n = len(chunk.pixels)
        none = np.zeros(n, np.float32)
        if self._zlp == "core":
            raw, correction, axis = chunk.counts, self._core, self.axis
        elif chunk.low is not None and self._low is not None and self.low_axis is not None:
            raw, correction, axis = chunk.low, self._low, self.low_axis
        else:
            if self._zlp is not None:
                flags |= prepare.NO_ZLP
            return None, none, None
        aligned = np.empty(raw.shape, np.float32)
        shift, width = np.empty(n, np.float32), np.empty(n, np.float32)
        found = np.zeros(n, np.uint8)
        prepare.prepare_low(
            _plain(raw),
            _for(chunk, correction),
            placement.search_channels(axis, 0.0, self.settings.max_shift_ev),
            -axis.offset_ev / axis.dispersion_ev,
            self.settings.least_zlp_counts,
            aligned,
            shift,
            width,
            found,
        )
        width *= np.float32(axis.dispersion_ev)
        if self._zlp is None:
            return aligned, none, width
        flags |= found & np.uint8(prepare.NO_ZLP)
        if self._zlp == "low":
            flags |= found & np.uint8(prepare.SATURATED)
        return aligned, shift * np.float32(axis.dispersion_ev), width

    def _prepare_core(
        self, chunk: Chunk, shift_ev: NDArray[np.float32], flags: NDArray[np.uint8], *, learn: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Aligned core loss and its spikes; ``shift_ev`` is filled when edges are followed."""
        n, pixels, raw = len(chunk.pixels), np.asarray(chunk.pixels), _plain(chunk.counts)
        shift = shift_ev * np.float32(1.0 / self.axis.dispersion_ev)
        counts = np.empty((n, self.axis.size), np.float32)
        found = np.zeros(n, np.int32)
        channels = np.zeros((n, spikes.MOST_SPIKES), np.int32)
        start = 0
        while start < n:
            stop = start + self._typical.before_look(pixels[start:]) if learn else n
            part = slice(start, stop)
            prepare.prepare_core(
                raw[part], _for(chunk, self._core), self._rare, self._typical.reference,
                shift[part], counts[part], found[part], channels[part], flags[part],
            )  # fmt: skip
            if learn:
                self._typical.add(pixels[part], raw[part], self._core)
                if self._typical.due:
                    self._look()
            start = stop
        if self._tracks is not None:
            shift_ev[:] = self._tracks.shift_ev(chunk.pixels, counts, learn=not self._settled)
            moved = np.empty_like(counts)
            prepare.shift_rows(counts, shift_ev / np.float32(self.axis.dispersion_ev), moved)
            counts = moved
        columns = channels[np.arange(spikes.MOST_SPIKES) < found[:, None]]
        return counts, np.column_stack([np.repeat(pixels, found), columns]).astype(np.int64)

    def _subtract(
        self, pixels: NDArray[np.int64], counts: NDArray[np.float32], flags: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Signal and background in the window, and the fit's reduced chi-square."""
        n, width = len(pixels), self.window.stop - self.window.start
        signal, background = np.empty((n, width), np.float32), np.empty((n, width), np.float32)
        quality = np.empty(n, np.float32)
        given = np.empty((0, 2))
        radius = self.settings.background_pixels
        if radius > 0 and self._fit.method == bg.POISSON:
            given = np.empty((n, 2))
            own = np.empty((n, 2))
            prepare.sum_fit(counts, self._fit, own)
            self._fit_sums[pixels] = own
            row = self.scan.shape[-1] if self.scan.shape else 1
            neighbours.local_slopes(self._fit_sums, pixels, row, radius, self._fit, given)
        prepare.subtract(
            counts,
            self._fit,
            given,
            self.window.start,
            self.settings.least_window_counts,
            signal,
            background,
            quality,
            flags,
        )
        return signal, background, quality

    def _deconvolved(
        self,
        signal: NDArray[np.float32],
        low: NDArray[np.float32],
        width_ev: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        axis = self.low_axis
        assert axis is not None
        zero = round(-axis.offset_ev / axis.dispersion_ev)
        elastic = np.empty(len(low), np.float32)
        total, cut = np.empty_like(elastic), np.empty_like(elastic)
        per_ev = 1.0 / axis.dispersion_ev
        elastic_counts(low, zero, width_ev * np.float32(per_ev), 10.0 * per_ev, elastic, total, cut)
        matched, origin = deconvolve.match_dispersion(
            low, axis.offset_ev, axis.dispersion_ev, self.axis.dispersion_ev
        )
        kept = width_ev
        if self.settings.resolution_ev is not None:
            kept = np.full_like(width_ev, self.settings.resolution_ev)
        width = kept / np.float32(self.axis.dispersion_ev)
        return deconvolve.fourier_ratio(signal, matched, origin, width, elastic)


def _for(chunk: Chunk, correction: Correction) -> Correction:
    """The correction of these counts: a sum of visits has no top of its own."""
    return correction if chunk.summed is None else correction._replace(top=np.float32(np.inf))


def _plain(counts: NDArray[Any]) -> NDArray[Any]:
    """Counts in one of the two types the kernels are compiled for, uint16 and float32."""
    if counts.dtype in (np.uint16, np.float32):
        return np.ascontiguousarray(counts)
    return np.ascontiguousarray(counts, dtype=np.float32)
