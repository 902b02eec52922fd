"""The map board: nan until something came, versions, snapshots that never change."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from live_eels.maps import BLOCK, MapBoard
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


@pytest.mark.parametrize("order", ["rising", "any"])
def test_every_snapshot_of_a_large_map_is_that_of_its_moment(order):
    """Against whole copies, over borders of blocks, whatever comes in between."""
    rng, pixels = np.random.default_rng(0), 2 * BLOCK + 77
    board, plain = MapBoard(scan_of(pixels), [MapSpec("a")]), np.full(pixels, np.nan, np.float32)
    taken = []
    for step in range(40):
        if order == "rising":
            first = int(rng.integers(pixels))
            chosen = np.arange(first, min(first + int(rng.integers(1, 20_000)), pixels))
        else:
            chosen = rng.choice(pixels, 300, replace=False)
        plain[chosen] = rng.random(len(chosen))
        board.update(ChunkResult(chosen, {"a": plain[chosen]}))
        if step % 3 == 0:
            taken.append((board.snapshot(), plain.copy()))
    for snapshot, then in taken:
        np.testing.assert_array_equal(snapshot.maps["a"], then)


def test_a_snapshot_copies_nothing_until_somebody_looks():
    board = MapBoard(scan_of(64 * BLOCK), [MapSpec("a"), MapSpec("b")])
    board.update(result(range(3 * BLOCK), a=np.arange(3 * BLOCK), b=np.arange(3 * BLOCK)))
    tracemalloc.start()
    try:
        before = board.snapshot()
        board.update(result([5], a=[1], b=[1]))
        after = board.snapshot()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 12 * BLOCK  # one block of each map, four bytes a pixel; not 64 blocks
    assert (before.maps["a"][5], after.maps["a"][5]) == (5, 1)
    assert np.isnan(after.maps["a"][3 * BLOCK :]).all()


def test_all_who_look_at_a_map_share_it_and_see_the_same_until_it_changes():
    board = MapBoard(scan_of(3), [MapSpec("a"), MapSpec("b")])
    first = board.snapshot()
    looked_at = first.maps["a"]
    board.update(result([0], b=[1]))
    assert first.maps["a"] is looked_at
    assert board.snapshot().maps["a"] is looked_at
    board.update(result([0], a=[1]))
    assert board.snapshot().maps["a"] is not looked_at


def test_only_what_changed_is_marked_changed():
    board = MapBoard(scan_of(3), [MapSpec("a"), MapSpec("b")])
    board.snapshot()
    board.update(result([0], a=[1]))
    snapshot = board.snapshot()
    assert snapshot.version == 2
    assert snapshot.changed == {"a": 2, "b": 1}


def test_announcing_adds_and_drops_maps_and_empties_those_with_other_classes():
    board = MapBoard(scan_of(2), [MapSpec("a"), MapSpec("l", "label", classes=("x",))])
    board.update(result([0, 1], a=[1, 2], l=[0, 0]))
    board.announce([MapSpec("l", "label", classes=("y", "x")), MapSpec("c")])
    snapshot = board.snapshot()
    assert set(snapshot.maps) == {"l", "c"}
    assert np.isnan(snapshot.maps["l"]).all()
    board.announce([MapSpec("a")])
    assert np.isnan(board.snapshot().maps["a"]).all()  # it comes back empty


def test_a_map_to_which_classes_are_added_stays_and_starts_empty_when_some_go():
    """Else the map of clusters would go out whenever one more is found."""
    board = MapBoard(scan_of(2), [MapSpec("l", "label", classes=("x", "y"))])
    board.update(result([0, 1], l=[0, 1]))
    board.announce([MapSpec("l", "label", classes=("x", "y", "z"))])
    assert board.snapshot().maps["l"].tolist() == [0, 1]
    assert board.snapshot().specs["l"].classes == ("x", "y", "z")
    board.announce([MapSpec("l", "label", classes=("x",))])
    assert np.isnan(board.snapshot().maps["l"]).all()


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
