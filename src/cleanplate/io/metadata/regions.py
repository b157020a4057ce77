"""Regions in XMP, such as faces with their names: turned with the photo, removed with the object.

Two vocabularies are known: the Metadata Working Group's (centre and size) and Microsoft's (left,
top and size). Both count in shares of the image as it is stored.

References:
    Metadata Working Group, Guidelines for Handling Image Metadata 2.0, section 5.9 (mwg-rs);
    Microsoft, People Tagging Overview (MPRI, MPReg).
"""

import re
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
_NAME = re.compile(rb"(?:mwg-rs:Name|MPReg:PersonDisplayName)" + _IS + rb"""([^"'<]+)""")
_IN_PIXELS = re.compile(rb"stArea:unit" + _IS + rb"pixel")
_INSIDE = 0.5  # share of a region that the hole covers: then it is what was removed


@dataclass(frozen=True, slots=True)
class _Region:
    """One region; where it stands in the packet, and its centre and size in shares of the image."""

    start: int
    end: int
    xywh: tuple[float, float, float, float]
    name: bytes


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


def turn_regions(packet: bytes, orientation: int) -> bytes:
    """Return an XMP packet with its regions where they are in the upright image."""
    size_wh, is_turned = _applied_size(packet), orientation in (5, 6, 7, 8)
    for region in reversed(_regions(packet)):
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


def drop_regions(packet: bytes, hole: npt.NDArray[np.bool_]) -> bytes:
    """Return an XMP packet without the regions that lie in a hole, nor their names elsewhere.

    Args:
        packet: not modified.
        hole: (H, W), oriented as the packet's coordinates are.
    """
    height, width = hole.shape
    gone, stay = [], set()
    for region in _regions(packet):
        x, y, w, h = region.xywh
        columns = slice(max(0, int((x - w / 2) * width)), max(0, int((x + w / 2) * width)) + 1)
        rows = slice(max(0, int((y - h / 2) * height)), max(0, int((y + h / 2) * height)) + 1)
        part = hole[rows, columns]
        if part.size and part.mean() >= _INSIDE:
            gone.append(region)
        else:
            stay.add(region.name)
    for region in reversed(gone):
        packet = packet[: region.start] + packet[region.end :]
    for name in {region.name for region in gone} - stay - {b""}:
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


def _regions(packet: bytes) -> list[_Region]:
    """Return the regions in the order in which they stand; damaged ones are ignored."""
    if b"stArea:x" not in packet and b"MPReg:Rectangle" not in packet:
        return []
    items: list[tuple[int, int]] = []
    open_at: list[int] = []
    for tag in _ITEM.finditer(packet):
        if not tag["closing"]:
            open_at.append(tag.start())
        if (tag["closing"] or tag["empty"]) and open_at:
            items.append((open_at.pop(), tag.end()))
    found: dict[int, _Region] = {}
    for at in re.finditer(rb"stArea:x|MPReg:Rectangle", packet):
        around = [span for span in items if span[0] <= at.start() < span[1]]
        if not around:
            continue
        start, end = min(around, key=lambda span: span[1] - span[0])
        text = packet[start:end]
        try:
            xywh = _place(text, packet)
        except (KeyError, ValueError):
            continue
        name = _NAME.search(text)
        found[start] = _Region(start, end, xywh, name.group(1).strip() if name else b"")
    return [found[start] for start in sorted(found)]


def _place(text: bytes, packet: bytes) -> tuple[float, float, float, float]:
    rectangle = _RECTANGLE.search(text)
    if rectangle is not None:
        left, top, w, h = (float(value) for value in rectangle["value"].split(b","))
        return left + w / 2, top + h / 2, w, h
    said = {match["name"]: float(match["value"]) for match in _AREA.finditer(text)}
    width, height = _applied_size(packet) if _IN_PIXELS.search(text) else (1.0, 1.0)
    across = said.get(b"w", said.get(b"d", 0.0))
    down = said.get(b"h", said.get(b"d", 0.0))
    return said[b"x"] / width, said[b"y"] / height, across / width, down / height


def _written(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
