import pytest

from live_eels import edges
from live_eels.spectra import EnergyAxis


@pytest.mark.parametrize(
    ("name", "subshell", "onset"),
    [("Mn L", "L3", 638.7), ("Mn L2", "L2", 649.9), ("Mn L2,3", "L3", 638.7), ("O K", "K", 532),
     ("La M4,5", "M5", 836), ("La M", "M5", 836), ("Ti M", "M3", 32.6), ("fe L", None, None),
     ("Fe-L", "L3", 706.8), ("U N", "N5", 736.2)],
)  # fmt: skip
def test_names(name, subshell, onset):
    if subshell is None:
        with pytest.raises(edges.EdgeError, match="names no edge"):
            edges.find(name)
        return
    edge = edges.find(name)
    assert edge.subshell == subshell
    assert edge.onset_ev == pytest.approx(onset, abs=0.5)


@pytest.mark.parametrize(("name", "words"), [("Mn K", "Mn L3"), ("H L", "H K"), ("Xx K", "Xx K")])
def test_what_is_no_edge_is_said_with_what_there_is(name, words):
    with pytest.raises(edges.EdgeError, match=words):
        edges.find(name)


def test_every_element_to_californium_has_edges_up_to_3_kev():
    table = edges.levels()
    assert len(table) == 98
    assert [number for number, _ in table.values()] == list(range(1, 99))
    for element, (_, have) in table.items():
        assert any(energy <= edges.MAX_ONSET_EV for energy in have.values()), element
    assert all(edge.onset_ev <= edges.MAX_ONSET_EV for edge in edges.main_edges())
    assert len(edges.main_edges()) > 230


def test_default_windows_stand_before_and_after_the_onset():
    for edge in edges.main_edges():
        assert edge.fit_ev[0] < edge.fit_ev[1] < edge.onset_ev
        assert edge.signal_ev[0] < edge.onset_ev < edge.signal_ev[1]


def test_edges_on_an_axis_and_the_guess():
    axis = EnergyAxis(500.0, 0.25, 2048)
    names = [edge.name for edge in edges.within(axis)]
    assert {"Mn L", "Fe L", "Cr L"} <= set(names)
    assert "O K" in names
    assert "C K" not in names
    assert [edge.name for edge in edges.guess(axis)] == ["Mn L", "Fe L"]
    assert edges.guess(EnergyAxis(4000.0, 1.0, 100)) == ()
