"""Reading and writing photos: files, bytes, Pillow images and arrays."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar, Union

import numpy as np
import numpy.typing as npt

from cleanplate.errors import InputError, PhotoError
from cleanplate.io.formats import FORMATS, RawFormat, TiffFormat
from cleanplate.io.metadata import is_full_panorama
from cleanplate.io.photo import (
    DAMAGED_ADVICE,
    MAX_PIXELS,
    RESULT_SUFFIXES,
    Encoded,
    ImageFormat,
    Photo,
    RawOutput,
    UnsupportedImageError,
    check_edit,
)
from cleanplate.io.pillow_images import photo_from_pil, pil_from_photo
from cleanplate.io.storage import read_error, write_bytes_atomic
from cleanplate.options import check_type, invalid
from cleanplate.types import Mask, RGBImage

if TYPE_CHECKING:
    from PIL import Image

BYTES_NAME = "<bytes>"
SUFFIXES_BY_FORMAT: dict[str, tuple[str, ...]] = {f.name: f.suffixes for f in FORMATS}
"""File name endings of each format, lower case, the usual one first."""

PHOTO_SUFFIXES: frozenset[str] = frozenset(suffix for f in FORMATS for suffix in f.suffixes)
"""File name endings of the supported formats, lower case."""

_CONVERT = "convert it to JPEG, PNG, TIFF, WebP or BMP first"
_REFUSED_SIGNATURES = (
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
)


def as_path(name: str, value: str | PathLike[str]) -> Path:
    """Return a path.

    Args:
        name: the parameter, for the message.
        value: what was given.

    Raises:
        InputError: it is no path.
    """
    check_type(name, value, (str, PathLike), "a path")
    return Path(value)


def is_photo_name(path: str | PathLike[str]) -> bool:
    """Return whether the file's name ends like a supported photo's, in any case."""
    return PurePath(path).suffix.lower() in PHOTO_SUFFIXES


def result_name(name: str, raw_output: RawOutput) -> str:
    """Return the file name of an edited photo: its own, but for RAW with the suffix of the output.

    Args:
        name: of the photo, without folders.
        raw_output: what RAW files are written as.
    """
    path = PurePath(name)
    if path.suffix.lower() not in RawFormat.suffixes:
        return name
    return str(path.with_suffix(RESULT_SUFFIXES[raw_output]))


def check_result_name(target: Path, source: Path, format_name: str) -> RawOutput:
    """Return what a camera RAW will be written as, by the name of its result.

    Args:
        target: the file that will be written.
        source: the photo's file; its own suffix is accepted, even if another format's.
        format_name: the photo's format, such as "JPEG".

    Raises:
        InputError: the name has another format's suffix; the message lists the right ones.
    """
    suffix = target.suffix.lower()
    endings = tuple(RESULT_SUFFIXES.values())
    if format_name != RawFormat.name:
        endings = SUFFIXES_BY_FORMAT[format_name]
    if suffix not in endings and suffix != source.suffix.lower():
        raise InputError(
            f"{target}: the format is kept, so the name must end in {' or '.join(endings)}"
        )
    return "jpeg" if suffix == RESULT_SUFFIXES["jpeg"] else "tiff"


def read_format(source: Path) -> str:
    """Return the name of a photo's format, such as "JPEG" or "RAW", by its content.

    Raises:
        PhotoError: it cannot be read, or is of no supported format.
    """
    name, data = load_bytes(source)
    try:
        return detect_format(data).name
    except UnsupportedImageError as error:
        raise PhotoError(name, error.cause, error.advice) from error


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
            Lab, floating point; or the extra for its format is not installed.
    """
    name, data = load_bytes(source)
    try:
        image_format = detect_format(data)
        check_raw_name(name, image_format)
        if image_format is RawFormat:
            decoded = RawFormat.read(data, max_pixels, raw_output)
        else:
            decoded = image_format.read(data, max_pixels)
    except UnsupportedImageError as error:
        raise PhotoError(name, error.cause, error.advice) from error
    except MemoryError as error:
        raise PhotoError(name, "out of memory while decoding it", "scale it down first") from error
    except Exception as error:  # whatever a decoder raises on a damaged file
        text = " ".join(f"{type(error).__name__}: {error}".split())
        advice = f"{DAMAGED_ADVICE}, or report it if other programs open this one"
        raise PhotoError(name, f"it cannot be decoded ({text})", advice) from error
    decoded.pixels.flags.writeable = False
    return Photo(
        path=name,
        pixels=decoded.pixels,
        format=image_format.name,
        notes=misnamed_note(name, image_format) + decoded.notes,
        orientation=decoded.orientation,
        wraps=b"GPano:" in data and is_full_panorama(data, decoded.pixels.shape),
        samples=decoded.samples,
        container=decoded.container,
    )


def must_convert(photo: Photo, target: Path) -> bool:
    """Return whether a copy of the photo's file would not be what the name says: a RAW as .tif."""
    suffix = target.suffix.lower()
    named_as_result = suffix in RESULT_SUFFIXES.values()
    return (
        photo.format == RawFormat.name
        and named_as_result
        and not photo.path.lower().endswith(suffix)
    )


def encode_photo(photo: Photo, filled: RGBImage, mask: Mask) -> bytes:
    """Return the file of `encode_with_notes` alone; see there."""
    return encode_with_notes(photo, filled, mask)[0]


def encode_with_notes(photo: Photo, filled: RGBImage, mask: Mask) -> Encoded:
    """Return the photo's file with the hole filled: same format, depth, mode and metadata.

    Lossless files decode to the original's samples wherever `mask` is False, JPEGs beyond the
    blocks that it meets. Lossy WebP, HEIC and AVIF are encoded again; the modules of
    `cleanplate.io` say what that changes. A camera RAW comes back in the format chosen in
    `read_photo`.

    Args:
        photo: from `read_photo`.
        filled: (H, W, 3) uint8, RGB, upright like `photo.pixels`; read only where `mask` is True.
        mask: (H, W) bool, True = take from `filled`.

    Returns:
        The file, and notes on what only encoding showed, like those of `read_photo`.

    Raises:
        InputError: wrong dtype, or a photo that did not come from a file.
        ShapeMismatchError: the arrays do not have the photo's size.
        PhotoError: the image cannot be encoded.
    """
    check_edit(photo, filled, mask)
    if photo.container is None:
        raise InputError(f"{photo.path} did not come from a file; use pil_from_photo")
    try:
        return photo.container.encode(photo.samples, photo.pixels, filled, mask)
    except UnsupportedImageError as error:
        raise PhotoError(photo.path, error.cause, error.advice) from error


def write_photo(path: Path, photo: Photo, filled: RGBImage, mask: Mask) -> tuple[str, ...]:
    """Write the file of `encode_with_notes` atomically; the folder is created if needed.

    Args:
        path: of the file.
        photo: what was edited.
        filled: (H, W, 3) uint8, RGB, upright.
        mask: (H, W) bool, True = take from `filled`.

    Returns:
        The notes.

    Raises:
        InputError, ShapeMismatchError, PhotoError: as `encode_with_notes` and
            `write_bytes_atomic`.
    """
    content, notes = encode_with_notes(photo, filled, mask)
    write_bytes_atomic(path, content)
    return notes


def read_size(path: Path) -> tuple[int, int] | None:
    """Return height and width in px from a photo's header, before any rotation.

    Args:
        path: a file; only as much of it is read as its format needs.

    Returns:
        None where the size cannot be read: `read_photo` says why.
    """
    try:
        return (_format_of_suffix(path) or ImageFormat).read_size(path)
    except Exception:  # whatever a decoder raises on a damaged file
        return None


def load_bytes(source: Path | str | bytes) -> tuple[str, bytes]:
    """Return the name to use in messages, and the file's content.

    Raises:
        PhotoError: missing, a folder, not a regular file, no permission, or empty.
    """
    if isinstance(source, bytes):
        name, data = BYTES_NAME, source
    else:
        name = os.fspath(source)
        try:
            mode = Path(source).stat().st_mode
            is_readable = stat.S_ISREG(mode) or stat.S_ISDIR(mode)  # a pipe would wait forever
            content = Path(source).read_bytes() if is_readable else None
        except OSError as error:
            raise read_error(name, error) from error
        except ValueError as error:  # a NUL in the name
            raise PhotoError(
                name, "not a valid file name (it contains a NUL character)", "check the name"
            ) from error
        if content is None:
            raise PhotoError(name, "not a regular file", "give the path of a photo")
        data = content
    if not data:
        raise PhotoError(name, "the file is empty (0 bytes)", DAMAGED_ADVICE)
    return name, data


def detect_format(data: bytes) -> type[ImageFormat]:
    """Return the format detected from the content, whatever the file is called.

    Raises:
        UnsupportedImageError: another format; the message names it where it is known.
    """
    found = next((f for f in FORMATS if f.sniff(data)), None)
    if found is None:
        raise UnsupportedImageError(*_describe_unknown(data[:16], data[:512]))
    return found


def check_raw_name(name: str, image_format: type[ImageFormat]) -> None:
    """Raise if a file is RAW only by its name, or only by its content.

    The name of the result was derived from the photo's name, and does not fit the other kind.

    Raises:
        UnsupportedImageError: they differ, unless a RAW is named as a TIFF.
    """
    suffix, named = Path(name).suffix.lower(), _format_of_suffix(name)
    is_raw = image_format is RawFormat
    if named is RawFormat and not is_raw:
        raise UnsupportedImageError(
            f"it is named {suffix} but is a {image_format.name} file",
            f"name it {image_format.suffixes[0]}; if that fails too, export it as TIFF or JPEG "
            "with the program of its camera or scanner",
        )
    if is_raw and named not in (None, RawFormat, TiffFormat):
        raise UnsupportedImageError(
            f"it is named {suffix} but is a camera RAW file", "give it the suffix of its camera"
        )


def misnamed_note(name: str, image_format: type[ImageFormat]) -> tuple[str, ...]:
    """Return a note on a file whose suffix is that of another format."""
    if _format_of_suffix(name) in (None, image_format) or image_format is RawFormat:
        return ()
    suffix = Path(name).suffix.lower()
    return (f"it is named {suffix} but is a {image_format.name} file, and is written as one",)


def _format_of_suffix(name: str | PathLike[str]) -> type[ImageFormat] | None:
    suffix = PurePath(name).suffix.lower()
    return next((f for f in FORMATS if suffix in f.suffixes), None)


def _describe_unknown(head: bytes, start: bytes) -> tuple[str, str]:
    if head[4:8] == b"ftyp":
        return "it is a video or an unknown ISO media file", "give the path of a photo"
    for signature, kind in _REFUSED_SIGNATURES:
        if start.startswith(signature):
            return f"{kind} files are not supported", _CONVERT
    if not any(start):
        return "it contains only zeros", DAMAGED_ADVICE
    try:
        start[:-4].decode("utf-8")
        is_text = b"\x00" not in start
    except UnicodeDecodeError:
        is_text = False
    if is_text:
        return "it is a text file, not a photo", "check how it was made or downloaded"
    return f"unknown format (it starts with {start[:4].hex(' ')})", _CONVERT


PhotoT = TypeVar("PhotoT", bytes, npt.NDArray[np.uint8], "Image.Image")
"""What comes back as the kind it was given as."""

_CHANNELS = ((), (3,), (4,))  # grey, RGB, RGB and alpha


@dataclass(frozen=True, slots=True, eq=False)
class OpenedPhoto:
    """The pixels of a photo, and the way back to its kind."""

    pixels: RGBImage  # (H, W, 3) uint8, RGB, upright
    close: Callable[[RGBImage, Mask], Any]  # filled image and its mask -> the photo, of its kind
    wraps: bool = False  # see `Photo`
    transparent: Mask | None = None


AnyPhoto = Union[bytes, str, PathLike[str], npt.NDArray[np.uint8], "Image.Image", Photo]
"""A photo's content, path, pixels or Pillow image, or what `read_photo` gave; see `open_photo`."""


def open_photo(photo: AnyPhoto | OpenedPhoto) -> OpenedPhoto:
    """Return the pixels of a photo of any kind.

    Args:
        photo: the content of a photo's file; a Pillow image; the path of a photo; or a uint8 array:
            (H, W, 3) RGB, (H, W, 4) RGB and alpha, or (H, W) grey. Not modified. Or what
            `read_photo` gave; then the filled image comes back. What is opened stays as it is.

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
    if isinstance(photo, OpenedPhoto):
        return photo
    if isinstance(photo, np.ndarray):
        return _open_array(photo)
    if isinstance(photo, bytes):
        content, read = photo, read_photo(photo)
        return _opened(
            read, lambda image, mask: encode_photo(read, image, mask) if mask.any() else content
        )
    if isinstance(photo, Photo):
        return _opened(photo, lambda image, mask: image)
    opened = _open_pil(photo)
    return _opened(opened, lambda image, mask: pil_from_photo(opened, image, mask))


def _opened(photo: Photo, close: Callable[[RGBImage, Mask], Any]) -> OpenedPhoto:
    return OpenedPhoto(photo.pixels, close, photo.wraps, photo.transparent)


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
    transparent = None if is_grey or photo[..., 3].all() else photo[..., 3] == 0
    return OpenedPhoto(pixels, close, transparent=transparent)


def _open_pil(photo: "str | PathLike[str] | Image.Image") -> Photo:
    from PIL import Image

    if isinstance(photo, Image.Image):
        return photo_from_pil(photo)
    if isinstance(photo, str | PathLike):
        read = read_photo(Path(photo))  # says what is wrong with a file; Pillow's words vary
        if read.format in ("HEIC", "RAW"):
            return replace(photo_from_pil(Image.fromarray(read.pixels)), wraps=read.wraps)
        with Image.open(photo) as opened:
            # Cameras put previews behind the photo, which Pillow takes for frames.
            first = opened if getattr(opened, "n_frames", 1) == 1 else opened.copy()
            return replace(photo_from_pil(first), format=read.format, wraps=read.wraps)
    raise invalid("photo", "bytes, an array, a Pillow image or the path of a photo", photo)
