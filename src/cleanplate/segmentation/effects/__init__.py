"""What an object casts: shadows and reflections."""

from cleanplate.segmentation.effects.network import (
    DEFAULT_EFFECTS_MODEL,
    EffectsDetector,
    effects_mask,
    find_effects,
    objects_in,
)

__all__ = [
    "DEFAULT_EFFECTS_MODEL",
    "EffectsDetector",
    "effects_mask",
    "find_effects",
    "objects_in",
]
