"""Measures a segmenter, and the objects that the product finds with it, on photos with true labels.

    python benchmarks/segmentation/run.py --photos DIR --masks DIR [--scenes DIR] [--small DIR]

MASKS holds a PNG of the photo's name and size for each photo: 0 is background, 1 to 20 the VOC
classes, 255 is not counted. PASCAL VOC's SegmentationClass is such a folder. SCENES are photos
without any of the classes: what is found there is false. SMALL is what small_objects.py made: one
object in each photo. With a CACHE, a network runs once for each input: rules that decide on its
outputs are then measured in seconds.

An object is a connected region of a class, of at least 0.5 % of the photo; smaller ones, of 150 px
or more, are counted apart. It is missed where less than 30 % of it is found as its class. A
detection is right where half of it or more is its class. A class is missed in a photo where all its
objects are, and false where no pixel of the photo has it.
"""

import argparse
import hashlib
import itertools
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from outlines import WITHIN_PX, boundary_f, to_middle
from samples import IGNORED, Sample, photos_in, read_samples

from cleanplate import Remover
from cleanplate.io.files import read_photo
from cleanplate.labels import VOC_LABELS
from cleanplate.ops.masks import default_dilation_px, dilate_instance, rasterize, union
from cleanplate.segmentation.models.semantic import SemanticSegmenter
from cleanplate.segmentation.multiscale import FIRST_PASS_SIDE, SIDE_MULTIPLE
from cleanplate.types import Instance, Mask, RGBImage

_MIN_SHARE = 0.005  # of the photo, of an object that counts
_LEAST_PX = 150  # of a smaller object
_FOUND = 0.3  # share of an object that is found, for it not to be missed
_RIGHT = 0.5  # share of a detection that is its class
_MIN_PHOTOS = 3  # in which a class must be, to count in the mean
_FOLLOWED = 0.6  # intersection over union above which the outline is measured
_BINS = np.linspace(0, 1, 11)  # of scores


@dataclass
class Figures:
    """What was measured."""

    confusion: np.ndarray = field(default_factory=lambda: np.zeros((21, 21), np.int64))
    network: np.ndarray = field(default_factory=lambda: np.zeros((21, 21), np.int64))
    photos: np.ndarray = field(default_factory=lambda: np.zeros(21, np.int64))
    detections: list[tuple[float, bool, bool]] = field(default_factory=list)
    """Score, whether it is right, whether it is removed by default."""
    objects: int = 0
    missed: int = 0
    smaller: int = 0
    smaller_found: int = 0
    classes: int = 0
    """Pairs of a photo and a class of which it has an object."""
    classes_missed: int = 0
    classes_false: int = 0
    outlines: list[tuple[float, float, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class CachedNetwork:
    """A network whose outputs are kept in half precision, by the input."""

    def __init__(self, network, folder: Path) -> None:
        self._network, self._folder = network, folder
        self.max_concurrency, self.provider = 1, network.provider

    def run(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for (N, 3, H, W) float32."""
        key = hashlib.blake2b(pixels.tobytes(), digest_size=16)
        key.update(str(pixels.shape).encode())
        path = self._folder / f"{key.hexdigest()}.npy"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{os.getpid()}.npy")
            np.save(unfinished, self._network.run(pixels)[0].astype(np.float16))
            unfinished.replace(path)
        return [np.load(path).astype(np.float32)]


def cache_networks(remover: Remover, folder: Path) -> None:
    """Keep the outputs of a remover's segmenter in a folder."""
    networks = remover.segmenter._networks
    for role, network in networks.items():
        networks[role] = CachedNetwork(network, folder / remover.segmenter.name / role)


def main() -> None:
    """Parse the command line, measure, print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, help="photos without any of the classes")
    parser.add_argument("--segmenter", default="deeplabv3plus_lite2.voc", help="default: built in")
    parser.add_argument("--cache", type=Path, help="folder for the network's outputs")
    parser.add_argument("--every", type=int, default=1, help="take every n-th photo only")
    parser.add_argument("--small", type=Path, help="images/ and masks/ of one object each")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    remover = Remover(segmenter=arguments.segmenter, threads=arguments.threads)
    if arguments.cache:
        cache_networks(remover, arguments.cache)
    figures = Figures()
    for sample in read_samples(arguments.photos, arguments.masks, arguments.every):
        measure(sample, remover, figures)
    if not figures.seconds:
        raise SystemExit("no photo has a mask")
    print_figures(figures)
    if arguments.scenes:
        scenes = [read_photo(path).pixels for path in photos_in(arguments.scenes)]
        alarms = [len(remover.find(scene, "all")[0]) for scene in scenes]
        print(
            f"\n{sum(alarms)} false alarms in {np.count_nonzero(alarms)} of {len(scenes)} scenes "
            "without any of the classes"
        )
    if arguments.small:
        folders = (arguments.small / "images", arguments.small / "masks")
        found = [is_found(sample, remover) for sample in read_samples(*folders, 1)]
        print(f"{sum(found)} of {len(found)} small objects found")


def measure(sample: Sample, remover: Remover, figures: Figures) -> None:
    """Add one photo's figures."""
    segmenter, truth = remover.segmenter, sample.classes
    counted = truth != IGNORED
    present = [c for c in np.unique(truth) if 0 < c < IGNORED]
    figures.photos[present] += 1
    if isinstance(segmenter, SemanticSegmenter) and segmenter.labels == VOC_LABELS:
        count_pairs(figures.network, truth, one_pass(segmenter, sample.photo))
    start = time.perf_counter()
    chosen, kept = remover.find(sample.photo, "all")
    figures.seconds.append(time.perf_counter() - start)
    found = np.zeros(truth.shape, np.uint8)
    for instance in chosen:
        if instance.label in VOC_LABELS:
            found[rasterize([instance], truth.shape)] = VOC_LABELS.index(instance.label) + 1
    count_pairs(figures.confusion, truth, found)
    for instance in (*chosen, *kept):
        right = is_right(instance, sample)
        if right is not None:
            figures.detections.append((instance.score, right, not instance.reason))
    for number in present:
        own = (truth == number).astype(np.uint8)
        _, parts, stats, _ = cv2.connectedComponentsWithStats(own, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA]
        is_large = areas >= _MIN_SHARE * truth.size
        large = np.flatnonzero(is_large) + 1
        smaller = np.flatnonzero(~is_large & (areas >= _LEAST_PX)) + 1
        missed = [(found[parts == part] == number).mean() < _FOUND for part in large]
        figures.smaller += len(smaller)
        figures.smaller_found += sum(
            (found[parts == part] == number).mean() >= _FOUND for part in smaller
        )
        figures.objects += len(missed)
        figures.missed += sum(missed)
        figures.classes += bool(missed)
        figures.classes_missed += bool(missed) and all(missed)
    figures.classes_false += len(np.setdiff1d(found, [0, *present]))
    for instance in chosen:
        outline = measure_outline(instance, truth, counted)
        if outline is not None:
            figures.outlines.append(outline)


def one_pass(segmenter: SemanticSegmenter, photo: RGBImage) -> np.ndarray:
    """Return (H, W) uint8, the most probable class by one run on the complete photo."""
    height, width = photo.shape[:2]
    scale = FIRST_PASS_SIDE / max(height, width)
    size_hw = [
        max(SIDE_MULTIPLE, round(side * scale / SIDE_MULTIPLE) * SIDE_MULTIPLE)
        for side in (height, width)
    ]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cells = segmenter.probabilities(cv2.resize(photo, size_hw[::-1], interpolation=method))
    full = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in cells]
    return np.argmax(full, axis=0).astype(np.uint8)


def count_pairs(confusion: np.ndarray, truth: np.ndarray, found: np.ndarray) -> None:
    """Add pixels by true and found class."""
    valid = truth != IGNORED
    index = truth[valid].astype(np.int64) * 21 + found[valid]
    confusion += np.bincount(index, minlength=441).reshape(21, 21)


def is_right(instance: Instance, sample: Sample) -> bool | None:
    """Return whether half of a detection or more is of its class; None if it is unlabelled."""
    left, top, right, bottom = instance.box_xyxy
    under = sample.classes[top:bottom, left:right][instance.mask]
    labelled = under[under != IGNORED]
    if 2 * len(labelled) < len(under):
        return None
    number = VOC_LABELS.index(instance.label) + 1 if instance.label in VOC_LABELS else 0
    return bool(number and (labelled == number).mean() >= _RIGHT)


def measure_outline(
    instance: Instance, truth: np.ndarray, counted: Mask
) -> tuple[float, float, float] | None:
    """Return boundary F, and the shares missed and filled beyond it after the margin."""
    if instance.label not in VOC_LABELS:
        return None
    size_hw = (truth.shape[0], truth.shape[1])
    mask = rasterize([instance], size_hw)
    own = (truth == VOC_LABELS.index(instance.label) + 1).astype(np.uint8)
    _, parts = cv2.connectedComponents(own)
    known = np.isin(parts, np.setdiff1d(parts[mask & (own > 0)], [0]))
    either = np.count_nonzero((mask | known) & counted)
    if not known.any() or np.count_nonzero(mask & known) < _FOLLOWED * either:
        return None
    filled = union([dilate_instance(instance, size_hw, default_dilation_px(instance))], size_hw)
    area = np.count_nonzero(known)
    return (
        boundary_f(mask, to_middle(known, ~counted)),
        np.count_nonzero(known & ~filled) / area,
        np.count_nonzero(filled & ~known & counted) / area,
    )


def is_found(sample: Sample, remover: Remover) -> bool:
    """Return whether the one object of a photo is found as its class."""
    number = int(sample.classes.max())
    own = sample.classes == number
    chosen, _ = remover.find(sample.photo, "all")
    mask = rasterize([it for it in chosen if it.label == VOC_LABELS[number - 1]], own.shape)
    return bool(np.count_nonzero(mask & own) >= _FOUND * np.count_nonzero(own))


def print_figures(figures: Figures) -> None:
    """Print tables of what was measured on labelled photos."""
    detections = np.array(figures.detections, np.float64).reshape(-1, 3)
    scores, right, removed = detections[:, 0], detections[:, 1] > 0, detections[:, 2] > 0
    f_score, missed, beyond = np.mean(figures.outlines or [(0, 0, 0)], axis=0)
    counted = np.flatnonzero(figures.photos >= _MIN_PHOTOS)
    product, network = overlaps(figures.confusion), overlaps(figures.network)
    print(f"{len(figures.seconds)} photos, {figures.objects} objects, {len(counted)} classes\n")
    print("| | |\n|---|---|")
    print(f"| mIoU of one pass of the network | {network[counted].mean():.3f} |")
    print(f"| mIoU of what is removed | {product[counted].mean():.3f} |")
    print(f"| False alarms | {np.count_nonzero(removed & ~right)} |")
    print(f"| Objects missed | {figures.missed} |")
    print(f"| Of {figures.smaller} smaller objects, found | {figures.smaller_found} |")
    print(f"| Of {figures.classes} classes in photos, missed | {figures.classes_missed} |")
    print(f"| Classes found in photos without them | {figures.classes_false} |")
    print(f"| Boundary F, {WITHIN_PX:g} px | {f_score:.3f} |")
    print(f"| Missed after the margin | {missed:.1%} |")
    print(f"| Filled beyond | {beyond:.1%} |")
    print(f"| Expected calibration error | {calibration_error(scores, right):.3f} |")
    print(f"| Seconds a photo | {np.mean(figures.seconds):.2f} |")
    print("\n| Class | Photos | Network | Removed |\n|---|---|---|---|")
    for number in counted:
        name, photos = VOC_LABELS[number - 1], figures.photos[number]
        print(f"| {name} | {photos} | {network[number]:.2f} | {product[number]:.2f} |")
    print("\n| Score | Detections | Mean score | Right |\n|---|---|---|---|")
    for low, high in itertools.pairwise(_BINS):
        inside = (scores >= low) & ((scores < high) | (high == 1))
        if inside.any():
            print(
                f"| {low:.1f} to {high:.1f} | {np.count_nonzero(inside)} "
                f"| {scores[inside].mean():.2f} | {right[inside].mean():.0%} |"
            )


def overlaps(confusion: np.ndarray) -> np.ndarray:
    """Return (21,) intersections over unions."""
    both = np.diag(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - both
    return both / np.maximum(either, 1)


def calibration_error(scores: np.ndarray, right: np.ndarray) -> float:
    """Return the mean distance between score and share of right detections, by tenths.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, arXiv:1706.04599.
    """
    tenth = np.clip(np.digitize(scores, _BINS) - 1, 0, len(_BINS) - 2)
    apart = [abs(scores[tenth == b].sum() - right[tenth == b].sum()) for b in np.unique(tenth)]
    return float(sum(apart) / max(1, len(scores)))


if __name__ == "__main__":
    main()
