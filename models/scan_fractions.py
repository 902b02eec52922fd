"""What the pixels of a simulated scan are made of: phases beside each other, or mixtures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from live_eels.models.domain import Domain
from live_eels.models.lines import CLASSES, F8, VALENCE


def scan_fractions(
    states: Sequence[int], scans: int, rng: np.random.Generator, domain: Domain
) -> F8:
    """Fractions of the pixels of some scans, float64 ``(scans * domain.pixels, class)``.

    Each scan has one to three ends, between which its pixels lie; ends are pure states unless
    the scan is one of mixtures (chance ``domain.mixed``). In some scans part of the pixels have
    no edge.

    Parameters
    ----------
    states
        Classes of one element, by rising valence.
    """
    return np.concatenate([_scan(list(states), rng, domain) for _ in range(scans)])


def _scan(states: list[int], rng: np.random.Generator, domain: Domain) -> F8:
    n = domain.pixels
    out = np.zeros((n, len(CLASSES)))
    ends = np.eye(len(states))[rng.permutation(len(states))]
    count = min(int(rng.choice([1, 2, 3], p=[0.15, 0.65, 0.2])), len(states))
    if rng.random() < domain.mixed and len(states) > 1:
        ends = np.stack([_mixture(states, rng) for _ in range(count)])
        # Few pixels in the middle (sharp interfaces), or most of them (gradients).
        place = rng.dirichlet(np.full(count, rng.choice([0.3, 0.7, 1.0, 2.0])), n)
    else:
        share = rng.dirichlet(np.ones(count))
        place = np.eye(count)[rng.choice(count, n, p=share)]
    out[:, states] = place @ ends[:count]
    if rng.random() < 2 * domain.none:
        out[rng.random(n) < rng.random()] = np.eye(len(CLASSES))[-1]
    return out


def _mixture(states: list[int], rng: np.random.Generator) -> F8:
    """Mix two neighbouring states, as most oxides do, or any of them."""
    if rng.random() < 0.3:
        return rng.dirichlet(np.full(len(states), rng.choice([0.15, 0.5, 1.0])))
    valence = np.array([VALENCE[state] for state in states], float)
    at = rng.uniform(valence[0], valence[-1])
    rows = np.eye(len(states))
    return np.array([np.interp(at, valence, row) for row in rows])
