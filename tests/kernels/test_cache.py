"""Where compiled kernels are kept: ``live_eels/kernels/__init__.py``."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from live_eels import kernels
from live_eels.kernels import pca

SHOW = "from live_eels.kernels import pca; print(pca.project._cache.cache_path)"


def cache_seen_by_a_new_process(**environment: str) -> Path:
    result = subprocess.run(
        [sys.executable, "-c", SHOW],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return Path(result.stdout.strip())


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
