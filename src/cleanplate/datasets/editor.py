"""The interface of all formats: find the images, read their annotations, write the edited files."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Self

from cleanplate.datasets.annotations import Annotation, DatasetImage
from cleanplate.datasets.rules import ImageEdit

ImageEdits = Mapping[Path, ImageEdit]
"""What becomes of images, by their `relative`; images without an edit stay as they are."""


PLATE_END = "__plate"

_SUFFIX = re.compile(r"(\.[^./\\]*)?$")


def plate_name(name: str) -> str:
    """Return the name of an image's clean plate, where both are in a dataset: NAME__plate.EXT."""
    return _SUFFIX.sub(rf"{PLATE_END}\1", name, count=1)


def plate_bytes(name: bytes) -> bytes:
    """Return the same for a name in any encoding that extends ASCII."""
    return plate_name(name.decode("latin-1")).encode("latin-1")


def plate_path(path: Path) -> Path:
    """Return the path of a clean plate, or of its labels, beside those of its image."""
    return path.with_name(plate_name(path.name))


def is_file_name(name: str) -> bool:
    """Return whether a file can have this name, with folders."""
    try:
        return b"\0" not in os.fsencode(name) and Path(name).name != ""
    except UnicodeEncodeError:
        return False


class Editor(ABC):
    """A dataset of one format, whose files are edited in their own text."""

    format: ClassVar[str]
    """As users call it."""

    root: Path
    """Folder of the dataset."""

    images: tuple[DatasetImage, ...]
    """In the order of the dataset."""

    classes: tuple[str, ...]
    """Names of what is annotated."""

    problems: tuple[str, ...] = ()
    """What is wrong with records that are kept unchanged; each names file and record."""

    errors: tuple[str, ...] = ()
    """What keeps images out of the result; each names file and record."""

    @classmethod
    @abstractmethod
    def detect(cls, path: Path) -> Self | None:
        """Return the dataset at a path; None if it is not of this format.

        Raises:
            PhotoError: it is, but a file that all images need cannot be read.
        """

    @abstractmethod
    def read(self, image: DatasetImage) -> list[Annotation]:
        """Return the annotations of an image.

        Raises:
            PhotoError: one cannot be understood; the message names file and record.
        """

    @abstractmethod
    def label_files(self) -> frozenset[Path]:
        """Return the files with labels, below `root`: those that `edited` may yield, and caches."""

    @abstractmethod
    def edited(self, edits: ImageEdits) -> Iterator[tuple[Path, bytes]]:
        """Yield each file with labels: its path below `root`, and its new content.

        A file that needs no change is yielded with the content it has.

        Raises:
            PhotoError: one can no longer be read.
        """

    @abstractmethod
    def with_plates(self, edits: ImageEdits) -> Iterator[tuple[Path, bytes]]:
        """Yield each file with labels: as it is, with the clean plates added as further images.

        Every image whose edit has a mask gets one, with the annotations that the edit leaves, under
        `plate_path`; other edits are ignored.

        Raises:
            PhotoError: a file can no longer be read.
        """

    def filled(self, edits: ImageEdits) -> list[ImageEdit]:
        """Return the edits of images in which something was filled, in the dataset's order."""
        found = (edits.get(image.relative) for image in self.images)
        return [edit for edit in found if edit is not None and edit.mask is not None]

    @property
    def has_splits(self) -> bool:
        """Whether the images are divided into training and others."""
        return any(image.split is not None for image in self.images)


def is_training(split: str | None) -> bool:
    """Return whether a split is for training alone; an image without one may be used for it."""
    return split is None or all("train" in name for name in split.lower().split(", "))
