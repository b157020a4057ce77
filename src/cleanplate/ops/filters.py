"""Box filters and the guided filter; resampling."""

import math
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.types import FloatArray, Mask, RGBImage

_ScalarT = TypeVar("_ScalarT", np.uint8, np.float32)

Levels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
"""Levels from 0 to 255."""


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
        field: (h, w) or (h, w, C) of at most 4 channels; of what is read, each side < 32,767.
        start_yx: outer corner of the first pixel, in elements of the field.
        step_yx: > 0; height and width of a pixel, in elements of the field.
        size_hw: pixels to return.

    Returns:
        (H, W) or (H, W, C), the field's dtype.
    """
    first_yx, read = [], []
    for start, step, length, wanted in zip(start_yx, step_yx, field.shape, size_hw, strict=False):
        first = min(max(0, math.floor(start) - 1), length - 1)
        read.append(slice(first, max(first + 1, math.ceil(start + step * wanted) + 1)))
        first_yx.append(start - first + 0.5 * step - 0.5)
    matrix = np.array([[step_yx[1], 0, first_yx[1]], [0, step_yx[0], first_yx[0]]])
    sampled = cv2.warpAffine(
        field[tuple(read)],
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


def scale_within(image: RGBImage, long_side: int) -> RGBImage:
    """Return a copy of an (H, W, 3) image, scaled down to `size_within`."""
    size_wh = size_within(image.shape, long_side)
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def coverage(mask: Mask, size_wh: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return (h, w) in [0, 1]: the fraction of each pixel of a coarser grid that a mask covers.

    Args:
        mask: (H, W) bool.
        size_wh: of the smaller grid.
    """
    area = cv2.resize(mask.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(area, np.float32)


def resize(image: RGBImage, size_hw: tuple[int, int], *, antialias: bool) -> Levels:
    """Return a resized image; the aspect ratio may change.

    Args:
        image: (h, w, 3) uint8, RGB. Not modified.
        size_hw: px.
        antialias: filter when downsampling, as Pillow does with BILINEAR (the image processors of
            transformers and torchvision do the same to a rounding of one level); otherwise linear
            between neighbouring pixels, without rounding, as PyTorch's interpolate does.

    Returns:
        (H, W, 3), RGB; uint8, without antialiasing float32 where the size changes.
    """
    if image.shape[:2] == size_hw:
        return image
    if not antialias:
        top, bottom, down = _neighbours(image.shape[0], size_hw[0])
        left, right, across = _neighbours(image.shape[1], size_hw[1])
        rows = image[top] + down[:, None, None] * (image[bottom] - image[top].astype(np.float32))
        return np.asarray(
            rows[:, left] + across[:, None] * (rows[:, right] - rows[:, left]), np.float32
        )
    from PIL import Image  # loads in 30 ms; nothing else here needs it

    pillow = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(pillow.resize(size_hw[::-1], Image.Resampling.BILINEAR), np.uint8)


def _neighbours(
    length: int, wanted: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return for each of the wanted pixels those before and after it, and the share of the latter.

    Positions are those of pixels' middles; beyond the first and the last middle all is constant.
    """
    place = (np.arange(wanted) + 0.5) * (length / wanted) - 0.5
    place = place.clip(0, length - 1)
    before = place.astype(np.intp)
    return before, np.minimum(before + 1, length - 1), (place - before).astype(np.float32)


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
    """Return the mean of the square window around each element, mirrored at the border.

    Args:
        field: (h, w) or (h, w, C) float32.
        radius_px: >= 0; windows have 2 * radius_px + 1 px a side.

    Returns:
        float32, of the field's shape.
    """
    size = 2 * radius_px + 1
    return np.asarray(cv2.blur(field, (size, size), borderType=cv2.BORDER_REFLECT), np.float32)
