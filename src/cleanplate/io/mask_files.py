"""Mask images: white = remove."""

import io
from pathlib import Path

import numpy as np

from cleanplate.errors import PhotoError
from cleanplate.io.files import read_photo
from cleanplate.io.photo import Photo, to_8bit, to_gray
from cleanplate.io.storage import write_bytes_atomic
from cleanplate.types import Mask

_LOSSY_FORMATS = ("JPEG", "WEBP", "HEIC", "AVIF")  # in these, black may come back as nearly black
_THRESHOLD = 127  # the middle of 8 bits: what a soft brush paints half counts as painted


def read_mask(path: Path, size_hw: tuple[int, int]) -> Mask:
    """Return the mask in an image of any supported format and mode.

    Light pixels, of a luma above 127, are True. Transparent pixels count as black, except in a
    image of a single colour: there the opaque pixels are True, whatever the colour. Exif's
    orientation is applied. Colour-coded label images are not masks: most of their colours are
    dark.

    Args:
        path: the image.
        size_hw: height and width of the upright photo that it belongs to.

    Returns:
        (H, W) bool, True = remove.

    Raises:
        PhotoError: unreadable, of another size, or without any light pixel but not black either
            (a mask of 0 and 1, or an inverted or colour-coded one).
    """
    photo = read_photo(path)
    if photo.size_hw != size_hw:
        (height, width), (photo_height, photo_width) = photo.size_hw, size_hw
        raise PhotoError(
            path,
            f"the mask is {width} x {height} px but its photo is {photo_width} x {photo_height} px",
            "make it from the photo at its full size",
        )
    light = to_gray(photo.pixels)
    alpha = alpha_of(photo)
    if alpha is not None and (alpha != 255).any():
        is_one_colour = bool((photo.pixels == photo.pixels[0, 0]).all())
        light = alpha if is_one_colour else np.where(alpha > _THRESHOLD, light, np.uint8(0))
    mask: Mask = light > _THRESHOLD
    brightest = int(light.max())
    if brightest and not mask.any() and photo.format not in _LOSSY_FORMATS:
        raise PhotoError(
            path,
            f"the mask has no white: its brightest value is {brightest}, not above {_THRESHOLD}",
            "paint what is to be removed white (255)",
        )
    return mask


def write_mask(path: Path, mask: Mask) -> None:
    """Write a mask as 8-bit grey PNG, 255 = removed, 0 = kept, atomically.

    Args:
        path: the file; replaced if it exists.
        mask: (H, W) bool, True = removed.

    Raises:
        PhotoError: as `write_bytes_atomic`.
    """
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(stream, format="PNG")
    write_bytes_atomic(path, stream.getvalue())


def alpha_of(photo: Photo) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None:
    """Return (H, W) uint8 opacity, or None where every pixel of the format is opaque."""
    samples = photo.samples
    if samples.alpha is not None and samples.alpha_is_opacity:
        return samples.alpha
    if samples.indices is not None and samples.palette_alpha is not None:
        looked_up: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = samples.palette_alpha[
            samples.indices
        ]
        return looked_up
    if samples.samples16 is not None and samples.samples16.shape[2] in (2, 4):
        return to_8bit(samples.samples16[..., -1])
    return None
