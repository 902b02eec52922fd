"""Simulated spectra as a model sees them: windows around the edge, and what they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from live_eels.models.lines import F8, L3_EV, LineSet
from live_eels.models.randomise import Domain, draw
from numpy.typing import NDArray

from live_eels.classify import Preparation
from live_eels.model_card import Element, Window

WITHIN_EV = 22.0
"""Axes are off by up to 10 eV, and evaluated shifted by 13 eV more (Mn and Fe never overlap)."""
ELEMENTS = tuple(Element(symbol, l3_ev, WITHIN_EV) for symbol, l3_ev in L3_EV.items())
WINDOW = Window(low_ev=-7.0, dispersion_ev=0.2, width_ev=0.4, points=128)


def preparation() -> Preparation:
    """The preparation every shipped model is trained with."""
    return Preparation(ELEMENTS, WINDOW)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Windows ``(n, point)``, element found ``(n, element)``, and the truth of each spectrum.

    ``fraction (n, class)`` sums to 1; ``dose`` is counts per 0.1 eV at the top of L3, inf
    without noise; ``thickness`` t/lambda; ``shift_ev`` of the axis.
    """

    window: NDArray[np.float32]
    element: NDArray[np.float32]
    fraction: F8
    dose: F8
    thickness: F8
    shift_ev: F8

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

    def take(self, rows: NDArray[Any]) -> Dataset:
        """Some of the spectra."""
        return Dataset(
            self.window[rows], self.element[rows], self.fraction[rows],
            self.dose[rows], self.thickness[rows], self.shift_ev[rows],
        )  # fmt: skip

    def sha256(self) -> str:
        """Hash of windows and truth."""
        digest = hashlib.sha256(np.ascontiguousarray(self.window).tobytes())
        digest.update(np.ascontiguousarray(self.fraction).tobytes())
        return digest.hexdigest()


def simulate(lines: LineSet, count: int, seed: int, domain: Domain | None = None) -> Dataset:
    """Draw ``count`` spectra and prepare them; the seed decides all."""
    prepare = preparation()
    parts: list[tuple[Any, ...]] = []
    for group in draw(lines, count, np.random.default_rng(seed), domain or Domain()):
        window, element, _ = prepare.windows(group.counts, group.axis)
        parts.append((window, element, group.fraction, group.dose, group.thickness, group.shift_ev))
    return Dataset(*(np.concatenate(column) for column in zip(*parts, strict=True)))
