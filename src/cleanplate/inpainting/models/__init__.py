"""Inpainters, one file per family."""

from cleanplate.inpainting.models.opencv import DiffusionInpainter

__all__ = [
    "DiffusionInpainter",
]
