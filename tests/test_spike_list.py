import numpy as np

from conftest import two_phase_scan
from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose_settings import DecomposeSettings
from live_eels.pipeline import Pipeline
from live_eels.preprocess import Preprocessor
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import Chunk
from live_eels.spike_list import MOST_LISTED, SpikeList, spike_map


def with_spikes():
    """Scan, core and low loss; spikes, as pixel and channel."""
    scan, core, low, _ = two_phase_scan((10, 12))
    put = np.array([[3, 50], [3, 200], [77, 10], [119, 300]])
    core = core.copy()
    core[put[:, 0], put[:, 1]] += 3000
    return scan, core, low, put


def test_spikes_of_a_chunk_are_counted_by_pixel_in_any_order():
    scan, core, low, _ = with_spikes()
    pixels = np.random.default_rng(0).permutation(120)
    prepared = Preprocessor(scan).process(Chunk(scan, pixels, core[pixels], low[pixels]))
    number = np.zeros(120)
    number[pixels] = spike_map(prepared)
    assert number[[3, 77, 119]].tolist() == [2, 1, 1]
    assert number.sum() == 4
    none = Preprocessor(scan, PreprocessSettings(spikes_sigma=0)).process(
        Chunk(scan, pixels, core[pixels], low[pixels])
    )
    assert (spike_map(none) == 0).all()


def test_a_scan_ends_with_each_spike_once_however_it_came():
    scan, core, low, put = with_spikes()
    pipeline = Pipeline(
        scan,
        preprocess=PreprocessSettings(),
        decompose=DecomposeSettings(),
        cluster=ClusterSettings(),
    )
    pixels = np.arange(120)[::-1]
    for part in pixels.reshape(-1, 30):
        result = pipeline.process(Chunk(scan, part, core[part], low[part]))
        assert result.maps["spikes"].sum() == np.isin(put[:, 0], part).sum()
    assert pipeline.spikes.found == 4
    again = np.arange(60)
    pipeline.process(Chunk(scan, again, core[again], low[again]), learn=False)
    assert pipeline.spikes.found == 4
    maps = list(pipeline.settle(lambda size: [Chunk(scan, np.arange(120), core, low)]))
    assert pipeline.spikes.found == 4
    assert pipeline.spikes.listed.tolist() == put.tolist()
    assert maps[0].maps["spikes"][3] == 2


def test_the_list_has_an_end_and_the_count_has_none():
    scan, core, low, _ = with_spikes()
    prepared = Preprocessor(scan).process(Chunk(scan, np.arange(120), core, low))
    spikes = SpikeList()
    assert spikes.listed.shape == (0, 2)
    rounds = MOST_LISTED // 4 + 2
    for _ in range(rounds):
        spikes.note(prepared)
    assert spikes.found == 4 * rounds
    assert len(spikes.listed) == MOST_LISTED
