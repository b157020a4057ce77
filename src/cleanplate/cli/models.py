"""`cleanplate models`: the networks, where they lie, and whether they are whole."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from cleanplate.cli.console import print_error, print_line
from cleanplate.cli.options import flag
from cleanplate.cli.wording import count_of
from cleanplate.errors import UnknownNameError, WeightsError

if TYPE_CHECKING:
    from cleanplate.models.registry import Model

models_app = typer.Typer(help="List, check and locate the networks.")


@models_app.command("list")
def list_command(
    as_json: Annotated[bool, flag("--json", help="Print JSON.")] = False,
) -> None:
    """List the networks: kind, size, licence, source and measured quality."""
    from cleanplate.inpainters import METHODS
    from cleanplate.models.registry import MODELS

    if as_json:
        print_line(json.dumps([_as_json(model) for model in MODELS.values()]))
        return
    for model in MODELS.values():
        print_line(model.name)
        print_line(f"  kind      {model.kind}")
        print_line(
            f"  size      {model.size_bytes:,} bytes in {count_of(len(model.files), 'file')}"
        )
        print_line(f"  licence   {model.licence}")
        print_line(f"  source    {model.source}")
        for data, values in model.metrics.items():
            measured = ", ".join(f"{metric} {value:g}" for metric, value in values.items())
            print_line(f"  measured  {measured} ({data})")
    print_line(f"Inpainters without a network: {', '.join(METHODS)} (OpenCV)")


@models_app.command("verify")
def verify_command() -> None:
    """Check size and SHA-256 of every file. Exit code 1 if one is missing or not the right one."""
    from cleanplate.models.registry import MODELS
    from cleanplate.models.store import verify_file

    broken = 0
    for model in MODELS.values():
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
    name: Annotated[str, typer.Argument(metavar="NAME", help="A network, as `list` names it.")],
) -> None:
    """Print where the files of a network lie, one per line."""
    from cleanplate.models.registry import MODELS
    from cleanplate.models.store import find_file

    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    for file in MODELS[name].files:
        print_line(str(find_file(MODELS[name], file.role)))


def _as_json(model: "Model") -> dict[str, object]:
    return {
        "name": model.name,
        "kind": model.kind,
        "size_bytes": model.size_bytes,
        "files": [
            {
                "role": file.role,
                "filename": file.filename,
                "sha256": file.sha256,
                "size_bytes": file.size_bytes,
            }
            for file in model.files
        ],
        "labels": list(model.labels),
        "licence": model.licence,
        "source": model.source,
        "recipe": model.recipe,
        "training_photos": model.training_photos,
        "metrics": {data: dict(values) for data, values in model.metrics.items()},
    }
