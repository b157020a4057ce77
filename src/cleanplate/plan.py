"""What is going to be filled in a photo, settled before anything is: the first of two stages."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from cleanplate.errors import InputError, ShapeMismatchError
from cleanplate.ops import default_dilation_px, dilate_instance, rasterize, subtract, union
from cleanplate.segmentation import Selection, find_effects, refine_outline
from cleanplate.types import Instance, Mask, RGBImage


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Draft:
    """The objects of one photo, what is to be filled, and how to look at it again.

    `Remover.draft` makes one, `Remover.fill` takes it. It holds all that the second stage needs, so
    that both together do what `Remover.remove` does.
    """

    mask: Mask  # (H, W) bool, True = fill
    objects: tuple[Instance, ...]  # what goes
    left: tuple[Instance, ...]  # what stays, each with its reason
    guarded: frozenset[int] = field(default_factory=frozenset)  # ids of `left`: see `Selection`
    labels: tuple[str, ...]  # canonical; what looking again looks for
    min_score: float  # [0, 1]; it counts in looking again, too
    min_area_px: int  # the same
    grow: float | None  # px; None scales with each object
    shadows: bool  # the mask holds shadows and mirror images
    verify: bool  # look at the filled holes again
    timings_s: Mapping[str, float] = field(default_factory=dict)  # of "find" and "mask"


def refine_outlines(image: RGBImage, selection: Selection) -> Selection:
    """Return what was selected, its outlines following the photo at full resolution.

    What is left because of a limit keeps the segmenter's outline. No chosen object reaches into one
    that is left, and none that is left on purpose into a chosen one as it was found.
    """
    chosen, left, guarded = selection.chosen, selection.left, selection.guarded
    if not chosen:
        return selection
    if guarded:
        goes = rasterize(chosen, image.shape)
        left = tuple(
            subtract(refine_outline(image, thing), goes) if thing.id in guarded else thing
            for thing in left
        )
    kept = rasterize(left, image.shape)
    chosen = tuple(subtract(refine_outline(image, thing), kept) for thing in chosen)
    return Selection(chosen, left, guarded)


def draft_mask(image: RGBImage, selection: Selection, *, grow: float | None, shadows: bool) -> Mask:
    """Return (H, W), what to fill: the chosen objects with margins and shadows, nothing guarded."""
    chosen, left, guarded = selection.chosen, selection.left, selection.guarded
    mask = dilated(chosen, image.shape, grow)
    if shadows:
        mask |= _traces(image, chosen, left)
    if guarded:
        mask &= ~rasterize((thing for thing in left if thing.id in guarded), image.shape)
    return mask


def dilated(instances: Collection[Instance], size_hw: tuple[int, ...], grow: float | None) -> Mask:
    """Return (H, W), what to fill for some objects, each with its margin.

    Args:
        instances: the objects.
        size_hw: H and W of the photo first.
        grow: px; None scales it with each object.
    """
    height, width = size_hw[:2]
    margins = [default_dilation_px(instance) if grow is None else grow for instance in instances]
    shapes = [
        dilate_instance(instance, (height, width), margin)
        for instance, margin in zip(instances, margins, strict=True)
    ]
    return union(shapes, (height, width))


def edit_draft(image: RGBImage, draft: Draft, *, remove: Mapping[int, bool], mask: Mask) -> Draft:
    """Return a draft as a person changed it: objects switched on or off, its mask painted on.

    What was painted or erased is what `mask` differs by from the draft's own. It comes on top of
    the switches: white paint is filled and erased places are not, whatever object they belong to.

    Args:
        image: (H, W, 3) uint8, RGB, the photo. Not modified.
        draft: as it was made.
        remove: by the object's id, whether it goes; those that are not named stay as they are.
        mask: (H, W) bool, the draft's mask with what was painted on it.

    Raises:
        InputError: an id that the draft does not have.
        ShapeMismatchError: the mask has another size.
    """
    if mask.shape != draft.mask.shape:
        raise ShapeMismatchError(draft.mask.shape, mask.shape)
    everything = sorted((*draft.objects, *draft.left), key=lambda thing: thing.id)
    unknown = remove.keys() - {thing.id for thing in everything}
    if unknown:
        raise InputError(f"there is no object {min(unknown)}; there are {len(everything)}")
    goes = {thing.id for thing in draft.objects}
    switched = {number for number, wanted in remove.items() if wanted != (number in goes)}
    painted_on, erased = mask & ~draft.mask, draft.mask & ~mask
    if not switched:
        return replace(draft, mask=mask)
    goes ^= switched
    left = tuple(
        replace(thing, reason="kept by hand") if thing.id in switched else thing
        for thing in everything
        if thing.id not in goes
    )
    kept = rasterize(left, image.shape)
    objects = tuple(
        subtract(refine_outline(image, thing), kept) if thing.id in switched else thing
        for thing in (replace(thing, reason="") for thing in everything if thing.id in goes)
    )
    guarded = (draft.guarded | switched) - goes
    selection = Selection(objects, left, guarded)
    base = draft_mask(image, selection, grow=draft.grow, shadows=draft.shadows)
    more = {thing.label for thing in objects}.difference(draft.labels)
    return replace(
        draft,
        labels=(*draft.labels, *sorted(more)),
        mask=np.asarray((base | painted_on) & ~erased),
        objects=objects,
        left=left,
        guarded=guarded,
    )


def _traces(image: RGBImage, chosen: Collection[Instance], left: Collection[Instance]) -> Mask:
    """Return (H, W), the shadows and mirror images of the chosen objects."""
    size_hw = (image.shape[0], image.shape[1])
    objects = rasterize([*chosen, *left], size_hw)
    traces = (find_effects(image, instance, objects) for instance in chosen)
    return union([found for found in traces if found is not None], size_hw)
