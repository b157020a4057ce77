"""Effects of an object on the ground: its shadow and its reflection.

Both are detected only near the object's foot, and only where they are evident. A shadow is a region
of the ground that is darker, of nearly the same chromaticity, connected to the object's foot and
bounded; a reflection correlates with the object turned upside down. Regions that are dark anyway
(a gutter, a bush, night) extend beyond the object and are ignored.

Reference:
    Finlayson, Hordley and Drew, Removing Shadows from Images, ECCV 2002: a shadow changes
    brightness much and chromaticity little.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import coverage, dilate, expand_box, rasterize
from cleanplate.types import Box, Instance, Mask, RGBImage

Field = npt.NDArray[np.float32]

_SIDE_PX = 64.0  # side of the object at the working size
_LARGEST_PX = 512  # long side of the working image
_FOOT_SHARE = 0.25  # of the object's height: what can touch the ground
_BESIDE_SHARE = 1.5  # of the larger of its sides: search range for a shadow on each side
_BELOW_SHARE = 1.0  # of its height: how far below it
_LEAST_AREA_PX = 400  # smaller objects are skipped

# Shadows. Brightness is log luminance, compared with the lit ground near it.
_DARK, _DIM = 0.22, 0.10  # a shadow has parts darker than the first, and ends at the second
_NOISY = 1.5  # ... or at that many deviations of the lit ground, if that is more
_SAME_HUE = 0.04  # distance of chromaticities, which add up to 1
_GROUND_PX = 24.0  # deviation of the window whose lit pixels count as the ground nearby
_LEAST_DARK_SHARE = 0.15  # of a shadow
_LARGEST_SHADOW = 0.8  # of the object's area
_MOST_DARK_ELSEWHERE = 0.10  # of the ground: above it, darkness is no evidence
_CUT_SHARE = 0.02  # of a shadow's outline that may lie on the border of the working image

# Reflections.
_LEAST_LIKENESS = 0.45  # correlation with the object turned upside down
_LEAST_CONTRAST = 6.0  # grey levels, of the reflection against the ground beside it


def find_effects(image: RGBImage, instance: Instance, objects: Mask) -> tuple[Box, Mask] | None:
    """Return an object's shadow and reflection on the ground, as a box and the mask inside it.

    Args:
        image: (H, W, 3) uint8, RGB, the photo. Not modified.
        instance: the object, its outline as exact as possible.
        objects: (H, W) bool, all detected objects of the photo, this one included; excluded from
            the result.

    Returns:
        None if nothing is evident.
    """
    if instance.area_px < _LEAST_AREA_PX:
        return None
    scene = _Scene.of(image, instance, objects)
    found = _shadow(scene) | _reflection(scene)
    if not found.any():
        return None
    # The edges of shadows are soft: the outline at the small size lies within them.
    size_wh = (scene.box[2] - scene.box[0], scene.box[3] - scene.box[1])
    grown = dilate(found, 1.5).astype(np.float32)
    full = cv2.resize(grown, size_wh, interpolation=cv2.INTER_LINEAR) > 0.5
    left, top, right, bottom = scene.box
    return scene.box, np.asarray(full & ~objects[top:bottom, left:right])


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """The object's lower part and the ground around it, scaled down."""

    box: Box  # in the photo
    colour: Field  # (h, w, 3) grey levels
    own: Mask  # (h, w) the object
    free: Mask  # (h, w) no object
    bottom: int  # row below the object's lowest pixel; its uppermost is in row 0
    inner: tuple[bool, bool, bool, bool]  # whether the left, top, right, bottom border is inside

    @classmethod
    def of(cls, image: RGBImage, instance: Instance, objects: Mask) -> "_Scene":
        left, top, right, bottom = instance.box_xyxy
        width, height = right - left, bottom - top
        beside = math.ceil(_BESIDE_SHARE * max(width, height))
        wide = expand_box(instance.box_xyxy, beside, image.shape)
        lowest = min(image.shape[0], bottom + math.ceil(_BELOW_SHARE * height) + 8)
        box = (wide[0], top, wide[2], lowest)
        shrink = max(
            1.0,
            math.sqrt(instance.area_px) / _SIDE_PX,
            max(box[2] - box[0], box[3] - box[1]) / _LARGEST_PX,
        )
        size_wh = (
            max(1, round((box[2] - box[0]) / shrink)),
            max(1, round((box[3] - box[1]) / shrink)),
        )
        own = rasterize([instance], image.shape)
        near = slice(box[1], box[3]), slice(box[0], box[2])
        small = cv2.resize(image[near], size_wh, interpolation=cv2.INTER_AREA)
        scale = size_wh[1] / (box[3] - box[1])
        return cls(
            box=box,
            colour=np.asarray(small, np.float32),
            own=coverage(own[near], size_wh) > 0.5,
            free=coverage(objects[near], size_wh) == 0,
            bottom=round((bottom - top) * scale),
            inner=(box[0] > 0, True, box[2] < image.shape[1], box[3] < image.shape[0]),
        )


def _shadow(scene: _Scene) -> Mask:
    """Return (h, w), the shadow that touches the object's foot."""
    nothing = np.zeros(scene.own.shape, np.bool_)
    ground = scene.free.copy()
    foot_px = round(_FOOT_SHARE * scene.bottom)
    foot_row = scene.bottom - max(2, foot_px)
    ground[: max(0, foot_row - 2 * foot_px)] = False
    if np.count_nonzero(ground) < np.count_nonzero(scene.own) / 4:
        return nothing
    smooth = cv2.GaussianBlur(scene.colour, (0, 0), 1.0)
    light = np.log(smooth.mean(axis=2) + 8).astype(np.float32)
    hue = smooth / (smooth.sum(axis=2, keepdims=True) + 24)
    lit = ground
    for _ in range(3):  # the brighter half of the ground, again and again, leaves shadows out
        level = _mean_near(light, lit)
        spread = light[lit] - level[lit]
        noise = float(np.sqrt(np.mean(spread**2)))
        lit = ground & (light > level - max(_DIM, noise))
    level = _mean_near(light, lit)
    noise = float(np.std((light - level)[lit]))
    same = np.abs(hue - _mean_near(hue, lit)).sum(axis=2) < 2 * _SAME_HUE
    dim = max(_DIM, _NOISY * noise)
    darkness = level - light
    dark = ground & same & (darkness > dim)
    dark = cv2.morphologyEx(dark.view(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    foot = scene.own.copy()
    foot[:foot_row] = False
    contact = dilate(foot, 3) & ~scene.own
    _, parts, stats, _ = cv2.connectedComponentsWithStats(dark.view(np.uint8), connectivity=8)
    at_foot = [part for part in np.unique(parts[contact]).tolist() if part > 0]
    # Ground that has dark parts here and there is patterned: stripes, gravel, footprints.
    elsewhere = np.count_nonzero(dark) - sum(int(stats[part, cv2.CC_STAT_AREA]) for part in at_foot)
    if elsewhere > _MOST_DARK_ELSEWHERE * np.count_nonzero(ground):
        return nothing
    found = nothing
    for part in at_foot:
        mine = parts == part
        area = int(stats[part, cv2.CC_STAT_AREA])
        deep = np.count_nonzero(mine & (darkness > dim + _DARK - _DIM))
        if (
            deep >= _LEAST_DARK_SHARE * area
            and area <= _LARGEST_SHADOW * np.count_nonzero(scene.own)
            and not _is_unbounded(mine, scene)
        ):
            found = found | mine
    return found


def _mean_near(field: Field, where: Mask) -> Field:
    """Return the mean of a field, (h, w) or (h, w, C), over the pixels of `where` near each."""
    weight = where.astype(np.float32)
    total = cv2.GaussianBlur(weight, (0, 0), _GROUND_PX)
    masked = field * (weight if field.ndim == 2 else weight[..., None])
    near = cv2.GaussianBlur(masked, (0, 0), _GROUND_PX)
    overall = field[where].mean(axis=0) if where.any() else field.mean(axis=(0, 1))
    share = total if field.ndim == 2 else total[..., None]
    return np.asarray((near + 1e-3 * overall) / (share + 1e-3), np.float32)


def _is_unbounded(part: Mask, scene: _Scene) -> bool:
    """Return whether a dark part extends beyond the working image, so that it is no shadow."""
    edges = (part[:, 0], part[0], part[:, -1], part[-1])
    cut = sum(
        int(np.count_nonzero(edge))
        for edge, inside in zip(edges, scene.inner, strict=True)
        if inside
    )
    outline = part & ~(cv2.erode(part.view(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    return bool(cut > _CUT_SHARE * np.count_nonzero(outline))


def _reflection(scene: _Scene) -> Mask:
    """Return (h, w), the visible part of the object's reflection below its foot."""
    nothing = np.zeros(scene.own.shape, np.bool_)
    below = scene.own.shape[0] - scene.bottom
    height = min(below, scene.bottom)
    if height < 8:
        return nothing
    above = slice(scene.bottom - height, scene.bottom)
    under = slice(scene.bottom, scene.bottom + height)
    shape = scene.own[above][::-1]
    mirrored = scene.colour[above][::-1]
    seen, free = scene.colour[under], scene.free[under]
    near = dilate(shape, 3)
    beside = free & ~near & dilate(shape, max(6.0, 0.25 * shape.shape[0]))
    if np.count_nonzero(beside) < 20 or np.count_nonzero(shape & free) < 20:
        return nothing
    # The ground beside it, row by row.
    weight = beside.astype(np.float32)
    rows = cv2.GaussianBlur(weight.sum(axis=1, keepdims=True), (1, 0), 0, sigmaY=3)
    sums = cv2.GaussianBlur((seen * weight[..., None]).sum(axis=1), (1, 0), 0, sigmaY=3)
    ground = (sums / np.maximum(rows, 1e-3))[:, None]
    differs, expected = seen - ground, mirrored - ground
    where = shape & free
    likeness = _correlation(differs[where], expected[where])
    contrast = float(np.abs(differs[where]).mean() - np.abs(differs[beside]).mean())
    if likeness < _LEAST_LIKENESS or contrast < _LEAST_CONTRAST:
        return nothing
    # It ends where it no longer stands out.
    strength = np.abs(differs).mean(axis=2)
    usual = float(strength[beside].mean())
    lines = np.array(
        [strength[row][where[row]].mean() if where[row].any() else 0 for row in range(height)]
    )
    smooth = cv2.GaussianBlur(lines[:, None].astype(np.float32), (1, 0), 0, sigmaY=2)[:, 0]
    shown = smooth > usual + _LEAST_CONTRAST / 2
    end = int(np.argmin(shown)) if not shown.all() else height
    found = nothing
    found[under][:end] = dilate(shape, 2)[:end] & free[:end]
    return found


def _correlation(first: Field, second: Field) -> float:
    """Return the cosine of two sets of differences."""
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / norm if norm > 0 else 0.0
