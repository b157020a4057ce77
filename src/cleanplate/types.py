"""The arrays and records that every layer shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Union

import numpy as np
import numpy.typing as npt

from cleanplate.errors import InputError, ShapeMismatchError
from cleanplate.options import check_type, invalid

RGBImage = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, RGB, [0, 255]."""

Mask = npt.NDArray[np.bool_]
"""(H, W) bool, True = remove."""

AnyMask = Union[Mask, npt.NDArray[np.uint8], "Image.Image"]
"""(H, W) bool, or uint8 of 0 and 255 only; or a Pillow image of mode 1 or L with such pixels."""

FloatArray = npt.NDArray[np.float32]
"""float32; its shape and range are stated where it is used."""

Box = tuple[int, int, int, int]
"""left, top, right, bottom in px; right and bottom are exclusive."""

if TYPE_CHECKING:
    from PIL import Image
    from typing_extensions import TypeVar

    ImageT = TypeVar("ImageT", default=RGBImage)
else:
    from typing import TypeVar

    ImageT = TypeVar("ImageT")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Instance:
    """One object found in a photo. Its mask is kept only inside its box, to stay small."""

    id: int  # 1, 2, ... in one photo, by falling area
    label: str  # canonical name, e.g. "person"
    score: float  # [0, 1]; of the built-in segmenter, how often such a detection is right
    box_xyxy: Box
    mask: Mask  # (bottom - top, right - left)
    reason: str = ""  # why it is kept, e.g. "kept: largest"; empty if it is removed

    def __repr__(self) -> str:
        """Return label, score, box and area, without the mask."""
        reason = f", {self.reason!r}" if self.reason else ""
        return (
            f"Instance({self.id}, {self.label!r}, {self.score:.2f}, box_xyxy={self.box_xyxy}, "
            f"area_px={self.area_px}{reason})"
        )

    @property
    def area_px(self) -> int:
        """Number of pixels of the object itself, before any margin is added."""
        return int(np.count_nonzero(self.mask))

    def paint_on(self, canvas: Mask) -> None:
        """Set the object's pixels in `canvas`, an (H, W) bool of the photo's size, to True."""
        left, top, right, bottom = self.box_xyxy
        canvas[top:bottom, left:right] |= self.mask


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Removal(Generic[ImageT]):
    """What `Remover` returns for one photo.

    `image` is of the kind that was given: an array for an array, bytes for bytes, a Pillow image
    for a Pillow image or a path. It equals the input wherever `mask` is False.
    """

    image: ImageT
    mask: Mask  # (H, W) bool, True = was filled
    instances: tuple[Instance, ...] = ()  # what was removed
    kept: tuple[Instance, ...] = ()  # found, but still there, each with its reason
    remaining: tuple[Instance, ...] = ()  # still found in the filled holes, or at their edges
    refills: int = 0  # how often what was still found was filled again
    timings_s: Mapping[str, float] = field(default_factory=dict)  # by stage, plus "total"
    notes: tuple[str, ...] = ()  # plain statements a user should read
    effects: Mask | None = None  # (H, W), shadows and reflections in `mask`; None without any

    def __repr__(self) -> str:
        """Return numbers only, no array."""
        return (
            f"Removal({_size(self.mask)}, {len(self.instances)} removed, {len(self.kept)} kept, "
            f"{len(self.remaining)} remaining, {self.mask.mean():.1%} filled, "
            f"{self.timings_s.get('total', 0):.2f} s)"
        )

    @property
    def changed(self) -> bool:
        """Whether any pixel was given to the inpainter."""
        return bool(self.mask.any())


def check_image(image: npt.NDArray[np.generic]) -> None:
    """Raise unless `image` is (H, W, 3) uint8 with at least one pixel.

    Raises:
        InputError: another type, shape or dtype; the message states it.
    """
    check_type("image", image, np.ndarray, "a NumPy array")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(
            f"image must be (H, W, 3) uint8 RGB with H, W >= 1, got {image.shape} {image.dtype}"
        )


def check_image_and_mask(image: npt.NDArray[np.generic], mask: npt.NDArray[np.generic]) -> None:
    """Raise unless `image` is (H, W, 3) uint8 and `mask` is (H, W) bool of the same size.

    Raises:
        InputError: wrong type, dtype or number of dimensions.
        ShapeMismatchError: the sizes differ.
    """
    check_image(image)
    check_type("mask", mask, np.ndarray, "a NumPy array")
    if mask.dtype != np.bool_:
        raise InputError(
            f"mask must be bool with True = remove, got {mask.dtype}; "
            "pass `mask > 127` for a greyscale image"
        )
    if mask.shape != image.shape[:2]:
        raise ShapeMismatchError(image.shape[:2], mask.shape)


def as_mask(mask: AnyMask) -> Mask:
    """Return a mask of True and False.

    Args:
        mask: see `AnyMask`. Not modified.

    Raises:
        InputError: another type, mode, dtype or value; the message states it.
    """
    mode = None if isinstance(mask, np.ndarray) else getattr(mask, "mode", None)
    if mode in ("1", "L"):
        mask = np.asarray(mask)
    elif isinstance(mode, str):
        raise InputError(f"a Pillow mask must be of mode 1 or L, got {mode}; mask.convert('L')")
    if not isinstance(mask, np.ndarray):
        raise invalid("mask", "a NumPy array or a Pillow image", mask)
    if mask.dtype == np.bool_:
        return np.asarray(mask, np.bool_)
    if mask.dtype != np.uint8:
        raise InputError(f"mask must be bool, or uint8 of 0 and 255, got {mask.dtype}")
    between = mask[(mask > 0) & (mask < 255)]
    if between.size:
        raise InputError(
            f"a uint8 mask must hold 0 and 255 only, got {between.flat[0]}; pass `mask > 127`, or "
            "`mask > 0`"
        )
    return np.asarray(mask == 255)


def _size(mask: Mask) -> str:
    return " x ".join(str(side) for side in mask.shape[::-1]) + " px"
