"""Simulated spectra as a model sees them: windows around the edge, and what they are."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from live_eels.models.domain import Domain
from live_eels.models.graph import prepare
from live_eels.models.lines import ELEMENT, F8, L3_EV, LineSet
from live_eels.models.randomise import Drawn, draw
from numpy.typing import NDArray

from live_eels.edge_windows import Beside, Preparation, Windows, alone
from live_eels.model_card import Element, Window

WITHIN_EV = 22.0
"""Axes are off by up to 10 eV, and evaluated shifted by 13 eV more (Mn and Fe never overlap)."""
ELEMENTS = tuple(Element(symbol, l3_ev, WITHIN_EV) for symbol, l3_ev in L3_EV.items())
BLOCK = 8192
"""Spectra drawn with one seed by one process."""
WINDOW = Window(low_ev=-7.0, dispersion_ev=0.2, width_ev=0.4, points=128)

FORBIDDEN = -1e4
PENALTY: F8 = np.array(
    [[0.0 if c in (None, e.symbol) else FORBIDDEN for c in ELEMENT] for e in ELEMENTS]
)
"""What is added to each class's logit where an element was found, ``(element, class)``."""


def preparation() -> Preparation:
    """The preparation every shipped model is trained with."""
    return Preparation(ELEMENTS, WINDOW)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Windows ``(n, point)``, element found ``(n, element)``, and the truth of each spectrum.

    ``fraction (n, class)`` sums to 1; ``dose`` is counts per 0.1 eV at the top of L3, inf
    without noise; ``thickness`` t/lambda; ``shift_ev`` of the axis. ``scan (n, point)`` is the
    window of the scan's mean and ``moved_ev (n, 1)`` how far the edge lies above the mean's; of
    width 0 where each spectrum is alone.
    """

    window: NDArray[np.float32]
    element: NDArray[np.float32]
    fraction: F8
    dose: F8
    thickness: F8
    shift_ev: F8
    scan: NDArray[np.float32]
    moved_ev: NDArray[np.float32]

    def __len__(self) -> int:
        """Count the spectra."""
        return len(self.window)

    @property
    def label(self) -> NDArray[np.int64]:
        """The class with the largest share."""
        return np.asarray(self.fraction.argmax(axis=1))

    @property
    def pure(self) -> NDArray[np.bool_]:
        """Spectra of one class only."""
        return np.asarray(self.fraction.max(axis=1) > 0.999)

    def seen(self, scan: bool) -> F8:
        """What a model sees, ``(n, point)``; beside it the scan's mean and how far it moved.

        With ``scan`` ``(n, 2 * point + 1)``; a spectrum that is alone is its own mean.
        """
        window = prepare(self.window)
        if not scan:
            return window
        beside: list[F8] = [window, np.zeros((len(self), 1))]
        if self.scan.shape[1]:
            beside = [prepare(self.scan), self.moved_ev]
        return np.concatenate([window, *beside], axis=1, dtype=np.float32)

    def apart(self) -> Dataset:
        """The same spectra, each alone."""
        return replace(self, scan=self.scan[:, :0], moved_ev=self.moved_ev[:, :0])

    def take(self, rows: NDArray[Any]) -> Dataset:
        """Some of the spectra."""
        return Dataset(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def sha256(self) -> str:
        """Hash of windows and truth."""
        digest = hashlib.sha256(np.ascontiguousarray(self.window).tobytes())
        digest.update(np.ascontiguousarray(self.fraction).tobytes())
        digest.update(np.ascontiguousarray(self.scan).tobytes())
        return digest.hexdigest()


def simulate(
    lines: LineSet, count: int, seed: int, domain: Domain | None = None, keep: Path | None = None
) -> Dataset:
    """Draw ``count`` spectra and prepare them, on all cores; the seed decides all.

    Where pixels make scans, whole ones: a last scan that would be cut is left out.

    Parameters
    ----------
    keep
        Folder for what is drawn, so that an interrupted training goes on; None: not kept.
    """
    domain = domain or Domain()
    count, block = (number - number % domain.pixels for number in (count, BLOCK))
    sizes = [min(block, count - start) for start in range(0, count, block)]
    seeds = np.random.SeedSequence(seed).spawn(len(sizes))
    paths: list[Path | None] = [None] * len(sizes)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        asked = repr((lines.family.tolist(), lines.l3.sum(), count, seed, domain))
        name = hashlib.sha256(asked.encode()).hexdigest()[:16]
        paths = [keep / f"{name}-{i}.npz" for i in range(len(sizes))]
    work = list(zip([lines] * len(sizes), sizes, seeds, [domain] * len(sizes), paths, strict=True))
    if len(work) == 1:
        return _block(work[0])
    fresh = multiprocessing.get_context("spawn")  # threads of torch do not survive a fork
    with ProcessPoolExecutor(min(len(work), os.cpu_count() or 1), fresh) as pool:
        return joined(list(pool.map(_block, work)))


def joined(parts: Sequence[Dataset]) -> Dataset:
    """One data set after the other."""
    names = [f.name for f in fields(Dataset)]
    return Dataset(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def _block(work: tuple[LineSet, int, np.random.SeedSequence, Domain, Path | None]) -> Dataset:
    lines, count, seed, domain, path = work
    if path is not None and path.exists():
        with np.load(path) as kept:
            return Dataset(**kept)
    cut, rng = preparation(), np.random.default_rng(seed)
    parts = []
    for group in draw(lines, count, rng, domain):
        seen = cut.windows(group.counts, group.axis)
        beside = _beside(cut, seen, group, rng, domain)
        truth = group.fraction, group.dose, group.thickness, group.shift_ev
        parts.append(Dataset(seen.window, seen.element, *truth, *beside))
    data = joined(parts)
    if path is not None:
        columns = {f.name: getattr(data, f.name) for f in fields(data)}
        np.savez(part := path.with_suffix(".part.npz"), allow_pickle=False, **columns)
        part.replace(path)
    return data


def _beside(
    cut: Preparation, seen: Windows, group: Drawn, rng: np.random.Generator, domain: Domain
) -> Beside:
    """What the pixels see of their scans; nothing, of width 0, where there are none."""
    n = len(seen.window)
    if domain.pixels == 1:
        return Beside(np.empty((n, 0), np.float32), np.empty((n, 0), np.float32))
    means = group.counts.reshape(-1, domain.pixels, group.axis.size).mean(axis=1)
    found = cut.beside(seen, means, group.axis, np.arange(n) // domain.pixels)
    without = (rng.random(n) < domain.alone)[:, None]
    return Beside(
        *(np.where(without, a, b) for a, b in zip(alone(seen.window), found, strict=True))
    )
