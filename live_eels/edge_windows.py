"""The window around the L3 edge that a model sees of a spectrum, and of its scan's mean.

Lives here: one definition for training and use, which a model's card fixes. What becomes of the
window is the model's (`classify`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import edge
from live_eels.model_card import Element, ModelError, Window
from live_eels.spectra import EnergyAxis

MIN_SEARCH_EV = 10.0
"""An element counts as covered where its L3 edge can be looked for over this length, eV."""
BEFORE_EV = 2.0
AFTER_EV = 8.0
"""An L3 edge is looked for no nearer than this to the start and the end of the axis, eV."""

MOST_MOVED_EV = 3.0
"""An edge of the mean spectrum that is farther from a pixel's is another thing, or noise."""


@dataclass(frozen=True, slots=True)
class _Search:
    """Where to look on one energy axis, as `edge.edge_windows` wants it."""

    axis: EnergyAxis
    first: int
    last: int
    pad: int
    margin: int
    elements: NDArray[np.int64]
    starts: NDArray[np.float64]
    positions: NDArray[np.int64]


class Windows(NamedTuple):
    """What is cut out of spectra, and what is known of it.

    Attributes
    ----------
    window
        float32 ``(pixel, point)``: counts around the L3 edge, less their mean.
    element
        float32 ``(pixel, element)``: 1 for the element whose edge was found.
    l3_ev
        float32 ``(pixel,)``: where the edge was found on the axis.
    strength
        float32 ``(pixel,)``: length of what the window holds beyond level and slope, in counts of
        one channel; nan for a spectrum that holds nan or inf there.
    """

    window: NDArray[np.float32]
    element: NDArray[np.float32]
    l3_ev: NDArray[np.float32]
    strength: NDArray[np.float32]


class Beside(NamedTuple):
    """What a pixel's scan shows of the element that was found in the pixel.

    Attributes
    ----------
    window
        float32 ``(pixel, point)``: window of the scan's mean spectrum; the pixel's own where the
        scan tells nothing.
    moved_ev
        float32 ``(pixel, 1)``: how far the pixel's L3 edge lies above the mean's, eV.
    """

    window: NDArray[np.float32]
    moved_ev: NDArray[np.float32]


def alone(window: NDArray[np.float32]) -> Beside:
    """Each spectrum as a scan of its own."""
    return Beside(window, np.zeros((len(window), 1), np.float32))


class Preparation:
    """Finds the L3 edge of each spectrum and cuts the window that a model sees.

    The axis may be wrong by several eV and differ in dispersion between instruments, so the
    window is placed by the spectrum itself; one definition for training and use.
    """

    def __init__(self, elements: Sequence[Element], window: Window) -> None:
        self.elements = tuple(elements)
        self.window = window
        self._search: _Search | None = None

    def bind(self, axis: EnergyAxis) -> tuple[str, ...]:
        """Prepare for spectra on ``axis``; the elements that can be told on it.

        Raises
        ------
        ModelError
            If the axis covers the L3 edge of none of the model's elements; names both ranges.
        """
        found: list[tuple[int, float, int]] = []
        start, end = axis.offset_ev + BEFORE_EV, axis.end_ev - AFTER_EV
        for index, element in enumerate(self.elements):
            low = max(element.l3_ev - element.within_ev, start)
            high = min(element.l3_ev + element.within_ev, end)
            if high - low >= MIN_SEARCH_EV:
                border = (low - axis.offset_ev) / axis.dispersion_ev + 0.5
                found.append((index, border, int((high - low) / edge.STEP_EV) + 1))
        if not found:
            ranges = " or ".join(
                f"{e.symbol} L3 within {e.l3_ev - e.within_ev:g} to {e.l3_ev + e.within_ev:g} eV"
                for e in self.elements
            )
            raise ModelError(
                f"looks for {ranges}, but the energy axis runs from "
                f"{axis.offset_ev:g} to {axis.end_ev:g} eV"
            )
        # Channels that no window can reach are not looked at; windows that stick out of the axis
        # see its end level continued.
        channel = axis.dispersion_ev
        behind = max((edge.BEHIND + 2) * edge.STEP_EV, 2.0 - self.window.low_ev) / channel
        reach = max((edge.REACH + 2) * edge.STEP_EV, self.window.high_ev + 2.0) / channel
        first = max(0, int(found[0][1] - behind))
        last = min(axis.size, int(found[-1][1] + found[-1][2] * edge.STEP_EV / channel + reach))
        pad = int(max(behind, reach)) + 4
        self._search = _Search(
            axis=axis,
            first=first,
            last=last,
            pad=pad,
            margin=max(1, min(round(1.0 / channel), last - first)),
            elements=np.array([index for index, _, _ in found], np.int64),
            starts=np.array([border - first + pad for _, border, _ in found]),
            positions=np.array([count for _, _, count in found], np.int64),
        )
        return tuple(self.elements[index].symbol for index, _, _ in found)

    def windows(self, counts: NDArray[Any], axis: EnergyAxis) -> Windows:
        """Cut what the model sees out of each spectrum."""
        if self._search is None or self._search.axis != axis:
            self.bind(axis)
        search = self._search
        assert search is not None
        counts = np.ascontiguousarray(counts, np.float32)
        n, window, channel = len(counts), self.window, axis.dispersion_ev
        border, which = np.empty(n), np.empty(n, np.int64)
        seen, strength = np.empty((n, window.points), np.float32), np.empty(n, np.float32)
        edge.edge_windows(
            counts, search.first, search.last, search.pad, search.margin,
            search.starts, search.positions, edge.STEP_EV / channel,
            window.low_ev / channel, window.dispersion_ev / channel,
            max(window.width_ev / channel, 1.0), which, border, seen, strength,
        )  # fmt: skip
        element = np.zeros((n, len(self.elements)), np.float32)
        element[np.arange(n), search.elements[which]] = 1.0
        l3_ev = axis.offset_ev + (border + search.first - search.pad - 0.5) * channel
        strength /= np.float32(np.sqrt(channel / window.dispersion_ev))
        return Windows(seen, element, l3_ev.astype(np.float32), strength)

    def beside(
        self, seen: Windows, means: NDArray[Any], axis: EnergyAxis, of: NDArray[np.intp]
    ) -> Beside:
        """Cut out of scans' mean spectra what belongs to their pixels.

        Parameters
        ----------
        seen
            Windows of the pixels.
        means
            ``(scan, channel)`` on ``axis``.
        of
            The scan of each pixel, ``(pixel,)``.
        """
        window, moved_ev = alone(seen.window)
        window = window.copy()
        for index, element in enumerate(self.elements):
            mine = np.flatnonzero(seen.element[:, index])
            if not len(mine):
                continue
            one = Preparation((element,), self.window)  # a mean may hold edges of both elements
            try:
                cut = one.windows(means, axis)
            except ModelError:  # the mean is of fewer channels
                continue
            away = seen.l3_ev[mine] - cut.l3_ev[of[mine]]
            near = np.abs(away) <= MOST_MOVED_EV
            window[mine[near]] = cut.window[of[mine[near]]]
            moved_ev[mine[near], 0] = away[near]
        return Beside(window, moved_ev)
