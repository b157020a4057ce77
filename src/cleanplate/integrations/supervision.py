"""Removes objects that supervision's `Detections` outline."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cleanplate.datasets import Annotation, CroppedMask, DatasetOptions, decide
from cleanplate.errors import InputError
from cleanplate.ops import bounding_box
from cleanplate.options import RemovalOptions
from cleanplate.remover import Remover
from cleanplate.segmentation import Selection
from cleanplate.types import Instance, RGBImage

_GOES, _STAYS = "goes", "stays"


def remove_detections(
    image: RGBImage,
    detections: Any,
    remove: npt.NDArray[np.bool_],
    *,
    remover: Remover | None = None,
    options: RemovalOptions | None = None,
) -> tuple[RGBImage, Any]:
    """Return an image without some detected objects, and the detections that remain.

    The outlines of kept detections are not filled.

    Args:
        image: (H, W, 3) uint8, RGB; OpenCV's are BGR. Not modified.
        detections: `supervision.Detections` with masks.
        remove: (N,) bool, which to remove, such as `detections.class_id == 0`.
        remover: keeps its models loaded; None makes one.
        options: margin and effects.

    Raises:
        InputError: no masks, or `remove` of another length.
    """
    wanted = np.asarray(remove, np.bool_)
    if wanted.shape != (len(detections),):
        raise InputError(f"remove must be ({len(detections)},) bool, got {wanted.shape}")
    if detections.mask is None:
        raise InputError("the detections have boxes only; use a model that segments")
    instances = []
    annotations = []
    for index, mask in enumerate(np.asarray(detections.mask, np.bool_)):
        label = _GOES if wanted[index] else _STAYS
        height, width = mask.shape
        placed = CroppedMask((0, 0, width, height), mask)
        box = (0.0, 0.0, float(width), float(height))
        annotations.append(Annotation(key=str(index), label=label, box=box, outline=placed))
        if mask.any():
            left, top, right, bottom = tight = bounding_box(mask)
            instances.append(Instance(index, label, 1.0, tight, mask[top:bottom, left:right]))
    remover = remover or Remover()
    kept = tuple(it for it in instances if it.label == _STAYS)
    chosen = tuple(it for it in instances if it.label == _GOES)
    selection = Selection(chosen, kept, frozenset(it.id for it in kept))
    plan = remover.plan_selection(image, selection, options or RemovalOptions())
    removal = remover.fill(image, plan)
    rules = DatasetOptions(classes=(_GOES,))
    decisions = decide(annotations, removal.mask, {it.id for it in chosen}, rules)
    return removal.image, detections[np.array([not it.is_dropped for it in decisions], np.bool_)]
