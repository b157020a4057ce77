"""Addresses of other services, for programs that speak to them; off unless `--compat` names them.

They need the token as all others do: as `Authorization: Bearer`, as Clipdrop's `x-api-key`, or as
the password in the server's address.
"""

from collections.abc import Callable
from typing import Final

from fastapi import FastAPI

from cleanplate.server.compat.clipdrop import add_clipdrop
from cleanplate.server.compat.cog import add_cog
from cleanplate.server.compat.iopaint import add_iopaint

_ADD: Final[dict[str, Callable[[FastAPI], None]]] = {
    "iopaint": add_iopaint,
    "clipdrop": add_clipdrop,
    "cog": add_cog,
}

COMPAT: Final = tuple(_ADD)
"""Names of the services."""

JSON_PHOTOS: Final = ("/api/v1/", "/predictions")
"""Beginnings of addresses that take photos in JSON."""


def add_compat(app: FastAPI, names: frozenset[str]) -> None:
    """Add the addresses of some services to the application."""
    for name in sorted(names):
        _ADD[name](app)
