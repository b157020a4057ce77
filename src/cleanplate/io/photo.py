"""`Photo`: the picture that is worked on, and the record of all else that its file held."""

from dataclasses import dataclass, field
from os import PathLike
from pathlib import PurePath
from typing import Literal, Protocol

from cleanplate.io.samples import Samples
from cleanplate.types import Mask, RGBImage

MAX_PIXELS: int = 178_956_970
"""2 x 89,478,485: the size at which Pillow itself refuses a file as a decompression bomb
(`PIL.Image.MAX_IMAGE_PIXELS`, a quarter of a GiB of RGB, doubled)."""

SUFFIXES_BY_FORMAT: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "HEIC": (".heic", ".heif", ".hif"),
    "AVIF": (".avif",),
    "RAW": (
        ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc",
        ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2",
        ".srf", ".srw", ".x3f",
    ),
}  # fmt: skip
PHOTO_SUFFIXES: frozenset[str] = frozenset(
    suffix for suffixes in SUFFIXES_BY_FORMAT.values() for suffix in suffixes
)
"""File name endings of the supported formats, lower case."""

RawOutput = Literal["tiff", "jpeg"]
"""What a developed RAW is written as."""

RESULT_SUFFIXES: dict[RawOutput, str] = {"tiff": ".tif", "jpeg": ".jpg"}


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
    if path.suffix.lower() not in SUFFIXES_BY_FORMAT["RAW"]:
        return name
    return str(path.with_suffix(RESULT_SUFFIXES[raw_output]))


class Container(Protocol):
    """What a file format must remember to write a photo back as it came."""

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> bytes:
        """Return the file with `filled` where `mask` is True and the original samples elsewhere."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One photo in memory. Made by `read_photo`; its arrays are read-only."""

    path: str  # as the user named it; "<bytes>" or "<image>" when there is no file
    pixels: RGBImage  # (H, W, 3) uint8, RGB, upright
    format: str  # by content: one of `SUFFIXES_BY_FORMAT`
    notes: tuple[str, ...] = ()  # plain statements, e.g. what is not carried over
    samples: Samples = field(default_factory=Samples, repr=False)  # for this package only
    container: Container | None = field(default=None, repr=False)  # for this package only

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the upright picture, in px."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What a format's reader gives back: a `Photo` without its name."""

    pixels: RGBImage
    samples: Samples
    container: Container
    notes: tuple[str, ...] = ()
