"""What a specimen is made of: shapes of materials, typed, from TOML.

Lives here: their settings, in the order in which they may be laid over each other. What lies
where is `specimen`'s matter.
"""

from __future__ import annotations

from typing import Annotated, Literal

from live_eels.simulators.settings import Fraction, NotNegative, Point, Positive, Settings
from msgspec import Meta


class Support(Settings, frozen=True, kw_only=True, tag="support", tag_field="kind"):
    """A film over the whole field, its thickness uneven by ``roughness`` on ``grain_nm``."""

    material: str
    thickness_nm: Positive
    roughness: Fraction = 0.0
    grain_nm: Positive = 20.0


class Particle(Settings, frozen=True, kw_only=True, tag="particle", tag_field="kind"):
    """A core in a shell; a flat section of it, or a whole sphere seen in projection.

    ``thickness_nm`` None: a sphere. The shell is what lies between ``core_radius_nm`` and
    ``radius_nm``; its innermost ``interface_nm`` are of the material ``interface``.
    """

    centre_nm: Point
    radius_nm: Positive
    material: str
    core: str = ""
    core_radius_nm: NotNegative = 0.0
    interface: str = ""
    interface_nm: NotNegative = 0.0
    thickness_nm: Positive | None = None
    squareness: Fraction = 0.0


class Layer(Settings, frozen=True, kw_only=True, tag="layer", tag_field="kind"):
    """A rectangle from one corner to the other, its borders meandering by ``waviness_nm``."""

    material: str
    from_nm: Point
    to_nm: Point
    thickness_nm: Positive
    waviness_nm: NotNegative = 0.0


class Gradient(Settings, frozen=True, kw_only=True, tag="gradient", tag_field="kind"):
    """A mixture that goes from one material to the next along x, evenly."""

    materials: Annotated[tuple[str, ...], Meta(min_length=2)]
    from_nm: Point
    to_nm: Point
    thickness_nm: Positive


class Mosaic(Settings, frozen=True, kw_only=True, tag="mosaic", tag_field="kind"):
    """Grains around random seeds (Voronoi cells), their materials taken in turn."""

    materials: Annotated[tuple[str, ...], Meta(min_length=1)]
    grains: Annotated[int, Meta(ge=1, le=4096)]
    thickness_nm: Positive
    seed: int = 0


class Stripes(Settings, frozen=True, kw_only=True, tag="stripes", tag_field="kind"):
    """Stripes of equal width along x, one material each: standards beside each other."""

    materials: Annotated[tuple[str, ...], Meta(min_length=1)]
    thickness_nm: Positive


class Hole(Settings, frozen=True, kw_only=True, tag="hole", tag_field="kind"):
    """Vacuum: everything before it in the list is gone inside the circle."""

    centre_nm: Point
    radius_nm: Positive


class Ramp(Settings, frozen=True, kw_only=True, tag="ramp", tag_field="kind"):
    """A wedge: the thickness of everything before it times ``from_factor`` to ``to_factor``."""

    from_factor: NotNegative = 0.5
    to_factor: NotNegative = 1.5
    along: Literal["x", "y"] = "x"


Shape = Support | Particle | Layer | Gradient | Mosaic | Stripes | Hole | Ramp
