"""`Photo`: the image that is worked on, and the record of all else that its file held."""

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from cleanplate.io.samples import Samples
from cleanplate.types import Mask, RGBImage

MAX_PIXELS: int = 178_956_970
"""2 x 89,478,485: the size at which Pillow itself refuses a file as a decompression bomb
(`PIL.Image.MAX_IMAGE_PIXELS`, a quarter of a GiB of RGB, doubled)."""

RawOutput = Literal["tiff", "jpeg"]
"""What a developed RAW is written as."""

RESULT_SUFFIXES: dict[RawOutput, str] = {"tiff": ".tif", "jpeg": ".jpg"}


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
    format: str  # by content: an `ImageFormat.name`
    notes: tuple[str, ...] = ()  # plain statements, e.g. what is not carried over
    samples: Samples = field(default_factory=Samples, repr=False)  # for this package only
    container: Container | None = field(default=None, repr=False)  # for this package only

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the upright image, in px."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What a format's reader gives back: a `Photo` without its name."""

    pixels: RGBImage
    samples: Samples
    container: Container
    notes: tuple[str, ...] = ()


class ImageFormat(ABC):
    """A file format: how it is recognized and read. Its `Container` writes it."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]  # lower case, the usual one first
    signatures: ClassVar[tuple[bytes, ...]] = ()

    @classmethod
    def sniff(cls, data: bytes) -> bool:
        """Return whether a file is of this format, by its content."""
        return data.startswith(cls.signatures)

    @classmethod
    @abstractmethod
    def read(cls, data: bytes, max_pixels: int) -> Decoded:
        """Return the upright image of a file.

        Args:
            data: the file.
            max_pixels: files of more pixels are refused before they are decoded.

        Raises:
            UnsupportedImageError: damaged, truncated, too many pixels, or of an unsupported kind.
        """

    @classmethod
    def read_size(cls, path: Path) -> tuple[int, int] | None:
        """Return height and width in px from a file's header, before any rotation.

        Returns:
            None where the header cannot be read.
        """
        from PIL import Image

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # too many pixels are refused later, not here
                with Image.open(path) as image:
                    return image.height, image.width
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return None
