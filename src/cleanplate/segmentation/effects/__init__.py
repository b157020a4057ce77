"""What an object casts: shadows and reflections."""

from cleanplate.segmentation.effects.shadows import find_traces

__all__ = [
    "find_traces",
]
