"""A simulated acquisition: scan, messages, truth.

Lives here: putting specimen, microscope, spectrometer and detector together, block by block.
Same scene and seed, same bytes, whatever the chunk length.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from live_eels.simulators.detector import (
    Detector,
    build,
    expected_counts,
    read_out,
    recorded_mean,
)
from live_eels.simulators.microscope import Visits, plan
from live_eels.simulators.scene import DetectorSettings, Scene, SignalSettings, used_materials
from live_eels.simulators.specimen import amounts
from live_eels.simulators.spectrometer import Spectrometer, mean_free_path_nm
from live_eels.simulators.truth import Truth, VisitTruth, describe
from numpy.typing import ArrayLike, NDArray

from live_eels.spectra import (
    EnergyAxis,
    Instrument,
    NavigationAxis,
    Scan,
    ScanEnd,
    Signal,
    Spectra,
)

BLOCK = 64
"""Visits that share one random stream: noise does not depend on how messages are cut."""
AXIS_NAMES = ("z", "y", "x")


@dataclass(frozen=True, slots=True, eq=False)
class _Channel:
    """One signal: its settings, its physics and its detector."""

    settings: SignalSettings
    spectrometer: Spectrometer
    detector: Detector


class Acquisition:
    """A scan over a scene, ready to be read out.

    Parameters
    ----------
    scene
        What is scanned, with what.
    seed
        Decides every random thing: detector pattern, drift, noise, the scan's id.
    start_s
        UNIX time at which the scan begins (goes into the messages' clock).

    Attributes
    ----------
    scan
        The announcement, as it goes out.

    Examples
    --------
    >>> acquisition = Acquisition(load_scene("core_shell"), seed=1)
    >>> for message in acquisition.messages(chunk=64):
    ...     engine.take(message)
    >>> acquisition.truth.maps["label"].shape
    (64, 64)
    """

    def __init__(self, scene: Scene, seed: int = 0, *, start_s: float = 1.7e9) -> None:
        self.scene = scene
        self.seed = seed
        self.start_s = start_s
        self.visits: Visits = plan(scene, seed)
        self._under_beam = _under_beam(scene, self.visits, seed)
        thickest = _thickest(scene, self._under_beam)
        self._channels = [
            _channel(scene, signal, seed, k, thickest) for k, signal in enumerate(scene.signals)
        ]
        self.scan = _announce(scene, self._channels, seed)

    @cached_property
    def truth(self) -> Truth:
        """What is true of every pixel."""
        core = self._channel_of(self.scan.core.name)
        counts = np.zeros(self._under_beam.pixels.size)
        for rows in self._blocks():
            mean = expected_counts(core.detector, self._electrons(core, rows))
            counts[rows] = mean.sum(axis=1)
        return describe(self.scene, self.scan, self._under_beam, counts)

    def messages(self, chunk: int = 64) -> Iterator[Scan | Spectra | ScanEnd]:
        """The whole scan as messages: announcement, spectra of all signals in turn, end.

        Parameters
        ----------
        chunk
            Spectra per message; the last ones of a pass may be fewer.
        """
        yield self.scan
        sequence = 0
        for pixels, clock_s, counts in self._chunks(chunk):
            for channel, block in zip(self._channels, counts, strict=True):
                yield Spectra(
                    scan_id=self.scan.id,
                    signal=channel.settings.name,
                    sequence=sequence,
                    pixels=pixels,
                    counts=block,
                    clock_s=clock_s,
                )
                sequence += 1
        yield ScanEnd(self.scan.id, "complete", self.visits.pixels.size)

    def expected(self, pixels: ArrayLike | None = None) -> dict[str, NDArray[np.float64]]:
        """Noise-free counts after perfect dark and gain correction, all passes added.

        Parameters
        ----------
        pixels
            Flat pixel indices; all if None.

        Returns
        -------
        Signal name to float64 ``(pixel, channel)``; zero where the beam never was.
        """
        wanted = np.arange(self.scan.pixels) if pixels is None else np.asarray(pixels, np.int64)
        return {channel.settings.name: self._summed(channel, wanted) for channel in self._channels}

    def expected_recorded(self, pixels: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """The mean of what is written down at the first visit of pixels: dark, gain and all."""
        wanted = np.asarray(pixels, np.int64)
        first = {int(p): k for k, p in reversed(list(enumerate(self.visits.pixels)))}
        rows = np.array([first[int(p)] for p in wanted], np.int64)
        return {
            channel.settings.name: recorded_mean(
                channel.detector,
                expected_counts(channel.detector, self._electrons(channel, rows)),
                self._exposure_s(channel),
                self._dark_drift(channel, rows),
            )
            for channel in self._channels
        }

    def _summed(self, channel: _Channel, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        place = np.full(self.scan.pixels, -1)
        place[wanted] = np.arange(wanted.size)
        rows = np.flatnonzero(place[self._under_beam.pixels] >= 0)
        out = np.zeros((wanted.size, channel.settings.channels))
        for first in range(0, rows.size, BLOCK):
            part = rows[first : first + BLOCK]
            mean = expected_counts(channel.detector, self._electrons(channel, part))
            np.add.at(out, place[self._under_beam.pixels[part]], mean)
        return out

    def _channel_of(self, name: str) -> _Channel:
        return next(c for c in self._channels if c.settings.name == name)

    def _blocks(self) -> Iterator[slice]:
        for first in range(0, self.visits.pixels.size, BLOCK):
            yield slice(first, min(first + BLOCK, self.visits.pixels.size))

    def _electrons(self, channel: _Channel, rows: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        under = self._under_beam
        return channel.spectrometer.electrons(
            under.amounts_nm[rows].astype(np.float64),
            under.shift_ev[rows].astype(np.float64),
            under.electrons[rows].astype(np.float64) * channel.settings.exposure,
        )

    def _exposure_s(self, channel: _Channel) -> float:
        return self.scene.microscope.dwell_s * channel.settings.exposure

    def _dark_drift(
        self, channel: _Channel, rows: slice | NDArray[np.int64]
    ) -> NDArray[np.float64]:
        time_s = self.visits.time_s
        return channel.detector.settings.dark_drift * time_s[rows] / max(float(time_s[-1]), 1e-9)

    def _block(self, rows: slice) -> list[NDArray[np.generic]]:
        """Recorded counts of the visits of one block, one array per signal."""
        out = []
        for number, channel in enumerate(self._channels):
            rng = np.random.default_rng([self.seed, rows.start // BLOCK, number, 0xD07])
            out.append(
                read_out(
                    channel.detector,
                    self._electrons(channel, rows),
                    self._exposure_s(channel),
                    self._dark_drift(channel, rows),
                    rng,
                )
            )
        return out

    def _chunks(
        self, chunk: int
    ) -> Iterator[tuple[NDArray[np.int64], float, list[NDArray[np.generic]]]]:
        """Blocks cut anew into chunks that hold no pixel twice."""
        visits = self.visits
        block, start = self._block(slice(0, 0)), 0
        first = 0
        while first < visits.pixels.size:
            last = min(first + chunk, visits.pixels.size)
            last = first + int(
                np.searchsorted(visits.passes[first:last], visits.passes[first], "right")
            )
            parts: list[list[NDArray[np.generic]]] = []
            position = first
            while position < last:
                if not start <= position < start + block[0].shape[0]:
                    start = position - position % BLOCK
                    block = self._block(slice(start, min(start + BLOCK, visits.pixels.size)))
                end = min(last, start + block[0].shape[0])
                parts.append([array[position - start : end - start] for array in block])
                position = end
            counts = [
                np.ascontiguousarray(np.concatenate([part[k] for part in parts]))
                for k in range(len(self._channels))
            ]
            ended = visits.time_s[last - 1] + self.scene.microscope.dwell_s
            yield visits.pixels[first:last], self.start_s + float(ended), counts
            first = last


def reconstruct(scene: Scene, seed: int, visits: VisitTruth, signal: str) -> NDArray[np.float64]:
    """Noise-free counts of each visit from stored truth alone, ``(visit, channel)``.

    The seed is needed for the detector's pattern only, which does not show in corrected counts.
    """
    number = next(k for k, s in enumerate(scene.signals) if s.name == signal)
    channel = _channel(scene, scene.signals[number], seed, number, _thickest(scene, visits))
    electrons = channel.spectrometer.electrons(
        visits.amounts_nm.astype(np.float64),
        visits.shift_ev.astype(np.float64),
        visits.electrons.astype(np.float64) * channel.settings.exposure,
    )
    return expected_counts(channel.detector, electrons)


def _thickest(scene: Scene, visits: VisitTruth) -> float:
    """Largest t/lambda anywhere, rounded up to a half."""
    names = used_materials(scene)
    path = [mean_free_path_nm(scene.materials[name], scene.microscope) for name in names]
    thick = visits.amounts_nm.astype(np.float64) @ (1 / np.array(path)) if names else np.zeros(1)
    return max(0.5, float(np.ceil(2 * thick.max()) / 2))


def _channel(
    scene: Scene, signal: SignalSettings, seed: int, number: int, thickest: float
) -> _Channel:
    settings = scene.detectors.get(signal.detector, DetectorSettings())
    rng = np.random.default_rng([seed, number, 0xDE7])
    detector = build(settings, signal.channels, signal.dtype, rng)
    reach = detector.reach
    wide = EnergyAxis(
        signal.offset_ev - reach * signal.dispersion_ev,
        signal.dispersion_ev,
        signal.channels + 2 * reach,
    )
    return _Channel(signal, Spectrometer(scene, wide, signal.name == "low", thickest), detector)


def _announce(scene: Scene, channels: list[_Channel], seed: int) -> Scan:
    settings, scan = scene.microscope, scene.scan
    rng = np.random.default_rng([seed, *scene.title.encode(), 0x1D])
    names = AXIS_NAMES[len(AXIS_NAMES) - len(scan.shape) :]
    return Scan(
        id=str(uuid.UUID(bytes=rng.bytes(16), version=4)),
        navigation=tuple(
            NavigationAxis(name, size, scan.step_nm, "nm")
            for name, size in zip(names, scan.shape, strict=True)
        ),
        signals=tuple(_signal(channel, rng) for channel in channels),
        instrument=Instrument(
            beam_energy_kev=settings.beam_energy_kev,
            convergence_mrad=settings.convergence_mrad,
            collection_mrad=settings.collection_mrad,
            dwell_s=settings.dwell_s,
            beam_current_na=settings.beam_current_na,
            microscope="live_eels simulator",
            spectrometer="live_eels simulator",
        ),
        title=scene.title,
        passes=scan.passes,
        simulated=True,
    )


def _signal(channel: _Channel, rng: np.random.Generator) -> Signal:
    settings, detector = channel.settings, channel.detector
    axis = EnergyAxis(settings.offset_ev, settings.dispersion_ev, settings.channels)
    dark = gain = None
    if detector.settings.reference:
        error = detector.settings.reference_error * rng.standard_normal(axis.size)
        if detector.settings.gain_spread > 0:
            gain = (detector.gain * (1 + error)).astype(np.float32)
        if not detector.settings.counting and detector.settings.dark_counts > 0:
            dark = detector.dark.astype(np.float32)
    return Signal(settings.name, axis, settings.dtype, dark, gain)


def _under_beam(scene: Scene, visits: Visits, seed: int) -> VisitTruth:
    """What each visit sees, beam damage averaged over its dwell time."""
    thickness = amounts(scene, visits.y_nm, visits.x_nm, seed)
    names = used_materials(scene)
    dose = visits.electrons / scene.scan.step_nm**2
    for damage in scene.damage:
        before = visits.dose_before / damage.dose_e_per_nm2
        during = dose / damage.dose_e_per_nm2
        left = np.exp(-before) * -np.expm1(-during) / during
        whole, broken = names.index(damage.material), names.index(damage.becomes)
        thickness[:, broken] += thickness[:, whole] * (1 - left)
        thickness[:, whole] *= left
    return VisitTruth(
        visits.pixels,
        thickness.astype(np.float32),
        visits.shift_ev,
        visits.electrons.astype(np.float32),
    )
