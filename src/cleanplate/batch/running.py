"""One photo's work: read, find or fill, write. One that fails never stops the others."""

import logging
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from cleanplate.batch.mask_files import MaskFiles
from cleanplate.batch.planning import PlannedPhoto, UnreadableFolder, mask_name
from cleanplate.errors import CleanplateError, PhotoError
from cleanplate.images import (
    Photo,
    copy_photo,
    link_photo,
    read_mask,
    read_photo,
    write_mask,
    write_photo,
)
from cleanplate.types import Box, Instance, Mask, Removal

if TYPE_CHECKING:
    from cleanplate.pipeline import Remover

logger = logging.getLogger(__name__)

Status = Literal["removed", "untouched", "skipped", "failed", "would-remove", "would-copy"]
"""What became of a photo:

removed       written without the objects
untouched     nothing to remove; copied byte for byte, or what `Job.untouched` says
skipped       left alone, see `Skipped`; the photo was not read
failed        nothing was written; the error says why
would-remove  dry run: there is something to remove
would-copy    dry run: there is nothing to remove
"""

Skipped = Literal["exists", "done", "other settings", "edited"]
"""Why a photo was left alone:

exists          its output is there, and no run is known to have made it
done            made before from the same photo with the same settings
other settings  its output was made with other settings
edited          its output was changed after it was made
"""

Untouched = Literal["copy", "link", "skip"]
"""What becomes of a photo that has nothing to remove:

copy  a copy of its own, byte for byte
link  a copy that shares its blocks where the disk can, else a hard link: one file, two names
skip  nothing is written
"""

EMPTY_MASK = "the mask is empty"
"""The note on a photo that stays as it is because the user's mask shows nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with every photo of a run."""

    labels: tuple[str, ...] = ()  # canonical; not used with `own_masks`
    min_score: float = 0.0  # objects below it stay, [0, 1]
    min_area: int = 0  # px; smaller objects stay
    grow: int | None = None  # px; None scales with each object
    shadows: bool = False  # remove shadows and mirror images too
    verify: bool = True  # look at the filled holes again
    own_masks: MaskFiles | None = None  # the user's masks instead of the segmenter's
    masks: Path | None = None  # folder to save masks to
    untouched: Untouched = "copy"  # what to do with a photo that has nothing to remove
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
    chosen: bool  # False: below the asked score or area, so it stays


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
    timings_s: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    skipped: Skipped | None = None  # with the status "skipped" only
    kept_by: Untouched | None = None  # with the status "untouched" only
    error: str | None = None  # one line, with the file in it
    trace: str | None = None  # of an error nobody expected

    @property
    def mask_share(self) -> float | None:
        """Share of the photo's pixels that were filled, [0, 1]."""
        if self.size_hw is None or self.mask_area_px is None:
            return None
        return self.mask_area_px / (self.size_hw[0] * self.size_hw[1])


def run_photo(photo: PlannedPhoto, remover: "Remover", job: Job) -> Outcome:
    """Do one photo. Whatever goes wrong with it is told in the outcome, never raised."""
    clock = _Clock()
    try:
        if _is_done(photo, job):
            return skipped_outcome(photo, "exists")
        with clock.stage("read"):
            picture = read_photo(photo.source)
        if job.dry_run:
            return _look(photo, picture, remover, job, clock)
        removal = _remove(photo, picture, remover, job)
        clock.add(removal.timings_s)
        with clock.stage("write"):
            notes = _save(photo, picture, removal, job)
    except Exception as error:
        return failed_outcome(photo, error, clock.read())
    outcome = _outcome(
        "removed" if removal.changed else "untouched",
        photo,
        picture,
        found=_describe(removal.objects, removal.left),
        remaining=_describe(removal.remaining, ()),
        refills=removal.refills,
        mask_area_px=int(np.count_nonzero(removal.mask)),
        timings_s=clock.read(),
        notes=(*removal.notes, *notes),
    )
    return outcome if removal.changed else replace(outcome, kept_by=job.untouched)


def _is_done(photo: PlannedPhoto, job: Job) -> bool:
    if photo.target.is_dir():
        raise PhotoError(photo.target, "the output's name is taken by a folder", "move it away")
    exists = photo.target.exists() or photo.target.is_symlink()
    return exists and not job.overwrite


def _remove(photo: PlannedPhoto, picture: Photo, remover: "Remover", job: Job) -> Removal:
    if job.own_masks is None:
        return remover.remove(
            picture.pixels,
            job.labels,
            min_score=job.min_score,
            min_area=job.min_area,
            grow=job.grow,
            shadows=job.shadows,
            verify=job.verify,
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
                picture.pixels, job.labels, min_score=job.min_score, min_area=job.min_area
            )
            found = _describe(chosen, left)
            changes = bool(chosen)
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
    elif job.untouched == "copy":
        copy_photo(photo.source, photo.target)
    elif job.untouched == "link":
        notes += link_photo(photo.source, photo.target)
    elif photo.target.exists():  # with --overwrite: what it was before is no result any more
        notes += (f"{photo.target} exists and was left alone",)
    return notes


def _describe(chosen: Iterable[Instance], left: Iterable[Instance]) -> tuple[Found, ...]:
    both = [(thing, True) for thing in chosen] + [(thing, False) for thing in left]
    return tuple(
        Found(thing.id, thing.label, thing.score, thing.box_xyxy, thing.area_px, taken)
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
) -> Outcome:
    return Outcome(
        status=status,
        source=photo.source,
        target=photo.target,
        size_hw=picture.size_hw,
        found=found,
        remaining=remaining,
        refills=refills,
        mask_area_px=mask_area_px,
        timings_s=timings_s,
        notes=(*picture.notes, *notes),
    )


def failed_outcome(
    photo: PlannedPhoto, error: Exception, timings_s: Mapping[str, float] | None = None
) -> Outcome:
    """Return what is told of a photo that `error` stopped."""
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
        timings_s=timings_s or {},
        error=message,
        trace=trace,
    )


def skipped_outcome(photo: PlannedPhoto, why: Skipped) -> Outcome:
    """Return what is told of a photo that is left alone."""
    return Outcome(status="skipped", source=photo.source, target=photo.target, skipped=why)


def unreadable_outcome(folder: UnreadableFolder) -> Outcome:
    """Return what is told of a folder that could not be listed."""
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
        return self._stages | {"total": time.perf_counter() - self._start}
