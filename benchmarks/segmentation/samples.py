"""Photos with the true class of each pixel, from folders."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cleanplate.io.files import read_photo
from cleanplate.types import RGBImage

IGNORED = 255
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Sample:
    """A photo and the true class of each pixel."""

    photo: RGBImage  # (H, W, 3) uint8
    classes: np.ndarray  # (H, W) uint8, 0 = background


def photos_in(folder: Path) -> list[Path]:
    """Return a folder's photos by name."""
    return [p for p in sorted(folder.iterdir()) if p.suffix.lower() in PHOTO_SUFFIXES]


def read_samples(photos: Path, masks: Path, every: int) -> Iterator[Sample]:
    """Yield every n-th photo that has a mask."""
    pairs = [(path, masks / f"{path.stem}.png") for path in photos_in(photos)]
    for path, known in [pair for pair in pairs if pair[1].exists()][::every]:
        photo = read_photo(path).pixels
        with Image.open(known) as opened:
            classes = np.asarray(opened)
        if classes.shape != photo.shape[:2]:
            print(f"skipped: {known}: {classes.shape}, not {photo.shape[:2]}")
            continue
        yield Sample(photo, classes)
