"""The interface of all formats: find the images, read their annotations, write the edited files."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Self

from cleanplate.datasets.annotations import Annotation, DatasetImage
from cleanplate.datasets.rules import ImageEdit

Edits = Mapping[Path, ImageEdit]
"""What becomes of images, by their `relative`; images without an edit stay as they are."""


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
    """What is wrong with records that stay as they are; each names file and record."""

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
    def edited(self, edits: Edits) -> Iterator[tuple[Path, bytes]]:
        """Yield each file with labels: its path below `root`, and its new content.

        A file that needs no change is yielded with the content it has.

        Raises:
            PhotoError: one can no longer be read.
        """

    @property
    def has_splits(self) -> bool:
        """Whether the images are divided into training and others."""
        return any(image.split is not None for image in self.images)


def is_training(split: str | None) -> bool:
    """Return whether a split is for training alone; an image without one may be used for it."""
    return split is None or all("train" in name for name in split.lower().split(", "))
