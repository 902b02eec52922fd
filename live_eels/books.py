"""The books of one scan: what came, what did not, what came twice.

Lives here: the counters, and which sequence numbers have come. Where in the scan lost pixels
lie is `losses`' matter.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """The books of one scan.

    Attributes
    ----------
    messages
        ``spectra`` messages accepted.
    visits
        Pixel visits accepted, counted over the core signal.
    pixels
        Different pixels seen at least once.
    gaps, missing_messages
        How often the sequence jumped, and how many of its numbers have not come (yet).
    duplicates
        Messages whose sequence number had come before: dropped.
    late
        Messages that came after a later one: used.
    orphans
        Spectra dropped because their scan was not announced in time.
    unpaired
        Pixels passed on without their low-loss or core-loss partner.
    after_end
        Messages of a scan that had already ended: dropped.
    visits_lost
        Pixel visits that the sender says it sent and that never came.
    """

    messages: int = 0
    visits: int = 0
    pixels: int = 0
    gaps: int = 0
    missing_messages: int = 0
    duplicates: int = 0
    late: int = 0
    orphans: int = 0
    unpaired: int = 0
    after_end: int = 0
    visits_lost: int = 0


class Sequence:
    """Which sequence numbers have come: the next one, and the holes before it.

    Holes are ranges, so a jump of a million messages costs one entry; the oldest are
    forgotten beyond ``MAX_HOLES`` (what comes late for those counts as a duplicate).
    """

    MAX_HOLES = 65_536

    def __init__(self) -> None:
        self.next = 0
        self._holes: deque[tuple[int, int]] = deque()

    def hole(self, number: int) -> int:
        """Length of the jump that ``number`` makes; 0 in order, -1 behind."""
        return max(number - self.next, -1)

    def advance(self, number: int) -> None:
        """Take a number that is not behind; what it jumped over is a hole."""
        if number > self.next:
            self._holes.append((self.next, number))
            if len(self._holes) > self.MAX_HOLES:
                self._holes.popleft()
        self.next = number + 1

    def fill(self, number: int) -> bool:
        """Take a number that lies behind out of its hole; False if it had come before."""
        for index in range(len(self._holes) - 1, -1, -1):  # late ones are mostly just behind
            start, stop = self._holes[index]
            if stop <= number:
                return False
            if start <= number:
                del self._holes[index]
                for part in ((number + 1, stop), (start, number)):
                    if part[0] < part[1]:
                        self._holes.insert(index, part)
                return True
        return False
