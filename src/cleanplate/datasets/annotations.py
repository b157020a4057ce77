"""What every format says of an image: its annotations, and what becomes of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from cleanplate.errors import InputError
from cleanplate.ops import bounding_box, decode_rle
from cleanplate.types import Box, Mask

BoxXYXY = tuple[float, float, float, float]
"""Left, top, right, bottom; right and bottom exclusive."""

TightMask = tuple[Box, Mask]
"""A tight box, and the mask inside it."""

Polygons = tuple[tuple[float, ...], ...]
"""Each x, y, x, y ..."""


@dataclass(frozen=True, slots=True)
class Rle:
    """Run lengths of a mask, column by column; see `cleanplate.ops.decode_rle`."""

    counts: tuple[int, ...]
    size_hw: tuple[int, int]


@dataclass(frozen=True, slots=True)
class CroppedMask:
    """A mask, cropped to a box of the photo."""

    box: Box
    mask: Mask


_MAX_PX = 1e6  # of a coordinate; beyond, a file is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One labelled object of an image.

    Raises:
        InputError: a coordinate is not a number, or too large to be in a photo.
    """

    key: str  # how messages name it, such as "annotation 12"; unique in the image
    label: str
    box: BoxXYXY  # px
    outline: Polygons | Rle | CroppedMask | None = None  # px; None: only a box is known
    is_crowd: bool = False  # several objects in one
    keypoints: tuple[tuple[float, float, int], ...] = ()  # x, y in px, visibility as in COCO

    def __post_init__(self) -> None:
        """Check the coordinates."""
        polygons = self.outline if isinstance(self.outline, tuple) else ()
        for value in chain(self.box, *polygons, *(point[:2] for point in self.keypoints)):
            if not abs(value) < _MAX_PX:
                raise InputError(f"{value:g} px is not a position in a photo")


@dataclass(frozen=True, slots=True)
class DatasetImage:
    """An image of a dataset."""

    source: Path
    relative: Path  # below the dataset's folder, and of its result below the output folder
    split: str | None = None  # such as "train"; None: the dataset has no splits
    licence: str | None = None  # one that forbids changed copies
    number: str | None = None  # its id in the dataset


Outcome = Literal["kept", "removed", "partial", "missed", "covered", "clipped"]
"""What becomes of an annotation:

kept     as it was
removed  its object was filled: dropped
partial  its object was to go, and only a part was filled: kept
missed   its object was to go, and was not found: kept
covered  of a kept object, of which too little remains: dropped
clipped  of a kept object, partly filled: cut to what is visible
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationEdit:
    """What becomes of one annotation."""

    annotation: Annotation
    outcome: Outcome
    share: float | None = None  # of its pixels that were filled; None: no pixels are known
    visible: TightMask | None = None  # what is left of a clipped one
    hidden: tuple[int, ...] = ()  # indices of visible keypoints that were filled

    @property
    def is_dropped(self) -> bool:
        """Whether the annotation goes."""
        return self.outcome in ("removed", "covered")

    @property
    def is_change(self) -> bool:
        """Whether anything in the annotation's record changes."""
        return self.outcome in ("removed", "covered", "clipped") or bool(self.hidden)


def region_of(annotation: Annotation, size_hw: tuple[int, int]) -> TightMask | None:
    """Return the pixels of an annotation; None where only its box is known, or no pixel is.

    Args:
        annotation: of an image.
        size_hw: H and W of the upright image.

    Raises:
        InputError: the outline does not fit the photo.
    """
    outline = annotation.outline
    match outline:
        case None:
            return None
        case CroppedMask(box=box, mask=mask):
            if min(box) < 0 or box[2] > size_hw[1] or box[3] > size_hw[0]:
                raise InputError(f"{annotation.key}: its mask extends beyond the photo")
            return (box, mask) if mask.any() else None
        case Rle():
            if outline.size_hw != size_hw:
                height, width = outline.size_hw
                raise InputError(
                    f"{annotation.key}: its outline is {width} x {height} px, the upright photo "
                    f"is {size_hw[1]} x {size_hw[0]}"
                )
            return decode_rle(outline.counts, size_hw) if any(outline.counts[1::2]) else None
        case _:
            return fill_polygons(outline, size_hw)


_FRACTION_BITS = 4  # of polygon corners, in OpenCV


def fill_polygons(polygons: Polygons, size_hw: tuple[int, int]) -> TightMask | None:
    """Return the pixels in polygons; None where there is none in a photo of H and W."""
    height, width = size_hw
    outlines = [np.reshape(polygon, (-1, 2)).astype(np.float64) for polygon in polygons]
    corners = np.concatenate(outlines) if outlines else np.zeros((0, 2))
    if not corners.size:
        return None
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (width, height))
    if left >= right or top >= bottom:
        return None
    canvas = np.zeros((bottom - top, right - left), np.uint8)
    for outline in outlines:
        if _area(outline) == 0:
            continue
        # A pixel's centre is at x + 0.5 in labels, and at x in OpenCV.
        scaled = np.round((outline - (left + 0.5, top + 0.5)) * (1 << _FRACTION_BITS))
        cv2.fillPoly(canvas, [scaled.astype(np.int32)], (1,), shift=_FRACTION_BITS)
    mask = canvas.astype(np.bool_)
    if not mask.any():
        return None
    return tight_mask((int(left), int(top), int(right), int(bottom)), mask)


def _area(outline: npt.NDArray[np.float64]) -> float:
    x, y = outline.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def tight_mask(box: Box, mask: Mask) -> TightMask:
    """Return the tight box of a mask in `box` that is not empty, and the mask inside it."""
    x0, y0, x1, y1 = bounding_box(mask)
    left, top = box[:2]
    return (left + x0, top + y0, left + x1, top + y1), np.ascontiguousarray(mask[y0:y1, x0:x1])


def polygons_of(region: TightMask) -> list[list[float]]:
    """Return the outlines of a region as polygons in px, each of at least 3 corners.

    Holes in it are lost, as in all formats with polygons. Corners are those of pixels.
    """
    (left, top, _, _), mask = region
    # Twice as large, so that the outline runs along the pixels' borders and not their centres.
    large = np.pad(np.kron(mask.astype(np.uint8), np.ones((2, 2), np.uint8)), 1)
    contours, _ = cv2.findContours(
        np.asarray(large, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    polygons = []
    for contour in contours:
        if len(contour) < 3:
            continue
        corners = (contour[:, 0].astype(np.float64) - 0.5) / 2
        polygons.append([round(float(value), 2) for value in np.add(corners, (left, top)).ravel()])
    return polygons


def box_of(region: TightMask) -> BoxXYXY:
    """Return the tight box of a region."""
    left, top, right, bottom = region[0]
    return float(left), float(top), float(right), float(bottom)


def join_polygons(polygons: Sequence[Sequence[float]]) -> list[float]:
    """Return polygons as one, for formats that have one outline for each object.

    They are joined by lines without width between their first corners, there and back.
    """
    first, *others = polygons
    path = list(first)
    for other in others:
        path += [*path[:2], *other, *other[:2]]
    return [*path, *path[:2]] if others else path
