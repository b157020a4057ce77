"""One photo's pipeline: detect, select, build the mask, inpaint, recheck."""

import copy
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, overload

from cleanplate.errors import InputError
from cleanplate.hub import get_model
from cleanplate.inpainting import (
    DEFAULT_INPAINTER,
    Inpainter,
    create_inpainter,
    effects_beside,
    finds_effects,
    inpaint_holes,
    specks_note,
)
from cleanplate.io import AnyPhoto, OpenedPhoto, Photo, PhotoT, open_photo
from cleanplate.labels import ALL
from cleanplate.ops import components_touching, rasterize
from cleanplate.options import (
    OPTIONS_OF_MASKS,
    Point,
    PointBox,
    RemovalOptions,
    Rules,
    area_px,
    check_places,
    check_type,
    invalid,
)
from cleanplate.plan import (
    RemovalPlan,
    add_effects,
    dilate_instances,
    grow_to_edges,
    plan_masks,
    refine_outlines,
)
from cleanplate.runtime import check_device
from cleanplate.segmentation import (
    DEFAULT_EFFECTS_MODEL,
    DEFAULT_SEGMENTER,
    OUTLINING_MODEL,
    EffectsDetector,
    InteractiveSegmenter,
    Outliner,
    Segmenter,
    Selection,
    Turn,
    create_prompter,
    create_segmenter,
    detect_remaining,
    find_effects,
    installed_prompter,
    join_across_border,
    objects_in,
    outline_objects,
    pick_instances,
    requested_labels,
    select,
    selection_notes,
)
from cleanplate.types import (
    AnyMask,
    Instance,
    Mask,
    Removal,
    RGBImage,
    as_mask,
    check_image,
    check_image_and_mask,
)

if TYPE_CHECKING:
    from PIL import Image

_MAX_REFILLS = 2  # of what is detected again; after that it is only reported
_NO_OPTIONS = RemovalOptions()
_METHODS = MappingProxyType(
    {"segmenter": "segment", "inpainter": "inpaint", "prompter": "set_image"}
)


class Remover:
    """Removes objects from photos; keeps its models loaded. Thread-safe.

    Models are loaded when they are first needed: filling masks needs no segmenter, finding without
    filling needs no inpainter.

    Args:
        segmenter: an instance, or one of `cleanplate.hub.model_names("segmenter")`.
        inpainter: an instance, or one of `cleanplate.inpainting.inpainter_names()`.
        prompter: what outlines the objects at points and in boxes: an instance, or one of
            `cleanplate.hub.model_names("prompter")`. None: one that is installed, for calls that
            name no classes; without any, points and boxes pick among the instances found.
        device: one of `cleanplate.runtime.DEVICES`, for models given by name.
        threads: CPU threads of one network run; None uses every available core.

    Raises:
        InputError: an argument of another type.
        UnknownNameError: no such device.
    """

    def __init__(
        self,
        *,
        segmenter: Segmenter | str = DEFAULT_SEGMENTER,
        inpainter: Inpainter | str = DEFAULT_INPAINTER,
        prompter: InteractiveSegmenter | str | None = None,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        check_device(device, threads)
        _check_model("segmenter", segmenter)
        _check_model("inpainter", inpainter)
        if prompter is not None:
            _check_model("prompter", prompter)
        self._given: dict[str, Any] = {
            "segmenter": segmenter,
            "inpainter": inpainter,
            "prompter": prompter,
            "effects": DEFAULT_EFFECTS_MODEL,
            "outliner": OUTLINING_MODEL,
        }
        self._loaded: dict[str, Any] = {}  # by role, of those given by name or not at all
        self._device, self._threads = device, threads
        self._loading = threading.Lock()

    def __repr__(self) -> str:
        """Return the models' names and the device."""
        names = [it if isinstance(it, str) else it.name for it in self._given.values() if it]
        return f"Remover(segmenter={names[0]!r}, inpainter={names[1]!r}, device={self._device!r})"

    @property
    def segmenter(self) -> Segmenter:
        """What finds the objects; loaded at the first use, which raises as `create_segmenter`."""
        segmenter: Segmenter = self._load("segmenter", create_segmenter)
        return segmenter

    @property
    def labels(self) -> tuple[str, ...]:
        """What the segmenter finds; of one given by name, without loading it.

        Empty: any words. Raises as `create_segmenter` where there is no such name.
        """
        given = self._given["segmenter"]
        labels: tuple[str, ...] = (
            get_model(given, "segmenter") if isinstance(given, str) else given
        ).labels
        return labels

    @property
    def inpainter(self) -> Inpainter:
        """What fills the holes; loaded at the first use, which raises as `create_inpainter`."""
        inpainter: Inpainter = self._load("inpainter", create_inpainter)
        return inpainter

    @property
    def prompter(self) -> InteractiveSegmenter | None:
        """What outlines objects at points and in boxes; None if none is installed.

        Loaded at the first use, which raises as `create_prompter`.
        """
        prompter: InteractiveSegmenter | None = self._load("prompter", create_prompter)
        return prompter

    def prompter_for(self, options: RemovalOptions) -> InteractiveSegmenter | None:
        """Return what outlines the objects at the options' points and in their boxes, if any does.

        Loaded as `prompter`.
        """
        has_places = bool(options.points or options.boxes)
        is_used = has_places and (self._given["prompter"] or not options.classes)
        return self.prompter if is_used else None

    def _load(self, role: str, create: Callable[..., Any]) -> Any:
        given = self._given[role]
        if given is not None and not isinstance(given, str):
            return given
        with self._loading:
            if role not in self._loaded:
                name = installed_prompter() if given is None else given  # only the prompter may be
                if name is None:
                    return None
                self._loaded[role] = create(name, device=self._device, threads=self._threads)
            return self._loaded[role]

    @property
    def effects_detector(self) -> EffectsDetector:
        """What finds shadows and reflections.

        Loaded at the first use, which raises as `EffectsDetector`.
        """
        detector: EffectsDetector = self._load("effects", EffectsDetector)
        return detector

    @property
    def outliner(self) -> Outliner:
        """What completes the outlines of the objects found."""
        outliner: Outliner = self._load("outliner", lambda _, **given: Outliner(**given))
        return outliner

    @property
    def config(self) -> "tuple[str | Segmenter, str | Inpainter, str]":
        """Segmenter, inpainter and device as they were given, which make an equal one.

        Another process can make it too where they can be pickled: names, and `ExampleSegmenter`.
        """
        return self._given["segmenter"], self._given["inpainter"], self._device

    def release(self) -> None:
        """Unload the models that were given by name; they are loaded again when needed."""
        with self._loading:
            self._loaded = {}

    def with_inpainter(self, inpainter: Inpainter | str) -> "Remover":
        """Return a remover that fills with another inpainter, and shares all else with this one.

        Args:
            inpainter: an instance; or a name, of what is loaded now.

        Raises:
            InputError, UnknownNameError, WeightsError, DeviceError: as `create_inpainter`.
        """
        _check_model("inpainter", inpainter)
        if isinstance(inpainter, str):
            inpainter = create_inpainter(inpainter, device=self._device, threads=self._threads)
        other = copy.copy(self)
        other._given = {**self._given, "inpainter": inpainter}
        return other

    @overload
    def __call__(
        self,
        photo: PhotoT,
        classes: Collection[str] | str | None = None,
        options: RemovalOptions | None = None,
        *,
        points: Collection[Point] | None = None,
        boxes: Collection[PointBox] | None = None,
        mask: AnyMask | None = None,
    ) -> Removal[PhotoT]: ...
    @overload
    def __call__(
        self,
        photo: str | PathLike[str],
        classes: Collection[str] | str | None = None,
        options: RemovalOptions | None = None,
        *,
        points: Collection[Point] | None = None,
        boxes: Collection[PointBox] | None = None,
        mask: AnyMask | None = None,
    ) -> "Removal[Image.Image]": ...
    @overload
    def __call__(
        self,
        photo: Photo,
        classes: Collection[str] | str | None = None,
        options: RemovalOptions | None = None,
        *,
        points: Collection[Point] | None = None,
        boxes: Collection[PointBox] | None = None,
        mask: AnyMask | None = None,
    ) -> Removal: ...
    def __call__(
        self,
        photo: AnyPhoto,
        classes: Collection[str] | str | None = None,
        options: RemovalOptions | None = None,
        *,
        points: Collection[Point] | None = None,
        boxes: Collection[PointBox] | None = None,
        mask: AnyMask | None = None,
    ) -> Removal[Any]:
        """Remove the objects of the given classes from a photo.

        Args:
            photo: a path, the bytes of a file, a Pillow image, or a uint8 array: (H, W, 3) RGB,
                (H, W, 4) RGB and alpha, or (H, W) grey. Not modified.
            classes: label names, everyday words or VOC ids; instead of those of `options`.
            options: how; see `RemovalOptions`.
            points: (x, y) in px; remove only the objects at these points.
            boxes: (left, top, width, height) in px; remove only the objects in these boxes.
            mask: (H, W), bool or uint8 of 0 and 255, or a Pillow image of mode 1 or L: remove what
                it shows, and its effects; detect no objects. Of the options, only `effects` and
                `texture` count.

        Returns:
            What was removed; its `image` is of the kind that was given (see
            `cleanplate.io.open_photo`), a Pillow image for a path.

        Raises:
            InputError: an argument that cannot be used, or no class.
            UnknownNameError: the segmenter does not know a class.
            PhotoError: the file or Pillow image cannot be read.
        """
        opened = open_photo(photo)
        plan = self.plan(opened, classes, options, points=points, boxes=boxes, mask=mask)
        removal = self._fill_plan(opened.pixels, plan)
        spent = {stage: s for stage, s in removal.timings_s.items() if stage != "total"}
        timings_s = {**plan.timings_s, **spent}
        return replace(
            removal,
            image=opened.close(removal.image, removal.mask),
            timings_s={**timings_s, "total": sum(timings_s.values())},
        )

    def find(
        self,
        photo: AnyPhoto,
        classes: Collection[str] | str | None = None,
        options: RemovalOptions | None = None,
    ) -> tuple[list[Instance], list[Instance]]:
        """Return the objects to remove, and those found that are kept.

        The outlines of the former follow the photo at its own resolution. Each of the latter has
        its `reason`. The arguments are those of `__call__`, and so are the errors.
        """
        # Effects are not instances, and take a network of their own.
        plan = self.plan(photo, classes, replace(_merged(classes, options), effects="off"))
        return list(plan.instances), list(plan.kept)

    def plan(
        self,
        photo: AnyPhoto | OpenedPhoto,
        classes: Collection[str] | str | None = None,
        options: RemovalOptions | None = None,
        *,
        points: Collection[Point] | None = None,
        boxes: Collection[PointBox] | None = None,
        mask: AnyMask | None = None,
    ) -> RemovalPlan:
        """Return what a call would fill, for `fill` to do it; arguments and errors are the same."""
        start = time.perf_counter()
        opened, options = open_photo(photo), _merged(classes, options, points, boxes)
        image = opened.pixels
        if mask is not None:
            return self._plan_of_mask(opened, as_mask(mask), options)
        check_image(image)
        size_hw = (image.shape[0], image.shape[1])
        area_px("min_area", options.min_area, size_hw)
        has_places = bool(options.points or options.boxes)
        check_places(options.points, options.boxes, size_hw)
        prompter = self.prompter_for(options)
        if prompter is not None:
            if options.classes:  # what is rechecked
                labels, _ = requested_labels(options.classes, options.rules, self.labels)
                options = replace(options, classes=labels)
            selection = _outline(image, options, prompter)
        else:
            asked = options.classes or ([ALL] if has_places else ())
            labels, protected = requested_labels(asked, options.rules, self.segmenter.labels)
            found: Sequence[Instance] = self.segmenter.segment(image, (*labels, *protected))
            if opened.wraps:
                found = self._across_border(image, found, (*labels, *protected))
            rules = options.rules
            if has_places:
                named = labels if options.classes else ()
                picked = pick_instances(found, options.points, options.boxes, size_hw, named)
                rules = replace(rules, only=picked)
            selection = select(
                image,
                found,
                min_score=options.min_score,
                min_area=options.min_area,
                rules=rules,
                protected_labels=protected,
            )
            options = replace(options, classes=labels)
        selection = refine_outlines(image, selection, self.outliner.complete, wraps=opened.wraps)
        return self._plan_selection(opened, selection, options, time.perf_counter() - start)

    def _across_border(
        self, image: RGBImage, found: Sequence[Instance], labels: Collection[str]
    ) -> Sequence[Instance]:
        """Return the objects of a panorama; turned, it is searched again if its border cuts one."""
        turn = Turn.of(found, image.shape, wraps=True)
        if turn.by_px:
            found = self.segmenter.segment(turn.image(image), labels)
        return turn.back(join_across_border(found, image.shape))

    def plan_selection(
        self, photo: AnyPhoto, selection: Selection, options: RemovalOptions
    ) -> RemovalPlan:
        """Return a plan to remove objects that are already outlined, for `fill` to do it.

        Args:
            photo: as for a call.
            selection: the objects to remove and to keep.
            options: `dilation`, `effects` and `verify` count; its classes are canonical labels.

        Raises:
            InputError, PhotoError: as a call.
        """
        return self._plan_selection(open_photo(photo), selection, options, 0.0)

    def _plan_selection(
        self, opened: OpenedPhoto, selection: Selection, options: RemovalOptions, found_in_s: float
    ) -> RemovalPlan:
        start, image = time.perf_counter(), opened.pixels
        casts: tuple[Instance, ...] = ()
        notes: tuple[str, ...] = ()
        if options.effects != "off":
            casts, notes = self._casts(
                image, selection.chosen, selection.kept, options, wraps=opened.wraps
            )
        mask, effects = plan_masks(image.shape, selection, casts, options, wraps=opened.wraps)
        mask, effects = self._with_alpha(opened, mask, effects, selection.kept, options)
        return RemovalPlan(
            mask=mask,
            effects=effects,
            casts=casts,
            instances=selection.chosen,
            kept=selection.kept,
            protected=selection.protected,
            options=options,
            timings_s={"find": found_in_s, "mask": time.perf_counter() - start},
            wraps=opened.wraps,
            transparent=opened.transparent,
            notes=notes,
        )

    def _plan_of_mask(
        self, opened: OpenedPhoto, mask: Mask, options: RemovalOptions
    ) -> RemovalPlan:
        """Return a plan to fill a mask of the user's, and its objects' shadows and reflections.

        A mask inside its object's edge is dilated to it, or a rim of the object would remain.
        """
        start, image = time.perf_counter(), opened.pixels
        if options != options.of_mask():
            names = ", ".join(OPTIONS_OF_MASKS)
            raise InputError(
                f"a mask defines what is removed; of the options, give only {names} with it"
            )
        check_image_and_mask(image, mask)
        effects: Mask | None = None
        parts, given = objects_in(mask), mask
        mask, notes = grow_to_edges(image, mask, parts)
        if opened.transparent is not None:
            mask = mask & (given | ~opened.transparent)
        if options.effects != "off":
            casts, more = self._casts(image, parts, (), options, wraps=opened.wraps)
            notes += more
            mask, effects = add_effects(mask, casts, parts, (), wraps=opened.wraps)
            mask, effects = self._with_alpha(opened, mask, effects, (), options)
        return RemovalPlan(
            mask=mask,
            effects=effects,
            instances=(),
            kept=(),
            options=options,
            timings_s={"mask": time.perf_counter() - start},
            wraps=opened.wraps,
            transparent=opened.transparent,
            notes=notes,
        )

    def _with_alpha(
        self,
        opened: OpenedPhoto,
        mask: Mask,
        effects: Mask | None,
        kept: Collection[Instance],
        options: RemovalOptions,
    ) -> tuple[Mask, Mask | None]:
        """Return a mask and its effects with those that the inpainter finds, if it does."""
        wanted = options.effects != "off" and mask.any()
        if not wanted or not finds_effects(self._given["inpainter"]):
            return mask, effects
        stays = rasterize(kept, mask.shape)
        if opened.transparent is not None:
            stays |= opened.transparent
        strong = options.effects == "strong"
        more = effects_beside(opened.pixels, mask, self.inpainter, stays=stays, strong=strong)
        return mask | more, more if effects is None else effects | more

    def _casts(
        self,
        image: RGBImage,
        removed: Collection[Instance],
        kept: Collection[Instance],
        options: RemovalOptions,
        *,
        wraps: bool,
    ) -> tuple[tuple[Instance, ...], tuple[str, ...]]:
        """Return what the removed objects cast, and kept ones that might cast the same; notes."""
        if not removed:
            return (), ()
        turn = Turn.of([*removed, *kept], image.shape, wraps=wraps)
        casts, notes = find_effects(
            turn.image(image),
            turn.there(removed),
            turn.there(kept),
            detector=self.effects_detector,
            strong=options.effects == "strong",
        )
        return turn.back(casts), notes

    @overload
    def fill(
        self, photo: PhotoT, mask: AnyMask | RemovalPlan, *, seed: int | None = None
    ) -> Removal[PhotoT]: ...
    @overload
    def fill(
        self, photo: str | PathLike[str], mask: AnyMask | RemovalPlan, *, seed: int | None = None
    ) -> "Removal[Image.Image]": ...
    @overload
    def fill(
        self, photo: Photo, mask: AnyMask | RemovalPlan, *, seed: int | None = None
    ) -> Removal: ...
    def fill(
        self, photo: AnyPhoto, mask: AnyMask | RemovalPlan, *, seed: int | None = None
    ) -> Removal[Any]:
        """Fill exactly the pixels of a mask.

        Args:
            photo: as for a call.
            mask: (H, W), True or 255 = fill, bool or uint8 of 0 and 255; a Pillow image of mode 1
                or L; or a plan, whose kept objects are not copied from, and whose holes are
                rechecked.
            seed: see `RemovalOptions.seed`; None takes the plan's, or 0.

        Raises:
            InputError: wrong type, shape, dtype or values.
            ShapeMismatchError: the sizes differ.
            PhotoError: the file or Pillow image cannot be read.
        """
        opened = open_photo(photo)
        plan = (
            mask
            if isinstance(mask, RemovalPlan)
            else RemovalPlan(
                mask=as_mask(mask),
                instances=(),
                kept=(),
                options=_NO_OPTIONS,
                wraps=opened.wraps,
                transparent=opened.transparent,
            )
        )
        if seed is not None:
            plan = replace(plan, options=replace(plan.options, seed=seed))
        removal = self._fill_plan(opened.pixels, plan)
        return replace(removal, image=opened.close(removal.image, removal.mask))

    def _fill_plan(self, image: RGBImage, plan: RemovalPlan) -> Removal:
        """Fill a plan's mask and recheck it."""
        start = time.perf_counter()
        check_image_and_mask(image, plan.mask)
        if plan.options.effects == "off" and plan.effects is None:
            parts = plan.instances or objects_in(plan.mask)
            casts, _ = self._casts(image, parts, plan.kept, plan.options, wraps=plan.wraps)
            _, effects = add_effects(plan.mask, casts, parts, plan.kept, wraps=plan.wraps)
            plan = replace(plan, effects=effects)
        filled = self._fill(image, plan.mask, plan)
        removal = replace(
            filled,
            instances=plan.instances,
            kept=plan.kept,
            notes=(*plan.notes, *filled.notes, *selection_notes(plan.kept)),
        )
        timings_s = {"fill": time.perf_counter() - start}
        if plan.options.verify and plan.options.classes and plan.instances:
            removal = self._recheck(removal, plan)
            timings_s["verify"] = time.perf_counter() - start - timings_s["fill"]
        return replace(removal, timings_s={**timings_s, "total": time.perf_counter() - start})

    def _recheck(self, removal: Removal, plan: RemovalPlan) -> Removal:
        """Fill again what is still detected, as long as that leaves less of it."""
        options, size_hw = plan.options, removal.mask.shape

        def detect(image: RGBImage, mask: Mask) -> list[Instance]:
            return detect_remaining(
                image,
                mask,
                removed=plan.instances,
                kept=plan.kept,
                segmenter=self.segmenter,
                labels=options.classes,
                min_score=options.min_score,
                min_area=area_px("min_area", options.min_area, (size_hw[0], size_hw[1])),
            )

        remaining = detect(removal.image, removal.mask)
        for _ in range(_MAX_REFILLS):
            if not remaining:
                break
            kept = rasterize(plan.kept, size_hw)
            more = dilate_instances(remaining, size_hw, options.dilation, wraps=plan.wraps) & ~kept
            if (more & ~removal.mask).any():
                # The first fill met what is removed only now: those of its components that are
                # connected to it are filled again.
                more |= components_touching(removal.mask, more)
            again = self._fill(removal.image, more, plan)
            mask = removal.mask | more
            found = detect(again.image, mask)
            if _area(found) >= _area(remaining):
                break
            removal = replace(removal, image=again.image, mask=mask, refills=removal.refills + 1)
            remaining = found
        return replace(removal, remaining=tuple(remaining))

    def _fill(self, image: RGBImage, mask: Mask, plan: RemovalPlan) -> Removal:
        """Fill `mask` without copying from the plan's kept objects."""
        if not mask.any():
            return Removal(image=image.copy(), mask=mask.copy())
        notes = specks_note(mask, self.inpainter)
        if mask.all():
            notes += ("the mask covers the whole photo: there is nothing to continue it from",)
        left_out = [] if plan.transparent is None else [plan.transparent]
        effects = None
        if plan.effects is not None:
            # A shadow whose object is gone gives the fill neither texture nor colour.
            stays = plan.effects & ~plan.mask & ~mask
            left_out += [stays] if stays.any() else []
            effects = plan.effects & mask
        protected = [it for it in plan.kept if it.id in plan.protected]
        filled = inpaint_holes(
            image,
            mask,
            self.inpainter,
            kept=_covered(plan.kept, left_out, mask.shape),
            hidden=_covered(protected, left_out, mask.shape),
            effects=effects,
            wraps=plan.wraps,
            texture=plan.options.texture,
            seed=plan.options.seed,
        )
        return Removal(image=filled, mask=mask.copy(), notes=notes, effects=effects)


def _outline(image: RGBImage, options: RemovalOptions, prompter: InteractiveSegmenter) -> Selection:
    """Return the objects that a prompter outlines."""
    if options.rules != Rules():
        raise InputError(
            "rules choose among the instances that a segmenter finds; with a prompter, choose "
            "only by points and boxes"
        )
    return Selection(tuple(outline_objects(image, options.points, options.boxes, prompter)))


def _check_model(role: str, model: object) -> None:
    """Raise unless a model is a name, or an instance that does what is asked of its role."""
    is_one = callable(getattr(model, _METHODS[role], None)) and not isinstance(model, type)
    if not (is_one or isinstance(model, str)):
        raise invalid(role, f"a name, or an instance with a method {_METHODS[role]}", model)


def _merged(
    classes: Collection[str] | str | None,
    options: RemovalOptions | None,
    points: Collection[Point] | None = None,
    boxes: Collection[PointBox] | None = None,
) -> RemovalOptions:
    """Return the options with what was given beside them.

    Raises:
        InputError: one of them cannot be used.
    """
    options = _NO_OPTIONS if options is None else options
    check_type("options", options, RemovalOptions, "RemovalOptions(...)")
    given = {"classes": classes, "points": points, "boxes": boxes}
    changes: dict[str, Any] = {name: it for name, it in given.items() if it is not None}
    return replace(options, **changes) if changes else options


def _covered(
    instances: Collection[Instance], masks: Collection[Mask], size_hw: tuple[int, ...]
) -> Mask | None:
    """Return (H, W), what objects and masks of that size cover; None where there are none."""
    if not instances and not masks:
        return None
    covered = rasterize(instances, size_hw)
    for mask in masks:
        covered |= mask
    return covered


def _area(instances: Collection[Instance]) -> int:
    return sum(instance.area_px for instance in instances)
