"""COCO: JSON files with the annotations of many images.

Instances, keypoints, panoptic segments and captions of the same images are edited together.
Records are cut from the text, or values in them replaced.

Reference:
    Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014; cocodataset.org, data format.
"""

import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from cleanplate.datasets.annotations import (
    Annotation,
    AnnotationEdit,
    CroppedMask,
    DatasetImage,
    Rle,
    box_of,
    polygons_of,
    tight_mask,
)
from cleanplate.datasets.editor import Editor, ImageEdits, is_file_name, plate_name, plate_path
from cleanplate.datasets.rules import ImageEdit, decide
from cleanplate.datasets.sizes import check_mask_size
from cleanplate.datasets.text import (
    Span,
    append_records,
    change_records,
    change_values,
    read_bytes,
    read_text,
    scan_json,
    splice,
)
from cleanplate.errors import InputError, PhotoError
from cleanplate.io import read_mask
from cleanplate.labels import aliases_of
from cleanplate.ops import encode_rle, pack_counts, unpack_counts

Kind = Literal["instances", "captions", "stuff", "panoptic"]

_KIND_AND_SPLIT = re.compile(
    r"(instances|person_keypoints|captions|stuff|panoptic|image_info)_(.+)"
)
_NO_DERIVATIVES = re.compile(r"-nd\b|no.?deriv", re.IGNORECASE)
_ADVICE = "correct it, or remove the record"


@dataclass(slots=True)
class _File:
    """One JSON file, and where its records stand."""

    path: Path
    text: str
    kind: Kind = "instances"
    split: str | None = None
    folder: Path = Path()  # of its images
    categories: dict[object, str] = field(default_factory=dict)
    stuff: set[object] = field(default_factory=set)  # ids of stuff categories
    images: list[Span] = field(default_factory=list)
    annotations: list[Span] = field(default_factory=list)
    names: dict[object, str] = field(default_factory=dict)  # image id -> file name
    image_index: dict[object, int] = field(default_factory=dict)  # image id -> index in `images`
    of_image: dict[object, list[int]] = field(default_factory=lambda: defaultdict(list))
    duplicate_image_ids: set[object] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _licences: dict[object, str] = field(default_factory=dict)  # those that forbid changes, by id
    _licence_ids: dict[object, object] = field(default_factory=dict)  # image id -> licence id
    annotation_ids: set[object] = field(default_factory=set)

    def record(self, index: int) -> dict[str, Any]:
        """Return an annotation's record."""
        start, end = self.annotations[index]
        return dict(json.loads(self.text[start:end]))

    def forbidding_licence(self, image_id: object) -> str | None:
        """Return the licence of an image if it forbids changed copies."""
        return self._licences.get(self._licence_ids.get(image_id))

    def take_licence(self, record: Mapping[str, Any]) -> None:
        """Note a licence that forbids changed copies."""
        if _NO_DERIVATIVES.search(f"{record.get('url')} {record.get('name')}"):
            self._licences[_id_of(record)] = str(record.get("name") or record.get("url"))

    def take_category(self, record: Mapping[str, Any]) -> None:
        """Note a category."""
        number = _id_of(record)
        if number is None:
            self.problems.append(f"{self.path}: category {record.get('name')!r} has no id")
            return
        self.categories[number] = str(record.get("name"))
        if not record.get("isthing", 1):
            self.stuff.add(number)

    def take_image(self, record: Mapping[str, Any]) -> None:
        """Note an image, whose span is the last one."""
        image_id, name = record.get("id"), record.get("file_name")
        if not isinstance(image_id, int | str) or not isinstance(name, str):
            self.errors.append(f"{self.path}: image {len(self.images)} has no id or no file_name")
            return
        if not is_file_name(name):
            self.errors.append(f"{self.path}: image {image_id}: {name!r} is not a file's name")
            return
        if image_id in self.names:
            self.duplicate_image_ids.add(image_id)
            self.problems.append(f"{self.path}: image id {image_id} occurs twice")
        self.names[image_id] = name
        self._licence_ids[image_id] = _id_of(record, "license")
        self.image_index[image_id] = len(self.images) - 1

    def take_annotation(self, record: Mapping[str, Any]) -> None:
        """Note an annotation, whose span is the last one."""
        number, image_id = _id_of(record), record.get("image_id")
        if not isinstance(image_id, int | str):
            self.problems.append(f"{self.path}: annotation {number}: its image_id is {image_id!r}")
            return
        if "caption" in record:
            self.kind = "captions"
        elif "segments_info" in record:
            self.kind = "panoptic"
        if number is not None and number in self.annotation_ids:
            self.problems.append(f"{self.path}: annotation id {number} occurs twice")
        self.annotation_ids.add(number)
        self.of_image[image_id].append(len(self.annotations) - 1)


class CocoEditor(Editor):
    """A folder with COCO's JSON files, or one such file."""

    format: ClassVar[str] = "COCO"

    def __init__(self, root: Path, files: list[_File], errors: list[str]) -> None:
        self.root, self._files = root, files
        self._ids: dict[Path, list[tuple[_File, Any]]] = defaultdict(list)
        images: dict[Path, DatasetImage] = {}
        problems: list[str] = []
        for file in files:
            for image_id, name in file.names.items():
                source = file.folder / name
                try:
                    relative = source.relative_to(root)
                except ValueError:
                    relative = Path("..")
                if ".." in relative.parts:
                    errors.append(f"{file.path}: image {image_id}: {name!r} lies outside {root}")
                    continue
                found = DatasetImage(
                    source, relative, file.split, file.forbidding_licence(image_id), str(image_id)
                )
                image = images.setdefault(relative, found)
                if file.split != image.split and file.split is not None:
                    images[relative] = replace(image, split=f"{image.split}, {file.split}")
                self._ids[relative].append((file, image_id))
            unknown = [image_id for image_id in file.of_image if image_id not in file.names]
            problems += [
                f"{file.path}: annotations of image {it}, which is not listed" for it in unknown
            ]
            problems += file.problems
            errors += file.errors
        self.images = tuple(images.values())
        self.problems, self.errors = tuple(problems), tuple(errors)
        labelled = [file for file in files if file.kind == "instances"]
        things = {
            name: None
            for file in labelled or files
            for number, name in file.categories.items()
            if number not in file.stuff
        }
        self.classes = tuple(things)

    @classmethod
    def detect(cls, path: Path) -> Self | None:
        """Return the dataset at a path; see `Editor.detect`."""
        if path.is_file():
            candidates, root = [path] if path.suffix == ".json" else [], path.parent
            if root.name == "annotations":
                root = root.parent
        else:
            root = path
            candidates = [
                *sorted(path.glob("*.json")),
                *sorted(path.glob("annotations/*.json")),
                *sorted(path.glob("*/_annotations.coco.json")),
            ]
        files: list[_File] = []
        failures: list[PhotoError] = []
        for candidate in candidates:
            try:
                if _looks_like_coco(candidate) and (file := _load(candidate, root)):
                    files.append(file)
            except PhotoError as failure:
                failures.append(failure)
        if failures and not files:
            raise failures[0]
        return cls(root, files, [str(it) for it in failures]) if files else None

    def read(self, image: DatasetImage) -> list[Annotation]:
        """Return the annotations of an image; see `Editor.read`."""
        found: dict[str, Annotation] = {}
        segments: list[Annotation] = []
        for file, image_id in self._ids[image.relative]:
            if image_id in file.duplicate_image_ids:
                cause = f"image id {image_id} occurs twice"
                raise PhotoError(file.path, cause, "give each image its own id")
            if file.kind == "panoptic":
                segments += _segments(file, image_id, image.source)
            if file.kind != "instances":
                continue
            keys = set()
            for index in file.of_image.get(image_id, ()):
                record = file.record(index)
                annotation = _parse(file, record)
                if annotation.key in keys:
                    cause = f"{annotation.key} occurs twice in an image"
                    raise PhotoError(file.path, cause, "give each record its own id")
                keys.add(annotation.key)
                if record.get("category_id") in file.stuff:
                    continue
                known = found.get(annotation.key)
                if known is None:
                    found[annotation.key] = annotation
                else:  # keypoints of the same object
                    found[annotation.key] = replace(
                        known,
                        outline=known.outline or annotation.outline,
                        keypoints=known.keypoints or annotation.keypoints,
                    )
        if not any(file.kind == "instances" for file, _ in self._ids[image.relative]):
            return segments
        return list(found.values())

    def label_files(self) -> frozenset[Path]:
        """Return the JSON files, and the PNG files of panoptic ones."""
        paths = {file.path for file in self._files}
        for file in self._files:
            if file.kind == "panoptic" and (folder := _folder_of_segments(file)).is_dir():
                paths.update(folder.glob("*.png"))
        return frozenset(path.relative_to(self.root) for path in paths)

    def edited(self, edits: ImageEdits) -> Iterator[tuple[Path, bytes]]:
        """Yield the JSON files with their new content; see `Editor.edited`."""
        for file in self._files:
            images: dict[int, str | None] = {}
            annotations: dict[int, str | None] = {}
            drawn: dict[Path, bytes | None] = {}  # PNG of segments -> its content, None: lost
            for edit in edits.values():
                for its_file, image_id in self._ids[edit.image.relative]:
                    if its_file is not file:
                        continue
                    if file.kind == "panoptic" and (edit.is_lost or edit.mask is not None):
                        records, pictures = _edited_segments(file, image_id, edit)
                        annotations |= records
                        drawn |= pictures
                    if edit.is_lost:
                        images[file.image_index[image_id]] = None
                        annotations.update(dict.fromkeys(file.of_image.get(image_id, ())))
                    elif edit.changes:
                        annotations.update(_changed(file, image_id, edit))
            changes = [
                *change_records(file.text, file.images, images),
                *change_records(file.text, file.annotations, annotations),
            ]
            if file.kind == "panoptic":
                yield from self._drawn(file, drawn)
            yield file.path.relative_to(self.root), splice(file.text, changes).encode("utf-8")

    def with_plates(self, edits: ImageEdits) -> Iterator[tuple[Path, bytes]]:
        """Yield the JSON files with plates added; see `Editor.with_plates`.

        A plate has the same new id in all files, and so have records of one object.
        """
        filled = self.filled(edits)
        first = _first_free(it for file in self._files for it in file.names)
        free = _first_free(it for file in self._files for it in file.annotation_ids)
        numbers: dict[tuple[Path, Kind, object], int] = {}  # image, kind, id of a record
        for file in self._files:
            images: list[str] = []
            annotations: list[str] = []
            if file.kind == "panoptic":
                yield from self._drawn(file, {})
            shown = (
                (number, edit, image_id)
                for number, edit in enumerate(filled, start=first)
                for its_file, image_id in self._ids[edit.image.relative]
                if its_file is file
            )
            for number, edit, image_id in shown:
                new_id = _new_id(image_id, number)
                images.append(_plate_record(file, image_id, new_id))
                records, pictures = _records_after(file, image_id, edit)
                for index, text in records.items():
                    record, values = file.record(index), {"image_id": new_id}
                    if _id_of(record) is not None:
                        key = (edit.image.relative, file.kind, record["id"])
                        new = numbers.setdefault(key, free + len(numbers))
                        values["id"] = _new_id(record["id"], new)
                    if file.kind == "panoptic":
                        values["file_name"] = json.dumps(plate_name(record["file_name"]))
                        path = _segments_file(file, record)
                        content = pictures.get(path) or read_bytes(path)
                        yield plate_path(path.relative_to(self.root)), content
                    annotations.append(change_values(text, values))
            changes = [
                *append_records(file.text, file.images, images),
                *append_records(file.text, file.annotations, annotations),
            ]
            yield file.path.relative_to(self.root), splice(file.text, changes).encode("utf-8")

    def _drawn(
        self, file: _File, changed: Mapping[Path, bytes | None]
    ) -> Iterator[tuple[Path, bytes]]:
        """Yield the PNG files of a panoptic file."""
        for path in sorted(_folder_of_segments(file).glob("*.png")):
            content = changed[path] if path in changed else read_bytes(path)
            if content is not None:
                yield path.relative_to(self.root), content


def _id_of(record: Mapping[str, Any], key: str = "id") -> int | float | str | None:
    """Return an id; None if it is none."""
    number = record.get(key)
    return number if isinstance(number, int | float | str) else None


def _first_free(ids: Iterable[object]) -> int:
    """Return the number above all ids that are numbers."""
    return max((it for it in ids if isinstance(it, int)), default=0) + 1


def _new_id(old: object, number: int) -> str:
    """Return the id of a copy as JSON: a number, or where ids are words, one of those."""
    return json.dumps(plate_name(old)) if isinstance(old, str) else str(number)


def _looks_like_coco(path: Path) -> bool:
    """Return whether the start of a file has what the others have not, without parsing it."""
    if path.name == "_annotations.coco.json" or _KIND_AND_SPLIT.fullmatch(path.stem):
        return True
    content = read_bytes(path)
    return b'"images"' in content and b'"annotations"' in content


def _load(path: Path, root: Path) -> _File | None:
    """Return a file with its records indexed; None if it is not a COCO file."""
    file = _File(path, read_text(path))
    take = {"licenses": file.take_licence, "categories": file.take_category}
    take |= {"images": file.take_image, "annotations": file.take_annotation}
    counts: Counter[str] = Counter()
    for member in scan_json(path, file.text):
        if not member.is_record or member.key not in take:
            continue
        counts[member.key] += 1
        if member.key in ("images", "annotations"):
            getattr(file, member.key).append(member.span)
        if isinstance(member.value, dict):
            take[member.key](member.value)
        else:
            messages = file.errors if member.key == "images" else file.problems
            record = f"{member.key}, record {counts[member.key]}"
            messages.append(f"{path}: {record}: {json.dumps(member.value)[:40]} is not an object")
    if not file.images:
        return None
    named = _KIND_AND_SPLIT.fullmatch(path.stem)
    if named:
        file.split = named[2]
        if named[1] == "stuff":
            file.kind = "stuff"
    elif path.name == "_annotations.coco.json":
        file.split = path.parent.name if path.parent != root else None
    elif re.search(r"train|val|test", path.stem):
        file.split = path.stem
    file.folder = _folder_of_images(file, root)
    return file


def _folder_of_images(file: _File, root: Path) -> Path:
    """Return the folder below which the names in a file are found.

    Raises:
        PhotoError: none of them is anywhere.
    """
    split = file.split or ""
    places = [
        file.path.parent, root, root / "images", root / "images" / split, root / split,
        root / split / "images", root / "data", root / "JPEGImages",
    ]  # fmt: skip
    relative = (it for it in file.names.values() if not Path(it).is_absolute())
    names = list(islice(relative, 100))  # the first ones may be missing
    if not names:
        return root
    for place in places:
        if any((place / name).is_file() for name in names):
            return place
    tried = ", ".join(sorted({str(place) for place in places}))
    cause = f"none of its images, such as {names[0]}, is in {tried}"
    raise PhotoError(file.path, cause, "put them into one of these folders")


def _parse(file: _File, record: Mapping[str, Any]) -> Annotation:
    """Return an annotation.

    Raises:
        PhotoError: it cannot be understood.
    """
    key = f"annotation {record.get('id')}"
    try:
        x, y, width, height = (float(value) for value in record["bbox"])
        return Annotation(
            key=key,
            label=_category(file, record["category_id"]),
            box=(x, y, x + width, y + height),
            outline=_outline(record.get("segmentation")),
            is_crowd=bool(record.get("iscrowd", 0)),
            keypoints=_keypoints(record.get("keypoints") or ()),
        )
    except KeyError as error:
        raise PhotoError(file.path, f"{key} has no {error}", _ADVICE) from error
    except InputError as error:
        raise PhotoError(file.path, f"{key}: {error}", _ADVICE) from error
    except (TypeError, ValueError) as error:
        raise PhotoError(file.path, f"{key} is invalid ({error})", _ADVICE) from error


def _category(file: _File, number: object) -> str:
    if number not in file.categories:
        raise InputError(f"no such category: {number}")
    return file.categories[number]


def _keypoints(values: Sequence[float]) -> tuple[tuple[float, float, int], ...]:
    if len(values) % 3:
        raise InputError(f"{len(values)} numbers are not keypoints of x, y, visibility")
    return tuple(
        (float(values[i]), float(values[i + 1]), int(values[i + 2]))
        for i in range(0, len(values), 3)
    )


def _outline(segmentation: object) -> "tuple[tuple[float, ...], ...] | Rle | None":
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        height, width = segmentation["size"]
        counts = segmentation["counts"]
        lengths = unpack_counts(counts) if isinstance(counts, str) else [int(it) for it in counts]
        if sum(lengths) != height * width or min(lengths, default=0) < 0:
            raise InputError(f"its run lengths do not add up to {width} x {height} px")
        return Rle(tuple(lengths), (height, width))
    polygons = []
    for polygon in segmentation if isinstance(segmentation, list) else [None]:
        if not isinstance(polygon, list):
            raise InputError("its segmentation is neither polygons nor run lengths")
        corners = tuple(float(value) for value in polygon)
        if len(corners) % 2 or len(corners) < 6:
            raise InputError(f"a polygon of {len(corners)} numbers; it needs 3 corners or more")
        polygons.append(corners)
    return tuple(polygons)


def _changed(file: _File, image_id: Any, edit: ImageEdit) -> Iterator[tuple[int, str | None]]:
    """Yield the records of an image that change: index and new text, None to remove it."""
    for index in file.of_image.get(image_id, ()):
        start, end = file.annotations[index]
        record = file.record(index)
        if file.kind == "captions":
            if _names_any(str(record.get("caption", "")), edit):
                yield index, None
            continue
        decision = edit.changes.get(f"annotation {record.get('id')}")
        if decision is None or file.kind != "instances":
            continue
        if decision.is_dropped:
            yield index, None
        else:
            yield index, change_values(file.text[start:end], _values(record, decision))


def _values(record: Mapping[str, Any], decision: AnnotationEdit) -> dict[str, str]:
    """Return the values of a record that change, as JSON."""
    values: dict[str, Any] = {}
    if decision.hidden and "keypoints" in record:
        points = list(record["keypoints"])
        for index in decision.hidden:
            points[3 * index + 2] = 1
        values["keypoints"] = points
    if decision.visible is not None:
        left, top, right, bottom = box_of(decision.visible)
        values["bbox"] = [left, top, right - left, bottom - top]
        values["area"] = float(decision.visible[1].sum())
        old = record.get("segmentation")
        if isinstance(old, dict):
            height, width = old["size"]
            counts: Any = encode_rle(*decision.visible, (height, width))
            if isinstance(old["counts"], str):
                counts = pack_counts(counts)
            values["segmentation"] = {**old, "counts": counts}
        else:
            values["segmentation"] = polygons_of(decision.visible)
    return {key: json.dumps(value) for key, value in values.items()}


def _folder_of_segments(file: _File) -> Path:
    """Return the folder of a panoptic file's PNG files, which is called like it."""
    beside = file.path.with_suffix("")
    above = file.path.parent.parent / file.path.stem
    return above if above.is_dir() and not beside.is_dir() else beside


def _read_segments(path: Path) -> npt.NDArray[np.int64]:
    """Return (H, W) ids of segments; 0 is void.

    Raises:
        PhotoError: the file cannot be read.
    """
    from PIL import Image

    try:
        pixels = np.asarray(Image.open(path).convert("RGB"), np.int64)
    except (OSError, ValueError) as error:
        raise PhotoError(path, f"it cannot be read ({error})", "export it again") from error
    return np.asarray(pixels @ np.array((1, 1 << 8, 1 << 16), np.int64))


def _segments_file(file: _File, record: Mapping[str, Any]) -> Path:
    """Return the PNG file of a panoptic annotation."""
    return _folder_of_segments(file) / str(record.get("file_name"))


def _segments(file: _File, image_id: object, photo: Path) -> list[Annotation]:
    """Return the things of an image's panoptic annotations; see `_segments_of`."""
    records = (file.record(index) for index in file.of_image.get(image_id, ()))
    return [
        it
        for record in records
        for it in _segments_of(file, record, _read_segments(_segments_file(file, record)), photo)
    ]


def _segments_of(
    file: _File, record: Mapping[str, Any], numbers: npt.NDArray[np.int64], photo: Path
) -> list[Annotation]:
    """Return the things of a panoptic annotation.

    Args:
        file: of the annotations.
        record: the annotation.
        numbers: (H, W), what its PNG file holds.
        photo: the image's file.

    Raises:
        PhotoError: it cannot be understood, or its PNG file has not the photo's size.
    """
    check_mask_size(_segments_file(file, record), numbers.shape, photo)
    segments = record.get("segments_info")
    if not isinstance(segments, list) or not all(isinstance(it, dict) for it in segments):
        cause = f"image {record.get('image_id')}: its segments_info is not a list of records"
        raise PhotoError(file.path, cause, _ADVICE)
    found: list[Annotation] = []
    for segment in segments:
        key = f"segment {segment.get('id')}"
        mask = numbers == _id_of(segment)
        category = _id_of(segment, "category_id")
        if category in file.stuff:
            continue
        if category not in file.categories or not mask.any():
            cause = f"{key}: it has no pixels or no category"
            raise PhotoError(file.path, cause, _ADVICE)
        region = tight_mask((0, 0, mask.shape[1], mask.shape[0]), mask)
        found.append(
            Annotation(
                key=key,
                label=file.categories[category],
                box=box_of(region),
                outline=CroppedMask(*region),
                is_crowd=bool(segment.get("iscrowd", 0)),
            )
        )
    return found


def _plate_record(file: _File, image_id: Any, new_id: str) -> str:
    """Return the record of an image's plate."""
    start, end = file.images[file.image_index[image_id]]
    values = {"id": new_id, "file_name": json.dumps(plate_name(file.names[image_id]))}
    return change_values(file.text[start:end], values)


def _records_after(
    file: _File, image_id: Any, edit: ImageEdit
) -> tuple[dict[int, str], dict[Path, bytes | None]]:
    """Return the kept records of an image, as they are once it is filled, and PNG files."""
    if file.kind == "panoptic":
        changed, pictures = _edited_segments(file, image_id, edit)
    else:
        changed, pictures = dict(_changed(file, image_id, edit)), {}
    records = {}
    for index in file.of_image.get(image_id, ()):
        start, end = file.annotations[index]
        text = changed.get(index, file.text[start:end])
        if text is not None:
            records[index] = text
    return records, pictures


def _edited_segments(
    file: _File, image_id: object, edit: ImageEdit
) -> tuple[dict[int, str | None], dict[Path, bytes | None]]:
    """Return the changed records and PNG files of an image: what was filled becomes void."""
    from PIL import Image

    records: dict[int, str | None] = {}
    pictures: dict[Path, bytes | None] = {}
    for index in file.of_image.get(image_id, ()):
        record = file.record(index)
        path = _segments_file(file, record)
        if edit.is_lost or edit.mask is None:
            records[index], pictures[path] = None, None
            continue
        numbers = _read_segments(path)
        mask = read_mask(edit.mask, (numbers.shape[0], numbers.shape[1]))
        start, end = file.annotations[index]
        text = file.text[start:end]
        members = [it for it in scan_json(file.path, text) if it.key == "segments_info"]
        segments = _segments_of(file, record, numbers, edit.image.source)
        decisions = decide(segments, mask, range(len(segments)), edit.options)
        by_key = {it.annotation.key: it for it in decisions}
        changes: dict[int, str | None] = {}
        for place, member in enumerate(members):
            decision = by_key.get(f"segment {member.value.get('id')}")
            own = numbers == member.value.get("id")
            if decision is not None and decision.is_dropped:
                changes[place] = None
                numbers[own] = 0
            elif decision is not None and decision.visible is not None:
                changes[place] = change_values(
                    text[slice(*member.span)], _values(member.value, decision)
                )
                numbers[own & mask] = 0
        if changes:
            spans = [member.span for member in members]
            records[index] = splice(text, change_records(text, spans, changes))
            pixels = np.stack([numbers >> shift & 0xFF for shift in (0, 8, 16)], axis=2)
            stream = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(stream, format="PNG")
            pictures[path] = stream.getvalue()
    return records, pictures


def _names_any(caption: str, edit: ImageEdit) -> bool:
    """Return whether a caption names a class that is no longer in the image."""
    words = set(re.findall(r"[a-z]+", caption.lower()))
    for label in set(edit.removed_labels) - set(edit.classes_left):
        names = {label, *aliases_of(label, (label,)), *_EVERYDAY.get(label, ())}
        if any(
            set(re.findall(r"[a-z]+", f"{name}{end}".lower())) <= words
            for name in names
            for end in ("", "s", "es")
        ):
            return True
    return False


_EVERYDAY = {
    "person": (
        "man", "men", "woman", "women", "boy", "girl", "child", "children", "kid", "people", "guy",
        "lady", "player", "skier", "surfer", "rider", "someone", "crowd",
    ),
}  # fmt: skip
"""Words of captions for a class, beside those that name it on the command line."""
