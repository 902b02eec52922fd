"""The two learners together: what is left at the end of a scan counts as much as the rest."""

from contextlib import nullcontext

import numpy as np

from live_eels.cluster_settings import ClusterSettings
from live_eels.decompose_settings import DecomposeSettings, block_pixels
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


def test_pixels_from_before_a_component_was_found_are_told_apart_by_it():
    rng = np.random.default_rng(1)
    e = np.linspace(0, 1, 128)
    peaks = [np.exp(-0.5 * ((e - at) / 0.05) ** 2) for at in (0.3, 0.5, 0.7)]
    base = sum(peaks) + 0.3
    # the first two differ so little that it takes hundreds of pixels to see that they do
    shapes = [base + 0.06 * peaks[1], base - 0.06 * peaks[1], base + 1.0 * peaks[2]]
    number = np.append(rng.integers(0, 2, 3000), np.full(300, 2))
    counts = np.array([shape / shape.sum() * 30_000 for shape in shapes])
    x = rng.poisson(counts[number]).astype(np.float32)
    learners = Learners(
        128, DecomposeSettings(), ClusterSettings(), 0, AtOnce(), lambda stage: nullcontext()
    )
    learners.learn(x)
    learners.finish()
    learnt = learners.newest
    kept = learners._kmeans._reservoir.rows
    np.testing.assert_allclose(kept, learnt.pca.transform(x), rtol=1e-3, atol=1.0)
