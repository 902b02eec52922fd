"""Analyses that go without saying once a user has named the edges of the specimen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from live_eels import edges
from live_eels.analyses import Analysis, load
from live_eels.analyses.references import shipped


def for_edges(names: Sequence[str], taken: Iterable[str] = ()) -> list[Analysis]:
    """Element maps of the named edges, and mean valence where reference spectra ship.

    Parameters
    ----------
    names
        Edges as in the settings, such as ``["O K", "Mn L"]``; names of no edge are skipped
        (preprocessing says so).
    taken
        Maps that are given already: an analysis that gives one of them is left out.
    """
    wanted: list[dict[str, Any]] = []
    for name in names:
        try:
            edge = edges.find(name)
        except edges.EdgeError:
            continue
        wanted.append({"kind": "element", "edge": name})
        ions = [ion for ion in shipped().names if ion.rstrip("+0123456789") == edge.element]
        if edge.shell == "L" and len(ions) > 1:
            wanted.append({"kind": "mixing", "references": ions})
    found, have = [], set(taken)
    for analysis in load(wanted):
        gives = {spec.name for spec in analysis.specs}
        if not gives & have:
            found.append(analysis)
            have |= gives
    return found
