"""Where windows lie on the axis that arrived; the messages are in tests/test_preprocess.py."""

import pytest

from live_eels import edges, placement
from live_eels.spectra import EnergyAxis, Signal, WindowError

AXIS = EnergyAxis(500.0, 0.5, 600)  # 500 to 799.5 eV: O, Mn and Fe


def energies(channels, axis=AXIS):
    values = axis.energies_ev[channels]
    return float(values[0]), float(values[-1])


def test_edges_come_by_onset_whatever_their_order():
    found = placement.edges_on(("Fe L", "O K", "Mn L"), AXIS)
    assert [edge.name for edge in found] == ["O K", "Mn L", "Fe L"]


def test_without_names_the_axis_is_guessed():
    assert [edge.name for edge in placement.edges_on((), AXIS)] == ["Mn L", "Fe L"]
    assert placement.edges_on((), EnergyAxis(3000.0, 0.5, 100)) == ()


def test_an_edge_elsewhere_is_refused_with_both_energies():
    with pytest.raises(WindowError, match=r"Cu L.*932.*500.*799\.5"):
        placement.edges_on(("Cu L",), AXIS)


def test_the_window_holds_all_edges_and_what_comes_before():
    known = placement.edges_on(("Mn L", "Fe L"), AXIS)
    low, high = energies(placement.analysis_window(None, known, AXIS))
    assert low == pytest.approx(known[0].onset_ev - 10, abs=0.5)
    assert high == pytest.approx(min(known[1].signal_ev[1], AXIS.end_ev), abs=0.5)
    assert placement.analysis_window(None, (), AXIS) == slice(0, 600)
    assert energies(placement.analysis_window((600, 620), known, AXIS)) == (600, 620)


def test_a_window_near_the_end_of_the_axis_is_cut_there():
    short = EnergyAxis(636.0, 0.5, 100)
    known = placement.edges_on(("Mn L",), short)
    assert placement.analysis_window(None, known, short) == slice(0, 100)


def fit(background_ev=None, window_ev=None, axis=AXIS, *, required=False, power_law=True):
    known = placement.edges_on((), axis)
    window = placement.analysis_window(window_ev, known, axis)
    return placement.fit_window(
        background_ev, window_ev, known, window, axis, required=required, power_law=power_law
    )


def test_the_background_is_fitted_before_the_edge_and_clear_of_it():
    low, high = energies(fit())
    assert AXIS.offset_ev <= low < high < edges.find("Mn L").onset_ev
    assert high - low >= 20


def test_before_a_window_of_ones_own_the_fit_ends_two_channels_short():
    channels = fit(window_ev=(700.0, 760.0))
    assert AXIS.energies_ev[channels][-1] == pytest.approx(700 - 2 * 0.5, abs=0.51)
    assert energies(channels)[1] - energies(channels)[0] == pytest.approx(0.08 * 699, abs=1.5)


def test_a_window_asked_for_is_taken_as_it_is():
    assert energies(fit(background_ev=(580.0, 630.0))) == (580, 630)


def test_no_room_is_silent_unless_it_was_asked_for():
    tight = EnergyAxis(638.0, 0.5, 100)
    assert fit(axis=tight) is None
    with pytest.raises(WindowError, match=r"no room.*638.*687\.5.*background = \"none\""):
        fit(axis=tight, required=True)
    with pytest.raises(WindowError, match="3 channels"):
        fit(background_ev=(600.0, 600.4))


def test_a_power_law_needs_energies_above_zero():
    low = EnergyAxis(-20.0, 0.5, 200)
    assert fit(window_ev=(5.0, 40.0), axis=low) is None
    with pytest.raises(WindowError, match="above 0 eV"):
        fit(window_ev=(5.0, 40.0), axis=low, required=True)
    with pytest.raises(WindowError, match="above 0 eV"):
        fit(background_ev=(-5.0, 4.0), axis=low)
    assert energies(fit(background_ev=(-5.0, 4.0), axis=low, power_law=False), low) == (-5, 4)


CORE, LOW = Signal("core", AXIS), Signal("low", EnergyAxis(-20.0, 0.2, 300))
BOTH = Signal("core", EnergyAxis(-20.0, 1.0, 900))
HIGH = Signal("low", EnergyAxis(10.0, 0.2, 300))


@pytest.mark.parametrize(
    ("align", "core", "low", "expected"),
    [
        ("auto", CORE, LOW, "low"),
        ("zlp", CORE, LOW, "low"),
        ("auto", BOTH, None, "core"),
        ("auto", BOTH, HIGH, "core"),
        ("auto", CORE, None, None),
        ("auto", CORE, HIGH, None),
        ("edge", CORE, LOW, None),
        ("none", BOTH, LOW, None),
    ],
)
def test_the_zero_loss_peak_is_looked_for_where_zero_is(align, core, low, expected):
    assert placement.zlp_source(align, core, low) == expected


@pytest.mark.parametrize(("core", "low", "named"), [(CORE, None, "500"), (CORE, HIGH, "69.8")])
def test_a_zero_loss_peak_that_cannot_be_is_named(core, low, named):
    with pytest.raises(WindowError, match=named):
        placement.zlp_source("zlp", core, low)


def test_a_search_stays_on_the_axis():
    axis = LOW.axis
    assert placement.search_channels(axis, 0.0, 5.0) == (75, 126)
    assert placement.search_channels(axis, 0.0, 500.0) == (0, 300)
    assert placement.search_channels(axis, -900.0, 5.0) == (0, 1)
