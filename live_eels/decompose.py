"""Streaming principal component analysis of spectra with Poisson noise.

Lives here: the learner that turns spectra into loadings while they arrive. Knows no
clusters, no maps, no files.

How it works
------------
Counting noise differs from channel to channel and from pixel to pixel. Keenan & Kotula
(2004) divide each spectrum by the square root of its own total and each channel by the
square root of that channel's total, after which all noise has the same variance. Both
totals are running sums, so the weighted cross-product matrix of all spectra so far,

    G = sum over pixels of  x xᵀ / (x's total),

can be accumulated *before* the channel totals are known and weighted when it is used. G is
exact: its leading eigenvectors are what a batch decomposition of the same pixels gives. (Of
later pixels, beside the basis, it sums a share: see `cross_product`.) It
is a plain sum, so two learners merge by adding. Accumulating it is one BLAS call per some blocks
of pixels; eigenvectors are refreshed now and then, from the last ones.

Blocks hold a fixed number of pixels whatever the chunks that bring them, so the state
depends on the order of the pixels alone, to the last bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from live_eels.cross_product import CrossProduct
from live_eels.decompose_settings import DecomposeSettings, block_pixels, sample_share
from live_eels.kernels.eigen import aligned, leading
from live_eels.kernels.pca import in_common, project, rebuild, row_totals, scale_rows
from live_eels.noise_floor import angles_deg, noise_floor

CERTAIN_DEG = 10.0
"""A component's shape can be read when it lies no further than this from the true one."""

NEWS = 2.0
"""What a block's spectra have in common beside the basis (`in_common`): from here on it is new.
Noise makes 1, and for 200 channels 2 is ten standard deviations more."""

FAINT = 0.01
"""Rows and channels with less than this share of the mean total are weighted as if they had
it: Poisson weights grow without bound where (almost) nothing was counted."""


_BLAS = ThreadpoolController()
"""Sums run in one BLAS thread: the same to the last bit on any number of cores, and the other
cores are free for the other threads of the engine (waiting BLAS threads spin)."""


class Rebuilt(NamedTuple):
    """Spectra from their components.

    ``spectra`` float32 ``(pixel, channel)``, counts; ``noise`` float32 ``(pixel,)``, standard
    deviation of the measured channels about them, counts; ``residual`` float32 ``(pixel,)``,
    reduced chi-square of the measured ones: 1 is counting noise alone. nan before there is a
    basis.
    """

    spectra: NDArray[np.float32]
    noise: NDArray[np.float32]
    residual: NDArray[np.float32]


class StreamingPCA:
    """Principal components of all spectra so far, refreshed while they arrive.

    Uncentred, as the field does it: component 1 is close to the mean spectrum.

    Parameters
    ----------
    channels : int
        Length of a spectrum.
    settings : DecomposeSettings
    seed : int
        Chooses the start of the eigen-solver and the pixels of the later share.

    Attributes
    ----------
    seen : int
        Pixels given to `learn`, those in the unfinished block included.
    basis_version : int
        Counts the refreshes of the basis; 0 until the first one.
    components : int
        Significant components: above the noise floor, or as set.
    scree : ndarray
        Variance of each component relative to the noise, float64 ``(component,)``, falling.
    angles_deg : ndarray
        Angle to be expected between each factor and the true one, float64 ``(component,)``.
    noise_edge : float
        Where `scree` meets the noise: components below are not significant.
    factors : ndarray
        float32 ``(component, channel)``: a spectrum is about ``loadings @ factors``.

    Notes
    -----
    The loadings' noise variance is the pixel's total counts, in each component alike (for
    ``weighting="poisson"`` and counting noise).

    Examples
    --------
    >>> pca = StreamingPCA(2048, DecomposeSettings(), seed=0)
    >>> pca.learn(spectra)
    >>> loadings = pca.transform(spectra)
    """

    def __init__(self, channels: int, settings: DecomposeSettings | None = None, seed: int = 0):
        self.channels = channels
        self.settings = settings or DecomposeSettings()
        self._width = self.settings.width
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        self._rows = np.empty((0, channels), np.float32)  # the unfinished block
        self._filled = 0
        self.seen = 0
        self._absorbed = 0
        self._gram = CrossProduct(channels)
        self._channel_total = np.zeros(channels)
        self._total = 0.0
        self._spectra = 0
        self._scratch = np.empty((0, channels), np.float32)
        self._next_update = self._soonest = 0
        self._light = np.zeros(channels, np.float32)  # of channels, in the present basis
        self.basis_version = 0
        self._handed_version = 0
        self._handed_factors = np.zeros((self._width, channels), np.float32)
        self._directions = np.zeros((channels, self._width), np.float32)
        self.factors = np.zeros((self._width, channels), np.float32)
        self._projection = np.full((self._width, channels), np.nan, np.float32)
        self.scree = np.zeros(self._width)
        self.angles_deg = np.full(self._width, 90.0)
        self.noise_edge = 1.0
        self.components = 0

    # ---- learning -------------------------------------------------------------------

    @property
    def room(self) -> int:
        """Pixels until the block is full: cut chunks here to be free of their boundaries."""
        return self._block_pixels() - self._filled

    def learn(self, x: NDArray[np.float32]) -> None:
        """Take spectra in.

        Parameters
        ----------
        x : float32 ``(pixel, channel)``, counts
            Corrected and aligned, background still in. Rows with a channel that is not
            finite, and rows without counts, teach nothing.
        """
        x = np.asarray(x, np.float32)
        start = 0
        while start < len(x):
            size = self._block_pixels()
            piece = x[start : start + size - self._filled]
            start += len(piece)
            self.seen += len(piece)
            if len(piece) == size:
                self._absorb(np.ascontiguousarray(piece))
                continue
            if len(self._rows) < size:
                held = self._rows[: self._filled]
                self._rows = np.empty((size, self.channels), np.float32)
                self._rows[: self._filled] = held
            self._rows[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            if self._filled == size:
                self._filled = 0
                self._absorb(self._rows[:size])

    def finish(self) -> None:
        """Learn what is left in the unfinished block and let the basis converge fully."""
        filled, self._filled = self._filled, 0
        if filled:
            self._add(self._rows[:filled])
        self._refresh(rounds=20, images=3)

    def merge(self, other: StreamingPCA) -> None:
        """Take over what another learner has seen, as if its pixels had come here too."""
        if other.channels != self.channels or other.settings != self.settings:
            raise ValueError("learners of other channels or settings cannot be merged")
        self._gram.merge(other._gram)
        self._channel_total += other._channel_total
        self._total += other._total
        self._spectra += other._spectra
        self._absorbed += other._absorbed
        self.seen += other._absorbed
        self.learn(other._rows[: other._filled])
        self._refresh(rounds=20, images=3)

    def _block_pixels(self) -> int:
        return block_pixels(self._absorbed, self.settings)

    def _absorb(self, rows: NDArray[np.float32]) -> None:
        """Take one full block in, and refresh the basis when it is time."""
        news = self._add(rows) > NEWS and self._absorbed >= self._soonest
        if news or self._absorbed >= self._next_update:
            self._refresh(rounds=1, images=1)

    def _add(self, rows: NDArray[np.float32]) -> float:
        """Add counts ``(pixel, channel)`` to the sums; tell how much is new (``NEWS``)."""
        self._absorbed += len(rows)
        totals = np.empty(len(rows))
        row_totals(rows, totals)
        good = np.isfinite(totals) & (totals > 0)
        if not good.all():
            rows, totals = rows[good], totals[good]
        if not len(rows):
            return 0.0
        self._total += float(totals.sum())
        self._spectra += len(rows)
        scale = np.ones(len(rows), np.float32)
        if self.settings.weighting == "poisson":
            floor = FAINT * self._total / self._spectra
            scale = (1.0 / np.sqrt(np.maximum(totals, floor))).astype(np.float32)
        if len(self._scratch) < len(rows):
            self._scratch = np.empty((len(rows), self.channels), np.float32)
        scaled = self._scratch[: len(rows)]
        scale_rows(rows, scale, self._channel_total, scaled)
        with _BLAS.limit(limits=1, user_api="blas"):
            if self._absorbed <= self.settings.full_pixels:
                self._gram.add(scaled)
            else:
                keep = max(1, round(sample_share(self._absorbed, self.settings) * len(rows)))
                kept = np.sort(self._rng.choice(len(rows), keep, replace=False))
                self._gram.add_thinned(scaled, kept)
                scaled = scaled[kept]
            return in_common(scaled, self._light, self._directions, self._projection)

    def turn_to(self, other: StreamingPCA) -> NDArray[np.float32]:
        """Loadings ``a`` of this basis are ``a @ R`` in that of ``other``: this is R.

        float32 ``(component, component)``.
        """
        turn = self.factors.astype(np.float64) @ other._projection.T.astype(np.float64)
        return turn.astype(np.float32)

    def frozen(self) -> StreamingPCA:
        """Give one that transforms as this one does now, whatever this one learns later.

        Costs little: a refresh makes new arrays and leaves the old ones as they were. What is
        frozen must not learn.
        """
        now = object.__new__(type(self))  # copy.copy would take what __getstate__ makes
        vars(now).update(vars(self))
        now._channel_total = self._channel_total.copy()  # what blocks add to in place
        return now

    def __getstate__(self) -> dict[str, Any]:
        """What is worth keeping: without scratch, and only the filled part of the block."""
        kept = dict(vars(self))
        kept["_rows"] = self._rows[: self._filled].copy()
        kept["_scratch"] = self._scratch[:0].copy()
        return kept

    # ---- the basis --------------------------------------------------------------------

    def _channel_scale(self) -> NDArray[np.float64]:
        """Expected noise of a channel of a spectrum with one count, float64 ``(channel,)``."""
        if self.settings.weighting == "none":
            return np.ones(self.channels)
        share = self._channel_total / self._total
        return np.sqrt(np.maximum(share, FAINT / self.channels))

    def _refresh(self, rounds: int, images: int) -> None:
        """Find the leading eigenvectors anew, starting from the last ones."""
        growth = min(int(self._absorbed * self.settings.growth), self.settings.update_pixels)
        self._next_update, self._soonest = self._absorbed + growth, self._absorbed + growth // 8
        if self._spectra == 0:
            return
        scale = self._channel_scale()
        sure = min(self.components + 1, self._width)
        with _BLAS.limit(limits=1, user_api="blas"):
            values, vectors = leading(
                self._gram, 1.0 / scale, self._directions, rounds, sure, images, self._seed
            )
        trace = float(self._gram.diagonal() @ scale**-2)
        self.scree = np.maximum(values, 0.0) / self._spectra
        floor = noise_floor(
            self.scree[: self.channels], trace / self._spectra, self.channels, self._gram.weights
        )
        self.noise_edge = floor.edge
        self.components = max(floor.components, 1)
        if self.settings.components is not None:
            self.components = min(self.settings.components, self._width, self.channels)
        vectors, order = aligned(vectors, self._directions, self.components)
        self._directions = vectors.astype(np.float32)
        self.factors = np.ascontiguousarray((vectors * scale[:, None]).T, np.float32)
        self._light = (1.0 / scale).astype(np.float32)
        self._projection = np.ascontiguousarray((vectors / scale[:, None]).T, np.float32)
        k = self.components
        self._gram.turn(self._projection[:k].T, self.factors[:k].T)
        squared = np.full(self._width, self._gram.squared_weight)
        squared[:k] = self._gram.along
        told = self._spectra**2 / squared
        self.angles_deg = angles_deg(self.scree[order], floor.level, self.channels, told)
        self.basis_version += 1

    def set_components(self, components: int | None) -> None:
        """Hold so many components significant from now on, or let the noise floor choose."""
        self.settings = msgspec.structs.replace(self.settings, components=components)
        if self.basis_version:
            self._refresh(rounds=1, images=1)

    def take_rotation(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """How loadings of the basis last asked about look in the present one.

        Returns
        -------
        (R, offset) or None
            float32 ``(component, component)`` and ``(component,)``: old loadings become
            ``old @ R + offset``. None if the basis did not change since the last call.
        """
        if self.basis_version == self._handed_version:
            return None
        rotation = self._handed_factors.astype(np.float64) @ self._projection.T.astype(np.float64)
        self._handed_version = self.basis_version
        self._handed_factors = self.factors
        return rotation.astype(np.float32), np.zeros(self._width, np.float32)

    # ---- reading ----------------------------------------------------------------------

    @property
    def width(self) -> int:
        """Columns of the loadings."""
        return self._width

    @property
    def certain(self) -> NDArray[np.bool_]:
        """Which significant components are known to `CERTAIN_DEG`, bool ``(component,)``."""
        return self.angles_deg[: self.components] <= CERTAIN_DEG

    @property
    def mean(self) -> NDArray[np.float32]:
        """Mean spectrum of the pixels learned, float32 ``(channel,)``, counts."""
        return (self._channel_total / max(self._spectra, 1.0)).astype(np.float32)

    def transform(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Loadings of spectra in the present basis; nan before there is one.

        Parameters
        ----------
        x : float32 ``(pixel, channel)``, counts

        Returns
        -------
        float32 ``(pixel, component)``
            `width` columns, the `components` significant ones first; nan where a channel of
            the spectrum is.
        """
        out = np.empty((len(x), self._width), np.float32)
        project(np.ascontiguousarray(x, np.float32), self._projection, out)
        return out

    def rebuild(self, x: NDArray[np.float32], loadings: NDArray[np.float32]) -> Rebuilt:
        """Spectra as the significant components tell them, and what these leave of ``x``.

        Parameters
        ----------
        x : float32 ``(pixel, channel)``, counts
        loadings
            Of ``x``, in the present basis.
        """
        n = self.components if self.basis_version and self._total > 0 else 0
        spectra, noise, left = (
            np.empty_like(x),
            np.empty(len(x), np.float32),
            np.empty(len(x), np.float32),
        )
        if n == 0:
            for unknown in (spectra, noise, left):
                unknown.fill(np.nan)
            return Rebuilt(spectra, noise, left)
        share = np.maximum(self._channel_total / self._total, FAINT / self.channels)
        use = np.ascontiguousarray(loadings[:, :n])
        rebuild(use, self.factors[:n], x, share.astype(np.float32), spectra, noise, left)
        return Rebuilt(spectra, noise, left / np.float32(max(self.channels - n, 1)))
