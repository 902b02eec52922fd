"""Compiled loops: arrays in, arrays out. Nothing of ours is imported here.

Compile options live in this one place:

- ``nogil``: receiving, recording and serving go on while a kernel runs.
- ``cache``: compiled once per user, kept under ``CACHE`` (or ``NUMBA_CACHE_DIR``, where set).
- ``fastmath`` without ``nnan`` and ``ninf``: nan marks what is unknown and must survive;
  re-association lets sums use vector registers.
- ``error_model="numpy"``: division by zero gives inf, as in the plain twins.

What every spectrum goes through is serial (``jit``): stages run beside each other on different
threads instead, and no thread of OpenMP's spins on a core that another stage wants. Analyses
that take long are parallel over pixels (``pjit``); under numba's built-in threading layer a
second thread in a parallel kernel aborts the process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import njit
from numba.np.ufunc.parallel import threading_layer
from platformdirs import user_cache_path

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}


def _fingerprint() -> str:
    """Of the source of all kernels: they call each other, and numba looks at one file only."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


# Not in __pycache__ beside the source, numba's first choice: what pip did not install it does not
# remove, and the folder that stays would hide a later editable install of this package.
CACHE = user_cache_path("live_eels", appauthor=False) / f"kernels-{_fingerprint()}"


def _compile(function: F, **options: Any) -> F:
    theirs = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    numba.config.CACHE_DIR = theirs or str(CACHE)  # type: ignore[attr-defined]
    try:
        return njit(**options, **_OPTIONS)(function)  # type: ignore[no-any-return]
    finally:
        numba.config.CACHE_DIR = theirs  # type: ignore[attr-defined]


def jit(function: F) -> F:
    """Compile a serial kernel, safe from any thread."""
    return _compile(function)


def inlined(function: F) -> F:
    """Compile what kernels call, into each of them.

    Called as a function it would be optimised twice, alone and beside its caller; which of the two
    runs depends on whether this process compiled it, and under ``fastmath`` they differ.
    """
    return _compile(function, forceinline=True)


def pjit(function: F) -> F:
    """Compile a kernel whose ``prange`` loops run over pixels."""
    return _compile(function, parallel=True)


def many_threads_may_call() -> bool:
    """Whether parallel kernels may run on two threads at once.

    numba's OpenMP and TBB layers allow it; its built-in one, which is what a plain install on
    macOS has, aborts the process.
    """
    numba.get_num_threads()  # starts the layer, which no kernel may have needed so far
    layer: str = threading_layer()  # type: ignore[no-untyped-call]
    return layer in ("omp", "tbb")
