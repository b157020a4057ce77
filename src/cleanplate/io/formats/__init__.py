"""Photo formats, one file each: a class that detects and reads it, a container that writes it."""

from cleanplate.io.formats.bmp import BmpFormat
from cleanplate.io.formats.gif import GifFormat
from cleanplate.io.formats.heif import AvifFormat, HeicFormat
from cleanplate.io.formats.jpeg import JpegFormat
from cleanplate.io.formats.png import PngFormat
from cleanplate.io.formats.raw import RawFormat
from cleanplate.io.formats.tiff import TiffFormat
from cleanplate.io.formats.webp import WebPFormat
from cleanplate.io.photo import ImageFormat

FORMATS: tuple[type[ImageFormat], ...] = (
    JpegFormat,
    PngFormat,
    WebPFormat,
    RawFormat,  # before TIFF and HEIC, as many RAW files are TIFF or HEIF files too
    TiffFormat,
    BmpFormat,
    GifFormat,
    HeicFormat,
    AvifFormat,
)
