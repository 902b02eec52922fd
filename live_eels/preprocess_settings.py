"""What the user sets of preprocessing, in physical units."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Window = tuple[float, float]
BackgroundName = Literal["auto", "power_law", "power_law_log_log", "exponential", "none"]


class PreprocessSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do to each spectrum before anything is read from it.

    Parameters
    ----------
    edges
        Edges the specimen has, such as ``["Mn L", "Fe L"]``: they set the windows below, and
        their maps are made without being asked for (net counts; mean valence of Mn and Fe).
        Empty: Mn and Fe if the axis holds them, else the first often-mapped edge it holds.
    window_ev
        The energies that are analysed; None: from 10 eV before the first edge to 50 eV after
        the onset of the last, or the whole axis where no edge is known.
    background_ev
        Where the background is fitted; None: before the first edge.
    background
        ``power_law`` and ``exponential`` are fitted by Poisson likelihood (every count
        weighs what it should, also at one count per channel); ``power_law_log_log`` is the
        classic straight line in logarithms. ``auto`` is ``power_law`` where the axis leaves
        room for a fit, else ``none``.
    background_pixels
        Local background averaging: the slope comes from all pixels within this distance
        (the amplitude stays the pixel's own). 0: every pixel for itself.
    align
        ``zlp``: zero-loss peak to 0 eV, from the low loss (or the core loss if it holds
        0 eV). ``edge``: drift tracked from the edges themselves. ``auto``: ``zlp`` if there
        is one, else ``none``.
    align_edges
        Edges that ``align = "edge"`` follows; empty: those of ``edges``.
    drift_pixels
        Over how many pixels in scan order ``edge`` takes its median; 0: one row, at least 33.
    max_shift_ev
        A zero-loss peak or edge farther than this from where it belongs is not believed.
    core_offset_ev
        Added to every energy of the core-loss axis: a calibration error of the spectrometer
        that the zero-loss peak cannot show.
    spikes_sigma
        A channel is an X-ray if counting noise alone made its counts no more often than a
        Gaussian departs by so many standard deviations (4.78: nine times in ten million); 0:
        leave all in. Once 16 pixels were seen a channel is compared with the mean spectrum of
        the scan, as bright as the pixel is around it and as far as pixels agree; before that
        with its neighbours alone.
    dead_channels
        Core-loss channels known to be bad; bridged from their neighbours.
    find_bad_channels
        Also bridge channels that stick out of, or drop from, the mean spectrum.
    deconvolve
        ``fourier_ratio``: plural scattering is taken out of the background-subtracted window
        with the low loss of the same pixel. Components, clusters and labels then see the
        single-scattering edge on its background; analyses, which choose for themselves, do
        not. A pixel without a zero-loss peak stays as it is.
    resolution_ev
        Full width of the Gaussian that deconvolution keeps as resolution; None: that of the
        pixel's own zero-loss peak.
    saturation_counts
        Raw counts at which the detector saturates; None: the top of its integer type.
    least_zlp_counts
        A zero-loss peak with fewer counts is none.
    least_window_counts
        A spectrum with fewer counts in the window is flagged ``few_counts``.
    """

    edges: tuple[str, ...] = ()
    window_ev: Window | None = None
    background_ev: Window | None = None
    background: BackgroundName = "auto"
    background_pixels: Annotated[int, Meta(ge=0, le=16)] = 0
    align: Literal["auto", "zlp", "edge", "none"] = "auto"
    align_edges: tuple[str, ...] = ()
    drift_pixels: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    max_shift_ev: Annotated[float, Meta(gt=0, le=1000)] = 20.0
    core_offset_ev: float = 0.0
    spikes_sigma: Annotated[float, Meta(ge=0, le=30)] = 4.78
    dead_channels: tuple[int, ...] = ()
    find_bad_channels: bool = True
    deconvolve: Literal["none", "fourier_ratio"] = "none"
    resolution_ev: Annotated[float, Meta(gt=0, le=100)] | None = None
    saturation_counts: Annotated[float, Meta(gt=0)] | None = None
    least_zlp_counts: Annotated[float, Meta(ge=1)] = 30.0
    least_window_counts: Annotated[float, Meta(ge=0)] = 20.0
