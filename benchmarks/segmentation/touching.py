"""Measures how many touching objects come apart, on pasted pairs, whose truth is known.

    python benchmarks/segmentation/touching.py --photos DIR --masks DIR --scenes DIR [--cache DIR]

PHOTOS and MASKS are as `run.py` takes them; whole objects are cut out of them. In each scene, a
photo without any of the classes, stand two of one class, of similar height, on one line, touching
or overlapping; and every third time one alone. Two have come apart if each has a detection of its
own that it fits with an intersection over union of at least 0.5. One alone is divided if a second
detection covers a tenth of it or more.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from run import cache_networks
from samples import photos_in, read_samples
from small_objects import CutOut, cut_outs

from cleanplate import Remover
from cleanplate.io.files import read_photo
from cleanplate.labels import VOC_LABELS
from cleanplate.ops.masks import rasterize
from cleanplate.segmentation.instances import COUNTED, PERSON
from cleanplate.types import RGBImage

_HEIGHT = (0.35, 0.6)  # of the scene's short side
_SHORTER = 0.85  # than the other, at most
_OVERLAP = 0.2  # of the narrower one's width, at most
_LEAST_PX = 80  # of a cut-out's height: smaller ones are blurred
_LEAST_LEFT = 0.5  # of the one behind that the other does not hide
_FITS = 0.5  # intersection over union
_PART = 0.1  # of an object


@dataclass(frozen=True)
class Group:
    """One object, or two that touch."""

    photo: RGBImage  # (H, W, 3) uint8
    numbers: np.ndarray  # (H, W) uint8, 0 = background, 1, 2 the objects
    label: str


def main() -> None:
    """Parse the command line, make groups, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="folder for the network's outputs")
    parser.add_argument("--count", type=int, default=60, help="scenes to make")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    samples = read_samples(arguments.photos, arguments.masks, 1)
    cuts = [
        cut
        for sample in samples
        for cut in cut_outs(sample)
        if VOC_LABELS[cut.number - 1] in COUNTED and cut.mask.shape[0] >= _LEAST_PX
    ]
    scenes = [read_photo(path).pixels for path in photos_in(arguments.scenes)]
    if not cuts or not scenes:
        raise SystemExit("no photo has a whole object of a counted class, or there is no scene")
    remover = Remover(threads=arguments.threads)
    if arguments.cache:
        cache_networks(remover, arguments.cache)
    right: Counter[tuple[str, int]] = Counter()
    total: Counter[tuple[str, int]] = Counter()
    for group in make_groups(cuts, scenes, arguments.count):
        kind = "people" if group.label == PERSON else "others"
        count = int(group.numbers.max())
        total[kind, count] += 1
        right[kind, count] += is_right(group, remover)
    print("| | Pairs | Come apart | Alone | Stay whole |\n|---|---|---|---|---|")
    for kind in ("people", "others"):
        pair, alone = (kind, 2), (kind, 1)
        print(f"| {kind} | {total[pair]} | {right[pair]} | {total[alone]} | {right[alone]} |")


def make_groups(cuts: list[CutOut], scenes: list[RGBImage], count: int) -> Iterator[Group]:
    """Yield scenes with people and with other objects in turn."""
    rng = np.random.default_rng(5)
    people = VOC_LABELS.index(PERSON) + 1
    kinds = [[c for c in cuts if (c.number == people) == wanted] for wanted in (True, False)]
    kinds = [kind for kind in kinds if kind]
    made = 0
    while made < count:
        kind = kinds[made % len(kinds)]
        first = kind[rng.integers(len(kind))]
        alike = [cut for cut in kind if cut.number == first.number]
        chosen = [first] if made % 3 == 2 else [first, alike[rng.integers(len(alike))]]
        group = stand(chosen, scenes[rng.integers(len(scenes))].copy(), rng)
        if group is not None:
            made += 1
            yield group


def stand(cuts: list[CutOut], scene: RGBImage, rng: np.random.Generator) -> Group | None:
    """Return the scene with the objects side by side; None if they do not fit into it.

    Args:
        cuts: one or two.
        scene: (H, W, 3), changed in place.
        rng: for sizes and places.
    """
    height, width = scene.shape[:2]
    tallest = rng.uniform(*_HEIGHT) * min(height, width)
    ground = round(0.95 * height)
    numbers = np.zeros((height, width), np.uint8)
    left = round(0.2 * width)
    for number, cut in enumerate(cuts, start=1):
        pixels, cover = scaled(cut, round(tallest * rng.uniform(_SHORTER, 1)))
        high, wide = cover.shape
        if number == 2:
            columns = np.flatnonzero((numbers == 1).any(axis=0))
            shared = rng.uniform(0, _OVERLAP) * min(wide, len(columns))
            left = touching_from(numbers == 1, cover > 0.5, ground, int(columns[-1] + 1 - shared))
        if left < 0 or left + wide > width:
            return None
        place = (slice(ground - high, ground), slice(left, left + wide))
        mixed = scene[place] * (1 - cover[..., None]) + pixels * cover[..., None]
        scene[place] = (mixed + 0.5).astype(np.uint8)
        before = np.count_nonzero(numbers == 1)
        numbers[place][cover > 0.5] = number
        if number == 2 and np.count_nonzero(numbers == 1) < _LEAST_LEFT * before:
            return None
    return Group(scene, numbers, VOC_LABELS[cuts[0].number - 1])


def scaled(cut: CutOut, height: int) -> tuple[RGBImage, np.ndarray]:
    """Return an object's pixels, and (h, w) float32 in [0, 1], how much of each it covers."""
    size_wh = (max(1, round(cut.mask.shape[1] * height / cut.mask.shape[0])), height)
    method = cv2.INTER_AREA if height < cut.mask.shape[0] else cv2.INTER_LINEAR
    pixels = cv2.resize(cut.pixels, size_wh, interpolation=method)
    return pixels, cv2.resize(cut.mask.astype(np.float32), size_wh, interpolation=method)


def touching_from(first: np.ndarray, second: np.ndarray, ground: int, left: int) -> int:
    """Return the largest left edge up to `left` at which the second touches the first; or -1."""
    near = cv2.dilate(first.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    high, wide = second.shape
    for start in range(min(left, first.shape[1] - wide), -1, -1):
        if (near[ground - high : ground, start : start + wide] & second).any():
            return start
    return -1


def is_right(group: Group, remover: Remover) -> bool:
    """Return whether each object has a detection of its own, and no part of it another."""
    chosen, _ = remover.find(group.photo, [group.label])
    found = [rasterize([instance], group.numbers.shape) for instance in chosen]
    objects = [group.numbers == number for number in range(1, int(group.numbers.max()) + 1)]
    if len(objects) == 1:
        own = objects[0]
        return sum(np.count_nonzero(mask & own) >= _PART * own.sum() for mask in found) == 1
    best = [
        max(range(len(found)), key=lambda k: overlap(found[k], own), default=-1) for own in objects
    ]
    return best[0] != best[1] and all(
        overlap(found[k], own) >= _FITS for k, own in zip(best, objects, strict=True)
    )


def overlap(mask: np.ndarray, other: np.ndarray) -> float:
    """Return the intersection over union."""
    return float(np.count_nonzero(mask & other) / max(1, np.count_nonzero(mask | other)))


if __name__ == "__main__":
    main()
