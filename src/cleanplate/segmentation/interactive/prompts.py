"""The contract every prompter keeps (tests/interactive/test_prompter_contract.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from cleanplate.errors import InputError
from cleanplate.ops import bounding_box
from cleanplate.types import Box, Instance, Mask, RGBImage

Point = tuple[float, float, bool]
"""x, y in px of the photo, the first pixel's being (0, 0); True: it lies on the object, False: it
does not."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What a prompter has made of a photo, for any number of outlines."""

    prompter: str  # name of the one that made it; no other can use it
    size_hw: tuple[int, int]  # of the photo
    features: tuple[npt.NDArray[Any], ...]  # the network's own; not to be modified


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The object that was pointed at."""

    mask: Mask  # (H, W) of the photo, True = the object; all False if none was found
    score: float  # IoU with the true object that the network expects of itself, [0, 1]


class InteractiveSegmenter(Protocol):
    """Outlines the object that a person points at, of whatever kind.

    An implementation owns its network's size, padding and normalisation: callers only ever see RGB
    uint8 and masks at the photo's own size. Preparing a photo is the costly part: each outline of
    it then takes a sixtieth (SAM 2.1) or a twenty-fifth (MobileSAM) of that on one core. Both
    methods may be called from several threads at once.
    """

    @property
    def name(self) -> str:
        """Registered name."""
        ...

    @property
    def provider(self) -> str:
        """What runs it, e.g. "CPUExecutionProvider"."""
        ...

    def set_image(self, image: RGBImage) -> Prepared:
        """Return the embeddings of a photo, which `predict` needs; nothing is stored.

        Args:
            image: (H, W, 3) uint8, RGB, [0, 255]. Neither modified nor kept.

        Raises:
            InputError: `image` is not (H, W, 3) uint8.
        """
        ...

    def predict(
        self, prepared: Prepared, *, points: Sequence[Point] = (), box_xyxy: Box | None = None
    ) -> Outline:
        """Return the object that the points and the box tell of.

        A single point may mean a button, a shirt or a person: one of them is returned. Further
        points, on the object or beside it, or a box make it plain.

        Args:
            prepared: by this prompter. Not modified.
            points: inside the photo: 0 <= x < W, 0 <= y < H; their order has no meaning.
            box_xyxy: around the object; not empty and inside the photo.

        Raises:
            InputError: neither a point nor a box is given, one lies outside the photo, or the photo
                was prepared by another prompter.
        """
        ...


def check_prompts(prepared: Prepared, points: Sequence[Point], box_xyxy: Box | None) -> None:
    """Raise unless there is something to go by and all of it lies inside the photo.

    Raises:
        InputError: see `InteractiveSegmenter.predict`; the message names the point or box.
    """
    height, width = prepared.size_hw
    if not points and box_xyxy is None:
        raise InputError("nothing to outline: give at least one point or a box")
    for x, y, _ in points:
        if not (0 <= x < width and 0 <= y < height):  # false for what is not a number, too
            raise InputError(
                f"point ({x:g}, {y:g}) lies outside the photo, which is {width} x {height} px; x "
                f"must be in [0, {width}), y in [0, {height})"
            )
    if box_xyxy is None:
        return
    left, top, right, bottom = box_xyxy
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise InputError(
            f"box {left:g}, {top:g}, {right:g}, {bottom:g} is empty or reaches outside the photo, "
            f"which is {width} x {height} px; it must be left, top, right, bottom"
        )


def instance_of(outline: Outline, *, label: str = "object", id: int = 1) -> Instance:
    """Return an outlined object as one that a segmenter could have found.

    Args:
        outline: of any prompter. Not modified; no memory is shared.
        label: what to call it.
        id: its number in the photo.

    Raises:
        InputError: the outline is empty.
    """
    if not outline.mask.any():
        raise InputError("the outline is empty: no object was found; add points or a box")
    box = bounding_box(outline.mask)
    left, top, right, bottom = box
    return Instance(id, label, outline.score, box, outline.mask[top:bottom, left:right].copy())
