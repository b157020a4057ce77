"""LabelMe: one JSON file beside each image, with a list of shapes."""

import base64
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Self

import numpy as np

from cleanplate.datasets.annotations import (
    Annotation,
    CroppedMask,
    DatasetImage,
    Polygons,
    TightMask,
    join_polygons,
    polygons_of,
)
from cleanplate.datasets.editor import Editor, ImageEdits, is_file_name, plate_name, plate_path
from cleanplate.datasets.rules import ImageEdit
from cleanplate.datasets.text import (
    Member,
    Span,
    change_records,
    change_values,
    read_text,
    scan_json,
    splice,
)
from cleanplate.errors import InputError, PhotoError

_ADVICE = "correct it, or remove the shape"
_CORNERS = 32  # of a circle
_SPLITS = ("train", "val", "valid", "test")


class LabelMeEditor(Editor):
    """A folder of images with JSON files."""

    format: ClassVar[str] = "LabelMe"

    def __init__(self, root: Path, files: list[Path]) -> None:
        self.root = root
        self._files: dict[Path, Path] = {}  # image -> its JSON
        images: list[DatasetImage] = []
        errors: list[str] = []
        classes: dict[str, None] = {}
        for path in files:
            try:
                members = list(scan_json(path, read_text(path)))
            except PhotoError as error:
                errors.append(str(error))
                continue
            named = next((it.value for it in members if it.key == "imagePath"), None)
            relative = _image_of(path, named).relative_to(root) if _is_inside(named) else None
            if relative is None or relative in self._files:
                cause = "is outside the dataset" if relative is None else "has two files"
                errors.append(f"{path}: its imagePath {named!r} {cause}")
                continue
            first = relative.parts[0] if len(relative.parts) > 1 else None
            split = first if first in _SPLITS else None
            images.append(DatasetImage(root / relative, relative, split))
            self._files[relative] = path
            shapes = (it.value for it in members if it.key == "shapes" and it.is_record)
            classes.update((str(it.get("label")), None) for it in shapes if isinstance(it, dict))
        self.images, self.errors, self.classes = tuple(images), tuple(errors), tuple(classes)

    @classmethod
    def detect(cls, path: Path) -> Self | None:
        """Return the dataset at a path; see `Editor.detect`."""
        files = [it for it in sorted(path.rglob("*.json")) if _looks_like_labelme(it)]
        return cls(path, files) if files else None

    def read(self, image: DatasetImage) -> list[Annotation]:
        """Return the annotations of an image; see `Editor.read`."""
        path = self._files[image.relative]
        shapes = _shapes(list(scan_json(path, read_text(path))))
        return [_parse(path, number, it.value) for number, it in enumerate(shapes, start=1)]

    def label_files(self) -> frozenset[Path]:
        """Return the JSON files."""
        return frozenset(path.relative_to(self.root) for path in self._files.values())

    def edited(self, edits: ImageEdits) -> Iterator[tuple[Path, bytes]]:
        """Yield the JSON files with their new content; see `Editor.edited`."""
        for image in self.images:
            path = self._files[image.relative]
            edit = edits.get(image.relative)
            if edit is not None and edit.is_lost:
                continue
            text = read_text(path)
            if edit is not None:
                text = _edited(path, text, edit)
            yield path.relative_to(self.root), text.encode("utf-8")

    def with_plates(self, edits: ImageEdits) -> Iterator[tuple[Path, bytes]]:
        """Yield the JSON files and those of plates; see `Editor.with_plates`."""
        yield from self.edited({})
        for edit in self.filled(edits):
            path = self._files[edit.image.relative]
            text = _edited(path, read_text(path), edit, is_plate=True)
            yield plate_path(path.relative_to(self.root)), text.encode("utf-8")


def _edited(path: Path, text: str, edit: ImageEdit, *, is_plate: bool = False) -> str:
    members = list(scan_json(path, text))
    shapes = _shapes(members)
    records: dict[int, str | None] = {}
    for index, shape in enumerate(shapes):
        decision = edit.changes.get(f"shape {index + 1}")
        if decision is not None and decision.is_dropped:
            records[index] = None
        elif decision is not None and decision.visible is not None:
            start, end = shape.span
            records[index] = change_values(text[start:end], _values(shape.value, decision.visible))
    changes: list[tuple[Span, str]] = change_records(text, [it.span for it in shapes], records)
    # A copy of the old pixels; without it, LabelMe reads the image's file.
    changes += [
        (it.span, "null")
        for it in members
        if it.key == "imageData" and it.value is not None and edit.mask is not None
    ]
    changes += [
        (it.span, json.dumps(plate_name(it.value)))
        for it in members
        if it.key == "imagePath" and is_plate
    ]
    return splice(text, changes)


def _looks_like_labelme(path: Path) -> bool:
    try:
        text = read_text(path)
    except PhotoError:
        return False
    return '"shapes"' in text and '"imagePath"' in text


def _is_inside(named: object) -> bool:
    if not isinstance(named, str) or not is_file_name(named):
        return False
    parts = PurePosixPath(named.replace("\\", "/"))
    return ".." not in parts.parts and not parts.is_absolute()


def _image_of(path: Path, named: object) -> Path:
    return path.parent / str(named).replace("\\", "/")


def _shapes(members: list[Member]) -> list[Member]:
    return [it for it in members if it.key == "shapes" and it.is_record]


def _parse(path: Path, number: int, shape: Mapping[str, Any]) -> Annotation:
    key = f"shape {number}"
    try:
        label = str(shape["label"])
        points = np.asarray(shape["points"], np.float64).reshape(-1, 2)
        kind = shape.get("shape_type") or "polygon"
        left, top = points.min(axis=0)
        right, bottom = points.max(axis=0)
        outline: Polygons | CroppedMask | None = None
        if kind == "polygon":
            if len(points) < 3:
                raise InputError(f"a polygon of {len(points)} corners")  # noqa: TRY301
            outline = (tuple(points.ravel().tolist()),)
        elif kind == "circle":
            radius = math.dist(*points[:2].tolist())
            turns = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
            circle = points[0] + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)
            outline = (tuple(circle.ravel().tolist()),)
            (left, top), (right, bottom) = points[0] - radius, points[0] + radius
        elif kind == "mask":
            outline = _placed(shape["mask"], round(left), round(top))
            left, top, right, bottom = outline.box
        box = (float(left), float(top), float(right), float(bottom))
        return Annotation(key=key, label=label, box=box, outline=outline)
    except KeyError as error:
        raise PhotoError(path, f"{key} has no {error}", _ADVICE) from error
    except InputError as error:
        raise PhotoError(path, f"{key}: {error}", _ADVICE) from error
    except (OSError, TypeError, ValueError) as error:
        raise PhotoError(path, f"{key} is invalid ({error})", _ADVICE) from error


def _placed(text: str, left: int, top: int) -> CroppedMask:
    from PIL import Image

    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))).astype(np.bool_)
    return CroppedMask((left, top, left + mask.shape[1], top + mask.shape[0]), mask)


def _values(shape: Mapping[str, Any], visible: TightMask) -> dict[str, str]:
    """Return the values of a shape that change, as JSON."""
    from PIL import Image

    (left, top, right, bottom), mask = visible
    values: dict[str, Any] = {"shape_type": "polygon"}
    if shape.get("shape_type") == "mask":
        stream = io.BytesIO()
        Image.fromarray(mask).save(stream, format="PNG")
        text = base64.b64encode(stream.getvalue()).decode("ascii")
        points = [[left, top], [right - 1, bottom - 1]]
        values = {"mask": text, "points": points}
    else:
        values["points"] = np.reshape(join_polygons(polygons_of(visible)), (-1, 2)).tolist()
    return {name: json.dumps(value) for name, value in values.items()}
