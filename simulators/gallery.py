"""Pictures of everything the simulator makes: one command, a folder of PNG and a page.

Lives here: drawing (extra ``plots``). ``live-eels simulate --gallery DIR`` calls ``make_gallery``.
Measured spectra are drawn beside ours where their folder is given; none is shipped.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from live_eels.simulators.acquire import Acquisition
from live_eels.simulators.edges import (
    L3_EV,
    broadening_of,
    element_of,
    l23_transform,
    site_rows,
)
from live_eels.simulators.lineshapes import gaussian, load, white_line_transform
from live_eels.simulators.materials import Material, shipped_materials
from live_eels.simulators.scattering import FineGrid
from live_eels.simulators.scene import Scene, SignalSettings, load_scene, scene_names
from live_eels.simulators.shapes import Support
from numpy.typing import NDArray

from live_eels.spectra import EnergyAxis, MapSpec, Spectra

STANDARDS = ("MnO", "Mn3O4", "Mn2O3", "MnO2", "FeO", "Fe3O4", "Fe2O3", "SrTiO3")
DOSES = (0.02, 0.2, 2.0)
RESOLUTIONS_EV = (0.3, 1.0)
MAPS = ("phase", "label", "valence", "thickness", "shift_ev", "counts")
COLOURS = (
    "#88CCEE", "#3D7EBF", "#3A2FB0", "#F0E442", "#D55E00", "#9a9a9a", "#1b9e77", "#444444",
)  # fmt: skip
COMPARED = (("Mn2+", "MnO", "MnO"), ("Mn3+", "Mn2O3", "LaMnO3"), ("Mn4+", "MnO2", "SrMnO3"))


def make_gallery(folder: str | Path, measured: str | Path | None = None) -> Iterator[Path]:
    """Draw the gallery; yields each file as it is written, the page last.

    Parameters
    ----------
    folder
        Made if it is not there; pictures of the same names are replaced.
    measured
        Folder with ``mn_literature_half.csv`` and ``mnedgenet_Data2_*.csv`` to draw beside ours.
    """
    import matplotlib

    matplotlib.use("Agg")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, title, draw in (
        ("line_shapes.png", "White lines of each ion over the whole grid", draw_line_shapes),
        ("standards.png", "Each standard at three doses and two resolutions", draw_standards),
        ("low_loss.png", "Low loss", draw_low_loss),
    ):
        draw(folder / name)
        written.append((name, title))
        yield folder / name
    if measured is not None:
        draw_measured(Path(measured), folder / "measured.png")
        written.append(("measured.png", "Beside measured spectra"))
        yield folder / "measured.png"
    for scene_name in scene_names():
        scene = load_scene(scene_name)
        draw_scene(scene, folder / f"scene_{scene_name}.png")
        written.append((f"scene_{scene_name}.png", f"{scene.title}. {scene.description.strip()}"))
        yield folder / f"scene_{scene_name}.png"
    page = folder / "index.html"
    figures = "\n".join(
        f'<figure><img src="{name}" alt="{title}"><figcaption>{title}</figcaption></figure>'
        for name, title in written
    )
    page.write_text(PAGE.replace("FIGURES", figures), encoding="utf-8")
    yield page


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>live_eels simulator</title>
<style>body{font:15px sans-serif;max-width:1100px;margin:2em auto;color:#222}
img{max-width:100%}figure{margin:0 0 2.5em}figcaption{color:#555}</style>
<h1>What the simulator makes</h1>
FIGURES
</html>
"""


def draw_line_shapes(path: Path) -> None:
    """White lines of all ions, every crystal field of the grid, and the charge-transfer ones."""
    shapes = load()
    materials = _materials()
    figure, axes = _figure(2, 3, 12.0, 6.5)
    for panel, ion in zip(axes.flat, L3_EV, strict=True):
        site = next(site for name in STANDARDS for site in materials[name].sites if site.ion == ion)
        rows = shapes.rows(ion)
        start, step, size = L3_EV[ion] - 25.0, 0.05, 1400
        hat = white_line_transform(
            shapes, rows, broadening_of(site), start, step, 2 * size, size + 1
        )
        lines = np.fft.irfft(hat, 2 * size, axis=1)[:, :size]
        energies = start + step * np.arange(size)
        for row, line in zip(rows, lines, strict=True):
            transfer = shapes.family[row] == "charge_transfer"
            tetrahedral = shapes.ten_dq_ev[row] < 0
            panel.plot(
                energies, line / line.max(), lw=1.4 if transfer else 0.5,
                color="#D55E00" if transfer else "#1b9e77" if tetrahedral else "#3D7EBF",
                zorder=3 if transfer else 2,
            )  # fmt: skip
        panel.set(title=f"{ion}: {len(rows)} shapes", xlim=(L3_EV[ion] - 7, L3_EV[ion] + 20))
        panel.set_xlabel("energy loss (eV)")
    axes[0, 0].plot([], [], color="#3D7EBF", label="octahedral, tetragonal")
    axes[0, 0].plot([], [], color="#1b9e77", label="tetrahedral")
    axes[0, 0].plot([], [], color="#D55E00", label="charge transfer")
    axes[0, 0].legend(fontsize=7, frameon=False)
    _save(figure, path)


def draw_standards(path: Path) -> None:
    """One row per standard: three doses at the two resolutions."""
    figure, axes = _figure(len(STANDARDS), 2 * len(DOSES), 16.0, 14.0)
    for row, name in zip(axes, STANDARDS, strict=True):
        for column, (resolution, dose) in enumerate(
            (resolution, dose) for resolution in RESOLUTIONS_EV for dose in DOSES
        ):
            acquisition = Acquisition(_standard(name, resolution, dose), seed=column)
            counts = next(m.counts[0] for m in acquisition.messages() if isinstance(m, Spectra))
            axis = acquisition.scan.core.axis
            row[column].plot(axis.energies_ev, counts, lw=0.5, color="#777777")
            expected = acquisition.expected()["core"][0]
            row[column].plot(axis.energies_ev, expected, lw=1.0, color="#D55E00")
            row[column].set_ylim(0, None)
            row[column].tick_params(labelsize=6)
            if row is axes[0]:
                row[column].set_title(f"{resolution:g} eV, dose × {dose:g}", fontsize=9)
        row[0].set_ylabel(name, fontsize=10)
    figure.supxlabel("energy loss (eV); counts in grey, their mean in orange", fontsize=9)
    _save(figure, path)


def draw_low_loss(path: Path) -> None:
    """Zero-loss peaks of the guns, low loss of materials, and plural scattering."""
    from live_eels.simulators.lowloss import GUNS, zero_loss
    from live_eels.simulators.spectrometer import Spectrometer

    figure, axes = _figure(1, 3, 13.0, 3.8)
    fine = EnergyAxis(-6.0, 0.02, 700)
    grid = FineGrid.around(fine, 5.0, 5.0)
    for gun, fwhm in (("monochromated", 0.2), ("cold_feg", 0.5), ("cold_feg", 1.0)):
        hat = zero_loss(GUNS[gun], fwhm).transform(grid.omega)
        profile = grid.sampled((hat * np.exp(1j * grid.omega * grid.start_ev))[None])[0]
        shown = np.maximum(profile / profile.max(), 1e-9)
        axes[0].semilogy(fine.energies_ev, shown, label=f"{gun}, {fwhm:g} eV")
    axes[0].set(ylim=(1e-6, 2), xlim=(-4, 6), title="zero-loss peak")
    axis = EnergyAxis(-5.0, 0.1, 1000)
    for name in ("carbon", "MnO", "Fe2O3", "SrTiO3"):
        spectrometer = Spectrometer(_standard(name, 0.5, 1.0), axis, low=True)
        thin = np.array([[0.5 * spectrometer.path_nm[0]]])
        mean = spectrometer.electrons(thin, np.zeros(1), np.array([1.0]))[0]
        axes[1].plot(axis.energies_ev, mean / axis.dispersion_ev, label=name)
    axes[1].set(ylim=(0, 0.02), xlim=(0, 80), title="t/λ = 0.5", ylabel="1/eV")
    spectrometer = Spectrometer(_standard("SrTiO3", 0.5, 1.0), axis, low=True, thickest=4.0)
    for t in (0.2, 0.5, 1.0, 2.0, 4.0):
        thick = np.array([[t * spectrometer.path_nm[0]]])
        mean = spectrometer.electrons(thick, np.zeros(1), np.array([1.0]))[0]
        axes[2].semilogy(axis.energies_ev, mean / axis.dispersion_ev, label=f"{t:g}")
    axes[2].set(ylim=(1e-5, 2), title="SrTiO3: plural scattering, by t/λ")
    for panel in axes:
        panel.legend(fontsize=7, frameon=False)
        panel.set_xlabel("energy loss (eV)")
    _save(figure, path)


def draw_measured(measured: Path, path: Path) -> None:
    """Ours beside measured Mn L2,3: electron energy loss above, X-ray absorption below."""
    published = _published(measured / "mn_literature_half.csv")
    figure, axes = _figure(2, 3, 13.0, 7.0)
    for column, (ion, material, compound) in enumerate(COMPARED):
        upper, lower = axes[:, column]
        for energies, values in published.get(ion, []):
            upper.plot(energies, values / values.max(), lw=0.7, color="#999999")
        for resolution, colour in ((0.3, "#3D7EBF"), (0.8, "#D55E00")):
            energies, values = edge_spectrum(material, resolution)
            upper.plot(energies, values / values.max(), color=colour, label=f"{resolution:g} eV")
        upper.set_title(f"{ion}: published spectra, and {material} of ours")
        energies, values = np.genfromtxt(
            measured / f"mnedgenet_Data2_{compound}.csv", delimiter=",", skip_header=1
        ).T
        values = values - values[:8].mean()
        lower.plot(energies, values / values.max(), color="black", label=f"{compound}, measured")
        energies, values = edge_spectrum(compound, 0.2, continuum=False)
        lower.plot(energies, values / values.max(), color="#3D7EBF", label="ours, 0.2 eV")
        lower.set_title(f"{compound}: white lines, continuum taken off")
        for panel in (upper, lower):
            panel.legend(fontsize=7, frameon=False)
            panel.set(xlim=(635, 664), xlabel="energy loss (eV)")
    _save(figure, path)


def edge_spectrum(
    material: str, resolution_ev: float, *, continuum: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """L2,3 edge of a shipped material's first element, single scattering, 0.05 eV steps.

    Returns energies (eV) and the cross section (arbitrary unit), float64 ``(energy,)``.
    """
    chosen = _materials()[material]
    first = chosen.sites[0]
    axis = EnergyAxis(L3_EV[first.ion] - 20.0, 0.05, 1000)
    grid = FineGrid.around(axis, 120.0, 250.0)
    bins = grid.size // 2 + 1
    hat: NDArray[np.complex128] = np.zeros(bins, complex)
    for site in chosen.sites:
        if element_of(site.ion) != element_of(first.ion):
            continue
        if continuum:
            hat += site.part * l23_transform(site, grid, bins, 200.0, 40.0)
            continue
        rows, weights = zip(*site_rows(load(), site), strict=True)
        lines = white_line_transform(
            load(), np.array(rows), broadening_of(site), grid.start_ev, grid.step_ev, grid.size
        )
        hat += site.part * (np.array(weights) @ lines)
    return axis.energies_ev, grid.sampled(
        np.asarray(hat * gaussian(resolution_ev, grid.omega), complex)[None]
    )[0]


def draw_scene(scene: Scene, path: Path) -> None:
    """Truth maps of a scene, one spectrum of each phase, and the low loss."""
    acquisition = Acquisition(scene, seed=1)
    truth, axis = acquisition.truth, acquisition.scan.core.axis
    two = len(acquisition.scan.shape) > 1
    figure, axes = _figure(2, 4, 16.0, 7.0)
    for panel, name in zip((*axes[0], *axes[1, :2]), MAPS, strict=True):
        spec, values = truth.specs[name], truth.maps[name]
        if two:
            _draw_map(figure, panel, spec, values)
        else:
            panel.plot(values.ravel(), ".", ms=3, color="#3D7EBF")
            panel.set_title(name)
    phase = truth.maps["phase"].ravel()
    for number, name in enumerate(truth.specs["phase"].classes):
        found = np.flatnonzero(phase == number)
        if found.size:
            pixel = found[[found.size // 2]]
            expected = acquisition.expected(pixel)
            axes[1, 2].plot(axis.energies_ev, expected["core"][0], lw=0.9, label=name)
            if "low" in expected and acquisition.scan.low is not None:
                low = acquisition.scan.low.axis
                axes[1, 3].semilogy(
                    low.energies_ev, np.maximum(expected["low"][0], 0.1), lw=0.9, label=name
                )
    axes[1, 2].set(title="core loss, mean counts", xlabel="energy loss (eV)")
    axes[1, 2].legend(fontsize=7, frameon=False)
    axes[1, 3].set(title="low loss, mean counts", xlabel="energy loss (eV)")
    figure.suptitle(scene.title)
    _save(figure, path)


def _draw_map(figure: Any, panel: Any, spec: MapSpec, values: NDArray[np.float32]) -> None:
    from matplotlib.colors import ListedColormap

    panel.set_title(f"{spec.name} ({spec.unit})" if spec.unit else spec.name)
    panel.set(xticks=[], yticks=[])
    if spec.kind == "label":
        shown = ListedColormap(list(COLOURS[: len(spec.classes)]))
        panel.set_facecolor("#222222")  # where the beam never was
        panel.imshow(values, cmap=shown, vmin=-0.5, vmax=len(spec.classes) - 0.5)
        for number, name in enumerate(spec.classes):
            if (values == number).any():
                panel.plot([], [], "s", color=COLOURS[number], label=name)
        panel.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        return
    limits = spec.limits or (None, None)
    image = panel.imshow(
        values, cmap="RdBu_r" if spec.kind == "signed" else "viridis", vmin=limits[0],
        vmax=limits[1],
    )  # fmt: skip
    panel.set_facecolor("#dddddd")
    figure.colorbar(image, ax=panel, fraction=0.04)


def _standard(material: str, resolution_ev: float, dose: float) -> Scene:
    """One position on 40 nm of a material, on a counting detector."""
    scene = load_scene("standards").changed(
        scan={"shape": []},
        microscope={"zlp_fwhm_ev": resolution_ev, "gun": "monochromated"},
        exposure=dose,
    )
    offset = 440.0 if material == "SrTiO3" else 500.0
    core = SignalSettings(
        name="core", offset_ev=offset, dispersion_ev=0.25, channels=1024, dtype="u4",
        detector="counter",
    )  # fmt: skip
    return msgspec.structs.replace(
        scene, signals=(core,), shapes=(Support(material=material, thickness_nm=40.0),)
    )


def _published(path: Path) -> dict[str, list[tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """Published spectra by group, each moved so that its maximum is where the median's is."""
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with path.open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            pair = (float(line["energy_eV"]), float(line["intensity"]))
            points.setdefault((line["group"], line["id"]), []).append(pair)
    out: dict[str, list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for (group, _), pairs in points.items():
        energies, values = np.array(pairs).T
        if group in L3_EV:
            energies = energies - energies[values.argmax()] + L3_EV[group]
            out.setdefault(group, []).append((energies, values))
    return out


def _materials() -> dict[str, Material]:
    return msgspec.convert(shipped_materials(), dict[str, Material])


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=rows == 1)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=80)
