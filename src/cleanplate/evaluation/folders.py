"""Evaluation of folders: results with their photos, masks and ground truth."""

import glob
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cleanplate.batch import MaskFiles, PlannedPhoto, Walk, walk_folder
from cleanplate.errors import CleanplateError, InputError, PhotoError
from cleanplate.evaluation.changes import changed_mask
from cleanplate.evaluation.features import FeatureExtractor
from cleanplate.evaluation.scoring import FillScorer, NoReferenceScore, TruthScore
from cleanplate.io import is_photo_name, read_mask, read_photo
from cleanplate.ops import rasterize
from cleanplate.options import DEFAULT_MIN_SCORE
from cleanplate.segmentation import Segmenter, detect_remaining
from cleanplate.types import Mask, RGBImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The folders of an evaluation; photos lie at the same relative paths in all of them."""

    results: Path  # the clean plates
    photos: Path | None = None  # as they were before; needed without masks
    masks: Path | None = None  # what was filled, as `run --masks` saves it
    truth: Path | None = None  # what is really behind the objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The metrics of one result."""

    name: str  # relative path
    mask_share: float  # filled share of the photo; 0: unchanged, no other metric
    truth: TruthScore | None = None
    no_reference: NoReferenceScore | None = None
    # Share of the hole in which the segmenter still detects what was to be removed.
    remaining_share: float | None = None
    remaining: tuple[str, ...] = ()  # labels
    error: str | None = None  # why it could not be evaluated, one line


@dataclass(frozen=True, slots=True, eq=False)
class EvaluatedImages:
    """The images of one evaluation, all of one size."""

    result: RGBImage
    mask: Mask
    before: RGBImage | None
    truth: RGBImage | None


def evaluate_folders(
    sources: Sources,
    features: FeatureExtractor,
    *,
    segmenter: Segmenter | None = None,
    labels: Collection[str] = (),
    min_score: float = DEFAULT_MIN_SCORE,
) -> Iterator[tuple[Evaluation, EvaluatedImages | None]]:
    """Yield the metrics of each result, and its images; None for those that failed.

    Args:
        sources: where the images lie.
        features: computes the features.
        segmenter: rechecks the filled holes; None skips that.
        labels: canonical names of what was to be removed.
        min_score: [0, 1]; detections of a lower score are ignored.

    Raises:
        InputError: there is no result, or neither masks nor photos are given.
    """
    if sources.masks is None and sources.photos is None:
        raise InputError(
            "the filled region is unknown; give the masks (--masks) or the photos (--photos)"
        )
    results = _walk(sources.results)
    if not results:
        raise InputError(f"{sources.results}: contains no photos")
    masks = None if sources.masks is None else MaskFiles(sources.masks)
    for photo in results:
        name = photo.relative.as_posix()
        try:
            images = _read(photo, sources, masks)
            evaluation = _evaluate(name, images, features)
            if segmenter is not None and images.mask.any():
                share, found = _still_found(images, segmenter, labels, min_score)
                evaluation = replace(evaluation, remaining_share=share, remaining=found)
        except CleanplateError as error:
            yield Evaluation(name=name, mask_share=0.0, error=str(error)), None
        else:
            yield evaluation, images


def _walk(folder: Path) -> list[PlannedPhoto]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found = [Path(*parts) for parts in walk_folder(folder, Walk(), recursive=True, excluded=())]
    stems = Counter(path.with_suffix("") for path in found)
    return [
        PlannedPhoto(
            source=folder / path,
            target=folder / path,
            relative=path,
            shares_stem=stems[path.with_suffix("")] > 1,
        )
        for path in found
    ]


def _read(photo: PlannedPhoto, sources: Sources, masks: MaskFiles | None) -> EvaluatedImages:
    result = read_photo(photo.source).pixels
    before = _read_other(sources.photos, photo, result)
    truth = _read_other(sources.truth, photo, result)
    mask = np.zeros(result.shape[:2], np.bool_)
    if masks is not None:
        path = masks.find(photo)
        if path is None:
            raise PhotoError(photo.source, "it has no mask", "add it to the folder of masks")
        mask = read_mask(path, (result.shape[0], result.shape[1]))
    elif before is not None:
        mask = changed_mask(before, result)
    return EvaluatedImages(result, mask, before, truth)


def _read_other(folder: Path | None, photo: PlannedPhoto, result: RGBImage) -> RGBImage | None:
    """Return the image at the same relative path in another folder, of whatever format."""
    if folder is None:
        return None
    path = folder / photo.relative
    if not path.exists():
        beside = path.parent.glob(f"{glob.escape(path.stem)}.*") if path.parent.is_dir() else ()
        alike = [it for it in beside if is_photo_name(it.name)]
        if len(alike) != 1:
            raise PhotoError(path, "no such photo", "add it to the folder")
        (path,) = alike
    pixels = read_photo(path).pixels
    if pixels.shape != result.shape:
        raise PhotoError(
            path,
            f"is {pixels.shape[1]} x {pixels.shape[0]} px, its result {result.shape[1]} x "
            f"{result.shape[0]} px",
            "compare photos of the same size",
        )
    return pixels


def _evaluate(name: str, images: EvaluatedImages, features: FeatureExtractor) -> Evaluation:
    mask = images.mask
    if not mask.any():
        return Evaluation(name=name, mask_share=0.0)
    scorer = FillScorer(mask, features, truth=images.truth)
    return Evaluation(
        name=name,
        mask_share=float(mask.mean()),
        truth=scorer.against_truth(images.result),
        no_reference=scorer.without_truth(images.result),
    )


def _still_found(
    images: EvaluatedImages, segmenter: Segmenter, labels: Collection[str], min_score: float
) -> tuple[float, tuple[str, ...]]:
    """Return the share of the hole in which objects are detected, and their labels."""
    mask = images.mask
    found = detect_remaining(
        images.result,
        mask,
        removed=(),
        kept=(),
        segmenter=segmenter,
        labels=labels,
        min_score=min_score,
        min_area=0,
    )
    still = rasterize(found, mask.shape) & mask
    share = np.count_nonzero(still) / np.count_nonzero(mask)
    return float(share), tuple(instance.label for instance in found)
