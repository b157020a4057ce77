"""`cleanplate integrate`: entries in the menus of file managers."""

import configparser
import plistlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cleanplate.cli.commands import integrate

PLACES = {
    "nautilus": ("linux", "data/nautilus/scripts/Remove objects"),
    "dolphin": ("linux", "data/kio/servicemenus/cleanplate.desktop"),
    "finder": ("darwin", "Library/Services/Remove objects.workflow"),
    "windows": ("win32", "roaming/Microsoft/Windows/SendTo/Remove objects.cmd"),
}


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "roaming"))


@pytest.fixture
def program(tmp_path):
    """Return a command that notes its last argument, and fails for bad.jpg."""
    path = tmp_path / "odd $name `x` \"q\" 'a' %d"
    path.write_text('#!/bin/sh\nfor last; do :; done\nprintf "%s\\n" "$last" >> noted\n'
                    'case "$last" in *bad.jpg) echo why; exit 1;; esac\n')  # fmt: skip
    path.chmod(0o755)
    for dialog in ("zenity", "kdialog", "osascript"):
        fake = tmp_path / "bin" / dialog
        fake.parent.mkdir(exist_ok=True)
        fake.write_text('#!/bin/sh\nfor last; do :; done\necho "$last" >> shown\n')
        fake.chmod(0o755)
    return [str(path), "edit", "--remove", "person"]


def text_of(entry):
    return "".join(path.read_text() for path in [entry, *entry.rglob("*")] if path.is_file())


@pytest.mark.parametrize("manager", PLACES)
def test_writes_and_removes_an_entry(cli, monkeypatch, manager):
    platform, place = PLACES[manager]
    monkeypatch.setattr(sys, "platform", platform)
    assert cli("integrate", manager, "--remove", "person,car").code == 0
    text = text_of(Path(place))
    assert sys.executable in text
    assert "person,car" in text
    assert cli("integrate", manager).code == 0  # replaces it
    text = text_of(Path(place))
    assert "--gui" in text
    assert "--remove" not in text
    assert cli("integrate", manager, "--undo").code == 0
    assert not Path(place).exists()
    assert cli("integrate", manager, "--undo").code == 2


def script_of(manager, command):
    """Return the shell command that the file manager makes of the entry, for "$@"."""
    files = integrate.MANAGERS[manager].files(command)
    if manager == "nautilus":
        Path("entry").write_bytes(files[""])
        return 'NAUTILUS_SCRIPT_SELECTED_FILE_PATHS=$(printf "%s\\n" "$@") sh entry nonsense'
    if manager == "finder":
        (action,) = plistlib.loads(files["Contents/document.wflow"])["actions"]
        return action["action"]["ActionParameters"]["COMMAND_STRING"]
    entry = configparser.RawConfigParser()
    entry.read_string(files[""].decode())
    # By the Desktop Entry Specification: escapes of strings, quotes as in a shell, then fields.
    line = entry["Desktop Action cleanplate"]["exec"].replace("\\\\", "\\")
    split = subprocess.run(["sh", "-c", f"printf '%s\\0' {line}"], stdout=-1, text=True, check=True)
    *words, fields, _ = split.stdout.split("\0")
    assert fields == "%F"
    return shlex.join(word.replace("%%", "%") for word in words) + ' "$@"'


@pytest.mark.skipif(sys.platform == "win32", reason="shells of Unix")
@pytest.mark.parametrize("manager", ["nautilus", "dolphin", "finder"])
def test_an_entry_calls_the_program_for_each_photo_and_shows_why_one_failed(
    tmp_path, program, manager
):
    photos = ["a b.jpg", "$(x).jpg", "bad.jpg", "-c'd\".jpg", "5% F.jpg", "* \\n.jpg"]
    script = script_of(manager, program)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    subprocess.run(["sh", "-c", script, "sh", *photos], check=True, env={"PATH": path})
    assert Path("noted").read_text().splitlines() == photos
    assert Path("shown").read_text().removeprefix("--text=") == "why\n"


def test_the_finder_gets_two_property_lists():
    files = integrate.MANAGERS["finder"].files(["edit"])
    (service,) = plistlib.loads(files["Contents/Info.plist"])["NSServices"]
    assert service["NSMenuItem"] == {"default": "Remove objects"}
    workflow = plistlib.loads(files["Contents/document.wflow"])
    parameters = workflow["actions"][0]["action"]["ActionParameters"]
    assert (parameters["shell"], parameters["inputMethod"]) == ("/bin/sh", 1)


def test_windows_quotes_and_shows_errors(program):
    text = integrate.MANAGERS["windows"].files([r"C:\100% sure\python.exe", "edit"])[""].decode()
    assert r'"C:\100%% sure\python.exe" "edit" -- "%~1" || pause' in text
    assert text.count("\r\n") == text.count("\n")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["konqueror", "--remove", "person"], "nautilus"),
        (["nautilus", "--remove", "persn"], "person"),
        (["finder", "--remove", "person"], "system"),
    ],
)
def test_wrong_use(cli, monkeypatch, words, named):
    monkeypatch.setattr(sys, "platform", "linux")
    called = cli("integrate", *words)
    assert called.code == 2
    assert named in called.err
    assert not Path("data").exists()
