"""A fair draw of the pixels so far, for everything that needs to look at pixels again.

Lives here: which pixels are kept, their loadings, and their spectra where they were given. With
spectra, loadings follow a turn of the basis exactly; without, only as far as the basis before
could express them: a pixel that came before a component was found would look as if it had
none of it, for ever, and could never be told from those that really have none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Block = list[tuple[Values, Values | None]]
"""Pieces of a stream: loadings, and the spectra they are of."""


class Reservoir:
    """At most ``size`` pixels, each of those offered with the same chance.

    Attributes
    ----------
    offered : int
        Pixels it has seen.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size, self._rng = size, rng
        self._kept = 0
        self._rows: Values = np.zeros((0, 0), np.float32)
        self._spectra: Values | None = None
        self.offered = 0

    def __len__(self) -> int:
        return self._kept

    @property
    def rows(self) -> Values:
        """Loadings of the pixels kept, float32 ``(pixel, component)``."""
        return self._rows[: self._kept]

    @property
    def spectra(self) -> Values | None:
        """Their spectra, where they were given, float32 ``(pixel, channel)``."""
        return None if self._spectra is None else self._spectra[: self._kept]

    def offer(self, rows: Values, spectra: Values | None) -> None:
        """Take each row with the chance it should have (Vitter's algorithm R).

        Parameters
        ----------
        rows : float32 ``(pixel, component)``
        spectra : float32 ``(pixel, channel)``, optional
            Always, or never.
        """
        if not self.offered:
            self._hold(rows[:0], None if spectra is None else spectra[:0])
        free = max(min(self.size - self._kept, len(rows)), 0)
        late = len(rows) - free
        slot = np.arange(self._kept, self._kept + free)
        taken = np.arange(free)
        self._kept += free
        if late > 0:
            drawn = self._rng.integers(0, self.offered + free + 1 + np.arange(late))
            slot = np.append(slot, drawn[drawn < self.size])
            taken = np.append(taken, free + np.flatnonzero(drawn < self.size))
        self._rows[slot] = rows[taken]
        if self._spectra is not None and spectra is not None:
            self._spectra[slot] = spectra[taken]
        self.offered += len(rows)

    def turn(
        self,
        rotation: Values,
        offset: Values,
        transform: Callable[[Values], Values] | None = None,
    ) -> None:
        """Follow the basis: from the spectra where there are some and ``transform`` is given."""
        spectra = self.spectra
        if transform is not None and spectra is not None:
            self._rows = _with_room(transform(spectra), self.size)
        elif len(self):
            self._rows = _with_room(self.rows @ rotation + offset, self.size)

    def merge(self, other: Reservoir) -> None:
        """Draw fairly from two fair draws."""
        mine, theirs = np.arange(len(self)), np.arange(len(other))
        if len(mine) + len(theirs) > self.size:
            wanted = round(self.size * self.offered / max(self.offered + other.offered, 1))
            wanted = min(max(wanted, self.size - len(theirs)), len(mine))
            mine = np.sort(self._rng.permutation(mine)[:wanted])
            theirs = np.sort(self._rng.permutation(theirs)[: self.size - wanted])
        own, others = self.spectra, other.spectra
        if not len(self):
            self._hold(other.rows[theirs], None if others is None else others[theirs])
        elif len(theirs):
            both = None
            if own is not None and others is not None:
                both = np.concatenate([own[mine], others[theirs]])
            self._hold(np.concatenate([self.rows[mine], other.rows[theirs]]), both)
        self.offered += other.offered

    def _hold(self, rows: Values, spectra: Values | None) -> None:
        self._kept = len(rows)
        self._rows = _with_room(rows, self.size)
        self._spectra = None if spectra is None else _with_room(spectra, self.size)

    def __getstate__(self) -> dict[str, Any]:
        """Without the room that is not used yet, which holds anything."""
        return vars(self) | {"_rows": self.rows.copy(), "_spectra": self.spectra}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._hold(self._rows, self._spectra)


def _with_room(rows: Values, size: int) -> Values:
    """Rows in an array of ``size``: what is not used costs no memory until it is."""
    room = np.empty((size, *rows.shape[1:]), np.float32)
    room[: len(rows)] = rows
    return room


def joined(block: Block) -> Block:
    """The block in one piece, if there is any."""
    if len(block) < 2:
        return list(block)
    spectra = [own for _, own in block if own is not None]
    rows = np.concatenate([part for part, _ in block])
    return [(rows, np.concatenate(spectra) if spectra else None)]
