"""Results going out: what control software reads, and results that lie."""

from dataclasses import replace

import msgpack
import numpy as np
import pytest

import hostile
from hostile import carried
from live_eels import wire
from live_eels.spectra import (
    ChunkResult,
    Curve,
    EnergyAxis,
    MapSnapshot,
    MapSpec,
    NavigationAxis,
    Scan,
    Signal,
    WireError,
)


def snapshot():
    axes = (NavigationAxis("y", 2, 0.5), NavigationAxis("x", 3, 0.25, "um"))
    scan = Scan("s", axes, (Signal("core", EnergyAxis(600, 0.25, 8)),))
    label = MapSpec("label", "label", "", "valence", ("Mn2+", "Mn3+"), None)
    ratio = MapSpec("L3/L2", "intensity", "1", "white-line ratio", (), (0.0, 4.0))
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    values[0, 1] = np.nan
    curve = Curve(EnergyAxis(600, 0.25, 4), np.ones((2, 4), np.float32), ("1", "2"))
    sigma = Curve(curve.axis, curve.values, ("a", "b"), "counts", curve.values / 2)
    return MapSnapshot(
        scan, 17, {"label": label, "L3/L2": ratio}, {"label": values, "L3/L2": values.T.copy().T},
        curves={"factors": curve, "means": sigma},
    )  # fmt: skip


@pytest.mark.parametrize("name", ["label", "L3/L2"])
def test_maps_go_out_and_come_in(name):
    shot = snapshot()
    parts = carried(wire.encode_map(shot, name))
    assert bytes(parts[0]) == f"map/{name}".encode()
    message = wire.decode_result(parts)
    assert message.spec == shot.specs[name]
    assert (message.scan, message.version) == ("s", 17)
    assert (message.scale, message.units) == ([0.5, 0.25], ["nm", "um"])
    np.testing.assert_array_equal(message.values, shot.maps[name])
    assert message.values.dtype == np.float32


@pytest.mark.parametrize("name", ["factors", "means"])
def test_curves_go_out_and_come_in(name):
    shot = snapshot()
    message = wire.decode_result(carried(wire.encode_curve(shot, name)))
    curve = shot.curves[name]
    np.testing.assert_array_equal(message.values, curve.values)
    assert tuple(message.labels) == curve.labels
    assert EnergyAxis(message.offset_ev, message.dispersion_ev, 4) == curve.axis
    if curve.error is None:
        assert message.sigma is None
    else:
        np.testing.assert_array_equal(message.sigma, curve.error)


def test_status_and_events_go_out_and_come_in():
    status = wire.decode_result(carried(wire.encode_status({"state": "scanning", "gaps": 2})))
    assert status.status == {"state": "scanning", "gaps": 2}
    event = wire.decode_result(carried(wire.encode_event("mark_region", "s", {"pixels": [1, 2]})))
    assert (event.event, event.scan, event.details) == ("mark_region", "s", {"pixels": [1, 2]})


def test_pixels_go_out_and_come_in():
    label, ratio = np.array([1, 0], np.float32), np.array([np.nan, 2.5], np.float32)
    result = ChunkResult(np.array([7, 3]), {"label": label, "L3/L2": ratio})
    message = wire.decode_result(carried(wire.encode_pixels("s", result)))
    assert message.pixels.tolist() == [7, 3]
    assert message.maps == ["label", "L3/L2"]
    np.testing.assert_array_equal(message.values, [label, ratio])
    nothing = ChunkResult(np.array([7, 3]), {})
    assert wire.decode_result(wire.encode_pixels("s", nothing)).values.shape == (0, 2)


def test_curves_without_a_curve_go_out_and_come_in():
    empty = Curve(EnergyAxis(600, 0.25, 4), np.empty((0, 4), np.float32), ())
    shot = replace(snapshot(), curves={"means": empty})
    assert wire.decode_result(carried(wire.encode_curve(shot, "means"))).values.shape == (0, 4)


def test_hostile_results_are_wire_errors():
    good = [
        [bytes(part) for part in parts]
        for parts in (
            wire.encode_map(snapshot(), "label"),
            wire.encode_curve(snapshot(), "means"),
            wire.encode_status({"state": "scanning"}),
            wire.encode_pixels("s", ChunkResult(np.arange(2), {"a": np.ones(2, np.float32)})),
        )
    ]
    refused = 0
    for parts in hostile.mutations(seed=2, number=500):
        with pytest.raises(WireError):  # a good message of a scan is no result
            wire.decode_result(parts)
    rng = np.random.default_rng(3)
    for number in range(5000):
        parts = [bytearray(part) for part in good[number % 4]]
        part = parts[rng.integers(1, len(parts))]
        part[rng.integers(len(part))] = rng.integers(256)
        if number % 5 == 0:
            del part[rng.integers(len(part)) :]
        try:
            wire.decode_result([bytes(part) for part in parts])
        except WireError:
            refused += 1
    assert refused > 1000


@pytest.mark.parametrize(
    "shape", [[2**28, 2**28], [-2, -3], [2, 3, 1, 1, 1, 1, 1, 1, 1], [0, 3], ["2", 3], [2.5, 3], 6]
)
def test_hostile_shapes_of_maps(shape):
    topic, header, values = wire.encode_map(snapshot(), "label")
    lie = msgpack.packb(msgpack.unpackb(header) | {"shape": shape})
    with pytest.raises(WireError):
        wire.decode_result([topic, lie, values])


def test_hostile_results_of_no_size_and_too_much_meaning():
    topic, header, values = wire.encode_map(snapshot(), "label")
    fields = msgpack.unpackb(header)
    with pytest.raises(WireError, match="cannot be"):
        wire.decode_result([topic, msgpack.packb(fields | {"shape": [0, 2**63]}), b""])
    with pytest.raises(WireError, match="64 KiB"):
        wire.decode_result([topic, msgpack.packb(fields | {"meaning": "x" * 70_000}), values])
