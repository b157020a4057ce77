"""What is going to be filled in a photo: the first of two stages, before anything is filled."""

import functools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cleanplate.errors import InputError, ShapeMismatchError
from cleanplate.ops import (
    components_touching,
    default_dilation_px,
    dilate,
    dilate_instance,
    fold_columns,
    rasterize,
    subtract,
    union,
)
from cleanplate.options import RemovalOptions
from cleanplate.segmentation import (
    OUTLINED,
    Complete,
    EffectsDetector,
    Selection,
    Turn,
    add_missed_parts,
    effects_mask,
    find_effects,
    missed_rim_px,
    refine_each,
)
from cleanplate.types import Instance, Mask, RGBImage

_PART_SHARE = 0.6  # of an object below a limit that lies in one that goes: it is a part of that
_BESIDE_PX = 1.5  # from an object's mask to an effect that begins beside it: diagonals, too


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class RemovalPlan:
    """The objects of one photo, the mask to fill, and the options of both.

    `Remover.plan` makes one, `Remover.fill` takes it. It holds all that the second stage needs, so
    that both together give the same as calling the `Remover`.
    """

    mask: Mask  # (H, W) bool, True = fill
    instances: tuple[Instance, ...]  # what is removed
    kept: tuple[Instance, ...]  # each with its reason
    protected: frozenset[int] = field(default_factory=frozenset)  # ids of `kept`: see `Selection`
    options: RemovalOptions  # its classes are canonical labels; none: no recheck
    # (H, W), shadows and reflections of what is removed, beside its margin: part of `mask`. Those
    # kept since the option `effects` is "off" are detected when it is filled.
    effects: Mask | None = None
    casts: tuple[Instance, ...] = ()  # what each object casts, by the object's id
    timings_s: Mapping[str, float] = field(default_factory=dict)  # of "find" and "mask"
    wraps: bool = False  # the photo's left and right border meet
    transparent: Mask | None = None  # (H, W), where its colours are unknown
    notes: tuple[str, ...] = ()  # for the user

    def __repr__(self) -> str:
        """Return numbers only, no array."""
        height, width = self.mask.shape
        return (
            f"RemovalPlan({width} x {height} px, {len(self.instances)} to remove, "
            f"{len(self.kept)} kept, {self.mask.mean():.1%} to fill)"
        )


def refine_outlines(
    image: RGBImage, selection: Selection, complete: Complete, *, wraps: bool = False
) -> Selection:
    """Return a selection whose outlines follow the photo's edges at full resolution.

    What is chosen is completed, and gets the parts that stand out beside it. What is kept because
    of a limit keeps the segmenter's outline; if it lies in what goes, it was a part of that. No
    chosen object reaches into a kept one, and no protected one into a chosen one as detected.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        selection: the objects found in it.
        complete: of `Outliner`.
        wraps: see `RemovalPlan`.
    """
    if not selection.chosen:
        return selection
    turn = Turn.of([*selection.chosen, *selection.kept], image.shape, wraps=wraps)
    image, protected = turn.image(image), selection.protected
    chosen, kept = turn.there(selection.chosen), turn.there(selection.kept)
    if protected:
        removed = rasterize(chosen, image.shape)
        staying = [instance for instance in kept if instance.id in protected]
        refined = {
            instance.id: subtract(instance, removed)
            for instance in refine_each(image, staying, complete)
        }
        kept = tuple(refined.get(instance.id, instance) for instance in kept)
    chosen, kept = _outline(image, chosen, kept, protected, complete)
    return Selection(turn.back(chosen), turn.back(kept), protected)


def _outline(
    image: RGBImage,
    chosen: Sequence[Instance],
    kept: Sequence[Instance],
    protected: Collection[int],
    complete: Complete,
) -> tuple[tuple[Instance, ...], tuple[Instance, ...]]:
    """Return the chosen objects as they are removed, and what is kept beside them."""
    outlined = refine_each(image, chosen, complete)
    goes = rasterize(outlined, image.shape)
    kept = tuple(it for it in kept if it.id in protected or not _is_part_of(it, goes))
    kept_mask = rasterize(kept, image.shape)
    refined = [subtract(instance, kept_mask) for instance in outlined]
    return add_missed_parts(image, refined, kept), kept


def _is_part_of(instance: Instance, mask: Mask) -> bool:
    left, top, right, bottom = instance.box_xyxy
    covered = instance.mask & mask[top:bottom, left:right]
    return bool(np.count_nonzero(covered) >= _PART_SHARE * instance.area_px)


def plan_masks(
    size_hw: tuple[int, ...],
    selection: Selection,
    casts: Collection[Instance],
    options: RemovalOptions,
    *,
    wraps: bool = False,
) -> tuple[Mask, Mask | None]:
    """Return what to fill, and the effects of the chosen objects; both without protected objects.

    Args:
        size_hw: H and W of the photo first.
        selection: its outlines refined.
        casts: from `find_effects`.
        options: `dilation` is used.
        wraps: see `RemovalPlan`.

    Returns:
        (H, W): the chosen objects, dilated, with their effects; and (H, W): their effects outside
        the margin, None if there are none.
    """
    chosen, kept, protected = selection.chosen, selection.kept, selection.protected
    mask = dilate_instances(chosen, size_hw, options.dilation, wraps=wraps)
    if protected:
        mask &= ~rasterize((it for it in kept if it.id in protected), size_hw)
    return add_effects(mask, casts, chosen, kept, wraps=wraps)


def add_effects(
    mask: Mask,
    casts: Collection[Instance],
    removed: Collection[Instance],
    kept: Collection[Instance],
    *,
    wraps: bool = False,
) -> tuple[Mask, Mask | None]:
    """Return a mask with the effects of what is removed, and the effects.

    Args:
        mask: (H, W) bool.
        casts: from `find_effects`.
        removed: the objects to remove.
        kept: the objects to keep.
        wraps: see `RemovalPlan`.

    Returns:
        (H, W) bool; and (H, W): the effects beside `mask`, None if there are none.
    """
    if not casts:
        return mask, None
    effects = effects_mask(casts, removed, kept, mask.shape, wraps=wraps) & ~mask
    return mask | effects, effects


def grow_to_edges(
    image: RGBImage, mask: Mask, parts: Collection[Instance]
) -> tuple[Mask, tuple[str, ...]]:
    """Return a mask of the user's that reaches its objects' edges, and a note if it did not.

    Args:
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) bool.
        parts: its connected parts.
    """
    missed = {part.id: missed_rim_px(image, part) for part in parts}
    widest = max(missed.values(), default=0)
    if widest == 0:
        return mask, ()
    mask = mask.copy()
    for part in parts:
        if missed[part.id] > 0:
            mask |= dilate(rasterize([part], mask.shape), missed[part.id])
    return mask, (f"the mask was dilated by up to {widest} px, to the edge of what is in it",)


def dilate_instances(
    instances: Collection[Instance],
    size_hw: tuple[int, ...],
    dilation: float | None,
    *,
    wraps: bool = False,
) -> Mask:
    """Return (H, W), the union of some objects, each with its margin.

    Args:
        instances: the objects.
        size_hw: H and W of the photo first.
        dilation: px; None scales it with each object.
        wraps: see `RemovalPlan`.
    """
    height, width = size_hw[:2]
    margins = [
        default_dilation_px(instance) if dilation is None else dilation for instance in instances
    ]
    beyond_px = min(width, math.ceil(max(margins, default=0))) if wraps else 0
    padded_hw = height, width + 2 * beyond_px
    shapes = [
        dilate_instance(_moved(instance, beyond_px), padded_hw, margin)
        for instance, margin in zip(instances, margins, strict=True)
    ]
    return fold_columns(union(shapes, padded_hw), beyond_px)


def _moved(instance: Instance, right_px: int) -> Instance:
    left, top, right, bottom = instance.box_xyxy
    return replace(instance, box_xyxy=(left + right_px, top, right + right_px, bottom))


def edit_plan(
    image: RGBImage,
    plan: RemovalPlan,
    *,
    remove: Mapping[int, bool],
    mask: Mask,
    complete: Complete,
    detector: Callable[[], EffectsDetector],
) -> RemovalPlan:
    """Return a plan as a person edited it: objects switched on or off, its mask painted on.

    What was painted or erased is the difference between `mask` and the plan's own. It takes
    precedence over the switches: white paint is filled and erased places are not, whatever object
    they belong to.

    Args:
        image: (H, W, 3) uint8, RGB, the photo. Not modified.
        plan: as it was made.
        remove: by the object's id, whether it is removed; the others do not change.
        mask: (H, W) bool, the plan's mask with what was painted on it.
        complete: of `Outliner`, for objects that are switched on.
        detector: gives what finds the effects of objects that are switched on, if any are.

    Raises:
        InputError: an id that the plan does not have.
        ShapeMismatchError: the mask has another size.
    """
    if mask.shape != plan.mask.shape:
        raise ShapeMismatchError(plan.mask.shape, mask.shape)
    found = sorted((*plan.instances, *plan.kept), key=lambda instance: instance.id)
    unknown = remove.keys() - {instance.id for instance in found}
    if unknown:
        raise InputError(f"no such object: {min(unknown)}; {len(found)} were found")
    removed = {instance.id for instance in plan.instances}
    switched = {number for number, wanted in remove.items() if wanted != (number in removed)}
    added, erased = mask & ~plan.mask, plan.mask & ~mask
    if not switched:
        return replace(plan, mask=mask)
    removed ^= switched
    kept = tuple(
        replace(instance, reason="kept by hand") if instance.id in switched else instance
        for instance in found
        if instance.id not in removed
    )
    chosen = [replace(it, reason="") for it in found if it.id in removed]
    others = rasterize((it for it in chosen if it.id not in switched), image.shape)
    turn = Turn.of(found, image.shape, wraps=plan.wraps)
    turned = turn.image(image)
    wanted = turn.there([it for it in chosen if it.id in switched])
    protected = (plan.protected | switched) - removed
    new, left = _outline(turned, wanted, turn.there(kept), protected, complete)
    kept = turn.back(left)
    outlined = {instance.id: subtract(instance, others) for instance in turn.back(new)}
    instances = tuple(outlined.get(instance.id, instance) for instance in chosen)
    known = {cast.id for cast in plan.casts}
    uncast = [it for it in instances if it.id in switched and it.id not in known]
    casts, notes = plan.casts, plan.notes
    if uncast and plan.options.effects != "off":
        rest = turn.there([it for it in kept if it.id not in known])
        strong = plan.options.effects == "strong"
        more_casts, more_notes = find_effects(
            turned, turn.there(uncast), rest, detector=detector(), strong=strong
        )
        casts += turn.back(more_casts)
        notes += more_notes
    base, effects = _masks_again(plan, Selection(instances, kept, protected), casts, removed)
    more = {it.label for it in instances}.difference(plan.options.classes, [OUTLINED])
    return replace(
        plan,
        options=replace(plan.options, classes=(*plan.options.classes, *sorted(more))),
        mask=np.asarray((base | added) & ~erased),
        effects=effects,
        casts=casts,
        instances=instances,
        kept=kept,
        protected=protected,
        notes=notes,
    )


def drop_effects(plan: RemovalPlan, ids: Collection[int]) -> RemovalPlan:
    """Return a plan without the effects of some objects, by the objects' ids."""
    casts = tuple(cast for cast in plan.casts if cast.id not in ids)
    selection = Selection(plan.instances, plan.kept, plan.protected)
    rest = {it.id for it in plan.instances}.difference(ids)
    mask, effects = _masks_again(plan, selection, casts, rest)
    return replace(plan, mask=mask, effects=effects)


def alpha_effects(plan: RemovalPlan) -> Mask | None:
    """Return (H, W), the effects that an inpainter's `alpha` has found, None if there are none."""
    if plan.effects is None:
        return None
    cast = effects_mask(plan.casts, plan.instances, plan.kept, plan.mask.shape, wraps=plan.wraps)
    found = plan.effects & ~cast
    return found if found.any() else None


def _masks_again(
    plan: RemovalPlan, selection: Selection, casts: Collection[Instance], ids: Collection[int]
) -> tuple[Mask, Mask | None]:
    """Return what `plan_masks` does for a plan's new selection and casts.

    With what an inpainter's `alpha` has found beside those of the plan's objects that have `ids`.
    """
    size_hw = plan.mask.shape
    masks_of = functools.partial(plan_masks, size_hw, options=plan.options, wraps=plan.wraps)
    mask, effects = masks_of(selection, casts)
    found = alpha_effects(plan)
    if found is None:
        return mask, effects
    own = tuple(it for it in plan.instances if it.id in ids)
    theirs, _ = masks_of(Selection(own, plan.kept, plan.protected), plan.casts)
    beside = components_touching(found, dilate(theirs, _BESIDE_PX))
    beside &= ~mask & ~rasterize(selection.kept, size_hw)
    return mask | beside, beside if effects is None else effects | beside
