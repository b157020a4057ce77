"""Regions in XMP, such as faces with their names: turned with the photo, removed with the object.

Three vocabularies are known: the Metadata Working Group's (centre and size), Microsoft's (left, top
and size) and IPTC's (rectangles, circles and polygons). They count in shares of the image as it is
stored, or in pixels.

References:
    Metadata Working Group, Guidelines for Handling Image Metadata 2.0, section 5.9 (mwg-rs);
    Microsoft, People Tagging Overview (MPRI, MPReg);
    IPTC Photo Metadata Standard 2019.1, Image Region and Region Boundary (Iptc4xmpExt).
"""

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_ITEM = re.compile(rb"<(?P<closing>/?)rdf:li\b[^>]*?(?P<empty>/?)>")
_NUMBER = rb"[-+]?[\d.]+(?:[eE][-+]?\d+)?"
_IS = rb"""\s*(?:=\s*["']|>)\s*"""  # an attribute's value begins, or an element's
_RECTANGLE = re.compile(
    rb"(?P<before>MPReg:(?P<name>Rectangle)" + _IS + rb""")(?P<value>[^"'<]+)"""
)
_AREA = re.compile(
    rb"(?P<before>stArea:(?P<name>[xywhd])" + _IS + rb")(?P<value>" + _NUMBER + rb")"
)
_DIMENSION = re.compile(
    rb"(?P<before>stDim:(?P<name>[wh])" + _IS + rb")(?P<value>" + _NUMBER + rb")"
)
_BOUNDARY = re.compile(
    rb"<(Iptc4xmpExt:RegionBoundary)(?:\s[^>]*)?(?:/>|(?<!/)>.*?</\1\s*>)", re.DOTALL
)
_BOUND = re.compile(
    rb"(?P<before>Iptc4xmpExt:(?P<name>rb(?:X|Y|W|H|Rx))" + _IS + rb")(?P<value>" + _NUMBER + rb")"
)
_BOUND_IN_PIXELS = re.compile(rb"Iptc4xmpExt:rbUnit" + _IS + rb"pixel")
_NAMES = re.compile(rb"<(Iptc4xmpExt:(?:Name|PersonInImage))>(.*?)</\1\s*>", re.DOTALL)
_TEXT = re.compile(rb"<rdf:li\b[^>]*>\s*([^<]*[^<\s])\s*</rdf:li>")
_NAME = re.compile(rb"(?:mwg-rs:Name|MPReg:PersonDisplayName)" + _IS + rb"""([^"'<]+)""")
_IN_PIXELS = re.compile(rb"stArea:unit" + _IS + rb"pixel")
_MARK = re.compile(rb"stArea:x|MPReg:Rectangle|<Iptc4xmpExt:RegionBoundary")
_INSIDE = 0.5  # share of a region that the hole covers: then it is what was removed


@dataclass(frozen=True, slots=True)
class _Region:
    """One region; where it stands in the packet, and its centre and size in shares of the image."""

    start: int
    end: int
    xywh: tuple[float, float, float, float]
    names: frozenset[bytes]


def turn_point(
    x: float, y: float, orientation: int, farthest_xy: tuple[float, float]
) -> tuple[float, float]:
    """Return where a point of the stored image lies in the upright one.

    Args:
        x: from the left, in the stored image.
        y: from the top.
        orientation: see `cleanplate.io.photo.apply_orientation`.
        farthest_xy: the largest x and y in the upright image.
    """
    if orientation in (5, 6, 7, 8):
        x, y = y, x
    if orientation in (3, 4, 7, 8):
        y = farthest_xy[1] - y
    if orientation in (2, 3, 6, 7):
        x = farthest_xy[0] - x
    return x, y


def turn_regions(packet: bytes, orientation: int, size_hw: tuple[int, int]) -> bytes:
    """Return an XMP packet with its regions where they are in the upright image.

    Args:
        packet: not modified.
        orientation: see `cleanplate.io.photo.apply_orientation`.
        size_hw: of the image as it is stored.
    """
    size_wh, is_turned = _applied_size(packet), orientation in (5, 6, 7, 8)
    for region in reversed(_regions(packet, size_hw)):
        x, y = turn_point(*region.xywh[:2], orientation, (1.0, 1.0))
        w, h = region.xywh[:1:-1] if is_turned else region.xywh[2:]
        text = packet[region.start : region.end]
        corner = ", ".join(_written(value) for value in (x - w / 2, y - h / 2, w, h))
        text = _put(_RECTANGLE, text, {b"Rectangle": corner})
        width, height = size_wh if _IN_PIXELS.search(text) else (1.0, 1.0)
        if is_turned:
            width, height = height, width
        values = {b"x": x * width, b"y": y * height, b"w": w * width, b"h": h * height}
        text = _put(_AREA, text, {name: _written(value) for name, value in values.items()})
        text = _BOUNDARY.sub(lambda at: _turn_boundary(at.group(), orientation, size_hw), text)
        packet = packet[: region.start] + text + packet[region.end :]
    if is_turned:
        swapped = {b"w": _written(size_wh[1]), b"h": _written(size_wh[0])}
        packet = _put(_DIMENSION, packet, swapped)
    return packet


def _put(pattern: re.Pattern[bytes], text: bytes, values: dict[bytes, str]) -> bytes:
    """Return a text with other values behind the names that a pattern finds."""

    def replaced(match: re.Match[bytes]) -> bytes:
        value = values.get(match["name"])
        return match.group() if value is None else match["before"] + value.encode()

    return pattern.sub(replaced, text)


def _turn_boundary(text: bytes, orientation: int, size_hw: tuple[int, int]) -> bytes:
    """Return the boundary of one of IPTC's regions where it is in the upright image."""
    try:
        said, units = _bounds(text, size_hw)
    except ValueError:
        return text
    farthest = units[::-1] if orientation in (5, 6, 7, 8) else units
    w, h = (said[it][0] if said[it] else 0.0 for it in (b"rbW", b"rbH"))
    points = [
        turn_point(x + w / 2, y + h / 2, orientation, farthest)
        for x, y in zip(said[b"rbX"], said[b"rbY"], strict=True)
    ]
    if orientation in (5, 6, 7, 8):
        w, h = h, w
        if units == (1.0, 1.0):  # a radius is a share of the width
            said[b"rbRx"] = [radius * size_hw[1] / size_hw[0] for radius in said[b"rbRx"]]
    values = {
        b"rbX": iter([x - w / 2 for x, _ in points]),
        b"rbY": iter([y - h / 2 for _, y in points]),
        b"rbW": iter([w]),
        b"rbH": iter([h]),
        b"rbRx": iter(said[b"rbRx"]),
    }

    def replaced(at: re.Match[bytes]) -> bytes:
        value = next(values[at["name"]], None)
        return at.group() if value is None else at["before"] + _written(value).encode()

    return _BOUND.sub(replaced, text)


def _bounds(
    text: bytes, size_hw: tuple[int, int]
) -> tuple[dict[bytes, list[float]], tuple[float, float]]:
    """Return the numbers of one of IPTC's boundaries, and the image's width and height in them.

    Raises:
        ValueError: the points of a polygon are not pairs.
    """
    said: dict[bytes, list[float]] = defaultdict(list)
    for at in _BOUND.finditer(text):
        said[at["name"]].append(float(at["value"]))
    if not said[b"rbX"] or len(said[b"rbX"]) != len(said[b"rbY"]):
        raise ValueError(text)
    is_pixels = _BOUND_IN_PIXELS.search(text) is not None
    return said, (float(size_hw[1]), float(size_hw[0])) if is_pixels else (1.0, 1.0)


def drop_regions(packet: bytes, hole: npt.NDArray[np.bool_]) -> bytes:
    """Return an XMP packet without the regions that lie in a hole, nor their names elsewhere.

    Args:
        packet: not modified.
        hole: (H, W), oriented as the packet's coordinates are.
    """
    height, width = hole.shape
    gone: list[_Region] = []
    stay: set[bytes] = set()
    for region in _regions(packet, (height, width)):
        x, y, w, h = region.xywh
        columns = slice(max(0, int((x - w / 2) * width)), max(0, int((x + w / 2) * width)) + 1)
        rows = slice(max(0, int((y - h / 2) * height)), max(0, int((y + h / 2) * height)) + 1)
        part = hole[rows, columns]
        if part.size and part.mean() >= _INSIDE:
            gone.append(region)
        else:
            stay |= region.names
    for region in reversed(gone):
        packet = packet[: region.start] + packet[region.end :]
    for name in {name for region in gone for name in region.names} - stay:
        entry = rb"<rdf:li\b[^>]*>\s*" + re.escape(name) + rb"\s*</rdf:li>"
        packet = re.sub(entry, b"", packet)
    return packet


def is_portrait(packet: bytes) -> bool | None:
    """Return whether the regions' coordinates are of an image higher than wide; None if unsaid."""
    width, height = _applied_size(packet)
    return None if width == height else height > width


def _applied_size(packet: bytes) -> tuple[float, float]:
    """Return the width and height to which the regions were applied, px; 1 and 1 if unsaid."""
    said = {match["name"]: float(match["value"]) for match in _DIMENSION.finditer(packet)}
    return said.get(b"w", 1.0) or 1.0, said.get(b"h", 1.0) or 1.0


def _regions(packet: bytes, size_hw: tuple[int, int]) -> list[_Region]:
    """Return the regions in the order in which they stand; damaged ones are ignored."""
    marks = [at.start() for at in _MARK.finditer(packet)]
    if not marks:
        return []
    items: list[tuple[int, int]] = []
    open_at: list[int] = []
    for tag in _ITEM.finditer(packet):
        if not tag["closing"]:
            open_at.append(tag.start())
        if (tag["closing"] or tag["empty"]) and open_at:
            items.append((open_at.pop(), tag.end()))
    found: dict[int, _Region] = {}
    for mark in marks:
        around = [span for span in items if span[0] <= mark < span[1]]
        if not around:
            continue
        start, end = min(around, key=lambda span: span[1] - span[0])
        text = packet[start:end]
        try:
            xywh = _place(text, packet, size_hw)
        except (KeyError, ValueError, ZeroDivisionError):
            continue
        names = {at.group(1).strip() for at in _NAME.finditer(text)}
        names |= {it for at in _NAMES.finditer(text) for it in _TEXT.findall(at.group(2))}
        found[start] = _Region(start, end, xywh, frozenset(names - {b""}))
    return [found[start] for start in sorted(found)]


def _place(
    text: bytes, packet: bytes, size_hw: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return centre and size of a region in shares of the image.

    Raises:
        KeyError, ValueError, ZeroDivisionError: it is damaged.
    """
    boundary = _BOUNDARY.search(text)
    if boundary is not None:
        return _place_of_boundary(boundary.group(), size_hw)
    rectangle = _RECTANGLE.search(text)
    if rectangle is not None:
        left, top, w, h = (float(value) for value in rectangle["value"].split(b","))
        return left + w / 2, top + h / 2, w, h
    said = {match["name"]: float(match["value"]) for match in _AREA.finditer(text)}
    width, height = _applied_size(packet) if _IN_PIXELS.search(text) else (1.0, 1.0)
    across = said.get(b"w", said.get(b"d", 0.0))
    down = said.get(b"h", said.get(b"d", 0.0))
    return said[b"x"] / width, said[b"y"] / height, across / width, down / height


def _place_of_boundary(text: bytes, size_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    said, (across, down) = _bounds(text, size_hw)
    left, right = min(said[b"rbX"]) / across, max(said[b"rbX"]) / across
    top, bottom = min(said[b"rbY"]) / down, max(said[b"rbY"]) / down
    if said[b"rbRx"]:
        radius = said[b"rbRx"][0] / across
        return left, top, 2 * radius, 2 * radius * size_hw[1] / size_hw[0]
    if said[b"rbW"]:
        right += said[b"rbW"][0] / across
        bottom += said[b"rbH"][0] / down if said[b"rbH"] else 0.0
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _written(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
