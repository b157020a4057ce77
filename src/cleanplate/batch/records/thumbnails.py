"""Small pictures of a photo before and after, for the page that a report is looked through in."""

import io
from dataclasses import dataclass

import cv2
import numpy as np

from cleanplate.types import Mask, Removal, RGBImage

SIDE_PX = 160  # long side
_QUALITY = 60  # of WebP: at 160 px it takes 2 to 4 kB a picture


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """WebP files; None where there is nothing to see."""

    before: bytes
    mask: bytes | None = None  # white = filled
    after: bytes | None = None


def make_thumbnails(image: RGBImage, removal: Removal | None = None) -> Thumbnails:
    """Return small pictures of a photo, and of what became of it if it was changed.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        removal: what was done to it.
    """
    before = _encode(_shrunk(image), lossless=False)
    if removal is None or not removal.changed:
        return Thumbnails(before)
    return Thumbnails(
        before,
        _encode(_shrunk_mask(removal.mask), lossless=True),
        _encode(_shrunk(removal.image), lossless=False),
    )


def _size_wh(size_hw: tuple[int, ...]) -> tuple[int, int]:
    shrink = max(1.0, max(size_hw[:2]) / SIDE_PX)
    return max(1, round(size_hw[1] / shrink)), max(1, round(size_hw[0] / shrink))


def _shrunk(image: RGBImage) -> RGBImage:
    small = cv2.resize(image, _size_wh(image.shape), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _shrunk_mask(mask: Mask) -> RGBImage:
    """Return a mask in which small holes still show."""
    white = mask.astype(np.uint8) * np.uint8(255)
    small = cv2.resize(white, _size_wh(mask.shape), interpolation=cv2.INTER_AREA)
    shown = (small > 0).astype(np.uint8) * np.uint8(255)
    return np.repeat(shown[..., None], 3, axis=2)


def _encode(picture: RGBImage, *, lossless: bool) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(
        stream, format="WEBP", lossless=lossless, quality=_QUALITY, method=4
    )
    return stream.getvalue()
