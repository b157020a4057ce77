"""One photo of any kind in, the same kind out: path, bytes, Pillow image or array."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union

import numpy as np
import numpy.typing as npt

from cleanplate.errors import InputError
from cleanplate.io.files import encode_photo, read_photo
from cleanplate.io.photo import Photo
from cleanplate.io.pillow_images import photo_from_pil, pil_from_photo
from cleanplate.types import Mask, RGBImage

if TYPE_CHECKING:
    from PIL import Image

AnyPhoto = Union[bytes, str, PathLike[str], npt.NDArray[np.uint8], "Image.Image"]
"""A photo's content, path, pixels or Pillow image; see `open_photo`."""

PhotoT = TypeVar("PhotoT", bytes, npt.NDArray[np.uint8], "Image.Image")
"""What comes back as the kind it was given as."""

_CHANNELS = ((), (3,), (4,))  # grey, RGB, RGB and alpha


@dataclass(frozen=True, slots=True, eq=False)
class OpenedPhoto:
    """The pixels of a photo, and the way back to its kind."""

    pixels: RGBImage  # (H, W, 3) uint8, RGB, upright
    close: Callable[[RGBImage, Mask], Any]  # filled image and its mask -> the photo, of its kind


def open_photo(photo: AnyPhoto) -> OpenedPhoto:
    """Return the pixels of a photo of any kind.

    Args:
        photo: the content of a photo's file; a Pillow image; the path of a photo; or a uint8 array:
            (H, W, 3) RGB, (H, W, 4) RGB and alpha, or (H, W) grey. Not modified.

    Returns:
        Its `close` gives bytes for bytes, in the same format and with the same metadata; the very
        same bytes if the mask is empty; a TIFF of 16 bits for a camera RAW. An array of the same
        shape for an array. A Pillow image of the same mode, size and Exif orientation for a Pillow
        image; for a path, the one that Pillow opens it as. HEIC and camera RAW, which Pillow does
        not open, come back upright, as 8-bit RGB without metadata.

    Raises:
        InputError: another type, or an array of another shape or dtype; the message names it.
        PhotoError: the file or Pillow image cannot be read.
    """
    if isinstance(photo, np.ndarray):
        return _open_array(photo)
    if isinstance(photo, bytes):
        content, read = photo, read_photo(photo)
        return OpenedPhoto(
            read.pixels,
            lambda image, mask: encode_photo(read, image, mask) if mask.any() else content,
        )
    opened = _open_pil(photo)
    return OpenedPhoto(opened.pixels, lambda image, mask: pil_from_photo(opened, image, mask))


def _open_array(photo: npt.NDArray[np.uint8]) -> OpenedPhoto:
    if photo.dtype != np.uint8 or photo.ndim not in (2, 3) or photo.shape[2:] not in _CHANNELS:
        raise InputError(
            "an array must be uint8 of shape (H, W), (H, W, 3) or (H, W, 4), "
            f"got {photo.shape} {photo.dtype}"
        )
    if photo.shape[2:] == (3,):
        return OpenedPhoto(photo, lambda image, mask: image)
    is_grey = photo.ndim == 2

    def close(image: RGBImage, mask: Mask) -> npt.NDArray[np.uint8]:
        result = photo.copy()
        if is_grey:
            # The three channels of the fill are nearly equal; their mean is its grey.
            result[mask] = np.rint(image[mask].mean(axis=1)).astype(np.uint8)
        else:
            result[mask, :3] = image[mask]
        return result

    pixels = np.repeat(photo[..., None], 3, axis=2) if is_grey else photo[..., :3].copy()
    return OpenedPhoto(pixels, close)


def _open_pil(photo: "str | PathLike[str] | Image.Image") -> Photo:
    from PIL import Image

    if isinstance(photo, Image.Image):
        return photo_from_pil(photo)
    if isinstance(photo, str | PathLike):
        read = read_photo(Path(photo))  # says what is wrong with a file; Pillow's words vary
        if read.format in ("HEIC", "RAW"):
            return photo_from_pil(Image.fromarray(read.pixels))
        with Image.open(photo) as opened:
            return photo_from_pil(opened)
    raise InputError(
        "a photo must be bytes, an array, a Pillow image or the path of a photo, "
        f"got {type(photo).__name__}"
    )
