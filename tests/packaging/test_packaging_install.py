"""The package as a user gets it: built, installed in new environments, used."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from cleanplate.hub.registry import MODELS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="environments lie elsewhere on Windows"),
]

ROOT = Path(__file__).parents[2]
LARGEST_ENVIRONMENT_MB = 315  # without most byte code, and ONNX Runtime: releases differ by 10 MB
LARGEST_WHEEL_MB = 54  # 53 of it are the networks, for CPUs and for other devices


def call(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as a user would: without this environment and this checkout on its path."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        words, check=False, cwd=cwd, env=env, capture_output=True, text=True, timeout=1200
    )


def python(*words: str | Path, cwd: Path) -> None:
    """Run a module of this environment."""
    called = call(sys.executable, "-m", *words, cwd=cwd)
    assert called.returncode == 0, called.stderr


def size_mb(folder: Path) -> float:
    """Return the size of all files in `folder`, in millions of bytes."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel by way of the sdist, as for a release."""
    folder = tmp_path_factory.mktemp("dist")
    python("hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    python("pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, sdist, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture
def photos(astronaut, tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(astronaut[:340, 60:350]).save(folder / "portrait.jpg", quality=90)
    Image.new("RGB", (320, 240), (150, 140, 120)).save(folder / "wall.png")
    return folder


def test_wheel_holds_the_networks_and_what_typing_and_licence_need(wheel, capsys):
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    built_in = [model for model in MODELS.values() if model.is_built_in]
    files = {file.filename for model in built_in for file in model.files}
    assert len(files) == 10
    assert {f"cleanplate/hub/data/{name}" for name in files} <= names
    assert "cleanplate/py.typed" in names
    assert "cleanplate/plugins_data/gimp/cleanplate/cleanplate.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"cleanplate", f"{wheel.name.split('-py3')[0]}.dist-info"}
    with capsys.disabled():
        print(f"\nwheel: {wheel.stat().st_size / 1e6:.1f} MB")
    assert wheel.stat().st_size < LARGEST_WHEEL_MB * 1e6


def test_sdist_holds_the_sources_and_nothing_of_the_environment(wheel):
    (sdist,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(sdist) as opened:
        names = {name.split("/", 1)[1] for name in opened.getnames() if "/" in name}
    wanted = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "justfile", ".ci/run"}
    assert wanted | {"tests/conftest.py", "docs/folders.md", "src/cleanplate/py.typed"} <= names
    assert not [name for name in names if "site-packages" in name or name.endswith(".pyc")]


def test_a_new_environment_says_what_it_lacks_then_works_and_stays_small(
    wheel, photos, tmp_path, capsys
):
    venv.create(tmp_path / "venv")
    programs, clean = tmp_path / "venv/bin", tmp_path / "clean"
    install = ("pip", "--python", programs / "python", "install", "--no-compile")
    words = ["run", "photos/", "-o", "clean/", "--remove", "person,car"]
    assert f"cleanplate {' '.join(words)}\n" in (ROOT / "README.md").read_text(encoding="utf-8")

    python(*install, wheel, cwd=tmp_path)  # without ONNX Runtime
    for harmless in (["--help"], ["labels"], ["models", "list"]):
        assert call(programs / "cleanplate", *harmless, cwd=tmp_path).returncode == 0
    called = call(programs / "cleanplate", *words, cwd=tmp_path)
    assert called.returncode == 1
    assert len(called.stderr.strip().splitlines()) == 1
    assert "ONNX Runtime is not installed; run 'pip install onnxruntime'" in called.stderr
    assert not clean.exists()

    python(*install, f"{wheel}[cpu]", cwd=tmp_path)  # README's first
    called = call(programs / "cleanplate", *words, cwd=tmp_path)
    assert called.returncode == 0, called.stderr
    assert "removed 1 person" in called.stdout
    assert (clean / "wall.png").read_bytes() == (photos / "wall.png").read_bytes()
    assert (clean / "portrait.jpg").read_bytes() != (photos / "portrait.jpg").read_bytes()

    (runtime,) = programs.parent.glob("lib/python*/site-packages/onnxruntime")
    whole_mb, runtime_mb = size_mb(programs.parent), size_mb(runtime)
    with capsys.disabled():
        print(
            f"\nenvironment with [cpu]: {whole_mb:.0f} MB, ONNX Runtime {runtime_mb:.0f} MB of it"
        )
    assert whole_mb - runtime_mb < LARGEST_ENVIRONMENT_MB
