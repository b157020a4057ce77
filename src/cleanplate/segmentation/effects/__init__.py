"""What an object casts: shadows and reflections."""

from cleanplate.segmentation.effects.network import EffectsDetector
from cleanplate.segmentation.effects.shadows import find_effects

__all__ = [
    "EffectsDetector",
    "find_effects",
]
