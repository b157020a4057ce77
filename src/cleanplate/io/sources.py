"""Gets a photo's bytes from wherever the caller has them, and tells its format by its content."""

import os
import stat
from pathlib import Path

from cleanplate.errors import PhotoError
from cleanplate.io.formats import is_raw
from cleanplate.io.metadata import brands_of
from cleanplate.io.photo import SUFFIXES_BY_FORMAT, is_photo_name
from cleanplate.io.storage import read_error
from cleanplate.io.unsupported import DAMAGED_ADVICE, UnsupportedImageError

BYTES_NAME = "<bytes>"

_CONVERT = "convert it to JPEG, PNG, TIFF, WebP or BMP first"
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
)
_BRANDS = {
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"),
}
_BRANDS_OF_ANY_CODEC = (b"mif1", b"msf1")
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
            is_readable = stat.S_ISREG(mode) or stat.S_ISDIR(mode)  # a pipe would wait for ever
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


def detect_format(data: bytes) -> str:
    """Return the format by the first bytes, whatever the file is called.

    Raises:
        UnsupportedImageError: another format; the message names it where it is known.
    """
    head = data[:16]
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if is_raw(data):
        return "RAW"
    for signature, format_name in _SIGNATURES:
        if head.startswith(signature):
            return format_name
    by_brand = _format_of_brands(brands_of(data))
    if by_brand is None:
        raise UnsupportedImageError(*_describe_unknown(head, data[:512]))
    return by_brand


def check_raw_name(name: str, format_name: str) -> None:
    """Raise if a file is RAW only by its name, or only by its content.

    The name of the result was chosen by the photo's name, and the other kind cannot bear it.

    Raises:
        UnsupportedImageError: they differ, unless a RAW is named as a TIFF.
    """
    suffix = Path(name).suffix.lower()
    is_named_raw = suffix in SUFFIXES_BY_FORMAT["RAW"]
    if is_named_raw and format_name != "RAW":
        right = SUFFIXES_BY_FORMAT[format_name][0]
        raise UnsupportedImageError(
            f"it is named {suffix} but is a {format_name} file", f"name it {right}"
        )
    is_wrong = format_name == "RAW" and not is_named_raw and is_photo_name(name)
    if is_wrong and suffix not in SUFFIXES_BY_FORMAT["TIFF"]:
        raise UnsupportedImageError(
            f"it is named {suffix} but is a camera RAW file", "give it the suffix of its camera"
        )


def misnamed_note(name: str, format_name: str) -> tuple[str, ...]:
    """Return what to say about a file whose ending is that of another format."""
    suffix = Path(name).suffix.lower()
    claimed = next((f for f, suffixes in SUFFIXES_BY_FORMAT.items() if suffix in suffixes), None)
    if claimed is None or format_name in (claimed, "RAW"):
        return ()
    return (f"it is named {suffix} but is a {format_name} file, and is written as one",)


def _format_of_brands(brands: tuple[bytes, ...]) -> str | None:
    """Return which of the HEIF formats a file says it is; None if it is another kind of file."""
    for brand in brands:
        for format_name, known in _BRANDS.items():
            if brand in known:
                return format_name
    return "HEIC" if set(_BRANDS_OF_ANY_CODEC) & set(brands) else None


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
