"""Pictures moved by a transform or by a field of places; beyond their border there is nothing."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import Transform


def inverse(transform: Transform) -> Transform:
    """Return the way back."""
    return np.asarray(np.linalg.inv(transform), np.float64)


def warped(
    picture: npt.NDArray[Any],
    transform: Transform,
    size_hw: tuple[int, int],
    interpolation: int = cv2.INTER_LINEAR,
) -> npt.NDArray[Any]:
    """Return a picture as a transform of its px takes it, at another size; 0 where it is not.

    Args:
        picture: (H, W) or (H, W, C), uint8, uint16 or float32.
        transform: from its px to those of the result.
        size_hw: of the result.
        interpolation: of OpenCV.
    """
    moved = cv2.warpPerspective(picture, transform, size_hw[::-1], flags=interpolation)
    return np.asarray(moved)


def resampled(
    picture: npt.NDArray[Any], places: npt.NDArray[np.float32], interpolation: int
) -> npt.NDArray[Any]:
    """Return the values of a picture at (h, w, 2) places in px, x first; 0 beyond its border."""
    remap: Any = cv2.remap  # its stub wants two maps
    values = remap(picture, places, None, interpolation, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(values)
