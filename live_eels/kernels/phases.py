"""How many phases: clusters are split where they fall apart and joined where they do not.

Arrays as in `lloyd`. Two parts stand apart when there is a gap between them. A cluster that
is much longer than its noise has no gap but is not one composition either (a gradient): it is
cut in slices. Sizes are in standard deviations of the counting noise, so that the same
rules hold at any dose.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from live_eels.kernels.apart import Mask, length, separation, separations
from live_eels.kernels.lloyd import Clusters, Label, Settled, Values, halves, moments, settle

CLOSE, CLOSE_AT_BIRTH, SHORT = 0.6, 0.85, 0.85
"""What was split is joined again only when it is clearly no longer apart (hysteresis): when its
gap and its length are less than these shares of what was asked for. A cluster that has just
been born has to stand clear of all others."""

DOUBT = 1.5
"""The spread of ``n`` pixels is known to 1.2 / sqrt(n) of it: so many, over sqrt(n), of a gap
are not sure, and a small cluster that was born by chance would be joined again."""


LONG = 0.25
"""No piece of a gradient is shorter than this share of the whole range of the specimen."""


class Apart(NamedTuple):
    """When parts are two: at least ``pixels`` each, ``gap`` apart or ``length`` long together.

    ``gap`` is in spreads along the line between them, ``length`` in standard deviations of
    the noise; ``most`` clusters at most. ``whole`` is the length of all pixels.
    """

    pixels: int
    gap: float
    length: float
    most: int
    whole: float = 0.0


def split_and_join(values: Values, variance: Values, start: Clusters | None, apart: Apart) -> Label:
    """Settle, split what falls apart, then join what does not stand apart.

    Numbers of ``start`` are kept by the larger part of what is split or joined.
    """
    everyone = np.ones(len(values), np.bool_)
    apart = apart._replace(whole=length(values, variance, everyone)[0])
    now = Settled(np.zeros(len(values), np.int16), everyone, 0.0)
    if start is not None:
        now = settle(values, variance, start)
    waiting = np.unique(now.label[now.label >= 0]).tolist()
    born: set[int] = set()
    while waiting and len(np.unique(now.label)) < apart.most:
        number = waiting.pop()
        split = _split(values, variance, now, number, apart)
        if split is not None:
            now, fresh = split
            waiting += [number, fresh]
            born.add(fresh)
    while True:
        label = now.label.copy()
        pair = _closest_pair(values, variance, now, apart, born)
        small = _small(now, apart.pixels)
        if pair is None and small is None:
            return label
        if pair is not None:
            label[label == pair[1]] = pair[0]
            if pair[1] not in born:
                born.discard(pair[0])
        label[~now.pure] = -1
        start = moments(values, variance, label, int(label.max()) + 1)
        if pair is None:
            start.centres[small] = np.nan
        now = settle(values, variance, start)


def _split(
    values: Values, variance: Values, now: Settled, number: int, apart: Apart
) -> tuple[Settled, int] | None:
    """Split one cluster if its parts stand apart, and still do when all have settled.

    First by its pure pixels; then with those that look like mixtures, which may be a phase
    of their own that lies between two others.
    """
    mine = now.label == number
    parts = _most_apart(values, variance, mine & now.pure, apart)
    if parts is None and np.count_nonzero(mine & ~now.pure) >= apart.pixels:
        parts = _most_apart(values, variance, mine, apart)
    if parts is None:
        return None
    fresh, trial = free_number(now.label), np.where(now.pure, now.label, np.int16(-1))
    trial[min(parts, key=lambda part: int(part.sum()))] = fresh
    start = moments(values, variance, trial, int(trial.max()) + 1)
    after = settle(values, variance, start)
    settled = (after.pure & (after.label == number), after.pure & (after.label == fresh))
    if min(part.sum() for part in settled) < apart.pixels:
        return None
    return (after, fresh) if _stand_apart(values, variance, settled, apart) else None


def _most_apart(
    values: Values, variance: Values, mine: Mask, apart: Apart
) -> tuple[Mask, Mask] | None:
    """Cut one cluster where its parts are furthest apart, or across if it is long."""
    found = list(halves(values, variance, mine, apart.pixels))
    if not found:
        return None
    gaps = [separation(values, variance, *parts) for parts in found]
    if max(gaps) >= apart.gap:
        return found[int(np.argmax(gaps))]
    return found[0] if _is_long(values, variance, mine, apart, 1.0) else None


def _stand_apart(values: Values, variance: Values, parts: tuple[Mask, Mask], apart: Apart) -> bool:
    """Whether two parts are surely two."""
    sure = max(1.0 - DOUBT / math.sqrt(min(part.sum() for part in parts)), 0.1)
    if separation(values, variance, *parts) * sure >= apart.gap:
        return True
    return _is_long(values, variance, parts[0] | parts[1], apart, 1.0)


def _is_long(values: Values, variance: Values, mine: Mask, apart: Apart, share: float) -> bool:
    reach, noise = length(values, variance, mine)
    return reach >= share * apart.length * noise and reach > share * LONG * apart.whole


def _closest_pair(
    values: Values, variance: Values, now: Settled, apart: Apart, born: set[int]
) -> tuple[int, int] | None:
    """Find the two clusters that are least apart, larger first, if they are one."""
    label = np.where(now.pure, now.label, np.int16(-1))
    numbers, sizes = np.unique(label[label >= 0], return_counts=True)
    gaps = separations(values, variance, label, numbers)
    best, found = 1.0, None
    for b, a in zip(*np.tril_indices(len(numbers), -1), strict=True):
        new = not born.isdisjoint((int(numbers[a]), int(numbers[b])))
        near = gaps[b, a] / (apart.gap * (CLOSE_AT_BIRTH if new else CLOSE))
        if near >= best:
            continue
        both = (label == numbers[a]) | (label == numbers[b])
        if not _is_long(values, variance, both, apart, SHORT):
            order = (a, b) if sizes[a] >= sizes[b] else (b, a)
            best, found = near, (int(numbers[order[0]]), int(numbers[order[1]]))
    return found


def _small(now: Settled, least: int) -> int | None:
    """Find a cluster with too few pixels that are no mixtures, unless it is the only one."""
    numbers = np.unique(now.label[now.label >= 0])
    sizes = [np.count_nonzero(now.pure & (now.label == number)) for number in numbers]
    few = len(numbers) > 1 and min(sizes) < least
    return int(numbers[int(np.argmin(sizes))]) if few else None


def free_number(label: Label) -> int:
    """Give the lowest cluster number that no pixel has."""
    used = set(np.unique(label).tolist())
    return next(number for number in range(len(used) + 1) if number not in used)


def matched(fresh: Label, before: Label) -> Label:
    """Renumber ``fresh`` so that most pixels keep the number they had.

    Parameters
    ----------
    fresh, before : int16 ``(pixel,)``
        Two clusterings of the same pixels; negative numbers stay as they are.
    """
    number = np.append(numbers_before(fresh, before), np.int16(0))
    return np.where(fresh >= 0, number[fresh], fresh).astype(np.int16)


def numbers_before(fresh: Label, before: Label, clusters: int = 0) -> Label:
    """Number that each fresh cluster takes so that most pixels keep theirs (Hungarian method).

    Parameters
    ----------
    fresh, before : int16 ``(pixel,)``
        Two clusterings of the same pixels; negative for none.
    clusters : int
        There are fresh ones up to this number, perhaps without one of these pixels.

    Returns
    -------
    int16 ``(fresh cluster,)``
        All different.
    """
    size = max(int(max(fresh.max(initial=-1), before.max(initial=-1))) + 1, clusters)
    both = (fresh >= 0) & (before >= 0)
    table = np.zeros((size, size))
    np.add.at(table, (fresh[both], before[both]), 1)
    _, number = linear_sum_assignment(-table)
    return np.asarray(number, np.int16)


def at_numbers(values: NDArray[Any], numbers: Label, unused: float) -> NDArray[Any]:
    """Values ``(cluster, ...)`` put where their numbers say, and ``unused`` at the others."""
    out = np.full((numbers.max(initial=-1) + 1, *values.shape[1:]), unused, values.dtype)
    out[numbers] = values
    return out
