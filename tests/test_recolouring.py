"""How many pixels change their colour from one map to the next, and which first."""

from __future__ import annotations

import numpy as np
import pytest

from live_eels.recolouring import Recolouring

PIXELS = 1000
ALL = np.arange(PIXELS)


def put(colours, pixels, wanted, gain=1.0, *, generation=1):
    wanted = np.full(len(pixels), wanted, np.int16)
    gain = np.full(len(pixels), gain, np.float32) if np.isscalar(gain) else np.float32(gain)
    return colours.put(pixels, wanted, gain, generation)


@pytest.fixture
def colours():
    """All pixels are on a map, in cluster 0."""
    colours = Recolouring(PIXELS)
    assert (put(colours, ALL, 0, generation=0) == 0).all()
    assert not len(colours.next_map()[0])
    return colours


def test_the_surest_change_first_and_a_hundredth_with_each_map(colours):
    late = np.random.default_rng(0).permutation(PIXELS)[:35]
    gain = np.arange(35.0, 0.0, -1.0)
    assert (put(colours, late, 7, gain) == 0).all()
    for first, stop, left in ((0, 10, 25), (10, 20, 15), (20, 30, 5), (30, 35, 0)):
        pixels, cluster = colours.next_map()
        assert sorted(late[first:stop]) == pixels.tolist()
        assert (cluster == 7).all()
        assert colours.waiting == left
    assert not len(colours.next_map()[0])


def test_who_waits_is_held_where_it_was_put_and_not_where_it_shows(colours):
    """Else a border that moves there and back would leave other maps than without waiting."""
    put(colours, ALL[:35], 7, generation=3)
    cluster, since = colours.before(ALL[:36])
    assert cluster.tolist() == [7] * 35 + [0]
    assert since.tolist() == [3] * 35 + [0]


def test_how_sure_a_change_was_is_remembered(colours):
    put(colours, ALL[500:520], 7, gain=5.0)
    put(colours, ALL[:20], 7, gain=4.0)
    put(colours, ALL[500:520], 7, gain=0.0)  # followed once more: nothing new
    assert colours.next_map()[0].tolist() == ALL[500:510].tolist()


def test_who_no_longer_wants_to_change_does_not(colours):
    put(colours, ALL[:35], 7)
    put(colours, ALL[:30], 0)
    assert colours.next_map()[0].tolist() == ALL[30:35].tolist()
    assert colours.waiting == 0


def test_whose_cluster_is_no_more_goes_first(colours):
    put(colours, ALL[100:200], 2, gain=1e6)
    put(colours, ALL[500:515], 2, gain=np.inf)
    assert colours.next_map()[0].tolist() == ALL[500:510].tolist()
    assert set(colours.next_map()[0]) > set(ALL[510:515])


def test_a_first_colour_never_waits_and_outliers_have_none():
    colours = Recolouring(PIXELS)
    put(colours, ALL[:500], 0)
    put(colours, ALL[500:600], -1)
    colours.next_map()
    assert (put(colours, ALL[500:900], 3) == 3).all()
    assert put(colours, ALL[400:950], 4).tolist() == [0] * 100 + [3] * 400 + [4] * 50
    assert (put(colours, ALL[:500], -1) == 0).all()
    put(colours, ALL[500:900], 3)
    assert len(colours.next_map()[0]) == 5  # of 500, not of 1000


def test_nothing_waits_in_the_first_fifth_of_a_scan():
    colours = Recolouring(PIXELS)
    put(colours, ALL[:199], 0)
    colours.next_map()
    assert (put(colours, ALL[:199], 1) == 1).all()
    put(colours, ALL[199:200], 0)
    colours.next_map()
    assert (put(colours, ALL[:199], 2) == 1).all()


@pytest.mark.parametrize(("last", "waits"), [(1999, True), (1998, False)])
def test_a_fifth_of_a_sparse_scan_is_one_of_its_area(last, waits):
    colours = Recolouring(10_000)
    put(colours, np.append(np.arange(0, 1200, 3), last), 0)
    colours.next_map()
    assert (put(colours, ALL[:1], 1) == 0).all() == waits


def test_of_few_pixels_anywhere_none_waits():
    colours = Recolouring(10_000)
    put(colours, np.arange(0, 9975, 25), 0)
    colours.next_map()
    assert (put(colours, ALL[:1], 1) == 1).all()
    put(colours, np.array([9999]), 0)
    colours.next_map()
    assert (put(colours, ALL[:1], 0) == 1).all()


@pytest.mark.parametrize("nothing", [-1, -2])
def test_what_has_no_colour_has_come_too(nothing):
    """Else maps with many outliers, or with much vacuum, would jump long after the first fifth."""
    colours = Recolouring(PIXELS)
    put(colours, ALL[:150], 0)
    put(colours, ALL[150:300], nothing)
    colours.next_map()
    assert (put(colours, ALL[:150], 1) == 0).all()
    assert len(colours.next_map()[0]) == 1


def test_nothing_waits_where_nobody_asks_for_maps():
    colours = Recolouring(PIXELS)
    for cluster in (0, 1):
        assert (put(colours, ALL, cluster) == cluster).all()


def test_in_a_tiny_scan_one_pixel_changes_with_each_map():
    colours = Recolouring(9)
    put(colours, ALL[:9], 0)
    colours.next_map()
    put(colours, ALL[:3], 1)
    assert [len(colours.next_map()[0]) for _ in range(4)] == [1, 1, 1, 0]


def test_put_anew_pixels_show_on_what_they_did_and_are_held_by_nothing(colours):
    late = np.random.default_rng(0).permutation(PIXELS)[:25]
    put(colours, late, 2)
    colours.put_anew()
    assert (colours.before(ALL)[0] < 0).all()
    assert not len(colours.next_map()[0])  # none goes where it was to go before
    assert (put(colours, late, 7, np.arange(25.0, 0.0, -1.0)) == 0).all()
    assert (colours.shown(ALL) == 0).all()
    np.testing.assert_array_equal(np.flatnonzero(colours.exact == 7), np.sort(late))
    assert (colours.exact == 0).sum() == PIXELS - 25  # also those that were not put again
    for first, stop in ((0, 10), (10, 20), (20, 25)):
        assert colours.next_map()[0].tolist() == sorted(late[first:stop])


def test_all_change_where_that_is_asked_for(colours):
    put(colours, ALL, 1)
    assert len(colours.next_map(at_most=1.0)[0]) == PIXELS
    put(colours, ALL, 2)
    colours.forget()
    assert not len(colours.next_map()[0])
    assert (put(colours, ALL, 3) == 3).all()
