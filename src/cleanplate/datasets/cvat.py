"""CVAT for images 1.1: one XML file with the shapes of all images.

Reference:
    docs.cvat.ai, XML annotation format.
"""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from cleanplate.datasets.annotations import (
    Annotation,
    BoxXYXY,
    CroppedMask,
    DatasetImage,
    Polygons,
    TightMask,
    box_of,
    join_polygons,
    polygons_of,
)
from cleanplate.datasets.editor import Editor, ImageEdits, plate_bytes
from cleanplate.datasets.rules import ImageEdit
from cleanplate.datasets.text import (
    Element,
    Span,
    change_attributes,
    parse_xml,
    read_bytes,
    remove_element,
    splice_bytes,
)
from cleanplate.errors import PhotoError
from cleanplate.io import MAX_PIXELS

_Corners = npt.NDArray[np.float64]  # (N, 2), x and y in px

_ADVICE = "correct it, or remove the shape"
_NAME = re.compile(rb"(?<=\sname=[\"'])[^\"']*")
_SHAPES = ("box", "polygon", "mask", "ellipse", "polyline", "points", "cuboid")


class CvatEditor(Editor):
    """An XML file of CVAT, and images below its folder."""

    format: ClassVar[str] = "CVAT"

    def __init__(self, path: Path, content: bytes) -> None:
        self._path, self._content, self.root = path, content, path.parent
        tree = parse_xml(path, content)
        self._elements: dict[Path, Element] = {}
        images = []
        errors = []
        for element in tree.children:
            if element.name != "image":
                continue
            name = element.attributes.get("name", "")
            subset = element.attributes.get("subset")
            places = [self.root / "images" / (subset or "") / name, self.root / "images" / name]
            source = next((it for it in places if it.is_file()), self.root / name)
            is_inside = name and ".." not in Path(name).parts and not Path(name).is_absolute()
            relative = source.relative_to(self.root) if is_inside else None
            if relative is None or relative in self._elements:
                number = element.attributes.get("id")
                errors.append(
                    f"{path}: image {number}: its name {name!r} occurs twice or is invalid"
                )
                continue
            split = subset.lower() if subset and subset != "default" else None
            number = element.attributes.get("id")
            images.append(DatasetImage(source, relative, split, number=number))
            self._elements[relative] = element
        self.images, self.errors = tuple(images), tuple(errors)
        labels = (
            it.attributes.get("label") for one in self._elements.values() for it in _shapes(one)
        )
        self.classes = tuple(sorted({label for label in labels if label}))

    @classmethod
    def detect(cls, path: Path) -> Self | None:
        """Return the dataset at a path; see `Editor.detect`."""
        for candidate in [path] if path.is_file() else sorted(path.glob("*.xml")):
            if candidate.suffix.lower() == ".xml":
                content = read_bytes(candidate)
                if b"<annotations" in content and b"<image " in content:
                    return cls(candidate, content)
        return None

    def read(self, image: DatasetImage) -> list[Annotation]:
        """Return the annotations of an image; see `Editor.read`."""
        shapes = _shapes(self._elements[image.relative])
        return [self._parse(image, number, it) for number, it in enumerate(shapes, start=1)]

    def label_files(self) -> frozenset[Path]:
        """Return the XML file."""
        return frozenset((self._path.relative_to(self.root),))

    def edited(self, edits: ImageEdits) -> Iterator[tuple[Path, bytes]]:
        """Yield the XML file with its new content; see `Editor.edited`."""
        changes: list[tuple[Span, bytes]] = []
        for relative, edit in edits.items():
            element = self._elements[relative]
            if edit.is_lost:
                changes.append(remove_element(self._content, element))
                continue
            changes += self._edited(element, edit)
        yield self._path.relative_to(self.root), splice_bytes(self._content, changes)

    def with_plates(self, edits: ImageEdits) -> Iterator[tuple[Path, bytes]]:
        """Yield the XML file with plates added; see `Editor.with_plates`."""
        content = self._content
        numbers = [int(it.number) for it in self.images if it.number and it.number.isdigit()]
        first = max(numbers, default=-1) + 1
        last = max(self._elements.values(), key=lambda it: it.end)
        space = content[len(content[: last.start].rstrip()) : last.start]
        plates = b""
        for number, edit in enumerate(self.filled(edits), start=first):
            element = self._elements[edit.image.relative]
            span, tag = change_attributes(content, element, {"id": str(number)})
            tag = _NAME.sub(lambda it: plate_bytes(it[0]), tag)
            start = element.start
            own = [
                ((here - start, there - start), new)
                for (here, there), new in [*self._edited(element, edit), (span, tag)]
            ]
            plates += space + splice_bytes(content[start : element.end], own)
        changed = splice_bytes(content, [((last.end, last.end), plates)])
        yield self._path.relative_to(self.root), changed

    def _edited(self, element: Element, edit: ImageEdit) -> list[tuple[Span, bytes]]:
        """Return what changes in an image's element."""
        changes = []
        for number, shape in enumerate(_shapes(element), start=1):
            decision = edit.changes.get(f"shape {number}")
            if decision is not None and decision.is_dropped:
                changes.append(remove_element(self._content, shape))
            elif decision is not None and decision.visible is not None:
                values = _values(shape, decision.visible)
                changes.append(change_attributes(self._content, shape, values))
        return changes

    def _parse(self, image: DatasetImage, number: int, shape: Element) -> Annotation:
        key = f"shape {number}"
        try:
            box, outline = _geometry(shape)
            label = shape.attributes["label"]
            return Annotation(key=key, label=label, box=box, outline=outline)
        except KeyError as error:
            cause = f"image {image.number}: {key} has no {error}"
            raise PhotoError(self._path, cause, _ADVICE) from error
        except ValueError as error:
            cause = f"image {image.number}: {key} is invalid ({error})"
            raise PhotoError(self._path, cause, _ADVICE) from error


def _shapes(image: Element) -> list[Element]:
    return [it for it in image.children if it.name in _SHAPES]


def _geometry(shape: Element) -> tuple[BoxXYXY, Polygons | CroppedMask | None]:
    """Return a shape's box, and its outline if it has one.

    Raises:
        KeyError: an attribute is missing.
        ValueError: one cannot be understood.
    """
    given = shape.attributes
    if shape.name == "box":
        left, top, right, bottom = (float(given[it]) for it in ("xtl", "ytl", "xbr", "ybr"))
        box = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        return _around(_rotated(box, shape)), None
    if shape.name == "mask":
        left, top, width, height = (int(given[it]) for it in ("left", "top", "width", "height"))
        counts = [int(it) for it in given["rle"].split(",")]
        if min(width, height) < 1 or width * height > MAX_PIXELS or sum(counts) != width * height:
            raise ValueError(f"its run lengths do not fill {width} x {height} px")
        values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        placed = CroppedMask((left, top, left + width, top + height), values.reshape(height, width))
        return (left, top, left + width, top + height), placed
    if shape.name == "ellipse":
        cx, cy, rx, ry = (float(given[it]) for it in ("cx", "cy", "rx", "ry"))
        turns = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        corners = np.stack([cx + rx * np.cos(turns), cy + ry * np.sin(turns)], axis=1)
        corners = _rotated(corners, shape)
        return _around(corners), (tuple(corners.ravel().tolist()),)
    if shape.name == "cuboid":
        names = [it for it in given if it[0] == "x" and f"y{it[1:]}" in given]
        points = np.array([[float(given[it]), float(given[f"y{it[1:]}"])] for it in names])
    else:
        points = np.array(
            [[float(it) for it in pair.split(",")] for pair in given["points"].split(";")]
        )
    outline = (tuple(points.ravel().tolist()),) if shape.name == "polygon" else None
    return _around(points), outline


def _rotated(corners: _Corners, shape: Element) -> _Corners:
    """Return (N, 2) corners of a shape, turned around its middle as its `rotation` says."""
    angle = math.radians(float(shape.attributes.get("rotation", 0)))  # clockwise, y is down
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    turn = np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])
    return (corners - middle) @ turn + middle if angle else corners


def _around(points: _Corners) -> BoxXYXY:
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return left, top, right, bottom


def _values(shape: Element, visible: TightMask) -> Mapping[str, str]:
    """Return the attributes of a clipped shape that change."""
    left, top, right, bottom = box_of(visible)
    if shape.name == "mask":
        flat = np.concatenate([[False], visible[1].ravel(), [True]])
        edges = np.flatnonzero(np.diff(flat.astype(np.int8)))
        bounds = [0, *edges.tolist(), flat.size - 2]
        counts = [end - start for start, end in pairwise(bounds)]
        while counts and counts[-1] == 0:
            counts.pop()
        numbers = (left, top, right - left, bottom - top)
        names = ("left", "top", "width", "height")
        placed = {name: str(int(it)) for name, it in zip(names, numbers, strict=True)}
        return {"rle": ", ".join(map(str, counts)), **placed, "occluded": "1"}
    if shape.name == "polygon":
        corners = np.reshape(join_polygons(polygons_of(visible)), (-1, 2))
        return {"points": ";".join(f"{x:.2f},{y:.2f}" for x, y in corners), "occluded": "1"}
    return {"occluded": "1"}
