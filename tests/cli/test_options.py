"""Scan shapes and rates as people write them."""

from __future__ import annotations

import click
import pytest

from live_eels.cli.options import Rate, Shape


@pytest.mark.parametrize(
    ("text", "shape"),
    [("64x64", (64, 64)), ("200", (200,)), ("3,4", (3, 4)), ("2x3x4", (2, 3, 4)), ("1", (1,))],
)
def test_shapes(text, shape):
    assert Shape().convert(text, None, None) == shape
    assert Shape().convert(shape, None, None) == shape


@pytest.mark.parametrize("text", ["", "x", "64by64", "0x4", "4x0", "-4", "1x2x3x4", "999999"])
def test_what_is_no_shape(text):
    with pytest.raises(click.BadParameter):
        Shape().convert(text, None, None)


@pytest.mark.parametrize(("text", "rate"), [("max", None), (None, None), ("1e3", 1000.0), (5, 5.0)])
def test_rates(text, rate):
    assert Rate().convert(text, None, None) == rate


@pytest.mark.parametrize("text", ["0", "-1", "fast", "inf", "nan"])
def test_what_is_no_rate(text):
    with pytest.raises(click.BadParameter):
        Rate().convert(text, None, None)
