"""YOLO: one text file for each image, a line for each object, as boxes or polygons.

Reference:
    docs.ultralytics.com/datasets: `class cx cy w h`, or `class x1 y1 x2 y2 ...`, as shares of the
    image's sides.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from cleanplate.datasets.annotations import (
    Annotation,
    AnnotationEdit,
    DatasetImage,
    box_of,
    join_polygons,
    polygons_of,
)
from cleanplate.datasets.editor import Editor, ImageEdits, plate_bytes, plate_path
from cleanplate.datasets.rules import ImageEdit
from cleanplate.datasets.sizes import upright_size
from cleanplate.datasets.text import append_lines, read_bytes, read_text
from cleanplate.errors import InputError, MissingExtraError, PhotoError
from cleanplate.io import PHOTO_SUFFIXES

_ADVICE = "correct or remove the line"
_SPLITS = ("train", "val", "test")
_DIGITS = 6


class YoloEditor(Editor):
    """A folder with data.yaml, images and labels."""

    format: ClassVar[str] = "YOLO"

    def __init__(self, root: Path, config: Path, content: dict[str, Any]) -> None:
        self.root, self._config = root, config
        names = content["names"]
        numbered = names.items() if isinstance(names, dict) else enumerate(names)
        try:
            self._names = {int(number): str(name) for number, name in numbered}
        except (TypeError, ValueError) as error:
            cause = f"its names are not numbered ({error})"
            raise PhotoError(config, cause, "write names: [...]") from error
        if "kpt_shape" in content:
            raise PhotoError(config, "labels with keypoints are not read", "export them as COCO")
        self.classes = tuple(self._names.values())
        images: dict[Path, DatasetImage] = {}
        self._lists: list[Path] = []  # files with an image a line
        problems: list[str] = []
        errors: list[str] = []
        count = content.get("nc")
        if count is not None and count != len(self._names):
            problems.append(f"{config}: nc is {count}, but there are {len(self._names)} names")
        for split in _SPLITS:
            given = content.get(split)
            for entry in given if isinstance(given, list) else [given] * bool(given):
                for path in self._images_of(str(entry), problems, errors):
                    try:
                        relative = path.resolve().relative_to(root.resolve())
                    except ValueError:
                        errors.append(f"{config}: {path} lies outside {root}")
                        continue
                    images.setdefault(relative, DatasetImage(root / relative, relative, split))
        self.images, self.problems = tuple(images.values()), tuple(problems)
        self.errors = tuple(errors)
        self._count = Counter(self._labels_of(image) for image in self.images)

    @classmethod
    def detect(cls, path: Path) -> Self | None:
        """Return the dataset at a path; see `Editor.detect`."""
        candidates = (
            [path] if path.is_file() else sorted((*path.glob("*.yaml"), *path.glob("*.yml")))
        )
        for config in candidates:
            if config.suffix.lower() not in (".yaml", ".yml"):
                continue
            text = read_text(config)
            if "names:" not in text or "train:" not in text:
                continue
            content = _parse_yaml(config, text)
            root = config.parent
            given = Path(str(content.get("path") or "."))
            for base in (given, config.parent / given, config.parent):
                if base.is_dir() and any((base / str(content.get(it))).exists() for it in _SPLITS):
                    root = base
                    break
            return cls(root, config, content)
        return None

    def read(self, image: DatasetImage) -> list[Annotation]:
        """Return the annotations of an image; see `Editor.read`."""
        path = self._labels_of(image)
        if not path.is_file():
            return []
        if self._count[path] > 1:
            cause = f"it is of {self._count[path]} images"
            raise PhotoError(path, cause, "give each image a name of its own")
        size_hw = upright_size(image.source)
        if size_hw is None:
            cause = "its size, needed for its labels, cannot be read"
            raise PhotoError(image.source, cause, "check the file")
        annotations = []
        # As `_file_of` has it: text has more ends of lines.
        for number, line in enumerate(read_text(path).encode().splitlines(), start=1):
            if not line.strip():
                continue
            try:
                annotations.append(self._parse(number, line.decode(), size_hw))
            except ValueError as error:
                raise PhotoError(path, f"line {number}: {error}", _ADVICE) from error
        return annotations

    def label_files(self) -> frozenset[Path]:
        """Return the text files, lists, and the caches that training programs keep beside them."""
        labels = {self._labels_of(image) for image in self.images}
        caches = {
            path
            for folder in {it.parent.parent for it in labels}
            for path in folder.glob("*.cache")
        }
        return frozenset(path.relative_to(self.root) for path in (*labels, *caches, *self._lists))

    def edited(self, edits: ImageEdits) -> Iterator[tuple[Path, bytes]]:
        """Yield the text files with their new content; see `Editor.edited`."""
        lost = {it.image.relative for it in edits.values() if it.is_lost}
        for image in self.images:
            if image.relative not in lost:
                yield from self._file_of(image, edits.get(image.relative))
        for path in self._lists:
            lines = read_bytes(path).splitlines(keepends=True)
            kept = (line for line in lines if self._listed(line) not in lost)
            yield path.relative_to(self.root), b"".join(kept)

    def with_plates(self, edits: ImageEdits) -> Iterator[tuple[Path, bytes]]:
        """Yield the text files with plates added; see `Editor.with_plates`."""
        filled = self.filled(edits)
        for image in self.images:
            yield from self._file_of(image, None)
        for edit in filled:
            for path, content in self._file_of(edit.image, edit):
                yield plate_path(path), content
        with_plate = {edit.image.relative for edit in filled}
        for path in self._lists:
            content = read_bytes(path)
            listed = (it for it in content.splitlines() if self._listed(it) in with_plate)
            lines = [plate_bytes(line.strip()) for line in listed]
            yield path.relative_to(self.root), append_lines(content, lines)

    def _file_of(self, image: DatasetImage, edit: ImageEdit | None) -> Iterator[tuple[Path, bytes]]:
        """Yield the text file of an image, if it has one."""
        path = self._labels_of(image)
        if not path.is_file():
            return
        content = read_bytes(path)
        if edit is not None and edit.changes:
            size_hw = upright_size(image.source)
            lines = []
            for number, line in enumerate(content.splitlines(keepends=True), start=1):
                decision = edit.changes.get(f"line {number}")
                if decision is None:
                    lines.append(line)
                elif not decision.is_dropped:
                    lines.append(_clipped(line, decision, size_hw))
            content = b"".join(lines)
        yield path.relative_to(self.root), content

    def _listed(self, line: bytes) -> Path | None:
        """Return which image a line of a list names; see `DatasetImage.relative`."""
        path = self.root / line.strip().decode()
        try:
            return path.resolve().relative_to(self.root.resolve())
        except ValueError:
            return None

    def _images_of(self, entry: str, problems: list[str], errors: list[str]) -> list[Path]:
        """Return the images of an entry of data.yaml: a folder, or a list of files."""
        # Exports of one well-known tool write ../train/images for what lies beside data.yaml.
        candidates = [self.root / entry, self.root / entry.removeprefix("../")]
        found = next((it for it in candidates if it.exists()), None)
        if found is None:
            errors.append(f"{self._config}: {entry} does not exist")
            return []
        if found.is_dir():
            return sorted(it for it in found.rglob("*") if it.suffix.lower() in PHOTO_SUFFIXES)
        try:
            names = [line.strip() for line in read_text(found).splitlines() if line.strip()]
        except PhotoError as error:
            errors.append(str(error))
            return []
        if found.is_relative_to(self.root):
            self._lists.append(found)
        if any(Path(name).is_absolute() for name in names):
            problems.append(
                f"{found}: its paths are absolute, so its copy would point to this dataset too"
            )
        return [self.root / name for name in names]

    def _labels_of(self, image: DatasetImage) -> Path:
        """Return an image's text file: in place of the last folder called images, labels."""
        parts = list(image.relative.parts)
        for index in range(len(parts) - 2, -1, -1):
            if parts[index] == "images":
                parts[index] = "labels"
                break
        return self.root.joinpath(*parts).with_suffix(".txt")

    def _parse(self, number: int, line: str, size_hw: tuple[int, int]) -> Annotation:
        """Return the annotation of a line; raise ValueError if it cannot be understood."""
        words = line.split()
        label = self._names.get(int(words[0]))
        if label is None:
            raise InputError(f"no such class: {words[0]}; there are {len(self._names)}")
        values = [float(word) for word in words[1:]]
        height, width = size_hw
        key = f"line {number}"
        if len(values) == 4:
            cx, cy, across, down = values
            left, top = (cx - across / 2) * width, (cy - down / 2) * height
            box = (left, top, left + across * width, top + down * height)
            return Annotation(key=key, label=label, box=box)
        if len(values) < 6 or len(values) % 2:
            raise InputError(f"{len(values)} numbers are neither a box nor a polygon")
        polygon = tuple(
            value * (width if index % 2 == 0 else height) for index, value in enumerate(values)
        )
        x, y = polygon[::2], polygon[1::2]
        return Annotation(
            key=key, label=label, box=(min(x), min(y), max(x), max(y)), outline=(polygon,)
        )


def _parse_yaml(path: Path, text: str) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError(
            "YOLO's data.yaml needs PyYAML; install it with pip install 'cleanplate[yolo]'"
        ) from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        cause = f"it is not valid YAML ({' '.join(str(error).split())})"
        raise PhotoError(path, cause, "correct it") from error
    if not isinstance(content, dict) or not isinstance(content.get("names"), dict | list):
        raise PhotoError(path, "it has no list of names", "add names: [...]")
    return content


def _clipped(line: bytes, decision: AnnotationEdit, size_hw: tuple[int, int] | None) -> bytes:
    """Return a line with the outline of what is visible, in the same notation."""
    if decision.visible is None or size_hw is None:
        return line
    height, width = size_hw
    words = line.split()
    if len(words) == 5:
        left, top, right, bottom = box_of(decision.visible)
        values = [
            (left + right) / 2 / width, (top + bottom) / 2 / height,
            (right - left) / width, (bottom - top) / height,
        ]  # fmt: skip
    else:
        corners = join_polygons(polygons_of(decision.visible))
        values = [it / (width if index % 2 == 0 else height) for index, it in enumerate(corners)]
    end = line[len(line.rstrip(b"\r\n")) :]
    new = b" ".join([words[0], *(f"{value:.{_DIGITS}f}".encode() for value in values)])
    return new + end
