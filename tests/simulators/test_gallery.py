"""The pictures are drawn and show something; ``make_gallery`` itself takes minutes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from live_eels.simulators import gallery
from live_eels.simulators.scene import load_scene
from matplotlib.image import imread


def shown(path: Path) -> float:
    """Part of the picture that is not its background."""
    picture = imread(path)[..., :3]
    return float((np.abs(picture - picture[0, 0]).max(axis=-1) > 0.1).mean())


@pytest.mark.parametrize("draw", [gallery.draw_line_shapes, gallery.draw_low_loss])
def test_sheets_show_something(draw: object, tmp_path: Path) -> None:
    draw(tmp_path / "sheet.png")
    assert shown(tmp_path / "sheet.png") > 0.03


@pytest.mark.parametrize("name", ["line_scan", "standards"])
def test_a_scene_is_drawn(name: str, tmp_path: Path) -> None:
    scene = load_scene(name)
    if len(scene.scan.shape) == 2:
        scene = scene.changed(scan={"shape": (4, 14), "step_nm": 4.0})
    gallery.draw_scene(scene, tmp_path / "scene.png")
    assert shown(tmp_path / "scene.png") > 0.03


def test_gallery_writes_every_picture_and_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "scene_names", lambda: ("live_view",))
    monkeypatch.setattr(gallery, "STANDARDS", ("MnO", "SrTiO3"))
    monkeypatch.setattr(gallery, "draw_line_shapes", gallery.draw_low_loss)
    written = list(gallery.make_gallery(tmp_path / "new"))
    page = written[-1].read_text()
    assert written[-1].name == "index.html"
    for path in written[:-1]:
        assert path.exists()
        assert path.name in page
    assert shown(tmp_path / "new" / "standards.png") > 0.03


def test_edges_are_where_they_should_be() -> None:
    energies, values = gallery.edge_spectrum("MnO", 0.3)
    assert energies[values.argmax()] == pytest.approx(640.4, abs=0.3)
    bare = gallery.edge_spectrum("MnO", 0.3, continuum=False)[1]
    assert bare[-1] / bare.max() < 0.1 * values[-1] / values.max()  # no continuum behind it
