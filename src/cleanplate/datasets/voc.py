"""PASCAL VOC: one XML file for each image, lists of images, and masks of classes and objects.

Reference:
    Everingham et al., The PASCAL Visual Object Classes Challenge 2012, Development Kit.
"""

import io
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.datasets.annotations import (
    Annotation,
    BoxXYXY,
    CroppedMask,
    DatasetImage,
    TightMask,
    tight_mask,
)
from cleanplate.datasets.editor import Editor, ImageEdits, plate_bytes, plate_path
from cleanplate.datasets.rules import ImageEdit
from cleanplate.datasets.sizes import check_mask_size
from cleanplate.datasets.text import (
    Element,
    Span,
    append_lines,
    change_text,
    parse_xml,
    read_bytes,
    remove_element,
    splice_bytes,
)
from cleanplate.errors import InputError, PhotoError
from cleanplate.io import is_photo_name
from cleanplate.ops import box_iou

_ADVICE = "correct it, or remove the object"
_MASKS = ("SegmentationClass", "SegmentationObject")
_VOID = 255  # between objects, in the masks
_VOID_PX = 6  # how wide it may be
_MIN_IOU = 0.5  # of an object's box and that of its mask
_CLIPPED_EDGES = ("xmin", "ymin", "xmax", "ymax")


class VocEditor(Editor):
    """A folder with Annotations, JPEGImages, ImageSets and masks."""

    format: ClassVar[str] = "PASCAL VOC"

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lists = sorted((root / "ImageSets").rglob("*.txt"))
        splits: dict[str, set[str]] = defaultdict(set)
        for path in self._lists:
            if path.stem in ("train", "val", "test", "trainval"):
                for name in _names(path):
                    splits[name].add(path.stem)
        files = sorted((root / "JPEGImages").iterdir())
        by_stem = {path.stem: path for path in files if is_photo_name(path.name)}
        images = []
        problems: list[str] = []
        self._files: dict[Path, Path] = {}  # image -> its XML
        classes: set[str] = set()
        for path in sorted((root / "Annotations").glob("*.xml")):
            source = by_stem.get(path.stem, root / "JPEGImages" / f"{path.stem}.jpg")
            relative = source.relative_to(root)
            found = splits.get(path.stem, set())
            split = ", ".join(sorted(found - {"trainval"} or found)) or None
            if split is None and splits:
                split = "unlisted"
            images.append(DatasetImage(source, relative, split))
            self._files[relative] = path
            try:
                tree = parse_xml(path, read_bytes(path))
            except PhotoError:  # reading the image will report it
                continue
            for number, it in enumerate(_objects(tree), start=1):
                classes.add(it.value("name"))
                box = it.find("bndbox")
                if box is not None and "0" in (box.value("xmin"), box.value("ymin")):
                    problems.append(f"{path}: object {number} begins at 0; VOC counts from 1")
        listed = {name for path in self._lists for name in _names(path)}
        known = {path.stem for path in self._files.values()}
        problems += [
            f"{root / 'ImageSets'}: {it} has no annotations" for it in sorted(listed - known)
        ]
        self.images, self.problems = tuple(images), tuple(problems)
        self.classes = tuple(sorted(classes - {""}))

    @classmethod
    def detect(cls, path: Path) -> Self | None:
        """Return the dataset at a path; see `Editor.detect`."""
        for root in (path, *sorted(path.glob("VOC*")), *sorted(path.glob("VOCdevkit/VOC*"))):
            if (root / "Annotations").is_dir() and (root / "JPEGImages").is_dir():
                return cls(root)
        return None

    def read(self, image: DatasetImage) -> list[Annotation]:
        """Return the annotations of an image; see `Editor.read`."""
        path = self._files[image.relative]
        objects = _objects(parse_xml(path, read_bytes(path)))
        boxes = [_box(path, number, it) for number, it in enumerate(objects, start=1)]
        for folder in _MASKS:
            mask = self.root / folder / f"{path.stem}.png"
            if mask.is_file():
                check_mask_size(mask, _read_indices(mask).shape, image.source)
        outlines = self._outlines(path.stem, boxes)
        annotations = []
        for number, (element, box) in enumerate(zip(objects, boxes, strict=True), start=1):
            label = element.value("name")
            if not label:
                raise PhotoError(path, f"object {number} has no name", _ADVICE)
            _, outline = outlines.get(number, (0, None))
            try:
                annotations.append(
                    Annotation(key=f"object {number}", label=label, box=box, outline=outline)
                )
            except InputError as error:
                raise PhotoError(path, f"object {number}: {error}", _ADVICE) from error
        return annotations

    def label_files(self) -> frozenset[Path]:
        """Return the XML files, lists and masks."""
        folders = ("Annotations", "ImageSets", *_MASKS)
        return frozenset(
            path.relative_to(self.root)
            for folder in folders
            for path in (self.root / folder).rglob("*")
            if path.is_file()
        )

    def edited(self, edits: ImageEdits) -> Iterator[tuple[Path, bytes]]:
        """Yield XML files, masks and lists with their new content; see `Editor.edited`."""
        present: dict[str, set[str]] = {}  # image -> classes that are left, where that changed
        lost = set()
        for image in self.images:
            path = self._files[image.relative]
            edit = edits.get(image.relative)
            if edit is not None and edit.is_lost:
                lost.add(path.stem)
                continue
            if edit is not None and edit.changes:
                present[path.stem] = set(edit.classes_left)
            yield from self._files_of(path, edit)
        for path in self._lists:
            lines = _edited_lines(path, present, lost)
            yield path.relative_to(self.root), b"".join(lines)

    def with_plates(self, edits: ImageEdits) -> Iterator[tuple[Path, bytes]]:
        """Yield XML files, masks and lists with plates added; see `Editor.with_plates`."""
        for image in self.images:
            yield from self._files_of(self._files[image.relative], None)
        present: dict[str, set[str]] = {}  # of plates: classes that are left
        for edit in self.filled(edits):
            path = self._files[edit.image.relative]
            present[path.stem] = set(edit.classes_left)
            for relative, content in self._files_of(path, edit):
                is_xml = relative.suffix == ".xml"
                yield plate_path(relative), _renamed(path, content) if is_xml else content
        for path in self._lists:
            lines = []
            for line in _edited_lines(path, present, set()):
                words = line.split()
                if words and words[0].decode("utf-8", "replace") in present:
                    if len(words) > 1 and path.stem.rpartition("_")[0] not in self.classes:
                        continue  # of parts or actions: its numbers are of objects
                    name = plate_bytes(words[0])
                    lines.append(line.replace(words[0], name, 1).rstrip(b"\r\n"))
            yield path.relative_to(self.root), append_lines(read_bytes(path), lines)

    def _files_of(self, path: Path, edit: ImageEdit | None) -> Iterator[tuple[Path, bytes]]:
        """Yield the XML file and the masks of an image."""
        content = read_bytes(path)
        if edit is not None and edit.changes:
            content = self._edited_xml(path, content, edit)
        yield path.relative_to(self.root), content
        yield from self._masks(path.stem, edit)

    def _edited_xml(self, path: Path, content: bytes, edit: ImageEdit) -> bytes:
        changes: list[tuple[Span, bytes]] = []
        for number, element in enumerate(_objects(parse_xml(path, content)), start=1):
            decision = edit.changes.get(f"object {number}")
            if decision is not None and decision.is_dropped:
                changes.append(remove_element(content, element))
            elif decision is not None and decision.visible is not None:
                changes += _clipped(element, decision.visible)
        return splice_bytes(content, changes)

    def _outlines(self, stem: str, boxes: list[BoxXYXY]) -> dict[int, tuple[int, CroppedMask]]:
        """Return number of an object -> its index in the mask of objects, and its pixels."""
        path = self.root / "SegmentationObject" / f"{stem}.png"
        if not path.is_file():
            return {}
        indices = _read_indices(path)
        found: dict[int, tuple[int, CroppedMask]] = {}
        taken: set[int] = set()
        height, width = indices.shape
        for index in np.unique(indices).tolist():
            if index in (0, _VOID):
                continue
            region = tight_mask((0, 0, width, height), indices == index)
            scores = {
                number: box_iou(region[0], box)
                for number, box in enumerate(boxes, start=1)
                if number not in taken
            }
            number = max(scores, key=lambda it: scores[it], default=0)
            if number and scores[number] >= _MIN_IOU:
                taken.add(number)
                found[number] = index, CroppedMask(*region)
        return found

    def _masks(self, stem: str, edit: ImageEdit | None) -> Iterator[tuple[Path, bytes]]:
        paths = [self.root / folder / f"{stem}.png" for folder in _MASKS]
        if not any(path.is_file() for path in paths):
            return
        clear: npt.NDArray[np.bool_] | None = None
        if edit is not None and edit.changes:
            xml = self._files[edit.image.relative]
            objects = _objects(parse_xml(xml, read_bytes(xml)))
            boxes = [_box(xml, number, it) for number, it in enumerate(objects, start=1)]
            clear = self._cleared(stem, edit, boxes)
        for path in paths:
            if path.is_file():
                content = read_bytes(path)
                if clear is not None and clear.any():
                    content = _set_background(content, clear)
                yield path.relative_to(self.root), content

    def _cleared(
        self, stem: str, edit: ImageEdit, boxes: list[BoxXYXY]
    ) -> "npt.NDArray[np.bool_] | None":
        """Return the pixels that become background: of dropped objects, and hidden ones."""
        path = self.root / "SegmentationObject" / f"{stem}.png"
        if not path.is_file():
            return None
        indices = _read_indices(path)
        clear = np.zeros(indices.shape, np.bool_)
        for number, (index, _) in self._outlines(stem, boxes).items():
            decision = edit.changes.get(f"object {number}")
            if decision is None:
                continue
            own = indices == index
            if decision.visible is not None:
                (left, top, right, bottom), rest = decision.visible
                own[top:bottom, left:right] &= ~rest
            elif not decision.is_dropped:
                continue
            clear |= own
        return clear | _void_of(indices, clear)


def _names(path: Path) -> list[str]:
    lines = path.read_text("utf-8", errors="replace").splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def _objects(tree: Element) -> list[Element]:
    return [it for it in tree.children if it.name == "object"]


def _box(path: Path, number: int, element: Element) -> BoxXYXY:
    """Return an object's box in px, from 1-based and inclusive edges.

    Raises:
        PhotoError: an edge is missing, no number, or in the wrong order.
    """
    box = element.find("bndbox")
    if box is None:
        raise PhotoError(path, f"object {number} has no bndbox", _ADVICE)
    try:
        left, top, right, bottom = (float(box.value(edge)) for edge in _CLIPPED_EDGES)
    except ValueError as error:
        raise PhotoError(path, f"object {number}: {error}", _ADVICE) from error
    if not (left <= right and top <= bottom):  # also if one is not a number
        edges = f"{left:g} {top:g} {right:g} {bottom:g}"
        cause = f"object {number}: its box ends before it starts ({edges})"
        raise PhotoError(path, cause, _ADVICE)
    # Some tools write 0-based boxes; only an edge of 0 shows it.
    return max(0.0, left - 1), max(0.0, top - 1), right, bottom


def _clipped(element: Element, visible: TightMask) -> list[tuple[Span, bytes]]:
    """Return the changes that clip an object's box and mark it as truncated and occluded."""
    left, top, right, bottom = visible[0]
    changes = []
    box = element.find("bndbox")
    for name, value in zip(_CLIPPED_EDGES, (left + 1, top + 1, right, bottom), strict=True):
        child = None if box is None else box.find(name)
        if child is not None:
            changes.append(change_text(child, str(value)))
    for name in ("truncated", "occluded"):
        child = element.find(name)
        if child is not None:
            changes.append(change_text(child, "1"))
    return changes


def _renamed(path: Path, content: bytes) -> bytes:
    """Return an XML file that names the plate instead of its image."""
    named = parse_xml(path, content).find("filename")
    if named is None:
        return content
    span = (named.opened, named.closing)
    return splice_bytes(content, [(span, plate_bytes(content[slice(*span)].rstrip()))])


def _edited_lines(path: Path, present: Mapping[str, set[str]], lost: set[str]) -> list[bytes]:
    """Return a list without lost images; in one of a class, 1 becomes -1 once none is left."""
    content = read_bytes(path)
    label = path.stem.rpartition("_")[0]
    lines = []
    for line in content.splitlines(keepends=True):
        words = line.split()
        stem = words[0].decode("utf-8", "replace") if words else ""
        if stem in lost:
            continue
        if len(words) == 2 and words[1] == b"1" and stem in present and label not in present[stem]:
            start, _, end = line.rpartition(b"1")
            aligned = start.removesuffix(b" ") if start.endswith(b"  ") else start
            lines.append(aligned + b"-1" + end)
        else:
            lines.append(line)
    return lines


def _read_indices(path: Path) -> npt.NDArray[np.uint8]:
    """Return (H, W) palette indices.

    Raises:
        PhotoError: the file is not a palette or grey PNG.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L"):
                cause = f"its mode is {image.mode}, not a palette"
                raise PhotoError(path, cause, "export the masks again")
            return np.asarray(image, np.uint8)
    except (OSError, ValueError) as error:
        if isinstance(error, PhotoError):
            raise
        raise PhotoError(path, f"it cannot be read ({error})", "export the masks again") from error


def _void_of(indices: npt.NDArray[np.uint8], clear: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the void that borders on what is cleared, and on no kept object."""
    void = indices == _VOID
    stays = (indices != 0) & ~void & ~clear
    kernel = np.ones((3, 3), np.uint8)
    # The void between objects is some 5 px wide: each of its pixels belongs to what is nearest.
    near, far = clear.astype(np.uint8), stays.astype(np.uint8)
    owned = np.zeros(void.shape, np.bool_)
    for _ in range(_VOID_PX):
        near = np.asarray(cv2.dilate(near, kernel), np.uint8)
        far = np.asarray(cv2.dilate(far, kernel), np.uint8)
        owned |= void & (near > 0) & (far == 0)
    return owned


def _set_background(content: bytes, clear: npt.NDArray[np.bool_]) -> bytes:
    """Return a palette PNG with some pixels set to 0; palette and mode stay."""
    from PIL import Image

    image: Any = Image.open(io.BytesIO(content))
    pixels = np.array(image)
    pixels[clear] = 0
    edited = image.copy()  # with its palette
    edited.frombytes(pixels.tobytes())
    stream = io.BytesIO()
    edited.save(stream, format="PNG")
    return stream.getvalue()
