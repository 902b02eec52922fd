"""Freed arrays are kept for the next ones; in a process of its own, as malloc is everybody's."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGES = """
import resource
import numpy as np
from live_eels.app.memory import keep_freed_memory
{call}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def chunk():
    return [np.ones(2**20, np.float32) for _ in range(6)]
chunk()
before = faults()
for _ in range(20):
    chunk()
print(faults() - before)
"""


def pages_cleared(call: str) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", PAGES.format(call=call)], capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_the_pages_of_freed_arrays_are_used_again():
    assert pages_cleared("assert keep_freed_memory()") < 0.1 * pages_cleared("")
