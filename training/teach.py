"""Label photos by a segmenter of the registry, for another network to learn from.

    python -m training.teach --segmenter NAME --photos PHOTOS --output TAUGHT

TAUGHT gets images/ (links to the photos, or copies) and masks/ with VOC's class numbers; 255 where
two classes meet and where the teacher is unsure.
"""

import argparse
import os
import shutil
from pathlib import Path

import cv2
import numpy as np

from cleanplate.errors import CleanplateError
from cleanplate.io import PHOTO_SUFFIXES
from cleanplate.io.files import read_photo
from cleanplate.labels import VOC_LABELS, resolve_labels
from cleanplate.segmentation import create_segmenter
from cleanplate.segmentation.base import Segmenter
from cleanplate.types import RGBImage
from training.pairs import IGNORED, Classes

_BORDER_PX = 2  # on each side of where classes meet
_SURE = 0.7  # score; what is found with less is ignored, not background


def label_photo(photo: RGBImage, segmenter: Segmenter, labels: dict[str, int]) -> Classes:
    """Return (H, W) class numbers.

    Args:
        photo: (H, W, 3) uint8, RGB.
        segmenter: the teacher.
        labels: the teacher's label -> class number; others are background.
    """
    classes = np.zeros(photo.shape[:2], np.uint8)
    for instance in segmenter.segment(photo, tuple(labels)):
        left, top, right, bottom = instance.box_xyxy
        number = labels[instance.label] if instance.score >= _SURE else IGNORED
        classes[top:bottom, left:right][instance.mask] = number
    kernel = np.ones((2 * _BORDER_PX + 1,) * 2, np.uint8)
    classes[cv2.dilate(classes, kernel) != cv2.erode(classes, kernel)] = IGNORED
    return classes


def voc_numbers(segmenter: Segmenter) -> dict[str, int]:
    """Return which of a segmenter's labels mean which VOC class."""
    numbers = {}
    for number, label in enumerate(VOC_LABELS, start=1):
        try:
            (theirs,) = resolve_labels([label], segmenter.labels)
        except CleanplateError:
            continue
        numbers[theirs] = number
    return numbers


def teach(sources: list[Path], output: Path, segmenter: Segmenter) -> int:
    """Label every photo below some folders and return how many showed something."""
    labels = voc_numbers(segmenter)
    for part in ("images", "masks"):
        (output / part).mkdir(parents=True, exist_ok=True)
    kept = 0
    for source in sources:
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() not in PHOTO_SUFFIXES:
                continue
            name = "_".join(path.relative_to(source).with_suffix("").parts)
            mask = output / "masks" / f"{name}.png"
            if mask.exists():
                continue
            try:
                photo = read_photo(path).pixels
            except CleanplateError as error:
                print(f"skipped: {error}")
                continue
            classes = label_photo(photo, segmenter, labels)
            if not ((classes > 0) & (classes != IGNORED)).any():
                continue
            image = output / "images" / f"{name}{path.suffix.lower()}"
            try:
                os.link(path, image)
            except OSError:
                shutil.copyfile(path, image)
            cv2.imwrite(str(mask), classes)
            kept += 1
    return kept


def main() -> None:
    """Parse the command line and label."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segmenter", default="deeplabv3plus_lite2.voc")
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    segmenter = create_segmenter(arguments.segmenter)
    kept = teach(arguments.photos, arguments.output, segmenter)
    print(f"{kept} photos labelled")


if __name__ == "__main__":
    main()
