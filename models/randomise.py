"""Training spectra: computed line shapes under everything an instrument may do to them.

Trained on what one instrument gives, a model fails on the next one. Here each spectrum gets its
own crystal field (two line shapes mixed, stretched), lifetimes, L3/L2 ratio, charge-transfer
satellites, resolution, plural scattering, continuum steps, background, axis and dose, all drawn
at random from ranges wider than any laboratory's. No measured spectrum is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from live_eels.models.domain import HOLES, Domain, Range
from live_eels.models.lines import CLASSES, F8, FIRST_EV, GRID_EV, L3_EV, POINTS, STEP_EV, LineSet
from live_eels.models.scan_fractions import scan_fractions
from numpy.typing import NDArray

from live_eels.spectra import EnergyAxis

_WAVE: F8 = 2 * np.pi * np.fft.rfftfreq(POINTS, STEP_EV)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Spectra on one energy axis and what they are.

    ``counts`` float64 ``(pixel, channel)``; ``fraction`` float64 ``(pixel, class)`` sums to 1;
    ``label`` the largest fraction; ``dose``, ``thickness``, ``shift_ev`` float64 ``(pixel,)``.
    """

    axis: EnergyAxis
    counts: F8
    fraction: F8
    label: NDArray[np.int64]
    dose: F8
    thickness: F8
    shift_ev: F8


def draw(
    lines: LineSet, count: int, rng: np.random.Generator, domain: Domain, group: int = 32
) -> Iterator[Drawn]:
    """Draw ``count`` spectra, in groups that share an energy axis.

    Each group is measured ``domain.measurements`` times, on another axis and with other doses.
    Where ``domain.pixels`` make a scan, groups and ``count`` are of whole scans.
    """
    per = domain.pixels
    group += -group % per
    while count > 0:
        n = min(group, count)
        element = "Mn" if rng.random() < 0.6 else "Fe"
        fraction = _fractions(lines, element, n, rng, domain)
        none = fraction[:, -1] > 0
        physics = _lines(lines, fraction, rng, domain)
        thickness = _uniform(rng, domain.thickness, n // per)
        thickness = _shared(thickness * (rng.random(n // per) < domain.scattered), per)
        if per > 1:
            thickness = thickness * rng.uniform(0.85, 1.15, n)
        physics = _scattered(physics, thickness, rng, per)
        physics = _instrument(physics, rng, domain)
        physics[none] = nothing(int(none.sum()), element, rng, domain)
        for _ in range(min(domain.measurements, -(-count // n))):
            some = slice(min(n, count))
            base = float(rng.uniform(*domain.shift_ev))
            axis = _axis(element, base, rng, domain)
            shift = (base + _shared(rng.normal(0, 0.3, n // per), per))[some]
            if per > 1:
                shift += _jitter(len(shift) // per, rng, domain)
            counts, dose = _measured(physics[some], axis, element, shift, rng, domain)
            share = fraction[some]
            yield Drawn(axis, counts, share, share.argmax(axis=1), dose, thickness[some], shift)
            count -= len(share)


def _shared(drawn: NDArray[Any], per: int) -> NDArray[Any]:
    """What was drawn for each scan, for each of its ``per`` pixels."""
    return np.repeat(drawn, per, axis=0)


def _jitter(scans: int, rng: np.random.Generator, domain: Domain) -> F8:
    """How far the energy axis of each pixel is off its scan's: nearly nothing in half of them."""
    spread = np.where(rng.random(scans) < 0.5, 0.03, rng.uniform(0.03, domain.jitter_ev, scans))
    return _shared(spread, domain.pixels) * rng.normal(size=scans * domain.pixels)


def _uniform(rng: np.random.Generator, between: Range, *shape: int) -> F8:
    return rng.uniform(between[0], between[1], shape)


def _log_uniform(rng: np.random.Generator, between: Range, *shape: int) -> F8:
    return np.exp(rng.uniform(np.log(between[0]), np.log(between[1]), shape))


def _fractions(
    lines: LineSet, element: str, n: int, rng: np.random.Generator, domain: Domain
) -> F8:
    """How much of each class: pure, a mixture of two or three states, or none, ``(n, class)``."""
    states = [i for i, name in enumerate(CLASSES) if name.startswith(element)]
    states = [i for i in states if (lines.ion == i).any()]
    if domain.pixels > 1:
        return scan_fractions(states, n // domain.pixels, rng, domain)
    fraction = np.zeros((n, len(CLASSES)))
    for row in fraction:
        kind = rng.random()
        if kind < domain.none:
            row[-1] = 1.0
        elif kind < domain.none + domain.mixed and len(states) > 1:
            some = 3 if len(states) > 2 and rng.random() < 0.2 else 2
            row[rng.choice(states, some, replace=False)] = rng.dirichlet(np.ones(some))
        else:
            row[rng.choice(states)] = 1.0
    return fraction


def _stretched(values: F8, factor: F8, shift_ev: F8) -> F8:
    """Stretch each row about its centre of mass and shift it; area is kept."""
    weight = np.maximum(values.sum(axis=1), 1e-12)
    centre = (values @ GRID_EV / weight)[:, None]
    source = (GRID_EV[None] - centre - shift_ev[:, None]) / factor[:, None] + centre
    place = np.clip((source - FIRST_EV) / STEP_EV, 0, POINTS - 1.001)
    i = place.astype(np.int64)
    part = place - i
    low, high = np.take_along_axis(values, i, 1), np.take_along_axis(values, i + 1, 1)
    return np.asarray((low * (1 - part) + high * part) / factor[:, None])


def _lines(lines: LineSet, fraction: F8, rng: np.random.Generator, domain: Domain) -> F8:
    """White lines and continuum steps of each mixture, not yet broadened by the instrument."""
    n = len(fraction)
    total = np.zeros((n, POINTS))
    for state in np.flatnonzero((fraction[:, :-1] > 0).any(axis=0)):
        rows = np.flatnonzero(fraction[:, state] > 0)
        scans, of = np.unique(rows // domain.pixels, return_inverse=True)
        part = _one_state(lines, int(state), len(scans), rng, domain)
        weight = fraction[rows, state] * rng.uniform(0.85, 1.15, len(scans))[of]
        total[rows] += weight[:, None] * part[of]
    return total


def _one_state(lines: LineSet, state: int, n: int, rng: np.random.Generator, domain: Domain) -> F8:
    """``n`` spectra of one pure state, white lines as strong as its holes, ``(n, point)``."""
    chance = _even(lines.family[lines.ion == state])
    mine = np.flatnonzero(lines.ion == state)
    first, second = rng.choice(mine, n, p=chance), rng.choice(mine, n, p=chance)
    mix = (rng.random(n) * (rng.random(n) < 0.7))[:, None]
    l3 = lines.l3[first] * (1 - mix) + lines.l3[second] * mix
    l2 = lines.l2[first] * (1 - mix) + lines.l2[second] * mix
    together = rng.normal(0.0, 0.3, n)
    stretch = _log_uniform(rng, domain.stretch, n)
    other = stretch * rng.uniform(0.93, 1.07, n)
    l3 = _stretched(l3, stretch, together)
    l2 = _stretched(l2, other, together + _uniform(rng, domain.split_ev, n))
    l3, l2 = _tilted(l3, domain.tilt_per_ev, rng), _tilted(l2, domain.tilt_per_ev, rng)
    l2 = _smoothed_l2(l2, domain.smooth_l2, rng)
    wanted = domain.ratio[CLASSES[state]] * np.exp(rng.normal(0, domain.ratio_spread, n))
    if domain.per_atom:
        area = HOLES[CLASSES[state]] / STEP_EV
        l3 *= (area * wanted / (1 + wanted) / l3.sum(axis=1))[:, None]
        l2 *= (area / (1 + wanted) / l2.sum(axis=1))[:, None]
    else:
        l2 *= (l3.sum(axis=1) / l2.sum(axis=1) / wanted)[:, None]
    extra = domain.mn4_l2_width_ev if CLASSES[state] == "Mn4+" else domain.l2_width_ev
    solid = _uniform(rng, domain.solid_width_ev, n)
    had = lines.half_ev[first]
    l3 = _broadened(l3, _uniform(rng, domain.l3_width_ev, n) - had, solid)
    l2 = _broadened(l2, _uniform(rng, extra, n) - had, solid * rng.uniform(0.9, 1.3, n))
    smeared = _uniform(rng, domain.tail, n) * (rng.random(n) < 0.4)
    l3, l2 = _tailed(l3, l2, smeared, rng.uniform(0.5, 3.0, n))
    both = l3 + l2
    strength = _uniform(rng, domain.satellite, n) * (rng.random(n) < 0.4)
    copy = _stretched(both, np.ones(n), rng.uniform(3.0, 9.0, n))
    both = both + strength[:, None] * _broadened(copy, np.zeros(n), rng.uniform(2.0, 5.0, n))
    return both + _continuum(l3, l2, n, rng, domain)


def _even(family: NDArray[np.str_]) -> F8:
    """Chance of each shape such that each theory (the name before "/") comes equally often."""
    theory = np.array([name.split("/")[0] for name in family.tolist()])
    names, which, count = np.unique(theory, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (len(names) * count[which]))


def _broadened(values: F8, half_ev: F8, full_ev: F8) -> F8:
    """Convolve rows with a Lorentzian of half width and a Gaussian of full width, eV."""
    sigma = full_ev / 2.3548
    decay = np.exp(-half_ev[:, None] * _WAVE - 0.5 * (sigma[:, None] * _WAVE) ** 2)
    return np.fft.irfft(np.fft.rfft(values, axis=1) * decay, POINTS, axis=1)


def _smoothed_l2(l2: F8, chance: float, rng: np.random.Generator) -> F8:
    """Replace a random part of L2 by a Gaussian hump of the same area, a little further off."""
    n = len(l2)
    area = l2.sum(axis=1, keepdims=True)
    at = l2 @ GRID_EV / area[:, 0] + rng.uniform(0.0, 1.2, n)
    width = rng.uniform(1.8, 4.2, n) / 2.3548
    hump = np.exp(-0.5 * ((GRID_EV[None] - at[:, None]) / width[:, None]) ** 2)
    part = (rng.random(n) * (rng.random(n) < chance))[:, None]
    return np.asarray(l2 * (1 - part) + hump * (part * area / hump.sum(axis=1, keepdims=True)))


def _tilted(line: F8, spread_per_ev: float, rng: np.random.Generator) -> F8:
    """Give each line a slope of intensity about its centre, at most a factor 3 to either side."""
    weight = np.maximum(line, 0.0)
    centre = (weight @ GRID_EV / weight.sum(axis=1))[:, None]
    slope = rng.normal(0, spread_per_ev, (len(line), 1))
    return np.asarray(line * np.exp(np.clip(slope * (GRID_EV[None] - centre), -1.1, 1.1)))


def _tailed(l3: F8, l2: F8, part: F8, length_ev: F8) -> tuple[F8, F8]:
    """Smear a part of each line to higher energies by an exponential."""
    filter_ = 1 - part[:, None] * (1 - 1 / (1 + 1j * _WAVE * length_ev[:, None]))
    out = [np.fft.irfft(np.fft.rfft(y, axis=1) * filter_, POINTS, axis=1) for y in (l3, l2)]
    return out[0], out[1]


def _continuum(l3: F8, l2: F8, n: int, rng: np.random.Generator, domain: Domain) -> F8:
    """Two steps, 2:1, at the lines, rising over 0.5 to 3 eV, with a slow wave on top."""
    low = np.where(rng.random(n) < 0.3, 0.15, 1.0)  # often taken off with the background
    height = low * _uniform(rng, domain.step, n) * l3.max(axis=1)
    width = rng.uniform(0.3, 1.5, n)[:, None]
    at = GRID_EV[l3.argmax(axis=1)][:, None] + rng.uniform(-0.5, 2.5, n)[:, None]
    split = (l2 @ GRID_EV / l2.sum(axis=1) - l3 @ GRID_EV / l3.sum(axis=1))[:, None]
    x = GRID_EV[None]
    rise = np.arctan((x - at) / width) * 2 / 3 + np.arctan((x - at - split) / width) / 3
    rise = rise / np.pi + 0.5
    wave = rng.uniform(0.0, 0.25, n)[:, None] * np.sin(
        (x - at) * rng.uniform(0.12, 0.35, n)[:, None] + rng.uniform(0, 6.3, n)[:, None]
    )
    decay = np.exp(-np.maximum(x - at, 0) * rng.uniform(0.0, 0.02, n)[:, None])
    return np.asarray(height[:, None] * rise * (1 + wave * rise) * decay)


def _scattered(values: F8, thickness: F8, rng: np.random.Generator, per: int) -> F8:
    """Plural scattering: each scan of ``per`` pixels with a low loss of one broad plasmon."""
    n = len(values) // per
    loss = STEP_EV * np.arange(POINTS)[None]
    peak, width = rng.uniform(14, 28, n)[:, None], rng.uniform(4, 20, n)[:, None]
    peak, width = _shared(peak, per), _shared(width, per)
    plasmon = loss * width / ((loss**2 - peak**2) ** 2 + (loss * width) ** 2)
    plasmon /= plasmon.sum(axis=1, keepdims=True)
    mixed = np.exp(thickness[:, None] * np.fft.rfft(plasmon, axis=1))
    tail = values[:, -1:]  # the continuum goes on: without it the end would wrap around
    ramp = np.linspace(0, 1, POINTS)[None] * tail
    return np.fft.irfft(np.fft.rfft(values - ramp, axis=1) * mixed, POINTS, axis=1) + ramp


def _instrument(values: F8, rng: np.random.Generator, domain: Domain) -> F8:
    """Resolution, saturation and a smooth random factor; height of the lines becomes 1."""
    per = domain.pixels
    n = len(values) // per
    ramp = np.linspace(0, 1, POINTS)[None] * values[:, -1:]
    tails = rng.uniform(0.0, 0.15, n) * (rng.random(n) < 0.5)
    resolution = _log_uniform(rng, domain.resolution_ev, n)
    values = _broadened(values - ramp, _shared(tails, per), _shared(resolution, per)) + ramp
    values = values / np.maximum(values.max(axis=1, keepdims=True), 1e-12)
    amount = _uniform(rng, domain.saturation, n) * (rng.random(n) < 0.4)
    values = values / (1.0 + _shared(amount, per)[:, None] * values)
    noise = rng.normal(size=(n, POINTS // 2 + 1)) + 1j * rng.normal(size=(n, POINTS // 2 + 1))
    length = rng.uniform(1.5, 6.0, n)[:, None]
    smooth = np.fft.irfft(noise * np.exp(-0.5 * (length * _WAVE) ** 2), POINTS, axis=1)
    smooth /= smooth.std(axis=1, keepdims=True)
    warp = np.exp(_uniform(rng, domain.warp, n)[:, None] * smooth)
    values = values * _shared(warp, per)
    return np.asarray(values / np.maximum(values.max(axis=1, keepdims=True), 1e-12))


def nothing(n: int, element: str, rng: np.random.Generator, domain: Domain) -> F8:
    """Spectra with no Mn or Fe edge where one is looked for, height about 1, ``(n, point)``."""
    values: F8 = np.zeros((n, POINTS))
    for row in values:
        kind = rng.integers(6)
        if kind == 0:  # nothing but background
            continue
        if kind == 1:  # the slow waves behind an earlier edge (O-K, C-K)
            period, phase = rng.uniform(8, 60), rng.uniform(0, 6.3)
            row += np.sin(2 * np.pi * GRID_EV / period + phase) * np.exp(-GRID_EV / 200)
        elif kind == 2:  # a step or a delayed edge (K and M4,5 edges)
            at = rng.uniform(-20, 20)
            rise = np.arctan((GRID_EV - at) / rng.uniform(0.5, 8)) / np.pi + 0.5
            row += rise * np.exp(-np.maximum(GRID_EV - at, 0) / rng.uniform(10, 200))
        elif kind == 3:  # one peak on a step (F-K and others)
            at, width = rng.uniform(-20, 20), rng.uniform(0.5, 6)
            row += np.exp(-0.5 * ((GRID_EV - at) / width) ** 2)
            row += rng.uniform(0, 0.6) * (np.arctan((GRID_EV - at) / width) / np.pi + 0.5)
        else:  # white lines at another distance (Ti, V, Cr; Co, Ni, Cu; Ba, La, Ce)
            row += other_white_lines(element, rng)
    resolution = _log_uniform(rng, domain.resolution_ev, n)
    values = _broadened(values, rng.uniform(0.1, 0.6, n), resolution)
    return np.asarray(values / np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12))


def other_white_lines(element: str, rng: np.random.Generator) -> F8:
    """Two groups of lines too near to or too far from each other to be Mn or Fe."""
    near = rng.random() < 0.5
    split = rng.uniform(4.5, 9.2) if near else rng.uniform(15.0, 21.0)
    if not near and element == "Mn":
        split = rng.uniform(13.3, 21.0)
    ratio, at = np.exp(rng.uniform(np.log(0.2), np.log(1.3))), rng.uniform(-15, 15)
    row = np.zeros(POINTS)
    for centre, strength in ((at, 1.0), (at + split, ratio)):
        for _ in range(rng.integers(1, 4)):
            width = rng.uniform(0.3, 1.5)
            place = centre + rng.normal(0, 1.0)
            row += strength * rng.uniform(0.2, 1) / (1 + ((GRID_EV - place) / width) ** 2)
    step = np.arctan((GRID_EV - at) / 2) / np.pi + 0.5
    return np.asarray(row / row.max() + rng.uniform(0, 0.3) * step)


def _axis(element: str, shift_ev: float, rng: np.random.Generator, domain: Domain) -> EnergyAxis:
    """An energy axis: from the few channels of a digitised figure to a whole detector.

    A short axis is laid around the shifted edge, as whoever cut it out saw the edge there.
    """
    dispersion = float(_log_uniform(rng, domain.dispersion_ev)[()])
    if rng.random() < domain.usual_axes:
        dispersion = float(rng.choice([0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0]))
    before, after = rng.uniform(5, 12), rng.uniform(16, 28)
    if rng.random() < 0.4:
        before, after = rng.uniform(12, 150), rng.uniform(26, 200)
    size = round((before + after) / dispersion)
    return EnergyAxis(L3_EV[element] + shift_ev - before, dispersion, size)


def _measured(
    physics: F8, axis: EnergyAxis, element: str, shift: F8, rng: np.random.Generator, domain: Domain
) -> tuple[F8, F8]:
    """Counts on the axis: background, dose, noise, and what users do to files."""
    per = domain.pixels
    n = len(physics) // per
    energies = axis.energies_ev
    x = energies - L3_EV[element]
    signal = np.stack([np.interp(x - s, GRID_EV, y) for s, y in zip(shift, physics, strict=True)])
    level = _log_uniform(rng, domain.background, n)[:, None]
    clean = rng.random(n) < 0.3
    level[clean] = 0.0
    power = _shared(rng.uniform(2.0, 5.0, n)[:, None], per)
    under = ((energies[None] - shift[:, None]) / L3_EV[element]) ** -power
    under = _shared(level, per) * under
    dose = _shared(_log_uniform(rng, domain.dose, n), per)
    scale = (dose * axis.dispersion_ev / 0.1)[:, None]
    expected = np.maximum(scale * (signal + under), 0.0)
    counts = rng.poisson(expected).astype(np.float64)
    readout = rng.normal(0, 1, counts.shape)
    counts += readout * _shared(rng.uniform(0, 2, n) * (rng.random(n) < 0.3), per)[:, None]
    quiet = _shared(rng.random(n) < domain.noiseless, per)
    counts[quiet] = (scale * (signal + under))[quiet]
    dose[quiet] = np.inf
    removed = _shared(rng.random(n) < domain.removed, per)
    wrong = 1.0 + rng.normal(0, 0.01, n)[:, None]
    tilt = rng.normal(0, 0.02, n)[:, None] * x[None] / 20.0
    counts[removed] -= (scale * under * _shared(wrong + tilt, per))[removed]
    return counts, dose
