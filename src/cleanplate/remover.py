"""One photo's way through: find, select, shape the mask, plan windows, inpaint, composite."""

import math
import threading
import time
from collections.abc import Collection
from dataclasses import replace

from cleanplate.errors import InputError
from cleanplate.inpainting import DEFAULT_INPAINTER, Inpainter, create_inpainter, inpaint_holes
from cleanplate.ops import components_touching, rasterize
from cleanplate.options import DEFAULT_MIN_SCORE, Area, Rules, area_px
from cleanplate.plan import Draft, dilated, draft_mask, refine_outlines
from cleanplate.segmentation import (
    DEFAULT_SEGMENTER,
    Segmenter,
    Selection,
    create_segmenter,
    detect_remaining,
    requested_labels,
    select,
    selection_notes,
)
from cleanplate.types import Instance, Mask, Removal, RGBImage, check_image, check_image_and_mask

NO_RULES = Rules()
"""All that was asked for goes."""

_MOST_REFILLS = 2  # of what is found again; after that it is only told


class Remover:
    """Removes objects from photos; keeps its models loaded and may be shared by threads.

    Models are loaded when they are first needed: filling the user's own masks needs no segmenter,
    looking without filling needs no inpainter.

    Args:
        segmenter: an instance, or one of `cleanplate.segmentation.segmenter_names()`.
        inpainter: an instance, or one of `cleanplate.inpainting.inpainter_names()`.
        device: one of `cleanplate.hub.DEVICES`, for models given by name.
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
                notes=(*removal.notes, *selection_notes(draft.left)),
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
        asked, protected = requested_labels(labels, rules, self.segmenter.labels)
        selection = select(
            image,
            self.segmenter.segment(image, (*asked, *protected)),
            min_score=min_score,
            min_area=min_area,
            rules=rules,
            protected=protected,
        )
        return refine_outlines(image, selection), asked

    def _look_again(self, removal: Removal, draft: Draft) -> Removal:
        """Fill once more what is still found, as long as that leaves less of it."""

        def look(image: RGBImage, mask: Mask) -> list[Instance]:
            return detect_remaining(
                image,
                mask,
                removed=draft.objects,
                left=draft.left,
                segmenter=self.segmenter,
                labels=draft.labels,
                min_score=draft.min_score,
                min_area=draft.min_area_px,
            )

        kept = rasterize(draft.left, removal.mask.shape)
        remaining = look(removal.image, removal.mask)
        for _ in range(_MOST_REFILLS):
            if not remaining:
                break
            more = dilated(remaining, removal.mask.shape, draft.grow) & ~kept
            if (more & ~removal.mask).any():
                # The former fill met what is removed only now: it is made again, as far as it hangs
                # together with that.
                more |= components_touching(removal.mask, more)
            again = self._fill(removal.image, more, draft)
            mask = removal.mask | more
            found = look(again.image, mask)
            if _area(found) >= _area(remaining):
                break
            removal = replace(removal, image=again.image, mask=mask, refills=removal.refills + 1)
            remaining = found
        return replace(removal, remaining=tuple(remaining))

    def _fill(self, image: RGBImage, mask: Mask, draft: Draft | None = None) -> Removal:
        """Fill `mask`; what a draft says of objects that stay is heeded."""
        if not mask.any():
            return Removal(image=image.copy(), mask=mask.copy())
        notes: tuple[str, ...] = ()
        if mask.all():
            notes = ("the mask covers the whole photo: there is nothing to continue it from",)
        kept = hidden = None
        if draft is not None:
            kept = rasterize(draft.left, mask.shape)
            if draft.guarded:
                guarded = (thing for thing in draft.left if thing.id in draft.guarded)
                hidden = rasterize(guarded, mask.shape)
        filled = inpaint_holes(image, mask, self.inpainter, kept=kept, hidden=hidden)
        return Removal(image=filled, mask=mask.copy(), notes=notes)


def _area(instances: Collection[Instance]) -> int:
    return sum(instance.area_px for instance in instances)
