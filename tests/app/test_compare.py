"""Agreement with the truth: what counts as right, and when the demo may say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from live_eels.app.compare import Agreement, compare
from live_eels.spectra import EnergyAxis, MapSnapshot, MapSpec, NavigationAxis, Scan, Signal

SCAN = Scan("s", (NavigationAxis("x", 6),), (Signal("core", EnergyAxis(0, 1, 8)),))


def f4(*values):
    return np.array(values, np.float32)


def test_labels_are_compared_by_name_on_pure_pixels_alone():
    truth = {
        "phase": f4(0, 0, 1, 1, 2, 2),
        "label": f4(0, 0, 1, 1, 2, 2),
        "fraction_Mn2+": f4(1, 0.96, 0, 0.5, 0, 0),
        "fraction_none": f4(0, 0, 1, 0.5, 1, 1),
    }
    specs = {"label": MapSpec("label", "label", classes=("Mn2+", "Fe2+", "none"))}
    found = {
        "cluster": f4(5, 5, 3, 3, 0, 0),
        "label": f4(1, 1, 1, 0, -1, 2),  # right, right, wrong, (mixed), rejected none, none
        "counts": f4(1, 1, 1, 1, 1, 1),
    }
    given = {"label": MapSpec("label", "label", classes=("Fe2+", "Mn2+", "none"))}
    agreement = compare(MapSnapshot(SCAN, 1, given, found), truth, specs)
    assert agreement.ari == 1.0
    assert (agreement.pure_pixels, agreement.pixels, agreement.missing) == (5, 6, 0)
    assert agreement.labels == pytest.approx(4 / 5)
    assert "80.0% of 5 pure" in agreement.text
    found["counts"] = f4(1, 1, 1, 1, np.nan, 1)
    found["cluster"] = f4(0, 0, 0, 0, 0, 0)
    agreement = compare(MapSnapshot(SCAN, 1, given, found), truth, specs)
    assert agreement.missing == 1
    assert agreement.ari == 0.0


def test_good_is_what_the_demo_promises():
    good = Agreement(ari=0.90, labels=0.95, pure_pixels=10, pixels=100, missing=0)
    assert good.good
    assert not replace(good, ari=0.89).good
    assert not replace(good, labels=0.94).good
    assert replace(good, labels=0.0, pure_pixels=0).good
    assert not replace(good, missing=1).good
