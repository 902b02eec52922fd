"""What foreign streams do not tell and a configuration must: scan shape, calibration, optics.

Lives here: the settings that all foreign formats share. Knows no format.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from live_eels.spectra import Instrument, NavigationAxis

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Positive = Annotated[float, Meta(gt=0)]


class AxisSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One direction in which the beam steps.

    Attributes
    ----------
    name
        ``y`` or ``x`` as a rule.
    size
        Number of beam positions along it.
    scale
        Step between two positions, in ``units``.
    units
        Unit of ``scale``.
    offset
        Position of the first one, in ``units``.
    """

    name: Name
    size: Annotated[int, Meta(ge=1, le=65_536)]
    scale: Positive = 1.0
    units: Name = "nm"
    offset: float = 0.0

    @property
    def axis(self) -> NavigationAxis:
        """The axis as the rest of the program knows it."""
        return NavigationAxis(self.name, self.size, self.scale, self.units, self.offset)


class InstrumentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the microscope is set to; leave out what you do not know, nothing is guessed.

    Attributes
    ----------
    beam_energy_kev
        Energy of the beam, keV.
    convergence_mrad
        Convergence semi-angle, mrad.
    collection_mrad
        Collection semi-angle, mrad.
    dwell_s
        Time on each pixel, seconds; by default what the detector says.
    beam_current_na
        Beam current, nA.
    microscope
        Name of the microscope.
    spectrometer
        Name of the spectrometer; by default what the detector says.
    """

    beam_energy_kev: Positive | None = None
    convergence_mrad: Positive | None = None
    collection_mrad: Positive | None = None
    dwell_s: Positive | None = None
    beam_current_na: Positive | None = None
    microscope: Annotated[str, Meta(max_length=1024)] = ""
    spectrometer: Annotated[str, Meta(max_length=1024)] = ""

    def instrument(
        self,
        beam_energy_kev: float | None = None,
        dwell_s: float | None = None,
        spectrometer: str = "",
    ) -> Instrument:
        """Describe the instrument, with what the stream says where the settings are silent."""
        return Instrument(
            self.beam_energy_kev if self.beam_energy_kev is not None else beam_energy_kev,
            self.convergence_mrad,
            self.collection_mrad,
            self.dwell_s if self.dwell_s is not None else dwell_s,
            self.beam_current_na,
            self.microscope,
            self.spectrometer or spectrometer,
        )
