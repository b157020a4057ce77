"""Pillow images in memory, returned in the same mode and size."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cleanplate.errors import InputError, PhotoError
from cleanplate.io.cmyk import ink_to_rgb
from cleanplate.io.metadata import clean_exif, clean_xmp
from cleanplate.io.photo import (
    Encoded,
    Photo,
    Plane,
    Raster,
    Samples,
    Samples16,
    apply_orientation,
    check_edit,
    gray_to_rgb,
    merge_fill,
    to_8bit,
    undo_orientation,
)
from cleanplate.types import Mask, RGBImage

if TYPE_CHECKING:
    from PIL import Image

IMAGE_NAME = "<image>"

_MODES_16BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_CONVERTED = ("YCbCr", "LAB", "HSV", "RGBX")  # worked on as RGB; their pixels around holes stay
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", *_CONVERTED, *_MODES_16BIT)


@dataclass(frozen=True, slots=True, eq=False)
class PilContainer:
    """The mode and info of a Pillow image."""

    mode: str
    orientation: int
    info: dict[Any, Any]
    original: "Image.Image | None" = None  # of a mode that is worked on as RGB

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> Encoded:
        """Raise: an image in memory has no file to be carried over.

        Raises:
            InputError: always.
        """
        raise InputError(f"{IMAGE_NAME} did not come from a file; use pil_from_photo")


def photo_from_pil(image: "Image.Image") -> Photo:
    """Return a Pillow image as a photo, upright.

    Args:
        image: mode 1, L, LA, P, PA, RGB, RGBA, RGBX, CMYK, YCbCr, LAB, HSV or I;16. Decoded if it
            was not yet; else not modified.

    Raises:
        PhotoError: another mode, several frames, or a file behind it that is damaged.
    """
    if image.mode not in _MODES:
        raise PhotoError(
            IMAGE_NAME, f"Pillow mode {image.mode} is not supported", 'use image.convert("RGB")'
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise PhotoError(IMAGE_NAME, f"it holds {frames} frames", "pass image.copy() of one")
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise PhotoError(IMAGE_NAME, f"it cannot be decoded ({error})", "check the file") from error
    info, orientation = _clean_info(image)
    original = image if image.mode in _CONVERTED else None
    image = image if original is None else _converted(original, "RGB")
    array = cast("Raster", np.asarray(image))
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    if image.mode in _MODES_16BIT:
        array = array.astype(np.uint16)[..., None]
    upright = cast("Raster", np.ascontiguousarray(apply_orientation(array, orientation)))
    pixels, samples = _split(upright, image)
    pixels.flags.writeable = False
    container = PilContainer(image.mode, orientation, info, original)
    format_name = (original or image).format or ""
    return Photo(IMAGE_NAME, pixels, format_name, samples=samples, container=container)


def pil_from_photo(photo: Photo, filled: RGBImage, mask: Mask) -> "Image.Image":
    """Return the image with its hole filled, in the mode, size, frame and info it came with.

    Exif's orientation is undone again, as the image's info still states it. Thumbnails in its Exif
    and XMP are removed.

    Args:
        photo: from `photo_from_pil`.
        filled: (H, W, 3) uint8, RGB, upright like `photo.pixels`.
        mask: (H, W) bool, True = take from `filled`.

    Raises:
        InputError: wrong dtype, or a photo that came from a file.
        ShapeMismatchError: the arrays do not have the photo's size.
    """
    from PIL import Image

    check_edit(photo, filled, mask)
    container = photo.container
    if not isinstance(container, PilContainer):
        raise InputError(f"{photo.path} is not from photo_from_pil; use encode_photo")
    raster = merge_fill(photo.samples, photo.pixels, filled, mask)
    raster = cast("Raster", np.ascontiguousarray(undo_orientation(raster, container.orientation)))
    if container.mode == "1":
        image = Image.fromarray(raster > 127)
    elif container.mode in _MODES_16BIT:
        dtype = ">u2" if container.mode == "I;16B" else "<u2"
        size_wh = (raster.shape[1], raster.shape[0])
        image = Image.frombytes(container.mode, size_wh, raster[..., 0].astype(dtype).tobytes())
    elif container.mode == "CMYK":
        image = Image.fromarray(raster, "CMYK")
    elif container.mode in ("P", "PA") and photo.samples.palette is not None:
        size_wh = (raster.shape[1], raster.shape[0])
        image = Image.frombytes(container.mode, size_wh, raster.tobytes())
        palette, alpha = photo.samples.palette, photo.samples.palette_alpha
        image.putpalette(palette.tobytes())
        if alpha is not None and (alpha < 255).any() and "transparency" not in container.info:
            image.putpalette(np.column_stack([palette, alpha]).tobytes(), "RGBA")
    else:
        image = Image.fromarray(raster)
    if container.original is not None:
        hole = Image.fromarray(np.ascontiguousarray(undo_orientation(mask, container.orientation)))
        filled_image = _converted(image, container.original.mode)
        image = container.original.copy()
        image.paste(filled_image, mask=hole)
    image.info = dict(container.info)
    return image


def _converted(image: "Image.Image", mode: str) -> "Image.Image":
    """Return an image in another mode, one of them RGB."""
    if "LAB" not in (image.mode, mode):
        return image.convert(mode)
    from PIL import ImageCms

    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    ends = (lab, srgb) if image.mode == "LAB" else (srgb, lab)
    converted = ImageCms.profileToProfile(image, *ends, outputMode=mode)
    return cast("Image.Image", converted)


def _clean_info(image: "Image.Image") -> tuple[dict[Any, Any], int]:
    """Return the image's info without thumbnails, and its Exif orientation."""
    info, orientation = dict(image.info), 1
    exif = info.get("exif")
    if isinstance(exif, bytes):
        cleaned = clean_exif(exif, size_hw=(image.height, image.width), keep_orientation=True)
        orientation = cleaned.orientation
        info["exif"] = b"Exif\x00\x00" + cleaned.data
        if not cleaned.data:
            del info["exif"]
    for name in ("xmp", "XML:com.adobe.xmp"):
        packet = info.get(name)
        if isinstance(packet, bytes):
            info[name] = clean_xmp(packet).data
    for name in ("photoshop", "mp", "mpoffset", "flashpix"):
        info.pop(name, None)
    return info, orientation


def _split(raster: Raster, image: "Image.Image") -> tuple[RGBImage, Samples]:
    """Return the 8-bit RGB image, and the record of what it does not hold."""
    mode, transparency = image.mode, image.info.get("transparency")
    raster.flags.writeable = False
    if mode in ("P", "PA"):
        entries = np.array(image.getpalette("RGBA") or [0, 0, 0, 255], np.uint8).reshape(-1, 4)
        is_opaque = mode == "P"
        indices = cast("Plane", raster if is_opaque else np.ascontiguousarray(raster[..., 0]))
        missing = max(0, int(indices.max()) + 1 - len(entries))
        palette = np.pad(entries[:, :3], ((0, missing), (0, 0)))
        alpha = np.pad(entries[:, 3], (0, missing), constant_values=255)
        if isinstance(transparency, bytes):
            stated = np.frombuffer(transparency[: len(palette)], dtype=np.uint8)
            alpha[: len(stated)] = stated
        elif isinstance(transparency, int) and transparency < len(palette):
            alpha[transparency] = 0
        plane = None if is_opaque else cast("Plane", np.ascontiguousarray(raster[..., 1]))
        samples = Samples(
            kind="palette", indices=indices, palette=palette, palette_alpha=alpha, alpha=plane
        )
        return palette[indices], samples
    key = (transparency,) if isinstance(transparency, int) else transparency
    key = tuple(key) if mode in ("1", "L", "RGB", *_MODES_16BIT) and key is not None else None
    if mode in _MODES_16BIT:
        samples16 = cast("Samples16", raster)
        return gray_to_rgb(to_8bit(samples16)[..., 0]), Samples(
            kind="gray", bits=16, samples16=samples16, key=key
        )
    samples8 = cast("Plane", raster)
    if mode == "CMYK":
        return ink_to_rgb(samples8), Samples(ink=samples8)
    alpha_plane = None
    if mode in ("LA", "RGBA"):
        alpha_plane = np.ascontiguousarray(samples8[..., -1])
        samples8 = samples8[..., 0] if mode == "LA" else samples8[..., :3]
    is_gray = mode in ("1", "L", "LA")
    pixels = gray_to_rgb(samples8) if is_gray else np.ascontiguousarray(samples8)
    bits = 1 if mode == "1" else 8
    return pixels, Samples(kind="gray" if is_gray else "rgb", bits=bits, alpha=alpha_plane, key=key)
