"""Parts of an object that its outline misses, where they stand out of calm surroundings.

A wing tip against the sky, a leash over wet sand, a paddle, a tail, whiskers: where nothing else
is, what remains of an object is noticed first. The surroundings without any detail are a median
over a window wider than such parts. What differs from that, more than anything else around and
unlike it, begins at the object and ends soon after it, is a part of the object. So is what connects
two objects, such as a leash, unless it goes on beyond them: then they hide a line.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import (
    bounding_box,
    box_around,
    box_iou,
    coverage,
    dilate,
    dilation_px,
    expand_box,
    long_side,
    pull_push,
    rasterize,
    rasterize_within,
    with_mask,
)
from cleanplate.segmentation.instances import nearest_number
from cleanplate.types import Box, FloatArray, Instance, Mask, RGBImage

Scalar = TypeVar("Scalar", bound=np.generic)

# "The object's side" is the square root of its area. All values were chosen by eye, on what they
# change in 445 photos of PASCAL VOC val, 290 of COCO, and 24 others.
_WORK_SIDE = 448  # px; long side of the working image ...
_SHARED_SIDE = 1024  # ... and of one that several objects share
_ROUNDS = 2  # the second from the parts of the first
_LEAST_SIDE_PX = 16.0  # of an object; of smaller ones no part is seen
_REACH_SHARE = 0.9  # of the side: how far a part may stand out
_TOUCHING_PX = 3.0  # from the object, at most
_RIM_PX = 1.5  # beside an outline, colours are mixed

# Of the surroundings.
_WINDOW_SHARE = 0.22  # of the side: width of the median's window ...
_WINDOW_PX = (11.0, 101.0)  # ... and its least and most
_EVEN_LEVELS = 24  # where the median changes by less, over a third of that, they are even
_FAR_SHARE = 0.3  # of the side: deviation of the window that they are described in
_NEAR_WEIGHT = 0.2  # there, of the object's margin: it may be the object's
_MOST_LEVELS = 40.0  # that count in their deviation

# Of a part.
_LEVELS, _DEVIATIONS = 8.0, 2.0  # by which all of it differs from the surroundings ...
_SURE_LEVELS = 20.0  # ... a pixel of it ...
_CONTRAST = 3.3  # ... and its mean, in deviations; more ...
_PER_TWIN, _PER_UNEVEN = 0.35, 10.0  # ... for each like it around, and where little is even
_LINE_AXES = 2.5  # ratio of a line's axes; like it is only what is parallel, that is ...
_PARALLEL, _PER_PARALLEL = 0.26, 1.0  # ... by this sine; each counts so much more
_UNEVEN_SHARE = 0.12  # of the surroundings, at most
_OPEN_SHARE = 0.25  # of its border, at most, lies where they are not even
_LARGEST_SHARE = 0.05  # of the object's area
_LIKE_LEVELS, _LIKE_SHARE = 25.0, 0.02  # mean difference to the most similar of the object's pixels
_LEAVING_SHARE = 0.4  # of its length: how far it ends from the object; else it passes by
_TWIN_AREAS, _TWIN_LEVELS = (0.3, 3.0), 8.0  # like it: ratio of areas; levels, plus half its own


def add_missed_parts(
    image: RGBImage, chosen: Sequence[Instance], kept: Sequence[Instance]
) -> tuple[Instance, ...]:
    """Return objects with what stands out beside them, or connects two of them.

    Args:
        image: (H, W, 3) uint8, RGB, the photo. Not modified.
        chosen: the objects, outlined at full size. Not modified.
        kept: other objects; what reaches them is not taken.
    """
    taken = rasterize([*chosen, *kept], image.shape)
    whole = list(chosen)
    boxes = [_surroundings(instance, image.shape) for instance in chosen]
    for group in [*([index] for index in range(len(chosen))), *_near(boxes)]:
        for _ in range(_ROUNDS):
            if not _add_parts(image, whole, group, taken):
                break
    return tuple(whole)


def _add_parts(image: RGBImage, whole: list[Instance], group: Sequence[int], taken: Mask) -> bool:
    """Add to one object what stands out beside it, or to several what does between them.

    Args:
        image: (H, W, 3) uint8, the photo.
        whole: all objects, changed in place.
        group: which of them.
        taken: (H, W), all objects, changed in place.

    Returns:
        Whether there was anything.
    """
    boxes = [_surroundings(whole[index], image.shape) for index in group]
    box = left, top, right, bottom = box_around(boxes)
    place = slice(top, bottom), slice(left, right)
    numbers = np.zeros((bottom - top, right - left), np.int32)
    for number, index in enumerate(group, start=1):
        numbers[rasterize_within([whole[index]], box)] = number
    others = taken[place] & (numbers == 0)
    largest, own_box = max(
        (whole[index].area_px, own) for index, own in zip(group, boxes, strict=True)
    )
    shrink = max(1.0, long_side(own_box) / _WORK_SIDE, long_side(box) / _SHARED_SIDE)
    found = _missed_parts(image[place], numbers, others, math.sqrt(largest), shrink)
    taken[place] |= found > 0
    for number in np.unique(found[found > 0]).tolist():
        index = group[number - 1]
        mask = (numbers == number) | (found == number)
        whole[index] = with_mask(whole[index], mask, left=left, top=top)
    return bool(found.any())


def _surroundings(instance: Instance, size_hw: tuple[int, ...]) -> Box:
    reach_px = math.ceil(_REACH_SHARE * math.sqrt(instance.area_px)) + 4
    return expand_box(instance.box_xyxy, reach_px, size_hw)


def _near(boxes: Sequence[Box]) -> list[list[int]]:
    """Return the indices of boxes that overlap, directly or through others, in groups."""
    groups: list[list[int]] = []
    for index, box in enumerate(boxes):
        joined = [it for it in groups if any(box_iou(box, boxes[other]) > 0 for other in it)]
        groups = [it for it in groups if it not in joined]
        groups.append([*itertools.chain(*joined), index])
    return [group for group in groups if len(group) > 1]


def _missed_parts(
    photo: RGBImage,
    numbers: npt.NDArray[np.int32],
    others: Mask,
    side_px: float,
    shrink: float,
) -> npt.NDArray[np.int32]:
    """Return (H, W), an object's parts outside its mask; of several, what reaches two of them.

    Args:
        photo: (H, W, 3) uint8, the objects in their surroundings.
        numbers: (H, W), the objects, numbered from 1, as are the parts of each that are returned.
        others: (H, W), other objects; they hide the surroundings, and no part reaches them.
        side_px: of the largest object.
        shrink: px of the photo for one of the working image.
    """
    side = side_px / shrink
    if side < _LEAST_SIDE_PX:
        return np.zeros_like(numbers)
    full_wh = numbers.shape[1], numbers.shape[0]
    size_wh = max(1, round(full_wh[0] / shrink)), max(1, round(full_wh[1] / shrink))
    small = np.asarray(cv2.resize(photo, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    inside, hidden = coverage(numbers > 0, size_wh) > 0.5, coverage(others, size_wh) > 0
    around = _look_around(small, inside, dilate(inside | hidden, _RIM_PX), side)
    differs = _largest(np.abs(around.detail))
    standing = around.even & (differs > np.maximum(_LEVELS, _DEVIATIONS * around.usual))
    away = np.asarray(cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    close = away <= _TOUCHING_PX
    spots = _Spots.of(standing, around.detail, close, away > dilation_px(side**2) + 1)
    _, bodies = cv2.connectedComponents(close.astype(np.uint8), connectivity=8)
    fewer = cv2.resize(numbers, size_wh, interpolation=cv2.INTER_NEAREST)
    nearest = nearest_number(np.asarray(fewer, np.int32))
    several = int(numbers.max()) > 1
    colours = small[inside][:: max(1, round(side**2 / 2000))].astype(np.float32)
    parts = np.zeros_like(inside)
    for number in np.flatnonzero(spots.leaving).tolist():
        spot = spots.numbers == number
        ends_at = spot & close
        if several and len(np.unique(nearest[ends_at])) < 2:
            continue
        connects = several and len(np.unique(bodies[ends_at])) > 1
        if (
            not (connects and spots.goes_on(number))
            and _ends(spot, away, around.even, hidden, side, connects=connects)
            and _stands_out(spot, differs, around, spots.weigh_twins(number))
            and _is_like(small[spot].mean(axis=0), colours)
        ):
            parts |= spot
    if not parts.any():
        return np.zeros_like(numbers)
    parts |= dilate(parts, _TOUCHING_PX) & close
    enlarged = cv2.resize(parts.astype(np.float32), full_wh, interpolation=cv2.INTER_LINEAR)
    free = (enlarged > 0.5) & ~others & (numbers == 0)
    owners = cv2.resize(nearest, full_wh, interpolation=cv2.INTER_NEAREST)
    return np.asarray(np.where(free, owners, 0), np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class _Around:
    """The surroundings of an object, (h, w) each."""

    detail: FloatArray  # (h, w, 3) levels by which they differ from themselves without detail
    even: Mask  # known, and without detail they hardly change
    usual: FloatArray  # deviation of the detail near each pixel
    uneven: FloatArray  # share of them that is not even near each pixel


def _look_around(small: RGBImage, inside: Mask, hidden: Mask, side: float) -> _Around:
    """Describe the surroundings.

    Args:
        small: (h, w, 3) uint8.
        inside: (h, w), the object.
        hidden: (h, w), where it or another object hides them.
        side: of the object, px.
    """
    size_wh = hidden.shape[1], hidden.shape[0]
    # Half the size is enough for what has no detail, a quarter for means.
    half_wh, quarter_wh = ((max(1, size_wh[0] // n), max(1, size_wh[1] // n)) for n in (2, 4))
    half = cv2.resize(small, half_wh, interpolation=cv2.INTER_AREA).astype(np.float32)
    whole = pull_push(half, coverage(hidden, half_wh) == 0).astype(np.uint8)
    window_px = int(np.clip(_WINDOW_SHARE * side, *_WINDOW_PX) / 2) | 1
    plain = cv2.merge([cv2.medianBlur(plane, window_px) for plane in cv2.split(whole)])
    third = np.ones((max(3, window_px // 3) | 1,) * 2, np.uint8)
    spread = _largest(cv2.dilate(plain, third) - cv2.erode(plain, third))
    even = (cv2.resize(spread, size_wh, interpolation=cv2.INTER_NEAREST) < _EVEN_LEVELS) & ~hidden
    plain = cv2.resize(plain, size_wh, interpolation=cv2.INTER_LINEAR)
    detail = np.subtract(small, plain, dtype=np.float32)
    known = (~hidden).astype(np.float32)
    weight = np.where(dilate(inside, dilation_px(side**2)), _NEAR_WEIGHT * known, known)
    squares = np.minimum(_largest(np.abs(detail)), _MOST_LEVELS) ** 2
    planes = cv2.merge([weight * squares, weight, known * ~even, known])
    planes = cv2.resize(planes, quarter_wh, interpolation=cv2.INTER_AREA)
    planes = cv2.GaussianBlur(planes, (0, 0), max(0.5, _FAR_SHARE * side / 4))
    sums = cv2.split(cv2.resize(planes, size_wh, interpolation=cv2.INTER_LINEAR))
    usual = np.sqrt(sums[0] / np.maximum(sums[1], 1e-4))
    uneven = sums[2] / np.maximum(sums[3], 1e-3)
    return _Around(detail, even, np.asarray(usual, np.float32), np.asarray(uneven, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class _Spots:
    """Connected places that stand out; place 0 of each array is for what does not."""

    numbers: npt.NDArray[np.int32]  # (h, w) from 1, 0 = none
    areas: npt.NDArray[np.int64]  # (N + 1,) px
    tints: npt.NDArray[np.float64]  # (N + 1, 3) their mean difference from the surroundings, levels
    touching: Mask  # (N + 1,) whether they touch the object ...
    leaving: Mask  # (N + 1,) ... and go beyond its margin
    angles: npt.NDArray[np.float64]  # (N + 1,) of lines, radians; NaN: it is no line

    @classmethod
    def of(cls, standing: Mask, detail: FloatArray, close: Mask, off: Mask) -> "_Spots":
        """Find them.

        Args:
            standing: (h, w), what stands out.
            detail: (h, w, 3), see `_Around`.
            close: (h, w), what touches the object.
            off: (h, w), what is beyond its margin.
        """
        count, numbers = cv2.connectedComponents(standing.astype(np.uint8), connectivity=8)
        flat = numbers[standing]
        areas = np.bincount(flat, minlength=count)

        def mean(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
            return np.bincount(flat, values, count) / np.maximum(areas, 1)

        tints = np.stack([mean(plane) for plane in detail[standing].T], axis=1)
        near, far = (
            np.bincount(numbers[standing & part], minlength=count) > 0 for part in (close, off)
        )
        y, x = (axis.astype(np.float64) for axis in np.nonzero(standing))
        xx, yy = (mean(it * it) - mean(it) ** 2 + 1 / 12 for it in (x, y))
        xy = mean(x * y) - mean(x) * mean(y)
        half, root = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
        is_line = half + root > _LINE_AXES**2 * (half - root)
        angles = np.where(is_line, np.arctan2(2 * xy, xx - yy) / 2, np.nan)
        return cls(np.asarray(numbers, np.int32), areas, tints, near, near & far, angles)

    def weigh_twins(self, number: int) -> float:
        """Return by how many deviations more one has to stand out, for others like it around."""
        alike = self._alike(number) & ~self.touching
        if self._is_line(number):
            return _PER_PARALLEL * int(np.count_nonzero(alike))
        alike &= self.areas < _TWIN_AREAS[1] * self.areas[number]
        return _PER_TWIN * int(np.count_nonzero(alike))

    def goes_on(self, number: int) -> bool:
        """Return whether one is a line of which the objects touch another piece."""
        return self._is_line(number) and bool((self._alike(number) & self.touching).any())

    def _is_line(self, number: int) -> bool:
        return bool(np.isfinite(self.angles[number]))

    def _alike(self, number: int) -> Mask:
        """Return (N + 1,), which others are of one's colour, as large, and parallel to a line."""
        tint = self.tints[number]
        alike = np.abs(self.tints - tint).max(axis=1) < np.abs(tint).max() / 2 + _TWIN_LEVELS
        alike &= self.areas > _TWIN_AREAS[0] * self.areas[number]
        if self._is_line(number):
            alike &= np.abs(np.sin(self.angles - self.angles[number])) < _PARALLEL
        alike[[0, number]] = False
        return np.asarray(alike)


def _ends(
    spot: Mask, away: FloatArray, even: Mask, blocked: Mask, side: float, *, connects: bool
) -> bool:
    """Return whether a spot leaves the object and ends in even surroundings, or at another.

    Args:
        spot: (h, w).
        away: (h, w) px from the object.
        even: (h, w), see `_Around`.
        blocked: (h, w), what it may not reach.
        side: of the object, px.
        connects: whether it reaches two objects that are apart.
    """
    left, top, right, bottom = bounding_box(spot)
    if min(top, left) <= 1 or bottom >= spot.shape[0] - 1 or right >= spot.shape[1] - 1:
        return False
    far_px = float(away[spot].max())
    length_px = max(bottom - top, right - left)
    least = 0 if connects else _LEAVING_SHARE * length_px
    if not least <= far_px < _REACH_SHARE * side:
        return False
    if np.count_nonzero(spot) > _LARGEST_SHARE * side**2:
        return False
    if (dilate(spot, _TOUCHING_PX) & blocked).any():
        return False
    border = dilate(spot, _RIM_PX) & ~spot & (away > _RIM_PX)
    return bool(np.count_nonzero(border & ~even) <= _OPEN_SHARE * np.count_nonzero(border))


def _stands_out(spot: Mask, differs: FloatArray, around: _Around, twins: float) -> bool:
    """Return whether a spot (h, w) differs more than its surroundings do, and these are calm.

    Args:
        spot: (h, w).
        differs: (h, w) levels from the surroundings without detail.
        around: see `_Around`.
        twins: see `_Spots.weigh_twins`.
    """
    levels, uneven = differs[spot], float(around.uneven[spot].mean())
    least = _CONTRAST + twins + _PER_UNEVEN * uneven
    return bool(
        uneven <= _UNEVEN_SHARE
        and levels.max() >= _SURE_LEVELS
        and levels.mean() > least * around.usual[spot].mean()
    )


def _is_like(colour: npt.NDArray[np.floating], colours: FloatArray) -> bool:
    """Return whether the object has a colour (3,) among its own (N, 3)."""
    unlike = np.sort(np.abs(colours - colour).max(axis=1))
    return bool(unlike[: max(1, round(_LIKE_SHARE * len(unlike)))].mean() <= _LIKE_LEVELS)


def _largest(planes: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Return (h, w), the largest of three planes (h, w, 3); ten times as fast as NumPy's `max`."""
    largest = np.maximum(np.maximum(planes[..., 0], planes[..., 1]), planes[..., 2])
    return np.asarray(largest, planes.dtype)
