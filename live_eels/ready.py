"""A chunk that has been prepared, and what of it the later stages want."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import Chunk, Prepared

A = TypeVar("A")
B = TypeVar("B")


class Ahead(Protocol):
    """Like ``map``: in order; may be doing the next item while one is being used."""

    def __call__(self, function: Callable[[A], B], items: Iterable[A], /) -> Iterator[B]:
        """Give the function of each item."""


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A chunk that is prepared, and what all later stages want of it.

    ``spectra`` are its counts in the analysis window, contiguous; ``total`` its counts
    altogether, float32 ``(pixel,)``.
    """

    prepared: Prepared
    spectra: NDArray[np.float32]
    total: NDArray[np.float32]


def with_core(chunk: Chunk) -> Chunk:
    """The chunk without pixels whose core loss never came: nothing is known of them."""
    seen = chunk.core_seen
    if seen is None:
        return chunk
    return replace(
        chunk,
        pixels=chunk.pixels[seen],
        counts=chunk.counts[seen],
        low=None if chunk.low is None else chunk.low[seen],
        low_seen=None if chunk.low_seen is None else chunk.low_seen[seen],
        core_seen=None,
        summed=None if chunk.summed is None else chunk.summed[seen],
        low_summed=None if chunk.low_summed is None else chunk.low_summed[seen],
    )


def seen_spectra(prepared: Prepared) -> NDArray[np.float32]:
    """What learners and labels see: single scattering where that was asked for."""
    return prepared.counts if prepared.single is None else prepared.single


def quality(prepared: Prepared) -> dict[str, NDArray[np.float32]]:
    """How well background and zero-loss peak were found; nan where there is none."""
    unknown = np.full(len(prepared.pixels), np.nan, np.float32)
    fit, width = prepared.fit_quality, prepared.zlp_width_ev
    return {
        "background fit": unknown if fit is None else fit,
        "ZLP fwhm": unknown if width is None else width,
    }
