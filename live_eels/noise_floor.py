"""Which principal components are more than noise, and how well their directions are known.

Lives here: random-matrix theory of the scree. Knows no spectra. With ``p`` channels and ``n``
spectra, noise of unit variance alone fills a band of variances up to ``(1 + sqrt(p / n))**2``
(Marchenko & Pastur 1967), whose edge flutters as Tracy & Widom (1996) say. A true component
above that is found, but turned away from where it is by an angle that only its variance and
``p / n`` set (Paul, Statistica Sinica 17 (2007) 1617). Spectra of unlike weight widen the band
(Silverstein & Choi, J. Multivariate Anal. 54 (1995) 295).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar


class Floor(NamedTuple):
    """What stands above the noise.

    Attributes
    ----------
    components
        Number of components above the noise.
    edge
        Variance where the scree meets the noise.
    level
        Mean variance of the noise in one direction.
    """

    components: int
    edge: float
    level: float


def band_edge(p: int, weights: Mapping[float, float]) -> float:
    """Largest variance of noise whose true variance is one in every direction.

    Parameters
    ----------
    p
        Channels.
    weights
        Number of spectra by the weight that each has in the sum of all.
    """
    n = sum(number * weight for weight, number in weights.items())
    ratio, heaviest = p / n, max(weights)

    def variance(share: float) -> float:
        t = share / (ratio * heaviest)
        told = sum(number * w / (1 - ratio * w * t) for w, number in weights.items())
        return 1 / t + told / n

    return float(minimize_scalar(variance, bounds=(0.0, 1.0), method="bounded").fun)


def noise_floor(
    scree: NDArray[np.float64], trace: float, p: int, weights: Mapping[float, float]
) -> Floor:
    """Count the components above the noise.

    The mean level of the noise comes from what the leading components leave. Resampling
    (which ties neighbouring channels together) and readout noise (which Poisson weights do
    not know) lift the edge above theory, so the scree's second, surely noisy half has a say.

    Parameters
    ----------
    scree : float64 ``(component,)``, falling
        Variances of the leading components.
    trace
        Sum of all variances, the others included.
    p, weights
        As for `band_edge`.
    """
    band = band_edge(p, weights)
    n = sum(k * w for w, k in weights.items()) ** 2 / sum(k * w**2 for w, k in weights.items())
    flutter = (np.sqrt(n) + np.sqrt(p)) * (n**-0.5 + p**-0.5) ** (1 / 3) / n
    first = len(scree) // 2
    lifted = float(2 * scree[first] - scree[-1])
    found, edge, level = 0, 0.0, 0.0
    while found < max(first, 1):
        level = max(trace - float(scree[:found].sum()), 0.0) / max(p - found, 1)
        edge = max(level * (band + 4 * flutter), lifted)
        if scree[found] <= edge:
            break
        found += 1
    return Floor(found, edge, max(level, edge / (band + 4 * flutter)))


def angles_deg(
    scree: NDArray[np.float64], level: float, p: int, n: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Angle to be expected between each component and the true one, degrees.

    Parameters
    ----------
    scree : float64 ``(component,)``
    level
        Mean variance of the noise in one direction.
    p, n
        Channels; spectra, or as many as would be as uncertain where they differ in weight,
        perhaps of each component ``(component,)``.

    Returns
    -------
    float64 ``(component,)``; 90 for what cannot be told from noise.
    """
    ratio = p / n
    found = scree / max(level, 1e-30) - 1 - ratio  # t + ratio / t, for a true variance 1 + t
    square = found**2 - 4 * ratio
    true = (found + np.sqrt(np.maximum(square, 0.0))) / 2
    known = (square > 0) & (found > 0)
    true = np.where(known, true, 1.0)
    cosine = np.maximum(1 - ratio / true**2, 0.0) / (1 + ratio / true)
    return np.where(known, np.degrees(np.arccos(np.sqrt(cosine))), 90.0)
