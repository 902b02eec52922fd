"""Questions about this machine: versions, memory, kernels, speed, models, disk."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

from live_eels import __version__
from live_eels.config import Config
from live_eels.doctor.check import Check, thousands
from live_eels.spectra import Chunk, EnergyAxis, NavigationAxis, Scan, Signal

if TYPE_CHECKING:
    from live_eels.classify import Classifier

LEAST_FREE_MEMORY_MIB = 1000
LEAST_FREE_DISK_GIB = 5
LEAST_DISK_MB_PER_S = 150
WRITE_MIB = 128
EXAMPLE_CHANNELS = 2048
PURE, REFERENCES, ENOUGH_RIGHT = 0.98, 8, 0.8
SPEED_CHUNK, SPEED_S = 512, 1.0


def python() -> Check:
    """Versions of Python and of what the engine stands on."""
    names = ("numpy", "numba", "onnxruntime", "h5py", "pyzmq", "aiohttp")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    detail = f"{platform.python_version()}, live_eels {__version__}, {versions}"
    if sys.maxsize < 2**32:
        return Check("python", "error", detail, "This is a 32-bit Python; install a 64-bit one.")
    return Check("python", "ok", detail)


def memory(config: Config) -> Check:
    """Cores, and whether the memory that the scan needs is free."""
    from live_eels.app.receive import BYTES_PER_PIXEL

    free = psutil.virtual_memory().available / 2**20
    detail = f"{os.cpu_count()} cores, {thousands(free)} MiB memory free"
    shape = _known_shape(config)
    need = LEAST_FREE_MEMORY_MIB + config.engine.queue_mib
    if shape:
        pixels = math.prod(shape)
        need += pixels * BYTES_PER_PIXEL / 2**20
        detail += f"; a scan of {' x '.join(map(str, shape))} needs about {need:.0f} MiB"
    if free < need:
        return Check(
            "computer", "warn", detail, "Close other programs, or scan fewer pixels at a time."
        )
    return Check("computer", "ok", detail)


def _known_shape(config: Config) -> tuple[int, ...]:
    foreign = {"dectris": config.dectris, "karabo": config.karabo}.get(config.stream.format)
    return tuple(axis.size for axis in foreign.navigation) if foreign is not None else ()


# Compiled kernels.


def kernels(config: Config) -> Check:
    """Compile (or load) all kernels; where their cache is, and whether it can be written."""
    start = time.perf_counter()
    try:
        from live_eels.app.pipelines import ModelFinder, warm_up
        from live_eels.kernels import pca
    except RuntimeError as error:  # numba finds no place for its cache
        return Check(
            "kernels",
            "error",
            str(error),
            "Set NUMBA_CACHE_DIR to a folder you may write to, and start again.",
        )
    warm_up(config, ModelFinder(""))
    seconds = time.perf_counter() - start
    import numba

    folder = Path(pca.project._cache.cache_path)  # type: ignore[attr-defined]
    detail = f"ready in {seconds:.1f} s; {numba.get_num_threads()} threads"
    layer = numba.threading_layer()  # type: ignore[attr-defined]
    detail += f" ({layer}); cache {folder}"
    if not _can_write(folder):
        return Check(
            "kernels",
            "warn",
            detail + " cannot be written",
            "Every start compiles anew. Set NUMBA_CACHE_DIR to a folder you may write to.",
        )
    return Check("kernels", "ok", detail)


def _can_write(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def speed(config: Config) -> Check:
    """How fast the analysis alone is, on made-up spectra."""
    from live_eels.app.pipelines import ModelFinder, make_pipeline
    from live_eels.app.session import Session

    axis = EnergyAxis(450.0, 0.2, EXAMPLE_CHANNELS)
    scan = Scan("speed", (NavigationAxis("x", SPEED_CHUNK),), (Signal("core", axis),))
    mean = 4e3 * (axis.energies_ev / 450.0) ** -3
    counts = np.random.default_rng(0).poisson(mean, (SPEED_CHUNK, axis.size)).astype("<u2")
    chunk = Chunk(scan, np.arange(SPEED_CHUNK), counts)
    session = Session(scan, 0, 0.0, 0.0)
    pipeline = make_pipeline(session, config, ModelFinder(config.classify.model))
    pipeline.process(chunk)
    done, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < SPEED_S:
        pipeline.process(chunk)
        done += SPEED_CHUNK
    rate = done / seconds
    return Check(
        "speed",
        "ok" if rate > 2000 else "warn",
        f"{thousands(rate)} spectra/s of {EXAMPLE_CHANNELS} channels analysed: enough for "
        f"{1e3 / rate:.2g} ms dwell",
        "" if rate > 2000 else "Is something else busy? `live-eels bench` measures it all.",
    )


# Models.


def models(config: Config) -> Check:
    """Load every model that may be used; each must recognise simulated spectra."""
    from live_eels import models
    from live_eels.app.pipelines import ModelFinder
    from live_eels.model_card import ModelError

    wanted = config.classify.model
    names = list(models.shipped()) if wanted in ("", "auto") else [wanted]
    try:
        finder = ModelFinder("")
        cards = [finder.load(name).card for name in names]
    except ModelError as error:
        return Check("models", "error", str(error), "Install live_eels anew, or check the path.")
    if not cards:
        return Check("models", "error", "no model is installed", "Install live_eels anew.")
    detail = f"{', '.join(card.name for card in cards)}: loaded, as their cards say; no GPU needed"
    right, total = _recognised([finder.load(name) for name in names])
    if total:
        detail += f"; {right} of {total} simulated reference spectra recognised"
    if right < ENOUGH_RIGHT * total:
        return Check("models", "warn", detail, "Do not trust these labels; `live-eels evaluate`.")
    return Check("models", "ok", detail)


def _recognised(classifiers: list[Classifier]) -> tuple[int, int]:
    """Label noise-free simulated spectra whose oxidation state is known: right, and in all."""
    from live_eels.simulators.acquire import Acquisition
    from live_eels.simulators.scene import load_scene

    acquisition = Acquisition(load_scene("core_shell"))
    truth = acquisition.truth
    states = truth.specs["label"].classes
    pixels, expected = [], []
    for index, state in enumerate(states):
        pure = np.flatnonzero(truth.maps[f"fraction_{state}"].ravel() > PURE)[:REFERENCES]
        pixels.append(pure)
        expected += [states[index]] * len(pure)
    counts = acquisition.expected(np.concatenate(pixels))["core"].astype(np.float32)
    right = total = 0
    for classifier in classifiers:
        names = classifier.card.names
        if set(expected) <= set(names):  # a model for other elements is asked nothing
            label = classifier.predict(counts, acquisition.scan.core.axis).label
            got = [names[one] if one >= 0 else "" for one in label]
            right += sum(a == b for a, b in zip(got, expected, strict=True))
            total += len(expected)
    return right, total


# Disk.


def disk(config: Config) -> Check:
    """Room and speed of the folder for recordings."""
    folder = Path(config.record.folder).expanduser()
    place = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not _can_write(place):
        return Check(
            "disk",
            "error",
            f"{place} cannot be written to",
            "Choose another `folder` in [record].",
        )
    free = shutil.disk_usage(place).free
    rate = _write_rate(place) if free > 2 * WRITE_MIB * 2**20 else 0.0
    spectrum = 2 * EXAMPLE_CHANNELS
    detail = (
        f"{place}: {thousands(free / 1e9)} GB free = {thousands(free / spectrum / 1e6)} million "
        f"spectra of {EXAMPLE_CHANNELS} channels; {thousands(rate / 1e6)} MB/s = "
        f"{thousands(rate / spectrum)} spectra/s"
    )
    if free < LEAST_FREE_DISK_GIB * 2**30:
        return Check("disk", "warn", detail, "Nearly full: make room or record elsewhere.")
    if rate < LEAST_DISK_MB_PER_S * 1e6:
        return Check("disk", "warn", detail, "Slow: record on a disk of this computer, an SSD.")
    return Check("disk", "ok", detail)


def _write_rate(folder: Path) -> float:
    """Bytes per second that reach the disk, not its cache."""
    block = np.random.default_rng(0).bytes(8 * 2**20)
    with tempfile.TemporaryFile(dir=folder) as file:
        start = time.perf_counter()
        for _ in range(WRITE_MIB // 8):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return WRITE_MIB * 2**20 / (time.perf_counter() - start)
