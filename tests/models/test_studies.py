import pytest
from live_eels.models import studies
from live_eels.models.lines import CLASSES
from msgspec.structs import replace

pytest.importorskip("torch")


def test_search_covers_what_it_promises_and_ranks(monkeypatch, tmp_path):
    from live_eels.models import search

    assert len(search.DENSE) >= 12
    assert len(search.CONVOLUTIONAL) >= 8
    assert search.EPOCHS == (10, 30)
    monkeypatch.setattr(search, "DENSE", search.DENSE[:2])
    monkeypatch.setattr(search, "CONVOLUTIONAL", search.CONVOLUTIONAL[:1])
    monkeypatch.setattr(search, "EPOCHS", (1, 2))
    rows = search.search(600, out=tmp_path / "s.json", say=lambda _: None)
    assert len(rows) == 6
    accuracy = [row["accuracy"] for row in rows]
    assert accuracy == sorted(accuracy, reverse=True)

    def trained_again(*_):
        raise AssertionError("what is in the file is not done again")

    monkeypatch.setattr(search, "fit", trained_again)
    assert search.search(600, out=tmp_path / "s.json", say=lambda _: None) == rows


def test_finding_the_edge_makes_shifts_harmless(monkeypatch, tmp_path):
    from live_eels.models import shift_study as study

    monkeypatch.setattr(study, "TRAINED", {"fixed": (0.0, 1e-6)})
    monkeypatch.setattr(study, "SHIFTS_EV", (0, 6))
    curves = study.shift_study(2500, 400, out=tmp_path / "c.json", say=lambda _: None)
    assert studies.stored(tmp_path / "c.json") == curves
    assert set(curves) == {"fixed", study.ALIGNED}
    aligned = curves[study.ALIGNED]
    assert abs(aligned["6"] - aligned["0"]) < 0.12
    assert curves["fixed"]["6"] < aligned["6"] - 0.1
    assert len(CLASSES) == 6


def test_shipped_studies_are_whole():
    from live_eels.models import search, shift_study

    rows = studies.stored(studies.FOLDER / studies.STRUCTURES)
    wanted = {search.described(recipe) for recipe in search.structures(1)}
    for epochs in search.EPOCHS:
        assert {row["structure"] for row in rows if row["epochs"] == epochs} == wanted
    curves = studies.stored(studies.FOLDER / studies.SHIFTS)
    assert set(curves) == {*shift_study.TRAINED, shift_study.ALIGNED}
    assert all(len(curve) == 27 for curve in curves.values())


def test_words_follow_the_numbers():
    rows = [
        {"family": "dense", "structure": "8", "epochs": e, "parameters": 9, "accuracy": a}
        for e, a in ((10, 0.8), (30, 0.9))
    ]
    first, gain = studies.structures_in_words(rows)
    assert "8 after 30 epochs, 90.0%" in first
    assert "+10.0% on average" in gain
    (one,) = studies.shifts_in_words({"fixed": {"-1": 0.5, "0": 0.9, "1": 0.88, "2": 0.4}})
    assert one == "Fixed: 90.0% unshifted, within 5 points of its best from +0 to +1 eV."


@pytest.mark.parametrize(
    ("network", "machine", "words"),
    [
        (0.95, 0.90, "the network is ahead by 5.0%"),
        (0.90, 0.95, "the machine is ahead by 5.0%"),
        (0.901, 0.9, "no difference beyond chance (+0.1%"),
    ],
)
def test_who_is_ahead_is_read_off_the_cards(network, machine, words):
    def card(name, family, accuracy):
        figures = {"held_out": {"accuracy": accuracy}}
        return replace(cards[0], name=name, family=family, figures=figures)

    cards = studies.cards()
    some = [card("n", "dense", network), card("m", "rbf-svm", machine)]
    assert words in studies.machines_against_networks(some)[0]
    assert studies.machines_against_networks(some[:1]) == []
