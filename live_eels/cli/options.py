"""Option types that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click


class Shape(click.ParamType[tuple[int, ...]]):
    """A scan shape: ``64x64``, ``200`` for a line, ``1`` for a single spectrum."""

    name = "YxX"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Read the shape, or fail with an example."""
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"\d{1,5}([x,]\d{1,5}){0,2}", str(value)):
            self.fail(f"{value!r} is not a scan shape; write 64x64, or 200 for a line", param, ctx)
        shape = tuple(int(part) for part in re.split("[x,]", str(value)))
        if min(shape) < 1:
            self.fail("a scan has at least one pixel in each direction", param, ctx)
        return shape


class Rate(click.ParamType[float | None]):
    """Spectra per second, or ``max``."""

    name = "RATE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """Read the rate; None means as fast as it goes."""
        if value is None or value == "max":
            return None
        try:
            rate = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number of spectra per second, nor `max`", param, ctx)
        if not 0 < rate < 1e9:
            self.fail("a rate is above 0", param, ctx)
        return rate


set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change one setting, for example --set preprocess.window_ev=[630,670]. May be repeated.",
)

low_loss_option = click.option(
    "--low-loss",
    type=click.Path(path_type=Path),
    help="The low loss of the same pixels, where it is a file of its own.",
)
