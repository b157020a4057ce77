"""Box filters and the guided filter; resampling."""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.types import FloatArray, Mask, RGBImage

_ScalarT = TypeVar("_ScalarT", np.uint8, np.float32)


def resample(
    field: npt.NDArray[_ScalarT],
    *,
    start_yx: tuple[float, float],
    step_yx: tuple[float, float],
    size_hw: tuple[int, int],
) -> npt.NDArray[_ScalarT]:
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


def size_within(size_hw: tuple[int, ...], long_side: int) -> tuple[int, int]:
    """Return width and height, >= 1 px, of an image scaled down to a long side where it is larger.

    Args:
        size_hw: height and width in px; what follows them, such as channels, is ignored.
        long_side: px.
    """
    shrink = max(1.0, max(size_hw[:2]) / long_side)
    return max(1, round(size_hw[1] / shrink)), max(1, round(size_hw[0] / shrink))


def coverage(mask: Mask, size_wh: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return (h, w) in [0, 1]: the fraction of each pixel of a coarser grid that a mask covers.

    Args:
        mask: (H, W) bool.
        size_wh: of the smaller grid.
    """
    area = cv2.resize(mask.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(area, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class ColourGuide:
    """The part of the filter that depends on the guide image alone."""

    colour: FloatArray  # (h, w, 3) in [0, 1]
    mean: FloatArray  # (h, w, 3) of the windows
    inverse: FloatArray  # (h, w, 6) of the windows' covariances: rr, rg, rb, gg, gb, bb
    radius_px: int

    @classmethod
    def of(cls, image: RGBImage, radius_px: int, *, eps: float) -> "ColourGuide":
        """Return the guide of an image.

        Args:
            image: (h, w, 3) uint8.
            radius_px: >= 1, of the square windows, which have 2 * radius_px + 1 px a side.
            eps: > 0; variance, of colours in [0, 1], below which an edge is smoothed over.
        """
        colour = image.astype(np.float32) / np.float32(255)
        mean = box_mean(colour, radius_px)
        red, green, blue = (colour[..., i] for i in range(3))
        first = box_mean(colour * red[..., None], radius_px) - mean * mean[..., :1]
        rr, rg, rb = first[..., 0] + np.float32(eps), first[..., 1], first[..., 2]
        gg = box_mean(green * green, radius_px) - mean[..., 1] ** 2 + np.float32(eps)
        gb = box_mean(green * blue, radius_px) - mean[..., 1] * mean[..., 2]
        bb = box_mean(blue * blue, radius_px) - mean[..., 2] ** 2 + np.float32(eps)
        adjugate = (
            *(gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb),
            *(rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg),
        )
        determinant = rr * adjugate[0] + rg * adjugate[1] + rb * adjugate[2]
        inverse = np.stack(adjugate, axis=-1) / determinant[..., None]
        return cls(colour, mean, inverse.astype(np.float32), radius_px)

    def fit(self, target: FloatArray) -> FloatArray:
        """Return (h, w, 4) float32 coefficients of R, G, B and 1 that approximate `target`.

        Args:
            target: (h, w) float32.
        """
        mean = box_mean(target, self.radius_px)
        joint = box_mean(self.colour * target[..., None], self.radius_px)
        r, g, b = (joint[..., i] - self.mean[..., i] * mean for i in range(3))
        rr, rg, rb, gg, gb, bb = (self.inverse[..., i] for i in range(6))
        factors = np.empty((*target.shape, 4), np.float32)
        factors[..., 0] = rr * r + rg * g + rb * b
        factors[..., 1] = rg * r + gg * g + gb * b
        factors[..., 2] = rb * r + gb * g + bb * b
        factors[..., 3] = mean
        for i in range(3):
            factors[..., 3] -= factors[..., i] * self.mean[..., i]
        return box_mean(factors, self.radius_px)


def apply_coefficients(factors: FloatArray, colour: FloatArray) -> FloatArray:
    """Return (h, w): factors (h, w, 4) of R, G, B and a constant, on (h, w, 3) in [0, 1]."""
    total = factors[..., 3].copy()
    for i in range(3):
        total += factors[..., i] * colour[..., i]
    return total


def box_mean(field: FloatArray, radius_px: int) -> FloatArray:
    """Return the mean of the square window around each element, mirrored at the border."""
    size = 2 * radius_px + 1
    return np.asarray(cv2.blur(field, (size, size), borderType=cv2.BORDER_REFLECT), np.float32)
