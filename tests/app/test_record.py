"""Names of recordings: never one that is there, whatever the title."""

from __future__ import annotations

import pytest

from live_eels.app.record import unused_path


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("LSMO 0421", "LSMO_0421"),
        ("../../etc/passwd", "etc_passwd"),
        ("..", "scan"),
        ("", "scan"),
        ("a:b*c?", "a_b_c"),
        ("µ-map.v2", "µ-map.v2"),
        ("x" * 300, "x" * 120),
    ],
)
def test_whatever_is_odd_in_a_title_does_not_reach_the_disk(tmp_path, name, stem):
    assert unused_path(tmp_path, name) == tmp_path / f"{stem}.hspy"


def test_a_file_that_is_there_is_left_alone(tmp_path):
    for expected in ("a.hspy", "a_2.hspy", "a_3.hspy"):
        path = unused_path(tmp_path, "a")
        assert path.name == expected
        path.touch()
