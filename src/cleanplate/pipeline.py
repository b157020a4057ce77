"""One photo's way through: find, select, shape the mask, plan windows, inpaint, composite."""

import math
import threading
import time
from collections.abc import Collection
from dataclasses import replace

import cv2
import numpy as np

from cleanplate.compositing import paste
from cleanplate.drafts import Draft, draft_mask, shaped, with_outlines
from cleanplate.errors import InputError
from cleanplate.inpainters import DEFAULT_INPAINTER, Inpainter, create_inpainter
from cleanplate.inpainters.base import is_sharp, reach_of
from cleanplate.inpainters.fitting import inpaint_scaled, scale_for
from cleanplate.masks import box_of, painted, touching
from cleanplate.segmenters import DEFAULT_SEGMENTER, Segmenter, create_segmenter
from cleanplate.selection import Area, Rules, Selection, area_px, asked_labels, notes_on, select
from cleanplate.texture import carry_texture
from cleanplate.types import (
    Instance,
    Mask,
    Removal,
    RGBImage,
    check_image,
    check_image_and_mask,
)
from cleanplate.verification import find_remaining
from cleanplate.windows import Window, plan_windows

DEFAULT_MIN_SCORE = 0.5
"""Objects below this mean probability stay. True finds on real photos are mostly above 0.6, false
ones below 0.5; figures against the light are near it."""

NO_RULES = Rules()
"""All that was asked for goes."""

_CONTEXT = 0.7  # the hole's mean side, on every side of it
_JOIN = 0.15  # holes nearer than this share of the larger one's side may share a window
_NATIVE_LEAST_PX = 64  # context for methods that work at the photo's own resolution

# Limits of the size at which a window is inpainted; chosen, like the reach, by looking at sheets.
_COARSEST = 0.5  # of the inpainter's working size
_FINEST = 2.0  # ... for windows that would be shrunk to less than a third, which shows
_FINE_SHRINKAGE = 3.0

_MOST_REFILLS = 2  # of what is found again; after that it is only told


class Remover:
    """Removes objects from photos; keeps its models loaded and may be shared by threads.

    Models are loaded when they are first needed: filling the user's own masks needs no segmenter,
    looking without filling needs no inpainter.

    Args:
        segmenter: an instance, or one of `cleanplate.segmenters.segmenter_names()`.
        inpainter: an instance, or one of `cleanplate.inpainters.inpainter_names()`.
        device: one of `cleanplate.models.runtime.DEVICES`, for models given by name.
        threads: CPU threads of one network run; None takes every usable core.
    """

    def __init__(
        self,
        *,
        segmenter: Segmenter | str = DEFAULT_SEGMENTER,
        inpainter: Inpainter | str = DEFAULT_INPAINTER,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        self._segmenter, self._inpainter = segmenter, inpainter
        self._named = (segmenter, inpainter)
        self._device, self._threads = device, threads
        self._loading = threading.Lock()

    @property
    def segmenter(self) -> Segmenter:
        """What finds the objects; loaded at the first use.

        Raises:
            UnknownNameError, DeviceError, MissingRuntimeError, WeightsError: see
                `create_segmenter`.
        """
        with self._loading:
            if isinstance(self._segmenter, str):
                self._segmenter = create_segmenter(
                    self._segmenter, device=self._device, threads=self._threads
                )
            return self._segmenter

    @property
    def inpainter(self) -> Inpainter:
        """What fills the holes; loaded at the first use.

        Raises:
            UnknownNameError, DeviceError, MissingRuntimeError, WeightsError: see
                `create_inpainter`.
        """
        with self._loading:
            if isinstance(self._inpainter, str):
                self._inpainter = create_inpainter(
                    self._inpainter, device=self._device, threads=self._threads
                )
            return self._inpainter

    @property
    def recipe(self) -> tuple[str | Segmenter, str | Inpainter, str]:
        """Segmenter, inpainter and device as they were given, which make the like of this one.

        Another process can make it too where they can be pickled: names, and `ExampleSegmenter`.
        """
        return *self._named, self._device

    def release(self) -> None:
        """Forget the loaded models that were given by name; they are loaded again when needed."""
        with self._loading:
            self._segmenter, self._inpainter = self._named

    def find(
        self,
        image: RGBImage,
        labels: Collection[str] | str,
        *,
        min_score: float = DEFAULT_MIN_SCORE,
        min_area: Area = 0,
        rules: Rules = NO_RULES,
    ) -> tuple[list[Instance], list[Instance]]:
        """Return the objects to remove, and those found that are to be left.

        The outlines of the former follow the photo at its own resolution. Each of the latter has
        its `reason`.

        Args:
            image: (H, W, 3) uint8, RGB. Not modified.
            labels: label names, everyday words or VOC ids; see `resolve_labels`.
            min_score: [0, 1]; objects of a lower mean probability are left.
            min_area: smaller objects are left; px, or a share of the photo such as "5%".
            rules: what else is left.

        Raises:
            InputError: wrong image, score or area, or no label.
            UnknownNameError: the segmenter does not know a label.
        """
        selection, _ = self._select(image, labels, min_score, min_area, rules)
        return list(selection.chosen), list(selection.left)

    def remove(
        self,
        image: RGBImage,
        labels: Collection[str] | str,
        *,
        min_score: float = DEFAULT_MIN_SCORE,
        min_area: Area = 0,
        grow: float | None = None,
        shadows: bool = False,
        verify: bool = True,
        rules: Rules = NO_RULES,
    ) -> Removal:
        """Return the photo without the objects of the given classes.

        Args:
            image: (H, W, 3) uint8, RGB. Not modified.
            labels: as for `find`.
            min_score: as for `find`.
            min_area: as for `find`.
            grow: px, >= 0; margin around every object. None scales it with each object.
            shadows: remove the objects' shadows and mirror images on the ground too, where they are
                evident.
            verify: look at the filled holes again, and fill once more what is still found there, at
                most twice.
            rules: as for `find`.

        Raises:
            InputError: as for `find`, or a negative `grow`.
        """
        draft = self.draft(
            image,
            labels,
            min_score=min_score,
            min_area=min_area,
            grow=grow,
            shadows=shadows,
            verify=verify,
            rules=rules,
        )
        removal = self.fill(image, draft)
        spent = {stage: s for stage, s in removal.timings_s.items() if stage != "total"}
        timings_s = {**draft.timings_s, **spent}
        return replace(removal, timings_s={**timings_s, "total": sum(timings_s.values())})

    def draft(
        self,
        image: RGBImage,
        labels: Collection[str] | str,
        *,
        min_score: float = DEFAULT_MIN_SCORE,
        min_area: Area = 0,
        grow: float | None = None,
        shadows: bool = False,
        verify: bool = True,
        rules: Rules = NO_RULES,
    ) -> Draft:
        """Return what `remove` would fill, for `fill` to do it; the arguments are the same.

        Raises:
            InputError, UnknownNameError: as for `remove`.
        """
        start = time.perf_counter()
        if grow is not None and not 0 <= grow < math.inf:
            raise InputError(f"grow must be at least 0 px, got {grow}")
        selection, asked = self._select(image, labels, min_score, min_area, rules)
        found = time.perf_counter()
        mask = draft_mask(image, selection, grow=grow, shadows=shadows)
        shaped_at = time.perf_counter()
        return Draft(
            mask=mask,
            objects=selection.chosen,
            left=selection.left,
            guarded=selection.guarded,
            labels=asked,
            min_score=min_score,
            min_area_px=area_px("min_area", min_area, mask.shape),
            grow=grow,
            shadows=shadows,
            verify=verify,
            timings_s={"find": found - start, "mask": shaped_at - found},
        )

    def fill(self, image: RGBImage, mask: Mask | Draft) -> Removal:
        """Return the photo with the pixels of a mask filled, the mask used as it is.

        Args:
            image: (H, W, 3) uint8, RGB. Not modified.
            mask: (H, W) bool, True = fill; or a draft, of whose objects those that stay are not
                copied from, and whose holes are looked at again.

        Raises:
            InputError: wrong shape or dtype.
            ShapeMismatchError: the sizes differ.
        """
        start = time.perf_counter()
        draft = mask if isinstance(mask, Draft) else None
        hole = mask.mask if isinstance(mask, Draft) else mask
        check_image_and_mask(image, hole)
        if draft is None:
            removal = self._fill(image, hole)
        else:
            removal = self._fill(image, hole, draft)
            removal = replace(
                removal,
                objects=draft.objects,
                left=draft.left,
                notes=(*removal.notes, *notes_on(draft.left)),
            )
        timings_s = {"fill": time.perf_counter() - start}
        if draft is not None and draft.verify and draft.objects:
            removal = self._look_again(removal, draft)
            timings_s["verify"] = time.perf_counter() - start - timings_s["fill"]
        return replace(removal, timings_s={**timings_s, "total": time.perf_counter() - start})

    def _select(
        self,
        image: RGBImage,
        labels: Collection[str] | str,
        min_score: float,
        min_area: Area,
        rules: Rules,
    ) -> tuple[Selection, tuple[str, ...]]:
        """Return the objects, and the canonical labels of what is to go."""
        check_image(image)
        if not 0 <= min_score <= 1:
            raise InputError(f"min_score must be in [0, 1], got {min_score}")
        area_px("min_area", min_area, (image.shape[0], image.shape[1]))
        asked, protected = asked_labels(labels, rules, self.segmenter.labels)
        selection = select(
            image,
            self.segmenter.segment(image, (*asked, *protected)),
            min_score=min_score,
            min_area=min_area,
            rules=rules,
            protected=protected,
        )
        return with_outlines(image, selection), asked

    def _look_again(self, removal: Removal, draft: Draft) -> Removal:
        """Fill once more what is still found, as long as that leaves less of it."""

        def look(image: RGBImage, mask: Mask) -> list[Instance]:
            return find_remaining(
                image,
                mask,
                removed=draft.objects,
                left=draft.left,
                segmenter=self.segmenter,
                labels=draft.labels,
                min_score=draft.min_score,
                min_area=draft.min_area_px,
            )

        kept = painted(draft.left, removal.mask.shape)
        remaining = look(removal.image, removal.mask)
        for _ in range(_MOST_REFILLS):
            if not remaining:
                break
            more = shaped(remaining, removal.mask.shape, draft.grow) & ~kept
            if (more & ~removal.mask).any():
                # The former fill met what is removed only now: it is made again, as far as it hangs
                # together with that.
                more |= touching(removal.mask, more)
            again = self._fill(removal.image, more, draft)
            mask = removal.mask | more
            found = look(again.image, mask)
            if _area(found) >= _area(remaining):
                break
            removal = replace(removal, image=again.image, mask=mask, refills=removal.refills + 1)
            remaining = found
        return replace(removal, remaining=tuple(remaining))

    def _fill(self, image: RGBImage, mask: Mask, draft: Draft | None = None) -> Removal:
        """Fill `mask`; a draft's objects that stay are no texture to copy.

        Those that stay on purpose are hidden from the inpainter, too, or it would go on with them.
        """
        if not mask.any():
            return Removal(image=image.copy(), mask=mask.copy())
        notes: tuple[str, ...] = ()
        if mask.all():
            notes = ("the mask covers the whole photo: there is nothing to continue it from",)
        inpainter = self.inpainter
        size = inpainter.working_size
        result = image.copy()
        sources = ~mask
        hidden = None
        if draft is not None:
            sources &= ~painted(draft.left, mask.shape)
            if draft.guarded:
                hidden = painted((x for x in draft.left if x.id in draft.guarded), mask.shape)
        waiting = mask.copy()  # holes not yet filled: no window may copy from them
        for window in plan_windows(
            mask, context=_CONTEXT, min_size=size or _NATIVE_LEAST_PX, join=_JOIN
        ):
            part, unknown = result[window.slices], waiting[window.slices]
            unseen = unknown if hidden is None else unknown | hidden[window.slices]
            if unseen.all():
                unseen = unknown
            long_side = _working_size(window, size, reach_of(inpainter))
            filled = inpaint_scaled(inpainter.inpaint, part, unseen, long_side)
            # Objects of other windows, not yet removed, must not shine in.
            known = np.where(unseen[..., None], filled, part)
            enlarged = scale_for(unseen, long_side) < 1
            if size is not None and (enlarged or not is_sharp(inpainter)):
                # A network's fill is smooth at the photo's resolution.
                filled = carry_texture(known, filled, window.mask, sources[window.slices])
            part[window.mask] = paste(known, filled, window.mask)[window.mask]
            unknown &= ~window.mask
        return Removal(image=result, mask=mask.copy(), notes=notes)


def _area(instances: Collection[Instance]) -> int:
    return sum(instance.area_px for instance in instances)


def _working_size(window: Window, size: int | None, reach_px: float | None) -> int | None:
    """Return the long side in px at which to inpaint a window; None for its own.

    Networks continue stripes and stems crisply across what they can reach, and invent shapes in the
    middle of what they cannot. So it follows from the window's hole, such that this is nowhere
    deeper than `reach_px`, within limits; where that does not matter it is `size`.
    """
    if size is None or reach_px is None:
        return size
    long_side = int(max(window.mask.shape))
    left, top, right, bottom = box_of(window.mask)
    inside = np.pad(window.mask[top:bottom, left:right], 1).astype(np.uint8)
    depth_px = float(cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())
    finest = _FINEST if long_side >= _FINE_SHRINKAGE * size else 1.0
    return round(min(max(reach_px * long_side / depth_px, _COARSEST * size), finest * size))
