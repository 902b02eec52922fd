"""Parts of a message: the limits of the format, and arrays as raw bytes.

Lives here: what both directions need. Whatever comes from outside goes through these checks
before anything is allocated for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import WireError

MAX_HEADER_BYTES = 64 * 1024
MAX_ARRAY_BYTES = 256 * 1024 * 1024
MAX_PARTS = 2 + 2 * 2
MAX_CHANNELS = 65_536
MAX_PIXELS = 2**28

Part = bytes | memoryview

encoder = msgspec.msgpack.Encoder()


def expect_arrays(arrays: Sequence[Part], number: int) -> None:
    """Refuse a message that has not as many array parts as its header announces."""
    if len(arrays) != number:
        raise WireError(f"the header announces {number} array parts, {len(arrays)} came")


def array_of(part: Part, dtype: str, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    """View a part as a little-endian array of ``dtype`` (``u2``, ``f4``, ...) and ``shape``.

    Raises
    ------
    WireError
        If the part has another size, or more than `MAX_ARRAY_BYTES`; ``what`` names it.
    """
    size = math.prod(shape) * int(dtype[1])
    if size != len(part):
        raise WireError(f"{what}: {shape} of {dtype} are {size} bytes, {len(part)} came")
    if size > MAX_ARRAY_BYTES:
        raise WireError(f"{what}: {size} bytes; an array has at most {MAX_ARRAY_BYTES}")
    return np.frombuffer(part, "<" + dtype).reshape(shape)


def raw(array: NDArray[Any]) -> memoryview:
    """View a contiguous array as bytes; an empty one too, which ``memoryview.cast`` refuses."""
    return array.reshape(-1).view(np.uint8).data


def finite(what: str, *values: float) -> None:
    """Refuse nan and infinity; ``what`` names whose numbers they are."""
    if not all(map(math.isfinite, values)):
        raise WireError(f"{what}: numbers must be finite, got {values}")


def printable(*texts: str) -> None:
    """Refuse control characters: texts go into file names, HDF5 (no NUL) and terminals."""
    for text in texts:
        if not text.isprintable() and any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text):
            raise WireError(f"control characters in {text[:40]!r}")


def shape_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Shape of a map or curve as announced, if there can be such a one."""
    if len(shape) > 8 or any(not 0 <= size <= MAX_PIXELS for size in shape):
        raise WireError(f"a shape that cannot be: {list(shape)[:8]}")
    return tuple(shape)
