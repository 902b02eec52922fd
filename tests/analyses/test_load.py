"""How analyses are found, made, guarded."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint

import msgspec
import numpy as np
import pytest

from live_eels import analyses
from live_eels.preprocess import Preprocessor
from live_eels.spectra import Chunk, EnergyAxis, MapSpec, NavigationAxis, Prepared, Scan, Signal

AXIS = EnergyAxis(560.0, 0.4, 512)
SCAN = Scan("s", (NavigationAxis("x", 12),), (Signal("core", AXIS),))


def chunk():
    counts = np.random.default_rng(0).poisson(200, (12, 512)).astype(np.uint16)
    return Chunk(SCAN, np.arange(12), counts)


class EdgeJump:
    """A lab's plug-in: how much higher the counts are after an energy than before."""

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """``at_ev``: the edge; ``width_ev``: how far to look on each side."""

        at_ev: float
        width_ev: float = 20.0

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.specs = (MapSpec("jump", "signed", "", "counts after the edge over those before"),)

    def start(self, scan, axis, window, low_axis) -> None:
        """Place the windows: ``axis.window`` says so if they are not on the axis."""
        at, width = self.settings.at_ev, self.settings.width_ev
        self._before = axis.window(at - width, at)
        self._after = axis.window(at, at + width)

    def update(self, prepared: Prepared) -> Mapping[str, np.ndarray]:
        """One value for each pixel of the chunk."""
        before = prepared.counts[:, self._before].mean(axis=1)
        after = prepared.counts[:, self._after].mean(axis=1)
        return {"jump": after / np.maximum(before, 1.0) - 1.0}


class Faulty(EdgeJump):
    """Raises, or gives what it did not promise."""

    class Settings(msgspec.Struct, frozen=True):
        """``how`` it fails."""

        how: str = "update"

    def __init__(self, settings: Settings) -> None:
        self.how = settings.how
        self.specs = (MapSpec("faulty"),)

    def start(self, scan, axis, window, low_axis) -> None:
        if self.how == "start":
            raise ZeroDivisionError("nothing to divide by")

    def update(self, prepared):
        if self.how == "shape":
            return {"faulty": np.zeros(3)}
        if self.how == "name":
            return {"other": np.zeros(len(prepared.pixels))}
        raise KeyError("lost")


@pytest.fixture
def installed(monkeypatch):
    """As if a lab's package with these two entry points were installed."""
    module = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "lab_plugin", module)
    extra = [
        EntryPoint("edge_jump", "lab_plugin:EdgeJump", analyses.GROUP),
        EntryPoint("faulty", "lab_plugin:Faulty", analyses.GROUP),
    ]
    real = analyses.entry_points
    monkeypatch.setattr(analyses, "entry_points", lambda group: [*real(group=group), *extra])


def started(*configs):
    preprocessor = Preprocessor(SCAN)
    guarded = analyses.Guarded(analyses.load(configs))
    guarded.start(SCAN, preprocessor.axis, preprocessor.window, preprocessor.low_axis)
    return guarded, preprocessor.process(chunk())


def test_all_that_ship_are_found():
    assert {
        "element", "fourier_log", "fourier_ratio", "mixing", "quantify", "thickness", "white_lines",
    } <= set(analyses.kinds())  # fmt: skip


def test_a_lab_s_own_analysis_gives_its_map(installed):
    guarded, prepared = started({"kind": "edge_jump", "at_ev": 640.0})
    assert isinstance(analyses.load([{"kind": "edge_jump", "at_ev": 1.0}])[0], analyses.Analysis)
    maps = guarded.update(prepared)
    assert maps["jump"].shape == (12,)
    assert maps["jump"].dtype == np.float32
    assert np.abs(maps["jump"]).max() < 0.1
    assert guarded.errors == []


@pytest.mark.parametrize(
    ("how", "words"),
    [("start", "nothing to divide by"), ("update", "lost"), ("shape", "(3,)"), ("name", "other")],
)
def test_one_that_fails_is_switched_off_and_the_others_go_on(installed, how, words):
    guarded, prepared = started(
        {"kind": "faulty", "how": how}, {"kind": "edge_jump", "at_ev": 640.0}
    )
    for _ in range(2):
        maps = guarded.update(prepared)
        assert set(maps) == {"jump"}
    assert len(guarded.errors) == 1
    assert "Faulty" in guarded.errors[0]
    assert words in guarded.errors[0]
    assert [spec.name for spec in guarded.specs] == ["jump"]


def test_a_window_off_the_axis_names_both_ranges():
    guarded, prepared = started(
        {"kind": "element", "edge": "O K"}, {"kind": "element", "edge": "Mn L"}
    )
    assert {spec.name for spec in guarded.specs} == {"Mn L", "Mn L error", "Mn L SNR"}
    assert "(O K)" in guarded.errors[0]  # which of the two element maps
    assert "560" in guarded.errors[0]
    assert "764.4" in guarded.errors[0]
    assert set(guarded.update(prepared)) == {"Mn L", "Mn L error", "Mn L SNR"}


def test_two_of_the_same_name_are_refused():
    guarded, _ = started({"kind": "element", "edge": "Mn L"}, {"kind": "element", "edge": "Mn L"})
    assert len(guarded.errors) == 1


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"kind": "elements"}, "installed: "),
        ({"edge": "Mn L"}, "None"),
        ({"kind": "element"}, "edge"),
        ({"kind": "element", "edge": "Mn L", "colour": "red"}, "colour"),
        ({"kind": "element", "edge": "Mn Q"}, "Mn Q"),
        ({"kind": "element", "edge": "Mn K"}, "6539"),
        ({"kind": "mixing", "references": []}, "references"),
        ({"kind": "mixing", "references": ["a"], "library": "/nowhere.csv"}, "nowhere"),
        ({"kind": "quantify", "edges": ["Mn L", "Mn L3"]}, "one edge"),
    ],
)
def test_wrong_settings_are_said(config, words):
    if words == "6539":  # K of Mn is beyond the table: its edges are listed
        words = "Mn L3"
    with pytest.raises(analyses.AnalysisError, match=words):
        analyses.load([config])
