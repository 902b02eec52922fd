"""What the maps and curves of a scan mean: names, units, classes.

Lives here: what is said about results, for all who show them. Computes none but the mean
spectra of clusters.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from live_eels.following import EveryPixel
from live_eels.labelling import Labeller
from live_eels.spectra import QUALITY_FLAGS, Curve, EnergyAxis, MapSpec

EVERY = (
    MapSpec("counts", unit="counts", meaning="total counts of the core loss"),
    MapSpec("shift", "signed", "eV", "energy added to align the spectrum"),
    MapSpec("ZLP fwhm", "intensity", "eV", "full width of the zero-loss peak"),
    MapSpec("spikes", "intensity", "", "channels repaired as X-rays"),
    MapSpec("background fit", "intensity", "", "reduced chi-square of the background"),
    MapSpec("PCA residual", "intensity", "", "chi-square the components leave; 1: noise"),
    MapSpec("flags", "flags", "", "quality of the spectrum", QUALITY_FLAGS),
)
"""Maps of every scan."""


def map_specs(known: EveryPixel, labeller: Labeller | None) -> list[MapSpec]:
    """Maps that every scan has, and those of its labels and components."""
    specs = [clusters_spec(known.numbers), *EVERY]
    if labeller is not None:
        labels = labeller.specs
        specs = [*labels[:2], *specs, *labels[2:]]
    return [*specs, *map(_loading, range(known.learnt.components))]


# Asked for with every chunk, and what is the same as before is quick to compare: made once each.


@cache
def clusters_spec(number: int) -> MapSpec:
    """What a map of so many clusters means."""
    names = tuple(f"cluster {i + 1}" for i in range(number))
    return MapSpec("cluster", "label", "", "k-means cluster", names)


@cache
def _loading(index: int) -> MapSpec:
    number = index + 1
    return MapSpec(f"loading {number}", "signed", "", f"loading of principal component {number}")


def cluster_map(cluster: NDArray[np.int16]) -> NDArray[np.float32]:
    """Cluster numbers as map values: -1 for outliers, nan where nothing can be said."""
    return np.where(cluster < -1, np.nan, cluster).astype(np.float32)


def exact_clusters(known: EveryPixel) -> tuple[MapSpec, NDArray[np.float32]]:
    """Map ``(pixel,)`` of the clusters that pixels are in, shown or not, and what it means."""
    exact = known.colours.exact
    numbers = max(len(known.learnt.kmeans.centres), int(exact.max(initial=-1)) + 1)
    return clusters_spec(numbers), cluster_map(exact)


def curves(known: EveryPixel, axis: EnergyAxis) -> dict[str, Curve]:
    """Factors and cluster means on the axis of the analysis window."""
    learnt = known.learnt
    if not learnt.components:
        return {}
    factors = learnt.pca.factors[: learnt.components]
    names = tuple(f"component {i + 1}" for i in range(len(factors)))
    found = {"factors": Curve(axis, factors, names)}
    if len(learnt.kmeans.centres):
        means = known.cluster_loadings() @ factors
        labels = tuple(f"cluster {i + 1}" for i in range(len(means)))
        found["cluster means"] = Curve(axis, means, labels)
    return found
