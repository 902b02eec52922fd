from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from live_eels.simulators.acquire import Acquisition, reconstruct
from live_eels.simulators.scene import load_scene
from live_eels.simulators.truth import save, truth_path
from live_eels.simulators.truth_file import TruthFileError, load

from live_eels.io.recorder import Recorder
from live_eels.spectra import Chunk, ScanEnd, Spectra

hs = pytest.importorskip("hyperspy.api")


@pytest.mark.filterwarnings("ignore")
def test_truth_lies_beside_the_recording_and_hyperspy_opens_both(tmp_path: Path) -> None:
    scene = load_scene("standards").changed(scan={"shape": (4, 14), "step_nm": 4.0})
    acquisition = Acquisition(scene, seed=1)
    recording = tmp_path / "scan.hspy"
    recorder = Recorder(recording, acquisition.scan)
    for message in acquisition.messages():
        if isinstance(message, Spectra) and message.signal == "core":
            recorder.write(Chunk(acquisition.scan, message.pixels, message.counts))
        elif isinstance(message, ScanEnd):
            recorder.finish(message)
    path = truth_path(recording)
    assert path == tmp_path / "scan.truth.hspy"
    save(acquisition.truth, acquisition.scan, path, scene)

    recorded = hs.load(recording)
    recorded = recorded[0] if isinstance(recorded, list) else recorded
    signals = {signal.metadata.General.title: signal for signal in hs.load(path)}
    assert set(signals) == set(acquisition.truth.maps)
    counts = signals["counts"].data
    assert recorded.data.shape[:2] == counts.shape
    # 56 pixels of Poisson counts: their sum is right to a few standard deviations
    assert abs(recorded.data.sum() - counts.sum()) < 5 * np.sqrt(counts.sum())
    assert signals["label"].axes_manager[-1].units == "nm"

    truth, read = load(path)
    assert read == scene
    for name, values in acquisition.truth.maps.items():
        np.testing.assert_array_equal(truth.maps[name], values)
        assert truth.specs[name] == acquisition.truth.specs[name]
    rebuilt = reconstruct(read, 1, truth.visits, "core")
    np.testing.assert_allclose(rebuilt, acquisition.expected()["core"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["line_scan", "live_view"])
def test_truth_of_lines_and_single_positions(name: str, tmp_path: Path) -> None:
    acquisition = Acquisition(load_scene(name), seed=1)
    save(acquisition.truth, acquisition.scan, tmp_path / "x.truth.hspy")
    truth, scene = load(tmp_path / "x.truth.hspy")
    assert scene is None
    assert truth.maps["label"].shape == (acquisition.scan.shape or (1,))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.hspy").write_text("not HDF5")
    with pytest.raises(TruthFileError):
        load(tmp_path / "text.hspy")
    Recorder(tmp_path / "scan.hspy", Acquisition(load_scene("live_view")).scan).close()
    with pytest.raises(TruthFileError):
        load(tmp_path / "scan.hspy")
