"""The house: light imports, a wheel that holds everything, examples that are true."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import zmq

from live_eels import wire

ROOT = Path(__file__).parents[1]


def run_python(code: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_importing_live_eels_costs_numpy_and_nothing_else(tmp_path):
    heavy = ["numba", "onnxruntime", "h5py", "zmq", "sklearn", "scipy", "aiohttp", "msgspec"]
    code = f"import live_eels, sys; print([m for m in {heavy} if m in sys.modules])"
    assert run_python(code, tmp_path).strip() == "[]"


def test_help_loads_no_compiler_and_no_model_runtime(tmp_path):
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from live_eels.cli import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "print([m for m in ('numba', 'onnxruntime', 'h5py', 'zmq') if m in sys.modules])"
    )
    assert run_python(code, tmp_path).strip() == "[]"


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in a wheel built from this tree."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_page_models_scenes_and_data(wheel_names):
    needed = {
        "live_eels/py.typed",
        "live_eels/io/static/index.html",
        "live_eels/io/static/vendor/uPlot.esm.js",
        "live_eels/io/static/vendor/uPlot.LICENSE",
        "live_eels/simulators/scenes/core_shell.toml",
        "live_eels/simulators/lineshapes.npz",
    }
    assert needed <= wheel_names


def tracked_files(*folders):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    listed = subprocess.run(
        ["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return listed.stdout.splitlines()


def test_every_data_file_of_the_tree_is_in_the_wheel(wheel_names):
    wanted = set()
    for name in tracked_files("live_eels", "simulators", "models"):
        if (ROOT / name).exists():
            wanted.add(name if name.startswith("live_eels/") else f"live_eels/{name}")
    assert wanted <= wheel_names


def test_no_stray_top_level_modules_in_the_wheel(wheel_names):
    tops = {name.split("/")[0] for name in wheel_names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"live_eels"}


def test_what_is_installed_is_what_is_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    modules = {"pyzmq": "zmq", "scikit-learn": "sklearn", "pillow": "PIL", "umap-learn": "umap"}

    def named(requirements: list[str]) -> set[str]:
        names = [re.match(r"[\w-]+", one)[0] for one in requirements]
        return {modules.get(name, name) for name in names}

    imported = set()
    for path in (
        p for top in ("live_eels", "simulators", "models") for p in ROOT.glob(f"{top}/**/*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    imported -= {"live_eels", *sys.stdlib_module_names}
    needed = named(project["dependencies"])
    extras = named([one for extra in project["optional-dependencies"].values() for one in extra])
    assert needed <= imported
    assert imported - needed <= extras


def test_versions_agree():
    import live_eels

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == live_eels.__version__
    assert f"version: {live_eels.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{live_eels.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_readmes_sender_is_understood(endpoint):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = next(c.split("```")[0] for c in text.split("```python\n") if "zmq.PUB" in c)
    code = code.replace("tcp://127.0.0.1:5555", endpoint)
    # An XPUB socket is a PUB socket that is told when somebody has subscribed.
    assert "time.sleep(1)  # let subscribers connect" in code
    code = code.replace("zmq.PUB", "zmq.XPUB")
    code = code.replace("time.sleep(1)  # let subscribers connect", "socket.recv()")
    context = zmq.Context()
    with context.socket(zmq.SUB) as ear:
        ear.subscribe(b"")
        ear.connect(endpoint)
        run_python(code, ROOT)
        came = []
        while ear.poll(500):
            came.append(wire.decode(ear.recv_multipart()))
    context.term()
    scan, *spectra, end = came
    assert scan.shape == (16, 16)
    assert [one.pixels.tolist() for one in spectra] == [[pixel] for pixel in range(256)]
    assert end.reason == "complete"


def test_every_command_can_be_imported_and_explains_itself():
    from live_eels.cli import lazy_types

    for name, command in lazy_types().items():
        assert command is not None, name
        assert command.help, name


def test_the_top_level_holds_what_was_agreed():
    agreed = {
        "pyproject.toml", "live_eels", "models", "tests", "simulators", "README.md", "LICENSE",
        "CITATION.cff", "CHANGELOG.md",
    }  # fmt: skip
    tops = {name.split("/")[0] for name in tracked_files()}
    assert {top for top in tops if not top.startswith(".")} == agreed
