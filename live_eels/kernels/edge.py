"""Finds the L3 edge of each spectrum and cuts a window around it.

Everything works on the running integral of a spectrum, taken between channel borders and
continued as a straight line beyond both ends: the mean over any interval is then one
difference, whatever the dispersion, and a window that sticks out is filled with the end level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from live_eels.kernels import inlined, jit

STEP_EV = 0.5
"""Distance of the positions tried in the coarse search, eV."""
BEHIND = 13
"""The contrast looks this many steps below a position ..."""
REACH = 40
"""... and this many above it."""
FINE = 6
"""The fine search goes this many tenths of a step to either side."""

ROWS = 4
"""Spectra integrated side by side."""

LOOKED_AT = tuple(BEHIND + i for i in (-13, -5, -3, 3, 8, 16, 20, 28, 32, 40))
"""Steps whose integral the contrast at step ``BEHIND`` is made of."""


@inlined
def _integrate(
    counts: NDArray[np.float32],
    start: int,
    first: int,
    last: int,
    margin: int,
    pad: int,
    out: NDArray[np.float64],
) -> None:
    """Running integrals of `ROWS` spectra at their channel borders, continued by ``pad``.

    Side by side, as each sum waits for the one before: in the time of one, four are done. The
    continuation rises by the mean of the first and of the last ``margin`` channels.
    """
    n, end = last - first, counts.shape[0] - 1
    a, b, c, d = out[0], out[1], out[2], out[3]
    w, x = counts[start, first:last], counts[min(start + 1, end), first:last]
    y, z = counts[min(start + 2, end), first:last], counts[min(start + 3, end), first:last]
    in_w, in_x, in_y, in_z = 0.0, 0.0, 0.0, 0.0
    a[pad], b[pad], c[pad], d[pad] = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        in_w += w[i]
        in_x += x[i]
        in_y += y[i]
        in_z += z[i]
        a[pad + i + 1] = in_w
        b[pad + i + 1] = in_x
        c[pad + i + 1] = in_y
        d[pad + i + 1] = in_z
    for k in range(ROWS):
        row = out[k]
        total = row[pad + n]
        before = row[pad + margin] / margin
        behind = (total - row[pad + n - margin]) / margin
        for i in range(1, pad + 1):
            row[pad - i] = -i * before
            row[pad + n + i] = total + i * behind


@inlined
def _at(integral: NDArray[np.float64], place: float) -> float:
    """Integral at ``place``, by a straight line between channel borders."""
    k = int(place)
    value: float = integral[k] + (place - k) * (integral[k + 1] - integral[k])
    return value


@inlined
def _sample(
    integral: NDArray[np.float64], start: float, step: float, out: NDArray[np.float64]
) -> None:
    """Integral at ``start + i * step``, by straight lines between channel borders."""
    for i in range(out.size):
        out[i] = _at(integral, start + i * step)


@inlined
def _contrast(s: NDArray[np.float64], i: int) -> float:
    """How much position ``i`` of integral ``s`` (one value per step) looks like an L3 edge.

    Mean of the L3 line above the level before it and in the valley behind it, plus half the
    same of the L2 line; any straight background cancels.
    """
    valley = (s[i + 16] - s[i + 8]) / 8.0
    l3 = (s[i + 3] - s[i - 3]) / 6.0
    before = (s[i - 5] - s[i - 13]) / 8.0
    l2 = (s[i + 28] - s[i + 20]) / 8.0
    behind = (s[i + 40] - s[i + 32]) / 8.0
    rise = l3 - (4.0 / 7.0) * before - (3.0 / 7.0) * valley
    found: float = rise + 0.5 * (l2 - 0.5 * (valley + behind))
    return found


@inlined
def _refine(
    integral: NDArray[np.float64], near: float, step: float, s: NDArray[np.float64]
) -> float:
    """Position of the highest contrast around ``near``: tenths of a step, then a parabola."""
    fine = np.empty(2 * FINE + 1)
    for j in range(fine.size):
        start = near + (0.1 * (j - FINE) - BEHIND) * step
        for i in LOOKED_AT:  # the contrast wants no more than these
            s[i] = _at(integral, start + i * step)
        fine[j] = _contrast(s, BEHIND)
    j = min(max(int(np.argmax(fine)), 1), 2 * FINE - 1)
    bend = fine[j - 1] - 2.0 * fine[j] + fine[j + 1]
    offset = 0.5 * (fine[j - 1] - fine[j + 1]) / bend if bend < 0.0 else 0.0
    at: float = near + (j - FINE + min(max(offset, -1.0), 1.0)) * 0.1 * step
    return at


@jit
def edge_windows(
    counts: NDArray[np.float32],
    first: int,
    last: int,
    pad: int,
    margin: int,
    starts: NDArray[np.float64],
    positions: NDArray[np.int64],
    step: float,
    low: float,
    spacing: float,
    width: float,
    element: NDArray[np.int64],
    border: NDArray[np.float64],
    out: NDArray[np.float32],
    strength: NDArray[np.float32],
) -> None:
    """Find the L3 edge of each spectrum and resample the spectrum around it.

    Positions are in channel borders of the padded integral: channel ``i`` of the axis spans
    ``i - first + pad`` to one more. Lengths are in channels.

    Parameters
    ----------
    counts
        ``(pixel, channel)``, any scale, with or without background.
    first, last, pad, margin
        Channels that are looked at, by how many they are continued at both ends, and over how
        many the end levels are averaged.
    starts, positions
        ``(element,)``: the first position to try and how many, `STEP_EV` apart.
    step
        `STEP_EV`.
    low, spacing, width
        First point of the window relative to the edge, distance of its points, and the length
        each point averages over.
    element, border
        Out, ``(pixel,)``: which element's edge was found and where.
    out
        Out, ``(pixel, point)``: mean counts per channel at each point, less their mean.
    strength
        Out, ``(pixel,)``: length of what a window holds beyond level and slope; nan where it
        holds what is no number.
    """
    integrals = np.empty((ROWS, last - first + 1 + 2 * pad))
    points = out.shape[1]
    coarse = np.empty(positions.max() + BEHIND + REACH)
    close = np.empty(1 + BEHIND + REACH)
    upper = np.empty(points)
    lower = np.empty(points)
    middle = 0.5 * (points - 1)
    slopes = points * (points * points - 1) / 12.0
    for p in range(counts.shape[0]):
        if p % ROWS == 0:
            _integrate(counts, p, first, last, margin, pad, integrals)
        integral = integrals[p % ROWS]
        best = -np.inf
        near = starts[0]
        element[p] = 0
        for k in range(positions.size):
            some = coarse[: positions[k] + BEHIND + REACH]
            _sample(integral, starts[k] - BEHIND * step, step, some)
            for i in range(positions[k]):
                c = _contrast(some, i + BEHIND)
                if c > best:
                    best = c
                    near = starts[k] + i * step
                    element[p] = k
        border[p] = _refine(integral, near, step, close)
        start = border[p] + low
        _sample(integral, start - 0.5 * width, spacing, lower)
        _sample(integral, start + 0.5 * width, spacing, upper)
        mean = 0.0
        for i in range(points):
            upper[i] = (upper[i] - lower[i]) / width
            mean += upper[i]
        mean /= points
        along = 0.0
        for i in range(points):
            upper[i] -= mean
            out[p, i] = upper[i]
            along += upper[i] * (i - middle)
        slope = along / slopes
        square = 0.0
        for i in range(points):
            beyond = upper[i] - slope * (i - middle)
            square += beyond * beyond
        strength[p] = np.sqrt(square)
