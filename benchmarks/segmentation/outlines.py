"""Measures how well masks follow objects whose outlines are known, by several ways to get them.

    python benchmarks/segmentation/outlines.py --photos DIR --masks DIR

MASKS holds a PNG of the photo's name and size for each photo: 0 is background, 1 to 20 the VOC
classes, 255 is not counted. PASCAL VOC's SegmentationClass is such a folder; there, 255 is a strip
about 5 px wide over each outline, and the outline is taken as its middle. Objects that the
segmenter finds with an intersection over union of at least 0.6 are measured.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from samples import read_samples

from cleanplate import Remover
from cleanplate.labels import resolve_labels
from cleanplate.ops.filters import ColourGuide, apply_coefficients
from cleanplate.ops.masks import (
    default_dilation_px,
    dilate_instance,
    rasterize,
    union,
    with_mask,
)
from cleanplate.segmentation import Outliner
from cleanplate.segmentation.refinement import refine_outline
from cleanplate.types import Instance, Mask, RGBImage

WITHIN_PX = 2.0  # of the boundary F-measure
_MIN_OVERLAP = 0.6
_WITHOUT_MARGIN = slice(2, 4)  # of what is measured
_TOUCHED = 0.3  # share of a true part that is found, for it to count as the object's


@dataclass(frozen=True)
class Sample:
    """An object that was found, and what it truly is."""

    photo: RGBImage  # (H, W, 3) uint8
    found: Instance
    truth: Mask  # (H, W) bool, up to the middle of the strip over its outline
    counted: Mask  # (H, W) bool, outside of such strips


Way = Callable[[Sample], Instance]


def main() -> None:
    """Parse the command line, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    arguments = parser.parse_args()
    samples = list(found_samples(arguments.photos, arguments.masks))
    if not samples:
        raise SystemExit("no object was found in any photo that has a mask")
    complete = Outliner(threads=1).complete
    ways: dict[str, Way] = {
        "as found": lambda sample: sample.found,
        "guided filter": lambda sample: filter_outline(sample.photo, sample.found),
        "GrabCut": lambda sample: cut_outline(sample.photo, sample.found),
        "refined": lambda sample: refine_outline(sample.photo, sample.found),
        "completed": lambda sample: complete(sample.photo, sample.found).instance,
        "completed, refined": lambda sample: refine_outline(sample.photo, sample.found, complete),
        "true outline": lambda sample: with_mask(sample.found, sample.truth),
    }
    print(f"{len(samples)} objects; boundary F within {WITHIN_PX:g} px")
    print("| | Boundary F | IoU | Missed | Beyond | With the margin: missed | Beyond | CPU time |")
    print("|---|---|---|---|---|---|---|---|")
    rows = {}
    for name, way in ways.items():
        start = time.process_time()
        outlines = [way(sample) for sample in samples]
        spent_s = (time.process_time() - start) / len(samples)
        rows[name] = np.array([measure(*pair) for pair in zip(samples, outlines, strict=True)])
        score, overlap, *shares = rows[name].mean(axis=0)
        missed, beyond, missed_after, beyond_after = (f"{share:.1%}" for share in shares)
        print(
            f"| {name} | {score:.3f} | {overlap:.3f} | {missed} | {beyond} "
            f"| {missed_after} | {beyond_after} | {1000 * spent_s:.0f} ms |"
        )
    print("\nWith the margin, as found, and completed and refined:\n")
    print("| | Objects | Boundary F | IoU | Missed | Beyond |")
    print("|---|---|---|---|---|---|")
    labels = np.array([sample.found.label for sample in samples])
    for label in np.unique(labels):
        own = labels == label
        before, after = (
            np.delete(rows[name][own].mean(axis=0), _WITHOUT_MARGIN)
            for name in ("as found", "completed, refined")
        )
        cells = (f"{old:.3f}, {new:.3f}" for old, new in zip(before, after, strict=True))
        print(f"| {label} | {own.sum()} | {' | '.join(cells)} |")


def found_samples(photos: Path, masks: Path) -> Iterator[Sample]:
    """Yield the objects found in the photos that have a mask."""
    segmenter = Remover().segmenter
    for known in read_samples(photos, masks, 1):
        photo, classes = known.photo, known.classes
        for found in segmenter.segment(photo, resolve_labels(["all"], segmenter.labels)):
            own = rasterize([found], classes.shape)
            count, parts = cv2.connectedComponents(
                (classes == segmenter.labels.index(found.label) + 1).astype(np.uint8)
            )
            sizes = np.bincount(parts.ravel(), minlength=count)
            inside = np.bincount(parts[own], minlength=count)
            truth = np.isin(parts, np.flatnonzero(inside[1:] > _TOUCHED * sizes[1:]) + 1)
            if (own & truth).sum() >= _MIN_OVERLAP * (own | truth).sum():
                yield Sample(photo, found, to_middle(truth, classes == 255), classes != 255)


def to_middle(truth: Mask, strip: Mask) -> Mask:
    """Return `truth` with the pixels of `strip` that are nearer to it than to anything else."""
    rest = ~truth & ~strip
    away, nearest = (
        cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, 5) for part in (truth, rest)
    )
    return np.asarray(truth | (strip & (away < nearest)))


def measure(sample: Sample, outline: Instance) -> tuple[float, ...]:
    """Return boundary F, IoU, and the shares missed and filled beyond, without and with margin."""
    size_hw = sample.truth.shape[0], sample.truth.shape[1]
    mask = rasterize([outline], size_hw)
    filled = union([dilate_instance(outline, size_hw, default_dilation_px(outline))], size_hw)
    inner, outer = sample.truth & sample.counted, ~sample.truth & sample.counted
    area = np.count_nonzero(inner)
    return (
        boundary_f(mask, sample.truth),
        np.count_nonzero(mask & inner) / np.count_nonzero((mask & outer) | inner),
        *(
            np.count_nonzero(part) / area
            for one in (mask, filled)
            for part in (inner & ~one, one & outer)
        ),
    )


def boundary_f(mask: Mask, truth: Mask) -> float:
    """Return the F-measure of two outlines' pixels that lie near each other's.

    Reference:
        Martin, Fowlkes and Malik, Learning to Detect Natural Image Boundaries, PAMI 2004; here with
        the nearest pixel instead of a matching.
    """
    lines, away = [], []
    for one in (mask, truth):
        inner = cv2.erode(one.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=[1]) > 0
        lines.append(one & ~inner)
        away.append(cv2.distanceTransform((~lines[-1]).astype(np.uint8), cv2.DIST_L2, 5))
    if not lines[0].any() or not lines[1].any():
        return 0.0
    precision = float((away[1][lines[0]] <= WITHIN_PX).mean())
    recall = float((away[0][lines[1]] <= WITHIN_PX).mean())
    return 2 * precision * recall / max(precision + recall, 1e-9)


def filter_outline(photo: RGBImage, found: Instance) -> Instance:
    """Lay the outline along edges by a guided filter alone."""
    guide = ColourGuide.of(photo, max(2, round(0.06 * np.sqrt(found.area_px))), eps=1e-4)
    target = rasterize([found], photo.shape).astype(np.float32)
    return _changed(found, apply_coefficients(guide.fit(target), guide.colour) > 0.5)


def cut_outline(photo: RGBImage, found: Instance) -> Instance:
    """Cut the object out by GrabCut in a band around the outline."""
    mask = rasterize([found], photo.shape).astype(np.uint8)
    band = 2 + 0.1 * np.sqrt(found.area_px)
    deep = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    off = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
    states = np.where(mask > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    states[deep > band], states[off > band] = cv2.GC_FGD, cv2.GC_BGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(photo, states, None, *models, 3, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # nothing is certain on one of the sides
        return found
    return _changed(found, (states == cv2.GC_FGD) | (states == cv2.GC_PR_FGD))


def _changed(instance: Instance, mask: Mask) -> Instance:
    """Return the object with another (H, W) mask; as it is if that is empty."""
    return with_mask(instance, mask) if mask.any() else instance


if __name__ == "__main__":
    main()
