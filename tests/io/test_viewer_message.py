"""Messages to the page: layout, and what counts as changed."""

import json

import numpy as np
import pytest

from live_eels.io.viewer_message import Differences, changed_rows, encode


@pytest.mark.parametrize("header", [{}, {"a": "x"}, {"a": "xy"}, {"ü": [1, 2.5, None]}])
@pytest.mark.parametrize("sizes", [(), (0,), (1,), (3, 5), (2, 0, 7)])
def test_arrays_start_on_eight_bytes_and_come_back(header, sizes):
    arrays = [np.arange(n, dtype=t) for n in sizes for t in ("f4", "f8", "i4")]
    data = encode(header, arrays)
    length = int.from_bytes(data[:4], "little")
    read = json.loads(data[4 : 4 + length])
    assert {k: read[k] for k in header} == header
    for entry, array in zip(read["arrays"], arrays, strict=True):
        start = 4 + length + entry["offset"]
        assert start % 8 == 0
        back = np.frombuffer(data, "<" + entry["dtype"], array.size, start)
        np.testing.assert_array_equal(back, array)


def test_not_a_number_is_null_and_big_endian_is_turned():
    data = encode({"x": float("nan")}, [np.array([1.5, 2.5], dtype=">f4")])
    length = int.from_bytes(data[:4], "little")
    assert json.loads(data[4 : 4 + length])["x"] is None
    assert np.frombuffer(data, "<f4", 2, 4 + length).tolist() == [1.5, 2.5]


def test_what_the_page_cannot_read_is_refused():
    with pytest.raises(KeyError):
        encode({}, [np.zeros(3, dtype="c16")])


@pytest.mark.parametrize("columns", [3, 4])
def test_changed_rows(columns):
    old = np.full((8, columns), np.nan, dtype=np.float32)
    new = old.copy()
    assert changed_rows(old, new).tolist() == []
    new[2, 1] = 0
    new[5, 0] = -1
    assert changed_rows(old, new).tolist() == [2, 5]
    new[0:5] = 1
    assert changed_rows(old, new) is None
    assert changed_rows(None, new) is None
    assert changed_rows(old[:3], new) is None
    assert changed_rows(old[0], new[0]) is None


def test_differences_are_found_once_and_forgotten_in_time():
    maps = [np.full((9, 4), i, dtype=np.float32) for i in range(6)]
    maps[1] = maps[0].copy()
    maps[1][3] = 7
    differences = Differences(room=3 * maps[0].nbytes)
    first = differences.rows(maps[0], maps[1])
    assert first.tolist() == [3]
    assert differences.rows(maps[0], maps[1]) is first
    assert differences.rows(None, maps[1]) is None
    for other in maps[2:]:
        assert differences.rows(maps[0], other) is None
    again = differences.rows(maps[0], maps[1])
    assert again is not first
    assert again.tolist() == [3]
