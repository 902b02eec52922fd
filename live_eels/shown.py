"""What the maps and curves of a scan mean: names, units, classes.

Lives here: what is said about results, for all who show them. Computes none but the mean
spectra of clusters.
"""

from __future__ import annotations

from live_eels.following import EveryPixel
from live_eels.labelling import Labeller
from live_eels.learning import Learnt
from live_eels.spectra import QUALITY_FLAGS, Curve, EnergyAxis, MapSpec


def map_specs(learnt: Learnt, labeller: Labeller | None) -> list[MapSpec]:
    """Maps that every scan has, and those of its labels and components."""
    clusters = tuple(f"cluster {i + 1}" for i in range(len(learnt.kmeans.centres)))
    specs = [
        MapSpec("cluster", "label", "", "k-means cluster", clusters),
        MapSpec("counts", unit="counts", meaning="total counts of the core loss"),
        MapSpec("shift", "signed", "eV", "energy added to align the spectrum"),
        MapSpec("ZLP fwhm", "intensity", "eV", "full width of the zero-loss peak"),
        MapSpec("spikes", "intensity", "", "channels repaired as X-rays"),
        MapSpec("background fit", "intensity", "", "reduced chi-square of the background"),
        MapSpec("PCA residual", "intensity", "", "chi-square the components leave; 1: noise"),
        MapSpec("flags", "flags", "", "quality of the spectrum", QUALITY_FLAGS),
    ]
    if labeller is not None:
        labels = labeller.specs
        specs = [*labels[:2], *specs, *labels[2:]]
    return specs + [
        MapSpec(f"loading {i + 1}", "signed", "", f"loading of principal component {i + 1}")
        for i in range(learnt.components)
    ]


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
