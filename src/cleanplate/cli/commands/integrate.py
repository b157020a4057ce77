"""`cleanplate integrate`: an entry in the menus of a file manager, which calls `edit`."""

import os
import plistlib
import shlex
import shutil
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cleanplate.cli.console import print_line
from cleanplate.cli.execution import check_name
from cleanplate.cli.options import WHAT, expand_options, flag, option
from cleanplate.errors import InputError

ENTRY = "Remove objects"

_NAUTILUS_PHOTOS = "NAUTILUS_SCRIPT_SELECTED_FILE_PATHS"  # one a line
_MIME_TYPES = ("jpeg", "png", "tiff", "webp", "bmp", "gif", "heic", "heif", "avif")


@dataclass(frozen=True, slots=True)
class FileManager:
    """Where a file manager keeps entries of its menus, and what it reads there."""

    platform: str  # as `sys.platform` starts
    place: Callable[[Mapping[str, str]], Path]  # the entry, by the environment
    files: Callable[[Sequence[str]], dict[str, bytes]]  # by the command: path below `place` -> text
    check: str  # where the entry is found


@expand_options()
def integrate_command(
    *,
    manager: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="nautilus, dolphin, finder or windows.", show_default=False
        ),
    ],
    remove: Annotated[
        str | None,
        option(
            metavar="NAMES",
            panel=WHAT,
            help="What the entry removes, such as person,car. Without it, the page opens.",
        ),
    ] = None,
    undo: Annotated[bool, flag("--undo", help="Remove the entry.")] = False,
) -> None:
    """Add an entry to the menus of a file manager, for removing objects from the chosen photos.

    The results are written beside the photos, as by 'edit --beside'. The same command with another
    --remove replaces the entry.
    """
    check_name("file manager", manager, MANAGERS)
    chosen = MANAGERS[manager]
    if not sys.platform.startswith(chosen.platform):
        raise InputError(
            f"{manager}: not available on this system ({sys.platform}); name another one"
        )
    place = chosen.place(os.environ)
    if undo:
        if not place.exists():
            raise InputError(f"{place}: no such entry; nothing was removed")
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        print_line(f"removed {place}")
        return
    from cleanplate.io import write_bytes_atomic
    from cleanplate.labels import resolve_labels

    command = [sys.executable, "-m", "cleanplate", "edit", "--beside"]
    if remove is None:
        command.append("--gui")
    else:
        resolve_labels([remove])
        command += ["--remove", remove]
    for name, content in chosen.files(command).items():
        path = place / name
        write_bytes_atomic(path, content)
        path.chmod(0o755)
    print_line(f"wrote {place}")
    print_line(chosen.check)


def _data_home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local/share")


def _shell_loop(command: Sequence[str], warn: str) -> str:
    """Return a line that runs the command on each argument; `warn` shows the end of "$said"."""
    call = f'said=$({shlex.join(command)} -- "$photo" 2>&1)'
    return f'for photo in "$@"; do {call} || {warn}; done'


def _nautilus(command: Sequence[str]) -> dict[str, bytes]:
    warn = 'zenity --error --no-markup --text="$(echo "$said" | tail -n 1)"'
    # Files takes "%" and a letter for a field, and removes them from the arguments.
    photos = f"IFS='\n'\nset -f\nset -- ${_NAUTILUS_PHOTOS}"
    return {"": f"#!/bin/sh\n{photos}\n{_shell_loop(command, warn)}\n".encode()}


def _dolphin(command: Sequence[str]) -> dict[str, bytes]:
    warn = 'kdialog --error "$(echo "$said" | tail -n 1)"'
    quoted = _shell_loop(command, warn)
    # The Desktop Entry Specification: escapes in quotes of Exec, fields, escapes of strings.
    for special in ("\\", '"', "`", "$"):
        quoted = quoted.replace(special, f"\\{special}")
    quoted = quoted.replace("%", "%%").replace("\\", "\\\\")
    types = "".join(f"image/{name};" for name in _MIME_TYPES)
    lines = (
        "[Desktop Entry]", "Type=Service", f"Name={ENTRY}", f"MimeType={types}",
        "Actions=cleanplate;", "",
        "[Desktop Action cleanplate]", f"Name={ENTRY}", "Icon=edit-image",
        f'Exec=sh -c "{quoted}" sh %F', "",
    )  # fmt: skip
    return {"": "\n".join(lines).encode()}


def _finder(command: Sequence[str]) -> dict[str, bytes]:
    warn = (
        'osascript -e "on run words" -e "display alert (item 1 of words)" -e "end run" '
        '"$(echo "$said" | tail -n 1)"'
    )
    info = {
        "NSServices": [
            {
                "NSMenuItem": {"default": ENTRY},
                "NSMessage": "runWorkflowAsService",
                "NSRequiredContext": {"NSApplicationIdentifier": "com.apple.finder"},
                "NSSendFileTypes": ["public.image"],
            }
        ]
    }
    texts = {"Container": "List", "Types": ["com.apple.cocoa.string"]}
    action = {
        "AMAccepts": {**texts, "Optional": True},
        "AMActionVersion": "2.0.3",
        "AMApplication": ["Automator"],
        "AMProvides": texts,
        "ActionBundlePath": "/System/Library/Automator/Run Shell Script.action",
        "ActionName": "Run Shell Script",
        "ActionParameters": {
            "COMMAND_STRING": _shell_loop(command, warn),
            "CheckedForUserDefaultShell": True,
            "inputMethod": 1,  # as arguments
            "shell": "/bin/sh",
            "source": "",
        },
        "BundleIdentifier": "com.apple.RunShellScript",
        "Class Name": "RunShellScriptAction",
        "InputUUID": str(uuid.uuid4()).upper(),
        "OutputUUID": str(uuid.uuid4()).upper(),
        "UUID": str(uuid.uuid4()).upper(),
    }
    workflow = {
        "AMDocumentVersion": "2",
        "actions": [{"action": action}],
        "connectors": {},
        "workflowMetaData": {
            "serviceApplicationBundleID": "com.apple.finder",
            "serviceInputTypeIdentifier": "com.apple.Automator.fileSystemObject.image",
            "serviceOutputTypeIdentifier": "com.apple.Automator.nothing",
            "workflowTypeIdentifier": "com.apple.Automator.servicesMenu",
        },
    }
    return {
        "Contents/Info.plist": plistlib.dumps(info),
        "Contents/document.wflow": plistlib.dumps(workflow),
    }


def _windows(command: Sequence[str]) -> dict[str, bytes]:
    quoted = " ".join(f'"{word}"' for word in command).replace("%", "%%")
    lines = (
        "@echo off", "chcp 65001 >nul", ":next", 'if "%~1"=="" exit /b',
        f'{quoted} -- "%~1" || pause', "shift", "goto next", "",
    )  # fmt: skip
    return {"": "\r\n".join(lines).encode()}


MANAGERS = {
    "nautilus": FileManager(
        "linux",
        lambda environment: _data_home(environment) / "nautilus/scripts" / ENTRY,
        _nautilus,
        f"In Files, right-click photos: Scripts > {ENTRY}.",
    ),
    "dolphin": FileManager(
        "linux",
        lambda environment: _data_home(environment) / "kio/servicemenus/cleanplate.desktop",
        _dolphin,
        f"In Dolphin, right-click photos: {ENTRY}.",
    ),
    "finder": FileManager(
        "darwin",
        lambda _: Path.home() / "Library/Services" / f"{ENTRY}.workflow",
        _finder,
        f"In the Finder, right-click photos: Quick Actions > {ENTRY}.",
    ),
    "windows": FileManager(
        "win32",
        lambda environment: (
            Path(environment["APPDATA"]) / "Microsoft/Windows/SendTo" / f"{ENTRY}.cmd"
        ),
        _windows,
        f"In the Explorer, right-click photos: Send to > {ENTRY}.",
    ),
}
