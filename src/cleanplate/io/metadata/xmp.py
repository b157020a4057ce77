"""Edits an XMP packet as text: turned with the photo, no thumbnails, no pointers to lost images.

References:
    Adobe, XMP Specification Part 1 to 3 (xmp:Thumbnails, xmpNote:HasExtendedXMP, tiff:Orientation);
    Google, Motion Photo, Ultra HDR and Dynamic Depth formats (GCamera, Container, hdrgm, GDepth);
    Google, Photo Sphere XMP Metadata (GPano).
"""

import re
from dataclasses import dataclass

from cleanplate.io.metadata.jpeg_segments import contains_image
from cleanplate.io.metadata.regions import turn_regions

_ORIENTATION = re.compile(rb"(<tiff:Orientation>\s*|tiff:Orientation\s*=\s*[\"'])\d+")
_NAME = rb"""(?:
    (?:xmp|xap):Thumbnails | xmpGImg:image
  | (?:GCamera|Camera):(?:Micro|Motion)\w+ | OpCamera:(?:Motion\w+|OLivePhoto\w+|VideoLength)
  | (?:Container|GContainer):(?:Directory|Version)
  | hdrgm:\w+ | HDRGainMap:\w+ | apdi:\w+
  | (?:GDepth|GImage|GAudio|GPano|Device|Profile):(?:Data|Confidence\w*|Profiles|Container)
)"""


def _anywhere(name: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return what matches attributes and elements of a name."""
    attribute = rb"""\s+""" + name + rb"""\s*=\s*(?:"[^"]*"|'[^']*')"""
    element = rb"<(?P<name>" + name + rb")(?:\s[^>]*)?(?:/>|(?<!/)>.*?</(?P=name)\s*>)"
    return re.compile(attribute, re.VERBOSE), re.compile(element, re.VERBOSE | re.DOTALL)


_IMAGES = _anywhere(_NAME)
_EXTENSIONS = _anywhere(rb"xmpNote:HasExtendedXMP")
_EXTENSION = re.compile(rb"""(xmpNote:HasExtendedXMP\s*(?:=\s*["']|>)\s*)\w+""")
_PANORAMA = re.compile(
    rb"""GPano:(?P<name>\w+)\s*(?:=\s*["']|>)\s*(?P<value>[\w.]+)""",
)
_PACKET_BYTES = 1 << 16  # in which all tags of a panorama stand


@dataclass(frozen=True, slots=True)
class CleanXmp:
    """An XMP packet that may be written with the edited, upright photo."""

    data: bytes  # empty when it had to be dropped
    notes: tuple[str, ...] = ()


def clean_xmp(
    data: bytes,
    *,
    turned: int = 1,
    size_hw: tuple[int, int] = (1, 1),
    extension: bytes = b"",
) -> CleanXmp:
    """Return the packet with nothing that shows or names another image.

    Everything else keeps its bytes. A packet that is not UTF-8, or that still holds an image under
    a name unknown here, is dropped completely.

    Args:
        data: the packet, in UTF-8.
        turned: the Exif orientation by which the image was turned upright; tiff:Orientation becomes
            1 and regions are turned. With 1, for an image that stays as it is stored, both stay.
        size_hw: of the image as it is stored; used to turn it.
        extension: digest of the extended XMP that is written beside it.
    """
    if b"\x00" in data[:64]:
        return CleanXmp(b"", ("its XMP data (not UTF-8) are not carried over",))
    if turned != 1:
        data = turn_regions(_ORIENTATION.sub(rb"\g<1>1", data), turned, size_hw)
    said = _EXTENSION.sub(rb"\g<1>" + extension, data) if extension else _without(data, _EXTENSIONS)
    cleaned = _without(said, _IMAGES)
    if contains_image(cleaned):
        return CleanXmp(b"", ("its XMP data (with an image) are not carried over",))
    notes = ("XMP entries about embedded images are removed",) if cleaned != said else ()
    return CleanXmp(cleaned, notes)


def _without(data: bytes, names: tuple[re.Pattern[bytes], re.Pattern[bytes]]) -> bytes:
    return names[0].sub(b"", names[1].sub(b"", data))


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
