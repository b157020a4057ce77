"""Measures how many touching objects come apart, and how many single ones stay whole.

    cd benchmarks/segmentation
    python touching.py --photos DIR --masks DIR --boxes DIR [--cache DIR]

PHOTOS and MASKS are as `run.py` takes them. BOXES has a file NAME.txt for each photo, with a line
for each object: its label, and left, top, right and bottom in px, such as `person 12 40 98 210`;
right and bottom are the first column and row beyond it. Objects need no outlines of their own: a
pixel of a class in one of its boxes only is that object's, and in several it does not count.

A region is a connected part of a class. Of one with several objects of half a per cent of the photo
or more, those count that have a detection of their own, with an intersection over union of at least
0.5: of the pixels that are known, or, if these are less than 0.3 of the object, of the boxes. One
with a single object is whole if no second detection covers a tenth of it.
"""

import argparse
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from run import cache_networks
from samples import IGNORED, photos_in, read_samples

from cleanplate import Remover
from cleanplate.labels import VOC_LABELS
from cleanplate.ops.masks import rasterize
from cleanplate.segmentation.instances import COUNTED
from cleanplate.types import Box, Instance, Mask

_GROUPS = {
    "people": {"person"},
    "cars, buses, motorbikes": {"car", "bus", "motorbike"},
    "animals": {"bird", "cat", "cow", "dog", "horse", "sheep"},
}
_JOINED_PX = 9  # side of a square that bridges unlabelled strips between objects
_LEAST_SHARE = 0.005  # of the photo's area
_LABELLED = 0.9  # share of a region that boxes must cover where one object is to be alone in it
_KNOWN = 0.3  # share of an object's pixels that must be known for their intersection over union
_FITS = 0.5  # intersection over union
_SEEN = 0.3  # share of a single object that a detection must cover to have found it
_PART = 0.1  # of a single object


@dataclass(frozen=True, eq=False)
class Object:
    """One object of a region."""

    box_xyxy: Box
    own: Mask  # (H, W), its pixels that are in no other box
    area_px: int  # with those that are


@dataclass(frozen=True, eq=False)
class Region:
    """A connected part of a class."""

    label: str
    objects: tuple[Object, ...]  # those of some size
    area: Mask  # (H, W)
    known: Mask  # (H, W), where it is known to which object a pixel belongs, or that to none


def main() -> None:
    """Parse the command line, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="folder for the network's outputs")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    remover = Remover(threads=arguments.threads)
    if arguments.cache:
        cache_networks(remover, arguments.cache)
    counts: Counter[tuple[str, str]] = Counter()
    names = [path.stem for path in photos_in(arguments.photos)]
    names = [name for name in names if (arguments.masks / f"{name}.png").exists()]
    samples = read_samples(arguments.photos, arguments.masks, 1)
    for name, sample in zip(names, samples, strict=True):
        boxes = read_boxes(arguments.boxes / f"{name}.txt")
        regions = list(regions_of(sample.classes, boxes))
        if not regions:
            continue
        chosen, kept = remover.find(sample.photo, COUNTED)
        for region in regions:
            found = [it for it in (*chosen, *kept) if it.label == region.label]
            group = next(name for name, labels in _GROUPS.items() if region.label in labels)
            if len(region.objects) > 1:
                counts[group, "touching"] += len(region.objects)
                counts[group, "apart"] += count_apart(region, found)
            else:
                shares = covered_shares(region, found)
                counts[group, "single"] += max(shares, default=0) >= _SEEN
                counts[group, "whole"] += (
                    max(shares, default=0) >= _SEEN and sum(it >= _PART for it in shares) == 1
                )
    print("| | Touching | Come apart | Single | Stay whole |\n|---|---|---|---|---|")
    for group in _GROUPS:
        columns = (counts[group, what] for what in ("touching", "apart", "single", "whole"))
        print(f"| {group} | {' | '.join(map(str, columns))} |")


def read_boxes(path: Path) -> list[tuple[str, Box]]:
    """Return the objects in a file of boxes; none if it does not exist."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        label, *sides = line.rsplit(maxsplit=4)
        left, top, right, bottom = map(int, sides)
        found.append((label, (left, top, right, bottom)))
    return found


def regions_of(classes: np.ndarray, objects: Collection[tuple[str, Box]]) -> Iterator[Region]:
    """Yield the regions of a photo in which several objects touch, or which are one object.

    Args:
        classes: (H, W) uint8, VOC's class numbers, 0 = background, 255 = not labelled.
        objects: their labels and boxes.
    """
    unlabelled = classes == IGNORED
    least = _LEAST_SHARE * classes.size
    for label in sorted(COUNTED.intersection(label for label, _ in objects)):
        mine = classes == VOC_LABELS.index(label) + 1
        boxes = [box for name, box in objects if name == label]
        around = np.zeros(classes.shape, np.int32)
        for left, top, right, bottom in boxes:
            around[top:bottom, left:right] += 1
        near = cv2.dilate(mine.astype(np.uint8), np.ones((_JOINED_PX, _JOINED_PX), np.uint8)) > 0
        joined = (near & (mine | unlabelled)).astype(np.uint8)
        count, parts = cv2.connectedComponents(joined)
        belongs = [part_of(box, parts, mine, around) for box in boxes]
        for part in range(1, count):
            area = (parts == part) & mine
            every = [
                made(box, area, around)
                for box, its in zip(boxes, belongs, strict=True)
                if its == part
            ]
            large = tuple(it for it in every if it.area_px >= least)
            known = np.where(parts == part, area & (around == 1), ~unlabelled)
            alone = len(every) == 1 and (around[area] > 0).mean() >= _LABELLED
            if len(large) > 1 or (alone and large):
                yield Region(label, large, area, known)


def part_of(box_xyxy: Box, parts: np.ndarray, mine: Mask, around: np.ndarray) -> int:
    """Return the component in which an object has most of its pixels; 0 if it has none."""
    left, top, right, bottom = box_xyxy
    place = np.s_[top:bottom, left:right]
    inside = mine[place] & (around[place] == 1)
    counts = np.bincount(parts[place][inside if inside.any() else mine[place]])
    return int(counts.argmax()) if counts.size else 0


def made(box_xyxy: Box, area: Mask, around: np.ndarray) -> Object:
    """Return an object of a region."""
    left, top, right, bottom = box_xyxy
    place = np.s_[top:bottom, left:right]
    own = np.zeros_like(area)
    own[place] = area[place] & (around[place] == 1)
    return Object(box_xyxy, own, int(np.count_nonzero(area[place])))


def count_apart(region: Region, found: Collection[Instance]) -> int:
    """Return how many objects of a region have a detection of their own."""
    fits = sorted(
        (
            (fit(item, region, it), n, it.id)
            for n, item in enumerate(region.objects)
            for it in found
        ),
        reverse=True,
    )
    objects: set[int] = set()
    detections: set[int] = set()
    for share, n, number in fits:
        if share >= _FITS and n not in objects and number not in detections:
            objects.add(n)
            detections.add(number)
    return len(objects)


def fit(item: Object, region: Region, instance: Instance) -> float:
    """Return the intersection over union of an object and a detection."""
    own = np.count_nonzero(item.own)
    if own >= _KNOWN * item.area_px:
        seen = rasterize([instance], item.own.shape) & region.known
        return np.count_nonzero(seen & item.own) / max(1, np.count_nonzero(seen | item.own))
    boxes = np.array([item.box_xyxy, instance.box_xyxy])
    both = (boxes[:, 2:].min(axis=0) - boxes[:, :2].max(axis=0)).clip(min=0).prod()
    each = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return float(both / (each.sum() - both))


def covered_shares(region: Region, found: Collection[Instance]) -> list[float]:
    """Return which share of a region each detection covers."""
    masks = (rasterize([it], region.area.shape) for it in found)
    return [np.count_nonzero(mask & region.area) / region.area.sum() for mask in masks]


if __name__ == "__main__":
    main()
