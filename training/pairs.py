"""Photos with masks of classes, and augmented crops of them: a pure function of seed and step."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from cleanplate.io import PHOTO_SUFFIXES
from cleanplate.types import RGBImage
from training.config import SegmenterConfig

Classes = npt.NDArray[np.uint8]
"""(H, W) class numbers, 0 = background."""

IGNORED = 255
"""Among them: a pixel that counts for nothing."""

_GREY = 127  # of what lies outside a photo
# What the closer passes of `cleanplate.segmentation.multiscale` see: parts of objects and
# surroundings, and objects of few pixels enlarged.
_CLOSE_OCTAVES = (0.7, 1.7)
_SMALL_PX = (30, 90)  # long side of an object
_ENLARGED = (1.2, 4.0)
_LEAST_OBJECT = 0.004  # of the photo's area


@dataclass(frozen=True, slots=True)
class Pair:
    """A photo and its mask of class numbers."""

    photo: Path
    mask: Path

    def read(self) -> tuple[RGBImage, Classes]:
        """Return (H, W, 3) RGB and (H, W) class numbers.

        Raises:
            ValueError: one cannot be read.
        """
        photo, mask = cv2.imread(str(self.photo)), cv2.imread(str(self.mask), cv2.IMREAD_UNCHANGED)
        if photo is None or mask is None:
            raise ValueError(f"{self.photo if photo is None else self.mask} cannot be read")
        if mask.dtype != np.uint8:
            raise ValueError(f"{self.mask} has pixels of {mask.dtype}; give 8 bits")
        plane = mask[..., 0] if mask.ndim == 3 else mask
        if plane.shape != photo.shape[:2]:
            size_wh = photo.shape[1::-1]
            plane = cv2.resize(plane, size_wh, interpolation=cv2.INTER_NEAREST)
        rgb = cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)
        return np.asarray(rgb, np.uint8), np.asarray(plane, np.uint8)


def find_pairs(folder: Path) -> list[Pair]:
    """Return the pairs of `images/NAME.*` and `masks/NAME.png` in a folder."""
    photos = {
        path.stem: path
        for path in sorted((folder / "images").iterdir())
        if path.suffix.lower() in PHOTO_SUFFIXES
    }
    return [
        Pair(photos[mask.stem], mask)
        for mask in sorted((folder / "masks").glob("*.png"))
        if mask.stem in photos
    ]


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """What one step of the segmenter sees."""

    rgb: torch.Tensor  # (N, 3, S, S) float32 in [0, 1]
    classes: torch.Tensor  # (N, S, S) int64; 255 counts for nothing


class LabelledBatches(Dataset[LabelledBatch]):
    """Step -> batch.

    Args:
        labelled: pairs made by people.
        taught: pairs labelled by a teacher; either may be empty, not both.
        config: of the run.
    """

    def __init__(
        self, labelled: Sequence[Pair], taught: Sequence[Pair], config: SegmenterConfig
    ) -> None:
        if not labelled and not taught:
            raise ValueError("no pairs of images/NAME.* and masks/NAME.png")
        self._labelled, self._taught, self._config = labelled, taught, config

    def __len__(self) -> int:
        return self._config.run.steps

    def __getitem__(self, step: int) -> LabelledBatch:
        """Return the batch of a step."""
        run, settings = self._config.run, self._config.segmentation
        rng = np.random.default_rng([run.seed, step])
        crops = []
        for _ in range(run.batch):
            people = self._labelled and (not self._taught or rng.random() < settings.labelled_share)
            source = self._labelled if people else self._taught
            photo, classes = source[int(rng.integers(len(source)))].read()
            crops.append(_augmented(photo, classes, rng, self._config))
        rgb = np.stack([crop for crop, _ in crops])
        return LabelledBatch(
            torch.from_numpy(rgb).permute(0, 3, 1, 2).contiguous(),
            torch.from_numpy(np.stack([classes for _, classes in crops]).astype(np.int64)),
        )


def _augmented(
    photo: RGBImage,
    classes: Classes,
    rng: np.random.Generator,
    config: SegmenterConfig,
) -> tuple[npt.NDArray[np.float32], Classes]:
    """Return a crop (S, S, 3) in [0, 1] and its classes (S, S)."""
    settings = config.segmentation
    size = settings.crop_px
    octaves, tries, kind = settings.scale_octaves, 3, rng.random()
    if kind < settings.small_share:
        photo, classes = small_object(photo, classes, rng, size)
        octaves = (0.0, 0.0)
    elif kind < settings.small_share + settings.close_share:
        octaves, tries = _CLOSE_OCTAVES, 1
    scale = size / min(photo.shape[:2]) * 2 ** rng.uniform(*octaves)
    height = max(8, int(photo.shape[0] * scale))
    width = max(8, int(photo.shape[1] * scale * rng.uniform(0.9, 1.1)))
    method = cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA
    photo, classes = _scaled(photo, classes, (width, height), method)
    below, beside = max(0, size - height), max(0, size - width)
    if below or beside:
        top, left = int(rng.integers(0, below + 1)), int(rng.integers(0, beside + 1))
        border = (top, below - top, left, beside - left, cv2.BORDER_CONSTANT)
        photo = np.asarray(cv2.copyMakeBorder(photo, *border, value=(_GREY,) * 3), np.uint8)
        classes = np.asarray(cv2.copyMakeBorder(classes, *border, value=(IGNORED,)), np.uint8)
    rows = columns = slice(0, size)
    for _ in range(tries):  # mostly where there is something
        y = int(rng.integers(0, photo.shape[0] - size + 1))
        x = int(rng.integers(0, photo.shape[1] - size + 1))
        rows, columns = slice(y, y + size), slice(x, x + size)
        part = classes[rows, columns]
        if ((part > 0) & (part != IGNORED)).mean() > 0.01:
            break
    crop, part = photo[rows, columns].astype(np.float32) / np.float32(255), classes[rows, columns]
    if rng.random() < 0.5:
        crop, part = crop[:, ::-1], part[:, ::-1]
    return _recoloured(crop, rng), np.ascontiguousarray(part)


def _scaled(
    photo: RGBImage, classes: Classes, size_wh: tuple[int, int], how: int
) -> tuple[RGBImage, Classes]:
    """Return a photo and its classes at another size; `how` is an interpolation of OpenCV."""
    pixels = cv2.resize(photo, size_wh, interpolation=how)
    numbers = cv2.resize(classes, size_wh, interpolation=cv2.INTER_NEAREST)
    return np.asarray(pixels, np.uint8), np.asarray(numbers, np.uint8)


def small_object(
    photo: RGBImage,
    classes: Classes,
    rng: np.random.Generator,
    size: int,
) -> tuple[RGBImage, Classes]:
    """Return the photo made so small that an object takes few pixels, and cut around it.

    Args:
        photo: (H, W, 3).
        classes: (H, W).
        rng: decides which object, and how small.
        size: px; the side to which the cut will be enlarged.
    """
    known = ((classes > 0) & (classes != IGNORED)).astype(np.uint8)
    boxes = cv2.connectedComponentsWithStats(known)[2][1:]
    boxes = boxes[boxes[:, cv2.CC_STAT_AREA] > _LEAST_OBJECT * classes.size]
    if not len(boxes):
        return photo, classes
    left, top, width, height = boxes[int(rng.integers(len(boxes))), :4].tolist()
    scale = min(1.0, rng.uniform(*_SMALL_PX) / max(width, height))
    side = round(size / rng.uniform(*_ENLARGED))
    across, down = (max(8, round(length * scale)) for length in classes.shape[::-1])
    photo, classes = _scaled(photo, classes, (across, down), cv2.INTER_AREA)
    y, x = (
        int(np.clip((low + length / 2) * scale - side / 2 + rng.uniform(-0.3, 0.3) * side, 0, most))
        for low, length, most in (
            (top, height, max(0, down - side)),
            (left, width, max(0, across - side)),
        )
    )
    return photo[y : y + side, x : x + side], classes[y : y + side, x : x + side]


def _recoloured(crop: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Change brightness, contrast and saturation; one in twenty becomes grey."""
    brightness, contrast, saturation = 1 + rng.uniform(-1, 1, 3) * (0.3, 0.3, 0.4)
    changed = crop * brightness
    mean = changed.mean()
    changed = (changed - mean) * contrast + mean
    grey = changed.mean(axis=2, keepdims=True)
    changed = grey + (changed - grey) * (0.0 if rng.random() < 0.05 else saturation)
    return np.ascontiguousarray(np.clip(changed, 0, 1), np.float32)
