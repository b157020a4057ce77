"""Holes of the shape of objects, on photos that show what is behind them."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cleanplate import Remover
from cleanplate.errors import CleanplateError
from cleanplate.io.files import read_photo
from cleanplate.ops.filters import coverage
from cleanplate.ops.masks import dilate_instance, rasterize
from cleanplate.types import Instance, Mask, RGBImage

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}
SMALL_SIDE = 512  # px
_SURE = 0.7  # score of an object whose outline serves as a silhouette
_FOUND = 0.5  # ... that is to be hidden by no hole
# Around an object; not the package's own margin, so that cases stay the same when that changes.
_MARGIN_PX, _MARGIN_SHARE = 3.0, 0.035
_MIN_SHARE, _MAX_SHARE = 0.01, 0.30  # of the photo's area that a hole takes
_CANDIDATES = 6  # places for each hole; the one that hides least foreground is taken
_FITS = 0.9  # of the photo's sides


@dataclass(frozen=True)
class Case:
    """A photo and a hole in it; the photo is the truth."""

    name: str
    truth: RGBImage  # (H, W, 3) uint8
    mask: Mask  # (H, W) bool

    @property
    def share(self) -> float:
        """The hole's share of the photo."""
        return float(self.mask.mean())

    @property
    def key(self) -> str:
        """A few letters that change with the photo and with the hole."""
        digest = hashlib.sha256(self.truth.tobytes())
        digest.update(np.packbits(self.mask).tobytes())
        return digest.hexdigest()[:8]

    def at_small_size(self) -> "Case":
        """Return it scaled to a long side of 512 px; as it is if it is no larger."""
        shrink = max(self.mask.shape) / SMALL_SIDE
        if shrink <= 1:
            return self
        size_wh = (round(self.mask.shape[1] / shrink), round(self.mask.shape[0] / shrink))
        truth = cv2.resize(self.truth, size_wh, interpolation=cv2.INTER_AREA)
        mask = coverage(self.mask, size_wh) > 0.5
        return Case(self.name, np.asarray(truth, np.uint8), np.asarray(mask))


def read_folder(folder: Path) -> Iterator[tuple[str, RGBImage]]:
    """Yield name and (H, W, 3) of every photo in a folder, by name; report unreadable ones."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in PHOTO_SUFFIXES:
            continue
        try:
            yield path.stem, read_photo(path).pixels
        except CleanplateError as error:
            print(f"skipped: {error}")


def cut_silhouettes(folder: Path, remover: Remover) -> list[Mask]:
    """Return the shapes, with their margins, of the sure objects in a folder's photos."""
    shapes = []
    for _, photo in read_folder(folder):
        size_hw = photo.shape[:2]
        for instance in _segment(photo, remover, _SURE):
            box = instance.box_xyxy
            cut = box[0] == 0 or box[1] == 0 or box[2] == size_hw[1] or box[3] == size_hw[0]
            if cut or instance.area_px < _MIN_SHARE * photo.shape[0] * photo.shape[1]:
                continue
            margin = _MARGIN_PX + _MARGIN_SHARE * math.sqrt(instance.area_px)
            shapes.append(dilate_instance(instance, size_hw, margin)[1])
    return shapes


def _segment(photo: RGBImage, remover: Remover, least_score: float) -> list[Instance]:
    """Return the objects as the segmenter sees them, before anything else changes."""
    found = remover.segmenter.segment(photo, remover.segmenter.labels)
    return [instance for instance in found if instance.score >= least_score]


def make_cases(
    photos: Sequence[tuple[str, RGBImage]],
    shapes: Sequence[Mask],
    remover: Remover,
    *,
    per_photo: int,
    seed: int,
) -> list[Case]:
    """Return `per_photo` cases for each photo, the same ones for the same input.

    Shares of the area are spread evenly over the logarithm from 1 to 30 %. Of several places the
    one is taken that hides least of what the segmenter takes for an object: people erase what
    stands before a background, and nothing can guess an object that is hidden whole.
    """
    rng = np.random.default_rng(seed)
    count = per_photo * len(photos)
    shares = np.exp(np.linspace(math.log(_MIN_SHARE), math.log(_MAX_SHARE), count))
    rng.shuffle(shares)
    cases = []
    for index, (name, photo) in enumerate(photos):
        objects = rasterize(_segment(photo, remover, _FOUND), photo.shape)
        for number in range(per_photo):
            share = float(shares[index * per_photo + number])
            places = [_placed(photo.shape[:2], shapes, share, rng) for _ in range(_CANDIDATES)]
            mask = min(places, key=lambda place: int(np.count_nonzero(place & objects)))
            cases.append(Case(f"{name}.{number + 1}", photo, mask))
    return cases


def _placed(
    size_hw: tuple[int, ...], shapes: Sequence[Mask], share: float, rng: np.random.Generator
) -> Mask:
    """Return a silhouette of a share of the area somewhere in a photo."""
    height, width = size_hw
    shape = shapes[int(rng.integers(len(shapes)))]
    if rng.random() < 0.5:
        shape = shape[:, ::-1]
    scale = math.sqrt(share * height * width / np.count_nonzero(shape))
    scale = min(scale, _FITS * height / shape.shape[0], _FITS * width / shape.shape[1])
    size_wh = (max(2, round(shape.shape[1] * scale)), max(2, round(shape.shape[0] * scale)))
    scaled = cv2.resize(shape.astype(np.float32), size_wh, interpolation=cv2.INTER_LINEAR) > 0.5
    top = int(rng.integers(height - size_wh[1] + 1))
    left = int(rng.integers(width - size_wh[0] + 1))
    mask = np.zeros((height, width), np.bool_)
    mask[top : top + size_wh[1], left : left + size_wh[0]] = scaled
    return mask
