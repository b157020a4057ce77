"""Segmenters: detecting objects in photos."""

from cleanplate.segmentation.base import (
    DEFAULT_SEGMENTER,
    Segmenter,
    create_segmenter,
)
from cleanplate.segmentation.by_example import ExampleSegmenter
from cleanplate.segmentation.components import OUTLINING_MODEL, Outliner
from cleanplate.segmentation.effects import (
    DEFAULT_EFFECTS_MODEL,
    EffectsDetector,
    effects_mask,
    find_effects,
    objects_in,
)
from cleanplate.segmentation.instances import PERSON, Turn, join_across_border
from cleanplate.segmentation.interactive import (
    OUTLINED,
    InteractiveSegmenter,
    create_prompter,
    installed_prompter,
    instance_of,
)
from cleanplate.segmentation.missed_parts import add_missed_parts
from cleanplate.segmentation.missed_rim import missed_rim_px
from cleanplate.segmentation.models import find_as_published
from cleanplate.segmentation.picking import outline_objects, pick_instances
from cleanplate.segmentation.refinement import Complete, Completed, refine_each
from cleanplate.segmentation.selection import (
    SCORE_BELOW,
    Selection,
    requested_labels,
    select,
    selection_notes,
)
from cleanplate.segmentation.verification import detect_remaining

__all__ = [
    "DEFAULT_EFFECTS_MODEL",
    "DEFAULT_SEGMENTER",
    "OUTLINED",
    "OUTLINING_MODEL",
    "PERSON",
    "SCORE_BELOW",
    "Complete",
    "Completed",
    "EffectsDetector",
    "ExampleSegmenter",
    "InteractiveSegmenter",
    "Outliner",
    "Segmenter",
    "Selection",
    "Turn",
    "add_missed_parts",
    "create_prompter",
    "create_segmenter",
    "detect_remaining",
    "effects_mask",
    "find_as_published",
    "find_effects",
    "installed_prompter",
    "instance_of",
    "join_across_border",
    "missed_rim_px",
    "objects_in",
    "outline_objects",
    "pick_instances",
    "refine_each",
    "requested_labels",
    "select",
    "selection_notes",
]
