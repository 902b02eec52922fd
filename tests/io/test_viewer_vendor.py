"""Other people's files in the page are what they say they are."""

import hashlib
import tomllib

from live_eels.io.viewer import STATIC

VENDOR = STATIC / "vendor"


def test_every_file_is_listed_with_its_sum():
    entries = tomllib.loads((VENDOR / "VENDOR.toml").read_text(encoding="utf-8"))["vendored"]
    sums = {name: value for entry in entries for name, value in entry["sha256"].items()}
    there = {path.name for path in VENDOR.iterdir()} - {"VENDOR.toml"}
    assert there == set(sums)
    for name, value in sums.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == value, name
    for entry in entries:
        assert entry["licence"]
        assert entry["version"]


def test_uplot_is_the_published_one():
    entry = tomllib.loads((VENDOR / "VENDOR.toml").read_text(encoding="utf-8"))["vendored"][0]
    assert entry["version"] == "1.6.32"
    assert entry["sha256"]["uPlot.esm.js"].startswith("5dd9b328")
    assert entry["sha256"]["uPlot.esm.js"].endswith("a80eba")


def test_modules_stay_small():
    for path in [*STATIC.glob("*.js"), *STATIC.glob("*.css")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) < 400, path.name
