"""The two learners together: what is left at the end of a scan counts as much as the rest."""

from contextlib import nullcontext

import numpy as np

from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose import DecomposeSettings, block_pixels
from live_eels.learning import AtOnce, Learners


def test_a_phase_in_the_last_unfinished_block_is_found_at_the_end():
    rng = np.random.default_rng(0)
    e = np.linspace(0, 1, 128)
    pure = [np.exp(-0.5 * ((e - at) / 0.05) ** 2) + 0.2 for at in (0.3, 0.7)]
    ends = [shape / shape.sum() * 20_000 for shape in pure]
    phases = [ends[0], ends[1], (ends[0] + ends[1]) / 2]  # the third brings no component
    blocks, taken = [], 0
    while taken < 2500:
        blocks.append(block_pixels(taken, DecomposeSettings()))
        taken += blocks[-1]
    number = np.append(np.arange(taken) % 2, np.full(24, 2))
    x = rng.poisson(np.array(phases)[number]).astype(np.float32)
    assert block_pixels(taken, DecomposeSettings()) > 24
    learners = Learners(
        128, DecomposeSettings(), ClusterSettings(), 0, AtOnce(), lambda stage: nullcontext()
    )
    learners.learn(x[:taken])
    learners.learn(x[taken:])
    assert learners.newest.kmeans.clusters == 2
    learners.finish()
    last = learners.newest
    label = last.kmeans.predict(last.pca.transform(x))
    assert last.kmeans.clusters == 3
    assert len(set(label[taken:])) == 1
    assert not set(label[taken:]) & set(label[:taken])
