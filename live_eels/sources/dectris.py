"""DECTRIS detectors behind a spectrometer: each image becomes one spectrum of one pixel.

Lives here: which image belongs to which pixel, and the sum over the rows that do not
disperse. The stream says how many images come and what is in them; the shape of the scan,
the energy calibration and the optics come from ``DectrisSettings``. The bytes are read in
``dectris_stream.py``; versions 1 and 2 of the stream are told apart by themselves.

A series is announced as a scan with its first image, so that one joined late is no other
case. Masked detector pixels (all bits set, or in the detector's mask) are left out of the
sum; where the mask is known (``header_detail = all`` on the detector), the channels that
lost rows to it say so in the signal's gain reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from live_eels.kernels.images import add_rows
from live_eels.sources.dectris_stream import (
    Counts,
    Detail,
    End,
    Image,
    Part,
    Start,
    read,
    require,
)
from live_eels.sources.settings import AxisSettings, InstrumentSettings, Positive
from live_eels.spectra import EnergyAxis, Scan, ScanEnd, Signal, Spectra, WireError

Edge = Annotated[int, Meta(ge=0, le=65_536)]

_NONE_DEAD = np.zeros((0, 0), np.bool_)

_MASKED = {np.dtype(kind): kind(np.iinfo(kind).max) for kind in (np.uint8, np.uint16, np.uint32)}
"""What a pixel of the detector says that measured nothing: all bits are set."""


class BandSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A band of the detector that is summed into one signal, and its energy calibration.

    Attributes
    ----------
    offset_ev
        Energy loss of the first channel (after flipping, if ``flip`` is set), eV.
    dispersion_ev
        Energy step from one channel to the next, eV.
    rows
        First and one past the last row across the dispersion; by default all of them.
    channels
        First and one past the last channel along the dispersion; by default all of them.
    """

    offset_ev: float
    dispersion_ev: Positive
    rows: tuple[Edge, Edge] | None = None
    channels: tuple[Edge, Edge] | None = None


class DectrisSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the detector cannot know of the experiment.

    Attributes
    ----------
    core
        The band of rows that is analysed.
    low
        A second band with the low loss of the same pixel, for dual EELS on one detector.
    navigation
        The scan, slow axis first; empty for live view (every image is the one pixel again).
    instrument
        The microscope's settings.
    dispersive
        Detector axis along which energy disperses: ``x`` (columns) or ``y`` (rows).
    flip
        True where energy loss falls with rising channel number on the detector.
    flyback
        Images after each scan line that belong to no pixel and are left out.
    threshold
        Which threshold (stream version 2) is used; by default the first.
    title
        Title of each scan; by default the number of the series.
    """

    core: BandSettings
    low: BandSettings | None = None
    navigation: Annotated[list[AxisSettings], Meta(max_length=4)] = []
    instrument: InstrumentSettings = InstrumentSettings()
    dispersive: Literal["x", "y"] = "x"
    flip: bool = False
    flyback: Annotated[int, Meta(ge=0, le=65_536)] = 0
    threshold: Annotated[str, Meta(max_length=64)] = ""
    title: Annotated[str, Meta(max_length=1024)] = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    """What of an image becomes a spectrum of ``signal``."""

    signal: str
    rows: slice
    channels: slice
    dead: NDArray[np.bool_]
    flip: bool

    def spectrum(self, counts: Counts) -> NDArray[np.uint32]:
        """Counts added up over the rows: uint32 ``(1, channel)``."""
        if not (counts.flags.c_contiguous and counts.dtype.isnative):
            counts = np.ascontiguousarray(counts, counts.dtype.newbyteorder("="))
        out = np.empty((1, self.channels.stop - self.channels.start), np.uint32)
        # 65 536 rows, the most there can be, of 16 bits fit into 32
        total = np.empty(out.shape[1], np.uint32 if counts.dtype.itemsize < 4 else np.uint64)
        rows, first, masked = self.rows, self.channels.start, _MASKED[counts.dtype]
        add_rows(counts, self.dead, rows.start, rows.stop, first, masked, total, out[0])
        return np.ascontiguousarray(out[:, ::-1]) if self.flip else out


@dataclass(slots=True)
class _Series:
    """A series in progress. ``last`` is the highest image number seen."""

    name: str
    scan: Scan
    images: int | None
    shape: tuple[int, int]
    bands: list[_Band]
    pixels: int
    last: int = -1


class DectrisDecoder:
    """Turns the messages of one detector into scans and spectra.

    Parameters
    ----------
    settings
        What the stream does not tell.

    Raises
    ------
    ImportError
        If the ``dectris`` extra is not installed; the message says how to.

    Examples
    --------
    One pixel of a live view, two rows of three channels summed:

    >>> import json
    >>> decoder = DectrisDecoder(
    ...     DectrisSettings(core=BandSettings(offset_ev=500.0, dispersion_ev=0.5)))
    >>> image = {"htype": "dimage-1.0", "series": 1, "frame": 0}
    >>> blob = {"htype": "dimage_d-1.0", "shape": [3, 2], "type": "uint8", "encoding": "<"}
    >>> parts = [json.dumps(image).encode(), json.dumps(blob).encode(), bytes([1, 2, 3, 4, 5, 6])]
    >>> scan, spectra = decoder.decode(parts)
    >>> spectra.counts.tolist()
    [[5, 7, 9]]
    """

    def __init__(self, settings: DectrisSettings):
        for module in ("cbor2", "dectris.compression"):
            require(module)
        self._settings = settings
        self._bands = {"core": settings.core}
        if settings.low is not None:
            self._bands["low"] = settings.low
        self._navigation = tuple(axis.axis for axis in settings.navigation)
        self._armed: Start | None = None
        self._series: _Series | None = None
        self._begun = 0
        band = _Band("", slice(0, 1), slice(0, 1), _NONE_DEAD, flip=False)
        for dtype in _MASKED:  # compiled before the first image comes
            image = np.zeros((1, 1), dtype)
            image.setflags(write=False)
            band.spectrum(image)

    def decode(self, parts: Sequence[Part]) -> list[Scan | Spectra | ScanEnd]:
        """Read one message.

        Returns
        -------
        list
            Nothing (the detector is armed, or an image of a flyback), the spectra of one
            image (one per signal), with the scan before them if it is the first, or the end.

        Raises
        ------
        WireError
            If it is not a message of the stream, or does not fit the settings; the decoder
            is then as it was before.
        """
        match read(parts):
            case Start() as start:
                known = self._series is not None and self._series.name == start.series
                if not (start.unique and known):
                    self._armed = start
                return []
            case Detail() as detail:
                if self._armed is not None:
                    self._armed = replace(self._armed, detail=detail)
                return []
            case Image() as image:
                return self._image(image)
            case End(name):
                return self._end(name)

    def _image(self, image: Image) -> list[Scan | Spectra | ScanEnd]:
        counts = self._oriented(self._threshold(image))
        series, begins = self._series_of(image.series, counts.shape)
        if counts.shape != series.shape:
            raise WireError(
                f"the images of this series are {series.shape}, this one {counts.shape}"
            )
        if series.images is not None and image.number >= series.images:
            raise WireError(f"image {image.number} of a series of {series.images}")
        out: list[Scan | Spectra | ScanEnd] = [series.scan] if begins else []
        visit = self._visit(image.number)
        if visit is not None:
            pixel = np.array([visit % series.pixels], np.int64)
            sequence = visit * len(series.bands)
            for place, band in enumerate(series.bands, sequence):
                spectrum = band.spectrum(counts)
                out.append(
                    Spectra(series.scan.id, band.signal, place, pixel, spectrum, image.clock_s)
                )
        if begins:
            self._series, self._armed = series, None
            self._begun += 1
        series.last = max(series.last, image.number)
        return out

    def _end(self, name: str) -> list[Scan | Spectra | ScanEnd]:
        if self._armed is not None and self._armed.series == name:
            self._armed = None
            return []
        series = self._series
        if series is None or series.name != name:
            return []
        self._series = None
        complete = series.images is None or series.last + 1 >= series.images
        visits = self._visits(series.last + 1)
        return [ScanEnd(series.scan.id, "complete" if complete else "aborted", visits)]

    def _series_of(self, name: str, shape: tuple[int, ...]) -> tuple[_Series, bool]:
        """Find the series an image belongs to, and whether it begins with it."""
        armed = self._armed if self._armed is not None and self._armed.series == name else None
        if armed is None and self._series is not None and self._series.name == name:
            return self._series, False
        detail = armed.detail if armed is not None else Detail()
        rows, channels = shape
        dead = self._dead(detail, (rows, channels))
        bands = [
            _Band(
                signal,
                *_band_slices(signal, band, shape),
                _NONE_DEAD if dead is None else dead,
                self._settings.flip,
            )
            for signal, band in self._bands.items()
        ]
        scan = self._scan(name, detail, bands)
        images = detail.images or None
        return _Series(name, scan, images, (rows, channels), bands, scan.pixels), True

    def _scan(self, name: str, detail: Detail, bands: Sequence[_Band]) -> Scan:
        signals = []
        for band in bands:
            axis = self._bands[band.signal]
            size = band.channels.stop - band.channels.start
            energies = EnergyAxis(axis.offset_ev, axis.dispersion_ev, size)
            dead = band.dead[band.rows, band.channels]
            gain = _gain(dead, band.flip) if dead.size else None
            signals.append(Signal(band.signal, energies, "u4", gain=gain))
        energy_ev = detail.incident_energy_ev
        instrument = self._settings.instrument.instrument(
            energy_ev / 1e3 if energy_ev is not None and 0 < energy_ev < 1e7 else None,
            detail.count_time_s if detail.count_time_s and detail.count_time_s > 0 else None,
            detail.detector,
        )
        scan = Scan(
            id=f"dectris-{name}-{self._begun}"[:64],
            navigation=self._navigation,
            signals=tuple(signals),
            instrument=instrument,
            title=self._settings.title or f"series {name}",
        )
        passes = -(-self._visits(detail.images or 0) // scan.pixels)
        return replace(scan, passes=min(max(1, passes), 1_000_000))

    def _threshold(self, image: Image) -> Counts:
        name = self._settings.threshold or next(iter(image.counts))
        if name not in image.counts:
            names = ", ".join(map(repr, image.counts))
            raise WireError(f"the image has no threshold {name!r}, only {names}"[:500])
        return image.counts[name]

    def _oriented(self, counts: Counts) -> Counts:
        return counts.T if self._settings.dispersive == "y" else counts

    def _dead(self, detail: Detail, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
        if not detail.masks:
            return None
        mask = detail.masks.get(self._settings.threshold) if self._settings.threshold else None
        mask = mask if mask is not None else next(iter(detail.masks.values()))
        mask = mask.T if self._settings.dispersive == "y" else mask
        if mask.shape != shape:
            raise WireError(f"the pixel mask is {mask.shape}, the image {shape}")
        return np.ascontiguousarray(mask) if mask.any() else None

    def _line(self) -> int:
        return self._navigation[-1].size if self._navigation else 1

    def _visit(self, image: int) -> int | None:
        """Count the visits of pixels before this image, all passes; None in a flyback."""
        line = self._line()
        row, column = divmod(image, line + self._settings.flyback)
        return row * line + column if column < line else None

    def _visits(self, images: int) -> int:
        """Count the visits of pixels among the first ``images`` images."""
        line = self._line()
        rows, rest = divmod(images, line + self._settings.flyback)
        return rows * line + min(rest, line)


def _band_slices(name: str, band: BandSettings, shape: tuple[int, ...]) -> tuple[slice, slice]:
    ranges = (("rows", band.rows, shape[0]), ("channels", band.channels, shape[1]))
    slices = []
    for what, limits, size in ranges:
        first, last = limits or (0, size)
        if not first < last <= size:
            raise WireError(
                f"the {what} {first} to {last} set for {name!r} are not inside the image, "
                f"which has {size} {what}"
            )
        slices.append(slice(first, last))
    return slices[0], slices[1]


def _gain(dead: NDArray[np.bool_], flip: bool) -> NDArray[np.float32] | None:
    """Share of rows that count in each channel, mean 1: float32 ``(channel,)``.

    A channel without any row keeps 1: it reads zero, not infinity.
    """
    alive = (~dead).mean(axis=0)
    if (alive == alive[0]).all():
        return None
    some = alive > 0
    gain = np.where(some, alive / alive[some].mean(), 1.0)
    return np.ascontiguousarray(gain[::-1] if flip else gain, dtype=np.float32)
