"""The edges between threads: bounded by bytes, closed by the sender, never polled.

``queue.Queue`` bounds items, not bytes, and cannot be closed before Python 3.13; both
matter here, so this is written by hand.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):  # noqa: N818 - a state, not a fault
    """The other side is gone."""


class Edge(Generic[T]):
    """A first-in first-out edge from one thread to one other.

    Parameters
    ----------
    limit
        Weight (bytes) that may wait; one item more than fits is never refused when empty.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._items: deque[tuple[T, int]] = deque()
        self._weight = 0
        self._closed = False
        self._waiting = False
        self._woken = False
        self._changed = threading.Condition()

    def put(self, item: T, weight: int = 0) -> None:
        """Hand over an item; waits while the edge is full.

        Raises
        ------
        Closed
            If the edge was closed.
        """
        with self._changed:
            while not self._closed and self._weight and self._weight + weight > self.limit:
                self._changed.wait()
            if self._closed:
                raise Closed
            self._append(item, weight)

    def offer(self, item: T, weight: int) -> bool:
        """Hand over an item if there is room now."""
        with self._changed:
            if self._closed or (self._weight and self._weight + weight > self.limit):
                return False
            self._append(item, weight)
            return True

    def _append(self, item: T, weight: int) -> None:
        self._items.append((item, weight))
        self._weight += weight
        self._changed.notify_all()

    def get(self, timeout_s: float | None = None) -> T | None:
        """Take the next item; None if time ran out or ``wake`` was called.

        Raises
        ------
        Closed
            If the edge was closed and is empty.
        """
        with self._changed:
            if not self._items and not self._closed:
                self._waiting = True
                self._changed.wait_for(
                    lambda: self._items or self._closed or self._woken, timeout_s
                )
                self._waiting = self._woken = False
            if self._items:
                item, weight = self._items.popleft()
                self._weight -= weight
                self._changed.notify_all()
                return item
            if self._closed:
                raise Closed
            return None

    def get_now(self) -> T | None:
        """Take the next item if one waits."""
        with self._changed:
            if not self._items:
                return None
            item, weight = self._items.popleft()
            self._weight -= weight
            self._changed.notify_all()
            return item

    def wake(self) -> None:
        """Make ``get`` return, from any thread."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def close(self) -> None:
        """Take no more items; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def idle(self) -> bool:
        """Nothing waits, and the taking thread has nothing to do."""
        return self._waiting and not self._items

    @property
    def empty(self) -> bool:
        """Nothing waits."""
        return not self._items

    @property
    def fill(self) -> float:
        """How full, 0 to 1 (an oversized item can make it more)."""
        return self._weight / self.limit if self.limit else 0.0
