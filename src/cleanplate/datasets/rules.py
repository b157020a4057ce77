"""What becomes of each annotation once something was filled: one function without side effects."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cleanplate.datasets.annotations import (
    Annotation,
    AnnotationEdit,
    DatasetImage,
    TightMask,
    region_of,
    tight_mask,
)
from cleanplate.errors import InputError
from cleanplate.types import Mask

Source = Literal["annotations", "detect", "both"]
"""Where the masks of the objects to remove come from:

annotations  from the annotations; inside boxes without an outline, the segmenter searches for it
detect       from the segmenter: what it finds and an annotation confirms
both         both together
"""

Neighbours = Literal["protect", "clip", "skip"]
"""What happens to kept annotated objects where the mask would meet them:

protect  the mask is cut at their outlines
clip     they are cut to what is visible, and dropped if that is too little
skip     the image stays as it is
"""

Crowds = Literal["skip", "fill"]
"""What becomes of images with a crowd of what is removed: they stay as they are, or it is filled.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetOptions:
    """What is removed from a dataset, and what becomes of its labels.

    Raises:
        InputError: a value out of range.
    """

    classes: tuple[str, ...]
    """Names of the dataset's classes that are removed."""

    source: Source = "annotations"
    """Where the masks come from."""

    neighbours: Neighbours = "protect"
    """What happens to kept objects where the mask would meet them."""

    crowds: Crowds = "skip"
    """What becomes of images with crowds."""

    fill_unannotated: bool = False
    """Remove detected objects that no annotation shows, too."""

    min_removed: float = 0.95
    """Share of an object's pixels that must be filled for its annotation to be dropped."""

    min_whole: float = 0.75
    """A neighbour of which this share or more is visible stays as it was."""

    min_visible: float = 0.25
    """A neighbour of which less is visible is dropped."""

    def __post_init__(self) -> None:
        """Check the shares."""
        for name in ("min_removed", "min_whole", "min_visible"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError(f"{name} must be in [0, 1], got {value}")
        if self.min_visible > self.min_whole:
            raise InputError(
                f"min_visible {self.min_visible:g} is above min_whole {self.min_whole:g}; "
                "give a smaller one"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the options as what JSON can hold."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEdit:
    """What becomes of an image's labels.

    `changes` are the decisions that change a record, by the annotation's key.
    """

    image: DatasetImage
    changes: Mapping[str, AnnotationEdit] = field(default_factory=dict)
    is_lost: bool = False  # no photo was written: its labels go too
    removed_labels: Collection[str] = ()  # classes of which objects went
    classes_left: Collection[str] = ()  # of all kept objects
    mask: Path | None = None  # file with what was filled
    options: DatasetOptions = DatasetOptions(classes=())


def blocking_crowds(annotations: Sequence[Annotation], options: DatasetOptions) -> list[Annotation]:
    """Return the crowds because of which an image stays as it is."""
    if options.crowds == "fill":
        return []
    return [it for it in annotations if it.is_crowd and it.label in options.classes]


def decide(
    annotations: Sequence[Annotation],
    mask: Mask,
    planned: Collection[int],
    options: DatasetOptions,
) -> list[AnnotationEdit]:
    """Return what becomes of each annotation of an image.

    Args:
        annotations: of one image.
        mask: (H, W) bool, the pixels that were really filled.
        planned: indices of the annotations whose objects were to be filled.
        options: classes and thresholds.

    Returns:
        One decision for each annotation, in their order.

    Raises:
        InputError: an outline does not fit the photo.
    """
    decisions = []
    for index, annotation in enumerate(annotations):
        region = region_of(annotation, (mask.shape[0], mask.shape[1]))
        share = _share(annotation, region, mask)
        decision = AnnotationEdit(annotation=annotation, outcome="kept", share=share)
        if annotation.label in options.classes:
            if index not in planned:
                decision = replace(decision, outcome="missed")
            elif region is None or (share or 0) >= options.min_removed:
                decision = replace(decision, outcome="removed")
            else:
                decision = replace(decision, outcome="partial")
        elif share is not None:
            decision = _decide_neighbour(decision, region, share, mask, options)
        if not decision.is_dropped:
            decision = replace(decision, hidden=_hidden_keypoints(annotation, mask))
        decisions.append(decision)
    return decisions


def _decide_neighbour(
    kept: AnnotationEdit,
    region: TightMask | None,
    share: float,
    mask: Mask,
    options: DatasetOptions,
) -> AnnotationEdit:
    visible = 1 - share
    if visible >= options.min_whole and visible > 0:
        return kept
    if visible < options.min_visible or visible == 0:
        return replace(kept, outcome="covered")
    if region is None:  # of a box, what is visible is unknown
        return kept
    (left, top, right, bottom), own = region
    rest = own & ~mask[top:bottom, left:right]
    return replace(kept, outcome="clipped", visible=tight_mask(region[0], rest))


def _share(annotation: Annotation, region: TightMask | None, mask: Mask) -> float | None:
    """Return the share of an annotation's pixels, or of its box, that were filled."""
    if region is not None:
        (left, top, right, bottom), own = region
        return float(np.count_nonzero(own & mask[top:bottom, left:right]) / np.count_nonzero(own))
    if annotation.outline is not None:
        return None
    left, top, right, bottom = (round(edge) for edge in annotation.box)
    inside = mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    return float(inside.mean()) if inside.size else None


def _hidden_keypoints(annotation: Annotation, mask: Mask) -> tuple[int, ...]:
    height, width = mask.shape
    return tuple(
        index
        for index, (x, y, visibility) in enumerate(annotation.keypoints)
        if visibility == 2 and 0 <= x < width and 0 <= y < height and mask[int(y), int(x)]
    )
