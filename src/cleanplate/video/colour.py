"""Luma and chroma planes to RGB, and RGB back into the planes of a hole.

Only the hole is written: whatever lies outside it keeps the very samples that were decoded. So the
conversion is done here, on arrays, and not for whole frames by a library.

References:
    ITU-T H.273 (2021), tables 3 and 4: the luma coefficients by matrix, and the ranges of samples.
"""

from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.ops import bounding_box
from cleanplate.types import Mask

Planes = tuple[npt.NDArray[np.generic], npt.NDArray[np.generic], npt.NDArray[np.generic]]
"""Y (H, W), Cb and Cr (h, w), uint8, or uint16 with the value in the low bits."""

RGBFrame = npt.NDArray[np.generic]
"""(H, W, 3) RGB: uint8, or uint16 in 256ths of an 8-bit level for clips of more than 8 bits."""

UINT16_UNIT = 256
"""Levels of a uint16 `RGBFrame` to one of 8 bits."""

LUMA_COEFFICIENTS = MappingProxyType({
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020, non-constant luminance
})  # fmt: skip
"""Of red and blue, by H.273's number of the matrix."""


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """How the samples of a clip stand for colours."""

    bits: int  # of a sample, 8 to 12
    sub_xy: tuple[int, int]  # luma samples to one of chroma, across and down: 1 or 2
    matrix: int  # a key of LUMA_COEFFICIENTS
    full_range: bool  # 0 is black and 2^bits - 1 is white

    @property
    def dtype(self) -> type[np.generic]:
        """Of a `RGBFrame`."""
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def unit(self) -> int:
        """Levels of a `RGBFrame` to one of 8 bits."""
        return 1 if self.bits == 8 else UINT16_UNIT

    @property
    def _scales(self) -> tuple[float, float, float, float]:
        """Return black and span of luma, middle and span of chroma, in samples."""
        one = 1 << (self.bits - 8)
        middle = 128.0 * one
        if self.full_range:
            span = float((1 << self.bits) - 1)
            return 0.0, span, middle, span
        return 16.0 * one, 219.0 * one, middle, 224.0 * one

    def to_rgb(self, planes: Planes) -> RGBFrame:
        """Return the colours of a frame as a `RGBFrame`; chroma is interpolated."""
        luma, *chroma = planes
        black, luma_span, middle, chroma_span = self._scales
        size_wh = (luma.shape[1], luma.shape[0])
        red, blue = LUMA_COEFFICIENTS[self.matrix]
        green = 1 - red - blue
        y = (luma.astype(np.float32) - black) * (255 * self.unit / luma_span)
        cb, cr = (self._widened(plane, size_wh) - middle for plane in chroma)
        share = 255 * self.unit / chroma_span
        cb *= share
        cr *= share
        image = np.empty((*luma.shape, 3), np.float32)
        image[..., 0] = y + 2 * (1 - red) * cr
        image[..., 1] = y - (2 * (1 - blue) * blue / green) * cb
        image[..., 1] -= (2 * (1 - red) * red / green) * cr
        image[..., 2] = y + 2 * (1 - blue) * cb
        np.rint(image, out=image)
        np.clip(image, 0, 255 * self.unit, out=image)
        return image.astype(self.dtype)

    def write_hole(self, planes: Planes, image: RGBFrame, mask: Mask) -> Planes:
        """Return planes with the colours of an image where a mask is True.

        A sample of chroma that covers several pixels is written if any of them is in the mask.

        Args:
            planes: of a frame. Not modified.
            image: (H, W, 3), see `RGBFrame`.
            mask: (H, W) bool, not empty.
        """
        sub_x, sub_y = self.sub_xy
        left, top, right, bottom = bounding_box(mask)
        left, top = left - left % sub_x, top - top % sub_y
        right = min(-(-right // sub_x) * sub_x, mask.shape[1])
        bottom = min(-(-bottom // sub_y) * sub_y, mask.shape[0])
        near = slice(top, bottom), slice(left, right)
        # A last column or row without a partner counts twice.
        odd = ((0, (top - bottom) % sub_y), (0, (left - right) % sub_x))
        hole = np.pad(mask[near], odd, mode="edge")
        rgb = np.pad(image[near].astype(np.float32), (*odd, (0, 0)), mode="edge")
        y, cb, cr = self._samples(rgb)
        size = (hole.shape[0] // sub_y, sub_y, hole.shape[1] // sub_x, sub_x)
        touched = hole.reshape(size).any(axis=(1, 3))
        written = tuple(plane.copy() for plane in planes)
        target = written[0][near]
        inside = mask[near]
        target[inside] = self._rounded(y[: inside.shape[0], : inside.shape[1]][inside])
        for plane, values in zip(written[1:], (cb, cr), strict=True):
            part = plane[
                top // sub_y : top // sub_y + touched.shape[0],
                left // sub_x : left // sub_x + touched.shape[1],
            ]
            part[touched] = self._rounded(values.reshape(size).mean(axis=(1, 3))[touched])
        return written[0], written[1], written[2]

    def _samples(self, rgb: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        black, luma_span, middle, chroma_span = self._scales
        red, blue = LUMA_COEFFICIENTS[self.matrix]
        r, g, b = (rgb[..., channel] / np.float32(255 * self.unit) for channel in range(3))
        y = red * r + (1 - red - blue) * g + blue * b
        cb, cr = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
        samples = black + luma_span * y, middle + chroma_span * cb, middle + chroma_span * cr
        return [np.asarray(values, np.float32) for values in samples]

    def _rounded(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.generic]:
        highest = (1 << self.bits) - 1
        sample = np.uint8 if self.bits == 8 else np.uint16
        return np.clip(np.rint(values), 0, highest).astype(sample)

    def _widened(
        self, plane: npt.NDArray[np.generic], size_wh: tuple[int, int]
    ) -> npt.NDArray[np.float32]:
        """Return chroma at the size of luma."""
        field = plane.astype(np.float32)
        sub_x, sub_y = self.sub_xy
        if (sub_x, sub_y) == (1, 1):
            return field
        wide_wh = (plane.shape[1] * sub_x, plane.shape[0] * sub_y)
        wide = cv2.resize(field, wide_wh, interpolation=cv2.INTER_LINEAR)
        return np.asarray(wide[: size_wh[1], : size_wh[0]], np.float32)


def to_uint8(image: RGBFrame) -> npt.NDArray[np.uint8]:
    """Return a `RGBFrame` as (H, W, 3) uint8, for what works at 8 bits."""
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    wide = image.astype(np.uint32)
    return np.minimum((wide + UINT16_UNIT // 2) // UINT16_UNIT, 255).astype(np.uint8)
