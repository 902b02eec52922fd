"""Settings of the clustering."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from live_eels.comparable import Normalise


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the clustering.

    Attributes
    ----------
    clusters
        Number of clusters; None lets it follow what the scan has seen.
    max_clusters
        At most so many when the number is chosen live.
    normalise
        What a spectrum is divided by before it is compared: its ``area``, ``max`` or ``l2``
        norm; ``derivative`` compares slopes (after area); ``scores`` compares loadings as
        they are, thickness included.
    min_pixels
        A cluster is found when so many pixels (of the reservoir) belong to it.
    separation
        Two clusters are told apart when their centres are this many times their spread
        away from each other.
    length
        A cluster that is longer than so many times its counting noise is not one composition
        but a gradient, and is cut in slices.
    outlier_sigma
        A pixel further from its centre than so many standard deviations (counting noise and
        spread of the cluster together) is an outlier; 0 switches outliers off.
    reservoir_pixels
        Pixels that are kept for refits.
    growth
        Refit when the pixels have grown by this factor less one; four times as often until
        the reservoir is full.
    neighbour_coupling
        How strongly neighbours must agree in the k-means map of a refinement (live maps take
        each pixel by itself): logarithm of the odds that a pixel is like one neighbour
        rather than not; 0 is off.
    """

    clusters: Annotated[int, Meta(ge=1, le=64)] | None = None
    max_clusters: Annotated[int, Meta(ge=1, le=64)] = 12
    normalise: Normalise = "area"
    min_pixels: Annotated[int, Meta(ge=2)] = 12
    separation: Annotated[float, Meta(gt=0)] = 4.0
    length: Annotated[float, Meta(gt=1)] = 10.0
    outlier_sigma: Annotated[float, Meta(ge=0)] = 6.0
    reservoir_pixels: Annotated[int, Meta(ge=256)] = 4096
    growth: Annotated[float, Meta(gt=0, le=4)] = 0.5
    neighbour_coupling: Annotated[float, Meta(ge=0)] = 0.0
