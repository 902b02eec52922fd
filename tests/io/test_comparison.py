"""Segmentations beside one another: one colour for what is the same."""

from pathlib import Path

import numpy as np
from PIL import Image

from live_eels.io.comparison import matched, save_comparison
from live_eels.spectra import Curve, EnergyAxis, MapSnapshot, MapSpec, NavigationAxis, Scan, Signal

AXIS = EnergyAxis(600, 1.0, 40)


def snapshot(**maps: np.ndarray) -> MapSnapshot:
    shape = next(iter(maps.values())).shape
    navigation = tuple(NavigationAxis(n, s) for n, s in zip("yx", shape, strict=True))
    specs = {n: MapSpec(n, "label", classes=tuple("abcdef"[: int(v.max()) + 1]))
             for n, v in maps.items()}  # fmt: skip
    means = {
        f"{name} means": Curve(AXIS, np.float32(np.arange(1 + values.max())[:, None] + np.ones(40)),
                               specs[name].classes, error=np.full((int(values.max()) + 1, 40), 0.1,
                                                                  np.float32))
        for name, values in maps.items()
    }  # fmt: skip
    scan = Scan("s", navigation, (Signal("core", AXIS),), title="two")
    return MapSnapshot(scan, 1, specs, {n: v.astype(np.float32) for n, v in maps.items()},
                       curves=means)  # fmt: skip


def halves(left: float, right: float) -> np.ndarray:
    out = np.full((20, 30), left, np.float32)
    out[:, 15:] = right
    return out


def test_what_is_the_same_has_one_number() -> None:
    swapped = halves(1, 0)
    assert matched({"a": halves(0, 1), "b": swapped}) == {"a": [0, 1], "b": [1, 0]}


def test_what_is_left_over_has_a_number_of_its_own() -> None:
    three = halves(0, 1)
    three[:4, 15:] = 2
    found = matched({"a": halves(0, 1), "b": three, "c": three[:, ::-1] * 1.0})
    assert found["b"] == [0, 1, 2]
    assert found["c"][2] == 3  # it shares nothing with the third of b


def test_outliers_and_what_nobody_saw_count_for_nothing() -> None:
    holes = halves(1, 0)
    holes[:8] = -1
    holes[8:11] = np.nan
    assert matched({"a": halves(0, 1), "b": holes})["b"] == [1, 0]


def test_the_picture_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "comparison.png"
    maps = snapshot(one=halves(0, 1), other=halves(1, 0))
    points = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    embedding = points, np.zeros(50, np.int16)
    assert save_comparison(maps, {("one", "other"): 1.0}, file, embedding) == file
    page = np.asarray(Image.open(file))
    row = page[84 + 26 + 60]  # through both maps
    left, right = row[24 + 40], row[24 + 280]
    np.testing.assert_array_equal(row[24 + 354 + 40], left)
    np.testing.assert_array_equal(row[24 + 354 + 280], right)
    assert (left != right).any()


def test_one_alone_is_not_compared(tmp_path: Path) -> None:
    assert save_comparison(snapshot(one=halves(0, 1)), {}, tmp_path / "x.png") is None
    assert not list(tmp_path.iterdir())
