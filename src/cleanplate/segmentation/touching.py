"""Touching objects of one class come apart where their common outline is narrow.

A semantic network sees two people side by side as one object. They are told apart by their heads:
the upper outline has a valley between two. Otherwise the distance of the object's pixels to the
outline has a peak in each of two objects and a saddle where they touch: as in a watershed, each
peak becomes an object, if the saddle is low enough and the objects are of similar size.

Reference:
    Beucher and Lantuejoul, Use of Watersheds in Contour Detection, 1979.
"""

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.types import Mask

PERSON = "person"
COUNTED = frozenset(
    (PERSON, "car", "bus", "motorbike", "bird", "cat", "cow", "dog", "horse", "sheep")
)
"""Labels of compact objects: chairs and plants have necks of their own, walls are not counted."""

_SIDE = 160  # cells; long side at which the outline is looked at
_LEAST_CELLS = 150  # smaller objects stay whole
_LEVELS = 16  # at which saddles are looked for
_NECK = 0.6  # of the lower peak: the highest saddle
_LEAST_SHARE = 0.3  # of the largest object's area; a head has less of its body's
_VALLEY = 0.12  # of the object's height: how deep the outline falls between two heads
_LEAST_HEAD = 0.08  # of a person's height: width of the outline above the valley; an arm is thinner


def separate_touching(mask: Mask, *, upright: bool) -> list[Mask]:
    """Return the objects in a connected mask: disjoint, together the mask; itself if it is one.

    Args:
        mask: (h, w) bool.
        upright: whether heads are looked for: people.
    """
    if np.count_nonzero(mask) < _LEAST_CELLS:
        return [mask]
    shrink = max(1.0, max(mask.shape) / _SIDE)
    size_wh = (max(1, round(mask.shape[1] / shrink)), max(1, round(mask.shape[0] / shrink)))
    small = cv2.resize(mask.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST)
    people = _between_heads(small > 0) if upright else [small > 0]
    found = [part for person in people for part in _separated(person)]
    if len(found) == 1:
        return [mask]
    numbers = np.zeros(small.shape, np.int32)
    for number, part in enumerate(found, start=1):
        numbers[part] = number
    large = cv2.resize(numbers, mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
    nearest = nearest_number(np.asarray(large, np.int32))
    parts = [np.asarray(mask & (nearest == number)) for number in range(1, len(found) + 1)]
    return [part for part in parts if part.any()]


def nearest_number(numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return (h, w), for each pixel the number above 0 that is nearest to it; there is one."""
    free = (numbers == 0).astype(np.uint8)
    _, places = cv2.distanceTransformWithLabels(
        free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(int(places.max()) + 1, np.int32)
    values[places[free == 0]] = numbers[free == 0]
    return np.asarray(values[places], np.int32)


def _between_heads(mask: Mask) -> list[Mask]:
    """Return the mask cut along columns where its upper outline has a valley between two heads."""
    filled = np.flatnonzero(mask.any(axis=1))
    height = filled[-1] + 1 - filled[0]
    tops = np.where(mask.any(axis=0), filled[-1] + 1 - mask.argmax(axis=0), 0)
    left, right = np.maximum.accumulate(tops), np.maximum.accumulate(tops[::-1])[::-1]
    depth = np.minimum(left, right) - tops
    if depth.max() < _VALLEY * height:
        return [mask]
    start = int(depth.argmax())
    rises = np.flatnonzero(depth[start:] < depth.max())
    column = start + int(rises[0]) // 2  # the middle of the first of the deepest valleys
    above = min(left[column], right[column]) - _VALLEY * height / 2
    sides = [(tops[:column], mask.copy()), (tops[column:], mask.copy())]
    sides[0][1][:, column:], sides[1][1][:, :column] = False, False
    areas = [np.count_nonzero(part) for _, part in sides]
    heads = [np.count_nonzero(line > above) / line.max() for line, _ in sides]
    if min(heads) < _LEAST_HEAD or min(areas) < _LEAST_SHARE * max(areas) / 2:
        return [mask]
    return [piece for _, part in sides for piece in _between_heads(part)]


def _separated(mask: Mask) -> list[Mask]:
    deep = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    for level in np.linspace(0.5, _NECK * deep.max(), _LEVELS):
        count, cores = cv2.connectedComponents((deep > level).astype(np.uint8), connectivity=4)
        peaked = [c for c in range(1, count) if deep[cores == c].max() * _NECK >= level]
        if len(peaked) < 2:
            continue
        large = _large(mask, np.asarray(cores, np.int32), peaked)
        if len(large) > 1:
            parts = _grown(mask, np.asarray(cores, np.int32), large)
            return [piece for part in parts for piece in _separated(part)]
    return [mask]


def _large(mask: Mask, cores: npt.NDArray[np.int32], chosen: list[int]) -> list[int]:
    """Return which of the chosen cores grow to objects of similar size."""
    areas = [np.count_nonzero(part) for part in _grown(mask, cores, chosen)]
    return [c for c, area in zip(chosen, areas, strict=True) if area >= _LEAST_SHARE * max(areas)]


def _grown(mask: Mask, cores: npt.NDArray[np.int32], chosen: list[int]) -> list[Mask]:
    """Return for each chosen core the pixels of `mask` that are nearest to it."""
    nearest = nearest_number(np.where(np.isin(cores, chosen), cores, 0).astype(np.int32))
    return [np.asarray(mask & (nearest == c)) for c in chosen]
