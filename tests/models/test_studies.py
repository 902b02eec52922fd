import pytest
from live_eels.models.lines import CLASSES

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
    assert (tmp_path / "s.json").exists()


def test_finding_the_edge_makes_shifts_harmless(monkeypatch):
    from live_eels.models import shift_study as study

    monkeypatch.setattr(study, "TRAINED", {"fixed": (0.0, 1e-6)})
    monkeypatch.setattr(study, "SHIFTS_EV", (0, 6))
    curves = study.shift_study(spectra=2500, asked=400)
    assert set(curves) == {"fixed", study.ALIGNED}
    aligned = curves[study.ALIGNED]
    assert abs(aligned["6"] - aligned["0"]) < 0.12
    assert curves["fixed"]["6"] < aligned["6"] - 0.1
    assert len(CLASSES) == 6
