"""Resampling of arrays between grids, and coverage of masks on a coarser grid."""

from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.types import Mask

Scalar = TypeVar("Scalar", np.uint8, np.float32)


def resample(
    field: npt.NDArray[Scalar],
    *,
    start_yx: tuple[float, float],
    step_yx: tuple[float, float],
    size_hw: tuple[int, int],
) -> npt.NDArray[Scalar]:
    """Return a field at the centres of pixels that lie in a row and column of their own pitch.

    Linear between the field's elements, constant beyond them. Positions are counted from the outer
    corner of the field's first element, whose centre is at (0.5, 0.5). Nothing is averaged: a step
    of more than 2 skips elements.

    Args:
        field: (h, w) or (h, w, C) of at most 4 channels.
        start_yx: outer corner of the first pixel, in elements of the field.
        step_yx: > 0; height and width of a pixel, in elements of the field.
        size_hw: pixels to return, each < 32,767.

    Returns:
        (H, W) or (H, W, C), the field's dtype.
    """
    (start_y, start_x), (step_y, step_x) = start_yx, step_yx
    matrix = np.array(
        [
            [step_x, 0, start_x + 0.5 * step_x - 0.5],
            [0, step_y, start_y + 0.5 * step_y - 0.5],
        ]
    )
    sampled = cv2.warpAffine(
        field,
        matrix,
        (size_hw[1], size_hw[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(sampled, field.dtype)


def coverage(mask: Mask, size_wh: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return (h, w) in [0, 1]: the fraction of each pixel of a coarser grid that a mask covers.

    Args:
        mask: (H, W) bool.
        size_wh: of the smaller grid.
    """
    area = cv2.resize(mask.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(area, np.float32)
