"""Preprocessing as a whole: steps in order, windows, what other pixels may change."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy.stats import poisson

from live_eels import edges
from live_eels.preprocess import Preprocessor
from live_eels.preprocess_settings import PreprocessSettings
from live_eels.spectra import (
    QUALITY_FLAGS,
    Chunk,
    EnergyAxis,
    NavigationAxis,
    Scan,
    Signal,
    WindowError,
)

CORE = EnergyAxis(560.0, 0.4, 512)
LOW = EnergyAxis(-20.0, 0.2, 400)


def made(shape=(16, 20), *, core=CORE, low=LOW, drift=0.0, seed=0, counts=200.0, dtype="u2"):
    """A manganese edge with drift (eV, over the scan) in both signals: scan, core, low, drift."""
    rng = np.random.default_rng(seed)
    axes = tuple(NavigationAxis(n, s) for n, s in zip("yx", shape, strict=True))
    signals = (Signal("core", core, dtype),) + (() if low is None else (Signal("low", low, dtype),))
    scan = Scan(f"made-{seed}", axes, signals)
    moved = np.linspace(0, drift, scan.pixels) + 0.3 * np.sin(np.arange(scan.pixels) / 7.0)
    moved = moved if drift else np.zeros(scan.pixels)
    energy = core.energies_ev[None, :] - moved[:, None]
    expected = counts * (energy / 600.0) ** -3
    expected += counts * 1.5 * np.exp(-0.5 * ((energy - 641) / 1.3) ** 2)
    expected += counts * 0.6 * np.exp(-0.5 * ((energy - 652) / 1.6) ** 2)
    expected += counts * 0.3 / (1 + np.exp(640 - energy))
    spectra = rng.poisson(expected).astype(dtype)
    if low is None:
        return scan, spectra, None, moved
    energy = low.energies_ev[None, :] - moved[:, None]
    peak = 3000 * np.exp(-0.5 * (energy / 0.35) ** 2) + 30 * np.exp(-0.5 * ((energy - 22) / 5) ** 2)
    return scan, spectra, rng.poisson(peak).astype(dtype), moved


def chunks(scan, core, low, size, order=None):
    order = np.arange(scan.pixels) if order is None else order
    for start in range(0, len(order), size):
        pixels = order[start : start + size]
        yield Chunk(scan, pixels, core[pixels], None if low is None else low[pixels])


def whole(scan, core, low, settings, size=64, order=None, passes=1):
    """Every field of Prepared for every pixel, after ``freeze`` where passes is 2."""
    preprocessor = Preprocessor(scan, settings)
    for number in range(passes):
        done = [preprocessor.process(chunk) for chunk in chunks(scan, core, low, size, order)]
        if number == 0 and passes > 1:
            preprocessor.freeze()
    back = np.argsort(np.concatenate([p.pixels for p in done]), kind="stable")
    names = ("counts", "signal", "background", "shift_ev", "flags", "fit_quality")
    return preprocessor, {
        name: np.concatenate([getattr(p, name) for p in done])[back] for name in names
    }


@pytest.mark.parametrize("size", [1, 7, 320])
def test_a_pixel_depends_on_nothing_but_itself(size):
    scan, core, low, _ = made(drift=1.0)
    _, expected = whole(scan, core, low, PreprocessSettings(), 64)
    preprocessor, found = whole(scan, core, low, PreprocessSettings(), size)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert preprocessor.freeze() is False


@pytest.mark.parametrize(
    "settings",
    [
        PreprocessSettings(align="edge"),
        PreprocessSettings(background_pixels=2),
        PreprocessSettings(align="edge", background_pixels=1, drift_pixels=40),
    ],
    ids=["edge", "averaged", "both"],
)
def test_the_second_pass_does_not_depend_on_how_the_stream_was_cut(settings):
    """Also where settings look beyond one pixel, and a channel of the detector is dead."""
    scan, core, low, _ = made(drift=1.5)
    core[:, 77] = 0
    shuffled = np.random.default_rng(1).permutation(scan.pixels)
    _, expected = whole(scan, core, low, settings, 64, passes=3)
    preprocessor, found = whole(scan, core, low, settings, 23, shuffled, passes=3)
    assert preprocessor.bad_channels.tolist() == [77]
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_empty_chunks_and_other_types_pass():
    scan, core, low, _ = made()
    preprocessor = Preprocessor(scan)
    none = np.zeros(0, np.int64)
    empty = preprocessor.process(Chunk(scan, none, core[:0], low[:0]))
    assert empty.counts.shape == (0, CORE.size)
    expected = preprocessor.process(Chunk(scan, np.arange(9), core[:9], low[:9]))
    for dtype in ("u4", "i4", "f4", "f8"):
        other, *_ = made(dtype=dtype)
        found = Preprocessor(other).process(
            Chunk(other, np.arange(9), core[:9].astype(dtype), low[:9].astype(dtype))
        )
        np.testing.assert_array_equal(found.counts, expected.counts)


def test_drift_is_removed_and_reported():
    scan, core, low, moved = made(drift=2.0)
    preprocessor, found = whole(scan, core, low, PreprocessSettings())
    np.testing.assert_allclose(found["shift_ev"], -moved, atol=0.05)
    energies = preprocessor.axis.energies_ev
    tops = energies[found["counts"].argmax(axis=1)]
    assert np.std(tops) < 1.0
    total, before = found["counts"].sum(), core.sum(dtype=float)
    assert total == pytest.approx(before, rel=0.01)


def test_drift_is_tracked_from_the_edge_where_there_is_no_low_loss():
    scan, core, _, moved = made((30, 40), low=None, drift=3.0)
    _, found = whole(scan, core, None, PreprocessSettings(align="edge"), passes=2)
    expected = -(moved - np.median(moved))
    assert np.std(found["shift_ev"] - expected) < 0.25  # the 0.2 eV ripple inside a row stays
    _, left = whole(scan, core, None, PreprocessSettings())
    assert (left["shift_ev"] == 0).all()


def test_a_chemical_shift_is_not_taken_for_drift():
    """Half of each row has its edge 2 eV higher: the median over a row does not follow it."""
    scan, core, _, _ = made((30, 40), low=None)
    oxidised = np.arange(scan.pixels) % 40 >= 24
    core[oxidised, 5:] = core[oxidised, :-5]
    _, found = whole(scan, core, None, PreprocessSettings(align="edge"), passes=2)
    assert np.abs(found["shift_ev"]).max() < 0.3


def test_spikes_are_repaired_counted_and_listed():
    scan, core, low, _ = made()
    core[[3, 100], [50, 400]] += 3000
    preprocessor = Preprocessor(scan)
    prepared = preprocessor.process(Chunk(scan, np.arange(320), core, low))
    assert {(3, 50), (100, 400)} <= {tuple(row) for row in prepared.spikes.tolist()}
    assert len(prepared.spikes) <= 4
    spiked = (prepared.flags & 1) > 0
    assert spiked[[3, 100]].all()
    assert spiked.sum() <= 4
    assert prepared.counts[3, 40:60].max() < 1000
    left = Preprocessor(scan, PreprocessSettings(spikes_sigma=0))
    kept = left.process(Chunk(scan, np.arange(320), core, low))
    assert kept.counts[3, 40:60].max() > 1000
    assert not (kept.flags & 1).any()


@pytest.mark.parametrize(("level", "kind"), [(2.0, "flat"), (50.0, "edge"), (1e5, "line")])
@pytest.mark.parametrize("size", [7, 1000])
def test_ten_sigma_spikes_of_a_scan_are_listed_and_nothing_else(level, kind, size):
    """Twenty lines two channels wide too, of which the first pixels know nothing at first."""
    axis = EnergyAxis(600.0, 0.5, 512)
    expected = np.full(512, level)
    steep = np.arange(512)
    if kind == "edge":
        expected *= (axis.energies_ev / 856) ** -3 + 1.5 / (1 + np.exp(700 - axis.energies_ev))
    elif kind == "line":
        beside = np.arange(512)[:, None] - np.linspace(12.3, 498.1, 20)
        expected *= 1 + 4 * np.exp(-0.5 * (beside * 2.355 / 2) ** 2).sum(axis=1)
        steep = np.flatnonzero(expected > 1.2 * level)
    rng = np.random.default_rng(3)
    n = 1600
    scan = Scan("s", (NavigationAxis("x", n),), (Signal("core", axis, "u4"),))
    expected = expected * rng.uniform(0.7, 1.3, (n, 1))  # the specimen is not even
    core = rng.poisson(expected).astype("u4")
    hit, at = np.arange(0, n, 4), rng.choice(steep, n // 4)
    core[hit, at] += np.ceil(10 * np.sqrt(expected[hit, at])).astype("u4")
    preprocessor = Preprocessor(scan, PreprocessSettings(align="none", background="none"))
    for _ in range(2):
        done = [preprocessor.process(chunk) for chunk in chunks(scan, core, None, size)]
        preprocessor.freeze()
    listed = {tuple(row) for prepared in done for row in prepared.spikes.tolist()}
    put = set(zip(hit.tolist(), at.tolist(), strict=True))
    assert len(put & listed) >= 0.985 * len(put)
    assert len(listed - put) <= 4  # of 0.8 million channels, and beside the spikes
    counted = sum(int((prepared.flags & 1).sum()) for prepared in done)
    assert counted == len({pixel for pixel, _ in listed})


@pytest.mark.parametrize("level", [0.3, 0.6, 1.0])
def test_few_counts_are_told_from_spikes_nearly_as_by_the_true_rate(level):
    """Of ten sigma; who knows the rate of each channel allows one false spike in a million."""
    rng = np.random.default_rng(8)
    n, axis = 4000, EnergyAxis(600.0, 0.5, 512)
    scan = Scan("s", (NavigationAxis("x", n),), (Signal("core", axis, "u2"),))
    rate = level * rng.uniform(1.0, 1.8, n)
    core = rng.poisson(rate[:, None], (n, 512)).astype("u2")
    hit, at = np.arange(0, n, 4), rng.integers(0, 512, n // 4)
    size = np.ceil(10 * np.sqrt(rate[hit])).astype("u2")
    core[hit, at] += size
    least = poisson.isf(1e-6, rate[hit]) + 1
    ideal = poisson.sf(least - size - 1.0, rate[hit]).mean()
    preprocessor = Preprocessor(scan, PreprocessSettings(align="none", background="none"))
    for _ in range(2):
        prepared = preprocessor.process(Chunk(scan, np.arange(n), core))
        preprocessor.freeze()
    listed = {tuple(row) for row in prepared.spikes.tolist()}
    put = set(zip(hit.tolist(), at.tolist(), strict=True))
    assert len(put & listed) / len(put) > ideal - (0.07 if level < 0.5 else 0.01)
    assert len(listed - put) <= 5  # of two million channels


def test_dark_gain_and_dead_channels_are_corrected():
    scan, core, low, _ = made(counts=2000.0)
    rng = np.random.default_rng(4)
    gain = rng.normal(1, 0.05, CORE.size).astype(np.float32)
    dark = rng.normal(90, 5, CORE.size).astype(np.float32)
    gain[200] = 0.0
    raw = np.round(core * gain + dark).astype(np.uint16)
    signal = replace(scan.signals[0], dark=dark, gain=gain)
    scan = replace(scan, signals=(signal, scan.signals[1]))
    settings = PreprocessSettings(align="none", dead_channels=(60,), spikes_sigma=0)
    preprocessor, found = whole(scan, raw, low, settings)
    assert preprocessor.bad_channels.tolist() == [60, 200]
    others = np.setdiff1d(np.arange(CORE.size), [60, 200])
    np.testing.assert_allclose(found["counts"][:, others], core[:, others], atol=1.0)
    assert np.abs(found["counts"][:, 200] / core[:, 199:202].mean(axis=1) - 1).max() < 0.2


@pytest.mark.parametrize("factor", [0.0, 3.0])
def test_bad_channels_are_found(factor):
    scan, core, low, _ = made()
    core[:, [90, 300]] = (core[:, [90, 300]] * factor).astype(np.uint16)
    preprocessor, found = whole(scan, core, low, PreprocessSettings(), passes=2)
    assert preprocessor.bad_channels.tolist() == [90, 300]
    near = found["counts"][:, [88, 92]].mean()
    assert found["counts"][:, 90].mean() == pytest.approx(near, rel=0.05)
    off, _ = whole(scan, core, low, PreprocessSettings(find_bad_channels=False), passes=2)
    assert off.bad_channels.size == 0


def test_flags_say_what_is_wrong():
    scan, core, low, _ = made()
    core[0] = 0
    core[1, 300] = 65535
    low[2] = 0
    prepared = Preprocessor(scan).process(Chunk(scan, np.arange(320), core, low))
    named = [
        {name for bit, name in enumerate(QUALITY_FLAGS) if flag >> bit & 1}
        for flag in prepared.flags[:4]
    ]
    assert named[0] == {"no_background", "few_counts"}
    assert "saturated" in named[1]
    assert named[2] == {"no_zlp"}
    assert named[3] == set()
    assert prepared.shift_ev[2] == 0
    assert np.isnan(prepared.zlp_width_ev[2])
    assert np.isnan(prepared.fit_quality[0])


def test_a_channel_that_is_no_number_is_bridged():
    scan, core, low, _ = made(dtype="f4")
    core[5, 100:103] = np.nan
    core[6] = np.inf
    prepared = Preprocessor(scan).process(Chunk(scan, np.arange(320), core, low))
    assert np.isfinite(prepared.counts).all()
    assert np.isfinite(prepared.signal).all()


@pytest.mark.parametrize("name", ["power_law", "power_law_log_log", "exponential"])
def test_the_background_is_gone_before_the_edge(name):
    scan, core, low, _ = made(counts=2000.0)
    preprocessor, found = whole(scan, core, low, PreprocessSettings(background=name))
    before = found["signal"][:, :15].mean()
    assert abs(before) < 0.01 * found["background"].mean()
    assert found["fit_quality"].mean() == pytest.approx(1.0, abs=0.15)
    assert preprocessor.background_window is not None


def test_averaging_over_neighbours_steadies_the_background():
    """Local background averaging: the same net counts, less scatter, at one count a channel."""
    scan, core, low, _ = made((24, 24), counts=1.0)
    low_dose = PreprocessSettings(spikes_sigma=0, find_bad_channels=False)
    averaged = msgspec_replace(low_dose, background_pixels=3)
    _, alone = whole(scan, core, low, low_dose)
    _, together = whole(scan, core, low, averaged, passes=2)
    own, shared = (np.nansum(r["signal"], axis=1) for r in (alone, together))
    assert np.nanstd(shared) < 0.6 * np.nanstd(own)
    assert np.nanmean(shared) == pytest.approx(np.nanmean(own), abs=float(0.3 * np.nanstd(own)))


def msgspec_replace(settings, **changes):
    import msgspec

    return msgspec.structs.replace(settings, **changes)


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (EnergyAxis(428.5, 0.5, 586), "Mn L"),
        (EnergyAxis(560.0, 0.1, 400), "Cr L"),
        (EnergyAxis(500.0, 0.25, 2048), "Mn L"),
    ],
)
def test_windows_that_make_sense_on_known_axes(axis, expected):
    preprocessor = Preprocessor(Scan("a", (), (Signal("core", axis),)))
    onset = edges.find(expected).onset_ev
    energies = preprocessor.axis.energies_ev
    window, fit = energies[preprocessor.window], energies[preprocessor.background_window]
    assert window[0] <= onset <= window[-1]
    assert fit[-1] < onset


@pytest.mark.parametrize(
    "axis", [EnergyAxis(0.0, 1.0, 64), EnergyAxis(-5.0, 0.01, 512), EnergyAxis(3000.0, 1.0, 99)]
)
def test_unknown_axes_are_taken_whole_without_background(axis):
    preprocessor = Preprocessor(Scan("a", (), (Signal("core", axis),)))
    assert preprocessor.window == slice(0, axis.size)
    assert preprocessor.background_window is None
    prepared = preprocessor.process(
        Chunk(preprocessor.scan, np.array([0]), np.full((1, axis.size), 7, np.uint16))
    )
    assert np.isfinite(prepared.signal).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window_ev": (630, 800)}, ["630", "800", "560", "764.4"]),
        ({"background_ev": (500, 550)}, ["500", "550", "560", "764.4"]),
        ({"edges": ("O K",)}, ["532", "560", "764.4"]),
        ({"edges": ("Xx L",)}, ["'Xx L'"]),
        ({"window_ev": (560, 700), "background": "power_law"}, ["560", "764.4"]),
        ({"background_ev": (600.0, 600.4)}, ["600", "600.4"]),
        ({"align": "zlp"}, ["560", "764.4"]),
        ({"dead_channels": (512,)}, ["512"]),
        ({"deconvolve": "fourier_ratio"}, ["low-loss"]),
    ],
)
def test_what_the_axis_cannot_give_is_said_with_both_ranges(settings, words):
    scan = Scan("a", (), (Signal("core", CORE),))
    with pytest.raises(WindowError) as caught:
        Preprocessor(scan, PreprocessSettings(**settings))
    for word in words:
        assert word in str(caught.value)


def test_a_known_offset_of_the_axis_is_corrected():
    scan, core, low, _ = made()
    preprocessor, _ = whole(scan, core, low, PreprocessSettings(core_offset_ev=8.0))
    assert preprocessor.axis == EnergyAxis(568.0, 0.4, 512)


def test_a_core_loss_that_holds_the_zero_loss_peak_is_aligned_by_it():
    axis = EnergyAxis(-20.0, 0.2, 400)
    scan, _, low, moved = made(drift=1.0)
    alone = Scan("a", scan.navigation, (Signal("core", axis),))
    preprocessor, found = whole(alone, low, None, PreprocessSettings())
    np.testing.assert_allclose(found["shift_ev"], -moved, atol=0.05)
    assert preprocessor.low_axis == axis


def test_plural_scattering_is_taken_out_on_request():
    scan, core, low, _ = made(counts=2000.0)
    energy = LOW.energies_ev
    single = np.exp(-0.5 * ((energy - 22) / 4) ** 2)
    zlp = np.exp(-0.5 * (energy / 0.35) ** 2)
    thick = 1e5 * (zlp / zlp.sum() + 0.5 * single / single.sum()) * np.exp(-0.5)
    low = np.tile(thick, (scan.pixels, 1)).astype(np.uint16)
    settings = PreprocessSettings(deconvolve="fourier_ratio")
    _, plain = whole(scan, core, low, PreprocessSettings())
    _, single_only = whole(scan, core, low, settings)
    after = slice(-40, None)  # where the plasmon of the white lines lies
    assert single_only["signal"][:, after].mean() < 0.8 * plain["signal"][:, after].mean()
    assert single_only["signal"].mean() > 0


def test_what_learners_see_is_the_single_scattering_edge_on_its_background():
    scan, core, low, _ = made(counts=2000.0)
    settings = PreprocessSettings(deconvolve="fourier_ratio")
    preprocessor = Preprocessor(scan, settings)
    prepared = preprocessor.process(Chunk(scan, np.arange(320), core, low))
    inside = np.zeros(CORE.size, bool)
    inside[preprocessor.window] = True
    np.testing.assert_array_equal(prepared.single[:, inside], prepared.background + prepared.signal)
    np.testing.assert_array_equal(prepared.single[:, ~inside], prepared.counts[:, ~inside])
    assert np.abs(prepared.single - prepared.counts).max() > 50
    assert Preprocessor(scan).process(Chunk(scan, np.arange(9), core[:9], low[:9])).single is None


def test_a_measured_line_scan(real_spectra):
    """La0.7Sr0.3MnO3, dual EELS: the zero loss reads +3 eV throughout."""
    data = {}
    for name, file in (("core", "LSMO_linescan.hspy"), ("low", "LSMO_linescan_low_loss.hspy")):
        with h5py.File(real_spectra / file) as opened:
            data[name] = next(iter(opened["Experiments"].values()))["data"][:]
    signals = (
        Signal("core", EnergyAxis(428.5, 0.5, 586), "f4"),
        Signal("low", EnergyAxis(-50.0, 0.5, 1024), "f4"),
    )
    scan = Scan("lsmo", (NavigationAxis("x", 40),), signals)
    preprocessor = Preprocessor(scan, PreprocessSettings(core_offset_ev=11.3, edges=("Mn L",)))
    prepared = preprocessor.process(Chunk(scan, np.arange(40), data["core"], data["low"]))
    assert np.abs(prepared.shift_ev + 3.1).max() < 0.3
    assert len(prepared.spikes) <= 1
    assert (prepared.flags & ~np.uint8(1) == 0).all()
    energies = preprocessor.axis.energies_ev[preprocessor.window]
    l3 = energies[prepared.signal.argmax(axis=1)]
    assert ((l3 > 640) & (l3 < 645)).all()


@pytest.mark.parametrize("dual", [False, True])
def test_a_sum_of_visits_holds_as_many_darks(dual):
    """Pixels of one, two and three visits, with a dark of 50 counts each, come out dark-free."""
    scan, core, low, _ = made(low=LOW if dual else None)
    signals = tuple(replace(s, dark=np.full(s.axis.size, 50, np.float32)) for s in scan.signals)
    visits = (1 + np.arange(scan.pixels) % 3).astype(np.uint16)

    def sums(counts):
        return None if counts is None else counts.astype(np.uint32) + 50 * visits[:, None]

    chunk = Chunk(
        replace(scan, signals=signals, passes=3), np.arange(scan.pixels), sums(core), sums(low),
        summed=visits, low_summed=visits if dual else None,
    )  # fmt: skip
    found = Preprocessor(chunk.scan).process(chunk)
    plain = Preprocessor(scan).process(Chunk(scan, chunk.pixels, core, low))
    for name in ("counts", "signal", "shift_ev", "flags"):
        np.testing.assert_allclose(getattr(found, name), getattr(plain, name), err_msg=name)


def test_a_sum_of_visits_is_not_saturated_because_it_is_large():
    scan, core, _, _ = made(low=None)
    scan = replace(scan, passes=3)
    counts = np.full(core.shape, 3 * 60_000, np.uint32)
    chunk = Chunk(scan, np.arange(scan.pixels), counts, summed=np.full(scan.pixels, 3, np.uint16))
    saturated = 1 << QUALITY_FLAGS.index("saturated")
    assert not (Preprocessor(scan).process(chunk).flags & saturated).any()
    settings = PreprocessSettings(saturation_counts=60_000)
    assert (Preprocessor(scan, settings).process(chunk).flags & saturated).all()
