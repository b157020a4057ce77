"""`cleanplate models`: list, show, pull, import, verify and remove the networks."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from cleanplate.cli.console import is_terminal, print_error, print_line
from cleanplate.cli.installing import pull_and_report, report_installed, show_licence
from cleanplate.cli.messages import count_of
from cleanplate.cli.options import flag
from cleanplate.errors import InputError, WeightsError

if TYPE_CHECKING:
    from cleanplate.hub import Checkpoint, Model, ModelFile, ModelKind, Preprocessing

models_app = typer.Typer(help="List, show, install, verify and remove the networks.")

_NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A network, as `list` names it.", show_default=False)
]
_AcceptOption = Annotated[
    bool,
    flag(
        "--accept-licence",
        help="Accept the licence. Needed where it forbids commercial or other use.",
    ),
]


@models_app.command("list")
def list_command(
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Only segmenters, inpainters or prompters: segmenter, inpainter, prompter.",
            show_default="all",
        ),
    ] = None,
    commercial_only: Annotated[
        bool,
        flag(
            "--commercial-only",
            help="Only those whose publisher grants commercial use of the weights.",
        ),
    ] = False,
    as_json: Annotated[bool, flag("--json", help="Print JSON.")] = False,
) -> None:
    """List the networks: task, size, licence, commercial use, installed or not, and advice."""
    from cleanplate.hub import list_models
    from cleanplate.inpainting import METHODS

    models = list_models(cast("ModelKind | None", kind), commercial_only=commercial_only)
    if as_json:
        print_line(json.dumps([_as_json(model) for model in models]))
        return
    for line in _table(models):
        print_line(line)
    if kind in (None, "inpainter"):
        print_line(f"Inpainters without a network: {', '.join(METHODS)} (OpenCV)")
    print_line("'cleanplate models show NAME' prints everything known about a network.")


@models_app.command("show")
def show_command(name: _NameArgument) -> None:
    """Print everything known about a network."""
    from cleanplate.hub import get_model

    for line in _describe(get_model(name)):
        print_line(line)


@models_app.command("pull")
def pull_command(
    name: _NameArgument,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FOLDER|URL",
            help="Source of the files, instead of their publisher. The environment "
            "variable CLEANPLATE_MIRROR does the same.",
            show_default=False,
        ),
    ] = None,
    accept_licence: _AcceptOption = False,
) -> None:
    """Download a network, check it, and convert it if it is not published as ONNX.

    The licence is shown first. With CLEANPLATE_OFFLINE=1 nothing is downloaded; proxies are taken
    from HTTPS_PROXY and the like.
    """
    from cleanplate.hub import get_model, is_available, pull_model

    model = get_model(name)
    if model.is_built_in:
        print_line(f"{name} is built in; there is nothing to download")
        return
    if is_available(model):
        is_own = pull_model(name).origin == "own"
        published = f"; for its publisher's, run 'cleanplate models remove {name}' first"
        print_line(
            f"{name} is already installed and verified"
            + (f" with your own weights{published}" if is_own else "")
        )
        return
    if model.can_be_pulled:
        show_licence(model)
    pull_and_report(model, accept_licence=accept_licence, mirror=source)


@models_app.command("import")
def import_command(
    name: _NameArgument,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...|FOLDER",
            help="Its published files, in any order, or one folder that has them.",
            show_default=False,
        ),
    ],
    own_weights: Annotated[
        bool,
        flag(
            "--own-weights",
            help="The files are not the registered ones, but of the same architecture.",
        ),
    ] = False,
    accept_licence: _AcceptOption = False,
) -> None:
    """Install a network from files that you have, converting them if they are not ONNX.

    The files are copied and not changed. What is installed under this name is replaced.
    """
    from cleanplate.hub import get_model, import_model

    model = get_model(name)
    if not own_weights:
        show_licence(model)
    manifest = import_model(name, files, accept_licence=accept_licence, own_weights=own_weights)
    report_installed(model, manifest)


@models_app.command("verify")
def verify_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME...]",
            help="Networks to check; default: all installed ones.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Check size and SHA-256 of every file. Exit code 1 if one is missing or not the right one."""
    from cleanplate.hub import MODELS, get_model, is_installed, verify_file

    chosen = [get_model(name) for name in names or ()] or [
        model for model in MODELS.values() if model.is_built_in or is_installed(model)
    ]
    broken = 0
    for model in chosen:
        for file in model.files:
            try:
                print_line(f"ok  {model.name}  {file.role}  {verify_file(model, file.role)}")
            except WeightsError as error:
                broken += 1
                print_error(f"{model.name}: {error}")
    if broken:
        raise typer.Exit(1)


@models_app.command("path")
def path_command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A network; without one, the folder for all that are not built in.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print the paths of a network's files, one per line."""
    from cleanplate.hub import find_file, get_model, home

    if name is None:
        print_line(str(home()))
        return
    model = get_model(name)
    for file in model.files:
        print_line(str(find_file(model, file.role)))


@models_app.command("remove")
def remove_command(name: _NameArgument) -> None:
    """Delete the files of a network from this machine."""
    from cleanplate.hub import get_model, remove_model

    model = get_model(name)
    if model.is_built_in:
        raise InputError(f"{name} is built in and cannot be removed")
    print_line(f"{name} was removed" if remove_model(model) else f"{name} was not installed")


def _table(models: "Iterable[Model]") -> Iterator[str]:
    """Return the rows of a table; a terminal that is too narrow has the advice on further lines."""
    from cleanplate.hub import is_available

    rows = [("name", "task", "size", "licence", "commercial", "installed", "choose it for")]
    for model in models:
        size = "" if model.size_bytes is None else f"{model.size_bytes / 1e6:.0f} MB"
        installed = "built in" if model.is_built_in else "yes" if is_available(model) else "no"
        licence = model.licence
        cells = (model.name, model.kind, size, licence.words, licence.commercial, installed)
        rows.append((*cells, model.advice))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(f"{it:<{width}}" for it, width in zip(row, widths, strict=True)).rstrip()
        if not is_terminal(sys.stdout):
            yield line
            continue
        columns, indent = shutil.get_terminal_size().columns, " " * 4
        yield from textwrap.wrap(line, columns, subsequent_indent=indent, break_on_hyphens=False)


def _describe(model: "Model") -> Iterator[str]:
    from cleanplate.hub import network_roles

    files = model.checkpoints or model.files
    size = "size not stated" if model.size_bytes is None else f"{model.size_bytes:,} bytes"
    if model.is_size_estimated:
        size = f"about {size} (of its parameters; no size is published)"
    converted = ", to be converted" if model.checkpoints else ""
    yield model.name
    yield f"  kind      {model.kind}"
    yield f"  state     {_state(model)}"
    yield f"  size      {size} in {count_of(len(files), 'file')}{converted}"
    yield f"  licence   {model.licence.words}, commercial use: {model.licence.commercial}"
    yield f"            {model.licence.note}"
    if model.licence.restrictions:
        yield f"  forbidden {model.licence.restrictions}"
    yield f"  source    {model.source}"
    yield f"  trained   {model.recipe}"
    yield f"  photos    {model.training_photos}"
    yield f"  choose    {model.choose}"
    for data, values in model.metrics.items():
        measured = ", ".join(f"{metric} {value:g}" for metric, value in values.items())
        yield f"  measured  {measured} ({data})"
    if model.labels:
        yield f"  labels    {', '.join(model.labels)}"
    yield f"  input     {_describe_preprocessing(model.preprocessing)}"
    roles = network_roles(model, on_cpu=False)  # on a CPU the same
    for network in (file for file in model.files if file.role in roles):
        for heading, tensors in (("takes", network.inputs), ("returns", network.outputs)):
            for tensor in tensors:
                shape = ", ".join(map(str, tensor.shape))
                yield f"  {network.role:<9} {heading} {tensor.dtype} ({shape}): {tensor.meaning}"
    for page in model.pages:
        yield f"  page      {page}"
    for file in files:
        size = "size not stated" if file.size_bytes is None else f"{file.size_bytes:,} bytes"
        yield f"  file      {file.filename}, {size}{'' if file.url is None else f', {file.url}'}"
        yield f"            {_checksum(file)}"


def _describe_preprocessing(given: "Preprocessing") -> str:
    """Return how a photo is prepared for the network, in words."""
    parts = []
    if given.size_hw:
        height, width = given.size_hw
        padded = ", padded with zeros" if given.keeps_aspect else ""
        parts.append(f"scaled to {width} x {height} px{padded}")
    if given.short_side_px:
        parts.append(f"scaled to a short side of {given.short_side_px} px")
    if given.working_size_px:
        parts.append(f"works best at {given.working_size_px} px")
    if given.multiple_px > 1:
        parts.append(f"sides padded to multiples of {given.multiple_px} px")
    if given.least_side_px > 1:
        parts.append(f"at least {given.least_side_px} px")
    parts.append(f"{given.resampling} scaling")
    if given.std != (1, 1, 1):
        parts.append(f"normalized by mean {given.mean} and deviation {given.std}")
    return "RGB, " + ", ".join(parts)


def _checksum(file: "Checkpoint | ModelFile") -> str:
    """Return the registered checksum of a file, with its algorithm."""
    from cleanplate.hub import checksum_of

    algorithm, _, digest = (checksum_of(file) or "").partition(":")
    return {
        "sha256": f"SHA-256 {digest}",
        "md5": f"MD5 {digest}",
    }.get(algorithm, "no checksum published")


def _state(model: "Model") -> str:
    from cleanplate.hub import install_hint, is_available, read_manifest

    if model.is_built_in:
        return "built in"
    if not is_available(model):
        return f"not installed; {install_hint(model)}"
    return {
        "registered": "installed",
        "unstated": "installed",
        "own": "installed, your own weights",
    }[read_manifest(model).origin]


def _as_json(model: "Model") -> dict[str, object]:
    from cleanplate.hub import is_available

    return {
        "name": model.name,
        "kind": model.kind,
        "built_in": model.is_built_in,
        "installed": is_available(model),
        "size_bytes": None if model.is_size_estimated else model.size_bytes,
        "files": [
            {
                "role": file.role,
                "filename": file.filename,
                "url": file.url,
                "sha256": file.sha256,
                "size_bytes": file.size_bytes,
                "inputs": [tensor._asdict() for tensor in file.inputs],
                "outputs": [tensor._asdict() for tensor in file.outputs],
            }
            for file in model.files
        ],
        "checkpoints": [
            {
                "filename": file.filename,
                "url": file.url,
                "checksum": file.checksum,
                "size_bytes": file.size_bytes,
            }
            for file in model.checkpoints
        ],
        "labels": list(model.labels),
        "licence": {
            "spdx": model.licence.spdx,
            "commercial": model.licence.commercial,
            "note": model.licence.note,
            "restrictions": model.licence.restrictions,
        },
        "source": model.source,
        "pages": list(model.pages),
        "recipe": model.recipe,
        "training_photos": model.training_photos,
        "preprocessing": asdict(model.preprocessing),
        "choose": model.choose,
        "metrics": {data: dict(values) for data, values in model.metrics.items()},
    }
