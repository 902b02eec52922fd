"""Pictures of maps, read back pixel by pixel."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from live_eels.io import colours, lettering, pictures
from live_eels.io.drawing import View, round_down, round_ticks
from live_eels.io.pictures import INK, save_maps
from live_eels.spectra import (
    Curve,
    EnergyAxis,
    Instrument,
    MapSnapshot,
    MapSpec,
    NavigationAxis,
    Scan,
    Signal,
)

CLASSES = ("Mn2+", "Mn3+", "Mn4+", "Fe2+", "Fe3+", "none")
STATIC = Path(colours.__file__).parent / "static"


def make_scan(shape: tuple[int, ...], units: str = "nm", scale: float = 0.5) -> Scan:
    return Scan(
        "0f0e0d0c-1111-4222-8333-444455556666",
        tuple(NavigationAxis(n, s, scale, units) for n, s in zip("tyx"[-len(shape) :], shape)),  # noqa: B905
        (Signal("core", EnergyAxis(600, 0.25, 10)),),
        Instrument(200, 24, 55, 0.002),
        title="LSMO µ",
    )


def make_snapshot(
    shape: tuple[int, ...], maps: dict[str, tuple[MapSpec, np.ndarray]], **how: object
) -> MapSnapshot:
    scan = make_scan(shape, **how)  # type: ignore[arg-type]
    return MapSnapshot(
        scan, 1, {n: s for n, (s, _) in maps.items()}, {n: v for n, (_, v) in maps.items()}
    )


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


def view(spec: MapSpec, values: np.ndarray) -> View:
    return View(spec.name, spec, values, np.isnan(values), make_scan(values.shape))


# --- colours ------------------------------------------------------------------------------


def test_palette_is_that_of_the_page() -> None:
    script = (STATIC / "colour.js").read_text()
    states = re.search(r"const STATES = \{(.*?)\};", script, re.DOTALL)
    assert states is not None
    assert dict(re.findall(r'"([A-Za-z]+\d[+-])": "(#\w{6})"', states[1])) == colours.STATES
    listed = re.search(r"const QUALITATIVE = \[(.*?)\];", script, re.DOTALL)
    assert listed is not None
    assert tuple(re.findall(r"#\w{6}", listed[1])) == colours.QUALITATIVE
    for name in ("NOTHING", "REJECT_GREY", "BACKDROP", "LOST_RED"):
        found = re.search(rf'const {name} = "(#\w+)"', script)
        assert found is not None
        assert found[1] == getattr(colours, name)
    names = re.search(r"LUT_NAMES = \[(.*?)\]", script)
    assert names is not None
    assert tuple(re.findall(r"\w+", names[1])) == colours.TABLES


def test_tables_are_the_vendored_ones() -> None:
    sums = tomllib.loads((STATIC / "vendor/VENDOR.toml").read_text())["vendored"]
    wanted = next(v["sha256"]["luts.bin"] for v in sums if "luts.bin" in v["sha256"])
    assert hashlib.sha256((STATIC / "vendor/luts.bin").read_bytes()).hexdigest() == wanted
    gray = colours.table(MapSpec("counts"))
    assert np.array_equal(gray, np.arange(256)[:, None].repeat(3, 1))
    vik = colours.table(MapSpec("PC 1", "signed")).astype(int)
    assert vik[127].min() > 200  # white in the middle
    assert vik[10, 2] > vik[10, 0]  # blue below, red above
    assert vik[245, 0] > vik[245, 2]


def test_numbers_run_through_the_whole_table() -> None:
    table = colours.table(MapSpec("x"))
    values = np.array([-9, 0, 0.5, 1, 9, np.nan, np.inf], np.float32)
    drawn = colours.coloured(values, (0.0, 1.0), table)
    assert np.array_equal(drawn[:5], table[[0, 0, 128, 255, 255]])
    assert np.array_equal(drawn[5:], [colours.rgb(colours.BACKDROP)] * 2)


@pytest.mark.parametrize(
    ("spec", "values", "limits"),
    [
        (MapSpec("v", limits=(2, 4)), [0, 9], (2, 4)),
        (MapSpec("v", limits=(3, 3)), [0, 1], (0, 1)),
        (MapSpec("p", "fraction"), [0.2, 0.3], (0, 1)),
        (MapSpec("s", "signed"), [-1, 3], (-3, 3)),
        (MapSpec("c"), [5, 5], (4.5, 5.5)),
        (MapSpec("c"), [np.nan], (0, 1)),
    ],
)
def test_limits_of_display(spec: MapSpec, values: list[float], limits: tuple[float, float]) -> None:
    found = colours.display_limits(np.array(values, np.float32), spec)
    assert found == pytest.approx(limits, rel=0.02, abs=0.02)


def test_a_few_wild_pixels_do_not_move_the_limits() -> None:
    values = np.linspace(0, 1, 5000, dtype=np.float32)
    values[::1000] = 1e6
    assert colours.display_limits(values, MapSpec("c"))[1] < 1.01


# --- inside the frame ---------------------------------------------------------------------


def test_each_pixel_has_the_colour_of_its_class() -> None:
    labels = np.array([[0, 1, 2], [3, 4, 5]], np.float32)
    drawn = np.asarray(
        view(MapSpec("label", "label", classes=CLASSES), labels).drawn(300, 300).image
    )
    assert drawn.shape == (200, 300, 3)
    for (row, column), label in np.ndenumerate(labels):
        block = drawn[row * 100 : row * 100 + 100, column * 100 : column * 100 + 100]
        expected = colours.class_colour(CLASSES[int(label)], int(label))
        assert (block == expected).all()


def test_four_states_have_four_looks() -> None:
    """Zero, rejected, without value, not recorded: never colour alone (UX 1.2, row 8)."""
    values = np.array([[0, -1, np.nan, np.nan]], np.float32)
    lost = np.array([[False, False, False, True]])
    drawn = np.asarray(
        View("l", MapSpec("l", "label", classes=("a",)), values, lost, make_scan((1, 4)))
        .drawn(400, 400).image
    )  # fmt: skip
    zero, rejected, unknown, missing = (
        {tuple(int(v) for v in c) for c in drawn[:, i * 100 : i * 100 + 100].reshape(-1, 3)}
        for i in range(4)
    )
    assert zero == {colours.class_colour("a", 0)}
    assert unknown == {colours.rgb(colours.BACKDROP)}
    assert rejected > {colours.rgb(colours.REJECT_GREY)}
    assert missing == {colours.rgb(colours.BACKDROP), colours.rgb(colours.LOST_RED)}


def test_map_is_true_to_scale() -> None:
    scan = Scan(
        "i", (NavigationAxis("y", 10, 2.0), NavigationAxis("x", 40, 0.5)),
        (Signal("core", EnergyAxis(0, 1, 5)),),
    )  # fmt: skip
    values = np.zeros((10, 40), np.float32)
    drawn = View("c", MapSpec("c"), values, values > 0, scan).drawn(400, 400)
    assert drawn.image.size == (400, 400)  # 20 nm x 20 nm
    assert drawn.step == 10


@pytest.mark.parametrize(
    ("value", "rounded"), [(1, 1), (1.9, 1), (2, 2), (4.99, 2), (5, 5), (9.9, 5), (0.03, 0.02)]
)
def test_scale_bars_are_round(value: float, rounded: float) -> None:
    assert round_down(value) == pytest.approx(rounded)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_lie_inside_and_are_few(low: float, span: float) -> None:
    if low + span <= low or span < abs(low) * 1e-9:
        return
    ticks = round_ticks(low, low + span)
    assert 2 <= len(ticks) <= 7
    assert all(low - 1e-6 * span <= t <= low + span * (1 + 1e-6) for t in ticks)


# --- the files ----------------------------------------------------------------------------


def some_maps(shape: tuple[int, ...]) -> dict[str, tuple[MapSpec, np.ndarray]]:
    random = np.random.default_rng(0)
    label = random.integers(-1, 6, shape).astype(np.float32)
    label.flat[-1] = np.nan
    counts = random.poisson(900, shape).astype(np.float32)
    counts.flat[-1] = np.nan
    return {
        "counts": (MapSpec("counts", unit="counts", meaning="of the core loss"), counts),
        "label": (MapSpec("label", "label", "", "oxidation state", CLASSES), label),
        "Fe L/total": (MapSpec("Fe L/total"), counts / 2),
        "Fe L:total": (MapSpec("Fe L:total"), counts / 3),
        "..": (MapSpec("..", "signed", "eV"), counts - 900),
    }


@pytest.mark.parametrize("shape", [(1, 1), (30,), (1,), (20, 30), (300, 700), (2, 5, 6)])
def test_one_file_for_each_map_and_an_overview(tmp_path: Path, shape: tuple[int, ...]) -> None:
    snapshot = make_snapshot(shape, some_maps(shape))
    files = save_maps(snapshot, tmp_path / "maps")
    assert files[0].name == "overview.png"
    assert [f.name for f in files[1:]] == [
        "label.png", "counts.png", "Fe_L_total.png", "Fe_L_total_4.png", "map.png",
    ]  # fmt: skip
    assert sorted(files) == sorted((tmp_path / "maps").iterdir())
    for file in files:
        with Image.open(file) as picture:
            assert picture.text["Title"] == "LSMO µ"  # type: ignore[attr-defined]
            assert snapshot.scan.id in picture.text["Source"]  # type: ignore[attr-defined]
            assert 300 < picture.width < 1700
            assert 150 < picture.height < 2500


def test_single_spectrum_has_no_picture(tmp_path: Path) -> None:
    values = np.ones(1, np.float32)
    assert save_maps(make_snapshot((), {"c": (MapSpec("c"), values)}), tmp_path / "m") == []
    assert not (tmp_path / "m").exists()


def test_scale_bar_measures_what_it_says(tmp_path: Path) -> None:
    """56 pixels of 0.5 nm: 10 nm is 20 pixels, each 10 wide on paper."""
    values = np.zeros((28, 56), np.float32)
    file = save_maps(make_snapshot((28, 56), {"c": (MapSpec("c"), values)}), tmp_path)[1]
    rows = (pixels(file) == INK).all(axis=2)
    bars = [r for r in rows if r[24:].argmin() > 100]  # long runs of ink from the left margin
    assert len(bars) == 5
    assert {int(r[24:].argmin()) for r in bars} == {200}


def test_maps_without_any_value_are_drawn(tmp_path: Path) -> None:
    nothing = np.full((4, 5), np.nan, np.float32)
    maps = {"l": (MapSpec("l", "label", classes=("a",)), nothing), "c": (MapSpec("c"), nothing)}
    files = save_maps(make_snapshot((4, 5), maps), tmp_path)
    red = (pixels(files[1]) == colours.rgb(colours.LOST_RED)).all(axis=2)
    assert red.sum() > 1000


def test_many_classes_and_many_maps_fit(tmp_path: Path) -> None:
    clusters = np.arange(40 * 40, dtype=np.float32).reshape(40, 40) % 64
    spec = MapSpec("cluster", "label", classes=tuple(str(n) for n in range(20)))
    maps = {f"cluster {n}": (spec, clusters) for n in range(35)}
    files = save_maps(make_snapshot((40, 40), maps), tmp_path)
    assert len(files) == 36
    with Image.open(files[0]) as overview:
        assert overview.height < 4000


@settings(max_examples=25, deadline=None)
@given(
    values=hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6),
        elements=st.floats(width=32),
    ),
    kind=st.sampled_from(["intensity", "signed", "fraction"]),
    scale=st.sampled_from([0.0, -1.0, 1e-9, 1e12, float("nan")]),
)  # fmt: skip
def test_any_values_can_be_drawn(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, kind: str, scale: float
) -> None:
    maps = {"m": (MapSpec("m", kind), values)}  # type: ignore[arg-type]
    folder = tmp_path_factory.mktemp("any")
    assert len(save_maps(make_snapshot(values.shape, maps, scale=scale), folder)) == 2


def test_spectra_are_drawn_where_they_are(tmp_path: Path) -> None:
    """A single peak at 625 eV of 600 to 650 eV stands in the middle of the plot."""
    values = np.zeros((2, 101), np.float32)
    values[0, 50] = 1.0
    values[1] = np.nan
    plain = make_snapshot((2, 3), {"c": (MapSpec("c"), np.ones((2, 3), np.float32))})
    curves = {"cluster means": Curve(EnergyAxis(600, 0.5, 101), values, ("Fe3+",))}
    files = save_maps(replace(plain, curves=curves), tmp_path)
    assert files[-1].name == "spectra_cluster_means.png"
    plot = pixels(files[-1])[78:451, 24:584]
    ink = (plot == colours.class_colour("Fe3+", 0)).all(axis=2)
    left = np.flatnonzero(ink.any(axis=0))[0]
    peak = np.flatnonzero(ink[:60].any(axis=0)).mean()
    assert abs(peak - (left + 552) / 2) < 3


def test_small_steps_are_told_in_nanometres() -> None:
    assert pictures._extent(make_scan((40,), "µm", 0.0032)) == "40 pixels   step 3.2 nm"
    assert pictures._extent(make_scan((4, 5), "µm", 0.5)) == "5 x 4 pixels   step 0.5 µm"


# --- text ---------------------------------------------------------------------------------


def test_charges_are_raised() -> None:
    assert [piece for piece, _, rise in lettering._pieces("Mn2+ and O2-, C60+ 3+", 14) if rise] == [
        "2+",
        "2-",
    ]
    assert lettering.width_of("Mn2+", 20) < lettering.width_of("Mn2 +", 20)


def test_long_text_is_cut() -> None:
    cut = lettering.shortened("a very long title " * 20, 200, 13)
    assert cut.endswith("...")
    assert lettering.width_of(cut, 13) <= 200
    assert lettering.shortened("short", 200, 13) == "short"


def test_pillows_own_font_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_FONTS", ())
    lettering.font_of.cache_clear()
    try:
        assert [piece for piece, _, _ in lettering._pieces("5 µm of Mn2+ – ok", 12)] == [
            "5 um of Mn", "2+", " ? ok",
        ]  # fmt: skip
        assert len(save_maps(make_snapshot((3, 4), some_maps((3, 4))), tmp_path)) == 6
    finally:
        lettering.font_of.cache_clear()
