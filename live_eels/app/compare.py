"""How live maps agree with the simulator's truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from live_eels.spectra import MapSnapshot, MapSpec

PURE = 0.95
"""A pixel is pure where one class has this share of the atoms."""

LEAST_ARI, LEAST_LABELS = 0.90, 0.95


@dataclass(frozen=True, slots=True)
class Agreement:
    """Adjusted Rand index of clusters and phases, and share of right labels on pure pixels."""

    ari: float
    labels: float
    pure_pixels: int
    pixels: int
    missing: int

    @property
    def good(self) -> bool:
        """As good as the demo promises, where there is anything to label."""
        labelled = self.pure_pixels == 0 or self.labels >= LEAST_LABELS
        return self.ari >= LEAST_ARI and labelled and self.missing == 0

    @property
    def text(self) -> str:
        """For a person."""
        return (
            f"clusters against phases: ARI {self.ari:.3f}; labels right on "
            f"{self.labels:.1%} of {self.pure_pixels} pure pixels; "
            f"{self.pixels - self.missing} of {self.pixels} pixels analysed"
        )


def compare(
    snapshot: MapSnapshot,
    truth: Mapping[str, NDArray[np.float32]],
    specs: Mapping[str, MapSpec],
) -> Agreement:
    """Compare the maps of a simulated scan with its truth maps.

    A rejected pixel counts as wrong unless the truth is ``none``; outliers of the clustering
    count as a cluster of their own.
    """
    cluster = np.nan_to_num(snapshot.maps["cluster"], nan=-9).ravel().astype(int)
    seen = np.isfinite(snapshot.maps["counts"]).ravel()
    phase = np.nan_to_num(truth["phase"], nan=-9).ravel().astype(int)
    ari = float(adjusted_rand_score(phase[seen], cluster[seen]))
    labels, pure_pixels = 0.0, 0
    if "label" in snapshot.maps:
        wanted = _names(truth["label"], specs["label"].classes)
        given = _names(snapshot.maps["label"], snapshot.specs["label"].classes)
        fractions = [v for k, v in truth.items() if k.startswith("fraction_")]
        pure = (np.max(fractions, axis=0) >= PURE).ravel() & seen
        right = (wanted == given) | ((wanted == "none") & (given == "rejected"))
        pure_pixels = int(pure.sum())
        labels = float(right[pure].mean()) if pure_pixels else 0.0
    return Agreement(ari, labels, pure_pixels, seen.size, int((~seen).sum()))


def _names(labels: NDArray[np.float32], classes: tuple[str, ...]) -> NDArray[np.str_]:
    index = np.nan_to_num(labels, nan=-1).ravel().astype(int)
    names: NDArray[np.str_] = np.array([*classes, "rejected"])
    return np.asarray(names[index])
