"""Which pixels were lost: sent, as the sequence numbers say, and never heard.

Lives here: what can be concluded, and nothing that is merely likely. A pixel that the beam
has not reached, or that a sub-sampled scan leaves out, is not lost.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import ScanEnd


class Losses:
    """Pixels of one scan that never came.

    While the scan runs, those between two neighbouring messages of the same direction where
    the sequence jumped. When it is over and all its pixels were sent, every pixel unseen.

    Parameters
    ----------
    seen
        Whether each pixel came, bool ``(scan pixels,)``; looked at, kept by somebody else.
    """

    MAX_GAPS = 65_536

    def __init__(self, seen: NDArray[np.bool_]) -> None:
        self._seen = seen
        self._gaps: deque[tuple[int, int]] = deque(maxlen=self.MAX_GAPS)
        self._before: NDArray[np.int64] | None = None
        self._missing = 0
        self._everything = False
        self._found: tuple[tuple[int, int, bool], NDArray[np.int64]] | None = None

    def jump(self, missing: int) -> None:
        """Note that so many sequence numbers are missing just before the next message."""
        self._missing += missing

    def come(self, pixels: NDArray[np.int64]) -> None:
        """Take the pixels of a message of the core signal, int64 ``(pixel,)``, in order."""
        if self._missing:
            self._between(self._before, pixels)
            self._missing = 0
        self._before = pixels

    def _between(self, before: NDArray[np.int64] | None, after: NDArray[np.int64]) -> None:
        """Keep the pixels between two messages that run in one direction, without holes."""
        low, high, step = _stretch(after)
        if step is None:
            return
        if before is None:
            start, stop = (0, low) if step >= 0 else (0, 0)
        else:
            low_before, high_before, step_before = _stretch(before)
            if step_before is None or step * step_before < 0:
                return
            rising = step + step_before > 0 or (step == step_before == 0 and low > high_before)
            start, stop = (high_before + 1, low) if rising else (high + 1, low_before)
        # More than the missing messages can have held: pixels were left out on purpose.
        size = max(len(after), 0 if before is None else len(before))
        if start < stop <= start + self._missing * size:
            self._gaps.append((start, stop))

    def end(self, end: ScanEnd, passes: int) -> None:
        """The scan is over: if the sender sent every pixel, those unseen are lost."""
        if end.pixels_sent is None:
            self._everything = end.reason == "complete"
        else:
            self._everything = end.pixels_sent >= len(self._seen) * passes

    def runs(self) -> NDArray[np.int64]:
        """Lost pixels as runs, int64 ``(run, 2)``: first, and the one after the last."""
        state = (len(self._gaps), int(np.count_nonzero(self._seen)), self._everything)
        if self._found is not None and self._found[0] == state:
            return self._found[1]
        lost = np.zeros(len(self._seen) + 2, np.int8)
        if self._everything:
            lost[1:-1] = ~self._seen
        else:
            for start, stop in tuple(self._gaps):
                lost[1 + start : 1 + stop] = ~self._seen[start:stop]
        runs = np.flatnonzero(np.diff(lost)).reshape(-1, 2)
        self._found = (state, runs)
        return runs


def _stretch(pixels: NDArray[np.int64]) -> tuple[int, int, int | None]:
    """Lowest and highest pixel, and the step between them: 1, -1, 0 if one, None with holes."""
    first, last = int(pixels[0]), int(pixels[-1])
    whole = abs(last - first) == len(pixels) - 1
    return min(first, last), max(first, last), (last > first) - (last < first) if whole else None
