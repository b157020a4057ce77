"""Segmentation networks, one file per family."""

from cleanplate.segmentation.models.published import find_as_published

__all__ = ["find_as_published"]
