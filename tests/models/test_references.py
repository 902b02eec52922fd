import csv

import msgspec
import numpy as np
import pytest
from live_eels.models.lines import CLASSES, shipped_lines
from live_eels.models.randomise import draw
from live_eels.models.simulated_tests import LABORATORY

from live_eels.classify import Classifier
from live_eels.model_card import ModelError, read_card

pytest.importorskip("torch")


def _standards(folder, n):
    domain = msgspec.structs.replace(LABORATORY, none=0.0, dose=(2000, 3000))
    listed = []
    for i, g in enumerate(draw(shipped_lines(), 32 * n, np.random.default_rng(5), domain)):
        name = f"{i}.csv"
        rows = np.stack([g.axis.energies_ev, g.counts[0]], axis=1)
        np.savetxt(folder / name, rows, delimiter=",", header="energy_ev,intensity", comments="")
        listed.append((name, CLASSES[g.label[0]]))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label"), *listed])


def test_standards_are_cross_validated_and_the_verdict_is_in_the_card(tmp_path, monkeypatch):
    from live_eels.models import references

    monkeypatch.setattr(references, "REHEARSED", 1000)
    monkeypatch.setattr(references, "COPIES", 20)
    _standards(tmp_path, 8)
    said: list[str] = []
    path = references.train_with_references("mn-fe-dense", tmp_path, tmp_path / "out", said.append)
    figures = read_card(path).figures["references"]
    assert figures["references"] == 8
    better = figures["accuracy_with"] > figures["accuracy_without"]
    assert figures["kept"] == ("with" if better else "without")
    assert any("cross-validation" in line for line in said)
    assert Classifier.load(path).card.name == "mn-fe-dense-own"


def test_too_few_standards(tmp_path):
    from live_eels.models.references import train_with_references

    _standards(tmp_path, 3)
    with pytest.raises(ModelError, match="four"):
        train_with_references("mn-fe-dense", tmp_path, tmp_path / "out")
    with pytest.raises(ModelError, match="only networks"):
        train_with_references("mn-fe-linear-svm", tmp_path, tmp_path / "out")
