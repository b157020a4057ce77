"""Photo formats, one file each."""

from cleanplate.io.formats.bmp import read_bmp
from cleanplate.io.formats.gif import read_gif
from cleanplate.io.formats.heif import read_heif
from cleanplate.io.formats.jpeg import read_jpeg
from cleanplate.io.formats.png import read_png
from cleanplate.io.formats.raw import is_raw, read_raw
from cleanplate.io.formats.tiff import read_tiff
from cleanplate.io.formats.webp import read_webp

__all__ = [
    "is_raw",
    "read_bmp",
    "read_gif",
    "read_heif",
    "read_jpeg",
    "read_png",
    "read_raw",
    "read_tiff",
    "read_webp",
]
