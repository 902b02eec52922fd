"""Regions on a map: against the definition, point by point."""

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from live_eels.io import viewer_regions as regions

# Further out, points are held within a few scan sizes.
number = st.floats(-4, 25, allow_nan=False, width=32)
point = st.tuples(number, number)


@given(point, point, st.integers(1, 9), st.integers(1, 9))
def test_rectangle(a, b, ny, nx):
    found = regions.pixels(regions.Rectangle(corners=(a, b)), (ny, nx))
    y, x = np.divmod(found, nx)
    clip = lambda v, n: round(min(max(v, 0.0), n - 1.0))  # noqa: E731
    ys = sorted((clip(a[0], ny), clip(b[0], ny)))
    xs = sorted((clip(a[1], nx), clip(b[1], nx)))
    expected = [(i, j) for i in range(ys[0], ys[1] + 1) for j in range(xs[0], xs[1] + 1)]
    assert list(zip(y.tolist(), x.tolist(), strict=True)) == expected


def test_polygon_holds_what_lies_inside():
    square = [(0.5, 0.5), (0.5, 3.5), (2.5, 3.5), (2.5, 0.5)]
    found = regions.pixels(regions.Polygon(points=square), (5, 6))
    assert found.tolist() == [1 * 6 + 1, 1 * 6 + 2, 1 * 6 + 3, 2 * 6 + 1, 2 * 6 + 2, 2 * 6 + 3]


@given(st.lists(point, min_size=3, max_size=8))
def test_polygon_against_each_pixel(points):
    found = set(regions.pixels(regions.Polygon(points=points), (6, 7)).tolist())
    for y in range(6):
        for x in range(7):
            inside = False
            for (y0, x0), (y1, x1) in zip(points, points[1:] + points[:1], strict=True):
                if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                    inside = not inside
            assert (y * 7 + x in found) == inside


def test_line_runs_along_itself():
    line = regions.Line(ends=((3, 5), (3, 1)), width=1)
    assert regions.pixels(line, (6, 8)).tolist() == [3 * 8 + x for x in (5, 4, 3, 2, 1)]
    wide = regions.pixels(regions.Line(ends=((3, 5), (3, 1)), width=3), (6, 8))
    assert set(wide // 8) == {2, 3, 4}
    assert regions.pixels(regions.Line(ends=((2, 2), (2, 2))), (4, 4)).tolist() == [10]


@pytest.mark.parametrize("shape", [(), (1,), (5,), (4, 5), (2, 4, 5)])
def test_everything(shape):
    found = regions.pixels(regions.Everything(), shape)
    assert found.dtype == np.int64
    assert len(found) == np.prod((1, 1, *shape)[-2:])


@given(st.lists(st.tuples(st.floats(), st.floats()), min_size=3, max_size=5))
@example([(0.0, 0.0), (0.0, 0.0), (2.2250738585072014e-308, 1.0)])
def test_no_number_breaks_it(points):
    for region in (
        regions.Polygon(points=points),
        regions.Rectangle(corners=(points[0], points[1])),
        regions.Line(ends=(points[0], points[1]), width=2),
    ):
        found = regions.pixels(region, (5, 6))
        assert ((found >= 0) & (found < 30)).all()


@pytest.mark.parametrize(
    "text",
    [
        '{"shape": "polygon", "points": [[0,0],[1,1]]}',
        '{"shape": "line", "ends": [[0,0],[1,1]], "width": 1000}',
        '{"shape": "rectangle", "corners": [[0,0]]}',
        '{"shape": "rectangle", "corners": [[0,0],[1,"x"]]}',
    ],
)
def test_liars_are_refused(text):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=regions.AnyRegion)
