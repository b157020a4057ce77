"""Inpainters: filling holes in photos."""

from cleanplate.inpainting.base import (
    DEFAULT_INPAINTER,
    METHODS,
    PIPELINES,
    Inpainter,
    create_inpainter,
    find_inpainter,
    finds_effects,
    inpainter_names,
    pipeline_licence,
    with_seed,
)
from cleanplate.inpainting.fill import effects_beside, inpaint_holes, specks_note
from cleanplate.inpainting.models import Square, fill_as_published

__all__ = [
    "DEFAULT_INPAINTER",
    "METHODS",
    "PIPELINES",
    "Inpainter",
    "Square",
    "create_inpainter",
    "effects_beside",
    "fill_as_published",
    "find_inpainter",
    "finds_effects",
    "inpaint_holes",
    "inpainter_names",
    "pipeline_licence",
    "specks_note",
    "with_seed",
]
