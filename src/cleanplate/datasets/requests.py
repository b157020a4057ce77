"""What is removed from one image of a dataset, as its annotations say."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cleanplate.datasets.annotations import (
    Annotation,
    CroppedMask,
    DatasetImage,
    TightMask,
    region_of,
    tight_mask,
)
from cleanplate.datasets.rules import DatasetOptions, blocking_crowds, decide
from cleanplate.errors import CleanplateError, InputError
from cleanplate.io import Photo, hash_bytes
from cleanplate.labels import resolve_labels
from cleanplate.ops import rasterize
from cleanplate.options import RemovalOptions
from cleanplate.plan import RemovalPlan
from cleanplate.remover import Remover
from cleanplate.segmentation import Selection
from cleanplate.types import Instance, Mask

_MIN_BOX_IOU = 0.5  # of the box of what was found inside a box, and that box
_INSIDE = 0.5  # share of a detection in annotated boxes from which on it is annotated


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedPhoto:
    """Plans the removal of one image's objects; a `cleanplate.batch.Request`.

    The object of annotation `i` is `Instance(i + 1, ...)` in the plan and in the report.
    """

    annotations: tuple[Annotation, ...]
    options: DatasetOptions
    removal: RemovalOptions  # its classes are not used
    is_edited: bool = True  # False: of a split that is not changed
    error: CleanplateError | None = None  # why the annotations cannot be read

    @property
    def fingerprint(self) -> str:
        """Text that changes with the annotations and the options."""
        if not self.is_edited and self.error is None:
            return "stays"
        parts = [repr(self.options), repr(self.removal), str(self.error)]
        parts += [_fingerprint(annotation) for annotation in self.annotations]
        return "\n".join(parts)

    def plan(self, photo: Photo, remover: Remover) -> RemovalPlan:
        """Return what to fill.

        Raises:
            CleanplateError: the annotations cannot be used.
        """
        if self.error is not None:
            raise self.error
        size_hw = photo.size_hw
        nothing = RemovalPlan(
            mask=np.zeros(size_hw, np.bool_), instances=(), kept=(), options=self.removal
        )
        options = self.options
        regions = [region_of(it, size_hw) for it in self.annotations]
        asked = [i for i, it in enumerate(self.annotations) if it.label in options.classes]
        is_searched = options.fill_unannotated or (asked and options.source != "annotations")
        if (
            not self.is_edited
            or not (asked or is_searched)
            or blocking_crowds(self.annotations, options)
        ):
            return nothing
        start = time.perf_counter()
        labels = labels_of(options.classes, remover.segmenter.labels)
        boxed = [i for i in asked if self.annotations[i].outline is None]
        chosen: list[Instance] = []
        others: list[Instance] = []
        if is_searched or boxed:
            chosen, others = self._found(photo, remover, regions, asked, labels)
        else:
            own = ((i, regions[i]) for i in asked)
            chosen = [self._instance(i, region) for i, region in own if region is not None]
        kept = [
            replace(self._instance(i, region), reason=f"annotated as {it.label}, which is kept")
            for i, (it, region) in enumerate(zip(self.annotations, regions, strict=True))
            if region is not None and i not in asked
        ]
        is_protected = options.neighbours == "protect"
        protected = frozenset(it.id for it in kept) if is_protected else frozenset[int]()
        known = tuple(sorted({label for found in labels.values() for label in found}))
        found_in_s = time.perf_counter() - start
        plan = remover.plan_selection(
            photo,
            Selection(tuple(chosen), (*kept, *others), protected),
            replace(self.removal, classes=known),
        )
        plan = replace(plan, timings_s={**plan.timings_s, "find": found_in_s})
        if is_protected and plan.effects is not None:  # neither may their effects be
            stays = rasterize(kept, size_hw)
            plan = replace(plan, mask=plan.mask & ~stays, effects=plan.effects & ~stays)
        if options.neighbours == "skip":
            planned = {it.id - 1 for it in chosen}
            decisions = decide(self.annotations, plan.mask, planned, options)
            if any(it.outcome in ("covered", "clipped") for it in decisions):
                reason = "not removed: a kept object would be filled too"
                return replace(nothing, kept=tuple(replace(it, reason=reason) for it in chosen))
        return plan

    def _instance(self, index: int, region: TightMask) -> Instance:
        return Instance(index + 1, self.annotations[index].label, 1.0, *region)

    def _found(
        self,
        photo: Photo,
        remover: Remover,
        regions: Sequence[TightMask | None],
        asked: Sequence[int],
        labels: dict[str, tuple[str, ...]],
    ) -> tuple[list[Instance], list[Instance]]:
        """Return the objects to remove, with what the segmenter finds, and others that it finds."""
        size_hw = photo.size_hw
        wanted = sorted({label for found in labels.values() for label in found})
        detected = remover.find(photo, wanted, self.removal)[0] if wanted else []
        annotated = np.zeros(size_hw, np.bool_)
        chosen = []
        for index in asked:
            annotation = self.annotations[index]
            box = annotation.box
            mine = rasterize(
                (it for it in detected if it.label in labels[annotation.label]), size_hw
            )
            left, top = max(0, int(np.floor(box[0]))), max(0, int(np.floor(box[1])))
            right, bottom = max(left, int(np.ceil(box[2]))), max(top, int(np.ceil(box[3])))
            annotated[top:bottom, left:right] = True
            region = self._inside(mine, (left, top, right, bottom))
            own = regions[index]
            if annotation.outline is not None and self.options.source != "detect":
                if region is not None and own is not None and self.options.source == "both":
                    canvas = np.zeros(size_hw, np.bool_)
                    for (x0, y0, x1, y1), part in (region, own):
                        canvas[y0:y1, x0:x1] |= part
                    own = tight_mask((0, 0, size_hw[1], size_hw[0]), canvas)
                region = own
            if region is not None:
                chosen.append(self._instance(index, region))
        extra = []
        number = len(self.annotations)
        for instance in detected:
            left, top, right, bottom = instance.box_xyxy
            inside = np.count_nonzero(instance.mask & annotated[top:bottom, left:right])
            if inside < _INSIDE * instance.area_px:
                number += 1
                extra.append(replace(instance, id=number, reason="not annotated"))
        if self.options.fill_unannotated:
            return [*chosen, *(replace(it, reason="") for it in extra)], []
        return chosen, extra

    @staticmethod
    def _inside(found: Mask, box: tuple[int, int, int, int]) -> TightMask | None:
        """Return what was found in a box; None if that is not what the box shows."""
        left, top, right, bottom = box
        part = found[top:bottom, left:right]
        if not part.any():
            return None
        region = tight_mask(box, part)
        x0, y0, x1, y1 = region[0]
        area = (x1 - x0) * (y1 - y0)
        return region if area >= _MIN_BOX_IOU * (right - left) * (bottom - top) else None


def labels_of(classes: Sequence[str], known: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return a dataset's class -> the segmenter's labels for it; none if it knows none."""
    labels = {}
    for name in classes:
        try:
            labels[name] = resolve_labels([name], known)
        except InputError:
            labels[name] = ()
    return labels


def _fingerprint(annotation: Annotation) -> str:
    outline = annotation.outline
    if isinstance(outline, CroppedMask):
        digest = hash_bytes(np.packbits(outline.mask).tobytes())
        return repr((replace(annotation, outline=None), outline.box, digest))
    return repr(annotation)


class LazyRequest:
    """A request that reads its annotations when it is needed or sent to another process.

    A dataset of a million annotations is then in memory once, as the text of its file.
    """

    def __init__(self, read: Callable[[DatasetImage], AnnotatedPhoto], image: DatasetImage) -> None:
        self._read, self._image = read, image

    @property
    def fingerprint(self) -> str:
        """As `AnnotatedPhoto` has it."""
        return self._read(self._image).fingerprint

    def plan(self, photo: Photo, remover: Remover) -> RemovalPlan:
        """Return what to fill; see `AnnotatedPhoto.plan`."""
        return self._read(self._image).plan(photo, remover)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return what another process receives: the annotations of this image alone."""
        return _identity, (self._read(self._image),)


def _identity(request: AnnotatedPhoto) -> AnnotatedPhoto:
    return request
