"""`cleanplate.remove`: one call for one photo, whatever holds it."""

import functools
from collections.abc import Callable, Collection
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt

from cleanplate.errors import InputError
from cleanplate.io import Photo, encode_photo, photo_from_pil, pil_from_photo, read_photo
from cleanplate.options import DEFAULT_MIN_SCORE, Area, Rules
from cleanplate.remover import NO_RULES, Remover
from cleanplate.types import Removal, RGBImage

if TYPE_CHECKING:
    from PIL import Image


@overload
def remove(
    image: bytes,
    labels: Collection[str] | str,
    *,
    remover: Remover | None = None,
    min_score: float = DEFAULT_MIN_SCORE,
    min_area: Area = 0,
    grow: float | None = None,
    shadows: bool = False,
    verify: bool = True,
    rules: Rules = NO_RULES,
) -> bytes: ...
@overload
def remove(
    image: npt.NDArray[np.uint8],
    labels: Collection[str] | str,
    *,
    remover: Remover | None = None,
    min_score: float = DEFAULT_MIN_SCORE,
    min_area: Area = 0,
    grow: float | None = None,
    shadows: bool = False,
    verify: bool = True,
    rules: Rules = NO_RULES,
) -> npt.NDArray[np.uint8]: ...
@overload
def remove(
    image: "Image.Image | str | PathLike[str]",
    labels: Collection[str] | str,
    *,
    remover: Remover | None = None,
    min_score: float = DEFAULT_MIN_SCORE,
    min_area: Area = 0,
    grow: float | None = None,
    shadows: bool = False,
    verify: bool = True,
    rules: Rules = NO_RULES,
) -> "Image.Image": ...


def remove(
    image: "bytes | npt.NDArray[np.uint8] | Image.Image | str | PathLike[str]",
    labels: Collection[str] | str,
    *,
    remover: Remover | None = None,
    min_score: float = DEFAULT_MIN_SCORE,
    min_area: Area = 0,
    grow: float | None = None,
    shadows: bool = False,
    verify: bool = True,
    rules: Rules = NO_RULES,
) -> "bytes | npt.NDArray[np.uint8] | Image.Image":
    """Return the photo without the named objects, as what it was given.

    The models are loaded at the first call and stay loaded. Use a `Remover` to choose models and a
    device, and to get the mask and the objects too.

    Args:
        image: the content of a photo's file; a Pillow image; an array; or the path of a photo.
            Arrays are (H, W, 3) RGB, (H, W, 4) RGB and alpha, or (H, W) grey, uint8. None of them
            is modified.
        labels: names, everyday words or VOC ids of what to remove, such as ["person", "cars"].
        remover: what to use instead of the default models.
        min_score: [0, 1]; objects of which the segmenter is less sure stay.
        min_area: smaller objects stay; px, or a share of the photo such as "5%".
        grow: px, >= 0; margin around every object. None scales it with each object.
        shadows: remove the objects' shadows and mirror images on the ground too, where evident.
        verify: look at the filled holes again, and fill once more what is still found there.
        rules: what else stays, such as `Rules(keep=1)` for the largest.

    Returns:
        bytes for bytes: the same format and metadata, the very same bytes if nothing was found; a
        camera RAW comes back as a TIFF of 16 bits.
        An array of the same shape for an array. A Pillow image of the same mode, size and
        Exif orientation for a Pillow image; for a path, the one that Pillow opens it as. HEIC and
        camera RAW, which Pillow does not open, come back upright, as 8-bit RGB without metadata.

    Raises:
        InputError: an image or option that cannot be used.
        UnknownNameError: the segmenter does not know a label.
        PhotoError: the file or Pillow image cannot be read.
        MissingRuntimeError, WeightsError: the models cannot be loaded.
    """

    def edit(pixels: npt.NDArray[np.uint8]) -> Removal:
        return (remover or _default_remover()).remove(
            pixels,
            labels,
            min_score=min_score,
            min_area=min_area,
            grow=grow,
            shadows=shadows,
            verify=verify,
            rules=rules,
        )

    if isinstance(image, np.ndarray):
        return _remove_from_array(image, edit)
    if isinstance(image, bytes):
        photo = read_photo(image)
        removal = edit(photo.pixels)
        return encode_photo(photo, removal.image, removal.mask) if removal.changed else image
    photo = _pil_photo(image)
    removal = edit(photo.pixels)
    return pil_from_photo(photo, removal.image, removal.mask)


@functools.cache
def _default_remover() -> Remover:
    return Remover()


def _remove_from_array(
    image: npt.NDArray[np.uint8], edit: Callable[[RGBImage], Removal]
) -> npt.NDArray[np.uint8]:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in _DEPTHS:
        raise InputError(
            "an array must be uint8 of shape (H, W), (H, W, 3) or (H, W, 4), "
            f"got {image.shape} {image.dtype}"
        )
    if image.shape[2:] == (3,):
        return edit(image).image
    grey = image.ndim == 2
    pixels = np.repeat(image[..., None], 3, axis=2) if grey else image[..., :3].copy()
    removal = edit(pixels)
    result = image.copy()
    if grey:
        # The three channels of the fill are nearly alike; their mean is its grey.
        mean = np.rint(removal.image[removal.mask].mean(axis=1))
        result[removal.mask] = mean.astype(np.uint8)
    else:
        result[removal.mask, :3] = removal.image[removal.mask]
    return result


_DEPTHS = ((), (3,), (4,))  # grey, RGB, RGB and alpha


def _pil_photo(image: "Image.Image | str | PathLike[str]") -> Photo:
    from PIL import Image

    if isinstance(image, Image.Image):
        return photo_from_pil(image)
    if isinstance(image, str | PathLike):
        photo = read_photo(Path(image))  # says what is wrong with a file; Pillow's words vary
        if photo.format in ("HEIC", "RAW"):
            return photo_from_pil(Image.fromarray(photo.pixels))
        with Image.open(image) as opened:
            return photo_from_pil(opened)
    raise InputError(
        "image must be bytes, an array, a Pillow image or the path of a photo, "
        f"got {type(image).__name__}"
    )
