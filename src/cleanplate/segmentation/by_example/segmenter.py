"""Segmentation by example: an object marked once is found in other photos.

A segmenter without a network. Features of the example (`matching`) are searched for in the photo;
a pose that explains several of them is aligned, and the grey levels under the entire mask have to
agree (`similarity`) for it to count. The object is also searched for at its position in
the example and, if it has few features, by its edges (`contours`).
"""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from cleanplate.errors import InputError
from cleanplate.ops import (
    Luma,
    Transform,
    bounding_box,
    convex_outline,
    dilate,
    long_side,
    scaling,
    transform_points,
    translation,
)
from cleanplate.options import check_type
from cleanplate.segmentation.base import choose_labels
from cleanplate.segmentation.by_example.contours import edge_length, edge_similarity, match_edges
from cleanplate.segmentation.by_example.matching import (
    Features,
    find_features,
    find_poses,
    match_features,
)
from cleanplate.segmentation.by_example.similarity import (
    Template,
    agreement,
    align,
    colour_similarity,
    visible_fraction,
)
from cleanplate.types import (
    AnyMask,
    Box,
    Instance,
    Mask,
    RGBImage,
    as_mask,
    check_image,
    check_image_and_mask,
)

_PHOTO_SIDE = 2400  # px; larger photos are searched at this long side
_PHOTO_FEATURES = 16_000
_TEMPLATE_SIDE = 480.0  # px; long side of the object as it is searched for
_TEMPLATE_FEATURES = 1500
_MIN_FEATURES = 6
_OTHER_FEATURES = 3000  # of the example around the object
_CONTEXT_SHARE = 0.08  # of the object's side, kept around it
_MIN_SIDE_PX = 12
_FULL_SUPPORT = 12
_MAX_OVERLAP = 0.4  # share of an object that one with a higher score may take
_MIN_VISIBLE = 0.4  # share of the object that must be inside the photo

# Agreement from which it is the object, by method; measured by benchmarks/example.py.
# Other objects reach 0.25 for feature matches.
_WORTH_ALIGNING = 0.25  # agreement from which alignment is tried
_MAX_MOVED, _MAX_MOVED_SAME_PLACE = 0.15, 0.03  # share of the side; at the same place
_AGREE = 0.40
_AGREE_WITH_FEW_MATCHES, _SOME_SUPPORT = 0.50, 5  # with fewer feature matches than this
_AGREE_SAME_PLACE = 0.60  # at the same place; other objects reach 0.53
_EDGES_MATCH = 0.45  # of edges at the same place; other objects reach 0.3
_COLOURS_MATCH = 0.72  # of a plain object; a smaller one inside it reaches 0.67, others 0.05
_FEW_FEATURES = 40  # features of an object below which contours are tried
_SHAPE_TOLERANCE = 0.01  # by which the ratio of the sides may differ from the example's
_SCORE_PER_AGREEMENT = 1.25  # 0.8 is what the same object reaches in another photo
_MIN_EDGE_PX = 20.0  # px of edges in an object without features


@dataclass(frozen=True, slots=True, eq=False)
class _Example:
    """A marked object, prepared for the search."""

    template: Template
    onto_template: Transform  # from the example's px to the cut-out's
    cut: Mask  # the mask in its box, at the example's size
    onto_cut: Transform  # from the cut-out's px to those of `cut`
    features: Features  # on the object, in the cut-out's px
    others: Features  # around it
    size_hw: tuple[int, int]  # of the example


class ExampleSegmenter:
    """Finds an object, marked in an example, in other photos.

    Args:
        image: (H, W, 3) uint8, RGB, the example. Not modified.
        mask: (H, W), True or 255 on the object: bool, uint8 of 0 and 255, or a Pillow image of
            mode 1 or L.
        label: of the object.

    Raises:
        InputError: an argument of another type; the mask is empty, or the object is too small or
            too plain to be recognised.
        ShapeMismatchError: image and mask differ in size.
    """

    def __init__(self, image: RGBImage, mask: AnyMask, *, label: str = "example") -> None:
        check_type("label", label, str, "a name")
        self._examples: tuple[_Example, ...] = (_prepare(image, as_mask(mask)),)
        self._label = label

    @classmethod
    def joined(cls, segmenters: Iterable["ExampleSegmenter"]) -> "ExampleSegmenter":
        """Return a segmenter that combines several, with the label of the first.

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
        """Name in the report."""
        return "example"

    @property
    def labels(self) -> tuple[str, ...]:
        """The one label."""
        return (self._label,)

    @property
    def provider(self) -> str:
        """Execution provider."""
        return "OpenCV"

    def segment(self, image: RGBImage, labels: Collection[str]) -> list[Instance]:
        """Return where the object is in a photo, by falling area; see `Segmenter.segment`.

        The score is the share of the object that agrees with the photo, 1 where four fifths of it
        do: noise and the edge never agree. From 0.5 it is the object, possibly half occluded.
        """
        check_image(image)
        if not choose_labels(labels, self.labels):
            return []
        photo = np.ascontiguousarray(image)
        luma = np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), np.uint8)
        view, onto_view = _view(luma)
        features = find_features(view, most=_PHOTO_FEATURES)
        found: list[_Place] = []
        for example in self._examples:
            found += _by_features(example, luma, features, onto_view)
            found += _at_same_place(example, photo, luma)
            if len(example.features) < _FEW_FEATURES:
                found += _by_contours(example, photo, luma)
        return _instances(found, self._label, (luma.shape[0], luma.shape[1]))


def _prepare(image: RGBImage, mask: Mask) -> _Example:
    check_image_and_mask(image, mask)
    if not mask.any():
        raise InputError("the example's mask is empty; mark the object in white")
    tight = bounding_box(mask)
    side = long_side(tight)
    if side < _MIN_SIDE_PX:
        raise InputError(
            f"the marked object is {tight[2] - tight[0]} x {tight[3] - tight[1]} px, too small to "
            f"be recognised; mark one of at least {_MIN_SIDE_PX} px"
        )
    luma = np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), np.uint8)
    left, top, right, bottom = bounding_box(mask, pad_px=4 + round(_CONTEXT_SHARE * side))
    cut = np.ascontiguousarray(mask[top:bottom, left:right])
    part = luma[top:bottom, left:right]
    shrink = min(1.0, _TEMPLATE_SIDE / side)
    size_wh = (max(1, round(part.shape[1] * shrink)), max(1, round(part.shape[0] * shrink)))
    small = np.asarray(cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    small_mask = cv2.resize(cut.astype(np.uint8) * 255, size_wh, interpolation=cv2.INTER_AREA) > 127
    to_small = scaling(size_wh[0] / part.shape[1], size_wh[1] / part.shape[0])
    features = find_features(small, most=_TEMPLATE_FEATURES, mask=small_mask)
    view, _ = _view(luma)
    near = cv2.resize(
        dilate(mask, 2 + 0.02 * side).astype(np.uint8),
        view.shape[::-1],
        interpolation=cv2.INTER_NEAREST,
    )
    colour = cv2.resize(
        np.ascontiguousarray(image[top:bottom, left:right]), size_wh, interpolation=cv2.INTER_AREA
    )
    template = Template(small, np.asarray(colour, np.uint8), small_mask, convex_outline(small_mask))
    if len(features) < _MIN_FEATURES and edge_length(template) < _MIN_EDGE_PX:
        raise InputError(
            "the marked object has too little texture to be recognised; mark one with a pattern or "
            "an outline, or give --mask if it is at the same place in every photo"
        )
    return _Example(
        template,
        to_small @ translation(-left, -top),
        cut,
        np.asarray(np.linalg.inv(to_small), np.float64),
        features,
        find_features(view, most=_OTHER_FEATURES, mask=near == 0),
        (luma.shape[0], luma.shape[1]),
    )


def _view(luma: Luma) -> tuple[Luma, Transform]:
    """Return an image at the search size, and the transform to its px."""
    height, width = luma.shape
    shrink = _PHOTO_SIDE / max(height, width)
    if shrink >= 1:
        return luma, np.eye(3)
    size_wh = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    small = cv2.resize(luma, size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), scaling(size_wh[0] / width, size_wh[1] / height)


def _by_features(
    example: _Example, luma: Luma, features: Features, onto_view: Transform
) -> Iterator["_Place"]:
    """Yield poses supported by many feature matches."""
    from_view = np.linalg.inv(onto_view)
    matches = match_features(example.features, example.others, features)
    for pose in find_poses(matches, example.template.outline):
        transform = from_view @ pose.transform
        perspective = pose.support >= _FULL_SUPPORT
        place = _aligned(example, luma, transform / transform[2, 2], perspective=perspective)
        if place.agreement >= (
            _AGREE if pose.support >= _SOME_SUPPORT else _AGREE_WITH_FEW_MATCHES
        ):
            yield place


def _at_same_place(example: _Example, photo: RGBImage, luma: Luma) -> Iterator["_Place"]:
    """Yield the position of the example, if the object is there: a stamp, a watermark."""
    (height, width), (own_height, own_width) = luma.shape, example.size_hw
    across, down = width / own_width, height / own_height
    if abs(across - down) > _SHAPE_TOLERANCE * max(across, down):
        return
    template = example.template
    transform = scaling(across, down) @ np.linalg.inv(example.onto_template)
    place = _aligned(example, luma, transform, perspective=False, max_share=_MAX_MOVED_SAME_PLACE)
    edges = edge_similarity(template, luma, transform)
    if place.agreement >= max(_AGREE_SAME_PLACE, edges):
        yield place
        return
    colours = colour_similarity(template, photo, transform)
    if colours >= _COLOURS_MATCH:
        yield _Place(example, transform, max(edges, colours / _SCORE_PER_AGREEMENT))
    elif edges >= _EDGES_MATCH:
        yield _Place(example, transform, edges)


def _by_contours(example: _Example, photo: RGBImage, luma: Luma) -> Iterator["_Place"]:
    """Yield positions where edges and colours match a plain object."""
    for pose in match_edges(example.template, luma, size=1 / float(example.onto_template[0, 0])):
        place = _aligned(example, luma, pose.transform, perspective=False)
        colours = colour_similarity(example.template, photo, place.transform)
        if (
            colours >= _COLOURS_MATCH
            and visible_fraction(example.template, luma.shape, place.transform) >= _MIN_VISIBLE
        ):
            yield _Place(example, place.transform, colours / _SCORE_PER_AGREEMENT)


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A candidate pose of an object."""

    example: _Example
    transform: Transform  # from the cut-out's px to the photo's
    agreement: float  # [0, 1]


def _aligned(
    example: _Example,
    luma: Luma,
    transform: Transform,
    *,
    perspective: bool,
    max_share: float = _MAX_MOVED,
) -> _Place:
    """Return an aligned candidate; its agreement is 0 if most of it is outside the photo."""
    template = example.template
    found = agreement(template, luma, transform)
    if found > _WORTH_ALIGNING:
        moved = align(template, luma, transform, perspective=perspective)
        again = agreement(template, luma, moved)
        before, after = (transform_points(one, template.outline) for one in (transform, moved))
        farthest = float(np.hypot(*(after - before).T).max())
        if again > found and farthest <= max_share * float(np.ptp(before, axis=0).max()):
            transform, found = moved, again
    if visible_fraction(template, luma.shape, transform) < _MIN_VISIBLE:
        found = 0.0
    return _Place(example, transform, found)


def _instances(places: Collection[_Place], label: str, size_hw: tuple[int, int]) -> list[Instance]:
    """Return non-overlapping objects; overlaps go to the higher score."""
    occupied = np.zeros(size_hw, np.bool_)
    found: list[tuple[float, Box, Mask]] = []
    outlines = [(place, outlined) for place in places if (outlined := _outlined(place, size_hw))]
    # Of about equal scores the larger comes first: a plain object's corners look like the object.
    outlines.sort(key=lambda pair: (-round(pair[0].agreement * 5), -np.count_nonzero(pair[1][1])))
    for place, ((left, top, right, bottom), mask) in outlines:
        region = occupied[top:bottom, left:right]
        own = mask & ~region
        if np.count_nonzero(own) < (1 - _MAX_OVERLAP) * np.count_nonzero(mask):
            continue
        region |= own
        x0, y0, x1, y1 = bounding_box(own)
        box = (left + x0, top + y0, left + x1, top + y1)
        score = min(1.0, _SCORE_PER_AGREEMENT * place.agreement)
        found.append((score, box, own[y0:y1, x0:x1].copy()))
    found.sort(key=lambda entry: (-int(np.count_nonzero(entry[2])), entry[1]))
    return [
        Instance(number, label, score, box, mask)
        for number, (score, box, mask) in enumerate(found, start=1)
    ]


def _outlined(place: _Place, size_hw: tuple[int, int]) -> tuple[Box, Mask] | None:
    """Return the example's mask warped to a photo, with its box; None if it is empty."""
    corners = transform_points(place.transform, place.example.template.outline)
    left, top = (max(0, math.floor(edge) - 2) for edge in corners.min(axis=0))
    right, bottom = (math.ceil(edge) + 3 for edge in corners.max(axis=0))
    right, bottom = min(right, size_hw[1]), min(bottom, size_hw[0])
    if right <= left or bottom <= top:
        return None
    onto_photo = place.transform @ np.linalg.inv(place.example.onto_cut)
    onto_part = translation(-left, -top) @ onto_photo
    cut = place.example.cut.astype(np.uint8) * 255
    mask = cv2.warpPerspective(cut, onto_part, (right - left, bottom - top)) > 127
    return ((left, top, right, bottom), mask) if mask.any() else None
