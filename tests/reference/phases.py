"""Plain twins of live_eels/kernels/phases.py."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def matched(fresh: Array, before: Array) -> Array:
    """The renumbering that keeps most pixels, by trying all of them."""
    numbers = range(int(max(fresh.max(), before.max())) + 1)
    best = max(
        itertools.permutations(numbers),
        key=lambda order: int(((np.array(order)[fresh] == before) & (fresh >= 0)).sum()),
    )
    return np.where(fresh >= 0, np.array(best)[fresh], fresh)
