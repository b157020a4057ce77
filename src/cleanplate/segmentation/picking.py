"""Objects at points and in boxes: outlined by a prompter, or picked among those found."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from cleanplate.errors import InputError
from cleanplate.ops import box_iou
from cleanplate.options import Point, PointBox, box_in_photo
from cleanplate.segmentation.interactive import DEFAULT_PROMPTER, InteractiveSegmenter, instance_of
from cleanplate.types import Instance, RGBImage

_NAMED = 3  # labels that a message names
_MIN_IOU = 0.25  # of a box and that of the object meant by it; a loose box has about 0.5


def outline_objects(
    image: RGBImage,
    points: Collection[Point],
    boxes: Collection[PointBox],
    prompter: InteractiveSegmenter,
) -> list[Instance]:
    """Return the objects that a prompter outlines, one for each point and box.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        points: (x, y) in px.
        boxes: (left, top, width, height) in px.
        prompter: outlines them.

    Returns:
        Instances labelled "object", numbered 1, 2, ... by falling area.

    Raises:
        InputError: a point or box is outside the photo, or no object is found there; the message
            names it.
    """
    prepared = prompter.set_image(image)
    size_hw = (image.shape[0], image.shape[1])
    outlines = [
        (f"point {point}", prompter.predict(prepared, points=[(*point, True)])) for point in points
    ]
    outlines += [
        (f"box {box}", prompter.predict(prepared, box_xyxy=box_in_photo(box, size_hw)))
        for box in boxes
    ]
    found = []
    for place, outline in outlines:
        if not outline.mask.any():
            raise InputError(f"no object found at {place}; move it, or add a box")
        found.append(instance_of(outline))
    found.sort(key=lambda instance: -instance.area_px)
    return [replace(instance, id=number) for number, instance in enumerate(found, start=1)]


def pick_instances(
    found: Sequence[Instance],
    points: Collection[Point],
    boxes: Collection[PointBox],
    size_hw: tuple[int, int],
    labels: Collection[str] = (),
) -> tuple[int, ...]:
    """Return the ids of the instances at the points, and of those that fit the boxes best.

    Args:
        found: the instances of a photo.
        points: (x, y) in px.
        boxes: (left, top, width, height) in px.
        size_hw: H and W of the photo.
        labels: what was asked for by name, for the message; none: whatever is there.

    Raises:
        InputError: there is none at a point or in a box; the message names it.
    """
    picked = set()
    for x, y in points:
        at = [instance for instance in found if _holds(instance, int(x), int(y))]
        if not at:
            raise _nothing_at(f"point ({x:g}, {y:g})", found, labels)
        picked.add(min(at, key=lambda instance: instance.area_px).id)
    for box in boxes:
        wanted = box_in_photo(box, size_hw)
        best = max(found, key=lambda instance: box_iou(instance.box_xyxy, wanted), default=None)
        if best is None or box_iou(best.box_xyxy, wanted) < _MIN_IOU:
            raise _nothing_at(f"box {box}", found, labels)
        picked.add(best.id)
    return tuple(sorted(picked))


def _nothing_at(place: str, found: Sequence[Instance], labels: Collection[str]) -> InputError:
    boxes = ", ".join(f"{it.label} {it.box_xyxy}" for it in found[:5]) or "nothing"
    advice = (
        "move it, or name no class to remove whatever is there"
        if labels
        else "install a model that outlines objects of any kind with 'cleanplate models pull "
        f"{DEFAULT_PROMPTER}', or pass a mask"
    )
    sought = " or ".join(labels) if 0 < len(labels) <= _NAMED else "object"
    return InputError(f"no {sought} found at {place}; detected: {boxes}; {advice}")


def _holds(instance: Instance, x: int, y: int) -> bool:
    left, top, right, bottom = instance.box_xyxy
    inside = left <= x < right and top <= y < bottom
    return inside and bool(instance.mask[y - top, x - left])
