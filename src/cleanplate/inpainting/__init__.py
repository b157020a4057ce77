"""Inpainters: filling holes in photos."""

from cleanplate.inpainting.base import (
    DEFAULT_INPAINTER,
    METHODS,
    Inpainter,
    create_inpainter,
    find_inpainter,
    inpainter_names,
)
from cleanplate.inpainting.fill import inpaint_holes

__all__ = [
    "DEFAULT_INPAINTER",
    "METHODS",
    "Inpainter",
    "create_inpainter",
    "find_inpainter",
    "inpaint_holes",
    "inpainter_names",
]
