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
from cleanplate.inpainting.models import Square, fill_as_published

__all__ = [
    "DEFAULT_INPAINTER",
    "METHODS",
    "Inpainter",
    "Square",
    "create_inpainter",
    "fill_as_published",
    "find_inpainter",
    "inpaint_holes",
    "inpainter_names",
]
