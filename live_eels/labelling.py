"""Which spectrum of a pixel the model is shown, and what becomes of its answer.

Lives here: the choice between a pixel's own spectrum, the one rebuilt from its components and
the mean of its cluster; the maps of labels. The model itself is `classify`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from live_eels.classify import Classifier, Source, entropy, label_source
from live_eels.decompose import Rebuilt
from live_eels.learning import Learnt
from live_eels.model_card import Card, ModelError
from live_eels.spectra import Curve, EnergyAxis, MapSpec

Values = dict[str, NDArray[np.float32]]


class Labeller:
    """Labels the pixels of a scan with one model.

    Parameters
    ----------
    classifier
        The model.
    axis
        Energy axis of the prepared spectra.
    window
        Its channels that are decomposed.
    wanted
        Which spectrum is labelled; ``automatic`` goes by counts.

    Attributes
    ----------
    specs
        Its maps, the most telling first.
    curves
        What the model saw as typical of each class of the elements that can be told here.

    Raises
    ------
    ModelError
        If the model is not made for this axis.
    """

    def __init__(
        self, classifier: Classifier, axis: EnergyAxis, window: slice, wanted: Source
    ) -> None:
        self.elements = classifier.bind(axis)
        self.classifier = classifier
        self.curves = typical(classifier.card, self.elements)
        self.specs = _specs(classifier.card.names)
        self._axis, self._window, self._wanted = axis, axis.cropped(window), wanted
        try:
            classifier.bind(self._window)
            self._fits = True
        except ModelError:  # the analysis window leaves out what the model needs
            self._fits = False

    def source(self, learnt: Learnt) -> Source:
        """Say which spectra are labelled now.

        The mean spectrum of the learner decides, so the choice does not depend on chunks.
        """
        per_100_mev = learnt.typical_counts * 0.1 / self._window.dispersion_ev
        clusters = learnt.kmeans.clusters > 0
        source = label_source(per_100_mev, learnt.components > 0, clusters, self._wanted)
        if source == "raw" or not learnt.components or not self._fits:
            return "raw"
        return "denoised" if source == "cluster" and not clusters else source

    def _mean(self, learnt: Learnt) -> tuple[NDArray[np.float32], EnergyAxis] | None:
        """Mean spectrum of the scan so far, for models that see it; the last one at the end.

        As the learners know it, so that it does not depend on chunks; None before there is one.
        """
        return (learnt.pca.mean, self._window) if learnt.components and self._fits else None

    def label(
        self,
        counts: NDArray[np.float32],
        rebuilt: Rebuilt,
        shapes: NDArray[np.float32] | None,
        learnt: Learnt,
    ) -> Values:
        """Label pixels.

        Parameters
        ----------
        counts
            On the whole axis, float32 ``(pixel, channel)``.
        rebuilt
            In the window, from their components.
        shapes
            Where clusters are labelled: loadings of each pixel's cluster, nan where it has
            none; None where pixels are labelled by themselves.
        learnt
            What loadings are in.
        """
        scan = self._mean(learnt)
        if self.source(learnt) == "raw":
            labels = self.classifier.predict(counts, self._axis, scan=scan)
        elif shapes is None:
            labels = self.classifier.predict(rebuilt.spectra, self._window, rebuilt.noise, scan)
        else:
            means = shapes @ learnt.pca.factors[: learnt.components]
            means = np.where(np.isnan(means[:, :1]), rebuilt.spectra, means)
            labels = self.classifier.predict(means, self._window, scan=scan)
        probability = labels.probability
        maps: Values = {
            "label": labels.label.astype(np.float32),
            "confidence": probability.max(axis=1, initial=0.0),
            "entropy": entropy(probability),
            "valence": labels.valence,
        }
        for index, name in enumerate(self.classifier.card.names):
            maps[f"p({name})"] = np.ascontiguousarray(probability[:, index])
        return maps


def _specs(names: Sequence[str]) -> tuple[MapSpec, ...]:
    return (
        MapSpec("label", "label", "", "oxidation state", tuple(names)),
        MapSpec("valence", "intensity", "", "mean valence", limits=(2.0, 4.0)),
        MapSpec("confidence", "fraction", "", "probability of the label"),
        MapSpec("entropy", "fraction", "", "undecidedness of the label, 0 to 1"),
        *(MapSpec(f"p({name})", "fraction", "", f"probability of {name}") for name in names),
    )


def typical(card: Card, elements: Collection[str]) -> dict[str, Curve]:
    """Mean training spectra of the classes of some elements, where the L3 edge is expected.

    ``{"Mn class means": Curve}`` and so on, in units of their own: level, slope and scale are
    the spectrum's. Nothing where the card has none.
    """
    found = {}
    for element in card.elements:
        names = tuple(c.name for c in card.classes if c.element == element.symbol)
        there = tuple(name for name in names if name in card.means)
        if element.symbol not in elements or not there:
            continue
        window = card.window
        axis = EnergyAxis(element.l3_ev + window.low_ev, window.dispersion_ev, window.points)
        values = np.array([card.means[name] for name in there], np.float32)
        found[f"{element.symbol} class means"] = Curve(axis, values, there, "")
    return found
