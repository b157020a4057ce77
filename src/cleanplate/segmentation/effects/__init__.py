"""What an object casts: shadows and reflections."""

from cleanplate.segmentation.effects.shadows import find_effects

__all__ = [
    "find_effects",
]
