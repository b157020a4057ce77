"""One photo after the other: read, find or fill, write. One that fails never stops the others."""

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from cleanplate.batch.draft_files import read_draft, write_draft
from cleanplate.batch.examples import Example, FoundBy
from cleanplate.batch.mask_files import MaskFiles
from cleanplate.batch.planning import Plan, PlannedPhoto, UnreadableFolder, mask_name
from cleanplate.batch.thumbnails import Thumbnails, make_thumbnails
from cleanplate.errors import CleanplateError, PhotoError
from cleanplate.images import (
    Photo,
    RawOutput,
    copy_photo,
    read_mask,
    read_photo,
    write_mask,
    write_photo,
)
from cleanplate.selection import Area, Rules, notes_on
from cleanplate.types import Box, Instance, Mask, Removal

if TYPE_CHECKING:
    from cleanplate.pipeline import Remover

logger = logging.getLogger(__name__)

Status = Literal["removed", "untouched", "skipped", "failed", "would-remove", "would-copy"]
"""What became of a photo:

removed       written without the objects
untouched     nothing to remove; copied byte for byte
skipped       its output exists and was left alone; the photo was not read
failed        nothing was written; the error says why
would-remove  dry run: there is something to remove
would-copy    dry run: there is nothing to remove
"""


EMPTY_MASK = "the mask is empty"
"""The note on a photo that stays as it is because the user's mask shows nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with every photo of a run."""

    labels: tuple[str, ...] = ()  # canonical; not used with `own_masks`
    min_score: float = 0.0  # objects below it stay, [0, 1]
    min_area: Area = 0  # px or a share such as "5%"; smaller objects stay
    rules: Rules = field(default_factory=Rules)  # what else stays
    grow: int | None = None  # px; None scales with each object
    shadows: bool = False  # remove shadows and mirror images too
    verify: bool = True  # look at the filled holes again
    raw_output: RawOutput = "tiff"  # what camera RAW files are written as
    own_masks: MaskFiles | None = None  # the user's masks instead of the segmenter's
    masks: Path | None = None  # folder to save masks to
    draft_only: bool = False  # the first stage: write drafts to the targets, no photo
    own_drafts: MaskFiles | None = None  # the second stage: fill these drafts
    examples: tuple[Example, ...] = ()  # what the segmenter goes by, if it goes by such
    thumbnails: bool = False  # make small pictures for the report's page
    dry_run: bool = False  # write no photo and no mask
    overwrite: bool = False
    fail_fast: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """An object in a photo, without its mask."""

    id: int
    label: str
    score: float
    box_xyxy: Box
    area_px: int
    chosen: bool  # False: it stays
    reason: str = ""  # why it stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one photo, or of a folder that could not be listed (then `target` is None)."""

    status: Status
    source: Path
    target: Path | None
    size_hw: tuple[int, int] | None = None
    found: tuple[Found, ...] = ()
    remaining: tuple[Found, ...] = ()  # seen in the filled holes when they were looked at again
    refills: int = 0
    mask_area_px: int | None = None  # pixels filled; None where no mask was made
    timings_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()
    error: str | None = None  # one line, with the file in it
    trace: str | None = None  # of an error nobody expected
    thumbnails: Thumbnails | None = None  # if the job asks for them

    @property
    def mask_share(self) -> float | None:
        """Share of the photo's pixels that were filled, [0, 1]."""
        if self.size_hw is None or self.mask_area_px is None:
            return None
        return self.mask_area_px / (self.size_hw[0] * self.size_hw[1])


def run_plan(
    plan: Plan, remover: "Remover", job: Job, *, on_start: Callable[[Path], None] = lambda _: None
) -> Iterator[Outcome]:
    """Do the photos of `plan` in order and yield what became of each as soon as it is known.

    Args:
        plan: from `plan_photos`.
        remover: its segmenter is used unless the job brings masks, its inpainter unless it is a
            dry run.
        job: the same for every photo.
        on_start: called with each photo before it is read.
    """
    for folder in plan.unreadable:
        yield _unreadable(folder)
        if job.fail_fast:
            return
    for photo in plan.photos:
        on_start(photo.source)
        outcome = run_photo(photo, remover, job)
        yield outcome
        if job.fail_fast and outcome.status == "failed":
            return


def run_photo(photo: PlannedPhoto, remover: "Remover", job: Job) -> Outcome:
    """Do one photo. Whatever goes wrong with it is told in the outcome, never raised."""
    clock = _Clock()
    try:
        done = _find_result(photo)
        if done is not None and not job.overwrite:
            return Outcome(status="skipped", source=photo.source, target=done)
        with clock.stage("read"):
            picture = read_photo(photo.source, raw_output=job.raw_output)
        if job.draft_only:
            return _draft(photo, picture, remover, job, clock)
        if job.dry_run:
            return _look(photo, picture, remover, job, clock)
        removal = _remove(photo, picture, remover, job)
        clock.add(removal.timings_s)
        with clock.stage("write"):
            notes = _save(photo, picture, removal, job)
        thumbnails = make_thumbnails(picture.pixels, removal) if job.thumbnails else None
    except Exception as error:
        return _failure(photo, error, clock)
    return _outcome(
        "removed" if removal.changed else "untouched",
        photo,
        picture,
        found=_describe(removal.objects, removal.left),
        remaining=_describe(removal.remaining, ()),
        refills=removal.refills,
        mask_area_px=int(np.count_nonzero(removal.mask)),
        timings_s=clock.read(),
        notes=(*removal.notes, *notes),
        thumbnails=thumbnails,
    )


def _find_result(photo: PlannedPhoto) -> Path | None:
    """Return the result that exists already."""
    for target in photo.targets:
        if target.is_dir():
            raise PhotoError(target, "the output's name is taken by a folder", "move it away")
        if target.exists() or target.is_symlink():
            return target
    return None


def _remove(photo: PlannedPhoto, picture: Photo, remover: "Remover", job: Job) -> Removal:
    if job.own_drafts is not None:
        again = FoundBy(remover.segmenter.name, job.examples)
        draft = read_draft(photo, picture, job.own_drafts, again=again)
        return remover.fill(picture.pixels, draft)
    if job.own_masks is None:
        return remover.remove(
            picture.pixels,
            job.labels,
            min_score=job.min_score,
            min_area=job.min_area,
            grow=job.grow,
            shadows=job.shadows,
            verify=job.verify,
            rules=job.rules,
        )
    mask = _own_mask(photo, picture, job.own_masks)
    if not mask.any():
        return Removal(picture.pixels, mask, notes=(EMPTY_MASK,))
    return remover.fill(picture.pixels, mask)


def _look(
    photo: PlannedPhoto, picture: Photo, remover: "Remover", job: Job, clock: "_Clock"
) -> Outcome:
    """Return what would become of a photo. The inpainter is not needed and nothing is written."""
    found: tuple[Found, ...] = ()
    mask_area_px = None
    notes: tuple[str, ...] = ()
    with clock.stage("find"):
        if job.own_masks is None:
            chosen, left = remover.find(
                picture.pixels,
                job.labels,
                min_score=job.min_score,
                min_area=job.min_area,
                rules=job.rules,
            )
            found = _describe(chosen, left)
            changes = bool(chosen)
            notes = notes_on(left)
        else:
            mask = _own_mask(photo, picture, job.own_masks)
            mask_area_px = int(np.count_nonzero(mask))
            changes = mask_area_px > 0
            notes = () if changes else (EMPTY_MASK,)
    return _outcome(
        "would-remove" if changes else "would-copy",
        photo,
        picture,
        found=found,
        mask_area_px=mask_area_px,
        timings_s=clock.read(),
        notes=notes,
        thumbnails=make_thumbnails(picture.pixels) if job.thumbnails else None,
    )


def _draft(
    photo: PlannedPhoto, picture: Photo, remover: "Remover", job: Job, clock: "_Clock"
) -> Outcome:
    """Do the first stage of a photo."""
    draft = remover.draft(
        picture.pixels,
        job.labels,
        min_score=job.min_score,
        min_area=job.min_area,
        grow=job.grow,
        shadows=job.shadows,
        verify=job.verify,
        rules=job.rules,
    )
    clock.add(draft.timings_s)
    removal = Removal(picture.pixels, draft.mask)
    with clock.stage("write"):
        found_by = FoundBy(remover.segmenter.name, job.examples)
        known = remover.segmenter.labels
        write_draft(
            photo.target, photo.source, draft, found_by=found_by, known=known, rules=job.rules
        )
    return _outcome(
        "would-remove" if draft.mask.any() else "would-copy",
        photo,
        picture,
        found=_describe(draft.objects, draft.left),
        mask_area_px=int(np.count_nonzero(draft.mask)),
        timings_s=clock.read(),
        notes=notes_on(draft.left),
        thumbnails=make_thumbnails(picture.pixels, removal) if job.thumbnails else None,
    )


def _own_mask(photo: PlannedPhoto, picture: Photo, own_masks: MaskFiles) -> Mask:
    return read_mask(own_masks.find(photo), picture.size_hw)


def _save(photo: PlannedPhoto, picture: Photo, removal: Removal, job: Job) -> tuple[str, ...]:
    """Write mask and photo, in this order, as only the photo marks the work as done."""
    notes: tuple[str, ...] = ()
    if job.masks is not None:
        path = job.masks / mask_name(photo)
        if path.exists() and not job.overwrite:
            notes = (f"mask {path} exists and was left alone",)
        else:
            write_mask(path, removal.mask)
    if removal.changed:
        write_photo(photo.target, picture, removal.image, removal.mask)
    else:
        copy_photo(photo.source, photo.copy_target)
    written = photo.target if removal.changed else photo.copy_target
    left = (target for target in photo.targets if target != written and target.exists())
    return (*notes, *(f"{target}, of a former run, was left there" for target in left))


def _describe(chosen: Iterable[Instance], left: Iterable[Instance]) -> tuple[Found, ...]:
    both = [(thing, True) for thing in chosen] + [(thing, False) for thing in left]
    return tuple(
        Found(
            thing.id, thing.label, thing.score, thing.box_xyxy, thing.area_px, taken, thing.reason
        )
        for thing, taken in both
    )


def _outcome(
    status: Status,
    photo: PlannedPhoto,
    picture: Photo,
    *,
    found: tuple[Found, ...],
    remaining: tuple[Found, ...] = (),
    refills: int = 0,
    mask_area_px: int | None,
    timings_s: Mapping[str, float],
    notes: tuple[str, ...],
    thumbnails: Thumbnails | None,
) -> Outcome:
    return Outcome(
        status=status,
        source=photo.source,
        target=photo.copy_target if status in ("untouched", "would-copy") else photo.target,
        size_hw=picture.size_hw,
        found=found,
        remaining=remaining,
        refills=refills,
        mask_area_px=mask_area_px,
        timings_s=timings_s,
        notes=(*picture.notes, *notes),
        thumbnails=thumbnails,
    )


def _failure(photo: PlannedPhoto, error: Exception, clock: "_Clock") -> Outcome:
    trace = None
    match error:
        case PhotoError():
            message = str(error)
        case CleanplateError():
            message = f"{photo.source}: {error}"
        case MemoryError():
            message = f"{photo.source}: not enough memory for a photo of this size; make it smaller"
        case OSError():
            message = f"{error.filename or photo.source}: {error.strerror or error}"
        case _:
            trace = "".join(traceback.format_exception(error))
            logger.debug("%s failed", photo.source, exc_info=error)
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            message = f"{photo.source}: internal error ({cause}); please report it"
    return Outcome(
        status="failed",
        source=photo.source,
        target=photo.target,
        timings_s=clock.read(),
        error=message,
        trace=trace,
    )


def _unreadable(folder: UnreadableFolder) -> Outcome:
    return Outcome(
        status="failed",
        source=folder.source,
        target=None,
        error=f"{folder.source}: folder cannot be read ({folder.cause}); check its rights",
    )


class _Clock:
    """Seconds by stage, and since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self._stages[name] = time.perf_counter() - start

    def add(self, stages: Mapping[str, float]) -> None:
        self._stages.update((name, spent) for name, spent in stages.items() if name != "total")

    def read(self) -> Mapping[str, float]:
        return MappingProxyType(self._stages | {"total": time.perf_counter() - self._start})
