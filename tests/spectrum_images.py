"""Spectrum images with known phases for learners: quick, and independent of the simulator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def phantom(
    shape: tuple[int, int],
    channels: int,
    edge_counts: float,
    seed: int = 0,
    background: float = 4.0,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Two oxides in rings, a third in a stripe, and their support; thickness varies.

    Parameters
    ----------
    edge_counts
        Mean counts of a pixel's edges; the background has ``background`` times as many.

    Returns
    -------
    counts, phase : float32 ``(pixel, channel)``, int ``(pixel,)`` of 0 to 3
    """
    rng = np.random.default_rng(seed)
    e = np.linspace(0, 1, channels)

    def white_lines(onset: float, split: float, ratio: float) -> NDArray[np.float64]:
        step = np.where(e > onset, 0.1, 0.0)
        lines = [np.exp(-0.5 * ((e - onset - d) / 0.008) ** 2) for d in (0.02, 0.02 + split)]
        spectrum = step + lines[0] + ratio * lines[1]
        return np.asarray(spectrum / spectrum.sum())

    edges = np.array(
        [white_lines(0.40, 0.05, 0.5), white_lines(0.415, 0.05, 0.4), white_lines(0.70, 0.06, 0.4)]
    )
    y, x = np.mgrid[: shape[0], : shape[1]] / np.max(shape)
    radius = np.hypot(y - 0.5, x - 0.5)
    phase = np.select([radius < 0.2, radius < 0.35, x < 0.14], [0, 1, 2], 3).ravel()
    amount = np.eye(4)[phase, :3]
    thickness = (1 + 0.3 * np.sin(7 * x)).ravel()
    smooth = (1 + 2 * e) ** -3.0
    mean = amount @ edges * edge_counts + background * edge_counts * smooth / smooth.sum()
    return rng.poisson(mean * thickness[:, None]).astype(np.float32), phase


def keenan_kotula(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Weighted spectra as a batch: each row and each channel over the root of its total."""
    x = x.astype(np.float64)
    rows, columns = x.sum(axis=1), x.sum(axis=0)
    return np.asarray(x / np.sqrt(rows)[:, None] / np.sqrt(columns))


def angle_deg(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Largest principal angle between the spans of columns, degrees."""
    a, b = (np.linalg.qr(np.asarray(v, np.float64))[0] for v in (first, second))
    return float(np.degrees(np.arcsin(min(1.0, np.linalg.norm(b - a @ (a.T @ b), 2)))))
