"""Inpainters by name."""

import importlib
from types import MappingProxyType
from typing import Any

from cleanplate.errors import UnknownNameError
from cleanplate.hub import get_model, model_names
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
    "inpaint_holes",
    "inpainter_names",
]

_FAMILIES = MappingProxyType(
    {
        "edgeconnect": ("edgeconnect", "EdgeConnectInpainter"),
        "edgeconnect_published": ("edgeconnect_published", "PublishedEdgeConnectInpainter"),
        "lama": ("lama", "LamaInpainter"),
        "lama_onnx": ("lama", "FixedLamaInpainter"),
        "migan": ("migan", "MIGANInpainter"),
    }
)
"""Family of models -> module and class of this package; imported when one is created."""


def inpainter_names() -> tuple[str, ...]:
    """Return every name that `create_inpainter` knows."""
    return (*model_names("inpainter"), *METHODS)


def create_inpainter(
    name: str = DEFAULT_INPAINTER, *, device: str = "auto", threads: int | None = None
) -> Inpainter:
    """Return the inpainter called `name`, its networks loaded.

    Args:
        name: one of `inpainter_names()`.
        device: one of `cleanplate.hub.DEVICES`; the methods without a model run on the
            CPU whatever it is.
        threads: CPU threads of one run; None takes every usable core.

    Raises:
        UnknownNameError: no such inpainter; the message lists those there are.
        WeightsError: it is not on this machine, or damaged; the message tells how to get it.
        DeviceError, MissingRuntimeError: see `cleanplate.runtime.session.Session`.
    """
    if name not in inpainter_names():
        raise UnknownNameError("inpainter", name, inpainter_names())
    if name in METHODS:
        from cleanplate.inpainting.models import DiffusionInpainter

        return DiffusionInpainter(name)
    module, adapter = _FAMILIES[get_model(name, "inpainter").family]
    create: Any = getattr(importlib.import_module(f"{__name__}.models.{module}"), adapter)
    inpainter: Inpainter = create(name, device=device, threads=threads)
    return inpainter
