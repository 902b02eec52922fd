"""The map board: nan until something came, versions, snapshots that never change."""

from __future__ import annotations

import numpy as np
import pytest

from live_eels.maps import MapBoard
from live_eels.spectra import (
    ChunkResult,
    EnergyAxis,
    MapSpec,
    NavigationAxis,
    Scan,
    Signal,
)


def scan_of(*shape: int) -> Scan:
    axes = tuple(NavigationAxis(f"a{i}", n) for i, n in enumerate(shape))
    return Scan("s", axes, (Signal("core", EnergyAxis(0, 1, 32)),))


def result(pixels, **maps) -> ChunkResult:
    return ChunkResult(np.array(pixels), {k: np.array(v, np.float32) for k, v in maps.items()})


def test_unseen_pixels_are_nan_and_shapes_are_those_of_the_scan():
    board = MapBoard(scan_of(2, 3), [MapSpec("a")])
    board.update(result([1, 5], a=[7, 8]))
    values = board.snapshot().maps["a"]
    assert values.shape == (2, 3)
    np.testing.assert_array_equal(np.isnan(values).ravel(), [1, 0, 1, 1, 1, 0])
    assert values[0, 1] == 7
    assert values[1, 2] == 8


def test_a_single_spectrum_has_a_map_of_one():
    board = MapBoard(scan_of(), [MapSpec("a")])
    board.update(result([0], a=[3]))
    assert board.snapshot().maps["a"].shape == (1,)


def test_snapshots_do_not_change_and_cannot_be_changed():
    board = MapBoard(scan_of(3), [MapSpec("a")])
    board.update(result([0], a=[1]))
    first = board.snapshot()
    board.update(result([0], a=[2]))
    assert first.maps["a"][0] == 1
    assert board.snapshot().maps["a"][0] == 2
    with pytest.raises(ValueError, match="read-only"):
        first.maps["a"][0] = 5


def test_only_what_changed_is_marked_changed():
    board = MapBoard(scan_of(3), [MapSpec("a"), MapSpec("b")])
    board.snapshot()
    board.update(result([0], a=[1]))
    snapshot = board.snapshot()
    assert snapshot.version == 2
    assert snapshot.changed == {"a": 2, "b": 1}


def test_announcing_adds_and_drops_maps_and_empties_those_with_new_classes():
    board = MapBoard(scan_of(2), [MapSpec("a"), MapSpec("l", "label", classes=("x",))])
    board.update(result([0, 1], a=[1, 2], l=[0, 0]))
    board.announce([MapSpec("l", "label", classes=("x", "y")), MapSpec("c")])
    snapshot = board.snapshot()
    assert set(snapshot.maps) == {"l", "c"}
    assert np.isnan(snapshot.maps["l"]).all()
    board.announce([MapSpec("a")])
    assert np.isnan(board.snapshot().maps["a"]).all()  # it comes back empty


def test_refresh_replaces_every_pixel():
    board = MapBoard(scan_of(2), [MapSpec("a")])
    board.update(result([0], a=[1]))
    board.snapshot()
    board.refresh({"a": np.array([4, 5], np.float32)})
    np.testing.assert_array_equal(board.snapshot().maps["a"], [4, 5])


def test_a_map_nobody_announced_is_refused():
    board = MapBoard(scan_of(2), [MapSpec("a")])
    with pytest.raises(KeyError):
        board.update(result([0], b=[1]))
