"""Inpainters by name."""

from cleanplate.errors import UnknownNameError
from cleanplate.inpainters.base import Inpainter
from cleanplate.models.registry import MODELS

METHODS = ("telea", "navier-stokes")
"""Inpainters that need no model."""

DEFAULT_INPAINTER = "edgeconnect.photos"

__all__ = ["DEFAULT_INPAINTER", "METHODS", "Inpainter", "create_inpainter", "inpainter_names"]


def inpainter_names() -> tuple[str, ...]:
    """Return every name that `create_inpainter` knows."""
    return (*(name for name, model in MODELS.items() if model.kind == "inpainter"), *METHODS)


def create_inpainter(
    name: str = DEFAULT_INPAINTER, *, device: str = "auto", threads: int | None = None
) -> Inpainter:
    """Return the inpainter called `name`, its networks loaded.

    Args:
        name: one of `inpainter_names()`.
        device: one of `cleanplate.models.runtime.DEVICES`; the methods without a model run on the
            CPU whatever it is.
        threads: CPU threads of one run; None takes every usable core.

    Raises:
        UnknownNameError: no such inpainter; the message lists those there are.
        DeviceError, MissingRuntimeError, WeightsError: see `cleanplate.models.runtime.Session`.
    """
    if name not in inpainter_names():
        raise UnknownNameError("inpainter", name, inpainter_names())
    if name in METHODS:
        from cleanplate.inpainters.diffusion import DiffusionInpainter

        return DiffusionInpainter(name)
    from cleanplate.inpainters.edgeconnect import EdgeConnectInpainter

    return EdgeConnectInpainter(name, device=device, threads=threads)
