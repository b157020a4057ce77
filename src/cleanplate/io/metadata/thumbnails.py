"""JPEG streams embedded in metadata: previews that would still show what was removed."""

import re

from cleanplate.io.metadata.jpeg_segments import walk_markers

_JPEG_START = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]")
_BASE64_JPEG = re.compile(rb"/9j/[A-Za-z0-9+/\s]{200}")  # "/9j/" is FF D8 FF in base64


def find_jpeg_streams(data: bytes) -> list[tuple[int, int]]:
    """Return where JPEG streams lie in `data`, as (start, end) without overlap.

    A stream is followed marker by marker, so that the thumbnail inside a preview does not end it.
    One that is truncated reaches to where it stops making sense.
    """
    spans: list[tuple[int, int]] = []
    position = 0
    while match := _JPEG_START.search(data, position):
        end, has_frame = _jpeg_end(data, match.start())
        if has_frame:
            spans.append((match.start(), end))
            position = end
        else:
            position = match.start() + 2
    return spans


def contains_image(data: bytes) -> bool:
    """Return whether a JPEG stream is in `data`, as bytes or as base64."""
    return bool(find_jpeg_streams(data)) or _BASE64_JPEG.search(data) is not None


def _jpeg_end(data: bytes, start: int) -> tuple[int, bool]:
    """Return the end of the stream at `start`, and whether it holds any table or frame."""
    stop, has_frame = start + 2, False
    for marker, _, end in walk_markers(data, start + 2):
        stop, has_frame = end, has_frame or 0xC0 <= marker <= 0xDB
    return min(stop, len(data)), has_frame
