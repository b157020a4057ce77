"""What is still there after filling.

A foot that the mask missed, or a fill that resembles another person, is detected by segmenting the
filled holes and their surroundings again, each in its own crop.
"""

import math
from collections.abc import Collection
from dataclasses import replace

import cv2
import numpy as np

from cleanplate.ops import (
    bounding_box,
    default_dilation_px,
    dilate,
    expand_box,
    plan_windows,
    rasterize,
)
from cleanplate.segmentation.base import Segmenter
from cleanplate.types import Box, Instance, Mask, RGBImage

_RECHECK_CONTEXT = 1.0  # surroundings in a crop, as a share of the hole's mean side
_MIN_CROP_PX = 128  # of a crop
_JOIN = 0.5  # holes nearer than this share of the larger one's side share a crop
# Larger crops are scaled down. The built-in segmenter processes these at up to twice that
# size, and larger ones at more, which detected no more deliberate remainders of 60 objects.
_MAX_CROP_PX = 253
_TOUCHING_SHARE = 0.02  # of the hole's mean side; detections farther from every hole are ignored
_ALREADY_LEFT = 0.5  # share of a detection inside a kept object: ignored
_LARGEST_REST = 0.8  # of a detection's part outside a hole, as a share of the hole
_OUTSIDE = 0.5  # share outside above which its label must have been removed there


def detect_remaining(
    image: RGBImage,
    mask: Mask,
    *,
    removed: Collection[Instance],
    kept: Collection[Instance],
    segmenter: Segmenter,
    labels: Collection[str],
    min_score: float,
    min_area: int,
) -> list[Instance]:
    """Return the objects still detected in the holes of a filled photo or at their edges.

    Args:
        image: (H, W, 3) uint8, RGB, the filled photo. Not modified.
        mask: (H, W) bool, what was filled.
        removed: the removed objects. A detection mostly outside the holes counts only if an object
            of its label was removed there: a foot, not the rock beside it.
        kept: the kept objects; detections mostly inside one of them are ignored.
        segmenter: run on a crop around each hole.
        labels: canonical names.
        min_score: [0, 1]; objects of a lower score do not count.
        min_area: px; smaller objects do not count.

    Returns:
        Objects of the photo, numbered 1, 2, ... by falling area.
    """
    found: list[Instance] = []
    for window in plan_windows(mask, context=_RECHECK_CONTEXT, min_size=_MIN_CROP_PX, join=_JOIN):
        crop = image[window.slices]
        hole = window.mask
        box = bounding_box(hole)
        reach_px = 1 + _TOUCHING_SHARE * math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
        seen = [
            instance
            for instance in _segment(crop, segmenter, labels)
            if instance.score >= min_score and instance.area_px >= min_area
        ]
        if not seen:
            continue
        stays = rasterize(kept, mask.shape)
        near = dilate(hole, reach_px)
        for instance in seen:
            rows, columns = _slices(instance.box_xyxy)
            if not (near[rows, columns] & instance.mask).any():
                continue
            across, down = window.box_xyxy[:2]
            x0, y0, x1, y1 = instance.box_xyxy
            placed = replace(instance, box_xyxy=(x0 + across, y0 + down, x1 + across, y1 + down))
            shared = stays[_slices(placed.box_xyxy)] & placed.mask
            if np.count_nonzero(shared) >= _ALREADY_LEFT * placed.area_px:
                continue
            outside = np.count_nonzero(instance.mask & ~hole[rows, columns])
            if outside > _LARGEST_REST * np.count_nonzero(hole):
                continue
            if outside <= _OUTSIDE * placed.area_px or _is_rest(placed, removed, reach_px):
                found.append(placed)
    found.sort(key=lambda instance: -instance.area_px)
    return [replace(instance, id=number) for number, instance in enumerate(found, start=1)]


def _is_rest(instance: Instance, removed: Collection[Instance], reach_px: float) -> bool:
    """Return whether an object adjoins a removed one of its label."""
    left, top, right, bottom = instance.box_xyxy
    for other in removed:
        apart_px = default_dilation_px(other) + reach_px
        box = other.box_xyxy
        if (
            other.label == instance.label
            and left < box[2] + apart_px
            and right > box[0] - apart_px
            and top < box[3] + apart_px
            and bottom > box[1] - apart_px
        ):
            return True
    return False


def _segment(crop: RGBImage, segmenter: Segmenter, labels: Collection[str]) -> list[Instance]:
    """Return the objects of a crop, scaled down to at most `_MAX_CROP_PX`."""
    height, width = crop.shape[:2]
    shrink = max(height, width) / _MAX_CROP_PX
    if shrink <= 1:
        return segmenter.segment(crop, labels)
    size_wh = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    small = np.asarray(cv2.resize(crop, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    enlarged = (
        _enlarged(instance, size_wh, (width, height))
        for instance in segmenter.segment(small, labels)
    )
    return [instance for instance in enlarged if instance is not None]


def _enlarged(
    instance: Instance, from_wh: tuple[int, int], to_wh: tuple[int, int]
) -> Instance | None:
    """Return an object of a scaled crop in the crop's own px; None if no px is half covered."""
    left, top, right, bottom = expand_box(instance.box_xyxy, 1, from_wh[::-1])
    x0, y0 = instance.box_xyxy[0] - left, instance.box_xyxy[1] - top
    mask = np.zeros((bottom - top, right - left), np.float32)
    mask[y0 : y0 + instance.mask.shape[0], x0 : x0 + instance.mask.shape[1]] = instance.mask
    across, down = to_wh[0] / from_wh[0], to_wh[1] / from_wh[1]
    box = (round(left * across), round(top * down), round(right * across), round(bottom * down))
    size_wh = (box[2] - box[0], box[3] - box[1])
    large = cv2.resize(mask, size_wh, interpolation=cv2.INTER_LINEAR) > 0.5
    if not large.any():
        return None
    tight = bounding_box(large)
    return replace(
        instance,
        box_xyxy=(box[0] + tight[0], box[1] + tight[1], box[0] + tight[2], box[1] + tight[3]),
        mask=np.ascontiguousarray(large[_slices(tight)]),
    )


def _slices(box: Box) -> tuple[slice, slice]:
    return slice(box[1], box[3]), slice(box[0], box[2])
