"""The way in and out: `read_photo`, `encode_photo`, `write_photo`."""

from collections.abc import Callable
from pathlib import Path

from cleanplate.errors import InputError, PhotoError, ShapeMismatchError
from cleanplate.io.formats import (
    read_bmp,
    read_gif,
    read_heif,
    read_jpeg,
    read_png,
    read_raw,
    read_tiff,
    read_webp,
)
from cleanplate.io.photo import MAX_PIXELS, Decoded, Photo, RawOutput
from cleanplate.io.sources import check_raw_name, detect_format, load_bytes, misnamed_note
from cleanplate.io.storage import write_bytes_atomic
from cleanplate.io.unsupported import UnsupportedImageError
from cleanplate.types import Mask, RGBImage, check_image_and_mask

_READERS: dict[str, Callable[[bytes, int], Decoded]] = {
    "JPEG": read_jpeg,
    "PNG": read_png,
    "WEBP": read_webp,
    "TIFF": read_tiff,
    "BMP": read_bmp,
    "GIF": read_gif,
    "HEIC": read_heif,
    "AVIF": read_heif,
}


def read_photo(
    source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS, raw_output: RawOutput = "tiff"
) -> Photo:
    """Return the photo, upright, with the record of all that must come back when it is written.

    The format is detected from the content, not from the name. Exif's orientation is applied
    (XMP's is not, as in browsers). The complete file is decoded, so that damage is found here.

    Args:
        source: a file's path, or a file's content.
        max_pixels: files of more pixels are refused before they are decoded.
        raw_output: what a camera RAW will be written as: "tiff" (16 bit) or "jpeg".

    Returns:
        The photo; its arrays are read-only. `notes` says what cannot be carried over.

    Raises:
        PhotoError: unreadable, damaged, or of a kind that is not supported: more than one frame,
            CMYK, Lab, floating point; or the extra for its format is not installed.
    """
    name, data = load_bytes(source)
    try:
        format_name = detect_format(data)
        check_raw_name(name, format_name)
        if format_name == "RAW":
            decoded = read_raw(data, max_pixels, output=raw_output)
        else:
            decoded = _READERS[format_name](data, max_pixels)
    except UnsupportedImageError as error:
        raise PhotoError(name, error.cause, error.advice) from error
    except MemoryError as error:
        raise PhotoError(name, "out of memory while decoding it", "scale it down first") from error
    decoded.pixels.flags.writeable = False
    return Photo(
        path=name,
        pixels=decoded.pixels,
        format=format_name,
        notes=misnamed_note(name, format_name) + decoded.notes,
        samples=decoded.samples,
        container=decoded.container,
    )


def encode_photo(photo: Photo, filled: RGBImage, mask: Mask) -> bytes:
    """Return the photo's file with the hole filled: same format, depth, mode and metadata.

    Lossless files decode to the original's samples wherever `mask` is False. JPEG, lossy WebP, HEIC
    and AVIF are encoded again; the modules of `cleanplate.io` say what that changes. A camera
    RAW comes back in the format chosen in `read_photo`.

    Args:
        photo: from `read_photo`.
        filled: (H, W, 3) uint8, RGB, upright like `photo.pixels`; read only where `mask` is True.
        mask: (H, W) bool, True = take from `filled`.

    Raises:
        InputError: wrong dtype, or a photo that did not come from a file.
        ShapeMismatchError: the arrays do not have the photo's size.
        PhotoError: the picture cannot be encoded.
    """
    check_edit(photo, filled, mask)
    if photo.container is None:
        raise InputError(f"{photo.path} did not come from a file; use pil_from_photo")
    try:
        return photo.container.encode(photo.samples, photo.pixels, filled, mask)
    except UnsupportedImageError as error:
        raise PhotoError(photo.path, error.cause, error.advice) from error


def write_photo(path: Path, photo: Photo, filled: RGBImage, mask: Mask) -> None:
    """Write `encode_photo`'s bytes whole or not at all; the folder is made if need be.

    Raises:
        InputError, ShapeMismatchError, PhotoError: as `encode_photo` and `write_bytes_atomic`.
    """
    write_bytes_atomic(path, encode_photo(photo, filled, mask))


def check_edit(photo: Photo, filled: RGBImage, mask: Mask) -> None:
    """Raise unless both arrays are of the right dtype and of the photo's size.

    Raises:
        InputError: wrong dtype or number of dimensions.
        ShapeMismatchError: a size differs.
    """
    check_image_and_mask(filled, mask)
    if mask.shape != photo.size_hw:
        raise ShapeMismatchError(photo.size_hw, mask.shape)
