"""Photoshop's image resources (JPEG APP13, TIFF tag 34377): IPTC, paths, and thumbnails.

References:
    Adobe, Photoshop File Formats Specification (November 2019), "Image Resources Section".
"""

import struct
from dataclasses import dataclass

from cleanplate.io.metadata.jpeg_segments import contains_image

_THUMBNAILS = (0x0409, 0x040C)  # Photoshop 4, and 5 and later
_SIGNATURES = (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR")


@dataclass(frozen=True, slots=True)
class CleanResources:
    """Image resources without images; empty when none are left."""

    data: bytes
    notes: tuple[str, ...] = ()


def clean_resources(data: bytes) -> CleanResources:
    """Return the resources without thumbnails, the others byte for byte.

    Args:
        data: resource blocks one after the other, without the "Photoshop 3.0" identifier.
    """
    kept: list[bytes] = []
    dropped = False
    position = 0
    while data[position : position + 4] in _SIGNATURES:
        try:
            code, name_length = struct.unpack_from(">HB", data, position + 4)
            start = position + 6 + (name_length + 2) // 2 * 2
            (length,) = struct.unpack_from(">I", data, start)
        except struct.error:
            dropped = True
            break
        end = start + 4 + (length + 1) // 2 * 2
        block = data[position:end]
        if code in _THUMBNAILS or contains_image(block) or start + 4 + length > len(data):
            dropped = True
        else:
            kept.append(block)
        position = end
    notes = ("a Photoshop preview is removed",) if dropped else ()
    return CleanResources(b"".join(kept), notes)
