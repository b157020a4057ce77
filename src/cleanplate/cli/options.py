"""How options are declared that several commands have the like of."""

from typing import Any

import typer


def flag(*names: str, help: str) -> Any:
    """Return an option that is on or off; its type says nothing, so the help leaves it out."""
    return typer.Option(*names, help=help, metavar="")
