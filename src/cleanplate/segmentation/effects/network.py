"""What an object casts, found by a network: its shadow, its contact shadow, its reflection."""

import math
from collections.abc import Collection
from functools import partial

import cv2
import numpy as np

from cleanplate.hub import get_model, read_file
from cleanplate.ops import (
    SquareView,
    at_once,
    bounding_box,
    box_around,
    dilate,
    dilate_instance,
    long_side,
    rasterize,
    union,
    with_mask,
)
from cleanplate.runtime import Session
from cleanplate.segmentation.instances import Turn
from cleanplate.types import Box, FloatArray, Instance, Mask, RGBImage, check_image_and_mask

DEFAULT_EFFECTS_MODEL = "effects.lite0"

_SIZE_PX = get_model(DEFAULT_EFFECTS_MODEL).preprocessing.square_px  # of the network's input
_CONTEXTS = (0.6, 1.1)  # of the object's longer side, on each side of it
# Where effects reach so many of the network's pixels near to the outer window's border, as a low
# sun's shadow does, the next windows are around object and effects.
_EDGE = 3
_MOST_LOOKS = 3
_BEYOND = 127  # grey beyond the photo's border
_COVERED = 0.5  # share of a pixel from which on it is the object's
_THRESHOLD = 0.35

# Of the object's longer side, around what is found: a pixel of the network. It is unsure by about
# one, and shadows have soft borders.
_MARGIN = (1 + 2 * _CONTEXTS[-1]) / _SIZE_PX

# A component of that is kept if it is more certain than this somewhere. This and the contexts were
# chosen with the test photos of docs/quality_of_effects.md in sight.
_CERTAIN = 0.97

_LEAST_OBJECT_PX = 300  # of a mask's parts; what smaller ones cast could not be found
_MOST_OBJECTS = 20  # parts of a mask whose effects are detected

_LARGEST_SHARE = 3.0  # of the object's area; what is larger is hardly cast by it, and stays


class EffectsDetector:
    """Finds the shadows and reflections of objects.

    Args:
        name: a registered model.
        device: one of `cleanplate.runtime.DEVICES`.
        threads: CPU threads of one run; None uses every available core.
    """

    def __init__(
        self,
        name: str = DEFAULT_EFFECTS_MODEL,
        *,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        model = get_model(name, "effects")
        self.name = model.name
        content = read_file(model, "effects")
        self._network = Session(content, name=name, device=device, threads=threads)

    @property
    def provider(self) -> str:
        """What runs the network."""
        return self._network.provider

    def find(self, image: RGBImage, mask: Mask, *, strong: bool = False) -> Mask:
        """Return what an object casts.

        Args:
            image: (H, W, 3) uint8, RGB. Not modified.
            mask: (H, W) bool, the object; its outline without a margin.
            strong: take uncertain parts too.

        Returns:
            (H, W) bool, True = shadow or reflection of the object, without a margin; False on the
            object itself.
        """
        check_image_and_mask(image, mask)
        found = np.zeros_like(mask)
        box = bounding_box(mask) if mask.any() else None
        for _ in range(_MOST_LOOKS):
            if box is None:
                break
            slices, probability = self.look(image, mask, box, strong=strong)
            here = (probability > _THRESHOLD) & ~mask[slices]
            found[slices] |= here
            box = _larger(box, here, slices, mask.shape)
        return found

    def look(
        self, image: RGBImage, mask: Mask, box: Box, *, strong: bool = True
    ) -> tuple[tuple[slice, slice], FloatArray]:
        """Return what the network says of one window.

        Args:
            image: (H, W, 3) uint8, RGB. Not modified.
            mask: (H, W) bool, the object.
            box: in the middle of the window; left, top, right and bottom in px.
            strong: leave uncertain parts in; without them, they are 0.

        Returns:
            The window's rows and columns; and (h, w) float32 in [0, 1], how probable it is that a
            pixel there carries the object's shadow or reflection.
        """
        views = [SquareView(box, context, mask.shape, _SIZE_PX) for context in _CONTEXTS]
        inputs = np.stack(at_once(*(partial(_network_input, it, image, mask) for it in views)))
        both = self._network.run(np.concatenate([inputs, inputs[..., ::-1]]))[:, 0]
        inner, outer = (both[: len(views)] + both[len(views) :, :, ::-1]) / 2
        probability = views[-1].within_picture(_average(inner, outer))
        if not strong:
            probability = _without_uncertain(probability, inputs[-1, 3] > 0)
        return views[-1].slices, views[-1].at_full_size(probability)


def _network_input(view: SquareView, image: RGBImage, mask: Mask) -> FloatArray:
    """Return (4, S, S) float32: RGB in [0, 1], and the object as 0 or 1."""
    rgb = view.see(image, _BEYOND) / np.float32(255)
    covered = view.see(mask.view(np.uint8), 0) > _COVERED
    return np.dstack([rgb, covered]).transpose(2, 0, 1)


def _average(inner: FloatArray, outer: FloatArray) -> FloatArray:
    """Return the mean of two windows around the same centre; beyond the inner one, the outer one.

    Args:
        inner: (S, S), of the smaller square. Both in [0, 1].
        outer: (S, S), of the larger square.
    """
    shrink = (1 + 2 * _CONTEXTS[0]) / (1 + 2 * _CONTEXTS[1])
    start = _SIZE_PX * (1 - shrink) / 2
    moved = np.array([[shrink, 0, start], [0, shrink, start]])
    there = cv2.warpAffine(inner, moved, (_SIZE_PX, _SIZE_PX))
    within = slice(math.ceil(start) + 1, _SIZE_PX - math.ceil(start) - 1)
    mean = outer.copy()
    mean[within, within] = (outer[within, within] + there[within, within]) / 2
    return mean


def _larger(
    box: Box, effects: Mask, slices: tuple[slice, slice], size_hw: tuple[int, ...]
) -> Box | None:
    """Return a box with effects that reach the window's border, where the photo goes on, or None.

    Args:
        box: in the middle of the window.
        effects: (h, w) bool, in the window.
        slices: the window's rows and columns.
        size_hw: of the photo, H and W first.
    """
    if not effects.any():
        return None
    rows, columns = slices
    left, top, right, bottom = bounding_box(effects)
    edge_px = _EDGE * _MARGIN * long_side(box)
    is_cut = (
        (rows.start > 0 and top < edge_px)
        or (columns.start > 0 and left < edge_px)
        or (rows.stop < size_hw[0] and effects.shape[0] - bottom < edge_px)
        or (columns.stop < size_hw[1] and effects.shape[1] - right < edge_px)
    )
    x, y = columns.start, rows.start
    return box_around([box, (x + left, y + top, x + right, y + bottom)]) if is_cut else None


def _without_uncertain(probability: FloatArray, mask: Mask) -> FloatArray:
    """Return (S, S), 0 but for components that the network is certain of.

    Args:
        probability: (S, S), [0, 1]. Not modified.
        mask: (S, S) bool, the object, where it means nothing.
    """
    beside = (probability > _THRESHOLD) & ~mask
    _, parts = cv2.connectedComponents(beside.astype(np.uint8))
    certain = np.isin(parts, parts[beside & (probability > _CERTAIN)])
    return np.where(dilate(certain, 1), probability, np.float32(0))


def find_effects(
    image: RGBImage,
    removed: Collection[Instance],
    kept: Collection[Instance],
    *,
    detector: EffectsDetector,
    strong: bool = False,
) -> tuple[tuple[Instance, ...], tuple[str, ...]]:
    """Return what objects cast: removed ones, and kept ones that might cast the same; and notes.

    Args:
        image: (H, W, 3) uint8, RGB. Not modified.
        removed: the removed objects, their outlines without a margin.
        kept: the kept objects.
        detector: finds it.
        strong: take uncertain parts and large areas too.

    Returns:
        For each object that casts something its id, label and score, with what it casts as mask;
        and notes for the user about what stays, as it is too large.
    """
    found: list[Instance] = []
    notes: list[str] = []
    reached = np.zeros(image.shape[:2], bool)
    for instance in removed:
        cast = detector.find(image, rasterize([instance], image.shape), strong=strong)
        if not strong and np.count_nonzero(cast) > _LARGEST_SHARE * instance.area_px:
            notes.append(
                f"what the {instance.label or 'object'} may cast stays: it is more than "
                f"{_LARGEST_SHARE:g} times as large; --effects strong removes it"
            )
        elif cast.any():
            found.append(with_mask(instance, cast))
            reached |= cast
    for instance in kept:
        # Few effects leave the window: of far ones nothing is asked.
        window = SquareView(instance.box_xyxy, _CONTEXTS[-1], image.shape, _SIZE_PX)
        if reached[window.slices].any():
            cast = detector.find(image, rasterize([instance], image.shape), strong=strong)
            if cast.any():
                found.append(with_mask(instance, cast))
    return tuple(found), tuple(dict.fromkeys(notes))


def effects_mask(
    effects: Collection[Instance],
    removed: Collection[Instance],
    kept: Collection[Instance],
    size_hw: tuple[int, ...],
    *,
    wraps: bool = False,
) -> Mask:
    """Return (H, W), the effects of some objects, without those that a kept one casts too.

    Both have a margin that grows with the object.

    Args:
        effects: from `find_effects`.
        removed: the removed objects.
        kept: the kept objects.
        size_hw: H and W of the photo first.
        wraps: whether its left and right border meet.
    """
    height, width = size_hw[:2]
    turn = Turn.of([*effects, *removed, *kept], size_hw, wraps=wraps)
    effects, removed, kept = (turn.there(it) for it in (effects, removed, kept))

    def cast_by(objects: Collection[Instance]) -> Mask:
        margins = {it.id: _MARGIN * long_side(it.box_xyxy) for it in objects}
        shapes = [
            dilate_instance(it, (height, width), margins[it.id])
            for it in effects
            if it.id in margins
        ]
        return union(shapes, (height, width))

    mask = cast_by(removed) & ~cast_by(kept)
    mask &= ~rasterize([*removed, *kept], size_hw)
    return np.roll(mask, turn.by_px, axis=1) if turn.by_px else mask


def objects_in(mask: Mask) -> tuple[Instance, ...]:
    """Return the largest connected parts of a mask of the user's, as objects without a label.

    Args:
        mask: (H, W) bool.
    """
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    largest = sorted(range(1, count), key=lambda part: -stats[part, cv2.CC_STAT_AREA])
    found: list[Instance] = []
    for part in largest[:_MOST_OBJECTS]:
        left, top, width, height, area = (int(value) for value in stats[part])
        if area >= _LEAST_OBJECT_PX:
            inside = parts[top : top + height, left : left + width] == part
            box = (left, top, left + width, top + height)
            found.append(Instance(len(found) + 1, "", 1.0, box, inside))
    return tuple(found)
