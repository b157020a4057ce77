"""The contract of every prompter (tests/interactive/test_prompter_contract.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from cleanplate.errors import InputError
from cleanplate.ops import bounding_box
from cleanplate.types import Box, Instance, Mask, RGBImage

PromptPoint = tuple[float, float, bool]
"""x, y in px of the photo, the first pixel's being (0, 0); True: on the object, False: on
the background."""


OUTLINED = "object"
"""Label of what a person has pointed at: no segmenter knows it."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Embeddings of a photo, reusable for any number of predictions."""

    prompter: str  # name of the prompter that computed them; no other can use them
    size_hw: tuple[int, int]  # of the photo
    features: tuple[npt.NDArray[Any], ...]  # of the network; not to be modified


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A predicted mask with its score."""

    mask: Mask  # (H, W) of the photo, True = the object; all False if none was found
    score: float  # IoU predicted by the network, [0, 1]


class InteractiveSegmenter(Protocol):
    """Segments the object marked by points or a box, of any class.

    An implementation owns its network's size, padding and normalisation: callers only ever see RGB
    uint8 and masks at the photo's own size. Preparing a photo is the costly part: each outline of
    it then takes a sixtieth (SAM 2.1) or a twenty-fifth (MobileSAM) of that on one core. Both
    methods are thread-safe.
    """

    @property
    def name(self) -> str:
        """Registered name."""
        ...

    @property
    def provider(self) -> str:
        """ONNX Runtime execution provider, e.g. "CPUExecutionProvider"."""
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
        self, prepared: Prepared, *, points: Sequence[PromptPoint] = (), box_xyxy: Box | None = None
    ) -> Outline:
        """Return the object marked by the points and the box.

        A single point is ambiguous (a button, a shirt or a person): one of them is returned.
        Foreground and background points, or a box, resolve that.

        Args:
            prepared: by this prompter. Not modified.
            points: inside the photo: 0 <= x < W, 0 <= y < H; their order has no meaning.
            box_xyxy: around the object; not empty and inside the photo.

        Raises:
            InputError: neither a point nor a box is given, one is outside the photo, or the photo
                was prepared by another prompter.
        """
        ...


def check_prompts(prepared: Prepared, points: Sequence[PromptPoint], box_xyxy: Box | None) -> None:
    """Raise unless there is a point or a box, and all are inside the photo.

    Raises:
        InputError: see `InteractiveSegmenter.predict`; the message names the point or box.
    """
    height, width = prepared.size_hw
    if not points and box_xyxy is None:
        raise InputError("nothing to outline: give at least one point or a box")
    for x, y, _ in points:
        if not (0 <= x < width and 0 <= y < height):  # false for NaN, too
            raise InputError(
                f"point ({x:g}, {y:g}) is outside the photo, which is {width} x {height} px; x "
                f"must be in [0, {width}), y in [0, {height})"
            )
    if box_xyxy is None:
        return
    left, top, right, bottom = box_xyxy
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise InputError(
            f"box {left:g}, {top:g}, {right:g}, {bottom:g} is empty or extends beyond the photo, "
            f"which is {width} x {height} px; it must be left, top, right, bottom"
        )


def instance_of(outline: Outline, *, label: str = OUTLINED, id: int = 1) -> Instance:
    """Return a predicted mask as an instance.

    Args:
        outline: of any prompter. Not modified; no memory is shared.
        label: of the instance.
        id: its number in the photo.

    Raises:
        InputError: the outline is empty.
    """
    if not outline.mask.any():
        raise InputError("the outline is empty: no object was found; add points or a box")
    box = bounding_box(outline.mask)
    left, top, right, bottom = box
    return Instance(id, label, outline.score, box, outline.mask[top:bottom, left:right].copy())
