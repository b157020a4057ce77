"""Inpainters: filling holes in photos."""

import importlib
from types import MappingProxyType
from typing import Any

from cleanplate.errors import UnknownNameError
from cleanplate.hub import Model, get_model, model_names
from cleanplate.inpainting.base import Inpainter
from cleanplate.inpainting.fill import inpaint_holes

METHODS = ("telea", "navier-stokes")
"""Inpainters that need no model."""

DEFAULT_INPAINTER = "edgeconnect.photos"

__all__ = [
    "DEFAULT_INPAINTER",
    "METHODS",
    "Inpainter",
    "create_inpainter",
    "find_inpainter",
    "inpaint_holes",
    "inpainter_names",
]

_FAMILIES = MappingProxyType(
    {
        "edgeconnect": ("edgeconnect", "EdgeConnectInpainter"),
        "edgeconnect_published": ("edgeconnect", "PublishedEdgeConnectInpainter"),
        "lama": ("lama", "LamaInpainter"),
        "lama_onnx": ("lama", "FixedLamaInpainter"),
        "migan": ("migan", "MIGANInpainter"),
    }
)
"""Family of models -> module and class of this package; imported when one is created."""


def inpainter_names() -> tuple[str, ...]:
    """Return every name that `create_inpainter` knows."""
    return (*model_names("inpainter"), *METHODS)


def find_inpainter(name: str) -> Model | None:
    """Return the registered model called `name`, which may be a short name; None for a method.

    Raises:
        UnknownNameError: no such inpainter; the message lists the known names.
    """
    if name in METHODS:
        return None
    try:
        return get_model(name, "inpainter")
    except UnknownNameError:
        raise UnknownNameError("inpainter", name, inpainter_names()) from None


def create_inpainter(
    name: str = DEFAULT_INPAINTER, *, device: str = "auto", threads: int | None = None
) -> Inpainter:
    """Return the inpainter called `name`, with its networks loaded.

    Args:
        name: one of `inpainter_names()`.
        device: one of `cleanplate.runtime.DEVICES`; the methods without a model run on the
            CPU whatever it is.
        threads: CPU threads of one run; None uses every available core.

    Raises:
        UnknownNameError: no such inpainter; the message lists the known names.
        WeightsError: it is not installed, or damaged; the message states how to install it.
        DeviceError, MissingRuntimeError: see `cleanplate.runtime.session.Session`.
    """
    model = find_inpainter(name)
    if model is None:
        from cleanplate.inpainting.models import DiffusionInpainter

        return DiffusionInpainter(name)
    module, adapter = _FAMILIES[model.family]
    create: Any = getattr(importlib.import_module(f"{__name__}.models.{module}"), adapter)
    inpainter: Inpainter = create(name, device=device, threads=threads)
    return inpainter
