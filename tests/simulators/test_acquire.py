from __future__ import annotations

import numpy as np
import pytest
from live_eels.simulators.acquire import Acquisition, reconstruct
from live_eels.simulators.scene import Scene, load_scene
from live_eels.simulators.truth import CLASSES

from live_eels.spectra import Scan, ScanEnd, Spectra


def small(**changes: object) -> Scene:
    scan = {"shape": (6, 9), "step_nm": 7.0} | changes
    return load_scene("core_shell").changed(scan=scan)


def collected(acquisition: Acquisition, chunk: int = 64) -> dict[str, np.ndarray]:
    out = {
        signal.name: np.zeros((acquisition.scan.pixels, signal.axis.size))
        for signal in acquisition.scan.signals
    }
    for message in acquisition.messages(chunk):
        if isinstance(message, Spectra):
            out[message.signal][message.pixels] += message.counts
    return out


def test_messages_begin_with_the_scan_and_end_with_its_end() -> None:
    messages = list(Acquisition(small(), seed=2).messages(chunk=10))
    assert isinstance(messages[0], Scan)
    assert messages[-1] == ScanEnd(messages[0].id, "complete", 54)
    spectra = [m for m in messages if isinstance(m, Spectra)]
    assert [m.sequence for m in spectra] == list(range(len(spectra)))
    assert {m.signal for m in spectra} == {"core", "low"}
    for signal in messages[0].signals:
        seen = np.concatenate([m.pixels for m in spectra if m.signal == signal.name])
        assert sorted(seen) == list(range(54))


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_same_seed_same_bytes_whatever_the_chunk(chunk: int) -> None:
    one = collected(Acquisition(small(), seed=3), 64)
    two = collected(Acquisition(small(), seed=3), chunk)
    other = collected(Acquisition(small(), seed=4), 64)
    for name in one:
        assert one[name].tobytes() == two[name].tobytes()
        assert one[name].tobytes() != other[name].tobytes()


@pytest.mark.parametrize("passes", [1, 3])
def test_truth_rebuilds_the_expected_spectra(passes: int) -> None:
    acquisition = Acquisition(small(passes=passes), seed=5)
    expected = acquisition.expected()
    for name in ("core", "low"):
        visits = reconstruct(acquisition.scene, 5, acquisition.truth.visits, name)
        total = np.zeros_like(expected[name])
        np.add.at(total, acquisition.truth.visits.pixels, visits)
        np.testing.assert_allclose(total, expected[name], rtol=1e-6, atol=1e-6)


def test_truth_maps_alone_rebuild_a_single_pass() -> None:
    acquisition = Acquisition(small(), seed=5)
    maps = acquisition.truth.maps
    names = [name for name in maps if name.startswith("amount_")]
    visits = acquisition.truth.visits
    np.testing.assert_array_equal(
        np.stack([maps[name].ravel() for name in names], axis=1), visits.amounts_nm
    )
    np.testing.assert_array_equal(maps["shift_ev"].ravel(), visits.shift_ev)
    np.testing.assert_array_equal(maps["electrons"].ravel(), visits.electrons)
    expected = acquisition.expected()["core"].sum(axis=1)
    np.testing.assert_allclose(maps["counts"].ravel(), expected, rtol=1e-6)


def test_fractions_add_up_and_label_is_the_largest() -> None:
    maps = Acquisition(small(), seed=6).truth.maps
    fractions = np.stack([maps[f"fraction_{name}"] for name in CLASSES])
    np.testing.assert_allclose(fractions.sum(axis=0), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(fractions.argmax(axis=0), maps["label"])
