"""Faint shadows lit again, as the first fill of their place.

Ground in a faint shadow is still seen: its stripes, tiles and joints go on in it. Made as bright as
what is lit beside it, it says what to draw there better than a network can. Texture is copied onto
it as onto any first fill, from lit ground, so that neither noise nor rims of the shadow remain. And
where there was no shadow, as its detection erred, the ground stays nearly as it was.
"""

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import coverage, dilate, expand_box, put_levels, scale_within, size_within
from cleanplate.types import FloatArray, Mask, RGBImage

# Chosen on made shadows and on photos of SOBA: docs/quality.md. Px are of a shadow with its
# surroundings, scaled to `_SIDE`; brightness is a logarithm.
_LEAST_AREA_PX = 200  # of the window
_SURROUNDINGS = 0.25  # of a shadow's long side, on each side of it
_SIDE = 384
_FLOOR = 8.0  # levels added before the logarithm: noise of dark places would count too much
_MOST_GAIN = 0.8  # darker shadows vary too much inside, or are something else
_RIM_PX, _OBJECT_RIM_PX = 1.0, 6.0  # beside shadow and object nothing is taken for lit
_OWN_RIM_PX = 2.0  # of the shadow, beside the object, whose it may be
_LIT_BLUR_PX, _LIKE_BLUR_PX = 1.2, 2.0
_LEAST_LIT_PX, _LEAST_SHADOW_PX, _LEAST_AT_DEPTH_PX = 50, 100, 20  # pixels to compare
# Lit again, a pixel has to be as bright as what is lit near it, in each colour.
_NEAR_SHARE, _LEAST_NEAR_PX = 0.5, 8.0  # of the shadow's depth
_RANGE, _BEYOND = (0.03, 0.97), 0.06  # quantiles of these, and how far outside
_LEAST_SHARE = 0.8  # of the shadow that is; reflections show something else ...
_MOST_CONTRAST = 1.1  # ... and more of it than there is beside them


def light_shadows(
    image: RGBImage, hole: Mask, effects: Mask, sources: Mask
) -> tuple[RGBImage, Mask] | None:
    """Return a window with its faint shadows lit again, and where; None where there are none.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        hole: (H, W) bool, what is filled.
        effects: (H, W) bool, the part of it that shows the ground in shadow.
        sources: (H, W) bool, what is neither filled nor another object.

    Returns:
        (H, W, 3) uint8, and (H, W) bool, a part of `effects`; elsewhere the image is as it was.
    """
    own = effects & hole
    if not own.any():
        return None
    count, parts, stats, _ = cv2.connectedComponentsWithStats(own.view(np.uint8), connectivity=8)
    result, lit = image.copy(), np.zeros_like(hole)
    for part in range(1, count):
        left, top, width, height, area = stats[part].tolist()
        if area < _LEAST_AREA_PX:
            continue
        around = round(_SURROUNDINGS * max(width, height))
        box = expand_box((left, top, left + width, top + height), around, hole.shape)
        place = slice(box[1], box[3]), slice(box[0], box[2])
        shadow = parts[place] == part
        found = _find_factor(image[place], hole[place], shadow, sources[place])
        if found is None:
            continue
        size_wh = shadow.shape[1], shadow.shape[0]
        factor, is_like = (cv2.resize(it, size_wh, interpolation=cv2.INTER_LINEAR) for it in found)
        here = shadow & (is_like > 0.5)
        brighter = (image[place] + np.float32(_FLOOR)) * factor - np.float32(_FLOOR)
        put_levels(result[place], brighter, here)
        lit[place] |= here
    return (result, lit) if lit.any() else None


def _find_factor(
    image: RGBImage, hole: Mask, shadow: Mask, sources: Mask
) -> tuple[FloatArray, FloatArray] | None:
    """Return how many times darker than what is lit beside it a shadow is; None if not faint.

    It grows with the distance from the shadow's border, the same all along it.

    Args:
        image: (H, W, 3) uint8, the shadow with its surroundings.
        hole: (H, W) bool.
        shadow: (H, W) bool, part of the hole.
        sources: (H, W) bool, what is lit.

    Returns:
        (h, w, 3) float32, what to multiply levels by, and (h, w) float32, 1 where it then is like
        its surroundings, else 0; at the working size.
    """
    size_wh = size_within(hole.shape, _SIDE)
    bright = np.log(scale_within(image, _SIDE).astype(np.float32) + np.float32(_FLOOR))
    filled = coverage(hole, size_wh) > 0
    own = (coverage(shadow, size_wh) > 0) & ~(coverage(hole & ~shadow, size_wh) > 0)
    thing = filled & ~own
    lit = (coverage(sources, size_wh) > 0.999) & ~dilate(filled, _RIM_PX)
    lit &= ~dilate(thing, _OBJECT_RIM_PX)
    own &= ~dilate(thing, _OWN_RIM_PX)
    if np.count_nonzero(lit) < _LEAST_LIT_PX or np.count_nonzero(own) < _LEAST_SHADOW_PX:
        return None
    away, nearest = cv2.distanceTransformWithLabels(
        (~lit).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    depth = np.asarray(away, np.float32)
    of_label = np.zeros((int(nearest.max()) + 1, 3), np.float32)
    of_label[nearest[lit]] = _mean_of(bright, lit, _LIT_BLUR_PX)[lit]
    darker = of_label[nearest[own]] - bright[own]
    steps = _gain_by_depth(depth[own], darker)
    if steps[-1].mean() > _MOST_GAIN or np.median(darker) < -_BEYOND:
        return None
    at = np.clip(depth, 0, len(steps) - 1)
    whole = np.minimum(at.astype(np.int64), len(steps) - 2)
    gain = steps[whole] + (steps[whole + 1] - steps[whole]) * (at - whole)[..., None]
    reach = max(_LEAST_NEAR_PX, _NEAR_SHARE * float(depth[own].max()))
    near = _mean_of(bright, lit, _LIKE_BLUR_PX)[lit & dilate(own, reach)]
    if len(near) < _LEAST_LIT_PX:
        return None
    low, high = np.quantile(near, _RANGE, axis=0)
    now = _mean_of(bright + gain, own, _LIKE_BLUR_PX)
    is_like = own & ((now > low - _BEYOND) & (now < high + _BEYOND)).all(axis=2)
    if np.count_nonzero(is_like) < _LEAST_SHARE * np.count_nonzero(own):
        return None
    if now[own].std(axis=0).mean() > _MOST_CONTRAST * near.std(axis=0).mean() + _BEYOND:
        return None
    return np.exp(gain, dtype=np.float32), is_like.astype(np.float32)


def _mean_of(values: FloatArray, where: Mask, blur_px: float) -> FloatArray:
    """Return (h, w, 3), the blurred values of `where` alone; they mean nothing far from it."""
    weight = where.astype(np.float32)
    total = cv2.GaussianBlur(values * weight[..., None], (0, 0), blur_px)
    weight = np.maximum(cv2.GaussianBlur(weight, (0, 0), blur_px), np.float32(1e-3))
    return np.asarray(total / weight[..., None], np.float32)


def _gain_by_depth(depth: FloatArray, darker: FloatArray) -> FloatArray:
    """Return (D, 3), at each px of depth the median by which it is darker; it never falls.

    Args:
        depth: (N,) px from what is lit.
        darker: (N, 3) than the nearest of that.
    """
    step = depth.astype(np.int64)
    steps = np.zeros((max(2, int(step.max()) + 1), 3), np.float32)
    for at in range(len(steps)):
        near = np.abs(step - at) <= 1
        enough = np.count_nonzero(near) >= _LEAST_AT_DEPTH_PX
        steps[at] = np.median(darker[near], axis=0) if enough else steps[max(0, at - 1)]
    rising: npt.NDArray[np.float32] = np.maximum.accumulate(np.maximum(steps, 0), axis=0)
    return np.asarray(cv2.GaussianBlur(rising, (1, 5), 1.0).reshape(rising.shape), np.float32)
