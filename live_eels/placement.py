"""Windows a user sets in eV, placed on the channels of the axis that arrived.

Lives here: every decision of *where* to look, and the messages when it is not possible.
Touches no spectra.
"""

from __future__ import annotations

from typing import Literal

from live_eels import edges
from live_eels.spectra import EnergyAxis, Signal, WindowError

_BEFORE_EDGE_EV = 10.0
_LEAST_FIT_CHANNELS = 8


def edges_on(names: tuple[str, ...], axis: EnergyAxis) -> tuple[edges.Edge, ...]:
    """Edges by name, by onset; without names what the axis most likely is for.

    Raises
    ------
    WindowError
        If a name is no edge, or its onset is not on the axis.
    """
    if not names:
        return edges.guess(axis)
    found = []
    for name in names:
        try:
            edge = edges.find(name)
        except edges.EdgeError as error:
            raise WindowError(str(error)) from error
        if not axis.offset_ev <= edge.onset_ev <= axis.end_ev:
            raise WindowError(
                f"the edge {name} begins at {edge.onset_ev:g} eV, outside the energy axis, "
                f"which runs from {axis.offset_ev:g} to {axis.end_ev:g} eV"
            )
        found.append(edge)
    return tuple(sorted(found, key=lambda edge: edge.onset_ev))


def analysis_window(
    window_ev: tuple[float, float] | None, known: tuple[edges.Edge, ...], axis: EnergyAxis
) -> slice:
    """Channels that are analysed: as asked, else around the edges, else the whole axis."""
    if window_ev is not None:
        return axis.window(*window_ev)
    if not known:
        return slice(0, axis.size)
    end_ev = max(edge.signal_ev[1] for edge in known)
    start_ev = known[0].onset_ev - _BEFORE_EDGE_EV
    return axis.window(max(start_ev, axis.offset_ev), min(end_ev, axis.end_ev))


def fit_window(
    background_ev: tuple[float, float] | None,
    window_ev: tuple[float, float] | None,
    known: tuple[edges.Edge, ...],
    window: slice,
    axis: EnergyAxis,
    *,
    required: bool,
    power_law: bool,
) -> slice | None:
    """Channels in which the background is fitted, or None where the axis has no room for it.

    Parameters
    ----------
    required
        A background was asked for by name: no room is the user's error, not ours to smooth over.
    power_law
        Energies must be positive.

    Raises
    ------
    WindowError
        If the window asked for is not on the axis or cannot carry a fit.
    """
    if background_ev is not None:
        channels = axis.window(*background_ev)
        if channels.stop - channels.start < 3:
            raise WindowError(
                f"a background needs 3 channels to be fitted; {background_ev[0]:g} to "
                f"{background_ev[1]:g} eV holds {channels.stop - channels.start} of "
                f"{axis.dispersion_ev:g} eV"
            )
    else:
        if window_ev is None and known:
            start_ev, end_ev = known[0].fit_on(axis)
        else:
            end_ev = axis.offset_ev + (window.start - 2) * axis.dispersion_ev
            start_ev = max(end_ev - min(max(0.08 * end_ev, 8.0), 60.0), axis.offset_ev)
        if end_ev - start_ev < (_LEAST_FIT_CHANNELS - 0.5) * axis.dispersion_ev:
            if not required:
                return None
            raise WindowError(
                f"no room to fit a background: the edge window begins at "
                f"{axis.offset_ev + window.start * axis.dispersion_ev:g} eV and the energy "
                f"axis runs from {axis.offset_ev:g} to {axis.end_ev:g} eV; set background_ev, "
                f'or background = "none"'
            )
        channels = axis.window(start_ev, end_ev)
    start_ev = axis.offset_ev + channels.start * axis.dispersion_ev
    if power_law and start_ev <= 0:
        if not required and background_ev is None:
            return None
        raise WindowError(
            f"a power law needs energies above 0 eV; the fit window begins at {start_ev:g} eV"
        )
    return channels


def holds_zero(axis: EnergyAxis) -> bool:
    """Whether a zero-loss peak can be seen on the axis."""
    return axis.offset_ev <= -2 * axis.dispersion_ev and axis.end_ev > 0


def zlp_source(align: str, core: Signal, low: Signal | None) -> Literal["low", "core"] | None:
    """Which signal holds the zero-loss peak that spectra are aligned by, if any is to.

    Raises
    ------
    WindowError
        If ``align`` is ``zlp`` and no signal holds 0 eV.
    """
    if align not in ("auto", "zlp"):
        return None
    if low is not None and holds_zero(low.axis):
        return "low"
    if holds_zero(core.axis):
        return "core"
    if align == "auto":
        return None
    signal = low or core
    raise WindowError(
        f"no zero-loss peak to align by: 0 eV is not inside the energy axis of "
        f"{signal.name!r}, which runs from {signal.axis.offset_ev:g} to {signal.axis.end_ev:g} eV"
    )


def search_channels(axis: EnergyAxis, energy_ev: float, reach_ev: float) -> tuple[int, int]:
    """First and one past the last channel within ``reach_ev`` of ``energy_ev``."""
    centre = (energy_ev - axis.offset_ev) / axis.dispersion_ev
    reach = reach_ev / axis.dispersion_ev
    return int(max(centre - reach, 0)), int(min(max(centre + reach, 0) + 1, axis.size))
