"""`cleanplate plugins`: copy the plug-ins of photo editors to their plug-in folders."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import cleanplate
from cleanplate.cli.console import print_line
from cleanplate.cli.execution import check_name
from cleanplate.cli.options import option
from cleanplate.errors import InputError

plugins_app = typer.Typer(
    help="Install and remove plug-ins for GIMP 3, Krita, ComfyUI and darktable."
)

_OURS = "cleanplate"  # the folder that every plug-in has, below the host's folder of plug-ins
_MARK = "install.json"
_CLIENT = "cleanplate_client.py"

_HostArgument = Annotated[
    str,
    typer.Argument(metavar="HOST", help="gimp, krita, comfyui or darktable.", show_default=False),
]
_IntoOption = Annotated[
    Path | None,
    option(metavar="DIR", help="The host's folder of plug-ins.", show_default="the usual one"),
]


@dataclass(frozen=True, slots=True)
class Host:
    """A program that has plug-ins."""

    folders: Callable[[], list[Path]]  # plug-in folders that exist
    folder_name: str  # of these, for the message
    check: str


@plugins_app.command("install")
def install_command(host: _HostArgument, into: _IntoOption = None) -> None:
    """Copy a plug-in into the host's folder of plug-ins, or replace an older one.

    The plug-in starts 'cleanplate serve' of this installation when it needs it. Run the command
    again after an update of cleanplate.
    """
    check_name("host", host, HOSTS)
    from cleanplate.hub import home
    from cleanplate.io import write_bytes_atomic

    folder = _folder_of(host, into)
    ours = folder / _OURS
    if ours.exists() and not (ours / _MARK).exists():
        raise InputError(f"{ours}: is not a cleanplate plug-in; move it away")
    source = _sources() / host
    _remove(host, folder)
    shutil.copytree(
        source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    command = [sys.executable, "-m", "cleanplate"]
    if host == "darktable":
        words = ", ".join(json.dumps(word, ensure_ascii=False) for word in command)
        write_bytes_atomic(ours / "command.lua", f"return {{ {words} }}\n".encode())
    else:
        shutil.copyfile(_sources() / "common" / _CLIENT, ours / _CLIENT)
    for script in ours.glob("cleanplate.py"):
        script.chmod(0o755)  # GIMP starts it; a wheel need not keep the mode
    settings = {
        "command": command,
        "state": str(home() / "server.json"),
        "version": cleanplate.__version__,
    }
    write_bytes_atomic(ours / _MARK, json.dumps(settings, indent=1).encode())
    print_line(f"installed {ours}")
    print_line(HOSTS[host].check)


@plugins_app.command("uninstall")
def uninstall_command(host: _HostArgument, into: _IntoOption = None) -> None:
    """Remove a plug-in from the host's folder of plug-ins."""
    check_name("host", host, HOSTS)
    folder = _folder_of(host, into)
    if not (folder / _OURS / _MARK).exists():
        raise InputError(f"{folder}: the plug-in is not there; name its folder with --into")
    _remove(host, folder)
    print_line(f"removed {folder / _OURS}")


def _sources() -> Path:
    """Return the folder of the plug-ins: inside the package, or of the checkout."""
    package = Path(cleanplate.__file__).parent
    installed = package / "plugins_data"
    return installed if installed.exists() else package.parents[1] / "plugins"


def _folder_of(host: str, into: Path | None) -> Path:
    """Return the host's folder of plug-ins.

    Raises:
        InputError: there is none.
    """
    if into is not None:
        if not into.is_dir():
            raise InputError(f"{into}: no such folder; name {HOSTS[host].folder_name}")
        return into
    found = HOSTS[host].folders()
    if not found:
        raise InputError(
            f"{host} was not found; start it once, or give --into {HOSTS[host].folder_name}"
        )
    return found[-1] / HOSTS[host].folder_name.rpartition("/")[2]


def _remove(host: str, folder: Path) -> None:
    """Remove what `install` copies, if it is there."""
    for source in (_sources() / host).iterdir():
        target = folder / source.name
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def _config_folders(name: str, pattern: str = "") -> list[Path]:
    from platformdirs import user_config_path

    folder = user_config_path(name, appauthor=False, roaming=name == "GIMP")
    return sorted(folder.glob(pattern)) if pattern else [folder] if folder.is_dir() else []


def _krita_folders() -> list[Path]:
    from platformdirs import user_data_path

    folder = user_data_path("krita", appauthor=False, roaming=True)
    return [folder] if folder.is_dir() else []


HOSTS = {
    "gimp": Host(
        lambda: _config_folders("GIMP", "3.*"),
        "~/.config/GIMP/3.0/plug-ins",
        "Start GIMP again: Filters > Enhance > Remove objects.",
    ),
    "krita": Host(
        _krita_folders,
        "~/.local/share/krita/pykrita",
        "In Krita, switch it on once: Settings > Configure Krita > Python Plugin Manager > "
        "cleanplate. After a restart: Tools > Scripts > Remove objects.",
    ),
    "comfyui": Host(
        lambda: [path for path in [Path.home() / "ComfyUI"] if path.is_dir()],
        "ComfyUI/custom_nodes",
        "Start ComfyUI again: the nodes are under image > cleanplate.",
    ),
    "darktable": Host(
        lambda: _config_folders("darktable"),
        "~/.config/darktable/lua",
        "Add the line 'require \"cleanplate/cleanplate\"' to luarc in darktable's settings folder "
        "and start it again: lighttable > export > target storage > remove objects.",
    ),
}
