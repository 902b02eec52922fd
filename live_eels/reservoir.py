"""A fair draw of the pixels so far, for everything that needs to look at pixels again.

Lives here: which pixels are kept, their loadings, and their spectra where they were given. With
spectra, loadings follow a turn of the basis exactly; without, only as far as the basis before
could express them: a pixel that came before a component was found would look as if it had
none of it, for ever, and could never be told from those that really have none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


class Reservoir:
    """At most ``size`` pixels, each of those offered with the same chance.

    Attributes
    ----------
    rows : ndarray
        Loadings of the pixels kept, float32 ``(pixel, component)``.
    offered : int
        Pixels it has seen.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size, self._rng = size, rng
        self.rows: Values = np.zeros((0, 0), np.float32)
        self._spectra: Values | None = None
        self.offered = 0

    def __len__(self) -> int:
        return len(self.rows)

    def offer(self, rows: Values, spectra: Values | None) -> None:
        """Take each row with the chance it should have (Vitter's algorithm R).

        Parameters
        ----------
        rows : float32 ``(pixel, component)``
        spectra : float32 ``(pixel, channel)``, optional
            Always, or never.
        """
        if not self.offered:
            self.rows = rows[:0].copy()
            self._spectra = None if spectra is None else spectra[:0].copy()
        free = max(self.size - len(self.rows), 0)
        if free:
            self.rows = np.concatenate([self.rows, rows[:free]])
            if self._spectra is not None and spectra is not None:
                self._spectra = np.concatenate([self._spectra, spectra[:free]])
        late = len(rows) - free
        if late > 0:
            slot = self._rng.integers(0, self.offered + free + 1 + np.arange(late))
            kept = slot < self.size
            self.rows[slot[kept]] = rows[free:][kept]
            if self._spectra is not None and spectra is not None:
                self._spectra[slot[kept]] = spectra[free:][kept]
        self.offered += len(rows)

    def turn(
        self,
        rotation: Values,
        offset: Values,
        transform: Callable[[Values], Values] | None = None,
    ) -> None:
        """Follow the basis: from the spectra where there are some and ``transform`` is given."""
        if transform is not None and self._spectra is not None:
            self.rows = transform(self._spectra)
        elif len(self.rows):
            self.rows = self.rows @ rotation + offset

    def merge(self, other: Reservoir) -> None:
        """Draw fairly from two fair draws."""
        mine, theirs = np.arange(len(self)), np.arange(len(other))
        if len(mine) + len(theirs) > self.size:
            wanted = round(self.size * self.offered / max(self.offered + other.offered, 1))
            wanted = min(max(wanted, self.size - len(theirs)), len(mine))
            mine = np.sort(self._rng.permutation(mine)[:wanted])
            theirs = np.sort(self._rng.permutation(theirs)[: self.size - wanted])
        if not len(self):
            self.rows = other.rows[theirs]
            self._spectra = None if other._spectra is None else other._spectra[theirs]
        elif len(theirs):
            self.rows = np.concatenate([self.rows[mine], other.rows[theirs]])
            if self._spectra is not None and other._spectra is not None:
                self._spectra = np.concatenate([self._spectra[mine], other._spectra[theirs]])
            else:
                self._spectra = None
        self.offered += other.offered
