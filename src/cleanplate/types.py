"""The arrays and records that every layer shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cleanplate.errors import InputError, ShapeMismatchError

RGBImage = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, RGB, [0, 255]."""

Mask = npt.NDArray[np.bool_]
"""(H, W) bool, True = remove."""

Box = tuple[int, int, int, int]
"""left, top, right, bottom in px; right and bottom are exclusive."""


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One object found in a photo. Its mask is kept only inside its box, to stay small."""

    id: int  # 1, 2, ... in one photo, by falling area
    label: str  # canonical name, e.g. "person"
    score: float  # mean probability of the label over the object's pixels, [0, 1]
    box_xyxy: Box
    mask: Mask  # (bottom - top, right - left)
    reason: str = ""  # why it stays in the photo, e.g. "kept: largest"; empty if it goes

    @property
    def area_px(self) -> int:
        """Number of pixels of the object itself, before any margin is added."""
        return int(np.count_nonzero(self.mask))

    def paint_on(self, canvas: Mask) -> None:
        """Set the object's pixels in `canvas`, an (H, W) bool of the photo's size, to True."""
        left, top, right, bottom = self.box_xyxy
        canvas[top:bottom, left:right] |= self.mask


@dataclass(frozen=True, slots=True, eq=False)
class Removal:
    """What `Remover` gives back for one photo."""

    image: RGBImage  # (H, W, 3) uint8; equal to the input wherever `mask` is False
    mask: Mask  # (H, W) bool, True = was filled
    objects: tuple[Instance, ...] = ()  # what was removed
    left: tuple[Instance, ...] = ()  # found, but still there, each with its reason
    remaining: tuple[Instance, ...] = ()  # still found in the filled holes, or at their edges
    refills: int = 0  # how often what was still found was filled again
    timings_s: Mapping[str, float] = field(default_factory=dict)  # by stage, plus "total"
    notes: tuple[str, ...] = ()  # plain statements a user should read

    @property
    def changed(self) -> bool:
        """Whether any pixel was given to the inpainter."""
        return bool(self.mask.any())


def check_image(image: npt.NDArray[np.generic]) -> None:
    """Raise unless `image` is (H, W, 3) uint8 with at least one pixel.

    Raises:
        InputError: the shape or dtype is another one; the message states both.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(
            f"image must be (H, W, 3) uint8 RGB with H, W >= 1, got {image.shape} {image.dtype}"
        )


def check_image_and_mask(image: npt.NDArray[np.generic], mask: npt.NDArray[np.generic]) -> None:
    """Raise unless `image` is (H, W, 3) uint8 and `mask` is (H, W) bool of the same size.

    Raises:
        InputError: wrong dtype or number of dimensions.
        ShapeMismatchError: the sizes differ.
    """
    check_image(image)
    if mask.dtype != np.bool_:
        raise InputError(
            f"mask must be bool with True = remove, got {mask.dtype}; "
            "pass `mask > 127` for a grey picture"
        )
    if mask.shape != image.shape[:2]:
        raise ShapeMismatchError(image.shape[:2], mask.shape)
