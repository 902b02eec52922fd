"""The record of how a scan went."""

from live_eels.control import Status
from live_eels.io.viewer_trend import MAX_POINTS, Trend


def status(visits, **changes):
    fractions = changes.pop("fractions", {"Mn3+": 0.5})
    return Status(
        state="scanning", version="t", scan_id=changes.pop("scan_id", "a"), visits=visits,
        pixels_total=100, passes=changes.pop("passes", 3), label_fractions=fractions,
    )  # fmt: skip


def test_stays_bounded_and_keeps_both_ends():
    trend = Trend()
    for i in range(20 * MAX_POINTS):
        trend.add(status(i))
    assert MAX_POINTS // 3 < len(trend.points) <= MAX_POINTS
    assert trend.points[0]["visits"] == 0
    assert trend.points[-1]["visits"] > 19 * MAX_POINTS


def test_passes_keep_their_last_shares():
    trend = Trend()
    for visits, share in ((50, 0.9), (100, 0.8), (150, 0.7), (200, 0.6), (300, 0.4)):
        trend.add(status(visits, fractions={"Mn4+": share}))
    assert [(p["pass"], p["fractions"]["Mn4+"]) for p in trend.passes] == [
        (1, 0.8), (2, 0.6), (3, 0.4),
    ]  # fmt: skip


def test_another_scan_starts_anew_and_no_scan_is_nothing():
    trend = Trend()
    trend.add(status(0, scan_id=""))
    assert trend.points == []
    trend.add(status(10))
    version = trend.version
    trend.add(status(10))
    assert trend.version == version
    trend.add(status(5, scan_id="b"))
    assert [p["visits"] for p in trend.points] == [5]
