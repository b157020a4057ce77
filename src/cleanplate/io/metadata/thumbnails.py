"""JPEG streams hidden inside metadata: previews that would still show what was removed."""

import re

_JPEG_START = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]")
_SCAN_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # not stuffing, not a restart, not a fill
_BASE64_JPEG = re.compile(rb"/9j/[A-Za-z0-9+/\s]{200}")  # "/9j/" is FF D8 FF in base64
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})


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
    """Return whether a JPEG stream is in there, as bytes or as base64."""
    return bool(find_jpeg_streams(data)) or _BASE64_JPEG.search(data) is not None


def _jpeg_end(data: bytes, start: int) -> tuple[int, bool]:
    """Return the end of the stream at `start`, and whether any table or frame was met in it."""
    position, has_frame = start + 2, False
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xD9:
            return position + 2, has_frame
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        has_frame = has_frame or 0xC0 <= marker <= 0xDB
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xDA:
            found = _SCAN_MARKER.search(data, position)
            if found is None:
                return len(data), has_frame
            position = found.start()
    if data[position : position + 2] == b"\xff\xd9":
        position += 2
    return min(position, len(data)), has_frame
