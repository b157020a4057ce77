"""One photo's way through: find, select, shape the mask, plan windows, inpaint, composite."""

import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace

import cv2
import numpy as np

from cleanplate.compositing import paste
from cleanplate.edges import follow_edges
from cleanplate.errors import InputError
from cleanplate.inpainters import DEFAULT_INPAINTER, Inpainter, create_inpainter
from cleanplate.labels import resolve_labels
from cleanplate.masks import box_of, cut_off, margin_px, merge, painted, shape_mask, touching
from cleanplate.resampling import covered_share
from cleanplate.segmenters import DEFAULT_SEGMENTER, Segmenter, create_segmenter
from cleanplate.shadows import find_traces
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

_CONTEXT = 0.7  # the hole's mean side, on every side of it
_JOIN = 0.15  # holes nearer than this share of the larger one's side may share a window
_NATIVE_LEAST_PX = 64  # context for methods that work at the photo's own resolution

# The networks continue stripes and stems crisply across what they can reach, and invent shapes in
# the middle of what they cannot. So the size a window is inpainted at follows from its hole: such
# that it is nowhere deeper than this. Chosen by looking at sheets; in between the limits below.
_REACH_PX = 32.0
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
    def recipe(self) -> tuple[str, str, str] | None:
        """What makes the like in another process: names of segmenter, inpainter and device.

        None where one of the models was given as an instance.
        """
        segmenter, inpainter = self._named
        if isinstance(segmenter, str) and isinstance(inpainter, str):
            return segmenter, inpainter, self._device
        return None

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
        min_area: int = 0,
    ) -> tuple[list[Instance], list[Instance]]:
        """Return the objects to remove, and those found that are to be left.

        The outlines of the former follow the photo at its own resolution.

        Args:
            image: (H, W, 3) uint8, RGB. Not modified.
            labels: label names, everyday words or VOC ids; see `resolve_labels`.
            min_score: [0, 1]; objects of a lower mean probability are left.
            min_area: px; smaller objects are left.

        Raises:
            InputError: wrong image, score or area, or no label.
            UnknownNameError: the segmenter does not know a label.
        """
        check_image(image)
        if not 0 <= min_score <= 1:
            raise InputError(f"min_score must be in [0, 1], got {min_score}")
        if min_area < 0:
            raise InputError(f"min_area must be at least 0 px, got {min_area}")
        asked = self._resolve(labels)
        chosen: list[Instance] = []
        left: list[Instance] = []
        for instance in self.segmenter.segment(image, asked):
            wanted = instance.score >= min_score and instance.area_px >= min_area
            (chosen if wanted else left).append(instance)
        return _sharpened(image, chosen, left), left

    def remove(
        self,
        image: RGBImage,
        labels: Collection[str] | str,
        *,
        min_score: float = DEFAULT_MIN_SCORE,
        min_area: int = 0,
        grow: float | None = None,
        shadows: bool = False,
        verify: bool = True,
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

        Raises:
            InputError: as for `find`, or a negative `grow`.
        """
        start = time.perf_counter()
        if grow is not None and not 0 <= grow < math.inf:
            raise InputError(f"grow must be at least 0 px, got {grow}")
        chosen, left = self.find(image, labels, min_score=min_score, min_area=min_area)
        found = time.perf_counter()
        mask = _shape(chosen, image.shape, grow)
        if shadows:
            mask |= _traces(image, chosen, left)
        shaped = time.perf_counter()
        removal = self._fill(image, mask, kept=painted(left, image.shape))
        removal = replace(removal, objects=tuple(chosen), left=tuple(left))
        filled = time.perf_counter()
        timings_s = {"find": found - start, "mask": shaped - found, "fill": filled - shaped}
        if verify and chosen:
            asked = self._resolve(labels)

            def look(image: RGBImage, mask: Mask) -> list[Instance]:
                return find_remaining(
                    image,
                    mask,
                    removed=chosen,
                    left=left,
                    segmenter=self.segmenter,
                    labels=asked,
                    min_score=min_score,
                    min_area=min_area,
                )

            removal = self._look_again(removal, look, grow)
            timings_s["verify"] = time.perf_counter() - filled
        return replace(removal, timings_s={**timings_s, "total": time.perf_counter() - start})

    def fill(self, image: RGBImage, mask: Mask) -> Removal:
        """Return the photo with the pixels of a mask filled, the mask used as it is.

        Args:
            image: (H, W, 3) uint8, RGB. Not modified.
            mask: (H, W) bool, True = fill.

        Raises:
            InputError: wrong shape or dtype.
            ShapeMismatchError: the sizes differ.
        """
        start = time.perf_counter()
        check_image_and_mask(image, mask)
        removal = self._fill(image, mask)
        elapsed = time.perf_counter() - start
        return replace(removal, timings_s={"fill": elapsed, "total": elapsed})

    def _resolve(self, labels: Collection[str] | str) -> tuple[str, ...]:
        names = [labels] if isinstance(labels, str) else labels
        return resolve_labels(names, self.segmenter.labels)

    def _look_again(
        self, removal: Removal, look: Callable[[RGBImage, Mask], list[Instance]], grow: float | None
    ) -> Removal:
        """Fill once more what is still found, as long as that leaves less of it."""
        kept = painted(removal.left, removal.mask.shape)
        remaining = look(removal.image, removal.mask)
        for _ in range(_MOST_REFILLS):
            if not remaining:
                break
            more = _shape(remaining, removal.mask.shape, grow) & ~kept
            if (more & ~removal.mask).any():
                # The former fill met what is removed only now: it is made again, as far as it hangs
                # together with that.
                more |= touching(removal.mask, more)
            again = self._fill(removal.image, more, kept=kept)
            mask = removal.mask | more
            found = look(again.image, mask)
            if _area(found) >= _area(remaining):
                break
            removal = replace(removal, image=again.image, mask=mask, refills=removal.refills + 1)
            remaining = found
        return replace(removal, remaining=tuple(remaining))

    def _fill(self, image: RGBImage, mask: Mask, *, kept: Mask | None = None) -> Removal:
        """Fill `mask`; objects in `kept`, which stay, are no texture to copy."""
        if not mask.any():
            return Removal(image=image.copy(), mask=mask.copy())
        notes: tuple[str, ...] = ()
        if mask.all():
            notes = ("the mask covers the whole photo: there is nothing to continue it from",)
        inpainter = self.inpainter
        size = inpainter.working_size
        result = image.copy()
        sources = ~mask if kept is None else ~(mask | kept)
        waiting = mask.copy()  # holes not yet filled: no window may copy from them
        for window in plan_windows(
            mask, context=_CONTEXT, min_size=size or _NATIVE_LEAST_PX, join=_JOIN
        ):
            part, unknown = result[window.slices], waiting[window.slices]
            filled = _inpaint_scaled(inpainter, part, unknown, _working_size(window, size))
            # Objects of other windows, not yet removed, must not shine in.
            known = np.where(unknown[..., None], filled, part)
            if size is not None:  # a network's fill is smooth at the photo's resolution
                filled = carry_texture(known, filled, window.mask, sources[window.slices])
            part[window.mask] = paste(known, filled, window.mask)[window.mask]
            unknown &= ~window.mask
        return Removal(image=result, mask=mask.copy(), notes=notes)


def _sharpened(
    image: RGBImage, chosen: Collection[Instance], left: Collection[Instance]
) -> list[Instance]:
    """Return the chosen objects with outlines that follow the photo, but not into what is left."""
    if not chosen:
        return []
    kept = painted(left, image.shape)
    return [cut_off(follow_edges(image, instance), kept) for instance in chosen]


def _traces(image: RGBImage, chosen: Collection[Instance], left: Collection[Instance]) -> Mask:
    """Return (H, W), the shadows and mirror images of the chosen objects."""
    size_hw = (image.shape[0], image.shape[1])
    objects = painted([*chosen, *left], size_hw)
    traces = (find_traces(image, instance, objects) for instance in chosen)
    return merge([found for found in traces if found is not None], size_hw)


def _shape(instances: Collection[Instance], size_hw: tuple[int, ...], grow: float | None) -> Mask:
    """Return (H, W), what to fill for some objects, each with its margin."""
    height, width = size_hw[:2]
    margins = [margin_px(instance) if grow is None else grow for instance in instances]
    shapes = [
        shape_mask(instance, (height, width), margin)
        for instance, margin in zip(instances, margins, strict=True)
    ]
    return merge(shapes, (height, width))


def _area(instances: Collection[Instance]) -> int:
    return sum(instance.area_px for instance in instances)


def _working_size(window: Window, size: int | None) -> int | None:
    """Return the long side in px at which to inpaint a window; None for its own."""
    if size is None:
        return None
    long_side = int(max(window.mask.shape))
    left, top, right, bottom = box_of(window.mask)
    inside = np.pad(window.mask[top:bottom, left:right], 1).astype(np.uint8)
    depth_px = float(cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())
    finest = _FINEST if long_side >= _FINE_SHRINKAGE * size else 1.0
    return round(min(max(_REACH_PX * long_side / depth_px, _COARSEST * size), finest * size))


def _inpaint_scaled(
    inpainter: Inpainter, image: RGBImage, mask: Mask, working_size: int | None
) -> RGBImage:
    """Inpaint at the working size and scale the result back; never enlarge the input."""
    height, width = mask.shape
    scale = 1.0 if working_size is None else working_size / max(height, width)
    if scale >= 1:
        return inpainter.inpaint(image, mask)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    # Every small pixel that a hole pixel went into is hole, or the object would shine through.
    filled = inpainter.inpaint(small, covered_share(mask, size_wh) > 0)
    enlarged = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.uint8)
