"""Leading eigenpairs of a large weighted cross-product matrix, from a good guess.

A block Krylov method: the guess and its images under the matrix span a space, and the best
eigenvectors within it are the next guess. From the last basis one round is enough while
spectra arrive; at the end rounds go on until nothing moves.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

SPARE = 8
"""Columns beyond those asked for: they keep the wanted ones apart from the rest."""

STILL = 1e-4
"""Rounds end when no vector turns by more than this (radian)."""


class Gram(Protocol):
    """A symmetric matrix of which little more is asked than its products with columns."""

    def times(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Image of ``columns``, float32 ``(channel, column)``."""

    def diagonal(self) -> NDArray[np.float64]:
        """float64 ``(channel,)``."""

    def whole(self) -> NDArray[np.float64]:
        """float64 ``(channel, channel)``."""


def leading(
    gram: Gram,
    weight: NDArray[np.float64],
    start: NDArray[np.float32],
    rounds: int,
    sure: int,
    images: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leading eigenpairs of ``diag(weight) gram diag(weight)``.

    Parameters
    ----------
    gram : Gram
    weight : float64 ``(channel,)``
    start : float32 ``(channel, component)``
        Guess of the eigenvectors; zero columns are none.
    rounds : int
        At most so many; ends sooner once the first ``sure`` vectors stand still.
    sure : int
    images : int
        Powers of the matrix that each round applies.
    seed : int
        Of the random columns that fill the guess.

    Returns
    -------
    values, vectors : float64 ``(component,)`` falling, float64 ``(channel, component)``
        As many as ``start`` has columns; zero where the matrix has no more channels.
    """
    channels, width = start.shape
    block = min(width + SPARE, channels)
    if channels <= 2 * (images + 1) * block:
        return _all(gram, weight, width)
    light = weight.astype(np.float32)[:, None]
    size = np.float32(max(float((gram.diagonal() * weight**2).max()), 1e-30))

    def times(q: NDArray[np.float32]) -> NDArray[np.float32]:
        return gram.times(light * q) * (light / size)

    guess = np.random.default_rng(seed).standard_normal((channels, block)).astype(np.float32)
    known = np.flatnonzero(np.any(start, axis=0))
    guess[:, known] = start[:, known]
    q = np.linalg.qr(guess)[0]
    for _ in range(rounds):
        space, products = [q], [times(q)]
        for _ in range(images):
            step = _beside(products[-1], space)
            if not step.size:
                break
            space.append(step)
            products.append(times(step))
        basis, image = np.concatenate(space, axis=1), np.concatenate(products, axis=1)
        inner = (basis.T @ image).astype(np.float64)
        values, mix = np.linalg.eigh((inner + inner.T) / 2)
        mix = mix[:, ::-1][:, :block].astype(np.float32)
        turned = basis @ mix
        turned /= np.linalg.norm(turned, axis=0)
        still = float(np.abs(turned - q @ (q.T @ turned))[:, :sure].max()) < STILL
        q = turned
        if still:
            break
    return values[::-1][:width] * float(size), q[:, :width].astype(np.float64)


def _beside(columns: NDArray[np.float32], space: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Orthonormal directions of ``columns`` that ``space`` does not hold yet, perhaps none.

    Twice is enough: what is left after the first turn may be rounding noise, which is made
    orthogonal, or dropped, by the second.
    """
    for _ in range(2):
        columns = np.linalg.qr(columns)[0]
        for other in space:
            columns = np.asarray(columns - other @ (other.T @ columns), np.float32)
    columns = columns[:, np.linalg.norm(columns, axis=0) > 0.5]
    return np.asarray(np.linalg.qr(columns)[0], np.float32) if columns.size else columns


def _all(
    gram: Gram, weight: NDArray[np.float64], width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve small matrices completely."""
    channels = len(weight)
    w, v = np.linalg.eigh(gram.whole() * weight[:, None] * weight)
    n = min(width, channels)
    values, vectors = np.zeros(width), np.zeros((channels, width))
    values[:n], vectors[:, :n] = w[::-1][:n], v[:, ::-1][:, :n]
    return values, vectors


def aligned(
    vectors: NDArray[np.float64], last: NDArray[np.float32], components: int
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Give significant vectors the order, and all the sign, of the last basis.

    Also gives where each came from.
    A vector without a predecessor gets the sign that makes its largest swing positive.
    """
    overlap = np.abs(last[:, :components].T @ vectors[:, :components])
    slots, found = linear_sum_assignment(-overlap)
    order = np.arange(vectors.shape[1])
    order[slots] = found
    vectors = vectors[:, order]
    same = np.sum(vectors * last, axis=0)
    largest = vectors[np.argmax(np.abs(vectors), axis=0), np.arange(vectors.shape[1])]
    sign = np.where(np.abs(same) > 0.2, np.sign(same), np.sign(largest))
    return vectors * np.where(sign == 0, 1.0, sign), order
