"""One call for one photo: `remove`, `remove_file`, `fill`."""

import functools
from collections.abc import Collection
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

from cleanplate.errors import InputError
from cleanplate.io import (
    AnyPhoto,
    PhotoT,
    as_path,
    check_result_name,
    copy_photo,
    must_convert,
    read_format,
    read_photo,
    write_photo,
)
from cleanplate.options import Point, PointBox, RemovalOptions, check_type
from cleanplate.remover import Remover
from cleanplate.runtime import check_device
from cleanplate.types import AnyMask, Removal

if TYPE_CHECKING:
    from PIL import Image


@overload
def remove(
    photo: PhotoT,
    classes: Collection[str] | str | None = None,
    options: RemovalOptions | None = None,
    *,
    points: Collection[Point] | None = None,
    boxes: Collection[PointBox] | None = None,
    mask: AnyMask | None = None,
    device: str = "auto",
    remover: Remover | None = None,
) -> PhotoT: ...
@overload
def remove(
    photo: str | PathLike[str],
    classes: Collection[str] | str | None = None,
    options: RemovalOptions | None = None,
    *,
    points: Collection[Point] | None = None,
    boxes: Collection[PointBox] | None = None,
    mask: AnyMask | None = None,
    device: str = "auto",
    remover: Remover | None = None,
) -> "Image.Image": ...
def remove(
    photo: AnyPhoto,
    classes: Collection[str] | str | None = None,
    options: RemovalOptions | None = None,
    *,
    points: Collection[Point] | None = None,
    boxes: Collection[PointBox] | None = None,
    mask: AnyMask | None = None,
    device: str = "auto",
    remover: Remover | None = None,
) -> Any:
    """Return the photo without the named objects, as the kind it was given.

    The models are loaded at the first call and stay loaded. Call a `Remover` instead to choose
    models, and to get the mask and the objects too.

    Args:
        photo: the content of a photo's file; a Pillow image; the path of a photo; or a uint8 array:
            (H, W, 3) RGB, (H, W, 4) RGB and alpha, or (H, W) grey. Not modified.
        classes: label names, everyday words or VOC ids of what to remove: ["person", "cars"].
        options: how; see `RemovalOptions`.
        points: (x, y) in px; remove only the objects at these points.
        boxes: (left, top, width, height) in px; remove only the objects in these boxes.
        mask: (H, W), bool or uint8 of 0 and 255, or a Pillow image of mode 1 or L: remove what it
            shows, and its effects.
        device: one of `cleanplate.runtime.DEVICES`.
        remover: used instead of the default models.

    Returns:
        bytes for bytes, in the same format and with the same metadata, the very same bytes if
        nothing was found; an array of the same shape for an array; a Pillow image of the same mode,
        size and Exif orientation for a Pillow image or a path. See `cleanplate.io.open_photo`.

    Raises:
        InputError: an argument that cannot be used.
        UnknownNameError: the segmenter does not know a class.
        PhotoError: the file or Pillow image cannot be read.
        DeviceError, MissingRuntimeError, WeightsError: the models cannot be loaded.
    """
    used = _remover(remover, device)
    return used(photo, classes, options, points=points, boxes=boxes, mask=mask).image


def remove_file(
    source: str | PathLike[str],
    target: str | PathLike[str],
    classes: Collection[str] | str | None = None,
    options: RemovalOptions | None = None,
    *,
    points: Collection[Point] | None = None,
    boxes: Collection[PointBox] | None = None,
    mask: AnyMask | None = None,
    overwrite: bool = False,
    device: str = "auto",
    remover: Remover | None = None,
) -> Removal:
    """Write a photo without the named objects, in the same format and with its metadata.

    The file is written completely or not at all; its folder is made if need be. Where nothing is
    found, it is a copy, byte for byte.

    Args:
        source: the photo's file. Not modified.
        target: the file to write, with the ending of the source; of a camera RAW, .tif or .jpg.
        classes: as for `remove`, like all that is not described here.
        options: likewise.
        points: likewise.
        boxes: likewise.
        mask: likewise.
        overwrite: replace the target if it exists.
        device: likewise.
        remover: likewise.

    Returns:
        What was removed; its `image` is the upright 8-bit RGB image.

    Raises:
        InputError: the target exists, is the source, or has another format's ending; or as
            `remove`, like all others.
        PhotoError: the photo cannot be read or written.
    """
    source, target = as_path("source", source), as_path("target", target)
    check_type("overwrite", overwrite, bool, "True or False")
    raw_output = check_result_name(target, source, read_format(source))
    photo = read_photo(source, raw_output=raw_output)
    if target.exists():
        if target.samefile(source):
            raise InputError(f"{target}: is the photo itself; name another file")
        if not overwrite:
            raise InputError(f"{target}: already exists; pass overwrite=True to replace it")
    used = _remover(remover, device)
    removal = used(photo, classes, options, points=points, boxes=boxes, mask=mask)
    if removal.changed or must_convert(photo, target):
        notes = write_photo(target, photo, removal.image, removal.mask)
        removal = replace(removal, notes=(*removal.notes, *notes))
    else:
        copy_photo(source, target)
    return removal


@overload
def fill(
    photo: PhotoT, mask: AnyMask, *, device: str = "auto", remover: Remover | None = None
) -> PhotoT: ...
@overload
def fill(
    photo: str | PathLike[str],
    mask: AnyMask,
    *,
    device: str = "auto",
    remover: Remover | None = None,
) -> "Image.Image": ...
def fill(
    photo: AnyPhoto, mask: AnyMask, *, device: str = "auto", remover: Remover | None = None
) -> Any:
    """Return the photo with the pixels of a mask filled, as the kind it was given.

    Args:
        photo: as for `remove`.
        mask: (H, W), True or 255 = fill; bool, or uint8 of 0 and 255; or a Pillow image of mode 1
            or L.
        device: one of `cleanplate.runtime.DEVICES`.
        remover: used instead of the default models.

    Raises:
        InputError: a photo or mask of the wrong type, shape, dtype or values.
        ShapeMismatchError: the sizes differ.
        PhotoError, DeviceError, MissingRuntimeError, WeightsError: as `remove`.
    """
    removal: Removal[Any] = _remover(remover, device).fill(photo, mask)
    return removal.image


def _remover(remover: Remover | None, device: str) -> Remover:
    check_device(device, None)
    if remover is None:
        return _default_remover(device)
    check_type("remover", remover, Remover, "a Remover")
    if device != "auto":
        raise InputError(f"device {device}: a remover has its own; make Remover(device={device!r})")
    return remover


@functools.cache
def _default_remover(device: str = "auto") -> Remover:
    return Remover(device=device)
