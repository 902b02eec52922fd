"""The beam's way over the specimen, and what the column does to each spectrum.

Lives here: order and time of the visits, dose, energy shift, beam current. No spectra.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from live_eels.simulators.scene import MicroscopeSettings, ScanSettings, Scene
from numpy.typing import NDArray

ELEMENTARY_CHARGE_C = 1.602176634e-19


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """Every stop of the beam, in the order in which it happens; arrays are ``(visit,)``.

    Attributes
    ----------
    pixels
        Flat pixel indices, int64.
    time_s
        When the dwell begins, float64, from the scan's start.
    passes
        Which pass it is, int64, from 0.
    y_nm, x_nm
        Where on the specimen the beam really is (drift included), float64.
    shift_ev
        How far the spectrum lies above its nominal energy, float32.
    electrons
        Electrons that hit the specimen during the dwell time, float64.
    dose_before
        Dose that the pixel had got before, electrons per nm², float64.
    """

    pixels: NDArray[np.int64]
    time_s: NDArray[np.float64]
    passes: NDArray[np.int64]
    y_nm: NDArray[np.float64]
    x_nm: NDArray[np.float64]
    shift_ev: NDArray[np.float32]
    electrons: NDArray[np.float64]
    dose_before: NDArray[np.float64]


def plan(scene: Scene, seed: int) -> Visits:
    """The visits of a scan; the same seed gives the same ones."""
    settings, scan = scene.microscope, scene.scan
    order = [one_pass(scan, np.random.default_rng([seed, k, 0x9A55])) for k in range(scan.passes)]
    pixels = np.concatenate(order)
    passes = np.repeat(np.arange(scan.passes), [len(part) for part in order])
    columns = scan.shape[-1] if scan.shape else 1
    row_changes = np.cumsum(np.r_[0, np.diff(pixels // columns) != 0])
    time_s = np.arange(pixels.size) * settings.dwell_s + row_changes * settings.flyback_s
    row, column = np.divmod(pixels % (columns * _rows(scan)), columns)
    drift_y, drift_x = settings.drift_nm_per_s
    electrons = electrons_per_visit(scene) * np.ones(pixels.size)
    rng = np.random.default_rng([seed, 0xBEA3])
    if settings.current_noise > 0:
        electrons *= np.clip(1 + settings.current_noise * _flicker(pixels.size, rng), 0.05, None)
    return Visits(
        pixels=pixels,
        time_s=time_s,
        passes=passes,
        y_nm=(row + 0.5) * scan.step_nm + drift_y * time_s,
        x_nm=(column + 0.5) * scan.step_nm + drift_x * time_s,
        shift_ev=energy_shift(settings, time_s, np.random.default_rng([seed, 0x5F1])),
        electrons=electrons.astype(np.float32).astype(np.float64),
        dose_before=_dose_before(pixels, passes, electrons / scan.step_nm**2),
    )


def electrons_per_visit(scene: Scene) -> float:
    """Electrons that hit the specimen in one dwell time."""
    settings = scene.microscope
    charge = settings.beam_current_na * 1e-9 * settings.dwell_s
    return scene.exposure * charge / ELEMENTARY_CHARGE_C


def one_pass(scan: ScanSettings, rng: np.random.Generator) -> NDArray[np.int64]:
    """Pixels of one pass in scan order, int64."""
    pixels = np.arange(math.prod(scan.shape), dtype=np.int64)
    if scan.path == "serpentine" and len(scan.shape) > 1:
        table = pixels.reshape(-1, scan.shape[-1]).copy()
        table[1::2] = table[1::2, ::-1]
        pixels = table.ravel()
    if scan.visited < 1.0:
        chosen = rng.permutation(pixels.size)[: max(1, round(scan.visited * pixels.size))]
        pixels = pixels[np.sort(chosen)]
    if scan.path == "random":
        pixels = rng.permutation(pixels)
    return pixels


def energy_shift(
    settings: MicroscopeSettings, time_s: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Slow drift, mains hum (averaged over the dwell time) and jitter, float32, eV."""
    start, hum_start = 2 * np.pi * rng.random(2)
    slow = np.sin(2 * np.pi * time_s / settings.drift_period_s + start) - np.sin(start)
    shift = settings.drift_ev * slow + settings.drift_ev_per_s * time_s
    middle = time_s + settings.dwell_s / 2
    hum = np.sin(2 * np.pi * settings.hum_hz * middle + hum_start)
    shift += settings.hum_ev * hum * np.sinc(settings.hum_hz * settings.dwell_s)
    shift += settings.jitter_ev * rng.standard_normal(time_s.size)
    return np.asarray(shift, np.float32)


def _rows(scan: ScanSettings) -> int:
    return scan.shape[-2] if len(scan.shape) > 1 else 1


def _flicker(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of unit variance whose power falls as 1/f: the emission of a cold tip."""
    hat = np.fft.rfft(rng.standard_normal(size))
    hat[1:] /= np.sqrt(np.arange(1, hat.size))
    hat[0] = 0.0
    noise = np.fft.irfft(hat, size)
    return np.asarray(noise / noise.std()) if size > 1 else np.zeros(size)


def _dose_before(
    pixels: NDArray[np.int64], passes: NDArray[np.int64], dose: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Dose that earlier passes gave; within one pass no pixel comes twice."""
    total = np.zeros(int(pixels.max()) + 1)
    before = np.empty(pixels.size)
    for number in range(int(passes[-1]) + 1):
        visits = np.flatnonzero(passes == number)
        before[visits] = total[pixels[visits]]
        total[pixels[visits]] += dose[visits]
    return before
