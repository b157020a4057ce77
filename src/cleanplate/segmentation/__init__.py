"""Segmenters: detecting objects in photos."""

import importlib
from types import MappingProxyType
from typing import Any

from cleanplate.hub import get_model, model_names
from cleanplate.segmentation.base import Segmenter
from cleanplate.segmentation.by_example import ExampleSegmenter
from cleanplate.segmentation.effects import find_effects
from cleanplate.segmentation.interactive import (
    DEFAULT_PROMPTER,
    InteractiveSegmenter,
    create_prompter,
    installed_prompter,
    prompter_names,
)
from cleanplate.segmentation.picking import outline_objects, pick_instances
from cleanplate.segmentation.refinement import refine_outline
from cleanplate.segmentation.selection import (
    SCORE_BELOW,
    Selection,
    requested_labels,
    select,
    selection_notes,
)
from cleanplate.segmentation.verification import detect_remaining

DEFAULT_SEGMENTER = "deeplabv3plus_lite2.voc"

__all__ = [
    "DEFAULT_PROMPTER",
    "DEFAULT_SEGMENTER",
    "SCORE_BELOW",
    "ExampleSegmenter",
    "InteractiveSegmenter",
    "Segmenter",
    "Selection",
    "create_prompter",
    "create_segmenter",
    "detect_remaining",
    "find_effects",
    "installed_prompter",
    "outline_objects",
    "pick_instances",
    "prompter_names",
    "refine_outline",
    "requested_labels",
    "segmenter_names",
    "select",
    "selection_notes",
]

_FAMILIES = MappingProxyType(
    {
        "semantic": ("semantic", "SemanticSegmenter"),
        "rfdetr": ("rfdetr", "RfDetrSegmenter"),
        "clipseg": ("clipseg", "ClipSegSegmenter"),
    }
)
"""Family of models -> module and class of this package; imported when one is created."""


def segmenter_names() -> tuple[str, ...]:
    """Return every name that `create_segmenter` knows."""
    return model_names("segmenter")


def create_segmenter(
    name: str = DEFAULT_SEGMENTER, *, device: str = "auto", threads: int | None = None
) -> Segmenter:
    """Return the segmenter called `name`, with its network loaded.

    Args:
        name: one of `segmenter_names()`.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.

    Raises:
        UnknownNameError: no such segmenter; the message lists the known names.
        WeightsError: it is not installed, or damaged; the message states how to install it.
        DeviceError, MissingRuntimeError: see `cleanplate.runtime.session.Session`.
    """
    module, adapter = _FAMILIES[get_model(name, "segmenter").family]
    create: Any = getattr(importlib.import_module(f"{__name__}.models.{module}"), adapter)
    segmenter: Segmenter = create(name, device=device, threads=threads)
    return segmenter
