"""What a user may set of the decomposition."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


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
