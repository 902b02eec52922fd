"""Earlier pixels follow what was learnt: all of them, and without a jump of the maps."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from live_eels.cluster import OnlineKMeans
from live_eels.cluster_settings import ClusterSettings
from live_eels.following import EveryPixel, NumbersBefore
from live_eels.learning import Learnt

BASIS = SimpleNamespace(width=3, basis_version=1, components=3)


def phases():
    """Loadings of 1000 pixels of three phases, the third of which are 40, and the phase."""
    phase = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [480, 480, 40]))
    corners = np.array([[0, 0, 5], [20, 0, 5], [8, 2, 5]])
    rows = corners[phase] + 0.3 * np.random.default_rng(1).normal(size=(1000, 3))
    return rows.astype(np.float32), phase


def finished(rows, clusters):
    """Clusters of all these loadings, as many as told or as there are."""
    kmeans = OnlineKMeans(ClusterSettings(outlier_sigma=0, clusters=clusters))
    kmeans.learn(rows)
    kmeans.finish()
    return kmeans


def test_a_phase_found_late_comes_pixel_by_pixel_and_all_of_it():
    rows, phase = phases()
    kmeans = OnlineKMeans(ClusterSettings(outlier_sigma=0))
    kmeans.learn(rows[phase < 2])
    known = EveryPixel(1000, Learnt(BASIS, kmeans.frozen(), 1.0))
    shown = known.put(np.arange(1000), rows)
    known.colours.next_map()
    assert len(np.unique(shown)) == 2
    kmeans.learn(rows[phase == 2])
    kmeans.finish()
    known.adopt(Learnt(BASIS, kmeans.frozen(), 1.0))
    for pixels, _, cluster in known.follow():
        assert np.mean(shown[pixels] != cluster) == 0
    assert not known.stale
    changed = []
    while True:
        pixels, cluster = known.colours.next_map()
        if not len(pixels):
            break
        changed.append(len(pixels))
        shown[pixels] = cluster
    assert changed == [10, 10, 10, 10]
    np.testing.assert_array_equal(shown, kmeans.predict(rows))
    assert len(np.unique(shown[phase == 2])) == 1


def test_numbers_on_the_maps_stay_known_until_no_pixel_can_show_them():
    rows, _ = phases()
    kmeans = finished(rows, clusters=3)
    known = EveryPixel(1000, Learnt(BASIS, kmeans.frozen(), 1.0))
    known.put(np.arange(1000), rows)
    known.colours.next_map()
    kmeans.set_clusters(2)
    assert len(kmeans.centres) == 2
    known.adopt(Learnt(BASIS, kmeans.frozen(), 1.0))
    list(known.follow())
    assert known.numbers == 3
    gone, _ = known.colours.next_map()
    assert len(gone) == 10
    known.forget_colours()
    assert known.numbers == 2


def test_put_anew_nothing_holds_a_pixel_and_the_surest_are_shown_first():
    rows, phase = phases()
    kmeans = finished(rows, clusters=None)
    known = EveryPixel(1000, Learnt(BASIS, kmeans.frozen(), 1.0))
    known.put(np.arange(1000), rows)
    known.colours.next_map()
    a, b, _ = (kmeans.centres[kmeans.predict(rows[phase == n][:1])[0]] for n in range(3))
    moved = np.flatnonzero(phase == 0)[:30]
    along = np.linspace(0.55, 0.9, 30, dtype=np.float32)[:, None]  # from hardly to surely past
    rows[moved] = a + along * (b - a)
    known.put_anew()
    shown = known.put(np.arange(1000), rows)
    want = kmeans.predict(rows)
    np.testing.assert_array_equal(known.colours.exact, want)
    leave = np.flatnonzero(shown != want)
    assert leave.tolist() == moved.tolist()
    assert known.colours.next_map()[0].tolist() == moved[20:].tolist()


def test_numbers_before_are_those_of_some_pixels_that_had_a_cluster():
    rows, _ = phases()
    kmeans = finished(rows, clusters=3)
    known = EveryPixel(6000, Learnt(BASIS, kmeans.frozen(), 1.0))
    pixels = np.arange(0, 6000, 6)
    label = known.put(pixels, rows)
    noted = NumbersBefore(known, seed=0)
    every = np.arange(6000)
    for some in (every[:2000], every[2000:]):
        noted.note(some, some[:, None].astype(np.float32))
    spectra, numbers = noted.noted()
    chosen = spectra[:, 0].astype(int)
    assert 0.5 * len(pixels) < len(chosen) < len(pixels)
    assert set(chosen) < set(pixels)
    np.testing.assert_array_equal(numbers, label[chosen // 6])
