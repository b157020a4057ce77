"""`cleanplate plugins`: the plug-ins get where their hosts look for them."""

import json
import sys
import tomllib
from pathlib import Path

import pytest

import cleanplate
from cleanplate.cli import main
from cleanplate.hub import home

ROOT = Path(__file__).parents[2]
FILES = {
    "gimp": ["cleanplate/cleanplate.py", "cleanplate/cleanplate_client.py"],
    "krita": ["cleanplate.desktop", "cleanplate/__init__.py", "cleanplate/cleanplate_client.py"],
    "comfyui": ["cleanplate/__init__.py", "cleanplate/nodes.py", "cleanplate/cleanplate_client.py"],
    "darktable": ["cleanplate/cleanplate.lua", "cleanplate/command.lua"],
}


@pytest.mark.parametrize("host", FILES)
def test_installs_updates_and_uninstalls(tmp_path, capsys, host):
    other = tmp_path / "other.py"
    other.touch()
    assert main(["plugins", "install", host, "--into", str(tmp_path)]) == 0
    assert all((tmp_path / name).is_file() for name in FILES[host])
    settings = json.loads((tmp_path / "cleanplate/install.json").read_text())
    assert settings["version"] == cleanplate.__version__
    assert settings["state"] == str(home() / "server.json")
    assert settings["command"] == [sys.executable, "-m", "cleanplate"]

    old = tmp_path / "cleanplate/old.py"
    old.touch()
    assert main(["plugins", "install", host, "--into", str(tmp_path)]) == 0
    assert not old.exists()

    assert main(["plugins", "uninstall", host, "--into", str(tmp_path)]) == 0
    assert list(tmp_path.iterdir()) == [other]
    assert main(["plugins", "uninstall", host, "--into", str(tmp_path)]) == 2
    assert "--into" in capsys.readouterr().err


def test_finds_the_newest_gimp(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: tmp_path / "GIMP")
    for version in ("2.10", "3.0", "3.2"):
        (tmp_path / "GIMP" / version).mkdir(parents=True)
    assert main(["plugins", "install", "gimp"]) == 0
    assert (tmp_path / "GIMP/3.2/plug-ins/cleanplate/cleanplate.py").is_file()


def test_does_not_replace_what_is_not_its_own(tmp_path, capsys, monkeypatch):
    (tmp_path / "cleanplate").mkdir()
    (tmp_path / "cleanplate/mine.py").touch()
    assert main(["plugins", "install", "gimp", "--into", str(tmp_path)]) == 2
    assert main(["plugins", "install", "gimp", "--into", str(tmp_path / "none")]) == 2
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: tmp_path / "none")
    assert main(["plugins", "install", "gimp"]) == 2
    assert main(["plugins", "install", "photoshop"]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("move it away", "--into", "krita"))
    assert [path.name for path in tmp_path.rglob("*")] == ["cleanplate", "mine.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes of Unix")
def test_gimp_starts_only_what_can_be_executed(tmp_path):
    main(["plugins", "install", "gimp", "--into", str(tmp_path)])
    assert (tmp_path / "cleanplate/cleanplate.py").stat().st_mode & 0o100


def test_the_nodes_have_the_version_of_the_package():
    path = ROOT / "plugins/comfyui/cleanplate/pyproject.toml"
    assert tomllib.loads(path.read_text())["project"]["version"] == cleanplate.__version__
