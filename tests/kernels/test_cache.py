"""Where compiled kernels are kept: ``live_eels/kernels/__init__.py``."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from live_eels import kernels
from live_eels.kernels import pca

WINDOWS = """
import hashlib, numpy as np
from live_eels.edge_windows import Preparation
from live_eels.model_card import Element, Window
from live_eels.spectra import EnergyAxis

counts = np.random.default_rng(0).poisson(3.0, (4000, 80)).astype(np.float32)  # flats and ties
found = Preparation((Element("Mn", 640.0, 22.0),), Window(-7.0, 0.2, 0.4, 128)).windows(
    counts, EnergyAxis(610.0, 1.0, 80)
)
print(hashlib.sha256(found[0].tobytes()).hexdigest())
"""
SHOW = "from live_eels.kernels import pca; print(pca.project._cache.cache_path)"


def said_by_a_new_process(program: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return result.stdout.strip()


def cache_seen_by_a_new_process(**environment: str) -> Path:
    return Path(said_by_a_new_process(SHOW, **environment))


@pytest.mark.skipif("NUMBA_CACHE_DIR" in os.environ, reason="NUMBA_CACHE_DIR is set")
def test_compiled_kernels_lie_outside_the_package():
    """What pip did not install it does not remove: a stale folder hides the next install."""
    folder = Path(pca.project._cache.cache_path)
    assert folder.is_relative_to(kernels.CACHE)
    assert not folder.is_relative_to(Path(kernels.__file__).parent)


def test_the_users_own_cache_folder_is_kept_to(tmp_path):
    assert cache_seen_by_a_new_process(NUMBA_CACHE_DIR=str(tmp_path)).is_relative_to(tmp_path)


def test_other_peoples_kernels_are_cached_where_numba_puts_them():
    assert os.environ.get("NUMBA_CACHE_DIR", "") == numba.config.CACHE_DIR


def test_an_edit_in_any_kernel_file_is_another_cache(tmp_path, monkeypatch):
    """numba looks at the file of a kernel only, not at those of the kernels it calls."""
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "a.py").write_text("one")
    before = kernels._fingerprint()
    (tmp_path / "a.py").write_text("two")
    assert kernels._fingerprint() != before


def test_a_process_that_compiled_finds_the_same_edges_as_the_next(tmp_path):
    """Edges on flat places are ties, which the last bit of a sum decides."""
    compiled, loaded = (
        said_by_a_new_process(WINDOWS, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)
    )
    assert loaded == compiled
