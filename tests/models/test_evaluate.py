import csv
import json

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from live_eels.models.disturb import counted, scattered, shifted
from live_eels.models.evaluate import evaluate, find, on_spectra
from live_eels.models.lines import CLASSES, shipped_lines
from live_eels.models.randomise import draw
from live_eels.models.simulated_tests import LABORATORY
from live_eels.models.spectra_files import Labelled, SpectrumFileError, read_folder

from live_eels.model_card import ModelError
from live_eels.spectra import EnergyAxis


@pytest.fixture(scope="module")
def spectra():
    domain = msgspec.structs.replace(LABORATORY, none=0.0, dose=(2000, 3000))
    return [
        Labelled(f"s{i}_{j}.csv", CLASSES[g.label[j]], g.axis, g.counts[j])
        for i, g in enumerate(draw(shipped_lines(), 128, np.random.default_rng(2), domain))
        for j in range(0, 32, 2)
    ]


@pytest.fixture
def folder(tmp_path, spectra):
    listed = []
    for s in spectra[:12]:
        scaled = (s.intensity - s.intensity.min()) / np.ptp(s.intensity) - 0.05
        rows = np.stack([s.axis.energies_ev, scaled], axis=1)
        np.savetxt(
            tmp_path / s.file, rows, delimiter=",", header="energy_ev,intensity", comments=""
        )
        listed.append((s.file, s.label))
    first = spectra[0]
    (tmp_path / "one.msa").write_text(
        "#FORMAT : EMSA\n"
        f"#OFFSET : {first.axis.offset_ev:g}\n#XPERCHAN : {first.axis.dispersion_ev:g}\n"
        "#XUNITS : eV\n#DATATYPE : Y\n#SPECTRUM :\n"
        + "\n".join(f"{v:g}," for v in first.intensity)
        + "\n#ENDOFDATA :\n"
    )
    listed.append(("one.msa", first.label))
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label"), *listed])
    return tmp_path


def test_json_holds_what_it_promises(folder, tmp_path):
    out = tmp_path / "out.json"
    evaluate(spectra=folder, json_file=out, report=tmp_path / "r.md")
    result = json.loads(out.read_text())
    assert {"accuracy", "n", "rejected", "confusion", "files"} <= result.keys()
    assert result["n"] == len(result["files"]) == 13
    assert result["accuracy"] >= 0.6  # of 13
    for one in result["files"].values():
        assert {"label", "probabilities", "valence", "true"} <= one.keys()
        assert sum(one["probabilities"].values()) == pytest.approx(1.0, abs=1e-3)
    right = sum(row.get(true, 0) for true, row in result["confusion"].items())
    assert right / result["n"] == pytest.approx(result["accuracy"])
    assert "Confusion" in (tmp_path / "r.md").read_text()


def test_msa_and_csv_of_one_spectrum_agree(folder):
    files = on_spectra(find(None), read_folder(folder))["files"]
    first = next(iter(files))
    for name, p in files[first]["probabilities"].items():
        assert files["one.msa"]["probabilities"][name] == pytest.approx(p, abs=0.05)


def test_hspy_is_read(tmp_path, spectra):
    h5py = pytest.importorskip("h5py")
    s = spectra[0]
    with h5py.File(tmp_path / "a.hspy", "w") as file:
        group = file.create_group("Experiments/one")
        group["data"] = np.stack([s.intensity, s.intensity])
        for k, (scale, offset) in enumerate(((1.0, 0.0), (s.axis.dispersion_ev, s.axis.offset_ev))):
            axis = group.create_group(f"axis-{k}")
            axis.attrs["scale"], axis.attrs["offset"] = scale, offset
    (tmp_path / "labels.csv").write_text(f"file,label\na.hspy,{s.label}\n")
    (read,) = read_folder(tmp_path)
    np.testing.assert_allclose(read.intensity, s.intensity, rtol=1e-6)
    assert read.axis.offset_ev == pytest.approx(s.axis.offset_ev)


def test_labels_the_model_does_not_know_do_not_count(spectra):
    known, other = spectra[0], spectra[1]
    mixed = Labelled("m", "Mn2+/Mn3+", other.axis, other.intensity)
    result = on_spectra(find(None), [known, mixed])
    assert result["n"] == 1
    assert set(result["files"]) == {known.file, "m"}


def test_disturbances_do_what_they_say(spectra):
    s = spectra[0]
    assert shifted(s, 3.0).axis.offset_ev == s.axis.offset_ev + 3.0
    noisy = counted(s, 20.0, np.random.default_rng(0))
    assert (noisy.intensity >= 0).all()
    assert (noisy.intensity == np.round(noisy.intensity)).all()
    per_tenth = noisy.intensity.max() / s.axis.dispersion_ev * 0.1
    assert 15 < per_tenth < 60
    top = scattered(s, 1.0)
    assert np.argmax(top.intensity) == pytest.approx(np.argmax(s.intensity), abs=2)
    np.testing.assert_allclose(scattered(s, 0.0).intensity, s.intensity, rtol=1e-6)


def test_thick_spectra_gain_behind_the_edge():
    axis = EnergyAxis(600, 0.5, 300)
    line = np.exp(-0.5 * ((axis.energies_ev - 640) / 1.5) ** 2)
    out = scattered(Labelled("l", "Mn2+", axis, line), 1.0).intensity
    assert out[(axis.energies_ev > 655) & (axis.energies_ev < 680)].mean() > 0.01
    assert out.max() == pytest.approx(line.max() * np.exp(-1), rel=0.05)


@pytest.mark.parametrize(
    ("listing", "files", "words"),
    [
        (None, {}, "labels.csv"),
        ("a,b\nx,y\n", {}, "columns file,label"),
        ("file,label\n../x.csv,Mn2+\n", {}, "outside"),
        ("file,label\nx.csv,Mn2+\n", {}, "x.csv"),
        ("file,label\nx.csv,Mn2+\n", {"x.csv": "energy_ev,intensity\n1,2\n2,3\n"}, "16 channels"),
        ("file,label\nx.csv,Mn2+\n", {"x.csv": "energy_ev,intensity\n1,two\n"}, "x.csv"),
    ],
)
def test_bad_folders_are_named(tmp_path, listing, files, words):
    if listing is not None:
        (tmp_path / "labels.csv").write_text(listing)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SpectrumFileError, match=words):
        read_folder(tmp_path)


def test_unknown_model_lists_the_shipped_ones():
    with pytest.raises(ModelError, match="mn-fe-dense"):
        find("nothing")


def test_axis_without_an_edge_is_rejected_not_fatal():
    axis = EnergyAxis(100, 0.5, 300)
    result = on_spectra(find(None), [Labelled("a", "Mn2+", axis, np.ones(300))])
    assert result["accuracy"] == 0.0
    assert result["rejected"] == 1


def test_simulated_tests_fill_the_report(tmp_path):
    result = evaluate(quick=True, report=tmp_path / "r.md", json_file=tmp_path / "r.json")
    assert result["summary"]["accuracy"] > 0.8
    assert len(result["shift_ev"]) == 27
    assert result["counts"]["3000"] > result["counts"]["3"]
    text = (tmp_path / "r.md").read_text()
    assert f"| accuracy | {result['summary']['accuracy']:g} |" in text
    for heading in ("machines against networks", "Structures of networks", "Training shifted"):
        assert heading in text
    for plot in ("r.png", "r-studies.png"):
        assert f"({plot})" in text
        assert (tmp_path / plot).stat().st_size > 20_000


def test_studies_are_done_again_and_shown(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from live_eels.models import search, shift_study, simulated_tests, studies

    from live_eels.cli import cli

    monkeypatch.setattr(search, "DENSE", ((8,),))
    monkeypatch.setattr(search, "CONVOLUTIONAL", ())
    monkeypatch.setattr(search, "EPOCHS", (1, 2))
    monkeypatch.setattr(shift_study, "TRAINED", {})
    monkeypatch.setattr(shift_study, "SHIFTS_EV", (0, 1))
    small = {"model": "m", "summary": {}, "confusion": {"Mn2+": {"Mn2+": 1}}, "mixtures": {}}
    monkeypatch.setattr(simulated_tests, "simulated_tests", lambda *_: small)
    monkeypatch.setattr("live_eels.models.report._drawn", lambda *_: False)
    report, own = tmp_path / "r.md", tmp_path / "own"
    options = ["evaluate", "--quick", "--studies", str(own), "--report", str(report)]
    done = CliRunner().invoke(cli, options)
    assert done.exit_code == 0, (done.output, done.exception)
    rows = studies.stored(own / studies.STRUCTURES)
    assert [row["structure"] for row in rows] == ["8", "8"]
    assert set(studies.stored(own / studies.SHIFTS)) == {shift_study.ALIGNED}
    assert "| dense | 8 | 2 |" in report.read_text()
    assert "256-128" not in report.read_text()


def test_command_line(folder):
    from live_eels.cli import cli

    out = folder / "o.json"
    done = CliRunner().invoke(
        cli, ["evaluate", "--spectra", str(folder), "--json", str(out), "--shift", "2.5"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["shift_ev"] == 2.5
