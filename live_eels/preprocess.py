"""Raw chunks to spectra one can compare: corrected, aligned, background fitted.

Lives here: what the user sets, the windows it means on this scan's axis, and the order of
steps. The loops are in ``kernels/``. Knows nothing of what becomes of the spectra.

What a pixel becomes depends on its own counts alone, except where the settings ask for more:
channels *found* to be bad, drift tracked from edges, and locally averaged backgrounds look at
other pixels. These learn while the scan runs; ``freeze`` settles them once every pixel was
seen, from all pixels in scan order, and a second pass over the recording then gives what an
offline pass gives, however the stream was cut. ``settled`` says whether it would change
anything.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels import edges
from live_eels.kernels import background as bg
from live_eels.kernels import prepare
from live_eels.kernels.correct import Correction
from live_eels.spectra import Chunk, EnergyAxis, Prepared, Scan, Signal, WindowError

Window = tuple[float, float]
BackgroundName = Literal["auto", "power_law", "power_law_log_log", "exponential", "none"]


class PreprocessSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do to each spectrum before anything is read from it.

    Parameters
    ----------
    edges
        Edges the specimen has, such as ``["Mn L", "Fe L"]``: they set the windows below.
        Empty: Mn and Fe if the axis holds them, else the first often-mapped edge it holds.
    window_ev
        The energies that are analysed; None: from 10 eV before the first edge to 50 eV after
        the onset of the last, or the whole axis where no edge is known.
    background_ev
        Where the background is fitted; None: before the first edge.
    background
        ``power_law`` and ``exponential`` are fitted by Poisson likelihood (every count
        weighs what it should, also at one count per channel); ``power_law_log_log`` is the
        classic straight line in logarithms. ``auto`` is ``power_law`` where the axis leaves
        room for a fit, else ``none``.
    background_pixels
        Local background averaging: the slope comes from all pixels within this distance
        (the amplitude stays the pixel's own). 0: every pixel for itself.
    align
        ``zlp``: zero-loss peak to 0 eV, from the low loss (or the core loss if it holds
        0 eV). ``edge``: drift tracked from the edges themselves. ``auto``: ``zlp`` if there
        is one, else ``none``.
    align_edges
        Edges that ``align = "edge"`` follows; empty: those of ``edges``.
    drift_pixels
        Over how many pixels in scan order ``edge`` takes its median; 0: one row, at least 33.
    max_shift_ev
        A zero-loss peak or edge farther than this from where it belongs is not believed.
    core_offset_ev
        Added to every energy of the core-loss axis: a calibration error of the spectrometer
        that the zero-loss peak cannot show.
    spikes_sigma
        A channel this many standard deviations above its surroundings is an X-ray; 0: leave
        all in.
    dead_channels
        Core-loss channels known to be bad; bridged from their neighbours.
    find_bad_channels
        Also bridge channels that stick out of, or drop from, the mean spectrum.
    saturation_counts
        Raw counts at which the detector saturates; None: the top of its integer type.
    least_zlp_counts
        A zero-loss peak with fewer counts is none.
    least_window_counts
        A spectrum with fewer counts in the window is flagged ``few_counts``.
    """

    edges: tuple[str, ...] = ()
    window_ev: Window | None = None
    background_ev: Window | None = None
    background: BackgroundName = "auto"
    background_pixels: Annotated[int, Meta(ge=0, le=16)] = 0
    align: Literal["auto", "zlp", "edge", "none"] = "auto"
    align_edges: tuple[str, ...] = ()
    drift_pixels: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    max_shift_ev: Annotated[float, Meta(gt=0, le=1000)] = 20.0
    core_offset_ev: float = 0.0
    spikes_sigma: Annotated[float, Meta(ge=0, le=100)] = 5.5
    dead_channels: tuple[int, ...] = ()
    find_bad_channels: bool = True
    saturation_counts: Annotated[float, Meta(gt=0)] | None = None
    least_zlp_counts: Annotated[float, Meta(ge=1)] = 30.0
    least_window_counts: Annotated[float, Meta(ge=0)] = 20.0


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
        Energy axis of the prepared low loss (zero-loss peak at 0 eV), or None.

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
        self.axis = EnergyAxis(
            given.offset_ev + settings.core_offset_ev, given.dispersion_ev, given.size
        )
        if given.size < 16:
            raise WindowError(f"an energy axis of {given.size} channels is too short (16)")
        known = _edges_asked(settings, self.axis)
        self.window = _window(settings, known, self.axis)
        self.background_window = _background_window(settings, known, self.window, self.axis)
        self.low_axis = low.axis if low is not None else None
        self._fit = self._make_fit()
        self._core = self._correction(core, settings.spikes_sigma)
        self._low = self._correction(low, 0.0) if low is not None else None
        self._zlp = _zlp_source(settings, core, low)
        self.spikes_found = 0

    def _make_fit(self) -> bg.Fit:
        channels = self.background_window
        name = self.settings.background
        method = bg.LOG_LOG if name == "power_law_log_log" else bg.POISSON
        if channels is None:
            method, channels = bg.FLAT, slice(0, 2)
        return bg.make_fit(
            method,
            self.axis.energies_ev,
            channels,
            self.window,
            logarithmic=name != "exponential",
        )

    def _correction(self, signal: Signal, sigmas: float) -> Correction:
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
            np.float32(sigmas),
        )

    def process(self, chunk: Chunk) -> Prepared:
        """Correct, align and background-subtract the spectra of ``chunk``."""
        n = len(chunk.pixels)
        flags = np.zeros(n, np.uint8)
        shift_ev = np.zeros(n, np.float32)
        low = self._process_low(chunk, shift_ev, flags)
        raw = _plain(chunk.counts)
        counts = np.empty((n, self.axis.size), np.float32)
        spikes = np.zeros(n, np.int32)
        channels = np.zeros((n, prepare.MOST_SPIKES), np.int32)
        shift = (shift_ev / self.axis.dispersion_ev).astype(np.float32)
        prepare.prepare_core(raw, self._core, shift, counts, spikes, channels, flags)
        width = self.window.stop - self.window.start
        signal = np.empty((n, width), np.float32)
        background = np.empty((n, width), np.float32)
        quality = np.empty(n, np.float32)
        prepare.subtract(
            counts,
            self._fit,
            np.empty((0, 2)),
            self.window.start,
            self.settings.least_window_counts,
            signal,
            background,
            quality,
            flags,
        )
        self.spikes_found += int(spikes.sum())
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
        )

    def _process_low(
        self, chunk: Chunk, shift_ev: NDArray[np.float32], flags: NDArray[np.uint8]
    ) -> NDArray[np.float32] | None:
        source = self._zlp
        raw = chunk.low if self._low is not None else None
        correction = self._low
        if source == "core":
            raw, correction = chunk.counts, self._core
        if raw is None or correction is None:
            if source == "low":
                flags |= prepare.NO_ZLP
            return None
        axis = self.axis if source == "core" or self.low_axis is None else self.low_axis
        low = np.empty(raw.shape, np.float32)
        shift = np.empty(len(raw), np.float32)
        width = np.empty(len(raw), np.float32)
        zero = -axis.offset_ev / axis.dispersion_ev
        reach = self.settings.max_shift_ev / axis.dispersion_ev
        search = (int(max(zero - reach, 0)), int(min(max(zero + reach, 0) + 1, axis.size)))
        found = np.zeros(len(raw), np.uint8)
        prepare.prepare_low(
            _plain(raw),
            correction,
            search,
            zero,
            self.settings.least_zlp_counts,
            low,
            shift,
            width,
            found,
        )
        if source is not None:
            flags |= found & np.uint8(prepare.NO_ZLP)
            shift_ev[:] = shift * axis.dispersion_ev
        return low


def _plain(counts: NDArray[Any]) -> NDArray[Any]:
    """Counts in one of the two types the kernels are compiled for, uint16 and float32."""
    if counts.dtype in (np.uint16, np.float32):
        return np.ascontiguousarray(counts)
    return np.ascontiguousarray(counts, dtype=np.float32)


def _edges_asked(settings: PreprocessSettings, axis: EnergyAxis) -> tuple[edges.Edge, ...]:
    if not settings.edges:
        return edges.guess(axis)
    asked = []
    for name in settings.edges:
        try:
            edge = edges.find(name)
        except edges.EdgeError as error:
            raise WindowError(str(error)) from error
        if not axis.offset_ev <= edge.onset_ev <= axis.end_ev:
            raise WindowError(
                f"the edge {name} begins at {edge.onset_ev:g} eV, outside the energy axis, "
                f"which runs from {axis.offset_ev:g} to {axis.end_ev:g} eV"
            )
        asked.append(edge)
    return tuple(sorted(asked, key=lambda edge: edge.onset_ev))


def _window(settings: PreprocessSettings, known: tuple[edges.Edge, ...], axis: EnergyAxis) -> slice:
    if settings.window_ev is not None:
        return axis.window(*settings.window_ev)
    if not known:
        return slice(0, axis.size)
    end = max(edge.signal_ev[1] for edge in known)
    return axis.window(max(known[0].onset_ev - 10.0, axis.offset_ev), min(end, axis.end_ev))


def _background_window(
    settings: PreprocessSettings, known: tuple[edges.Edge, ...], window: slice, axis: EnergyAxis
) -> slice | None:
    name = settings.background
    if name == "none":
        return None
    if settings.background_ev is not None:
        channels = axis.window(*settings.background_ev)
    else:
        if settings.window_ev is None and known:
            low_ev, high_ev = known[0].fit_on(axis)
        else:
            high_ev = axis.offset_ev + (window.start - 2) * axis.dispersion_ev
            low_ev = max(high_ev - min(max(0.08 * high_ev, 8.0), 60.0), axis.offset_ev)
        room = high_ev - low_ev >= 7.5 * axis.dispersion_ev
        if not room and name == "auto":
            return None
        if not room:
            raise WindowError(
                f"no room to fit a background: the edge window begins at "
                f"{axis.offset_ev + window.start * axis.dispersion_ev:g} eV and the energy axis "
                f"runs from {axis.offset_ev:g} to {axis.end_ev:g} eV; set background_ev, or "
                f'background = "none"'
            )
        channels = axis.window(low_ev, high_ev)
    if channels.stop - channels.start < 3:
        raise WindowError(
            f"a background needs 3 channels to be fitted, background_ev holds "
            f"{channels.stop - channels.start} of {axis.dispersion_ev:g} eV"
        )
    start_ev = axis.offset_ev + channels.start * axis.dispersion_ev
    if start_ev <= 0 and name != "exponential":
        if name == "auto" and settings.background_ev is None:
            return None
        raise WindowError(
            f"a power law needs energies above 0 eV; the fit window begins at {start_ev:g} eV"
        )
    return channels


def _zlp_source(
    settings: PreprocessSettings, core: Signal, low: Signal | None
) -> Literal["low", "core"] | None:
    """Which signal holds the zero-loss peak that spectra are aligned by."""
    if settings.align not in ("auto", "zlp"):
        return None

    def holds_zero(signal: Signal) -> bool:
        axis = signal.axis
        return axis.offset_ev <= -2 * axis.dispersion_ev and axis.end_ev > 0

    if low is not None and holds_zero(low):
        return "low"
    if holds_zero(core):
        return "core"
    if settings.align == "zlp":
        signal = low or core
        raise WindowError(
            f"no zero-loss peak to align by: 0 eV is not inside the energy axis of "
            f"{signal.name!r}, which runs from {signal.axis.offset_ev:g} to "
            f"{signal.axis.end_ev:g} eV"
        )
    return None
