"""What a configuration says of the microscope, and what the stream may add to it."""

from __future__ import annotations

from live_eels.sources.settings import AxisSettings, InstrumentSettings
from live_eels.spectra import Instrument, NavigationAxis


def test_an_axis_is_taken_over_whole():
    axis = AxisSettings(name="x", size=8, scale=0.5, units="um", offset=-2.0).axis
    assert axis == NavigationAxis("x", 8, 0.5, "um", -2.0)


def test_settings_win_over_the_stream_and_nothing_is_guessed():
    told = InstrumentSettings(
        beam_energy_kev=80.0, convergence_mrad=20.0, collection_mrad=40.0, dwell_s=0.1,
        beam_current_na=0.2, microscope="M", spectrometer="S",
    )  # fmt: skip
    assert told.instrument(300.0, 0.5, "D") == Instrument(80.0, 20.0, 40.0, 0.1, 0.2, "M", "S")
    assert InstrumentSettings().instrument(300.0, 0.5, "D") == Instrument(
        beam_energy_kev=300.0, dwell_s=0.5, spectrometer="D"
    )
    assert InstrumentSettings().instrument() == Instrument()
