"""Which of the detected objects are removed and which are kept, and which are still there after.

The rules are independent: an object is removed only if every rule allows it, so they combine freely
and their order does not matter.

A foot that the mask missed, or a fill that resembles another person, is detected by segmenting the
filled holes and their surroundings again, each in its own crop.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from cleanplate.errors import InputError, UnknownNameError
from cleanplate.labels import resolve_labels
from cleanplate.ops import (
    bounding_box,
    default_dilation_px,
    dilate,
    expand_box,
    plan_windows,
    rasterize,
)
from cleanplate.options import Area, Rules, area_px, region_box
from cleanplate.segmentation.base import Segmenter
from cleanplate.segmentation.instances import PERSON
from cleanplate.segmentation.main_subject import find_subjects
from cleanplate.types import Box, Instance, Mask, RGBImage

NO_MAIN_SUBJECT = "kept: no main subject"
"""Reason of kept people where `Rules.background_people` finds no main subject, or only such."""

SCORE_BELOW = "score below"
"""Prefix of the reason of objects kept for their score."""

# Of the recheck.
_RECHECK_CONTEXT = 1.0  # surroundings in a crop, as a share of the hole's mean side
_MIN_CROP_PX = 128  # of a crop
_JOIN = 0.5  # holes nearer than this share of the larger one's side share a crop
# Larger crops are scaled down. The built-in segmenter processes these at up to twice that
# size, and larger ones at more, which detected no more deliberate remainders of 60 objects.
_MAX_CROP_PX = 253
_TOUCHING_SHARE = 0.02  # of the hole's mean side; detections farther from every hole are ignored
_ALREADY_LEFT = 0.5  # share of a detection inside a kept object: ignored
_LARGEST_REST = 0.8  # of a detection's part outside a hole, as a share of the hole
_OUTSIDE = 0.5  # share outside above which its label must have been removed there


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The detected objects of one photo, divided; `Instance.reason` says why one is kept."""

    chosen: tuple[Instance, ...] = ()
    kept: tuple[Instance, ...] = ()
    protected: frozenset[int] = field(default_factory=frozenset)
    """Ids of those of `kept` that stay on purpose: no margin of another object goes into them. The
    others are below a limit, and may be a part of something that goes."""


def requested_labels(
    labels: Collection[str] | str, rules: Rules, known: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the canonical labels to remove and to protect; protected ones are not removed.

    Args:
        labels: names, everyday words or VOC ids; may be empty if the rules name people.
        rules: their `protect` and `background_people` count here.
        known: the segmenter's labels.

    Raises:
        InputError: no label at all, or only protected ones.
        UnknownNameError: not one of `known`; the message names the segmenter that takes any words.
    """
    names = [labels] if isinstance(labels, str) else list(labels)
    if rules.background_people:
        names.append(PERSON)
    try:
        protected = resolve_labels(rules.protect, known) if rules.protect else ()
        asked = resolve_labels(names, known)
    except UnknownNameError as error:
        raise _with_advice(error) from None
    wanted = tuple(label for label in asked if label not in protected)
    if not wanted:
        raise InputError(
            f"{', '.join(asked)}: cannot be both removed and protected; change one of the two"
        )
    return wanted, protected


def _with_advice(error: UnknownNameError) -> UnknownNameError:
    """Return the error with advice for words that are not among the labels."""
    if not any(character.isalpha() for character in error.name):
        return error
    from cleanplate.hub import MODELS, install_hint, is_available

    takes_any = [it for it in MODELS.values() if it.kind == "segmenter" and not it.labels]
    model = next((it for it in takes_any if is_available(it)), takes_any[0])
    got = "it is installed" if is_available(model) else f"to get it {install_hint(model)}"
    return UnknownNameError(
        error.kind,
        error.name,
        error.known,
        also=error.also,
        otherwise=f"--segmenter {model.name} accepts any words ({got})",
    )


def select(
    image: RGBImage,
    found: Sequence[Instance],
    *,
    min_score: float,
    min_area: Area,
    rules: Rules,
    protected_labels: Collection[str] = (),
) -> Selection:
    """Return which objects are removed and which are kept.

    Rules ignore objects below a limit: these are never the largest or a main subject.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        found: objects of the requested and the protected labels.
        min_score: [0, 1]; objects of a lower score are kept.
        min_area: smaller objects are kept.
        rules: which others are kept.
        protected_labels: canonical labels that are never removed.

    Raises:
        InputError: an invalid area, or an object number that does not exist.
    """
    size_hw = (image.shape[0], image.shape[1])
    least_px = area_px("min_area", min_area, size_hw)
    if rules.only and max(rules.only) > len(found):
        raise InputError(
            f"only: no such object: {max(rules.only)}; {len(found)} were found, see a dry run"
        )
    reasons: dict[int, str] = {}
    protected: set[int] = set()

    def stay(items: Sequence[Instance], reason: str, *, protect: bool = True) -> None:
        for item in items:
            reasons.setdefault(item.id, reason)
            if protect:
                protected.add(item.id)

    stay([item for item in found if item.label in protected_labels], "protected")
    asked = [item for item in found if item.label not in protected_labels]
    doubtful = [item for item in asked if item.score < min_score]
    small = [item for item in asked if item.area_px < least_px]
    stay(doubtful, f"{SCORE_BELOW} {min_score:g}", protect=False)
    stay(small, f"area below {least_px} px", protect=False)
    sure = [item for item in asked if item.id not in reasons]
    if rules.max_area is not None:
        most_px = area_px("max_area", rules.max_area, size_hw)
        stay(
            [item for item in sure if item.area_px > most_px],
            f"area above {most_px} px",
        )
    if rules.only:
        stay(
            [item for item in sure if item.id not in rules.only],
            "not among the numbers given",
        )
    if rules.region is not None:
        box = region_box(rules.region, size_hw)
        stay([item for item in sure if not _lies_in(item, box)], "outside the region")
    if rules.keep:
        largest = sorted(sure, key=lambda item: -item.area_px)[: rules.keep]
        word = "largest" if rules.keep == 1 else f"one of the {rules.keep} largest"
        stay(largest, f"kept: {word}")
    if rules.background_people:
        stay(*_main_subjects(image, [item for item in sure if item.label == PERSON]))
    return Selection(
        tuple(item for item in found if item.id not in reasons),
        tuple(replace(item, reason=reasons[item.id]) for item in found if item.id in reasons),
        frozenset(protected),
    )


def selection_notes(kept: Collection[Instance]) -> tuple[str, ...]:
    """Return notes for the user about the kept objects."""
    crowd = sum(item.reason == NO_MAIN_SUBJECT for item in kept)
    if not crowd:
        return ()
    who = "the one person found is no" if crowd == 1 else f"of {crowd} people none is the"
    return (
        f"{who} evident main subject, so no one was taken for background; choose by number, "
        "region or area",
    )


def _main_subjects(image: RGBImage, people: list[Instance]) -> tuple[list[Instance], str]:
    """Return the people to keep, and the reason."""
    subjects = find_subjects(image, people)
    scattered = len(subjects.main) == len(people) > 1 and not subjects.together
    if not subjects.main or scattered:
        return people, NO_MAIN_SUBJECT
    return [people[place] for place in subjects.main], "kept: main subject"


def _lies_in(item: Instance, box: Box) -> bool:
    """Return whether at least half of an object's pixels lie in a box."""
    left, top = item.box_xyxy[:2]
    columns = slice(max(0, box[0] - left), max(0, box[2] - left))
    rows = slice(max(0, box[1] - top), max(0, box[3] - top))
    return 2 * int(np.count_nonzero(item.mask[rows, columns])) >= item.area_px


def detect_remaining(
    image: RGBImage,
    mask: Mask,
    *,
    removed: Collection[Instance],
    kept: Collection[Instance],
    segmenter: Segmenter,
    labels: Collection[str],
    min_score: float,
    min_area: int,
) -> list[Instance]:
    """Return the objects still detected in the holes of a filled photo or at their edges.

    Args:
        image: (H, W, 3) uint8, RGB, the filled photo. Not modified.
        mask: (H, W) bool, what was filled.
        removed: the removed objects. A detection mostly outside the holes counts only if an object
            of its label was removed there: a foot, not the rock beside it.
        kept: the kept objects; detections mostly inside one of them are ignored.
        segmenter: run on a crop around each hole.
        labels: canonical names.
        min_score: [0, 1]; objects of a lower score do not count.
        min_area: px; smaller objects do not count.

    Returns:
        Objects of the photo, numbered 1, 2, ... by falling area.
    """
    stays = rasterize(kept, mask.shape)
    found: list[Instance] = []
    for window in plan_windows(mask, context=_RECHECK_CONTEXT, min_size=_MIN_CROP_PX, join=_JOIN):
        crop = image[window.slices]
        hole = window.mask
        box = bounding_box(hole)
        reach_px = 1 + _TOUCHING_SHARE * math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
        near = dilate(hole, reach_px)
        for instance in _segment(crop, segmenter, labels):
            if instance.score < min_score or instance.area_px < min_area:
                continue
            rows, columns = _slices(instance.box_xyxy)
            if not (near[rows, columns] & instance.mask).any():
                continue
            across, down = window.box_xyxy[:2]
            x0, y0, x1, y1 = instance.box_xyxy
            placed = replace(instance, box_xyxy=(x0 + across, y0 + down, x1 + across, y1 + down))
            shared = stays[_slices(placed.box_xyxy)] & placed.mask
            if np.count_nonzero(shared) >= _ALREADY_LEFT * placed.area_px:
                continue
            outside = np.count_nonzero(instance.mask & ~hole[rows, columns])
            if outside > _LARGEST_REST * np.count_nonzero(hole):
                continue
            if outside <= _OUTSIDE * placed.area_px or _is_rest(placed, removed, reach_px):
                found.append(placed)
    found.sort(key=lambda instance: -instance.area_px)
    return [replace(instance, id=number) for number, instance in enumerate(found, start=1)]


def _is_rest(instance: Instance, removed: Collection[Instance], reach_px: float) -> bool:
    """Return whether an object adjoins a removed one of its label."""
    left, top, right, bottom = instance.box_xyxy
    for other in removed:
        apart_px = default_dilation_px(other) + reach_px
        box = other.box_xyxy
        if (
            other.label == instance.label
            and left < box[2] + apart_px
            and right > box[0] - apart_px
            and top < box[3] + apart_px
            and bottom > box[1] - apart_px
        ):
            return True
    return False


def _segment(crop: RGBImage, segmenter: Segmenter, labels: Collection[str]) -> list[Instance]:
    """Return the objects of a crop, scaled down to at most `_MAX_CROP_PX`."""
    height, width = crop.shape[:2]
    shrink = max(height, width) / _MAX_CROP_PX
    if shrink <= 1:
        return segmenter.segment(crop, labels)
    size_wh = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    small = np.asarray(cv2.resize(crop, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    return [
        _enlarged(instance, size_wh, (width, height))
        for instance in segmenter.segment(small, labels)
    ]


def _enlarged(instance: Instance, from_wh: tuple[int, int], to_wh: tuple[int, int]) -> Instance:
    """Return an object of a scaled crop in the crop's own px."""
    left, top, right, bottom = expand_box(instance.box_xyxy, 1, from_wh[::-1])
    x0, y0 = instance.box_xyxy[0] - left, instance.box_xyxy[1] - top
    mask = np.zeros((bottom - top, right - left), np.float32)
    mask[y0 : y0 + instance.mask.shape[0], x0 : x0 + instance.mask.shape[1]] = instance.mask
    across, down = to_wh[0] / from_wh[0], to_wh[1] / from_wh[1]
    box = (round(left * across), round(top * down), round(right * across), round(bottom * down))
    size_wh = (box[2] - box[0], box[3] - box[1])
    large = cv2.resize(mask, size_wh, interpolation=cv2.INTER_LINEAR) > 0.5
    tight = bounding_box(large)
    return replace(
        instance,
        box_xyxy=(box[0] + tight[0], box[1] + tight[1], box[0] + tight[2], box[1] + tight[3]),
        mask=np.ascontiguousarray(large[_slices(tight)]),
    )


def _slices(box: Box) -> tuple[slice, slice]:
    return slice(box[1], box[3]), slice(box[0], box[2])
