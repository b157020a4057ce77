"""The error for files that cannot be read or edited, and checks that all formats share."""

from collections.abc import Iterator
from contextlib import contextmanager

DAMAGED_ADVICE = "get an undamaged copy of the file"
_PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError)
"""What Pillow's plugins raise on damaged files; struct.error and zlib.error become one of these."""


class UnsupportedImageError(Exception):
    """Says what is wrong with a file and what to do; `read_photo` adds the file's name."""

    def __init__(self, cause: str, advice: str) -> None:
        self.cause, self.advice = cause, advice
        super().__init__(f"{cause}; {advice}")


def check_pixel_count(size_hw: tuple[int, int], max_pixels: int) -> None:
    """Raise unless an image of this size, read from a file's header, may be decoded.

    Args:
        size_hw: height and width as the header states them.
        max_pixels: largest allowed product.

    Raises:
        UnsupportedImageError: no pixels at all, or more than `max_pixels`.
    """
    height, width = size_hw
    if height < 1 or width < 1:
        raise UnsupportedImageError(
            f"its header states a size of {width} x {height} px", DAMAGED_ADVICE
        )
    if height * width > max_pixels:
        raise UnsupportedImageError(
            f"{width} x {height} = {height * width} pixels are more than the limit of {max_pixels}",
            "scale or split it",
        )


def check_one_frame(count: int, unit: str) -> None:
    """Raise if a file holds more than one image.

    Args:
        count: how many it holds.
        unit: what they are, in the plural, and of what format: "frames (APNG)".

    Raises:
        UnsupportedImageError: `count` is above 1; the message states it.
    """
    if count > 1:
        raise UnsupportedImageError(
            f"it holds {count} {unit}, and only single images can be edited",
            f"split it into single {unit.split(' (', maxsplit=1)[0]} first",
        )


@contextmanager
def translate_decoder_errors(kind: str) -> Iterator[None]:
    """Turn what a decoder raises on damaged files into `UnsupportedImageError`.

    Args:
        kind: name of the format, for the message.
    """
    import struct
    import zlib

    try:
        yield
    except (*_PILLOW_ERRORS, struct.error, zlib.error) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "truncated" in text or "broken data stream" in text:
            text = "the file is truncated"
        raise UnsupportedImageError(f"damaged {kind}: {text}", DAMAGED_ADVICE) from error
