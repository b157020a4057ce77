"""Inpainters, one file per family."""

from cleanplate.inpainting.models.published import Square, fill_as_published

__all__ = ["Square", "fill_as_published"]
