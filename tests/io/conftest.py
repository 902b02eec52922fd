"""What tests of files share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from live_eels.io.recorder import Recorder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a recording to be made."""
    return tmp_path / "scan.hspy"


@pytest.fixture
def no_recorder_left_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a failing test leaves open."""
    made: list[Recorder] = []
    start = Recorder.__init__

    def note(self: Recorder, *args: object, **how: object) -> None:
        start(self, *args, **how)
        made.append(self)

    monkeypatch.setattr(Recorder, "__init__", note)
    yield
    for rec in made:
        rec.close()


@pytest.fixture
def small_files() -> Iterator[None]:
    """The operating system refuses files above 1 MB: a disk that is full, for real."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def hs() -> object:
    """HyperSpy, which warns while it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("hyperspy.api")
