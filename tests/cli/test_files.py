"""``info`` and ``process``: what is said of a file, and where results go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from click.testing import CliRunner

from conftest import two_phase_scan
from live_eels.cli import cli
from live_eels.cli.files import _unused
from live_eels.io.reader import open_recording
from live_eels.io.recorder import Recorder
from live_eels.spectra import Chunk, ScanEnd


def recorded(path: Path, pixels: int = 120, *, end: str | None = "complete") -> None:
    scan, core, low, _ = two_phase_scan()
    recorder = Recorder(path, scan)
    recorder.write(Chunk(scan, np.arange(pixels), core[:pixels], low[:pixels]))
    if end is None:
        recorder.close()
        return
    recorder.note("a hole in the film")
    recorder.finish(ScanEnd(scan.id, end, pixels), None, {"gaps": 3, "late": 0})


def said(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_what_is_missing_lost_and_noted_is_said(tmp_path):
    recorded(tmp_path / "a.hspy", 100, end="lost")
    text = said("info", tmp_path / "a.hspy")
    for part in (
        "y 12 (1 nm) x x 10 (1 nm)", "560 to 759.5 eV in steps of 0.5 eV", "dwell 0.001 s",
        "origin simulation", "100 of 120 recorded", "20 pixels, the first at index 100",
        "end lost", "gaps 3", "a hole in the film", "collection not known",
    ):  # fmt: skip
        assert part in text
    assert "late" not in text  # what is zero is no news


def test_a_whole_recording_misses_nothing_and_one_cut_off_says_so(tmp_path):
    recorded(tmp_path / "a.hspy")
    assert "missing" not in said("info", tmp_path / "a.hspy")
    recorded(tmp_path / "b.hspy", end=None)
    assert "in progress, or cut off" in said("info", tmp_path / "b.hspy")
    with h5py.File(tmp_path / "b.hspy", "r+") as file:
        del file["live_eels"]  # a file that somebody else wrote
    assert "the file does not tell" in said("info", tmp_path / "b.hspy")


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    for name in ("a.hspy", "a_2.hspy", "a_3.hspy"):
        path = _unused(tmp_path / "a.hspy")
        assert path.name == name
        path.touch()


def test_settings_and_a_low_loss_of_its_own_are_used(tmp_path):
    recorded(tmp_path / "both.hspy")
    scan, core, low, _ = two_phase_scan()
    for name, signal, counts in (("core", scan.signals[0], core), ("low", scan.signals[1], low)):
        alone = replace(scan, signals=(signal,))
        recorder = Recorder(tmp_path / f"{name}.hspy", alone)
        recorder.write(Chunk(alone, np.arange(120), counts))
        recorder.finish(ScanEnd(scan.id, "complete", 120))
    (tmp_path / "my.toml").write_text("[cluster]\nclusters = 3\n")
    out = tmp_path / "out"
    said("process", tmp_path / "core.hspy", "--low-loss", tmp_path / "low.hspy", "--out", out,
         "--config", tmp_path / "my.toml", "--set", "preprocess.window_ev=[630,730]")  # fmt: skip
    with open_recording(out / "core_maps.hspy") as back:
        assert np.unique(back.maps["cluster"]).tolist() == [0, 1, 2]
        assert np.isfinite(back.maps["ZLP fwhm"]).all()
        axis = back.curves["factors"].axis
        assert (axis.offset_ev, axis.end_ev) == (630.0, 730.0)
        np.testing.assert_array_equal(back.counts(np.arange(120), "low"), low)
    assert (out / "cluster.png").exists()


def test_a_method_that_does_not_exist_is_the_users_mistake(tmp_path):
    recorded(tmp_path / "a.hspy")
    done = CliRunner().invoke(cli, ["process", str(tmp_path / "a.hspy"), "--method", "magic"])
    assert done.exit_code == 2
    assert "ward" in done.output


def test_offline_methods_write_their_maps_and_nothing_else(tmp_path):
    recorded(tmp_path / "a.hspy")
    text = said("process", tmp_path / "a.hspy", "--method", "nmf", "--out", tmp_path / "out")
    assert "pictures" in text
    assert list((tmp_path / "out").glob("*nmf*.png"))
    assert not list((tmp_path / "out").glob("*.hspy"))
