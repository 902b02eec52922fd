"""The plug-in that the README shows, installed as a package of its own."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from live_eels import analyses
from live_eels.config import parse
from live_eels.preprocess import Preprocessor
from live_eels.spectra import Chunk, EnergyAxis, NavigationAxis, Scan, Signal

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def block(language, holding):
    parts = README.split(f"```{language}\n")[1:]
    return next(c for c in (part.split("```")[0] for part in parts) if holding in c)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """As pip leaves it: the module, and its entry point in a metadata folder."""
    entry = block("toml", "live_eels.analyses").split("]\n")[1].replace('"', "")
    module = entry.split("=")[1].split(":")[0].strip()
    (tmp_path / f"{module}.py").write_text(block("python", "class Whiteness:"))
    metadata = tmp_path / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{analyses.GROUP}]\n{entry}")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield
    sys.modules.pop(module, None)


def run(text):
    axis = EnergyAxis(560.0, 0.4, 512)
    scan = Scan("s", (NavigationAxis("x", 20),), (Signal("core", axis),))
    line = 400 * np.exp(-0.5 * ((axis.energies_ev - 642) / 2) ** 2)
    counts = np.random.default_rng(0).poisson(200 + line, (20, 512)).astype(np.uint16)
    preprocessor = Preprocessor(scan)
    guarded = analyses.Guarded(analyses.load(parse(text).analysis))
    guarded.start(scan, preprocessor.axis, preprocessor.window, preprocessor.low_axis)
    return guarded, guarded.update(preprocessor.process(Chunk(scan, np.arange(20), counts)))


def test_it_is_found_and_gives_its_map(lab):
    assert len(block("python", "class Whiteness:").splitlines()) <= 30
    guarded, maps = run('[[analysis]]\nkind = "whiteness"\nsignal_ev = [638.0, 646.0]\n')
    assert guarded.errors == []
    assert (maps["whiteness"] > 3).all()  # a line of 400 in a window of mostly nothing


def test_its_settings_are_checked_as_those_of_the_others(lab):
    with pytest.raises(analyses.AnalysisError, match="colour"):
        run('[[analysis]]\nkind = "whiteness"\ncolour = "white"\n')
    guarded, maps = run('[[analysis]]\nkind = "whiteness"\nsignal_ev = [100.0, 110.0]\n')
    assert maps == {}
    assert "100 to 110 eV" in guarded.errors[0]
    assert "560 to 764" in guarded.errors[0]
