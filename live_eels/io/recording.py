"""A recorded scan, whatever the format of its file: what `replay` and `process` stream from.

Lives here: `Recording`, `FileError`, and what all readers must check of a file, which may
lie: sizes are bounded before anything is allocated, and every complaint names the file. How a
format is read is for `reader` (HDF5) and `foreign` (the rest) to know.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import (
    DTYPES,
    Chunk,
    Curve,
    EnergyAxis,
    Instrument,
    MapSpec,
    NavigationAxis,
    Scan,
    ScanEnd,
    Signal,
    Spectra,
)

MAX_CHANNELS = 1 << 16
MAX_PIXELS = 1 << 26

_TO_EV = {"eV": 1.0, "keV": 1e3, "meV": 1e-3, "": 1.0}
_LOSSLESS = {"b1": "u1", "i1": "i4", "i2": "i4", "f2": "f4", "u8": "f8", "i8": "f8"}
_EXACT = 2**53


class FileError(Exception):
    """A file that cannot be used; the message names it and says what to do next."""


Rows = Callable[[NDArray[np.int64]], NDArray[Any]]
"""Reads pixels (sorted, each once) of one signal: ``(pixel, channel)``."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Spectra of a file, read piece by piece.

    Attributes
    ----------
    scan
        What was recorded, ready to be streamed again: one pass (the file holds sums), the
        dtype of the file.
    maps, specs
        The maps stored with it, float32 on the navigation shape, and their meaning.
    curves
        Factors and cluster means stored with it.
    end
        How the scan ended; None if it never did (a scan in progress, a crash).
    passes
        Of the scan that was recorded: the counts are sums over so many, where all came. The
        dark reference of ``scan`` is that of one.
    facts
        Other things the file tells: ``counters``, ``notes``, ``software``, ``config``.
    """

    path: Path
    scan: Scan
    rows: Mapping[str, Rows]
    seen: Mapping[str, NDArray[np.uint16]] = field(default_factory=dict)
    maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    specs: Mapping[str, MapSpec] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    end: ScanEnd | None = None
    passes: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)
    close: Callable[[], None] = lambda: None

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def visits(self, signal: str = "core") -> NDArray[np.uint16]:
        """Spectra added to each pixel, uint16 ``(scan pixels,)``; 0 where it never came."""
        role = self._role(signal)
        visits = self.seen.get(role)
        return np.ones(self.scan.pixels, np.uint16) if visits is None else visits

    def counts(self, pixels: NDArray[np.int64], signal: str = "core") -> NDArray[Any]:
        """Read pixels in the signal's dtype: ``(pixel, channel)``, contiguous."""
        pixels = np.asarray(pixels, np.int64)
        if pixels.size and not 0 <= int(pixels.min()) <= int(pixels.max()) < self.scan.pixels:
            raise IndexError(f"{self.path} has {self.scan.pixels} pixels")
        wanted, back = np.unique(pixels, return_inverse=True)
        read = self.rows[self._role(signal)](wanted)
        return read if wanted.size == pixels.size and _ascending(pixels) else read[back]

    @property
    def recorded(self) -> NDArray[np.int64]:
        """Pixels that came, of either signal, rising."""
        core = self.visits("core") > 0
        return np.flatnonzero(core | (self.visits("low") > 0) if "low" in self.rows else core)

    def chunks(self, pixels: int = 256, of: NDArray[np.int64] | None = None) -> Iterator[Chunk]:
        """Chunks of at most ``pixels`` pixels, in raster order: of all `recorded`, or of some."""
        core, low = self.visits("core") > 0, None
        if "low" in self.rows:
            low = self.visits("low") > 0
        wanted = self.recorded if of is None else of
        for first in range(0, wanted.size, pixels):
            part = wanted[first : first + pixels]
            yield Chunk(
                self.scan,
                part,
                self.counts(part),
                None if low is None else self.counts(part, "low"),
                None if low is None or low[part].all() else low[part],
                None if core[part].all() else core[part],
                summed=self._summed("core", part),
                low_summed=None if low is None else self._summed("low", part),
            )

    def as_one_pass(self) -> Scan:
        """The scan of one pass that gives these counts: with the darks of all passes in one."""
        if self.passes == 1:
            return self.scan
        signals = (
            signal
            if signal.dark is None
            else replace(signal, dark=signal.dark * np.float32(self.passes))
            for signal in self.scan.signals
        )
        return replace(self.scan, signals=tuple(signals))

    def _summed(self, role: str, pixels: NDArray[np.int64]) -> NDArray[np.uint16] | None:
        return self.visits(role)[pixels] if self.passes > 1 else None

    def messages(
        self, chunk_pixels: int = 64, scan_id: str | None = None
    ) -> Iterator[Scan | Spectra | ScanEnd]:
        """Announce, spectra of all signals in turn, end: the scan as a sender would send it.

        The scan gets ``scan_id``, by default a new one: it is a new scan to who receives it.
        """
        scan = replace(self.as_one_pass(), id=scan_id or str(uuid.uuid4()))
        yield scan
        sequence = sent = 0
        for chunk in self.chunks(chunk_pixels):
            parts = [(scan.core.name, chunk.counts, chunk.core_seen)]
            if scan.low is not None and chunk.low is not None:
                parts.insert(0, (scan.low.name, chunk.low, chunk.low_seen))
            for name, counts, seen in parts:
                pixels = chunk.pixels if seen is None else chunk.pixels[seen]
                if pixels.size:
                    rows = counts if seen is None else counts[seen]
                    yield Spectra(scan.id, name, sequence, pixels, rows)
                    sequence += 1
            sent += chunk.visits
        yield ScanEnd(scan.id, "complete" if sent == scan.pixels else "aborted", sent)

    def _role(self, signal: str) -> str:
        if signal in self.rows:
            return signal
        if self.scan.low is not None and signal == self.scan.low.name:
            return "low"
        if signal == self.scan.core.name:
            return "core"
        raise KeyError(f"{self.path} has {sorted(self.rows)}, not {signal!r}")


@dataclass(frozen=True, slots=True, eq=False)
class FileSignal:
    """One signal as a file holds it."""

    title: str
    navigation: tuple[NavigationAxis, ...]
    axis: EnergyAxis
    dtype: str
    instrument: Instrument
    simulated: bool
    rows: Rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Navigation shape."""
        return tuple(axis.size for axis in self.navigation)

    @property
    def is_low_loss(self) -> bool:
        """Whether the zero loss is on the axis: what makes a spectrum a low-loss one."""
        return self.axis.offset_ev <= 0.0 <= self.axis.end_ev


def from_signals(signals: Sequence[FileSignal], path: Path, close: Callable[[], None]) -> Recording:
    """Make the recording of a file that holds these signals, at least one.

    The first core-loss signal is analysed, the first low-loss signal of the same pixels goes
    with it; a low-loss signal alone is analysed itself.
    """
    core = next((s for s in signals if not s.is_low_loss), signals[0])
    low = next(
        (s for s in signals if s.is_low_loss and s is not core and s.shape == core.shape), None
    )
    found = {"core": core} if low is None else {"core": core, "low": low}
    scan = Scan(
        id=str(uuid.uuid4()),
        navigation=tuple(
            replace(a, name=_told(a.name, 64) or "axis", units=_told(a.units))
            for a in core.navigation
        ),
        signals=tuple(Signal(role, s.axis, s.dtype) for role, s in found.items()),
        instrument=replace(
            core.instrument,
            microscope=_told(core.instrument.microscope),
            spectrometer=_told(core.instrument.spectrometer),
        ),
        title=_told(core.title),
        simulated=core.simulated,
    )
    return Recording(path, scan, {role: s.rows for role, s in found.items()}, close=close)


def _told(text: str, most: int = 1024) -> str:
    """A text of a file as it may travel: no control characters, no half characters, not endless."""
    whole = text.encode("utf-8", "replace").decode()
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", whole)[:most]


def joined(core: Recording, low: Recording) -> Recording:
    """One recording with the core loss of the first and the low loss of the second."""
    if low.scan.shape != core.scan.shape:
        raise FileError(
            f"{low.path} has pixels {low.scan.shape}, {core.path} has {core.scan.shape}: "
            "the low loss must be of the same scan"
        )
    role = "low" if "low" in low.rows else "core"
    partner = replace(low.scan.low or low.scan.core, name="low")

    def close() -> None:
        core.close()
        low.close()

    return replace(
        core,
        scan=replace(core.scan, signals=(core.scan.core, partner)),
        rows={"core": core.rows["core"], "low": low.rows[role]},
        seen={
            **{r: v for r, v in core.seen.items() if r == "core"},
            **({"low": low.seen[role]} if role in low.seen else {}),
        },
        close=close,
    )


def usable_dtype(dtype: np.dtype[Any], path: Path) -> str:
    """Name the signal dtype that holds ``dtype`` without loss.

    64-bit whole numbers become float64 and are checked as they are read.
    """
    code = f"{dtype.kind}{dtype.itemsize}"
    code = _LOSSLESS.get(code, code)
    if code not in DTYPES:
        raise FileError(
            f"{path} holds values of type {dtype}, which are not counts: "
            "export the spectra as whole numbers or float32"
        )
    return code


def as_counts(values: NDArray[Any], dtype: str, path: Path) -> NDArray[Any]:
    """``values`` in the signal's dtype, contiguous.

    Raises
    ------
    FileError
        If a 64-bit count does not fit float64 exactly.
    """
    wide = values.dtype.kind in "iu" and values.dtype.itemsize == 8 and values.size
    if wide and max(abs(int(values.min())), abs(int(values.max()))) > _EXACT:
        raise FileError(f"{path} holds counts above 2**53, which cannot be kept exactly")
    return np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))


def energy_axis(size: int, offset: float, scale: float, units: str, path: Path) -> EnergyAxis:
    """Check and convert an energy axis of a file to eV."""
    factor = _TO_EV.get(units.strip())
    if factor is None:
        raise FileError(f"{path}: its signal axis is in {units!r}, not in eV: calibrate it first")
    if not 2 <= size <= MAX_CHANNELS:
        raise FileError(f"{path}: {size} channels are not a spectrum")
    if not (math.isfinite(offset) and math.isfinite(scale) and scale > 0):
        raise FileError(
            f"{path}: its energy axis starts at {offset:g} and steps by {scale:g}; "
            "it needs a finite start and a positive step: calibrate it first"
        )
    return EnergyAxis(offset * factor, scale * factor, size)


def titled(text: str, path: Path) -> str:
    """Title of a signal, or its file's name: HyperSpy writes ``__unnamed__`` where it has none."""
    return path.stem if not text or text.strip("_").startswith("unnamed") else text


def check_shape(shape: Sequence[int], path: Path) -> None:
    """Refuse scans that no microscope records."""
    pixels = math.prod(shape)
    if pixels < 1 or pixels > MAX_PIXELS:
        raise FileError(f"{path}: a scan of {pixels} pixels cannot be read")


def _ascending(pixels: NDArray[np.int64]) -> bool:
    return bool(np.all(np.diff(pixels) > 0))
