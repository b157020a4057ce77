"""What an object casts: shadows and reflections."""

from cleanplate.segmentation.effects.network import EffectsDetector, find_effects

__all__ = [
    "EffectsDetector",
    "find_effects",
]
