"""The size of a photo by its header, before anything is decoded."""

import struct
import warnings
from pathlib import Path

from cleanplate.io.metadata import parse_heif
from cleanplate.io.photo import SUFFIXES_BY_FORMAT
from cleanplate.io.unsupported import UnsupportedImageError


def read_size(path: Path) -> tuple[int, int] | None:
    """Return height and width in px as the file states them, not turned upright.

    Args:
        path: a file; only as much of it is read as its format needs.

    Returns:
        None where that cannot be told: `read_photo` says why.
    """
    if path.suffix.lower() in SUFFIXES_BY_FORMAT["RAW"]:
        return _size_of_raw(path)  # Pillow would tell that of a preview
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a bomb is refused by its size later, not here
            with Image.open(path) as image:
                return image.height, image.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return _size_of_heif(path)


def _size_of_raw(path: Path) -> tuple[int, int] | None:
    try:
        import rawpy

        with rawpy.imread(str(path)) as raw:
            return raw.sizes.height, raw.sizes.width
    except Exception:  # LibRaw's own errors, or the extra is not there
        return None


def _size_of_heif(path: Path) -> tuple[int, int] | None:
    try:
        data = path.read_bytes() if path.suffix.lower() in SUFFIXES_BY_FORMAT["HEIC"] else b""
        file = parse_heif(data)
        extent = file.items[file.primary].find(b"ispe")
        if extent is None:
            return None
        width, height = struct.unpack_from(">II", extent.data, 4)
    except (OSError, UnsupportedImageError, KeyError, struct.error):
        return None
    return height, width
