"""Compiled loops: arrays in, arrays out. Nothing of ours is imported here.

Compile options live in this one place:

- ``nogil``: receiving, recording and serving go on while a kernel runs.
- ``cache``: compiled once per machine; see ``NUMBA_CACHE_DIR`` for read-only installs.
- ``fastmath`` without ``nnan`` and ``ninf``: nan marks what is unknown and must survive;
  re-association lets sums use vector registers.
- ``error_model="numpy"``: division by zero gives inf, as in the plain twins.

Kernels that run parallel over pixels (``pjit``) belong to the analyse thread alone: under
numba's built-in threading layer a second thread in a parallel kernel aborts the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit
from numba.np.ufunc.parallel import threading_layer

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}


def jit(function: F) -> F:
    """Compile a serial kernel, safe from any thread."""
    return njit(**_OPTIONS)(function)  # type: ignore[no-any-return]


def pjit(function: F) -> F:
    """Compile a kernel whose ``prange`` loops run over pixels; analyse thread only."""
    return njit(parallel=True, **_OPTIONS)(function)  # type: ignore[no-any-return]


def many_threads_may_call() -> bool:
    """Whether parallel kernels may run on two threads at once (known after the first one ran).

    numba's OpenMP and TBB layers allow it; its built-in one, which is what a plain install on
    macOS has, aborts the process.
    """
    layer: str = threading_layer()  # type: ignore[no-untyped-call]
    return layer in ("omp", "tbb")
