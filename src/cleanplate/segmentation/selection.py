"""Which of the found objects go and which stay, and why.

Every rule looks at the objects for itself, and an object goes only if all of them let it go: rules
may be combined in any way, and their order does not matter.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cleanplate.errors import InputError, UnknownNameError
from cleanplate.labels import resolve_labels
from cleanplate.options import Area, Rules, area_px, region_box
from cleanplate.segmentation.main_subject import find_subjects
from cleanplate.types import Box, Instance, RGBImage

PERSON = "person"
"""The label that `Rules.background_people` is about."""

NO_MAIN_SUBJECT = "kept: nobody stands out"
"""Why people stay when `Rules.background_people` finds no main subject, or only such."""

SCORE_BELOW = "score below"
"""How the reason begins of objects that stay for their score."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The found objects of one photo, parted; each one's `reason` says why it stays."""

    chosen: tuple[Instance, ...] = ()
    left: tuple[Instance, ...] = ()
    guarded: frozenset[int] = field(default_factory=frozenset)
    """Ids of those of `left` that stay on purpose: no margin of another object goes into them. The
    others are below a limit, and may be a part of something that goes."""


def requested_labels(
    labels: Collection[str] | str, rules: Rules, known: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the canonical labels to remove and to protect; what is protected is not removed.

    Args:
        labels: names, everyday words or VOC ids; may be empty if the rules name people.
        rules: their `protect` and `background_people` count here.
        known: the segmenter's labels.

    Raises:
        InputError: no label at all, or only protected ones.
        UnknownNameError: not one of `known`; the message tells which segmenter takes any words.
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
            f"{', '.join(asked)}: is to be removed and protected; protect something else"
        )
    return wanted, protected


def _with_advice(error: UnknownNameError) -> UnknownNameError:
    """Return the error with what to do if words are meant that no list of labels has."""
    if not any(character.isalpha() for character in error.name):
        return error
    from cleanplate.hub import MODELS, install_hint, is_available

    takes_any = [it for it in MODELS.values() if it.kind == "segmenter" and not it.labels]
    model = next((it for it in takes_any if is_available(it)), takes_any[0])
    got = "it is here" if is_available(model) else f"to get it {install_hint(model)}"
    return UnknownNameError(
        error.kind,
        error.name,
        error.known,
        also=error.also,
        otherwise=f"Any words can be given to --segmenter {model.name} ({got})",
    )


def select(
    image: RGBImage,
    found: Sequence[Instance],
    *,
    min_score: float,
    min_area: Area,
    rules: Rules,
    protected: Collection[str] = (),
) -> Selection:
    """Return which objects go and which stay.

    An object below a limit counts for no rule: it is not the largest, and not a main subject.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        found: objects of the asked and the protected labels.
        min_score: [0, 1]; objects of a lower mean probability stay.
        min_area: smaller objects stay.
        rules: what else stays.
        protected: canonical labels of what is never removed.

    Raises:
        InputError: an area that cannot be understood, or an object number that does not exist.
    """
    size_hw = (image.shape[0], image.shape[1])
    least_px = area_px("min_area", min_area, size_hw)
    if rules.only and max(rules.only) > len(found):
        raise InputError(
            f"only: there is no object {max(rules.only)}, {len(found)} were found; see a dry run"
        )
    reasons: dict[int, str] = {}
    guarded: set[int] = set()

    def stay(things: Sequence[Instance], reason: str, *, guard: bool = True) -> None:
        for thing in things:
            reasons.setdefault(thing.id, reason)
            if guard:
                guarded.add(thing.id)

    stay([thing for thing in found if thing.label in protected], "protected")
    asked = [thing for thing in found if thing.label not in protected]
    doubtful = [thing for thing in asked if thing.score < min_score]
    small = [thing for thing in asked if thing.area_px < least_px]
    stay(doubtful, f"{SCORE_BELOW} {min_score:g}", guard=False)
    stay(small, f"area below {least_px} px", guard=False)
    sure = [thing for thing in asked if thing.id not in reasons]
    if rules.max_area is not None:
        most_px = area_px("max_area", rules.max_area, size_hw)
        stay([thing for thing in sure if thing.area_px > most_px], f"area above {most_px} px")
    if rules.only:
        stay([thing for thing in sure if thing.id not in rules.only], "not among the numbers given")
    if rules.region is not None:
        box = region_box(rules.region, size_hw)
        stay([thing for thing in sure if not _lies_in(thing, box)], "outside the region")
    if rules.keep:
        largest = sorted(sure, key=lambda thing: -thing.area_px)[: rules.keep]
        word = "largest" if rules.keep == 1 else f"one of the {rules.keep} largest"
        stay(largest, f"kept: {word}")
    if rules.background_people:
        stay(*_main_subjects(image, [thing for thing in sure if thing.label == PERSON]))
    return Selection(
        tuple(thing for thing in found if thing.id not in reasons),
        tuple(replace(thing, reason=reasons[thing.id]) for thing in found if thing.id in reasons),
        frozenset(guarded),
    )


def selection_notes(left: Collection[Instance]) -> tuple[str, ...]:
    """Return what a user should read about the objects that stay."""
    crowd = sum(thing.reason == NO_MAIN_SUBJECT for thing in left)
    if not crowd:
        return ()
    who = "the one person found is no" if crowd == 1 else f"of {crowd} people none is the"
    return (
        f"{who} evident main subject, so nobody was taken for background; "
        "choose by number, region or area",
    )


def _main_subjects(image: RGBImage, people: list[Instance]) -> tuple[list[Instance], str]:
    """Return who stays, and why."""
    subjects = find_subjects(image, people)
    scattered = len(subjects.main) == len(people) > 1 and not subjects.together
    if not subjects.main or scattered:
        return people, NO_MAIN_SUBJECT
    return [people[place] for place in subjects.main], "kept: main subject"


def _lies_in(thing: Instance, box: Box) -> bool:
    """Whether at least half of an object's pixels lie in a box."""
    left, top = thing.box_xyxy[:2]
    columns = slice(max(0, box[0] - left), max(0, box[2] - left))
    rows = slice(max(0, box[1] - top), max(0, box[3] - top))
    return 2 * int(np.count_nonzero(thing.mask[rows, columns])) >= thing.area_px
