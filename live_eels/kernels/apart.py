"""How far two groups of pixels stand apart, and how long one is, by medians.

Compiled, because how many phases there are takes thousands of such looks at a few hundred
pixels each. Arrays as in `lloyd`; a group is a bool ``(pixel,)``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import jit

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

_NORMAL = 1.4826  # of a bell's median distance from its middle: its standard deviation


@jit
def quantile(values: NDArray[np.float64], weight: NDArray[np.float64], share: float) -> float:
    """Least value that holds ``share`` of the weight with those below it (nan for none).

    By partition, as sorting would take longer than all else; both arrays are reordered.
    """
    low, high = 0, values.size
    if high == 0:
        return math.nan
    missing = share * np.sum(weight)
    while high - low > 1:
        a, b, c = values[low], values[(low + high) // 2], values[high - 1]
        pivot = max(min(a, b), min(max(a, b), c))
        # Less than the pivot to the left of ``first``, more to the right of ``last``.
        first, last, i = low, high - 1, low
        less, same = 0.0, 0.0
        while i <= last:
            if values[i] < pivot:
                less += weight[i]
                values[i], values[first] = values[first], values[i]
                weight[i], weight[first] = weight[first], weight[i]
                first += 1
                i += 1
            elif values[i] > pivot:
                values[i], values[last] = values[last], values[i]
                weight[i], weight[last] = weight[last], weight[i]
                last -= 1
            else:
                same += weight[i]
                i += 1
        if first > low and less >= missing:
            high = first
        elif less + same >= missing or last + 1 == high:
            return float(pivot)
        else:
            missing -= less + same
            low = last + 1
    return float(values[low])


@jit
def separation(values: Values, variance: Values, first: Mask, second: Mask) -> float:
    """Distance of two groups over their mean spread along the line between them.

    Medians throughout, so that mixtures at a border do not hide that there is one. Below 3
    the two may be one: the halves of a bell are 2.3 apart, those of an even gradient 2.7.
    """
    n, size = values.shape
    means, mass = np.zeros((2, size)), np.zeros(2)
    count = np.zeros(2, np.int64)
    for i in range(n):
        for side in range(2):
            if first[i] if side == 0 else second[i]:
                weight = 1.0 / variance[i]
                count[side] += 1
                mass[side] += weight
                for j in range(size):
                    means[side, j] += weight * values[i, j]
    reach = 0.0
    axis = np.empty(size)
    for j in range(size):
        axis[j] = means[1, j] / mass[1] - means[0, j] / mass[0]
        reach += axis[j] * axis[j]
    reach = math.sqrt(reach)
    if not reach > 0.0:
        return 0.0
    middle, spread = np.empty(2), np.empty(2)
    for side in range(2):
        group = first if side == 0 else second
        along, weights = np.empty(count[side]), np.empty(count[side])
        k = 0
        for i in range(n):
            if group[i]:
                place = 0.0
                for j in range(size):
                    place += values[i, j] * axis[j]
                along[k] = place / reach
                weights[k] = 1.0 / variance[i]
                k += 1
        middle[side] = quantile(along, weights, 0.5)
        for k in range(along.size):
            along[k] = abs(along[k] - middle[side])
        spread[side] = _NORMAL * quantile(along, weights, 0.5)
    return float((middle[1] - middle[0]) / max(spread[0], spread[1], 1e-30))


@jit
def separations(
    values: Values, variance: Values, label: NDArray[np.int16], numbers: NDArray[np.int16]
) -> NDArray[np.float64]:
    """Separation of each two of the clusters ``numbers``, float64 ``(cluster, cluster)``.

    The lower triangle only.
    """
    k = numbers.size
    out = np.zeros((k, k))
    for a in range(k):
        mine = label == numbers[a]
        for b in range(a):
            out[a, b] = separation(values, variance, label == numbers[b], mine)
    return out


def length(values: Values, variance: Values, mine: Mask) -> tuple[float, float]:
    """Standard deviation of a group along its longest axis, and that of its noise.

    From quantiles, so that a few mixtures do not make a phase long.
    """
    weight = 1.0 / variance[mine].astype(np.float64)
    own = values[mine].astype(np.float64)
    centred = own - (weight @ own) / weight.sum()
    _, axes = np.linalg.eigh((centred * weight[:, None]).T @ centred)
    along = centred @ axes[:, -1]
    low, high = (quantile(along.copy(), weight.copy(), share) for share in (0.1, 0.9))
    noise = quantile(variance[mine].astype(np.float64), weight, 0.5)
    return (high - low) / 2.563, math.sqrt(noise)
