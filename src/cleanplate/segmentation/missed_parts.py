"""Parts of an object that its outline misses, where they stand out of calm surroundings.

A wing tip against the sky, a leash over wet sand, a paddle, a tail, whiskers: where nothing else
is, what remains of an object is noticed first. The surroundings without any detail are a median
over a window wider than such parts. What differs from that, more than anything else around and
unlike it, begins at the object and ends soon after it, is a part of the object.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import (
    bounding_box,
    coverage,
    dilate,
    dilation_px,
    expand_box,
    pull_push,
    rasterize,
    rasterize_within,
    scale_within,
    with_mask,
)
from cleanplate.types import FloatArray, Instance, Mask, RGBImage

Scalar = TypeVar("Scalar", bound=np.generic)

# "The object's side" is the square root of its area. All values were chosen by eye, on what they
# change in 445 photos of PASCAL VOC val, 290 of COCO, and 24 others.
_WORK_SIDE = 448  # px; long side of the working image
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
_UNEVEN_SHARE = 0.12  # of the surroundings, at most
_OPEN_SHARE = 0.25  # of its border, at most, lies where they are not even
_LARGEST_SHARE = 0.05  # of the object's area
_LIKE_LEVELS, _LIKE_SHARE = 25.0, 0.02  # mean difference to the most similar of the object's pixels
_LEAVING_SHARE = 0.4  # of its length: how far it ends from the object; else it passes by
_TWIN_AREAS, _TWIN_LEVELS = (0.3, 3.0), 8.0  # like it: ratio of areas; levels, plus half its own
_MOST_PIECES = 1  # like it, if it reaches another object: more are a line that objects hide


def add_missed_parts(
    image: RGBImage, chosen: Sequence[Instance], kept: Sequence[Instance]
) -> tuple[Instance, ...]:
    """Return objects with what stands out beside them and can only be theirs.

    Args:
        image: (H, W, 3) uint8, RGB, the photo. Not modified.
        chosen: the objects, outlined at full size. Not modified.
        kept: other objects; what reaches them is not taken.
    """
    barred = rasterize(kept, image.shape)
    taken = rasterize(chosen, image.shape) | barred
    result = []
    for instance in chosen:
        reach_px = math.ceil(_REACH_SHARE * math.sqrt(instance.area_px)) + 4
        box = left, top, right, bottom = expand_box(instance.box_xyxy, reach_px, image.shape)
        place = slice(top, bottom), slice(left, right)
        own = rasterize_within([instance], box)
        parts = _missed_parts(image[place], own, taken[place] & ~own, barred[place])
        if parts.any():
            taken[place] |= parts
        whole = with_mask(instance, own | parts, left=left, top=top) if parts.any() else instance
        result.append(whole)
    return tuple(result)


def _missed_parts(photo: RGBImage, own: Mask, others: Mask, barred: Mask) -> Mask:
    """Return (H, W), an object's parts outside its mask.

    Args:
        photo: (H, W, 3) uint8, the object in its surroundings.
        own: (H, W), the object.
        others: (H, W), other objects; they hide the surroundings.
        barred: (H, W), those of them that no part reaches.
    """
    small = scale_within(photo, _WORK_SIDE)
    size_wh = small.shape[1], small.shape[0]
    inside, beside = coverage(own, size_wh) > 0.5, coverage(others, size_wh) > 0
    side = math.sqrt(np.count_nonzero(inside))
    if side < _LEAST_SIDE_PX:
        return np.zeros_like(own)
    around = _look_around(small, inside, dilate(inside | beside, _RIM_PX), side)
    differs = _largest(np.abs(around.detail))
    standing = around.even & (differs > np.maximum(_LEVELS, _DEVIATIONS * around.usual))
    away = np.asarray(cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    spots = _Spots.of(standing, around.detail, away, dilation_px(side**2) + 1)
    blocked = coverage(barred, size_wh) > 0
    behind = dilate(beside, _TOUCHING_PX)
    colours = small[inside][:: max(1, round(side**2 / 2000))].astype(np.float32)
    parts = np.zeros_like(inside)
    for number in np.flatnonzero(spots.leaving).tolist():
        spot = spots.numbers == number
        if (
            _ends(spot, away, around.even, blocked, side)
            and _stands_out(spot, differs, around, spots.count_twins(number))
            and _is_like(small[spot].mean(axis=0), colours)
            and not ((spot & behind).any() and spots.alike(number).sum() > _MOST_PIECES)
        ):
            parts |= spot
    if not parts.any():
        return np.zeros_like(own)
    parts |= dilate(parts, _TOUCHING_PX) & (away <= _TOUCHING_PX)
    enlarged = cv2.resize(parts.astype(np.float32), own.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray((enlarged > 0.5) & ~others & ~own)


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

    @classmethod
    def of(cls, standing: Mask, detail: FloatArray, away: FloatArray, margin_px: float) -> "_Spots":
        """Find them.

        Args:
            standing: (h, w), what stands out.
            detail: (h, w, 3), see `_Around`.
            away: (h, w) px from the object.
            margin_px: of the object.
        """
        count, numbers = cv2.connectedComponents(standing.astype(np.uint8), connectivity=8)
        flat = numbers[standing]
        areas = np.bincount(flat, minlength=count)
        sums = [np.bincount(flat, plane, count) for plane in detail[standing].T]
        tints = np.stack(sums, axis=1) / np.maximum(areas, 1)[:, None]
        near, far = (
            np.bincount(numbers[standing & part], minlength=count) > 0
            for part in (away <= _TOUCHING_PX, away > margin_px)
        )
        return cls(np.asarray(numbers, np.int32), areas, tints, near, near & far)

    def count_twins(self, number: int) -> int:
        """Return how many that do not touch the object are of one's size and colour."""
        return int(np.count_nonzero(self.alike(number) & ~self.touching))

    def alike(self, number: int) -> Mask:
        """Return (N + 1,), which others are of one's size and colour."""
        tint, ratios = self.tints[number], self.areas / self.areas[number]
        alike = np.abs(self.tints - tint).max(axis=1) < np.abs(tint).max() / 2 + _TWIN_LEVELS
        alike &= (ratios > _TWIN_AREAS[0]) & (ratios < _TWIN_AREAS[1])
        alike[[0, number]] = False
        return np.asarray(alike)


def _ends(spot: Mask, away: FloatArray, even: Mask, blocked: Mask, side: float) -> bool:
    """Return whether a spot leaves the object and ends in even surroundings.

    Args:
        spot: (h, w).
        away: (h, w) px from the object.
        even: (h, w), see `_Around`.
        blocked: (h, w), what it may not reach.
        side: of the object, px.
    """
    left, top, right, bottom = bounding_box(spot)
    if min(top, left) <= 1 or bottom >= spot.shape[0] - 1 or right >= spot.shape[1] - 1:
        return False
    far_px = float(away[spot].max())
    length_px = max(bottom - top, right - left)
    if not _LEAVING_SHARE * length_px <= far_px < _REACH_SHARE * side:
        return False
    if np.count_nonzero(spot) > _LARGEST_SHARE * side**2:
        return False
    if (dilate(spot, _TOUCHING_PX) & blocked).any():
        return False
    border = dilate(spot, _RIM_PX) & ~spot & (away > _RIM_PX)
    return bool(np.count_nonzero(border & ~even) <= _OPEN_SHARE * np.count_nonzero(border))


def _stands_out(spot: Mask, differs: FloatArray, around: _Around, twins: int) -> bool:
    """Return whether a spot (h, w) differs more than its surroundings do, and these are calm."""
    levels, uneven = differs[spot], float(around.uneven[spot].mean())
    least = _CONTRAST + _PER_TWIN * twins + _PER_UNEVEN * uneven
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
