"""Padding, scaling and compositing around an inpainting network."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import coverage
from cleanplate.types import Mask, RGBImage


def pad_to(
    image: RGBImage, mask: Mask, size_hw: tuple[int, int], *, border: int
) -> tuple[RGBImage, Mask]:
    """Return an image and its mask padded on the right and bottom.

    Args:
        image: (H, W, 3) uint8. Not modified.
        mask: (H, W) bool. Not modified; padded like the image: copies of a hole are holes.
        size_hw: not below (H, W).
        border: padding mode, e.g. `cv2.BORDER_REPLICATE`; `cv2.BORDER_REFLECT` mirrors it with
            the last pixel repeated, again and again if need be.
    """
    down, across = size_hw[0] - mask.shape[0], size_hw[1] - mask.shape[1]
    padded = cv2.copyMakeBorder(image, 0, down, 0, across, border)
    hole = cv2.copyMakeBorder(mask.view(np.uint8), 0, down, 0, across, border)
    return np.asarray(padded, np.uint8), hole.astype(np.bool_)


def composite(image: RGBImage, mask: Mask, filled: npt.NDArray[np.float32] | RGBImage) -> RGBImage:
    """Return `image` with `filled` where `mask` is True, all other pixels unchanged.

    Args:
        image: (H, W, 3) uint8. Not modified.
        mask: (H, W) bool.
        filled: (H', W', 3) in [0, 255], H' >= H, W' >= W: padding is cropped. Rounded to
            the nearest level, not down.
    """
    height, width = mask.shape
    levels = np.clip(np.rint(filled[:height, :width]), 0, 255).astype(np.uint8)
    return np.where(mask[..., None], levels, image).astype(np.uint8)


def planes_of(image: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return (1, C, H, W), contiguous, of an (H, W, C) image."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def scale_for(mask: Mask, long_side: int | None) -> float:
    """Return the scale, in (0, 1], at which `inpaint_scaled` inpaints; 1: nothing is scaled."""
    return 1.0 if long_side is None else min(1.0, long_side / max(mask.shape))


def inpaint_scaled(
    inpaint: Callable[[RGBImage, Mask], RGBImage],
    image: RGBImage,
    mask: Mask,
    long_side: int | None,
) -> RGBImage:
    """Inpaint at another size and scale the result back; never enlarge the input.

    Args:
        inpaint: see `Inpainter.inpaint`.
        image: (H, W, 3) uint8. Not modified.
        mask: (H, W) bool, True = fill.
        long_side: px, at which to inpaint; None for the image's own.

    Returns:
        (H, W, 3) uint8, as smooth as the smaller image, outside the mask too.
    """
    height, width = mask.shape
    scale = scale_for(mask, long_side)
    if scale == 1:
        return inpaint(image, mask)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    # Every small pixel that a hole pixel contributes to is hole, or the object would bleed in.
    filled = inpaint(small, coverage(mask, size_wh) > 0)
    enlarged = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.uint8)
