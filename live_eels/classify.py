"""Oxidation states from a trained model: counts in, labels with probabilities out.

Lives here: the checks that a model and its card belong together, and running it. What it sees
of a spectrum is cut out by `edge_windows`; the rest of the preparation is inside the ONNX graph,
so a model cannot see wrongly prepared spectra. No training and no evaluation: these are in
`live_eels.models`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from live_eels.edge_windows import Beside, Preparation, alone
from live_eels.model_card import Card, ModelError, read_card
from live_eels.spectra import EnergyAxis, Labels

Source = Literal["automatic", "raw", "denoised", "cluster"]

EDGE_OVER_NOISE = 6.0
"""Length of a denoised edge over the noise of one channel from which there is an edge; what
noise alone leaves in half a dozen components has a length of 1 to 5."""


class Classifier:
    """A trained model and its card, ready to label chunks of spectra.

    Parameters
    ----------
    card
        The card, already read.
    onnx
        The model's bytes; must be the ones the card was written for.
    """

    def __init__(self, card: Card, onnx: bytes) -> None:
        if hashlib.sha256(onnx).hexdigest() != card.sha256:
            raise ModelError(
                f"{card.file} is not the model that the card of {card.name!r} describes"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the analyse thread is one of many; more did not pay
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                onnx, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises a private type for each kind of damage
            raise ModelError(f"{card.file} cannot be loaded: {error}") from error
        self.card = card
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]
        self.preparation = Preparation(card.elements, card.window)
        self._check()
        valence = [np.nan if c.valence is None else c.valence for c in card.classes]
        self._states = np.isfinite(valence)
        self._none = next((i for i, c in enumerate(card.classes) if c.element is None), -1)
        self._valence = np.where(self._states, valence, 0.0).astype(np.float32)

    @classmethod
    def load(cls, path: Path | str) -> Classifier:
        """Read a model by the path of its ``.onnx`` or its ``.toml``; the other lies beside it."""
        card = read_card(Path(path).with_suffix(".toml"))
        if Path(card.file).name != card.file:
            raise ModelError(f"{card.name}: the model's file must lie beside its card")
        try:
            onnx = (Path(path).parent / card.file).read_bytes()
        except OSError as error:
            raise ModelError(f"{card.name}: {error}") from error
        return cls(card, onnx)

    def _check(self) -> None:
        """Card and graph must agree on shapes and on how spectra are prepared."""
        card, session = self.card, self._session
        shapes = {value.name: value.shape[1:] for value in session.get_inputs()}
        wanted = {"window": [card.window.points], "element": [len(card.elements)]}
        if card.scan:
            wanted |= {"scan": [card.window.points], "moved_ev": [1]}
        if shapes != wanted:
            raise ModelError(f"{card.name}: the graph takes {shapes}, the card says {wanted}")
        shapes = {value.name: value.shape[1:] for value in session.get_outputs()}
        wanted = {"probability": [len(card.classes)], "score": []}
        if {name: shapes.get(name) for name in wanted} != wanted:
            raise ModelError(f"{card.name}: the graph gives {shapes}, the card says {wanted}")
        prepared = session.get_modelmeta().custom_metadata_map.get("preparation")
        if prepared != card.preparation:
            raise ModelError(
                f"{card.name}: trained on spectra prepared by {prepared!r}, "
                f"but the card says {card.preparation!r}"
            )
        symbols = {element.symbol for element in card.elements}
        if unknown := {c.element for c in card.classes if c.element} - symbols:
            raise ModelError(f"{card.name}: no edge given for {sorted(unknown)}")

    def bind(self, axis: EnergyAxis) -> tuple[str, ...]:
        """Prepare for spectra on ``axis``; the elements that can be told on it.

        Raises
        ------
        ModelError
            If the axis covers the L3 edge of none of the model's elements; names both ranges.
        """
        try:
            return self.preparation.bind(axis)
        except ModelError as error:
            raise ModelError(f"the model {self.card.name!r} {error}") from None

    def run(
        self,
        window: NDArray[np.float32],
        element: NDArray[np.float32],
        beside: Beside | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        """Run the graph: ``probability``, ``score`` and, if it has one, ``fraction`` by name.

        ``beside``: for models that see the scan too; None: each spectrum is a scan of its own.
        """
        feed = {"window": window, "element": element}
        if self.card.scan:
            scan = beside or alone(window)
            feed |= {"scan": scan.window, "moved_ev": scan.moved_ev}
        values = self._session.run(self._outputs, feed)
        return dict(zip(self._outputs, values, strict=True))

    def predict(
        self,
        counts: NDArray[Any],
        axis: EnergyAxis,
        noise: NDArray[np.float32] | None = None,
        scan: tuple[NDArray[np.float32], EnergyAxis] | None = None,
    ) -> Labels:
        """Label each spectrum; learns nothing.

        Parameters
        ----------
        counts
            ``(pixel, channel)``, any scale, background removed or not. A spectrum that holds
            nan or inf is rejected.
        axis
            Its energy axis; may be wrong by as much as the card's ``within_ev``.
        noise
            Of denoised spectra: standard deviation of a channel of the measured spectrum each
            came from, ``(pixel,)``. Where nothing rises `EDGE_OVER_NOISE` above it the answer
            is "none", whatever the shape: denoised noise looks like other pixels' edges.
        scan
            Mean spectrum of the scan, ``(channel,)``, and its axis, for models that see it.
        """
        n = len(counts)
        if counts.ndim != 2 or counts.shape[1] != axis.size:
            raise ModelError(f"counts {counts.shape} do not lie on an axis of {axis.size} channels")
        if n == 0:
            empty = np.empty((0, len(self.card.classes)), np.float32)
            return Labels(np.empty(0, np.int16), empty, np.empty(0, np.float32))
        seen = self.preparation.windows(counts, axis)
        sound = np.isfinite(seen.strength)
        if not sound.all():
            seen = seen._replace(window=np.where(sound[:, None], seen.window, np.float32(0)))
        beside = None
        if scan is not None and self.card.scan:
            first = np.zeros(n, np.intp)
            beside = self.preparation.beside(seen, scan[0][None], scan[1], first)
        answer = self.run(seen.window, seen.element, beside)
        label = self.decide(answer)
        if noise is not None:
            unseen = seen.strength < EDGE_OVER_NOISE * noise
            label[unseen] = self._none
            if self._none >= 0:
                answer["probability"][unseen] = np.eye(len(self._valence), dtype=np.float32)[
                    self._none
                ]
        label[~sound] = -1
        valence = self.mean_valence(answer)
        valence[(label < 0) | ~self._states[label]] = np.nan
        return Labels(label, answer["probability"], valence)

    def decide(self, answer: Mapping[str, NDArray[np.float32]]) -> NDArray[np.int16]:
        """Pick the most probable class, or -1 where the card's limits reject, ``(n,)``."""
        probability, rule = answer["probability"], self.card.rejection
        kept = (probability.max(axis=1) >= rule.probability) & (answer["score"] <= rule.score)
        return np.where(kept, probability.argmax(axis=1), -1).astype(np.int16)

    def mean_valence(self, answer: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Average the valences by the states' fractions, float32 ``(n,)``.

        By the odds of the states where the model gives no fractions.
        """
        share = answer.get("fraction", answer["probability"])
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (share @ self._valence) / share[:, self._states].sum(axis=1)
        return np.asarray(mean, np.float32)


ENOUGH_COUNTS = 50.0
"""Counts per 0.1 eV at L3 from which a spectrum can be labelled by itself."""
TOO_FEW_COUNTS = 2.0
"""Counts per 0.1 eV at L3 below which even denoised spectra of single pixels are mostly noise."""


def label_source(
    counts_at_edge: float, have_components: bool, have_clusters: bool, wanted: Source = "automatic"
) -> Source:
    """Which spectrum of a pixel to label: its own, the denoised one, or its cluster's mean.

    One spectrum alone needs about `ENOUGH_COUNTS` per 0.1 eV at L3. Below, the spectrum
    rebuilt from the principal components; below `TOO_FEW_COUNTS`, where components of single
    spectra are mostly noise too, the mean of its cluster.

    Parameters
    ----------
    counts_at_edge
        Median counts per 0.1 eV channel at L3 over the scan so far.
    """
    if wanted != "automatic":
        return wanted
    if counts_at_edge >= ENOUGH_COUNTS:
        return "raw"
    if counts_at_edge < TOO_FEW_COUNTS and have_clusters:
        return "cluster"
    return "denoised" if have_components else "raw"


def entropy(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Undecidedness of each answer, 0 (sure) to 1 (all classes alike), float32 ``(pixel,)``."""
    p = np.clip(probability, 1e-12, 1.0)
    return np.asarray(-(p * np.log(p)).sum(axis=1) / np.log(p.shape[1]), np.float32)
