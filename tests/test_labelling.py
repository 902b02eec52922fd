"""What a model saw as typical, from its card to curves that can be drawn."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from live_eels.models import shipped

from live_eels.labelling import typical
from live_eels.model_card import ModelError, read_card


@pytest.fixture
def card():
    found = read_card(next(iter(shipped().values())))
    line = np.hanning(found.window.points)
    means = {
        name: tuple((line * (i + 1)).tolist()) for i, name in enumerate(("Mn2+", "Mn4+", "Fe3+"))
    }
    return msgspec.structs.replace(found, means=means)


def test_means_lie_where_the_edge_is_expected(card) -> None:
    curves = typical(card, ("Mn", "Fe"))
    assert {name: curve.labels for name, curve in curves.items()} == {
        "Mn class means": ("Mn2+", "Mn4+"), "Fe class means": ("Fe3+",),
    }  # fmt: skip
    mn = curves["Mn class means"]
    assert mn.axis.offset_ev == 640.0 + card.window.low_ev
    assert mn.values.shape == (2, card.window.points)
    np.testing.assert_allclose(mn.values[1], 2 * mn.values[0])


def test_only_of_elements_that_can_be_told_here(card) -> None:
    assert list(typical(card, ("Fe",))) == ["Fe class means"]
    assert typical(msgspec.structs.replace(card, means={}), ("Mn", "Fe")) == {}


def test_means_of_another_window_are_no_card(card, tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_bytes(msgspec.toml.encode(card))
    assert read_card(path).means == card.means
    text = path.read_text().replace('"Mn2+" = [', '"Mn2+" = [0.5, ')
    path.write_text(text)
    with pytest.raises(ModelError, match="means of 'Mn2\\+' are not on the 128 points"):
        read_card(path)
