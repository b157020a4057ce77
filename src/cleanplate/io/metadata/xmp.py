"""Edits an XMP packet as text: orientation 1, no thumbnails, no pointers to dropped images.

References:
    Adobe, XMP Specification Part 1 to 3 (xmp:Thumbnails, xmpNote:HasExtendedXMP, tiff:Orientation);
    Google, Motion Photo, Ultra HDR and Dynamic Depth formats (GCamera, Container, hdrgm, GDepth).
"""

import re
from dataclasses import dataclass

from cleanplate.io.metadata.thumbnails import contains_image

_ORIENTATION = re.compile(rb"(<tiff:Orientation>\s*|tiff:Orientation\s*=\s*[\"'])\d+")
_NAME = rb"""(?:
    (?:xmp|xap):Thumbnails | xmpGImg:image | xmpNote:HasExtendedXMP
  | (?:GCamera|Camera):(?:Micro|Motion)\w+ | (?:Container|GContainer):(?:Directory|Version)
  | hdrgm:\w+ | HDRGainMap:\w+ | apdi:\w+
  | (?:GDepth|GImage|GAudio|GPano|Device|Profile):(?:Data|Confidence\w*|Profiles|Container)
)"""
_ATTRIBUTE = re.compile(rb"""\s+""" + _NAME + rb"""\s*=\s*(?:"[^"]*"|'[^']*')""", re.VERBOSE)
_ELEMENT = re.compile(
    rb"<(?P<name>" + _NAME + rb")(?:\s[^>]*)?(?:/>|(?<!/)>.*?</(?P=name)\s*>)",
    re.VERBOSE | re.DOTALL,
)

_PANORAMA = re.compile(
    rb"""GPano:(?P<name>\w+)\s*(?:=\s*["']|>)\s*(?P<value>[\w.]+)""",
)
_PACKET_BYTES = 1 << 16  # in which all tags of a panorama stand


@dataclass(frozen=True, slots=True)
class CleanXmp:
    """An XMP packet that may be written with the edited, upright photo."""

    data: bytes  # empty when it had to be dropped
    notes: tuple[str, ...] = ()


def clean_xmp(data: bytes, *, keep_orientation: bool = False) -> CleanXmp:
    """Return the packet with tiff:Orientation 1 and nothing that shows or names another image.

    Everything else keeps its bytes. A packet that is not UTF-8, or that still holds an image under
    a name unknown here, is dropped completely.

    Args:
        data: the packet, in UTF-8.
        keep_orientation: keep the orientation, for an image that is not turned.
    """
    if b"\x00" in data[:64]:
        return CleanXmp(b"", ("its XMP data are not UTF-8 and are not carried over",))
    turned = data if keep_orientation else _ORIENTATION.sub(rb"\g<1>1", data)
    cleaned = _ATTRIBUTE.sub(b"", _ELEMENT.sub(b"", turned))
    if contains_image(cleaned):
        return CleanXmp(b"", ("its XMP data contain an image and are not carried over",))
    if cleaned != turned:
        return CleanXmp(cleaned, ("XMP entries about embedded images are not carried over",))
    return CleanXmp(cleaned)


def is_full_panorama(data: bytes, size_hw: tuple[int, ...]) -> bool:
    """Return whether a file says that its image goes all the way round.

    XMP packets stand in plain text in any format, so that a program can find them in a file that it
    does not know.

    Args:
        data: the file.
        size_hw: H and W of the upright image first; twice as wide as high tells it where XMP does
            not say how much of the full circle the image shows.
    """
    at = data.find(b"GPano:")
    if at < 0:
        return False
    packet = data[max(0, at - _PACKET_BYTES) : at + _PACKET_BYTES]
    said = {match["name"]: match["value"] for match in _PANORAMA.finditer(packet)}
    if said.get(b"ProjectionType", b"equirectangular") != b"equirectangular":
        return False
    shown, full = said.get(b"CroppedAreaImageWidthPixels"), said.get(b"FullPanoWidthPixels")
    if shown is not None and full is not None:
        return shown == full
    return size_hw[1] == 2 * size_hw[0]
