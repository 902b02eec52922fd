"""What travels to the page: one binary message of a JSON header and raw arrays.

Lives here: the layout of that message and the smallest description of how a map
changed. Knows no socket and no engine.

A message is a ``u32`` (little-endian) header length, the header as JSON padded with
spaces to a multiple of 8 bytes, and the arrays, each on an 8-byte boundary
(``Float32Array`` throws on odd offsets). ``header["arrays"]`` lists dtype, shape and
offset of each array, counted from the end of the header.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

DTYPES: dict[str, np.dtype[Any]] = {
    "f4": np.dtype("<f4"),
    "f8": np.dtype("<f8"),
    "i4": np.dtype("<i4"),
}
"""What the page can read; anything else is refused here rather than misread there."""

Map = NDArray[np.float32]
Rows = NDArray[np.int32] | None

WHOLE_SHARE = 0.5
"""Above this share of changed rows the whole map is the shorter message."""


def encode(header: dict[str, Any], arrays: Sequence[NDArray[Any]]) -> bytes:
    """Write one message.

    Parameters
    ----------
    header
        JSON-able; ``arrays`` is added to it. Not-a-number becomes ``null``.
    arrays
        float32, float64 or int32, any shape, copied once.
    """
    listed = []
    parts: list[bytes | memoryview] = []
    offset = 0
    for array in arrays:
        code = f"{array.dtype.kind}{array.dtype.itemsize}"
        packed: NDArray[Any] = np.ascontiguousarray(array, dtype=DTYPES[code])
        listed.append({"dtype": code, "shape": list(array.shape), "offset": offset})
        padding = -packed.nbytes % 8
        parts += [packed.data.cast("B") if packed.size else b"", b"\0" * padding]
        offset += packed.nbytes + padding
    text = msgspec.json.encode({**header, "arrays": listed})
    text += b" " * (-(len(text) + 4) % 8)
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])


def changed_rows(
    old: NDArray[np.float32] | None, new: NDArray[np.float32]
) -> NDArray[np.int32] | None:
    """Rows in which two maps differ, int32, or None where the whole map is to be sent.

    ``nan`` equals ``nan`` here: bits are compared, not numbers.
    """
    if old is None or old.shape != new.shape or new.ndim < 2:
        return None
    bits = np.uint64 if new.shape[-1] % 2 == 0 else np.uint32  # two at once where they pair
    differs = (old.view(bits) != new.view(bits)).reshape(len(new), -1).any(axis=1)
    rows = np.flatnonzero(differs).astype(np.int32)
    return None if len(rows) > WHOLE_SHARE * len(new) else rows


KEPT = 128 * 2**20
"""Bytes of the maps whose differences are remembered: a snapshot of 1024 x 1024 with 30 maps."""


class Differences:
    """`changed_rows` of maps that several pages have and are to be sent: found once."""

    def __init__(self, room: int = KEPT) -> None:
        self._room, self._held = room, 0
        self._lock = threading.Lock()
        # The maps are kept beside the answer, so that no other map can get their identity.
        self._found: dict[tuple[int, int], tuple[Map, Map, Rows]] = {}

    def rows(self, old: Map | None, new: Map) -> Rows:
        """Rows in which two maps differ; see `changed_rows`."""
        if old is None:
            return None
        key = (id(old), id(new))
        with self._lock:
            found = self._found.get(key)
        if found is not None:
            return found[2]
        rows = changed_rows(old, new)
        with self._lock:
            if key not in self._found:  # another page may have looked meanwhile
                self._found[key] = (old, new, rows)
                self._held += new.nbytes
            while self._held > self._room and len(self._found) > 1:
                _, gone, _ = self._found.pop(next(iter(self._found)))
                self._held -= gone.nbytes
        return rows
