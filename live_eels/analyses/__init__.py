"""Analyses: what a user wants to see of each spectrum, as named maps. The extension point.

Lives here: the protocol every analysis follows, how analyses are found (entry-point group
``live_eels.analyses``) and made from settings, and the guard that switches off one that
raises. Each analysis that ships has a file of its own beside this one.

An analysis is a class with a ``Settings`` type (``msgspec.Struct``) and three members:

- ``specs``: the maps it gives, each with name, unit, range and meaning;
- ``start(scan, axis, window, low_axis)``: the scan was announced; check windows, make tables;
- ``update(prepared)``: one chunk came; return a value per pixel for each map.

``update`` should look at each spectrum alone: then a scan cut into other chunks gives the
same maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from live_eels.spectra import EnergyAxis, MapSpec, Prepared, Scan

GROUP = "live_eels.analyses"
"""Entry-point group: name (the ``kind`` in the settings) to class."""


class AnalysisError(ValueError):
    """Settings that ask for an analysis nobody can make (the user's fault)."""


@runtime_checkable
class Analysis(Protocol):
    """What the pipeline knows of an analysis."""

    @property
    def specs(self) -> tuple[MapSpec, ...]:
        """The maps it gives."""

    def start(
        self, scan: Scan, axis: EnergyAxis, window: slice, low_axis: EnergyAxis | None
    ) -> None:
        """Begin a scan: check that what is needed is there, make tables.

        ``axis`` is that of ``Prepared.counts``, ``window`` the channels of ``Prepared.signal``,
        ``low_axis`` that of ``Prepared.low`` (None without low loss).

        Raises ``WindowError`` if what it needs is not on the axis.
        """

    def update(self, prepared: Prepared) -> Mapping[str, NDArray[np.float32]]:
        """Map name to float32 ``(pixel,)`` for the pixels of ``prepared``, nan where unknown."""


def kinds() -> dict[str, Any]:
    """Installed analyses: ``kind`` to entry point, not loaded yet."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load(configs: Iterable[Mapping[str, Any]]) -> list[Analysis]:
    """Make the analyses that ``[[analysis]]`` tables ask for.

    Parameters
    ----------
    configs
        Each with a ``kind`` and that kind's settings: ``{"kind": "element", "edge": "Mn L"}``.

    Raises
    ------
    AnalysisError
        If a kind is not installed, or its settings are wrong; the message says which.
    """
    known = kinds()
    found: list[Analysis] = []
    for number, config in enumerate(configs, start=1):
        settings = dict(config)
        kind = settings.pop("kind", None)
        where = f"analysis {number}"
        if kind not in known:
            raise AnalysisError(
                f"{where}: no analysis of kind {kind!r}; installed: {', '.join(sorted(known))}"
            )
        made = known[kind].load()
        try:
            found.append(made(msgspec.convert(settings, made.Settings)))
        except (msgspec.ValidationError, ValueError) as error:
            raise AnalysisError(f"{where} ({kind}): {error}") from error
    return found


class Guarded:
    """Analyses that cannot stop a scan: one that raises is switched off, its error kept.

    Parameters
    ----------
    analyses
        What ``load`` gave.

    Attributes
    ----------
    specs
        Maps of the analyses that run.
    errors
        One line for each analysis switched off, for a person.
    """

    def __init__(self, analyses: Iterable[Analysis]) -> None:
        self._all = list(analyses)
        self._running: list[Analysis] = []
        self.errors: list[str] = []

    @property
    def specs(self) -> tuple[MapSpec, ...]:
        """Maps of the analyses that run."""
        return tuple(spec for analysis in self._running for spec in analysis.specs)

    def start(
        self, scan: Scan, axis: EnergyAxis, window: slice, low_axis: EnergyAxis | None
    ) -> None:
        """Begin a scan with all analyses; those that cannot run on it are named in ``errors``."""
        self._running, self.errors = [], []
        taken: set[str] = set()
        for analysis in self._all:
            try:
                analysis.start(scan, axis, window, low_axis)
                names = {spec.name for spec in analysis.specs}
            except Exception as error:  # a plug-in may raise anything; the scan goes on
                self._switch_off(analysis, error)
                continue
            if names & taken:
                twice = ", ".join(sorted(names & taken))
                self._switch_off(analysis, ValueError(f"another analysis gives map {twice}"))
                continue
            taken |= names
            self._running.append(analysis)

    def update(self, prepared: Prepared) -> dict[str, NDArray[np.float32]]:
        """Maps of all running analyses for the pixels of one chunk."""
        maps: dict[str, NDArray[np.float32]] = {}
        for analysis in tuple(self._running):
            try:
                maps.update(_checked(analysis, analysis.update(prepared), len(prepared.pixels)))
            except Exception as error:  # see start
                self._running.remove(analysis)
                self._switch_off(analysis, error)
        return maps

    def _switch_off(self, analysis: Analysis, error: Exception) -> None:
        self.errors.append(
            f"analysis {_title(analysis)} is switched off: {type(error).__name__}: {error}"
        )


def _title(analysis: Analysis) -> str:
    """Its class and first map, which tells two of a kind apart."""
    try:
        maps = [spec.name for spec in analysis.specs]
    except Exception:  # a plug-in's own property
        maps = []
    return f"{type(analysis).__name__} ({maps[0]})" if maps else type(analysis).__name__


def _checked(
    analysis: Analysis, maps: Mapping[str, Any], pixels: int
) -> dict[str, NDArray[np.float32]]:
    promised = {spec.name for spec in analysis.specs}
    checked = {}
    for name, values in maps.items():
        if name not in promised:
            raise ValueError(f"it gave a map {name!r} that is not among its specs")
        array = np.asarray(values, dtype=np.float32)
        if array.shape != (pixels,):
            raise ValueError(
                f"map {name!r} has shape {array.shape} for {pixels} pixels of the chunk"
            )
        checked[name] = array
    return checked
