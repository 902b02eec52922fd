"""What a model saw as typical of each class, for the page to lay over a spectrum."""

from __future__ import annotations

import numpy as np
from live_eels.models.dataset import Dataset
from live_eels.models.graph import prepare
from live_eels.models.lines import CLASSES, ELEMENT

LEAST_SPECTRA = 20
"""A mean of fewer is not typical of anything."""


def class_means(data: Dataset) -> dict[str, tuple[float, ...]]:
    """Mean of the pure training spectra of each class, as the network sees them.

    Level, slope and scale are taken out of each, as in the graph, and of the mean once more.
    Classes without an element have no typical spectrum.
    """
    found = {}
    for index, (name, element) in enumerate(zip(CLASSES, ELEMENT, strict=True)):
        rows = np.flatnonzero(data.pure & (data.label == index))
        if element is None or len(rows) < LEAST_SPECTRA:
            continue
        mean = prepare(prepare(data.window[rows]).mean(axis=0, keepdims=True))[0]
        found[name] = tuple(round(float(value), 4) for value in mean)
    return found
