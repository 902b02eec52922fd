"""What the C library does with memory that arrays have given back."""

from __future__ import annotations

import contextlib
import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""``M_TRIM_THRESHOLD`` and so on, of glibc's malloc.h."""

LARGEST = 32 * 2**20
"""Arrays up to this size are cut from kept memory; the most that glibc allows, bytes."""

ARENAS = 2
"""Heaps for all threads; else glibc makes up to eight for each core, each with idle memory."""

KEPT = 128 * 2**20
"""What may lie idle at the end of a heap before it goes back to the system, bytes."""


def keep_freed_memory() -> bool:
    """Have freed arrays kept for the next ones; False where the C library is not glibc.

    Each chunk of spectra makes some arrays of a few MiB. By itself glibc hands them back at once
    and the system clears every page of the next ones: 2 us for each spectrum of 2048 channels.
    """
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        wanted = {ARENA_MAX: ARENAS, MMAP_THRESHOLD: LARGEST, TRIM_THRESHOLD: KEPT}
        return all(mallopt(what, value) for what, value in wanted.items())
    return False
