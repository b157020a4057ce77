"""Mask images: white = remove, unless a `MaskReading` says otherwise."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cleanplate.errors import PhotoError
from cleanplate.io.files import read_photo
from cleanplate.io.photo import MAX_PIXELS, ORIENTATION_TAG, Photo, to_gray, undo_orientation
from cleanplate.io.storage import write_bytes_atomic
from cleanplate.types import Mask

EFFECTS_VALUE = 240
"""Of shadows and reflections in masks that are written; white enough to be read as such."""

_THRESHOLD = 127  # of 255, the middle: what a soft brush paints half counts as painted
_LOSSY_FORMATS = ("JPEG", "HEIC", "AVIF")  # besides lossy WebP
_GREY_SPREAD = {False: 8, True: 48}  # lossy -> most that R, G and B of a grey pixel differ by
_MOST_BETWEEN = 0.5  # share of pixels; a photo has more
_FEW_VALUES = 64  # a soft brush leaves more grey values on flat areas than a list of classes has


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskReading:
    """How an image says what is removed; by default, what is white."""

    labels: tuple[int, ...] = ()  # instead: pixels of these values, or palette entries
    alpha: bool = False  # instead: what is transparent
    invert: bool = False  # the rest of it


def read_mask(
    source: Path | bytes,
    size_hw: tuple[int, int],
    reading: MaskReading | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
) -> Mask:
    """Return the mask in an image of any supported format and mode; Exif's orientation is applied.

    An image of two values or colours is a mask whatever they are: the lighter one is removed. So is
    one of black, white and what a soft brush or lossy compression leaves between them. All else is
    refused, because nothing says which part is meant: images with transparency, labels, photos.

    Args:
        source: the image's path or content.
        size_hw: height and width of the upright photo that it belongs to.
        reading: how to read other images.
        max_pixels: masks of more pixels are refused before they are decoded.

    Returns:
        (H, W) bool, True = remove.

    Raises:
        PhotoError: unreadable, of another size, or no mask; the message states what was found, and
            the option that helps.
    """
    reading = reading or MaskReading()
    photo = read_photo(source, max_pixels=max_pixels)
    if photo.size_hw != size_hw:
        (height, width), (photo_height, photo_width) = photo.size_hw, size_hw
        raise PhotoError(
            photo.path,
            f"the mask is {width} x {height} px but its photo is {photo_width} x {photo_height} px",
            "make it from the photo at its full size",
        )
    if reading.alpha:
        mask = _transparent(photo)
    elif reading.labels:
        mask = np.isin(_labels(photo), reading.labels)
    else:
        mask = _lighter(photo)
    return ~mask if reading.invert else mask


def _transparent(photo: Photo) -> Mask:
    alpha = photo.alpha
    if alpha is None:
        raise PhotoError(photo.path, "the mask has no transparency", "omit --mask-alpha")
    return np.asarray(alpha <= _THRESHOLD)


def _labels(photo: Photo) -> npt.NDArray[np.integer[Any]]:
    """Return (H, W) values at the file's own depth; palette entries of a palette image."""
    if _is_lossy(photo):
        cause = f"labels cannot be read from a lossy {photo.format}"
        raise PhotoError(photo.path, cause, "save the mask as PNG")
    samples = photo.samples
    if samples.indices is not None:
        return samples.indices
    values = photo.pixels if samples.samples16 is None else samples.samples16
    colours = values[..., :-1] if values.shape[2] in (2, 4) else values
    if (colours != colours[..., :1]).any():
        advice = "save it as a grey or palette image, in which each object has a value"
        raise PhotoError(photo.path, "the mask's labels are colours", advice)
    # Grey of 1, 2 and 4 bits is spread over 8.
    return colours[..., 0] // (255 // (2**samples.bits - 1) if samples.bits < 8 else 1)


def _lighter(photo: Photo) -> Mask:
    """Return the lighter part of an image that has two; see `read_mask`."""
    alpha = photo.alpha
    if alpha is not None and (alpha != 255).any():
        raise PhotoError(
            photo.path,
            f"part of the mask is transparent ({(alpha <= _THRESHOLD).mean():.1%})",
            "give --mask-alpha to remove what is transparent, with --invert-mask what is not; or "
            "paint black and white",
        )
    import cv2

    is_lossy, samples16 = _is_lossy(photo), photo.samples.samples16
    grey: npt.NDArray[Any] = to_gray(photo.pixels)
    spread = photo.pixels.max(axis=2).astype(np.int16) - photo.pixels.min(axis=2)
    if spread.max() > _GREY_SPREAD[is_lossy]:
        colours = np.unique(
            photo.pixels.astype(np.uint32) @ np.array((1 << 16, 1 << 8, 1), np.uint32)
        )
        shades = np.flatnonzero(np.bincount(grey.ravel()))
        if len(colours) == len(shades) == 2:
            return np.asarray(grey == shades[1])
        raise PhotoError(photo.path, f"the mask has {len(colours)} colours", _advice(photo))
    if samples16 is not None and samples16.shape[2] in (1, 2):
        grey = samples16[..., 0]
    top = int(np.iinfo(grey.dtype).max)
    values = np.flatnonzero(np.bincount(grey.ravel()))
    black, white = grey <= top // 16, grey >= top - top // 16
    if len(values) == 2 and not is_lossy and not white.all():
        return np.asarray(grey == values[1])
    if values[-1] and not white.any():
        cause = f"the mask has no white, its brightest value is {values[-1]} of {top}"
        raise PhotoError(photo.path, cause, _advice(photo))
    between = ~(black | white)
    if between.mean() > _MOST_BETWEEN:
        cause = f"{between.mean():.0%} of the mask are neither black nor white"
        raise PhotoError(photo.path, cause, _advice(photo))
    kernel = np.ones((3, 3), np.uint8)
    flat = between & (cv2.dilate(grey, kernel) == cv2.erode(grey, kernel))
    shades = np.unique(grey[flat])
    if 2 * np.count_nonzero(flat) > np.count_nonzero(between) and len(shades) < _FEW_VALUES:
        cause = f"the mask has areas that are neither black nor white, of the value {shades[0]}"
        others = f" and {len(shades) - 1} others" if len(shades) > 1 else ""
        raise PhotoError(photo.path, cause + others, _advice(photo))
    return np.asarray(grey > top // 2)


def _advice(photo: Photo) -> str:
    if _is_lossy(photo):
        return "save the mask without loss, as PNG, or paint black and white"
    colours = photo.pixels if photo.samples.indices is None else photo.pixels[..., :1]
    first = " after saving it as a grey or palette image" * bool(
        (colours != colours[..., :1]).any()
    )
    return f"give --mask-label with the values to remove{first}, or paint black and white"


def _is_lossy(photo: Photo) -> bool:
    lossless = getattr(photo.container, "is_lossless", True)  # of WebP
    return photo.format in _LOSSY_FORMATS or not lossless


def write_mask(
    path: Path, mask: Mask, effects: Mask | None = None, *, orientation: int = 1
) -> None:
    """Write a mask as 8-bit grey PNG, 255 = removed, 0 = kept, atomically.

    Args:
        path: the file; replaced if it exists.
        mask: (H, W) bool, True = removed.
        effects: (H, W) bool, what of it is shadow or reflection: 240, which `read_mask` takes
            for white.
        orientation: Exif's, of the photo's stored pixels; the mask is written as they are, and
            states it. 1 writes it upright.

    Raises:
        PhotoError: as `write_bytes_atomic`.
    """
    from PIL import Image

    stream = io.BytesIO()
    grey = mask.astype(np.uint8) * np.uint8(255)
    if effects is not None:
        grey[mask & effects] = EFFECTS_VALUE
    exif = Image.Exif()
    if orientation != 1:
        exif[ORIENTATION_TAG] = orientation
    Image.fromarray(undo_orientation(grey, orientation)).save(stream, format="PNG", exif=exif)
    write_bytes_atomic(path, stream.getvalue())
