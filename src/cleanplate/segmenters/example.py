"""The same object as in an example: marked once, found in other photos.

A segmenter without a network. Details of the example (`cleanplate.matching`) are looked for in the
photo; a pose that explains several of them is aligned, and the grey levels under the whole mask have
to agree (`cleanplate.likeness`) for it to count.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from cleanplate.errors import InputError, UnknownNameError
from cleanplate.likeness import Thing, agreement, align
from cleanplate.masks import box_of, grow
from cleanplate.matching import (
    Features,
    Luma,
    Pose,
    Transform,
    convex_outline,
    find_features,
    find_poses,
    match_features,
    project,
    scaling,
    shifting,
)
from cleanplate.types import Box, Instance, Mask, RGBImage, check_image, check_image_and_mask

_PHOTO_SIDE = 1800  # px; larger photos are searched at this long side
_PHOTO_FEATURES = 10_000
_THING_SIDE = 480.0  # px; long side of the object as it is searched for
_THING_FEATURES = 1500
_OTHER_FEATURES = 3000  # of the example around the object
_CONTEXT_SHARE = 0.08  # of the object's side, kept around it
_LEAST_SIDE_PX = 12
_FULL_SUPPORT = 12
_OVERLAP = 0.4  # share of an object that another, surer one may take from it
_VISIBLE = 0.4  # share of the object that must lie inside the photo

# Agreement of the grey levels, and the score it becomes. See benchmarks/example.py.
_AGREEMENT_NONE, _AGREEMENT_FULL = 0.0, 1.0
_LEAST_SCORE = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class _Example:
    """A marked object, ready to be searched for."""

    thing: Thing
    onto_thing: Transform  # from the example's px to the cut-out's
    cut: Mask  # the mask in its box, at the example's size
    onto_cut: Transform  # from the cut-out's px to those of `cut`
    features: Features  # on the object, in the cut-out's px
    others: Features  # around it
    size_hw: tuple[int, int]  # of the example


class ExampleSegmenter:
    """Finds one object, which is marked in an example, in other photos.

    Args:
        image: (H, W, 3) uint8, RGB, the example. Not modified.
        mask: (H, W) bool, True on the object.
        label: what to call it.

    Raises:
        InputError: the mask is empty, or the object is too small or too plain to be recognised.
        ShapeMismatchError: image and mask differ in size.
    """

    def __init__(self, image: RGBImage, mask: Mask, *, label: str = "example") -> None:
        self._examples: tuple[_Example, ...] = (_prepare(image, mask),)
        self._label = label

    @classmethod
    def joined(cls, segmenters: Iterable["ExampleSegmenter"]) -> "ExampleSegmenter":
        """Return one that finds what any of some segmenters finds, under the first one's label.

        Raises:
            InputError: there is none.
        """
        segmenters = tuple(segmenters)
        if not segmenters:
            raise InputError("no example to join; give at least one")
        joined = cls.__new__(cls)
        joined._examples = tuple(one for each in segmenters for one in each._examples)
        joined._label = segmenters[0]._label
        return joined

    @property
    def name(self) -> str:
        """What the report calls it."""
        return "example"

    @property
    def labels(self) -> tuple[str, ...]:
        """The one label."""
        return (self._label,)

    @property
    def provider(self) -> str:
        """What runs it."""
        return "OpenCV"

    def segment(self, image: RGBImage, labels: Collection[str]) -> list[Instance]:
        """Return where the object is in a photo, by falling area; see `Segmenter.segment`.

        The score is the share of the object that agrees with the photo, from 0.5 at what differing
        objects may reach to 1.
        """
        check_image(image)
        for label in labels:
            if label != self._label:
                raise UnknownNameError("label", label, self.labels)
        if not labels:
            return []
        luma = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        found = []
        view, onto_view = _view(luma)
        features = find_features(view, most=_PHOTO_FEATURES)
        for example in self._examples:
            found += _search(example, luma, features, onto_view)
        return _instances(found, self._label, luma.shape)


def _prepare(image: RGBImage, mask: Mask) -> _Example:
    check_image_and_mask(image, mask)
    if not mask.any():
        raise InputError("the example's mask is empty; mark the object in white")
    tight = box_of(mask)
    side = max(tight[2] - tight[0], tight[3] - tight[1])
    if side < _LEAST_SIDE_PX:
        raise InputError(
            f"the marked object is {tight[2] - tight[0]} x {tight[3] - tight[1]} px, too small to be "
            f"recognised; mark one of at least {_LEAST_SIDE_PX} px"
        )
    luma = np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), np.uint8)
    left, top, right, bottom = box_of(mask, grown_by_px=4 + round(_CONTEXT_SHARE * side))
    cut = np.ascontiguousarray(mask[top:bottom, left:right])
    part = luma[top:bottom, left:right]
    shrink = min(1.0, _THING_SIDE / side)
    size_wh = (max(1, round(part.shape[1] * shrink)), max(1, round(part.shape[0] * shrink)))
    small = np.asarray(cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    small_mask = cv2.resize(cut.astype(np.uint8) * 255, size_wh, interpolation=cv2.INTER_AREA) > 127
    to_small = scaling(size_wh[0] / part.shape[1], size_wh[1] / part.shape[0])
    features = find_features(small, most=4 * _THING_FEATURES)
    features = features.chosen(_at(small_mask, features))
    features = features.chosen(np.arange(len(features)) < _THING_FEATURES)
    view, onto_view = _view(luma)
    around = find_features(view, most=_OTHER_FEATURES)
    near = cv2.resize(grow(mask, 2 + 0.02 * side).astype(np.uint8), view.shape[::-1], interpolation=cv2.INTER_NEAREST)
    thing = Thing(small, small_mask, convex_outline(small_mask))
    return _Example(
        thing,
        to_small @ shifting(-left, -top),
        cut,
        np.linalg.inv(to_small),
        features,
        around.chosen(~_at(near > 0, around)),
        (luma.shape[0], luma.shape[1]),
    )


def _at(mask: Mask, features: Features) -> Mask:
    """Return (N,): whether each detail lies on a mask."""
    columns = np.clip(np.rint(features.xy[:, 0]).astype(int), 0, mask.shape[1] - 1)
    rows = np.clip(np.rint(features.xy[:, 1]).astype(int), 0, mask.shape[0] - 1)
    return np.asarray(mask[rows, columns])


def _view(luma: Luma) -> tuple[Luma, Transform]:
    """Return a picture at the size that is searched, and the transform to its px."""
    height, width = luma.shape
    shrink = _PHOTO_SIDE / max(height, width)
    if shrink >= 1:
        return luma, np.eye(3)
    size_wh = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    small = cv2.resize(luma, size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), scaling(size_wh[0] / width, size_wh[1] / height)


def _search(
    example: _Example, luma: Luma, features: Features, onto_view: Transform
) -> list[tuple[float, _Example, Transform]]:
    found = []
    from_view = np.linalg.inv(onto_view)
    matches = match_features(example.features, example.others, features)
    for pose in find_poses(matches, example.thing.outline):
        first = from_view @ pose.transform
        first /= first[2, 2]
        best, score = first, agreement(example.thing, luma, first)
        if score > 0.25:
            second = align(example.thing, luma, first, perspective=pose.support >= _FULL_SUPPORT)
            again = agreement(example.thing, luma, second)
            if again > score:
                best, score = second, again
        found.append((score, example, best, pose.support))
    return found
def _instances(found, label, size_hw):
    return found
