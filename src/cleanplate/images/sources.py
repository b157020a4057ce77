"""Gets a photo's bytes from wherever the caller has them, and tells its format by its content."""

import os
import stat
from pathlib import Path

from cleanplate.errors import PhotoError
from cleanplate.images.atomic import reading_error
from cleanplate.images.isobmff import brands_of
from cleanplate.images.photo import SUFFIXES_BY_FORMAT
from cleanplate.images.refusal import DAMAGED_ADVICE, RefusalError

BYTES_NAME = "<bytes>"

_CONVERT = "convert it to JPEG, PNG, TIFF, WebP or BMP first"
_BRANDS = {  # mif1 and msf1 alone say that it is a HEIF file, of any codec
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
}
_REFUSED_SIGNATURES = (
    (b"GIF8", "GIF"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"FUJIFILMCCD-RAW", "Fujifilm raw"),
    (b"IIU\x00", "Panasonic raw"),
    (b"IIRO", "Olympus raw"),
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
            raise reading_error(name, error) from error
        except ValueError as error:  # a NUL in the name
            raise PhotoError(name, "that is not a file name", "check the name") from error
        if content is None:
            raise PhotoError(name, "that is not a regular file", "name a photo")
        data = content
    if not data:
        raise PhotoError(name, "the file is empty (0 bytes)", DAMAGED_ADVICE)
    return name, data


def detect_format(data: bytes) -> str:
    """Return the format by the first bytes, whatever the file is called.

    Raises:
        RefusalError: another format; the message names it where it is known.
    """
    head = data[:16]
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "TIFF"
    if head[:2] == b"BM":
        return "BMP"
    for brand in brands_of(data):
        for format_name, brands in _BRANDS.items():
            if brand in brands and not (brand in (b"mif1", b"msf1") and b"avif" in brands_of(data)):
                return format_name
    raise RefusalError(*_why_unknown(head, data[:512]))


def misnamed_note(name: str, format_name: str) -> tuple[str, ...]:
    """Return what to say about a file whose ending is that of another format."""
    suffix = Path(name).suffix.lower()
    claimed = next((f for f, suffixes in SUFFIXES_BY_FORMAT.items() if suffix in suffixes), None)
    if claimed is None or claimed == format_name:
        return ()
    return (f"it is named {suffix} but is a {format_name} file, and is written as one",)


def _why_unknown(head: bytes, start: bytes) -> tuple[str, str]:
    if head[4:8] == b"ftyp":
        return "it is a video or an unknown ISO media file", "name a photo"
    for signature, kind in _REFUSED_SIGNATURES:
        if start.startswith(signature):
            return f"{kind} files are not supported", _CONVERT
    if not any(start):
        return "it holds nothing but zeros", DAMAGED_ADVICE
    try:
        start[:-4].decode("utf-8")
        is_text = b"\x00" not in start
    except UnicodeDecodeError:
        is_text = False
    if is_text:
        return "it is a text file, not a photo", "check how it was made or downloaded"
    return f"unknown format (it starts with {start[:4].hex(' ')})", _CONVERT
