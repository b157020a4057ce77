"""Putting a fill into a photo so that the border does not show; unmasked pixels stay identical."""

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.types import Mask, RGBImage


def paste(image: RGBImage, fill: RGBImage, mask: Mask, *, feather_px: float) -> RGBImage:
    """Return `image` with `fill` inside `mask`, blended over the mask's outermost pixels.

    Args:
        image: (H, W, 3) uint8. Not modified.
        fill: (H, W, 3) uint8.
        mask: (H, W) bool, True = take the fill.
        feather_px: >= 0; distance inside the mask over which the fill fades in. The photo's own
            pixels shine through there, so it must be less than the margin around the object.

    Returns:
        (H, W, 3) uint8, equal to `image` where `mask` is False.
    """
    if feather_px < 1 or not mask.any():
        return np.where(mask[..., None], fill, image)
    # The border of the photo is no seam: there is nothing beyond it to blend into.
    inside = np.pad(mask, 1, mode="edge").astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    share = np.minimum(distance / (feather_px + 1), 1.0)[..., None]  # 0 outside, exactly
    mixed = image * (1 - share) + fill * share
    return np.where(mask[..., None], np.rint(mixed).astype(np.uint8), image)


def membrane(difference: npt.NDArray[np.float32], known: Mask) -> npt.NDArray[np.float32]:
    """Continue the known values of a field smoothly over the rest.

    A weighted mean of the known values whose weight falls with distance, in the manner of
    mean-value coordinates, by a pyramid: each level fills what is unknown from the coarser one.

    Args:
        difference: (H, W, C) float32; only where `known` is True does its value count.
        known: (H, W) bool.

    Returns:
        (H, W, C) float32, equal to `difference` where `known`; zero everywhere if nothing is known.

    References:
        Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4.2 (pull-push).
    """
    weight = known.astype(np.float32)
    values = difference * weight[..., None]
    levels = [(values, weight)]
    while max(weight.shape) > 1:
        size_wh = (max(1, (weight.shape[1] + 1) // 2), max(1, (weight.shape[0] + 1) // 2))
        values, weight = (_halved(field, size_wh) for field in (values, weight))
        levels.append((values, weight))
    coarse = levels[-1][0] / max(float(levels[-1][1].max()), 1e-6)
    coarse = coarse.reshape(1, 1, -1)
    for values, weight in reversed(levels[:-1]):
        upper = cv2.resize(coarse, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        upper = upper.reshape(*weight.shape, -1)
        sure = np.minimum(weight * 4, 1.0)[..., None]  # a quarter of a cell known: trust it
        mean = values / np.maximum(weight, 1e-6)[..., None]
        coarse = mean * sure + upper * (1 - sure)
    return np.asarray(np.where(known[..., None], difference, coarse), np.float32)


def _halved(field: npt.NDArray[np.float32], size_wh: tuple[int, int]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.resize(field, size_wh, interpolation=cv2.INTER_AREA), np.float32).reshape(
        (size_wh[1], size_wh[0]) + field.shape[2:]
    )
