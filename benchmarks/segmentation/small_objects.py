"""Makes photos of small objects whose truth is known: cut out of labelled photos, put into others.

    cd benchmarks/segmentation
    python small_objects.py --photos DIR --masks DIR --scenes DIR --output DIR

PHOTOS and MASKS are as `run.py` takes them; SCENES are photos without any of the classes, of which
those of 1,000 px or more are used. OUTPUT receives images/ and masks/, which `run.py --small`
measures, and `training/calibration.py --pasted` learns from.

An object is taken if it is whole: in one piece, off the photo's edges, apart from other objects,
and of a class that stands free. Its outline is feathered by scaling it down.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from samples import IGNORED, Sample, photos_in, read_samples

from cleanplate.io.files import read_photo
from cleanplate.labels import VOC_LABELS
from cleanplate.types import Mask, RGBImage

_FLYING = ("aeroplane", "bird")
_STANDING = [
    "bicycle",
    "boat",
    "bus",
    "car",
    "cat",
    "cow",
    "dog",
    "horse",
    "motorbike",
    "person",
    "sheep",
    "train",
]
_SIDE_PX = (45, 80)  # long side of a pasted object
_LEAST_SHARE = 0.02  # of its photo: smaller ones are blurred
_APART_PX = 15  # of a square around a pixel in which no other object may be
_LEAST_SCENE_PX = 1000  # long side


@dataclass(frozen=True)
class CutOut:
    """An object cut out of its photo."""

    pixels: RGBImage  # (h, w, 3) uint8
    mask: Mask  # (h, w) bool
    number: int  # its class's


def main() -> None:
    """Parse the command line, make the photos."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=32, help="photos with one object each")
    arguments = parser.parse_args()
    samples = read_samples(arguments.photos, arguments.masks, 1)
    cuts = [cut for sample in samples for cut in cut_outs(sample)]
    pixels = (read_photo(path).pixels for path in photos_in(arguments.scenes))
    scenes = [scene for scene in pixels if max(scene.shape) >= _LEAST_SCENE_PX]
    if not cuts or not scenes:
        raise SystemExit("no photo has a whole object, or no scene is large enough")
    for folder in ("images", "masks"):
        (arguments.output / folder).mkdir(parents=True, exist_ok=True)
    for index, made in enumerate(paste(cuts, scenes, arguments.count)):
        Image.fromarray(made.photo).save(arguments.output / f"images/{index:03d}.png")
        Image.fromarray(made.classes).save(arguments.output / f"masks/{index:03d}.png")


def cut_outs(sample: Sample) -> Iterator[CutOut]:
    """Yield a photo's whole objects."""
    height, width = sample.classes.shape
    for number in np.unique(sample.classes):
        if number in (0, IGNORED) or VOC_LABELS[number - 1] not in (*_FLYING, *_STANDING):
            continue
        own = (sample.classes == number).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(own)
        for part in range(1, count):
            x, y, w, h, area = stats[part].tolist()
            if area < _LEAST_SHARE * height * width or x < 3 or y < 3:
                continue
            if x + w > width - 3 or y + h > height - 3:
                continue
            mask = parts == part
            near = cv2.dilate(mask.astype(np.uint8), np.ones((_APART_PX, _APART_PX), np.uint8)) > 0
            if not np.isin(sample.classes[near & ~mask], (0, IGNORED)).all():
                continue
            rows, columns = slice(y, y + h), slice(x, x + w)
            yield CutOut(sample.photo[rows, columns], mask[rows, columns], int(number))


def paste(cuts: list[CutOut], scenes: list[RGBImage], count: int) -> Iterator[Sample]:
    """Yield scenes with one object each: what flies anywhere, all else in the lower half."""
    rng = np.random.default_rng(1)
    order = np.resize(rng.permutation(len(cuts)), count)
    for turn, index in enumerate(order):
        cut = cuts[index]
        scene = scenes[turn % len(scenes)].copy()
        scale = rng.integers(*_SIDE_PX, endpoint=True) / max(cut.mask.shape)
        size_wh = [max(8, round(side * scale)) for side in cut.mask.shape[::-1]]
        small = cv2.resize(cut.pixels, size_wh, interpolation=cv2.INTER_AREA)
        cover = cv2.resize(cut.mask.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA)
        highest = 0 if VOC_LABELS[cut.number - 1] in _FLYING else scene.shape[0] // 2
        top = int(rng.integers(highest, scene.shape[0] - size_wh[1]))
        left = int(rng.integers(0, scene.shape[1] - size_wh[0]))
        place = (slice(top, top + size_wh[1]), slice(left, left + size_wh[0]))
        mixed = scene[place] * (1 - cover[..., None]) + small * cover[..., None]
        scene[place] = (mixed + 0.5).astype(np.uint8)
        classes = np.zeros(scene.shape[:2], np.uint8)
        classes[place][cover > 0.5] = cut.number
        yield Sample(scene, classes)


if __name__ == "__main__":
    main()
