"""What a user may set of the decomposition, and how it goes through the pixels by that."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FIRST_BLOCK_PIXELS = 16
"""The first basis is there after so many pixels. Blocks then are a 64th of the pixels so far, up
to full size: what is new is noticed, by whoever learns on, before it is a large share of them."""


class DecomposeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the decomposition.

    Attributes
    ----------
    components
        Number of components shown and clustered; None lets the noise floor choose.
    width
        Columns of loadings that are kept: the components and some spare ones, so that
        earlier pixels can follow when the basis turns.
    weighting
        ``poisson`` (Keenan & Kotula), or ``none`` for equal weights.
    block_pixels
        Pixels that are learned with one matrix product.
    full_pixels
        All pixels are learned up to here ...
    later_share
        ... and later ones along the basis all, beside it a share, chosen at random, with the
        weight of all: at first a half, then fewer, in the end this share.
    growth
        The basis is refreshed each time the pixels have grown by this factor less one ...
    update_pixels
        ... and at the latest after so many.
    """

    components: Annotated[int, Meta(ge=1, le=64)] | None = None
    width: Annotated[int, Meta(ge=2, le=128)] = 16
    weighting: Literal["poisson", "none"] = "poisson"
    block_pixels: Annotated[int, Meta(ge=16, le=4096)] = 1024
    full_pixels: Annotated[int, Meta(ge=0)] = 16384
    later_share: Annotated[float, Meta(gt=0, le=1)] = 0.125
    growth: Annotated[float, Meta(gt=0, le=4)] = 0.25
    update_pixels: Annotated[int, Meta(ge=256)] = 32768


def block_pixels(learnt: int, settings: DecomposeSettings) -> int:
    """Pixels of the block that comes after so many were learnt."""
    return min(max(learnt // 64, FIRST_BLOCK_PIXELS), settings.block_pixels)


def sample_share(learnt: int, settings: DecomposeSettings) -> float:
    """Share of later pixels that the matrix takes, after so many were learnt.

    It falls no faster than the sample may without telling less than before: with weight ``w``,
    ``n² / Σw²`` stays as it is while ``w`` is twice ``n / full_pixels``.
    """
    return max(settings.later_share, settings.full_pixels / (2 * learnt))
