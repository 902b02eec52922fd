"""What a simulated experiment is: typed, from TOML.

Lives here: the settings of microscope, detector and scan, and the scene that they and the
specimen make (`shapes` of `materials`). No physics, no random numbers. A scene is a TOML
file; those that ship are in ``scenes/``, and a new one needs no code. Materials
come from ``materials.toml`` and may be added to in the scene.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from live_eels.simulators.materials import Material, shipped_materials
from live_eels.simulators.settings import Fraction, NotNegative, Point, Positive, Settings
from live_eels.simulators.shapes import (
    Gradient,
    Layer,
    Mosaic,
    Particle,
    Shape,
    Stripes,
    Support,
)
from msgspec import Meta

SCENES = Path(__file__).parent / "scenes"


class SceneError(ValueError):
    """A scene that cannot be read or makes no sense: its author's fault."""


class Damage(Settings, frozen=True, kw_only=True):
    """Beam damage: ``material`` becomes ``becomes`` with dose, ``exp(-dose / dose_e_per_nm2)``."""

    material: str
    becomes: str
    dose_e_per_nm2: Positive


class MicroscopeSettings(Settings, frozen=True, kw_only=True):
    """The column and the spectrometer's electronics.

    Attributes
    ----------
    current_noise
        Relative flicker of the beam current (standard deviation, per pixel).
    drift_ev, drift_period_s
        Slow drift of the energy axis: half its range, over a period; plus ``drift_ev_per_s``.
    jitter_ev
        Standard deviation of the shift from pixel to pixel.
    hum_ev, hum_hz
        Amplitude and frequency of the mains; averaged over the dwell time.
    """

    beam_energy_kev: Positive = 200.0
    convergence_mrad: Positive = 15.0
    collection_mrad: Positive = 30.0
    beam_current_na: Positive = 0.5
    dwell_s: Positive = 5e-3
    flyback_s: NotNegative = 0.0
    probe_nm: NotNegative = 1.0
    gun: Literal["cold_feg", "schottky", "monochromated"] = "cold_feg"
    zlp_fwhm_ev: Annotated[float, Meta(ge=0.1, le=5.0)] = 0.8
    current_noise: NotNegative = 0.0
    drift_ev: float = 0.0
    drift_period_s: Positive = 60.0
    drift_ev_per_s: float = 0.0
    jitter_ev: NotNegative = 0.0
    hum_ev: NotNegative = 0.0
    hum_hz: Positive = 50.0
    drift_nm_per_s: Point = (0.0, 0.0)


class ScanSettings(Settings, frozen=True, kw_only=True):
    """Where the beam goes."""

    shape: Annotated[tuple[int, ...], Meta(max_length=3)] = (64, 64)
    step_nm: Positive = 1.0
    path: Literal["raster", "serpentine", "random"] = "raster"
    visited: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    passes: Annotated[int, Meta(ge=1, le=1024)] = 1


class DetectorSettings(Settings, frozen=True, kw_only=True):
    """A CCD (``counting = false``) or a counting detector.

    Attributes
    ----------
    counts_per_electron
        Conversion of a CCD; a counting detector gives 1.
    gain_spread
        Standard deviation of the gain from channel to channel.
    dark_counts, dark_spread, dark_drift
        Mean offset, its spread over channels, and how much it moves over the scan (counts).
    readout_counts
        Standard deviation of the readout noise (CCD).
    psf_channels, psf_tail_weight, psf_tail_channels
        Width (standard deviation) of the point spread, and the part in exponential tails.
    full_well_counts
        A channel never shows more; the dtype may saturate earlier.
    spikes_per_1000
        X-ray and cosmic spikes per thousand spectra, of ``spike_counts`` on average.
    pile_up_s
        Dead time of a counting channel after each electron.
    reference
        Announce dark and gain references; gain measured to ``reference_error``.
    """

    counting: bool = False
    counts_per_electron: Positive = 1.0
    gain_spread: NotNegative = 0.0
    dark_counts: NotNegative = 0.0
    dark_spread: NotNegative = 0.0
    dark_drift: float = 0.0
    readout_counts: NotNegative = 0.0
    psf_channels: NotNegative = 0.0
    psf_tail_weight: Fraction = 0.0
    psf_tail_channels: Positive = 20.0
    full_well_counts: Positive | None = None
    spikes_per_1000: NotNegative = 0.0
    spike_counts: Positive = 3000.0
    dead_channels: Annotated[int, Meta(ge=0)] = 0
    hot_channels: Annotated[int, Meta(ge=0)] = 0
    pile_up_s: NotNegative = 0.0
    reference: bool = True
    reference_error: NotNegative = 0.0


class SignalSettings(Settings, frozen=True, kw_only=True):
    """One readout per pixel; ``exposure`` is its share of the dwell time's electrons."""

    name: str
    offset_ev: float
    dispersion_ev: Positive
    channels: Annotated[int, Meta(ge=8, le=65536)]
    dtype: Literal["u1", "u2", "u4", "f4"] = "u2"
    exposure: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    detector: str = "default"


class Scene(Settings, frozen=True, kw_only=True):
    """A whole simulated experiment.

    Attributes
    ----------
    exposure
        Factor on the dose, for the same scene at another one.
    """

    title: str
    description: str = ""
    exposure: Positive = 1.0
    microscope: MicroscopeSettings = MicroscopeSettings()
    scan: ScanSettings = ScanSettings()
    signals: Annotated[tuple[SignalSettings, ...], Meta(min_length=1, max_length=4)]
    detectors: dict[str, DetectorSettings] = msgspec.field(default_factory=dict)
    shapes: tuple[Shape, ...] = ()
    damage: tuple[Damage, ...] = ()
    materials: dict[str, Material] = msgspec.field(default_factory=dict)

    def changed(
        self,
        *,
        scan: dict[str, object] | None = None,
        microscope: dict[str, object] | None = None,
        exposure: float | None = None,
    ) -> Scene:
        """The scene with some settings replaced; the replacements are checked like a file."""
        tree = msgspec.to_builtins(self)
        tree["scan"] |= scan or {}
        tree["microscope"] |= microscope or {}
        if exposure is not None:
            tree["exposure"] = exposure
        return _checked(_converted(tree, self.title))


def scene_names() -> tuple[str, ...]:
    """Names of the scenes that ship."""
    return tuple(sorted(path.stem for path in SCENES.glob("*.toml")))


def load_scene(name_or_path: str | Path) -> Scene:
    """A shipped scene by name, or any scene file.

    Raises
    ------
    SceneError
        If there is no such scene, or it cannot be read; the message names the field.
    """
    path = Path(name_or_path)
    if not path.suffix:
        path = SCENES / f"{name_or_path}.toml"
        if not path.exists():
            raise SceneError(f"no scene {name_or_path!r}; have {', '.join(scene_names())}")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SceneError(f"cannot read the scene {path}: {error.strerror}") from error
    try:
        tree = msgspec.toml.decode(text)
    except msgspec.DecodeError as error:
        raise SceneError(f"{path.name}: {error}") from error
    tree["materials"] = shipped_materials() | tree.get("materials", {})
    return _checked(_converted(tree, path.name))


def _converted(tree: object, name: str) -> Scene:
    try:
        return msgspec.convert(tree, Scene)
    except msgspec.ValidationError as error:
        raise SceneError(f"{name}: {error}") from error


def _checked(scene: Scene) -> Scene:
    wanted = used_materials(scene)
    for material in wanted:
        if material not in scene.materials:
            known = ", ".join(sorted(scene.materials))
            raise SceneError(f"{scene.title}: no material {material!r}; have {known}")
    for signal in scene.signals:
        if signal.detector != "default" and signal.detector not in scene.detectors:
            raise SceneError(f"{scene.title}: no detector {signal.detector!r}")
    if len({signal.name for signal in scene.signals}) < len(scene.signals):
        raise SceneError(f"{scene.title}: two signals of one name")
    if any(size < 1 for size in scene.scan.shape):
        raise SceneError(f"{scene.title}: scan shape {scene.scan.shape} holds no pixel")
    return scene


def used_materials(scene: Scene) -> tuple[str, ...]:
    """Materials of the scene in the order in which its shapes and damage name them."""
    names: list[str] = []
    for shape in scene.shapes:
        match shape:
            case Particle():
                names += [name for name in (shape.core, shape.interface) if name] + [shape.material]
            case Gradient() | Mosaic() | Stripes():
                names += shape.materials
            case Support() | Layer():
                names.append(shape.material)
            case _:
                pass
    names += [damage.becomes for damage in scene.damage]
    return tuple(dict.fromkeys(names))
