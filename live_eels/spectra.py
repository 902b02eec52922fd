"""The nouns of a scan: what every room of the house passes to the next.

Lives here: immutable descriptions (axes, signals, scan) and the few values that
flow (spectra in, chunks through, results and snapshots out). No behaviour beyond
reading an axis, no numba, no sockets, no files.

Array shapes are written ``(pixel, channel)``: rows are beam positions, columns are
spectrometer channels. A *pixel* is always a flat index into the navigation shape in
C order (last navigation axis fastest).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

EndReason = Literal["complete", "aborted", "lost"]
MapKind = Literal["intensity", "signed", "fraction", "label", "flags"]

DTYPES: tuple[str, ...] = ("u1", "u2", "u4", "i4", "f4", "f8")
"""Count types a signal may have, as little-endian numpy codes without byte order."""


class WindowError(ValueError):
    """An energy window that the energy axis does not cover (the user's fault)."""


class WireError(ValueError):
    """Bytes that are not a valid message (the sender's fault); counted, and the stream goes on."""


@dataclass(frozen=True, slots=True)
class EnergyAxis:
    """Calibration of the signal axis: channel ``i`` lies at ``offset_ev + i * dispersion_ev``."""

    offset_ev: float
    dispersion_ev: float
    size: int

    @property
    def end_ev(self) -> float:
        """Energy of the last channel, eV."""
        return self.offset_ev + (self.size - 1) * self.dispersion_ev

    @property
    def energies_ev(self) -> NDArray[np.float64]:
        """Energy of each channel, float64 ``(channel,)``, eV."""
        return self.offset_ev + self.dispersion_ev * np.arange(self.size, dtype=np.float64)

    def window(self, low_ev: float, high_ev: float) -> slice:
        """Channels whose energy lies in ``[low_ev, high_ev]``.

        Raises
        ------
        WindowError
            If the window is not inside the axis, or holds no channel; the message
            names both ranges.
        """
        first = math.ceil((low_ev - self.offset_ev) / self.dispersion_ev - 1e-9)
        last = math.floor((high_ev - self.offset_ev) / self.dispersion_ev + 1e-9)
        if first < 0 or last >= self.size or last < first:
            raise WindowError(
                f"the window {low_ev:g} to {high_ev:g} eV is not inside the energy axis, "
                f"which runs from {self.offset_ev:g} to {self.end_ev:g} eV "
                f"in steps of {self.dispersion_ev:g} eV"
            )
        return slice(first, last + 1)

    def cropped(self, channels: slice) -> EnergyAxis:
        """Cut the axis to the channels that a step-1 slice keeps."""
        start, stop, _ = channels.indices(self.size)
        return EnergyAxis(
            self.offset_ev + start * self.dispersion_ev, self.dispersion_ev, stop - start
        )


@dataclass(frozen=True, slots=True)
class NavigationAxis:
    """One direction in which the beam steps; slow axes come first in ``Scan.navigation``."""

    name: str
    size: int
    scale: float = 1.0
    units: str = "nm"
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Instrument:
    """What the microscope was set to; ``None`` where nobody told us (never guessed)."""

    beam_energy_kev: float | None = None
    convergence_mrad: float | None = None
    collection_mrad: float | None = None
    dwell_s: float | None = None
    beam_current_na: float | None = None
    microscope: str = ""
    spectrometer: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """One detector readout of the scan: ``core``, ``low``, or another name.

    Attributes
    ----------
    dark
        Counts of the detector without beam, float32 ``(channel,)``, or None.
    gain
        Relative sensitivity (mean 1), float32 ``(channel,)``, or None; measured counts
        are ``true * gain + dark``.
    """

    name: str
    axis: EnergyAxis
    dtype: str = "u2"
    dark: NDArray[np.float32] | None = field(default=None, repr=False)
    gain: NDArray[np.float32] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """The announcement of a scan: everything known before its first spectrum.

    ``navigation`` is empty for a single spectrum in live view, has one axis for a
    spectrum line, two for a spectrum image. With ``passes`` > 1 the beam comes back to
    each pixel and counts add up.
    """

    id: str
    navigation: tuple[NavigationAxis, ...]
    signals: tuple[Signal, ...]
    instrument: Instrument = Instrument()
    title: str = ""
    passes: int = 1
    simulated: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Navigation shape; ``()`` for a single spectrum."""
        return tuple(axis.size for axis in self.navigation)

    @property
    def pixels(self) -> int:
        """Number of beam positions."""
        return math.prod(self.shape)

    @property
    def core(self) -> Signal:
        """The signal that is analysed: ``core``, else the first that is not ``low``."""
        named = {signal.name: signal for signal in self.signals}
        others = [signal for signal in self.signals if signal.name != "low"]
        return named.get("core") or (others[0] if others else self.signals[0])

    @property
    def low(self) -> Signal | None:
        """The low-loss signal taken along with the core loss, or None."""
        core = self.core
        return next((s for s in self.signals if s.name == "low" and s is not core), None)


@dataclass(frozen=True, slots=True, eq=False)
class Spectra:
    """Spectra of one signal as one message brought them (n rows, also for n = 1).

    Attributes
    ----------
    sequence
        Counts every ``spectra`` message of the scan, over all its signals, from 0.
    pixels
        Flat pixel indices, int64 ``(pixel,)``.
    counts
        Raw counts in the signal's dtype, ``(pixel, channel)``, C-contiguous; may be a
        read-only view of the message.
    clock_s
        Sender's clock at the end of the last spectrum, seconds since the epoch, or nan.
    """

    scan_id: str
    signal: str
    sequence: int
    pixels: NDArray[np.int64]
    counts: NDArray[Any]
    clock_s: float = math.nan


@dataclass(frozen=True, slots=True)
class ScanEnd:
    """The end of a scan and why; ``pixels_sent`` counts pixel visits, all passes together."""

    scan_id: str
    reason: EndReason
    pixels_sent: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Pixels that are processed together.

    Attributes
    ----------
    pixels
        Flat pixel indices, int64 ``(pixel,)``; within one chunk no pixel comes twice.
    counts
        Core-loss counts in the signal's dtype, ``(pixel, channel)``, contiguous.
    low
        Low-loss counts of the same pixels, or None where the scan has no such signal.
    low_seen
        bool ``(pixel,)``: False where the low-loss partner never came (its row is zero).
        None where every partner came.
    core_seen
        The same for the core loss.
    summed, low_summed
        How many spectra each row of ``counts`` and ``low`` is the sum of, uint16 ``(pixel,)``;
        None: one each, as in a scan of one pass.
    received_s
        Monotonic clock when the newest byte of it was received; nan for files.
    clock_s
        Sender's UNIX time after the newest spectrum; nan where the sender gave none.
    """

    scan: Scan
    pixels: NDArray[np.int64]
    counts: NDArray[Any]
    low: NDArray[Any] | None = None
    low_seen: NDArray[np.bool_] | None = None
    core_seen: NDArray[np.bool_] | None = None
    received_s: float = math.nan
    clock_s: float = math.nan
    summed: NDArray[np.uint16] | None = None
    low_summed: NDArray[np.uint16] | None = None

    @property
    def visits(self) -> int:
        """Pixels whose core loss is here."""
        seen = self.core_seen
        return len(self.pixels) if seen is None else int(np.count_nonzero(seen))


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Spectra of one chunk after preprocessing: corrected, aligned, background fitted.

    Attributes
    ----------
    axis
        Common energy axis of the aligned core loss, all channels.
    counts
        Core loss, dark, gain and spikes corrected, resampled onto ``axis``, background still
        in it: float32 ``(pixel, channel)``, counts.
    window
        The analysis window as channels of ``axis``.
    signal
        Background-subtracted counts in the window, float32 ``(pixel, window channel)``.
    background
        The fitted background in the window, float32 ``(pixel, window channel)``.
    shift_ev
        What was added to the energy of each spectrum to align it, float32 ``(pixel,)``.
    flags
        Quality bits, uint8 ``(pixel,)``: see ``QUALITY_FLAGS``.
    low, low_axis
        The corrected low loss, zero-loss peak at 0 eV, float32 ``(pixel, channel)``, or None.
    zlp_width_ev
        Full width at half maximum of the zero-loss peak, float32 ``(pixel,)``, nan without one;
        None where none is looked for.
    fit_quality
        Reduced chi-square of the background in its fit window, float32 ``(pixel,)``, nan where
        none was fitted; counting noise alone gives 1.
    spikes
        What was repaired as an X-ray: pixel and raw channel of each, int64 ``(spike, 2)``.
    single
        ``counts`` with plural scattering taken out of the window; None unless asked for.
    """

    scan: Scan
    pixels: NDArray[np.int64]
    axis: EnergyAxis
    counts: NDArray[np.float32]
    window: slice
    signal: NDArray[np.float32]
    background: NDArray[np.float32]
    shift_ev: NDArray[np.float32]
    flags: NDArray[np.uint8]
    low: NDArray[np.float32] | None = None
    low_axis: EnergyAxis | None = None
    zlp_width_ev: NDArray[np.float32] | None = None
    fit_quality: NDArray[np.float32] | None = None
    spikes: NDArray[np.int64] | None = None
    single: NDArray[np.float32] | None = None


QUALITY_FLAGS: tuple[str, ...] = (
    "spikes",  # bit 0: at least one channel was repaired
    "saturated",  # bit 1: at least one channel at the top of its dtype
    "no_zlp",  # bit 2: no zero-loss peak found (or its partner never came)
    "no_background",  # bit 3: the background could not be fitted
    "few_counts",  # bit 4: too few counts in the window to say anything
)
"""Name of each bit of ``Prepared.flags``, lowest first."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What a trained model says of each spectrum.

    Attributes
    ----------
    label
        Index into the model's classes, int16 ``(pixel,)``; -1 where rejected.
    probability
        Calibrated probability of each class, float32 ``(pixel, class)``.
    valence
        Mean valence, float32 ``(pixel,)``; nan where rejected or not an oxidation state.
    """

    label: NDArray[np.int16]
    probability: NDArray[np.float32]
    valence: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MapSpec:
    """What a map means: drawn, labelled and stored by this.

    Attributes
    ----------
    kind
        ``intensity`` (>= 0), ``signed`` (centred at 0), ``fraction`` (0 to 1), ``label``
        (index into ``classes``; -1 is *rejected*) or ``flags`` (sum of bits; bit ``i`` means
        ``classes[i]``, 0 is *good*).
    limits
        Sensible display range if the map has a natural one (a valence of 2 to 4), else None
        for robust percentiles.
    """

    name: str
    kind: MapKind = "intensity"
    unit: str = ""
    meaning: str = ""
    classes: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ChunkResult:
    """What the pipeline found in one chunk.

    Attributes
    ----------
    maps
        Map name to values of the chunk's pixels, float32 ``(pixel,)``, nan where unknown;
        labels are whole numbers in float32, -1 for rejected.
    """

    pixels: NDArray[np.int64]
    maps: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A spectrum-like result to draw: factors, cluster means, references.

    ``values`` is float32 ``(curve, channel)`` on ``axis``; ``labels`` names the rows;
    ``error`` (same shape) is one standard deviation, or None.
    """

    axis: EnergyAxis
    values: NDArray[np.float32]
    labels: tuple[str, ...]
    unit: str = "counts"
    error: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class MapSnapshot:
    """All maps at one moment; replaced, never changed.

    Attributes
    ----------
    maps
        Map name to float32 values on the navigation shape (``(1,)`` for a single spectrum),
        nan where nothing came yet.
    changed
        Map name to version at which that map last changed.
    """

    scan: Scan
    version: int
    specs: Mapping[str, MapSpec]
    maps: Mapping[str, NDArray[np.float32]]
    changed: Mapping[str, int] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    scree: NDArray[np.float32] | None = None
    components: int = 0
