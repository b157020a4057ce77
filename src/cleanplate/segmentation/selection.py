"""Which of the detected objects are removed and which are kept.

The rules are independent: an object is removed only if every rule allows it, so they combine freely
and their order does not matter.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cleanplate.errors import InputError, UnknownNameError
from cleanplate.labels import resolve_labels
from cleanplate.options import Area, Rules, area_px, region_box
from cleanplate.segmentation.instances import PERSON
from cleanplate.segmentation.main_subject import find_subjects
from cleanplate.types import Box, Instance, RGBImage

NO_MAIN_SUBJECT = "kept: no main subject"
"""Reason of kept people where `Rules.background_people` finds no main subject, or only such."""

SCORE_BELOW = "score below"
"""Prefix of the reason of objects kept for their score."""


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
            "not among the given numbers",
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
