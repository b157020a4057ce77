"""One photo after the other: read, find or fill, write. One that fails never stops the others."""

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from cleanplate.batch.execution.published import (
    remove_as_published,
    save_intermediate,
    write_square,
)
from cleanplate.batch.planning import (
    PlannedPhoto,
    Provenance,
    check_place,
    mask_name,
    read_plan,
    write_plan,
)
from cleanplate.batch.records import (
    EMPTY_MASK,
    NO_MASK,
    FoundObject,
    Job,
    PhotoResult,
    ProcessedPhoto,
    Status,
    Thumbnails,
    Untouched,
    failed_result,
    make_thumbnails,
    mask_state_of,
    skipped_result,
    state_of,
)
from cleanplate.errors import PhotoError
from cleanplate.inpainting import Square
from cleanplate.io import (
    COPIED_NOTE,
    Photo,
    copy_photo,
    copy_times,
    link_photo,
    must_convert,
    read_mask,
    read_photo,
    write_mask,
    write_photo,
)
from cleanplate.ops import dilate
from cleanplate.plan import RemovalPlan
from cleanplate.segmentation import selection_notes
from cleanplate.types import Instance, Mask, Removal

if TYPE_CHECKING:
    from cleanplate.remover import Remover

logger = logging.getLogger(__name__)


def process_photo(
    photo: PlannedPhoto,
    remover: "Remover",
    job: Job,
    *,
    overwrite: bool = False,
    traced: bool = False,
) -> ProcessedPhoto:
    """Do the job's step with one photo. Whatever goes wrong is in the result, never raised.

    Args:
        photo: what to do.
        remover: does it.
        job: the same for every photo.
        overwrite: whether its outputs may be replaced, whatever the job says.
        traced: whether to record the files' states for a journal.
    """
    if overwrite and not job.overwrite:
        job = replace(job, overwrite=True)
    source = mask = output = None
    if traced:  # before it is read: whoever changes it meanwhile makes it another one next time
        source, mask = state_of(photo.source), mask_state_of(photo, job)
    clock = _Clock()
    try:
        if _find_result(photo) is not None and not job.overwrite:
            return ProcessedPhoto(skipped_result(photo, "exists"), source, mask)
        with clock.stage("read"):
            image = read_photo(photo.source, raw_output=job.raw_output)
        if job.dry_run or job.step == "plan":
            result = _plan(photo, image, remover, job, clock)
        else:
            square = None
            if job.published is not None:
                removal, square = remove_as_published(photo, image, remover, job, job.published)
            elif job.step == "remove":
                if photo.request is None:
                    plan = remover.plan(image, options=job.options)
                else:
                    plan = photo.request.plan(image, remover)
                clock.add(plan.timings_s)
                removal = _fill_plan(image, plan, remover)
            else:
                removal = _fill(photo, image, remover, job, clock)
            clock.add(removal.timings_s)
            result = _write(photo, image, removal, job, clock, square=square)
    except Exception as error:
        result = failed_result(photo, error, clock.read())
    written = result.status in ("removed", "untouched") and result.kept_by != "skip"
    if traced and written and result.target is not None:
        output = state_of(result.target)
    return ProcessedPhoto(result, source, mask, output)


def _write(
    photo: PlannedPhoto,
    image: Photo,
    removal: Removal,
    job: Job,
    clock: "_Clock",
    *,
    square: Square | None,
) -> PhotoResult:
    """Write a removal, and return what to report of it."""
    with clock.stage("write"):
        notes = _save(photo, image, removal, job, square)
    thumbnails = make_thumbnails(image.pixels, removal) if job.thumbnails else None
    result = _result(
        "removed" if removal.changed else "untouched",
        photo,
        image,
        found=_describe(removal.instances, removal.kept),
        remaining=_describe(removal.remaining, ()),
        refills=removal.refills,
        mask_area_px=int(np.count_nonzero(removal.mask)),
        effects_area_px=_area(removal.mask, removal.effects),
        timings_s=clock.read(),
        notes=(*removal.notes, *notes),
        thumbnails=thumbnails,
    )
    kept_by: Untouched = "copy" if COPIED_NOTE in notes else job.untouched
    return result if removal.changed else replace(result, kept_by=kept_by)


def _find_result(photo: PlannedPhoto) -> Path | None:
    """Return the result that exists already."""
    for target in photo.targets:
        if target.is_dir():
            raise PhotoError(target, "a folder has the output's name", "move it away")
        if target.exists() or target.is_symlink():
            return target
    return None


def _fill(
    photo: PlannedPhoto, image: Photo, remover: "Remover", job: Job, clock: "_Clock"
) -> Removal:
    """Fill what a plan or a mask of the user's says."""
    if job.own_plans is not None:
        again = Provenance(remover.segmenter.name, job.examples)
        plan = read_plan(
            photo,
            image,
            job.own_plans,
            again=again,
            complete=remover.outliner.complete,
            detector=lambda: remover.effects_detector,
        )
        return _fill_plan(image, plan, remover)
    mask, notes = _own_mask(photo, image, job)
    if notes:
        return Removal(image.pixels, mask, notes=notes)
    plan = remover.plan(image, options=job.options.of_mask(), mask=mask)
    clock.add(plan.timings_s)
    return _fill_plan(image, plan, remover)


def _fill_plan(image: Photo, plan: RemovalPlan, remover: "Remover") -> Removal:
    """Fill a plan; on several cores, prepare to write the photo meanwhile."""
    if cv2.getNumThreads() > 1 and plan.mask.any():
        image.prepare_to_write()
    return remover.fill(image.pixels, plan)


def _plan(
    photo: PlannedPhoto, image: Photo, remover: "Remover", job: Job, clock: "_Clock"
) -> PhotoResult:
    """Return what would be removed from a photo; write it if that is the step. No inpainter."""
    mask: Mask | None = None
    effects: Mask | None = None
    instances: Collection[Instance] = ()
    kept: Collection[Instance] = ()
    notes: tuple[str, ...] = ()
    if job.step == "plan" and not job.dry_run:
        if not job.overwrite:
            check_place(photo.target)
        plan = remover.plan(image, options=job.options)
        mask, effects, instances, kept = plan.mask, plan.effects, plan.instances, plan.kept
        notes = plan.notes
        clock.add(plan.timings_s)
        with clock.stage("write"):
            found_by = Provenance(remover.segmenter.name, job.examples)
            known = remover.segmenter.labels
            write_plan(photo.target, photo.source, plan, found_by=found_by, known=known)
    else:
        with clock.stage("find"):
            if job.own_masks is None:
                instances, kept = remover.find(image, options=job.options)
            else:
                mask, notes = _own_mask(photo, image, job)
    changes = bool(instances) if mask is None else bool(mask.any())
    thumbnails = None
    if job.thumbnails:
        shown = None
        if job.step == "plan" and mask is not None:
            shown = Removal(image.pixels, mask, effects=effects)
        thumbnails = make_thumbnails(image.pixels, shown)
    return _result(
        "would-remove" if changes else "would-copy",
        photo,
        image,
        found=_describe(instances, kept),
        mask_area_px=None if mask is None else int(np.count_nonzero(mask)),
        effects_area_px=None if mask is None else _area(mask, effects),
        timings_s=clock.read(),
        notes=(*selection_notes(kept), *notes),
        thumbnails=thumbnails,
    )


def _area(mask: Mask, effects: Mask | None) -> int:
    """Return the area of the effects in a mask, in px."""
    return 0 if effects is None else int(np.count_nonzero(mask & effects))


def _own_mask(photo: PlannedPhoto, image: Photo, job: Job) -> tuple[Mask, tuple[str, ...]]:
    """Return the user's mask with its margin, and a note if nothing is to be removed."""
    assert job.own_masks is not None
    path = job.own_masks.find(photo)
    if path is None:
        return np.zeros(image.size_hw, np.bool_), (NO_MASK,)
    mask = read_mask(path, image.size_hw, job.own_masks.reading)
    mask = dilate(mask, job.options.dilation or 0, wraps=image.wraps)
    return mask, () if mask.any() else (EMPTY_MASK,)


def _save(
    photo: PlannedPhoto, image: Photo, removal: Removal, job: Job, square: Square | None
) -> tuple[str, ...]:
    """Write mask and photo, in this order, as only the photo marks the work as done."""
    notes: tuple[str, ...] = ()
    if job.masks is not None and (removal.changed or photo.request is None):
        path = job.masks / mask_name(photo)
        if path.exists() and not job.overwrite and photo.request is None:
            notes = (f"mask {path} exists and was not replaced",)
        else:
            orientation = image.orientation if job.mask_orientation == "stored" else 1
            write_mask(path, removal.mask, removal.effects, orientation=orientation)
    how = job.published
    if square is not None and how is not None and how.save_intermediate is not None:
        save_intermediate(photo, square, how.save_intermediate)
    if square is not None and how is not None and how.as_published_size:
        if removal.changed or job.untouched != "skip":
            write_square(photo.target if removal.changed else photo.copy_target, square.result)
    elif removal.changed or must_convert(image, photo.copy_target):
        notes += write_photo(photo.target, image, removal.image, removal.mask)
        if job.preserve_times:
            notes += copy_times(photo.source, photo.target)
    elif job.untouched == "copy":
        copy_photo(photo.source, photo.copy_target)
    elif job.untouched == "link":
        notes += link_photo(photo.source, photo.copy_target)
    written = None if job.untouched == "skip" else photo.copy_target
    if removal.changed:
        written = photo.target
    left = (target for target in photo.targets if target != written and target.exists())
    return (*notes, *(f"{target}, of a former run, was kept" for target in left))


def _describe(chosen: Iterable[Instance], kept: Iterable[Instance]) -> tuple[FoundObject, ...]:
    both = [(instance, True) for instance in chosen] + [(instance, False) for instance in kept]
    return tuple(
        FoundObject(
            instance.id,
            instance.label,
            instance.score,
            instance.box_xyxy,
            instance.area_px,
            taken,
            instance.reason,
        )
        for instance, taken in both
    )


def _result(
    status: Status,
    photo: PlannedPhoto,
    image: Photo,
    *,
    found: tuple[FoundObject, ...],
    remaining: tuple[FoundObject, ...] = (),
    refills: int = 0,
    mask_area_px: int | None,
    effects_area_px: int | None,
    timings_s: Mapping[str, float],
    notes: tuple[str, ...],
    thumbnails: Thumbnails | None,
) -> PhotoResult:
    return PhotoResult(
        status=status,
        source=photo.source,
        target=photo.copy_target if status in ("untouched", "would-copy") else photo.target,
        size_hw=image.size_hw,
        found=found,
        remaining=remaining,
        refills=refills,
        mask_area_px=mask_area_px,
        effects_area_px=effects_area_px,
        timings_s=timings_s,
        notes=(*image.notes, *notes),
        thumbnails=thumbnails,
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
